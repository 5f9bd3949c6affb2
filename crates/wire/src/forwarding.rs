//! Global requests about forwarding (RFC 4254 section 7.1, OpenSSH PROTOCOL sections 2.2 and 2.4).

use crate::channel::HostPort;
use crate::codec::{DecodeError, Reader, Write};
use crate::message::{TEXT_LIMIT, number};

/// A request, after its name and "want reply".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardingRequest<'a> {
    /// "tcpip-forward", "streamlocal-forward@openssh.com"
    Listen(SocketName<'a>),
    /// "cancel-tcpip-forward", "cancel-streamlocal-forward@openssh.com"
    Cancel(SocketName<'a>),
    /// "no-more-sessions@openssh.com"
    NoMoreSessions,
}

/// What is to be listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketName<'a> {
    /// "address to bind" and "port number to bind"
    Port(HostPort<'a>),
    /// "socket path"
    Path(&'a [u8]),
}

impl<'a> ForwardingRequest<'a> {
    /// Reads the payload of an SSH_MSG_GLOBAL_REQUEST; `None`: it is another one.
    ///
    /// # Errors
    /// The fields are malformed.
    pub fn decode(payload: &'a [u8]) -> Result<Option<Self>, DecodeError> {
        let mut reader = Reader::new(payload);
        if reader.byte()? != number::GLOBAL_REQUEST {
            return Err(DecodeError::OutOfRange);
        }
        let name = reader.string(TEXT_LIMIT)?;
        reader.boolean()?;
        let port = |reader: &mut Reader<'a>| HostPort::decode(reader).map(SocketName::Port);
        let path = |reader: &mut Reader<'a>| reader.string(TEXT_LIMIT).map(SocketName::Path);
        let request = match name {
            b"tcpip-forward" => Self::Listen(port(&mut reader)?),
            b"cancel-tcpip-forward" => Self::Cancel(port(&mut reader)?),
            b"streamlocal-forward@openssh.com" => Self::Listen(path(&mut reader)?),
            b"cancel-streamlocal-forward@openssh.com" => Self::Cancel(path(&mut reader)?),
            b"no-more-sessions@openssh.com" => Self::NoMoreSessions,
            _ => return Ok(None),
        };
        reader.finish()?;
        Ok(Some(request))
    }
}

/// Payload of the SSH_MSG_REQUEST_SUCCESS to a request: with the port that the system chose, if it did.
pub fn success(chosen: Option<u16>) -> Vec<u8> {
    let mut out = vec![number::REQUEST_SUCCESS];
    if let Some(port) = chosen {
        out.put_uint32(port.into());
    }
    out
}

/// Payload of SSH_MSG_REQUEST_FAILURE.
pub fn failure() -> Vec<u8> {
    vec![number::REQUEST_FAILURE]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str) -> Vec<u8> {
        let mut out = vec![number::GLOBAL_REQUEST];
        out.put_string(name.as_bytes());
        out.put_boolean(true);
        out
    }

    #[test]
    fn requests_are_told_apart_and_read_to_their_end() {
        let port = HostPort {
            host: b"::1",
            port: 8080,
        };
        for (name, expected) in [
            (
                "tcpip-forward",
                ForwardingRequest::Listen(SocketName::Port(port)),
            ),
            (
                "cancel-tcpip-forward",
                ForwardingRequest::Cancel(SocketName::Port(port)),
            ),
        ] {
            let mut payload = request(name);
            payload.put_string(port.host);
            assert!(ForwardingRequest::decode(&payload).is_err());
            payload.put_uint32(port.port);
            assert_eq!(ForwardingRequest::decode(&payload), Ok(Some(expected)));
            payload.push(0);
            assert!(ForwardingRequest::decode(&payload).is_err());
        }
        let mut payload = request("streamlocal-forward@openssh.com");
        payload.put_string(b"/run/\xff");
        assert_eq!(
            ForwardingRequest::decode(&payload),
            Ok(Some(ForwardingRequest::Listen(SocketName::Path(
                b"/run/\xff"
            ))))
        );
        assert_eq!(
            ForwardingRequest::decode(&request("no-more-sessions@openssh.com")),
            Ok(Some(ForwardingRequest::NoMoreSessions))
        );
        let mut other = request("keepalive@openssh.com");
        other.put_bytes(b"anything");
        assert_eq!(ForwardingRequest::decode(&other), Ok(None));
    }
}
