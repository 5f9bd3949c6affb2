//! Whether the sockets that are open are those of the configuration.
//!
//! systemd knows which addresses the socket unit has. It does not say which of them are open: after a `daemon-reload` that
//! changed them none may be, with the unit active all the same. The kernel says that.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Command, Stdio};

use config::sshd::SshdConfig;
use config::sshd::listening::{self, Socket, V6Only};

/// What asks systemd. With no systemd there, or no such unit, nothing is said.
const SYSTEMCTL: [&str; 5] = [
    "/usr/bin/systemctl",
    "show",
    "--property=ActiveState,BindIPv6Only,Listen",
    "--",
    "sshd-privsep.socket",
];

/// What to tell an administrator whose configuration asks for other addresses than systemd listens on: one line each,
/// with the remedy. Nothing if the unit is not active.
#[must_use]
pub fn remarks(configured: &SshdConfig) -> Vec<String> {
    let [program, arguments @ ..] = SYSTEMCTL;
    let shown = Command::new(program)
        .args(arguments)
        .stderr(Stdio::null())
        .output();
    let shown = match shown {
        Ok(output) if output.status.success() => output.stdout,
        Ok(_) | Err(_) => return Vec::new(),
    };
    let Some(mut sockets) = of_unit(&String::from_utf8_lossy(&shown)) else {
        return Vec::new();
    };
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"].map(std::fs::read_to_string);
    let open: Vec<SocketAddr> = tables
        .iter()
        .flatten()
        .flat_map(|table| table.lines().filter_map(listener))
        .collect();
    sockets.retain(|(address, _)| open.contains(address));
    let sockets: Vec<Socket> = sockets.into_iter().map(|(_, socket)| socket).collect();
    listening::remarks(configured, &sockets)
}

/// The sockets of the unit as systemctl shows it; none if it is not active.
fn of_unit(shown: &str) -> Option<Vec<(SocketAddr, Socket)>> {
    let values = |key: &'static str| {
        shown
            .lines()
            .filter_map(move |line| line.strip_prefix(key)?.strip_prefix('='))
    };
    values("ActiveState").find(|state| *state == "active")?;
    let v6_only = match values("BindIPv6Only").next() {
        Some("ipv6-only") => V6Only::Yes,
        _ => V6Only::No,
    };
    let address = |listen: &str| {
        let address = listen.strip_suffix(" (Stream)")?.parse().ok()?;
        Some((address, Socket::open(address, v6_only)))
    };
    Some(values("Listen").filter_map(address).collect())
}

/// The address on a line of `/proc/net/tcp` or `tcp6` (proc(5)), if a socket listens there.
fn listener(line: &str) -> Option<SocketAddr> {
    /// TCP_LISTEN.
    const LISTENING: &str = "0A";
    let mut words = line.split_ascii_whitespace();
    let (_number, local, _remote) = (words.next()?, words.next()?, words.next()?);
    if words.next()? != LISTENING {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(address)?)),
        32 => {
            let mut bytes = Vec::with_capacity(16);
            for at in (0..32).step_by(8) {
                bytes.extend(word(address.get(at..at + 8)?)?);
            }
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Four bytes of an address: the kernel writes them as a number of this machine's byte order.
fn word(digits: &str) -> Option<[u8; 4]> {
    u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_knows_what_is_listened_on() {
        let sockets = ["127.0.0.1:0", "[::1]:0"].map(|at| std::net::TcpListener::bind(at).unwrap());
        for (socket, table) in sockets.iter().zip(["tcp", "tcp6"]) {
            let address = socket.local_addr().unwrap();
            let table = std::fs::read_to_string(format!("/proc/self/net/{table}")).unwrap();
            let found: Vec<SocketAddr> = table.lines().filter_map(listener).collect();
            assert!(found.contains(&address), "{address}: {found:?}");
        }
    }

    #[test]
    fn who_is_connected_is_not_listening() {
        let line = "   1: 0100007F:0016 0100007F:A3B2 01 00000000:00000000 00:00000000 00000000     0        0 1 1";
        assert_eq!(listener(line), None);
        let listening = line.replace(" 01 ", " 0A ");
        assert_eq!(listener(&listening), "127.0.0.1:22".parse().ok());
        assert_eq!(
            listener("  sl  local_address rem_address   st tx_queue"),
            None
        );
    }

    #[test]
    fn a_unit_is_read_as_systemctl_shows_it() {
        let shown = "ActiveState=active\nBindIPv6Only=both\nListen=[::]:22 (Stream)\nListen=127.0.0.1:2222 (Stream)\n\
                     Listen=/run/x (Stream)\n";
        let sockets: Vec<Socket> = of_unit(shown)
            .unwrap()
            .into_iter()
            .map(|(_, socket)| socket)
            .collect();
        let local = "127.0.0.1:2222".parse().unwrap();
        assert_eq!(sockets, [Socket::Everywhere(22), Socket::At(local)]);
        let v6 = "[::]:22".parse().unwrap();
        let only = of_unit("ActiveState=active\nListen=[::]:22 (Stream)\nBindIPv6Only=ipv6-only\n");
        assert_eq!(only, Some(vec![(v6, Socket::At(v6))]));
        assert_eq!(
            of_unit("ActiveState=inactive\nListen=[::]:22 (Stream)\n"),
            None
        );
    }
}
