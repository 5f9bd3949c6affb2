//! Ends of tunnels: devices of tun(4), as OpenSSH opens them (sys_tun_open() in port-net.c).
//!
//! The user's own process opens them. The kernel lets root make any, and others open those that were made for them
//! (`ip tuntap add user`).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rpc::session::{OpenTunnel, TunnelDevice, TunnelMode, TunnelOpened};
use tracing::debug;
use tun_rs::{DeviceBuilder, Layer};

use super::policy::{ForwardPolicy, Refusal};
use crate::second_stage::reason;

/// Names of interfaces that programs are told. As with sshd they stay when their tunnels have gone.
const NAMES: usize = 64;

/// The tunnels of one session.
#[derive(Debug, Default)]
pub(crate) struct Tunnels {
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
        let device = policy
            .judge_tunnel(wanted)
            .map_err(|refusal| match refusal {
                Refusal::Kind => TunnelOpened::Refused,
                Refusal::Place => TunnelOpened::Unavailable,
            })?;
        match open(wanted.mode, device) {
            Ok((name, device)) => {
                debug!("Tunnel forwarding using interface {name}");
                self.remember(name);
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
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        (!names.is_empty()).then(|| names.join(","))
    }

    fn remember(&self, name: String) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() < NAMES && !names.contains(&name) {
            names.push(name);
        }
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
