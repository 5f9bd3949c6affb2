//! Host key rotation: hostkeys-00@openssh.com and hostkeys-prove-00@openssh.com (OpenSSH PROTOCOL
//! section 2.5). After login the server tells all its host keys; the client has it prove those that
//! it does not know, and replaces its list.

use crate::codec::{DecodeError, Reader, Write};
use crate::message::{BLOB_LIMIT, TEXT_LIMIT, number};

/// Most keys of one request. No server has as many.
pub const PROOF_LIMIT: usize = 64;

const ANNOUNCE: &[u8] = b"hostkeys-00@openssh.com";
const PROVE: &[u8] = b"hostkeys-prove-00@openssh.com";

/// Payload of the SSH_MSG_GLOBAL_REQUEST that tells the host keys; no reply is wanted.
pub fn announcement<'a>(host_keys: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = vec![number::GLOBAL_REQUEST];
    out.put_string(ANNOUNCE);
    out.put_boolean(false);
    host_keys.for_each(|key| out.put_string(key));
    out
}

/// What a host key signs to prove that it belongs to the server of a session.
pub fn proof_data(session_identifier: &[u8], host_key: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_string(PROVE);
    out.put_string(session_identifier);
    out.put_string(host_key);
    out
}

/// Payload of the SSH_MSG_REQUEST_SUCCESS with the signatures, in the order of the request.
pub fn proofs(signatures: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![number::REQUEST_SUCCESS];
    signatures
        .iter()
        .for_each(|signature| out.put_string(signature));
    out
}

/// Payload of the SSH_MSG_REQUEST_FAILURE to a request of keys that cannot be proved.
pub fn no_proofs() -> Vec<u8> {
    vec![number::REQUEST_FAILURE]
}

/// What there is to know of an SSH_MSG_GLOBAL_REQUEST before anybody answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalRequest {
    /// "want reply"
    pub reply: Reply,
    /// Its kind.
    pub kind: GlobalRequestKind,
}

/// Whether a reply is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// SSH_MSG_REQUEST_SUCCESS or SSH_MSG_REQUEST_FAILURE, in the order of the requests (RFC 4254
    /// section 4).
    Wanted,
    /// None.
    Unwanted,
}

/// The requests that are told apart here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GlobalRequestKind {
    /// hostkeys-prove-00@openssh.com: public key blobs. `None`: more than [`PROOF_LIMIT`].
    ProveHostKeys(Option<Vec<Vec<u8>>>),
    /// Any other.
    Other,
}

impl GlobalRequest {
    /// Reads a payload. The fields of other requests are not looked at.
    ///
    /// # Errors
    /// The fields that all requests have, or those of hostkeys-prove-00@openssh.com, are malformed.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        if reader.byte()? != number::GLOBAL_REQUEST {
            return Err(DecodeError::OutOfRange);
        }
        let name = reader.string(TEXT_LIMIT)?;
        let reply = match reader.boolean()? {
            true => Reply::Wanted,
            false => Reply::Unwanted,
        };
        let kind = match name {
            PROVE => GlobalRequestKind::ProveHostKeys(blobs(reader)?),
            _ => GlobalRequestKind::Other,
        };
        Ok(Self { reply, kind })
    }
}

/// Public key blobs up to the end.
fn blobs(mut reader: Reader<'_>) -> Result<Option<Vec<Vec<u8>>>, DecodeError> {
    let mut blobs = Vec::new();
    while !reader.rest().is_empty() {
        if blobs.len() >= PROOF_LIMIT {
            return Ok(None);
        }
        blobs.push(reader.string(BLOB_LIMIT)?.to_vec());
    }
    Ok(Some(blobs))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(name: &[u8], want_reply: bool, blobs: &[Vec<u8>]) -> Vec<u8> {
        let mut out = vec![number::GLOBAL_REQUEST];
        out.put_string(name);
        out.put_boolean(want_reply);
        blobs.iter().for_each(|blob| out.put_string(blob));
        out
    }

    #[test]
    fn the_announcement_wants_no_reply() {
        let keys = [b"one".as_slice(), b"two"];
        let payload = announcement(keys.into_iter());
        assert_eq!(payload, request(ANNOUNCE, false, &keys.map(<[u8]>::to_vec)));
        assert_eq!(
            GlobalRequest::decode(&payload).unwrap().reply,
            Reply::Unwanted
        );
    }

    #[test]
    fn a_proof_covers_its_purpose_the_session_and_the_key() {
        let mut expected = vec![0, 0, 0, 29];
        expected.extend(b"hostkeys-prove-00@openssh.com");
        expected.extend(b"\0\0\0\x02id\0\0\0\x03key");
        assert_eq!(proof_data(b"id", b"key"), expected);
        // Longer than any exchange hash: a signature over the one is none over the other.
        assert!(proof_data(&[0; 32], b"").len() > 64);
    }

    #[test]
    fn other_requests_are_not_looked_into() {
        let mut payload = request(b"tcpip-forward", true, &[]);
        payload.extend([1, 2, 3]);
        assert_eq!(
            GlobalRequest::decode(&payload),
            Ok(GlobalRequest {
                reply: Reply::Wanted,
                kind: GlobalRequestKind::Other
            })
        );
        assert!(GlobalRequest::decode(&payload[..4]).is_err());
    }

    #[test]
    fn too_many_keys_are_no_list_and_half_a_key_is_an_error() {
        let kind = |payload: &[u8]| GlobalRequest::decode(payload).map(|request| request.kind);
        let keys = vec![b"key".to_vec(); PROOF_LIMIT];
        assert_eq!(
            kind(&request(PROVE, true, &keys)),
            Ok(GlobalRequestKind::ProveHostKeys(Some(keys.clone())))
        );
        let more = [keys, vec![b"key".to_vec()]].concat();
        assert_eq!(
            kind(&request(PROVE, true, &more)),
            Ok(GlobalRequestKind::ProveHostKeys(None))
        );
        let mut half = request(PROVE, true, &[]);
        half.extend([0, 0, 0, 9, 1]);
        assert_eq!(kind(&half), Err(DecodeError::Truncated));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(rest in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut payload = request(PROVE, true, &[]);
            payload.extend(rest);
            drop(GlobalRequest::decode(&payload));
        }
    }
}
