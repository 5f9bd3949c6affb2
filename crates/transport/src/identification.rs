//! The identification string: the first line of each side (RFC 4253 section 4.2).

use crate::error::{Error, Incompatibility, Misbehaviour};
use crate::peer_text::printable;

/// Longest line, CR and LF included.
const LINE_LIMIT: usize = 255;

/// How much of a wrong line is kept for the log.
const LOG_LIMIT: usize = 100;

/// The client's identification string and how many bytes of the input it took.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// V_C: without CR LF.
    pub(crate) identification: Vec<u8>,
    /// Bytes, line end included.
    pub(crate) consumed: usize,
}

/// Our own identification string V_S, without CR LF.
pub(crate) fn server(software_version: &str) -> Vec<u8> {
    format!("SSH-2.0-{software_version}").into_bytes()
}

/// Reads the client's line from the front of `input`; `None` if its end is not there yet.
///
/// Other lines before it are for servers only. A line that cannot become right any more is refused
/// at its first wrong byte: who does not speak SSH shall not hold a worker.
pub(crate) fn read(input: &[u8]) -> Result<Option<Line>, Error> {
    let head = input.get(..LINE_LIMIT.min(input.len())).unwrap_or_default();
    let end = head.iter().position(|byte| *byte == b'\n');
    let line = head.get(..end.unwrap_or(head.len())).unwrap_or_default();
    let not_ssh = || Misbehaviour::NotSsh {
        line: printable(line, LOG_LIMIT),
    };

    const PREFIX: &[u8] = b"SSH-";
    let comparable = PREFIX.len().min(line.len());
    if line.get(..comparable) != PREFIX.get(..comparable) {
        return Err(not_ssh().into());
    }
    let Some(end) = end else {
        return match head.len() {
            LINE_LIMIT => Err(Misbehaviour::IdentificationTooLong.into()),
            _ => Ok(None),
        };
    };
    // Old clients end the line with LF alone; OpenSSH takes that, too.
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if !line.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(not_ssh().into());
    }
    let rest = line.strip_prefix(PREFIX).ok_or_else(not_ssh)?;
    let Some(dash) = rest.iter().position(|byte| *byte == b'-') else {
        return Err(not_ssh().into());
    };
    let version = rest.get(..dash).unwrap_or_default();
    // "1.99" is section 5.1's way of saying that 2.0 is spoken as well. Of version 2 the minor
    // number is not looked at, as in OpenSSH.
    let minor = version.strip_prefix(b"2.").unwrap_or_default();
    match version == b"1.99" || (!minor.is_empty() && minor.iter().all(u8::is_ascii_digit)) {
        true => Ok(Some(Line {
            identification: line.to_vec(),
            consumed: end + 1,
        })),
        false => Err(Incompatibility::ProtocolVersion {
            line: printable(line, LOG_LIMIT),
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(input: &[u8]) -> Line {
        read(input).unwrap().unwrap()
    }

    #[test]
    fn takes_one_line_and_leaves_what_follows() {
        let line = accepted(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\0\0\x05");
        assert_eq!(line.identification, b"SSH-2.0-OpenSSH_9.2p1 Debian-2");
        assert_eq!(line.consumed, 32);
        for other in [&b"SSH-1.99-x\n"[..], b"SSH-2.1-x\n", b"SSH-2.0-\n"] {
            assert_eq!(accepted(other).identification, other[..other.len() - 1]);
        }
    }

    #[test]
    fn waits_for_the_end_of_a_line_that_may_still_be_right() {
        for input in [b"".as_slice(), b"SS", b"SSH-", b"SSH-2.0-OpenSSH\r"] {
            assert_eq!(read(input), Ok(None));
        }
    }

    #[test]
    fn refuses_other_protocols_at_their_first_bytes() {
        for input in [
            b"G".as_slice(),
            b"GET / HTTP/1.1\r\n",
            b"\x16\x03\x01",
            b"\r\nSSH-2.0-x\r\n",
        ] {
            let error = read(input).unwrap_err();
            assert!(
                matches!(error, Error::Misbehaved(Misbehaviour::NotSsh { .. })),
                "{error}"
            );
        }
    }

    #[test]
    fn refuses_control_characters_and_missing_fields() {
        for input in [
            b"SSH-2.0-a\0b\r\n".as_slice(),
            b"SSH-2.0-\xff\r\n",
            b"SSH-2.0\r\n",
            b"SSH-\n",
        ] {
            assert!(matches!(
                read(input),
                Err(Error::Misbehaved(Misbehaviour::NotSsh { .. }))
            ));
        }
    }

    #[test]
    fn refuses_a_line_of_more_than_255_bytes() {
        let mut line = b"SSH-2.0-".to_vec();
        line.resize(253, b'x');
        line.extend(b"\r\n");
        assert_eq!(accepted(&line).consumed, 255);
        line.insert(8, b'x');
        assert_eq!(read(&line), Err(Misbehaviour::IdentificationTooLong.into()));
    }

    #[test]
    fn names_another_major_version() {
        for input in [
            b"SSH-1.5-old\n".as_slice(),
            b"SSH-3.0-new\r\n",
            b"SSH-2-x\r\n",
            b"SSH-2.-x\r\n",
            b"SSH-2.x-x\r\n",
        ] {
            let error = read(input).unwrap_err();
            assert!(matches!(
                error,
                Error::Incompatible(Incompatibility::ProtocolVersion { .. })
            ));
        }
    }
}
