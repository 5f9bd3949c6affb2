//! A connection in bytes, for a monitor that comes after this one (`proto/stored.proto`).

use prost::Message;

use crate::identity::{ConnectionId, Endpoints};
use crate::lane::LaneError;
use crate::lane::convert::{endpoints_from_proto, endpoints_to_proto, id_from_proto, id_to_proto};
use crate::proto::stored::v1 as pb;

/// A connection whose user is logged in, without its descriptors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedConnection {
    /// Its name; the names of its descriptors and of its session's unit follow from it.
    pub id: ConnectionId,
    /// Its addresses.
    pub endpoints: Endpoints,
    /// Login name.
    pub user: String,
}

impl SavedConnection {
    /// The form that [`Self::from_bytes`] reads, in this version and later ones.
    pub fn to_bytes(&self) -> Vec<u8> {
        let message = pb::SavedConnection {
            id: Some(id_to_proto(self.id)),
            endpoints: Some(endpoints_to_proto(self.endpoints)),
            user: self.user.clone(),
        };
        message.encode_to_vec()
    }

    /// Reads what an earlier monitor has saved.
    ///
    /// # Errors
    /// A field is missing or is no value of its type.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LaneError> {
        let message = pb::SavedConnection::decode(bytes)
            .map_err(|_| LaneError::Malformed("not a saved connection"))?;
        if message.user.is_empty() {
            return Err(LaneError::Malformed("user"));
        }
        Ok(Self {
            id: id_from_proto(message.id)?,
            endpoints: endpoints_from_proto(message.endpoints)?,
            user: message.user,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_connection_survives_its_bytes(
            id: [u8; 8],
            peer: Option<std::net::SocketAddrV4>,
            user in ".{1,32}",
        ) {
            let local = "[2001:db8::1]:22".parse().unwrap();
            let saved = SavedConnection {
                id: ConnectionId::from_bytes(id),
                endpoints: peer.map_or(Endpoints::UNKNOWN, |peer| Endpoints::inet(peer.into(), local)),
                user,
            };
            prop_assert_eq!(SavedConnection::from_bytes(&saved.to_bytes()).unwrap(), saved);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            drop(SavedConnection::from_bytes(&bytes));
        }
    }

    #[test]
    fn nothing_is_no_connection() {
        assert!(SavedConnection::from_bytes(&[]).is_err());
    }
}
