//! Addresses, ports and marks of packets.

use super::words::AddressFamily;
use crate::sshd::lexer::{self, Malformed, Word};
use crate::sshd::setting::{Arguments, Kind};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// MAX_PORTS of OpenSSH.
pub(crate) const PORTS_LIMIT: usize = 256;

/// Port: each line adds one.
pub(crate) const PORTS: Kind<Vec<u16>> = Kind::new(
    |arguments| {
        let word = arguments.word("a port")?;
        Ok(vec![port(arguments, word, &word.text)?])
    },
    |ports| ports.iter().map(u16::to_string).collect(),
)
.collecting();

/// ListenAddress: each line adds one.
pub(crate) const LISTEN: Kind<Vec<ListenAddress>> = Kind::new(
    |arguments| Ok(vec![listen_address(arguments)?]),
    |addresses| addresses.iter().map(ToString::to_string).collect(),
)
.collecting();

/// IPQoS.
pub(crate) const IP_QOS: Kind<IpQos> = Kind::new(
    |arguments| {
        let interactive = arguments.value(DSCP, Dscp::from_word)?;
        let bulk = match arguments.optional() {
            None => interactive,
            Some(word) => Dscp::from_word(&word.text).ok_or_else(|| arguments.bad(word, DSCP))?,
        };
        Ok(IpQos { interactive, bulk })
    },
    |qos| vec![format!("{} {}", qos.interactive, qos.bulk)],
);

/// PermitOpen.
pub(crate) const PERMIT_OPEN: Kind<PermitForward> = Kind::new(
    |arguments| permit(arguments, "any, none, or host:port"),
    show_permit,
);

/// PermitListen: a port alone is one on every address.
pub(crate) const PERMIT_LISTEN: Kind<PermitForward> = Kind::new(
    |arguments| permit(arguments, "any, none, a port, or host:port"),
    show_permit,
);

const DSCP: &str = "af11 to af43, cs0 to cs7, ef, le, va, none, or a number up to 255";

/// An address to listen on, ListenAddress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    /// An address, or the name of one.
    pub host: String,
    /// A port; without one, all of Port.
    pub port: Option<u16>,
    /// A routing domain (vrf(8)).
    pub rdomain: Option<String>,
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if let Some(rdomain) = &self.rdomain {
            write!(f, " rdomain {rdomain}")?;
        }
        Ok(())
    }
}

/// One socket to listen on, with everything decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// An address, or the name of one.
    pub host: String,
    /// The port.
    pub port: u16,
    /// A routing domain.
    pub rdomain: Option<String>,
}

impl fmt::Display for Listener {
    /// As `sshd -T` has it: `[::]:22`, `192.0.2.1:22 rdomain vrf1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            port,
            rdomain,
        } = self.clone();
        let port = Some(port);
        ListenAddress {
            host,
            port,
            rdomain,
        }
        .fmt(f)
    }
}

/// What Port, ListenAddress and AddressFamily say together. The order of the lines among each other does not matter.
pub(crate) fn listeners(
    ports: &[u16],
    addresses: &[ListenAddress],
    family: AddressFamily,
) -> Vec<Listener> {
    let wildcards: &[IpAddr] = match family {
        AddressFamily::Any => &[
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        ],
        AddressFamily::Inet => &[IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
        AddressFamily::Inet6 => &[IpAddr::V6(Ipv6Addr::UNSPECIFIED)],
    };
    let listener = |host: String, port: u16, rdomain: Option<String>| Listener {
        host,
        port,
        rdomain,
    };
    if addresses.is_empty() {
        let each = |port: &u16| {
            let port = *port;
            wildcards
                .iter()
                .map(move |wildcard| listener(wildcard.to_string(), port, None))
        };
        return ports.iter().flat_map(each).collect();
    }
    let mut listeners: Vec<Listener> = Vec::new();
    let mut domains: Vec<&Option<String>> = Vec::new();
    for address in addresses {
        if !domains.contains(&&address.rdomain) {
            domains.push(&address.rdomain);
        }
    }
    // Grouped by routing domain, as OpenSSH does.
    for domain in domains {
        for address in addresses
            .iter()
            .filter(|address| &address.rdomain == domain)
        {
            let own = address.port.as_ref().map_or(ports, std::slice::from_ref);
            let sockets = own
                .iter()
                .map(|port| listener(address.host.clone(), *port, domain.clone()));
            listeners.extend(sockets);
        }
    }
    listeners
}

/// The mark of packets (DSCP and ECN bits, RFC 2474) of connections with and without a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpQos {
    /// With a terminal.
    pub interactive: Dscp,
    /// Without one.
    pub bulk: Dscp,
}

/// A value for IP_TOS or IPV6_TCLASS; none leaves it to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dscp(pub Option<u8>);

impl Dscp {
    /// Expedited forwarding, the default with a terminal.
    pub const EF: Self = Self(Some(0xb8));
    /// Best effort, the default without one.
    pub const CS0: Self = Self(Some(0));

    const NAMES: &'static [(&'static str, u8)] = &[
        ("af11", 0x28),
        ("af12", 0x30),
        ("af13", 0x38),
        ("af21", 0x48),
        ("af22", 0x50),
        ("af23", 0x58),
        ("af31", 0x68),
        ("af32", 0x70),
        ("af33", 0x78),
        ("af41", 0x88),
        ("af42", 0x90),
        ("af43", 0x98),
        ("cs0", 0x00),
        ("cs1", 0x20),
        ("cs2", 0x40),
        ("cs3", 0x60),
        ("cs4", 0x80),
        ("cs5", 0xa0),
        ("cs6", 0xc0),
        ("cs7", 0xe0),
        ("ef", 0xb8),
        ("le", 0x04),
        ("va", 0xb0),
    ];

    fn from_word(word: &str) -> Option<Self> {
        // The types of service of RFC 791 are taken for `none` since OpenSSH 10.1: networks read them as DSCP.
        const OLD: [&str; 4] = ["none", "lowdelay", "throughput", "reliability"];
        if OLD.iter().any(|name| name.eq_ignore_ascii_case(word)) {
            return Some(Self(None));
        }
        let named = Self::NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(word));
        let value = match (named, word.strip_prefix("0x")) {
            (Some((_, value)), _) => *value,
            // How OpenSSH shows what has no name.
            (None, Some(hex)) if hex.len() == 2 => u8::from_str_radix(hex, 16).ok()?,
            (None, _) => u8::try_from(super::numbers::number(word)?).ok()?,
        };
        Some(Self(Some(value)))
    }
}

impl fmt::Display for Dscp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(value) = self.0 else {
            return f.write_str("none");
        };
        match Self::NAMES.iter().find(|(_, named)| *named == value) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "0x{value:02x}"),
        }
    }
}

/// PermitOpen and PermitListen: which forwardings are permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PermitForward {
    /// All.
    Any,
    /// None.
    None,
    /// These.
    Only(Vec<ForwardPort>),
}

/// A host and a port that can be forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardPort {
    /// The host, without brackets. For PermitListen `*` and `?` are wildcards.
    pub host: String,
    /// The port; none is every port.
    pub port: Option<u16>,
    /// As it was written.
    text: String,
}

impl ForwardPort {
    pub(crate) fn new(host: &str, port: Option<u16>, text: &str) -> Self {
        let (host, text) = (host.to_owned(), text.to_owned());
        Self { host, port, text }
    }
}

fn permit(
    arguments: &mut Arguments<'_>,
    expected: &'static str,
) -> Result<PermitForward, Malformed> {
    let words = arguments.words(expected)?;
    if let [word] = words.as_slice() {
        match word.text.as_str() {
            "any" => return Ok(PermitForward::Any),
            "none" => return Ok(PermitForward::None),
            _ => {}
        }
    }
    let bare_port = expected.contains("a port");
    let forward = |word: &Word| {
        let bad = || arguments.bad(word, expected);
        let text = match bare_port && !word.text.contains(':') {
            true => format!("*:{}", word.text),
            false => word.text.clone(),
        };
        let (host, after) = host_and_port(&text).ok_or_else(bad)?;
        let port = match after.ok_or_else(bad)? {
            "*" => None,
            after => Some(port(arguments, word, after)?),
        };
        Ok(ForwardPort::new(host, port, &text))
    };
    words
        .into_iter()
        .map(forward)
        .collect::<Result<_, _>>()
        .map(PermitForward::Only)
}

fn show_permit(permit: &PermitForward) -> Vec<String> {
    vec![match permit {
        PermitForward::Any => "any".to_owned(),
        PermitForward::None => "none".to_owned(),
        PermitForward::Only(ports) => {
            let words: Vec<String> = ports.iter().map(|port| lexer::quoted(&port.text)).collect();
            words.join(" ")
        }
    }]
}

/// A port from 1 on: a number, or the name of a service in services(5).
fn port(arguments: &Arguments<'_>, word: &Word, text: &str) -> Result<u16, Malformed> {
    let number = match super::numbers::number(text) {
        Some(number) => u16::try_from(number).ok(),
        None => arguments.system.service(text),
    };
    number
        .filter(|port| *port > 0)
        .ok_or_else(|| arguments.bad(word, "a port from 1 to 65535"))
}

fn listen_address(arguments: &mut Arguments<'_>) -> Result<ListenAddress, Malformed> {
    const EXPECTED: &str = "an address, or address:port";
    let word = arguments.word(EXPECTED)?;
    let bad = || arguments.bad(word, EXPECTED);
    let text = word.text.as_str();
    let bare_v6 = !text.contains('[') && text.matches(':').count() > 1;
    let (host, after) = match bare_v6 {
        true => (text, None),
        false => host_and_port(text).ok_or_else(bad)?,
    };
    let plausible = |c: char| c.is_ascii_alphanumeric() || ".-_:%".contains(c);
    if host.is_empty() || !host.chars().all(plausible) || (bare_v6 && !is_v6(host)) {
        return Err(bad());
    }
    // One notation for one address, as OpenSSH has it.
    let address = host.parse::<IpAddr>();
    let host = address.map_or_else(|_| host.to_owned(), |address| address.to_string());
    let port = after
        .map(|after| port(arguments, word, after))
        .transpose()?;
    let rdomain = match arguments.optional() {
        None => None,
        Some(word) if word.text == "rdomain" => {
            Some(arguments.word("the name of a routing domain")?.text.clone())
        }
        Some(word) => return Err(arguments.bad(word, "\"rdomain\" and its name")),
    };
    Ok(ListenAddress {
        host,
        port,
        rdomain,
    })
}

/// Whether a text is an IPv6 address, also one with a zone (RFC 4007).
pub(crate) fn is_v6(text: &str) -> bool {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    address.parse::<Ipv6Addr>().is_ok()
}

/// Splits `host`, `host:port` and `[host]:port`. A second colon belongs to the port, which then is none.
fn host_and_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (host, after) = bracketed.split_once(']')?;
        return match after {
            "" => Some((host, None)),
            after => Some((host, Some(after.strip_prefix(':')?))),
        };
    }
    match text.split_once([':', '/']) {
        None => Some((text, None)),
        Some((host, port)) => text
            .get(host.len()..)?
            .starts_with(':')
            .then_some((host, Some(port))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (text, expected) in [
            ("a:22", Some(("a", Some("22")))),
            ("a", Some(("a", None))),
            ("[::1]:22", Some(("::1", Some("22")))),
            ("[::1]", Some(("::1", None))),
            ("[::1]22", None),
            ("[::1", None),
            ("a/22", None),
        ] {
            assert_eq!(host_and_port(text), expected, "{text}");
        }
    }

    #[test]
    fn marks_have_names() {
        assert_eq!(Dscp::from_word("EF"), Some(Dscp(Some(0xb8))));
        assert_eq!(Dscp::from_word("184").unwrap().to_string(), "ef");
        assert_eq!(Dscp::from_word("3").unwrap().to_string(), "0x03");
        assert_eq!(Dscp::from_word("0x03"), Dscp::from_word("3"));
        assert_eq!(Dscp::from_word("lowdelay"), Some(Dscp(None)));
        assert_eq!(Dscp::from_word("256"), None);
        assert_eq!(Dscp::from_word("af44"), None);
    }

    #[test]
    fn addresses_without_a_port_take_all_ports() {
        let address = |host: &str, port, rdomain: Option<&str>| ListenAddress {
            host: host.to_owned(),
            port,
            rdomain: rdomain.map(str::to_owned),
        };
        let addresses = [
            address("192.0.2.1", None, None),
            address("::1", Some(5), Some("vrf")),
            address("192.0.2.2", Some(7), None),
        ];
        let shown = |listeners: Vec<Listener>| -> Vec<String> {
            listeners.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            shown(listeners(&[22, 23], &addresses, AddressFamily::Any)),
            [
                "192.0.2.1:22",
                "192.0.2.1:23",
                "192.0.2.2:7",
                "[::1]:5 rdomain vrf"
            ]
        );
        assert_eq!(
            shown(listeners(&[22, 23], &[], AddressFamily::Any)),
            ["[::]:22", "0.0.0.0:22", "[::]:23", "0.0.0.0:23"]
        );
        assert_eq!(
            shown(listeners(&[22], &[], AddressFamily::Inet)),
            ["0.0.0.0:22"]
        );
    }
}
