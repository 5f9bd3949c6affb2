//! Where to listen, in the terms of one systemd socket unit, and whether the sockets that are open are those.
//!
//! sshd binds each address by itself and goes on without those that it cannot have. A socket unit fails as a whole when one
//! of its addresses cannot be bound, and then nobody can log in. So what sshd finds out while it binds is decided here
//! beforehand, with a remark for whatever is left out, and the outcome is never empty: see [`Sockets::of`].

use super::include::FileSystem;
use super::values::{AddressFamily, ListenAddress, Listener, network};
use super::{Errors, SshdConfig};
use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

mod difference;
pub use super::parser::salvage;
pub use difference::{Difference, Override, remarks};

/// More sockets than anybody listens on; each one costs the server a descriptor.
const LIMIT: usize = 256;

/// Port, ListenAddress and AddressFamily of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    ports: Vec<u16>,
    addresses: Vec<ListenAddress>,
    family: AddressFamily,
}

impl From<&SshdConfig> for Listening {
    fn from(config: &SshdConfig) -> Self {
        let (ports, addresses) = (config.ports.iter(), config.listen_addresses.iter());
        Self {
            ports: ports.take(LIMIT).copied().collect(),
            addresses: addresses.take(LIMIT).cloned().collect(),
            family: config.address_family,
        }
    }
}

/// What a file with errors says of [`Listening`]: every line of it that can be read, wherever the errors are.
#[derive(Debug)]
pub struct Salvage {
    /// What could be read, with sshd's defaults for what could not.
    pub listening: Listening,
    /// What is wrong with the file.
    pub errors: Errors,
}

/// What the machine says about names and addresses.
pub trait System {
    /// The addresses of a host, hosts(5). There is no network to ask when a socket unit is made.
    fn addresses_of(&self, host: &str) -> Vec<IpAddr>;

    /// Whether the kernel has IPv6.
    fn has_ipv6(&self) -> bool;
}

impl System for FileSystem {
    fn addresses_of(&self, host: &str) -> Vec<IpAddr> {
        let Ok(file) = File::open("/etc/hosts") else {
            return Vec::new();
        };
        let lines = BufReader::new(file).lines().map_while(Result::ok);
        lines.filter_map(|line| address_of(&line, host)).collect()
    }

    fn has_ipv6(&self) -> bool {
        // As systemd asks. Not /proc/net: the monitor sees processes only in /proc.
        Path::new("/proc/self/net/if_inet6").exists()
    }
}

/// The address on a line of hosts(5), if the line is about this host.
fn address_of(line: &str, host: &str) -> Option<IpAddr> {
    let mut words = line.split('#').next()?.split_ascii_whitespace();
    let address = words.next()?.parse().ok()?;
    words
        .any(|name| name.eq_ignore_ascii_case(host))
        .then_some(address)
}

/// A listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Socket {
    /// Every address of the machine, of both families.
    Everywhere(u16),
    /// One address. Of an unspecified one: every address of its family only.
    At(SocketAddr),
}

impl Socket {
    /// A socket that is open. `v6_only` is its option IPV6_V6ONLY, see ipv6(7).
    #[must_use]
    pub fn open(address: SocketAddr, v6_only: V6Only) -> Self {
        match v6_only {
            V6Only::No if address.ip() == Ipv6Addr::UNSPECIFIED => Self::Everywhere(address.port()),
            _ => Self::At(address),
        }
    }

    /// Whether sshd could not bind this one while it has the other.
    fn conflicts(self, other: Self) -> bool {
        match (self, other) {
            (Self::At(one), Self::At(other)) => {
                one.port() == other.port()
                    && one.is_ipv4() == other.is_ipv4()
                    && (one.ip() == other.ip()
                        || one.ip().is_unspecified()
                        || other.ip().is_unspecified())
            }
            _ => self == other,
        }
    }
}

/// Whether a socket for IPv6 takes no connections over IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum V6Only {
    /// It takes none.
    Yes,
    /// It takes both.
    No,
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere(port) => write!(f, "port {port}"),
            Self::At(address) => address.fmt(f),
        }
    }
}

/// The sockets of a unit. There is at least one, and all of them can be bound together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sockets {
    /// In the order of the file.
    pub sockets: Vec<Socket>,
    /// The network device that all of them are bound to: a routing domain (vrf(8)), or the interface of a link-local
    /// address.
    pub device: Option<String>,
    /// What was left out and why, one line each.
    pub remarks: Vec<String>,
}

/// An address to listen on, and where it came from.
struct Candidate<'a> {
    socket: Socket,
    device: Option<String>,
    from: &'a Listener,
}

impl Sockets {
    /// The sockets for a configuration. Without ListenAddress, one for each Port.
    ///
    /// Differences to sshd, all of them with a remark: names are looked up in hosts(5) only; a unit has one routing domain,
    /// so addresses of further ones are left out; and where sshd would not start, because no address is left, every address
    /// of the machine is listened on, since somebody must be able to log in and mend it.
    #[must_use]
    pub fn of(listening: &Listening, system: &dyn System) -> Self {
        let Listening {
            ports,
            addresses,
            family,
        } = listening;
        let mut remarks = Vec::new();
        if addresses.is_empty() {
            let sockets = everywhere(ports, *family, system, &mut remarks);
            return Self {
                sockets,
                device: None,
                remarks,
            };
        }
        let listeners = network::listeners(ports, addresses, *family);
        let mut candidates = Vec::new();
        for listener in &listeners {
            match resolved(listener, *family, system) {
                Ok(found) => candidates.extend(found),
                Err(why) => remarks.push(format!("ListenAddress {listener} is left out: {why}")),
            }
        }
        if candidates.len() > LIMIT {
            remarks.push(format!(
                "the first {LIMIT} addresses are listened on, not all"
            ));
            candidates.truncate(LIMIT);
        }
        let device = one_device(&mut candidates, &mut remarks);
        let mut sockets = in_pairs(without_conflicts(candidates, &mut remarks));
        if sockets.is_empty() {
            remarks.push(
                "no ListenAddress is left: listening on every address, so that somebody can log in"
                    .to_owned(),
            );
            let ports: Vec<u16> = listeners.iter().map(|listener| listener.port).collect();
            sockets = everywhere(&ports, *family, system, &mut remarks);
        }
        Self {
            sockets,
            device,
            remarks,
        }
    }

    /// Whether these are the sockets of the unit as it is shipped.
    #[must_use]
    pub fn are_as_shipped(&self) -> bool {
        self.sockets == [Socket::Everywhere(22)] && self.device.is_none()
    }
}

/// Each port on every address.
fn everywhere(
    ports: &[u16],
    family: AddressFamily,
    system: &dyn System,
    remarks: &mut Vec<String>,
) -> Vec<Socket> {
    let mut seen = BTreeSet::new();
    let ports = ports.iter().copied().filter(|port| seen.insert(*port));
    let at = |ip: IpAddr| move |port| Socket::At(SocketAddr::new(ip, port));
    match family {
        AddressFamily::Inet => ports.map(at(Ipv4Addr::UNSPECIFIED.into())).collect(),
        AddressFamily::Inet6 if system.has_ipv6() => {
            ports.map(at(Ipv6Addr::UNSPECIFIED.into())).collect()
        }
        AddressFamily::Inet6 => {
            remarks.push("AddressFamily inet6 cannot be obeyed: the kernel has no IPv6".to_owned());
            ports.map(Socket::Everywhere).collect()
        }
        AddressFamily::Any => ports.map(Socket::Everywhere).collect(),
    }
}

/// What a listener stands for; an error says why there is none of it.
fn resolved<'a>(
    listener: &'a Listener,
    family: AddressFamily,
    system: &dyn System,
) -> Result<Vec<Candidate<'a>>, &'static str> {
    let (host, zone) = match listener.host.split_once('%') {
        Some((host, zone)) => (host, Some(zone)),
        None => (&*listener.host, None),
    };
    let numeric = host.parse::<IpAddr>();
    let addresses = match numeric {
        Ok(address) => vec![address],
        Err(_) => system.addresses_of(host),
    };
    if addresses.is_empty() {
        return Err("the name is not in /etc/hosts, and no other place is asked");
    }
    let fits = |address: &IpAddr| match (family, address) {
        (AddressFamily::Inet, IpAddr::V6(_)) | (AddressFamily::Inet6, IpAddr::V4(_)) => {
            Err("AddressFamily excludes it")
        }
        (_, IpAddr::V6(_)) if !system.has_ipv6() => Err("the kernel has no IPv6"),
        // As sshd, whose sockets for IPv6 take nothing else.
        (_, IpAddr::V6(address)) if address.to_ipv4_mapped().is_some() => {
            Err("it is no address of IPv6")
        }
        _ => Ok(()),
    };
    let device = match (&listener.rdomain, zone) {
        (Some(domain), Some(zone)) if domain != zone => {
            return Err("its interface is not its routing domain");
        }
        (Some(domain), _) => Some(domain.clone()),
        (None, zone) => zone.map(str::to_owned),
    };
    if device.as_deref().is_some_and(|name| !is_device(name)) {
        return Err("no network device can have this name");
    }
    let candidate = |address: &IpAddr| Candidate {
        socket: Socket::At(SocketAddr::new(*address, listener.port)),
        device: device.clone(),
        from: listener,
    };
    let usable = addresses.iter().filter(|address| fits(address).is_ok());
    let candidates: Vec<_> = usable.map(candidate).collect();
    match addresses.first().map(fits) {
        Some(Err(why)) if candidates.is_empty() => Err(why),
        _ => Ok(candidates),
    }
}

/// Whether a text can be the name of a network device. The kernel takes more; nothing here has a meaning in a unit file.
fn is_device(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    // IFNAMSIZ, with its zero.
    (1..16).contains(&name.len()) && name.chars().all(plain)
}

/// Keeps the addresses of one device, for BindToDevice= holds for the whole unit, and says which device that is. Those
/// without any come first: a unit waits for its device, and fails without it.
fn one_device(candidates: &mut Vec<Candidate<'_>>, remarks: &mut Vec<String>) -> Option<String> {
    let none = candidates
        .iter()
        .find(|candidate| candidate.device.is_none());
    let device = none.or_else(|| candidates.first())?.device.clone();
    candidates.retain(|Candidate { device: own, from, .. }| {
        if *own != device {
            remarks.push(format!(
                "ListenAddress {from} is left out: all sockets of a unit are bound to one device, or to none"
            ));
        }
        *own == device
    });
    device
}

/// Leaves out what cannot be bound beside the others. As with sshd, which begins with the last address of the file, of two
/// that exclude each other the later one is listened on.
fn without_conflicts(candidates: Vec<Candidate<'_>>, remarks: &mut Vec<String>) -> Vec<Socket> {
    let mut sockets: Vec<Socket> = Vec::new();
    for Candidate { socket, from, .. } in candidates.into_iter().rev() {
        match sockets.iter().find(|other| socket.conflicts(**other)) {
            None => sockets.push(socket),
            Some(other) if *other == socket => {}
            Some(other) => remarks.push(format!(
                "ListenAddress {from} is left out, as by sshd: it cannot be bound beside {other}"
            )),
        }
    }
    sockets.reverse();
    sockets
}

/// Makes one socket of the two that together are every address, unless one for all of IPv6 alone is left: whether a socket
/// for IPv6 takes IPv4 too is said for the whole unit.
fn in_pairs(sockets: Vec<Socket>) -> Vec<Socket> {
    let all_v4 = |port| Socket::At(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port));
    let ports_of_v6 = sockets.iter().filter_map(|socket| match socket {
        Socket::At(address) if address.ip() == Ipv6Addr::UNSPECIFIED => Some(address.port()),
        Socket::At(_) | Socket::Everywhere(_) => None,
    });
    let ports: BTreeSet<u16> = ports_of_v6.collect();
    if !ports.iter().all(|port| sockets.contains(&all_v4(*port))) {
        return sockets;
    }
    let mut paired = Vec::new();
    for socket in sockets {
        let socket = match socket {
            Socket::At(address)
                if ports.contains(&address.port()) && address.ip().is_unspecified() =>
            {
                Socket::Everywhere(address.port())
            }
            _ => socket,
        };
        if !paired.contains(&socket) {
            paired.push(socket);
        }
    }
    paired
}

#[cfg(test)]
mod tests;
