//! Options before a key or a principal: the grammar of sshauthopt_parse() of OpenSSH.

use super::constraints::{Constraints, Tunnel};
use super::expiry::Expiry;
use crate::hosts::HostPatterns;
use crate::sshd::{ForwardPort, YesNo};
use thiserror::Error;

/// The longest host name: NI_MAXHOST of getnameinfo(3) without its NUL.
const HOST_LIMIT: usize = 1024;

/// The largest number of a tunnel device: SSH_TUNID_MAX of OpenSSH.
const TUNNEL_LIMIT: u32 = 0x7fff_fffd;

/// What the options of a line say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// What the key is for.
    pub role: Role,
    /// Everything else.
    pub constraints: Constraints,
}

/// What a key is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Role {
    /// To log in with.
    #[default]
    User,
    /// `cert-authority`: to sign certificates to log in with.
    Authority {
        /// `principals`: one of them must be among the certificate's. None: the name of the user must.
        principals: Option<Vec<String>>,
    },
}

/// Why options cannot be read. `Display` is OpenSSH's wording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadOptions {
    /// An option that there is not, a flag with a value, or anything but a comma behind an option.
    #[error("unknown key option")]
    Unknown,
    /// A value that does not begin with a quotation mark.
    #[error("missing start quote")]
    StartQuote,
    /// A value that does not end with one.
    #[error("missing end quote")]
    EndQuote,
    /// More than one `command`, `from` or `principals`.
    #[error("multiple \"{0}\" clauses")]
    Multiple(&'static str),
    /// `expiry-time`
    #[error("invalid expires time")]
    ExpiryTime,
    /// `environment`
    #[error("invalid environment string")]
    Environment,
    /// `from`
    #[error("invalid from criteria")]
    From,
    /// `permitopen` or `permitlisten`
    #[error("invalid permission hostname")]
    PermissionHost,
    /// `permitopen` or `permitlisten`. Names of services are not looked up.
    #[error("invalid permission port")]
    PermissionPort,
    /// `tunnel`
    #[error("invalid tun device")]
    Tunnel,
    /// An option that has no meaning for this line: `principals` without `cert-authority`, or either before a principal.
    #[error("\"{0}\" invalid here")]
    NotHere(&'static str),
    /// A comma at the end.
    #[error("unexpected end-of-options")]
    UnexpectedEnd,
    /// Text that is not UTF-8. (OpenSSH takes it for the bytes that it is.)
    #[error("not UTF-8")]
    Encoding,
}

impl Options {
    /// Reads the options at the beginning of a line: to the first blank outside of quotes, or to the end.
    ///
    /// Names are compared without regard to case. Of flags and of `tunnel` the last one counts.
    ///
    /// # Errors
    ///
    /// The first option that cannot be read. The whole line counts for nothing then.
    pub fn parse(line: &str) -> Result<Self, BadOptions> {
        let mut found = Found::default();
        let mut rest = line;
        while !at_end(rest) {
            rest = found.option(rest)?;
            if at_end(rest) {
                break;
            }
            rest = rest.strip_prefix(',').ok_or(BadOptions::Unknown)?;
            if rest.is_empty() {
                return Err(BadOptions::UnexpectedEnd);
            }
        }
        let Found {
            authority,
            principals,
            constraints,
        } = found;
        let role = match (authority, principals) {
            (YesNo::Yes, principals) => Role::Authority { principals },
            (YesNo::No, None) => Role::User,
            (YesNo::No, Some(_)) => return Err(BadOptions::NotHere("principals")),
        };
        Ok(Self { role, constraints })
    }
}

/// What has been read of a line.
struct Found {
    authority: YesNo,
    principals: Option<Vec<String>>,
    constraints: Constraints,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            authority: YesNo::No,
            principals: None,
            constraints: Constraints::default(),
        }
    }
}

impl Found {
    /// Reads one option, and yields what follows it. Nothing between two commas is none, as in OpenSSH.
    fn option<'a>(&mut self, text: &'a str) -> Result<&'a str, BadOptions> {
        let (name, rest) = text.split_at(text.find([',', '=', ' ', '\t']).unwrap_or(text.len()));
        let name = name.to_ascii_lowercase();
        match rest.strip_prefix('=') {
            Some(value) => self.valued(&name, value),
            None if name.is_empty() || self.flag(&name) => Ok(rest),
            None => Err(BadOptions::Unknown),
        }
    }

    /// Whether it is the name of a flag.
    fn flag(&mut self, name: &str) -> bool {
        let (positive, given) = match name.strip_prefix("no-") {
            None => (name, YesNo::Yes),
            Some(positive) => (positive, YesNo::No),
        };
        let Constraints {
            touch_required,
            verify_required,
            session,
            ..
        } = &mut self.constraints;
        let flag = match (positive, given) {
            ("agent-forwarding", _) => &mut session.agent_forwarding,
            ("port-forwarding", _) => &mut session.port_forwarding,
            ("pty", _) => &mut session.pty,
            ("user-rc", _) => &mut session.user_rc,
            ("x11-forwarding", _) => &mut session.x11_forwarding,
            ("touch-required", _) => touch_required,
            ("verify-required", _) => verify_required,
            ("cert-authority", YesNo::Yes) => {
                self.authority = YesNo::Yes;
                return true;
            }
            // What follows in the line can permit each of these again.
            ("restrict", YesNo::Yes) => {
                session.agent_forwarding = YesNo::No;
                session.port_forwarding = YesNo::No;
                session.pty = YesNo::No;
                session.user_rc = YesNo::No;
                session.x11_forwarding = YesNo::No;
                if session.tunnel == Tunnel::Any {
                    session.tunnel = Tunnel::Refused;
                }
                return true;
            }
            _ => return false,
        };
        *flag = given;
        true
    }

    /// Reads an option with a value, and yields what follows it.
    fn valued<'a>(&mut self, name: &str, text: &'a str) -> Result<&'a str, BadOptions> {
        const VALUED: &[&str] = &[
            "command",
            "environment",
            "expiry-time",
            "from",
            "permitlisten",
            "permitopen",
            "principals",
            "tunnel",
        ];
        if !VALUED.contains(&name) {
            return Err(BadOptions::Unknown);
        }
        let (value, rest) = dequoted(text)?;
        let Constraints {
            from,
            expiry,
            session,
            ..
        } = &mut self.constraints;
        match name {
            "command" if session.forced_command.is_some() => {
                return Err(BadOptions::Multiple("command"));
            }
            "command" => session.forced_command = Some(value),
            "environment" => {
                let (name, value) = variable(&value).ok_or(BadOptions::Environment)?;
                // The first one counts.
                if session.environment.iter().all(|(named, _)| named != name) {
                    session
                        .environment
                        .push((name.to_owned(), value.to_owned()));
                }
            }
            "expiry-time" => expiry.push(Expiry::parse(&value).ok_or(BadOptions::ExpiryTime)?),
            "from" if !from.is_empty() => return Err(BadOptions::Multiple("from")),
            "from" => from.push(HostPatterns::parse(&value).map_err(|_| BadOptions::From)?),
            // A port alone is one on every address.
            "permitlisten" if !value.contains(':') => {
                session.permit_listen.push(forward(&format!("*:{value}"))?);
            }
            "permitlisten" => session.permit_listen.push(forward(&value)?),
            "permitopen" => session.permit_open.push(forward(&value)?),
            "principals" if self.principals.is_some() => {
                return Err(BadOptions::Multiple("principals"));
            }
            "principals" => {
                self.principals = Some(value.split(',').map(str::to_owned).collect());
            }
            // VALUED has nothing else.
            _ => session.tunnel = tunnel(&value).ok_or(BadOptions::Tunnel)?,
        }
        Ok(rest)
    }
}

fn at_end(text: &str) -> bool {
    text.is_empty() || text.starts_with([' ', '\t'])
}

/// A value in double quotes, and what follows it. Only `\"` is an escape.
fn dequoted(text: &str) -> Result<(String, &str), BadOptions> {
    let mut rest = text.strip_prefix('"').ok_or(BadOptions::StartQuote)?;
    let mut value = String::new();
    loop {
        let (before, quote) = rest.split_at(rest.find('"').ok_or(BadOptions::EndQuote)?);
        rest = quote.strip_prefix('"').unwrap_or_default();
        match before.strip_suffix('\\') {
            Some(before) => {
                value.push_str(before);
                value.push('"');
            }
            None => {
                value.push_str(before);
                return Ok((value, rest));
            }
        }
    }
}

/// The name and the value of a variable. Names have letters, digits and underscores.
fn variable(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!name.is_empty() && name.bytes().all(fits)).then_some((name, value))
}

/// `host:port` or `[host]:port`; a slash does for the last colon, as in hpdelim() of OpenSSH.
fn forward(text: &str) -> Result<ForwardPort, BadOptions> {
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (host, port) = bracketed
                .split_once(']')
                .ok_or(BadOptions::PermissionHost)?;
            match port.strip_prefix([':', '/']) {
                Some(port) => (host, Some(port)),
                None if port.is_empty() => (host, None),
                None => return Err(BadOptions::PermissionHost),
            }
        }
        None => match text.split_once([':', '/']) {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.len() > HOST_LIMIT {
        return Err(BadOptions::PermissionHost);
    }
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let port = is_number.then(|| digits.parse::<u16>().ok()).flatten();
        port.filter(|port| *port > 0)
    };
    let port = match port.ok_or(BadOptions::PermissionPort)? {
        "*" => None,
        digits => Some(number(digits).ok_or(BadOptions::PermissionPort)?),
    };
    Ok(ForwardPort::new(host, port, text))
}

/// `any`, or the number of a device.
fn tunnel(text: &str) -> Option<Tunnel> {
    if text.eq_ignore_ascii_case("any") {
        return Some(Tunnel::Any);
    }
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| text.parse().ok()).flatten();
    number
        .filter(|number| *number <= TUNNEL_LIMIT)
        .map(Tunnel::Device)
}

#[cfg(test)]
mod tests;
