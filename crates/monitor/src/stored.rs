//! Names in systemd's file descriptor store (FileDescriptorStoreMax=, sd_pid_notify_with_fds(3)).
//!
//! After a restart the descriptors of live connections come back beside the listening sockets, in
//! any order, known by their names only; what else there is to know of a connection is a
//! [`SavedConnection`](rpc::stored::SavedConnection). This version stores none and takes none up
//! again; the scheme is fixed here so that whatever runs later than this version can tell stored
//! descriptors from sockets.

use std::fmt;

use rpc::ConnectionId;

/// What a stored descriptor is to its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Lane to the worker.
    WorkerLane,
    /// gRPC stream of the worker.
    WorkerStream,
    /// Lane to the session.
    SessionLane,
}

/// Name of a stored descriptor: `worker-lane-<connection id>` and so on. At most 255 characters
/// without colons and control characters are permitted; these have less than 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredName {
    /// What it is.
    pub part: Part,
    /// Whose it is.
    pub connection: ConnectionId,
}

impl Part {
    const ALL: [Self; 3] = [Self::WorkerLane, Self::WorkerStream, Self::SessionLane];

    fn prefix(self) -> &'static str {
        match self {
            Self::WorkerLane => "worker-lane-",
            Self::WorkerStream => "worker-stream-",
            Self::SessionLane => "session-lane-",
        }
    }
}

impl StoredName {
    /// Reads the form that [`fmt::Display`] writes.
    pub fn parse(name: &str) -> Option<Self> {
        Part::ALL.into_iter().find_map(|part| {
            let connection = ConnectionId::from_hex(name.strip_prefix(part.prefix())?)?;
            Some(Self { part, connection })
        })
    }
}

impl fmt::Display for StoredName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.part.prefix(), self.connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_its_text_form() {
        for part in Part::ALL {
            let name = StoredName {
                part,
                connection: ConnectionId::from_bytes([7; 8]),
            };
            assert_eq!(StoredName::parse(&name.to_string()), Some(name));
        }
    }

    #[test]
    fn sockets_are_not_stored_descriptors() {
        for name in ["ssh", "ctl", "worker-lane-", "worker-lane-xyz", ""] {
            assert_eq!(StoredName::parse(name), None, "{name}");
        }
    }
}
