//! Channels that are not sessions: opening and closing them (RFC 4254 sections 5.1, 5.3 and 7.2, OpenSSH PROTOCOL
//! sections 2.3 and 2.4), and the requests that OpenSSH and RFC 4335 add to sessions.

use crate::codec::{DecodeError, Reader, Write};
use crate::hostkeys::Reply;
use crate::message::{TEXT_LIMIT, number};

/// SSH_MSG_CHANNEL_OPEN
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelOpen<'a> {
    /// What kind of channel.
    pub kind: ChannelKind<'a>,
    /// "sender channel": its number at the other side.
    pub sender: u32,
    /// "initial window size"
    pub window: u32,
    /// "maximum packet size"
    pub packet: u32,
}

/// The kinds of channels that are told apart here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelKind<'a> {
    /// "session"
    Session,
    /// "direct-tcpip"
    DirectTcpip {
        /// "host to connect" and "port to connect"
        target: HostPort<'a>,
        /// "originator IP address" and "originator port"
        originator: HostPort<'a>,
    },
    /// "direct-streamlocal@openssh.com"
    DirectStreamLocal {
        /// "socket path"
        path: &'a [u8],
        /// Reserved; OpenSSH's client has its originator in it.
        originator: HostPort<'a>,
    },
    /// "tun@openssh.com"
    Tunnel {
        /// "tunnel mode": see [`TunnelMode::from_code`](crate::tunnel::TunnelMode::from_code).
        mode: u32,
        /// "remote unit number": see [`TunnelDevice::from_code`](crate::tunnel::TunnelDevice::from_code).
        device: u32,
    },
    /// Any other.
    Other,
}

/// A host as a text that nobody has looked at, and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostPort<'a> {
    /// Address or name.
    pub host: &'a [u8],
    /// The port, which need not be one.
    pub port: u32,
}

impl<'a> HostPort<'a> {
    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            host: reader.string(TEXT_LIMIT)?,
            port: reader.uint32()?,
        })
    }

    fn encode(self, out: &mut Vec<u8>) {
        out.put_string(self.host);
        out.put_uint32(self.port);
    }
}

impl<'a> ChannelOpen<'a> {
    /// Reads a payload. The fields of other kinds are not looked at.
    ///
    /// # Errors
    /// The fields that all kinds have, or those of a kind that is told apart, are malformed.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        if reader.byte()? != number::CHANNEL_OPEN {
            return Err(DecodeError::OutOfRange);
        }
        let name = reader.string(NAME_LIMIT)?;
        let sender = reader.uint32()?;
        let window = reader.uint32()?;
        let packet = reader.uint32()?;
        let kind = match name {
            b"session" => ChannelKind::Session,
            b"direct-tcpip" => ChannelKind::DirectTcpip {
                target: HostPort::decode(&mut reader)?,
                originator: HostPort::decode(&mut reader)?,
            },
            b"direct-streamlocal@openssh.com" => ChannelKind::DirectStreamLocal {
                path: reader.string(TEXT_LIMIT)?,
                originator: HostPort::decode(&mut reader)?,
            },
            b"tun@openssh.com" => ChannelKind::Tunnel {
                mode: reader.uint32()?,
                device: reader.uint32()?,
            },
            _ => ChannelKind::Other,
        };
        match kind {
            ChannelKind::Other => {}
            ChannelKind::Session
            | ChannelKind::DirectTcpip { .. }
            | ChannelKind::DirectStreamLocal { .. }
            | ChannelKind::Tunnel { .. } => reader.finish()?,
        }
        Ok(Self {
            kind,
            sender,
            window,
            packet,
        })
    }
}

/// A channel that the server opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer<'a> {
    /// "forwarded-tcpip" (RFC 4254 section 7.2)
    ForwardedTcpip {
        /// "address that was connected" and "port that was connected"
        listening: HostPort<'a>,
        /// "originator IP address" and "originator port"
        originator: HostPort<'a>,
    },
    /// "forwarded-streamlocal@openssh.com" (OpenSSH PROTOCOL section 2.4): the path that was listened on.
    ForwardedStreamLocal(&'a [u8]),
    /// "auth-agent@openssh.com" (OpenSSH PROTOCOL section 2.1)
    Agent,
    /// "x11" (RFC 4254 section 6.3.2): the originator.
    X11(HostPort<'a>),
}

impl Offer<'_> {
    /// Payload of the SSH_MSG_CHANNEL_OPEN: our number of the channel, what we take.
    pub fn encode(self, sender: u32, window: u32, packet: u32) -> Vec<u8> {
        let mut out = vec![number::CHANNEL_OPEN];
        out.put_string(match self {
            Self::ForwardedTcpip { .. } => b"forwarded-tcpip",
            Self::ForwardedStreamLocal(_) => b"forwarded-streamlocal@openssh.com",
            Self::Agent => b"auth-agent@openssh.com",
            Self::X11(_) => b"x11",
        });
        for field in [sender, window, packet] {
            out.put_uint32(field);
        }
        match self {
            Self::ForwardedTcpip {
                listening,
                originator,
            } => {
                listening.encode(&mut out);
                originator.encode(&mut out);
            }
            Self::ForwardedStreamLocal(path) => {
                out.put_string(path);
                // Reserved.
                out.put_string(b"");
            }
            Self::Agent => {}
            Self::X11(originator) => originator.encode(&mut out),
        }
        out
    }
}

/// Payload of SSH_MSG_CHANNEL_OPEN_CONFIRMATION: the client's number of the channel, ours, what we take.
pub fn confirmation(recipient: u32, sender: u32, window: u32, packet: u32) -> Vec<u8> {
    let mut out = vec![number::CHANNEL_OPEN_CONFIRMATION];
    for field in [recipient, sender, window, packet] {
        out.put_uint32(field);
    }
    out
}

/// Payload of SSH_MSG_CHANNEL_OPEN_FAILURE.
pub fn failure(recipient: u32, reason: u32, description: &str) -> Vec<u8> {
    let mut out = vec![number::CHANNEL_OPEN_FAILURE];
    out.put_uint32(recipient);
    out.put_uint32(reason);
    out.put_string(description.as_bytes());
    // No language tag, as from sshd.
    out.put_string(b"");
    out
}

/// Payload of SSH_MSG_CHANNEL_EOF.
pub fn eof(recipient: u32) -> Vec<u8> {
    short(number::CHANNEL_EOF, recipient)
}

/// Payload of SSH_MSG_CHANNEL_CLOSE.
pub fn close(recipient: u32) -> Vec<u8> {
    short(number::CHANNEL_CLOSE, recipient)
}

/// SSH_MSG_CHANNEL_REQUEST
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelRequest {
    /// "recipient channel"
    pub recipient: u32,
    /// "want reply"
    pub reply: Reply,
    /// What is requested.
    pub kind: ChannelRequestKind,
}

/// The requests that are told apart here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelRequestKind {
    /// "eow@openssh.com" (OpenSSH PROTOCOL section 2.1): who sends it writes none of the channel's data anywhere any more.
    EndOfWrite,
    /// "break" (RFC 4335). Its length is not kept: no terminal of ours has one to be held so long.
    Break,
    /// Any other.
    Other,
}

impl ChannelRequest {
    /// Reads a payload. The fields of other requests are not looked at.
    ///
    /// # Errors
    /// The fields that all requests have, or those of a kind that is told apart, are malformed.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        if reader.byte()? != number::CHANNEL_REQUEST {
            return Err(DecodeError::OutOfRange);
        }
        let recipient = reader.uint32()?;
        let name = reader.string(payload.len())?;
        let reply = match reader.boolean()? {
            true => Reply::Wanted,
            false => Reply::Unwanted,
        };
        let kind = match name {
            END_OF_WRITE => {
                reader.finish()?;
                ChannelRequestKind::EndOfWrite
            }
            b"break" => {
                reader.uint32()?;
                reader.finish()?;
                ChannelRequestKind::Break
            }
            _ => ChannelRequestKind::Other,
        };
        Ok(Self {
            recipient,
            reply,
            kind,
        })
    }
}

/// Payload of "eow@openssh.com".
pub fn end_of_write(recipient: u32) -> Vec<u8> {
    request(recipient, END_OF_WRITE, Reply::Unwanted)
}

/// Payload of "signal" (RFC 4254 section 6.9).
pub fn signal(recipient: u32, reply: Reply, name: &str) -> Vec<u8> {
    let mut out = request(recipient, b"signal", reply);
    out.put_string(name.as_bytes());
    out
}

fn request(recipient: u32, name: &[u8], reply: Reply) -> Vec<u8> {
    let mut out = short(number::CHANNEL_REQUEST, recipient);
    out.put_string(name);
    out.put_boolean(reply == Reply::Wanted);
    out
}

/// Payload of SSH_MSG_CHANNEL_FAILURE, the answer to a request.
pub fn request_failure(recipient: u32) -> Vec<u8> {
    short(number::CHANNEL_FAILURE, recipient)
}

fn short(message: u8, recipient: u32) -> Vec<u8> {
    let mut out = vec![message];
    out.put_uint32(recipient);
    out
}

const END_OF_WRITE: &[u8] = b"eow@openssh.com";

/// Names of channel types are short; a longer one is no type of ours.
const NAME_LIMIT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn open(name: &[u8]) -> Vec<u8> {
        let mut out = vec![number::CHANNEL_OPEN];
        out.put_string(name);
        for field in [7, 1 << 21, 1 << 15] {
            out.put_uint32(field);
        }
        out
    }

    fn host_port(out: &mut Vec<u8>, host: &str, port: u32) {
        out.put_string(host.as_bytes());
        out.put_uint32(port);
    }

    #[test]
    fn a_direct_channel_says_where_it_goes() {
        let mut payload = open(b"direct-tcpip");
        host_port(&mut payload, "db", 5432);
        host_port(&mut payload, "::1", 40_000);
        let read = ChannelOpen::decode(&payload).unwrap();
        let port = |host: &'static str, port| HostPort {
            host: host.as_bytes(),
            port,
        };
        assert_eq!(
            read,
            ChannelOpen {
                kind: ChannelKind::DirectTcpip {
                    target: port("db", 5432),
                    originator: port("::1", 40_000),
                },
                sender: 7,
                window: 1 << 21,
                packet: 1 << 15,
            }
        );
        payload.push(0);
        assert!(ChannelOpen::decode(&payload).is_err());
        payload.truncate(payload.len() - 2);
        assert!(ChannelOpen::decode(&payload).is_err());

        let mut payload = open(b"direct-streamlocal@openssh.com");
        payload.put_string(b"/run/\xff");
        host_port(&mut payload, "", 0);
        assert_eq!(
            ChannelOpen::decode(&payload).unwrap().kind,
            ChannelKind::DirectStreamLocal {
                path: b"/run/\xff",
                originator: port("", 0),
            }
        );
    }

    #[test]
    fn a_tunnel_says_what_it_carries_and_where_it_ends() {
        let mut payload = open(b"tun@openssh.com");
        payload.put_uint32(1);
        assert!(ChannelOpen::decode(&payload).is_err());
        payload.put_uint32(0x7fff_ffff);
        assert_eq!(
            ChannelOpen::decode(&payload).unwrap().kind,
            ChannelKind::Tunnel {
                mode: 1,
                device: 0x7fff_ffff,
            }
        );
        payload.push(0);
        assert!(ChannelOpen::decode(&payload).is_err());
    }

    #[test]
    fn other_kinds_are_not_looked_into() {
        let mut payload = open(b"x11");
        payload.put_bytes(b"anything");
        assert_eq!(
            ChannelOpen::decode(&payload).unwrap().kind,
            ChannelKind::Other
        );
        assert_eq!(
            ChannelOpen::decode(&open(b"session")).unwrap().kind,
            ChannelKind::Session
        );
    }
}
