//! The client's display (RFC 4254 section 6.3): a port that programs find by DISPLAY.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use rpc::lane::{IpFamily, X11Addresses, X11Forwarding};
use rpc::session::X11Request;
use rustix::io::Errno;
use tracing::{debug, error};

use super::arrivals::{For, Listener};
use super::bind::{self, Reuse};
use super::listen::Listeners;
use super::policy::{ALL, NoDisplay};
use crate::greeting::XAuthority;

/// The first number that no display has, as with sshd.
const DISPLAYS: u32 = 1000;

/// The port of display 0.
const FIRST_PORT: u32 = 6000;

/// Programs prefer the first that answers; `localhost` is both.
const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::LOCALHOST),
    IpAddr::V4(Ipv4Addr::LOCALHOST),
];

/// A forwarded display. It is gone with this.
pub(crate) struct Display {
    name: String,
    xauth_name: String,
    request: X11Request,
    xauth: String,
    _listeners: Vec<Listener>,
}

impl fmt::Debug for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Display")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Display {
    /// Listens in place of the client's display, on the first number that is free.
    ///
    /// # Errors
    /// There is none, or no xauth(1) to tell programs of the cookie.
    pub(crate) fn listen(
        listeners: &Listeners,
        forwarding: &X11Forwarding,
        family: IpFamily,
        request: X11Request,
    ) -> Result<Self, NoDisplay> {
        if !Path::new(&forwarding.xauth).exists() {
            debug!("No xauth program; cannot forward X11.");
            return Err(NoDisplay::NoXauth);
        }
        for number in forwarding.display_offset..DISPLAYS {
            let sockets = match sockets(listeners, forwarding.addresses, family, number, &request) {
                Ok(sockets) if sockets.is_empty() => continue,
                Ok(sockets) => sockets,
                Err(error) => {
                    error!("listen: {error}");
                    return Err(NoDisplay::Untold);
                }
            };
            let screen = request.screen;
            let (name, xauth_name) = match forwarding.addresses {
                // xauth(1) knows no display of localhost: a cookie for one would be for every machine.
                X11Addresses::Loopback => (
                    format!("localhost:{number}.{screen}"),
                    format!("unix:{number}.{screen}"),
                ),
                X11Addresses::All => {
                    let name = format!("{}:{number}.{screen}", host_name());
                    (name.clone(), name)
                }
            };
            return Ok(Self {
                name,
                xauth_name,
                request,
                xauth: forwarding.xauth.clone(),
                _listeners: sockets,
            });
        }
        error!("Failed to allocate internet-domain X11 display socket.");
        Err(NoDisplay::Untold)
    }

    /// DISPLAY
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What xauth(1) is to be told when it is gone: the name is enough.
    pub(crate) fn gone(&self) -> XAuthority {
        XAuthority {
            cookie: String::new(),
            ..self.authority()
        }
    }

    /// What xauth(1) is to be told, so that programs are let in.
    pub(crate) fn authority(&self) -> XAuthority {
        XAuthority {
            display: self.xauth_name.clone(),
            protocol: self.request.protocol.clone(),
            cookie: self.request.cookie.clone(),
            program: Some(self.xauth.clone()),
        }
    }
}

/// The sockets of a display, one for each family of addresses; none if it belongs to another.
fn sockets(
    listeners: &Listeners,
    addresses: X11Addresses,
    family: IpFamily,
    number: u32,
    request: &X11Request,
) -> io::Result<Vec<Listener>> {
    let Ok(port) = u16::try_from(FIRST_PORT.saturating_add(number)) else {
        return Ok(Vec::new());
    };
    let (addresses, reuse) = match addresses {
        X11Addresses::Loopback => (LOOPBACK, Reuse::Address),
        X11Addresses::All => (ALL, Reuse::Nothing),
    };
    let mut sockets = Vec::new();
    for address in addresses.into_iter().filter(|address| family.has(*address)) {
        match bind::port(SocketAddr::new(address, port), reuse) {
            Ok(socket) => sockets.push(socket),
            // The machine has no such addresses.
            Err(Errno::AFNOSUPPORT | Errno::INVAL | Errno::ADDRNOTAVAIL) => {}
            // A display is ours in all families or not at all.
            Err(_) => return Ok(Vec::new()),
        }
    }
    sockets
        .into_iter()
        .map(|socket| {
            listeners
                .arrivals()
                .listen(socket, For::Display(request.connections))
        })
        .collect()
}

fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
