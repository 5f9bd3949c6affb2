//! Ends of tunnels: devices of tun(4), as OpenSSH opens them (sys_tun_open() in port-net.c).
//!
//! The user's own process opens them. The kernel lets root make any, and others open those that were made for them
//! (`ip tuntap add user`).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rpc::session::{OpenTunnel, TunnelDevice, TunnelMode, TunnelOpened};
use tracing::debug;
use tun_rs::{DeviceBuilder, Layer};

use super::policy::{ForwardPolicy, Refusal};
use crate::second_stage::reason;

/// Most tunnels of one session, all that were ever opened. Each may be a new device, and only the worker knows when it is
/// gone; an honest client wants one or two (`ssh -w`).
const MOST: usize = 64;

/// The tunnels of one session.
#[derive(Debug, Default)]
pub(crate) struct Tunnels {
    /// The interface of each that was opened. As with sshd they stay when their tunnels have gone.
    names: Mutex<Vec<String>>,
}

impl Tunnels {
    /// Opens the end of a tunnel, if `policy` has nothing against it.
    ///
    /// # Errors
    /// What the worker is told instead.
    pub(crate) fn open(
        &self,
        policy: &ForwardPolicy,
        wanted: OpenTunnel,
    ) -> Result<OwnedFd, TunnelOpened> {
        self.open_by(policy, wanted, open)
    }

    fn open_by(
        &self,
        policy: &ForwardPolicy,
        wanted: OpenTunnel,
        open: impl FnOnce(TunnelMode, TunnelDevice) -> io::Result<(String, OwnedFd)>,
    ) -> Result<OwnedFd, TunnelOpened> {
        let device = policy
            .judge_tunnel(wanted)
            .map_err(|refusal| match refusal {
                Refusal::Kind => TunnelOpened::Refused,
                Refusal::Place => TunnelOpened::Unavailable,
            })?;
        let mut names = self.names();
        if names.len() >= MOST {
            debug!("failed to open a tunnel: there were {MOST}");
            return Err(TunnelOpened::Unavailable);
        }
        match open(wanted.mode, device) {
            Ok((name, device)) => {
                debug!("Tunnel forwarding using interface {name}");
                names.push(name);
                Ok(device)
            }
            Err(error) => {
                debug!("failed to open a tunnel: {}", reason(&error));
                Err(TunnelOpened::Unavailable)
            }
        }
    }

    /// SSH_TUNNEL: the names of all interfaces, separated by commas; none if there was no tunnel.
    pub(crate) fn interfaces(&self) -> Option<String> {
        let mut told = Vec::new();
        for name in self.names().iter() {
            if !told.contains(name) {
                told.push(name.clone());
            }
        }
        (!told.is_empty()).then(|| told.join(","))
    }

    fn names(&self) -> MutexGuard<'_, Vec<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A device, and the name of its interface.
fn open(mode: TunnelMode, device: TunnelDevice) -> io::Result<(String, OwnedFd)> {
    // In a jail there need be none, and root's session must not make one there, as the crate would.
    rustix::fs::stat("/dev/net/tun")?;
    let (layer, kind) = match mode {
        TunnelMode::PointToPoint => (Layer::L3, "tun"),
        TunnelMode::Ethernet => (Layer::L2, "tap"),
    };
    // To whom it belongs and whether it is up is the administrator's, as with sshd.
    let builder = DeviceBuilder::new().inherit_enable_state().layer(layer);
    let builder = match device {
        TunnelDevice::Any => builder,
        TunnelDevice::Number(number) => builder.name(format!("{kind}{number}")),
    };
    let device = builder.build_sync()?;
    Ok((device.name()?, device.as_fd().try_clone_to_owned()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::start;
    use rpc::lane::{Permission, Tunnel};

    #[test]
    fn tunnels_are_bounded_and_each_interface_is_told_once() {
        let mut start = start();
        start.forwarding.tunnels.point_to_point = Permission::Granted;
        start.permissions.tunnel = Tunnel::Any;
        let policy = ForwardPolicy::new(&start);
        let tunnels = Tunnels::default();
        let wanted = OpenTunnel {
            mode: TunnelMode::PointToPoint,
            device: TunnelDevice::Any,
        };
        let open = |name: &str| {
            let name = name.to_owned();
            tunnels.open_by(&policy, wanted, |_, _| {
                Ok((name, std::fs::File::open("/dev/null")?.into()))
            })
        };
        let busy = || tunnels.open_by(&policy, wanted, |_, _| Err(io::ErrorKind::Other.into()));
        assert_eq!(tunnels.interfaces(), None);
        assert_eq!(busy().unwrap_err(), TunnelOpened::Unavailable);
        open("tun0").unwrap();
        for _ in 1..MOST {
            open("tun1").unwrap();
        }
        assert_eq!(open("tun2").unwrap_err(), TunnelOpened::Unavailable);
        assert_eq!(tunnels.interfaces().as_deref(), Some("tun0,tun1"));
    }
}
