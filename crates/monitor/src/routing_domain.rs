//! The routing domain that a connection came in by. On Linux that is the device its socket is bound
//! to, a VRF's for one, as in OpenSSH's port-net.c.

use std::ffi::OsString;
use std::fmt;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use nix::libc::IFNAMSIZ;
use nix::sys::socket::{getsockopt, sockopt::BindToDevice};

/// The name of a device; empty if the socket is bound to none.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct RoutingDomain {
    /// Filled up with zeros.
    name: [u8; IFNAMSIZ],
}

impl RoutingDomain {
    /// That of a socket. An accepted one inherits it from the listening one, or has that of the device
    /// on which its client's first packet came, if this one belongs to a VRF.
    ///
    /// # Errors
    /// As getsockopt(2).
    pub fn of(socket: impl AsFd) -> nix::Result<Self> {
        getsockopt(&socket, BindToDevice).map(|name| Self::named(&name))
    }

    fn named(device: &OsString) -> Self {
        let mut name = [0; IFNAMSIZ];
        // The kernel's names are shorter.
        for (to, from) in name.iter_mut().zip(device.as_bytes()) {
            *to = *from;
        }
        Self { name }
    }
}

impl fmt::Display for RoutingDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.split(|byte| *byte == 0).next();
        f.write_str(&String::from_utf8_lossy(name.unwrap_or_default()))
    }
}

impl fmt::Debug for RoutingDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoutingDomain(\"{self}\")")
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use nix::sys::socket::setsockopt;

    use super::*;

    #[test]
    fn an_accepted_socket_is_in_the_domain_of_its_listening_one() {
        for device in ["", "lo"] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            setsockopt(&listener, BindToDevice, &OsString::from(device)).unwrap();
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            assert_eq!(RoutingDomain::of(&accepted).unwrap().to_string(), device);
        }
    }
}
