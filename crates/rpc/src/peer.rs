//! Who is at the other end of a Unix socket: SO_PEERCRED, a pidfd, and the cgroup's unit name.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, pidfd_open};

/// A process that systemd started as a unit and that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Process id.
    pub pid: i32,
    /// User id at connect(2).
    pub uid: u32,
    /// Name of its unit, for example `sshd-privsep-preauth@7.service`.
    pub unit: String,
}

/// Who connected a socket, as far as the kernel wrote it down at that moment. Unlike a [`Peer`] it may have gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Process id, for the journal.
    pub pid: i32,
    /// User id.
    pub uid: u32,
}

/// The credentials of who connected `socket` (SO_PEERCRED, unix(7)).
///
/// # Errors
/// Not a Unix socket.
pub fn credentials(socket: impl AsFd) -> io::Result<Credentials> {
    let credentials = rustix::net::sockopt::socket_peercred(socket)?;
    Ok(Credentials {
        pid: credentials.pid.as_raw_nonzero().get(),
        uid: credentials.uid.as_raw(),
    })
}

/// Identifies the process that connected `socket`.
///
/// The order closes the race with a recycled process id: the pidfd is taken first, then the cgroup
/// is read, then both the pidfd and the socket must still be alive. SO_PEERPIDFD would make this
/// one step, but it needs Linux 6.5 and Debian 12 has 6.1.
///
/// # Errors
/// The peer is gone, or its cgroup cannot be read or names no service.
pub fn identify(socket: impl AsFd) -> io::Result<Peer> {
    let socket = socket.as_fd();
    let credentials = rustix::net::sockopt::socket_peercred(socket)?;
    let pidfd = pidfd_open(credentials.pid, PidfdFlags::empty())?;
    let pid = credentials.pid.as_raw_nonzero().get();
    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;

    // Readable pidfd: the process has ended. HUP on the socket: its only holder has ended.
    let mut states = [
        PollFd::new(&pidfd, PollFlags::IN),
        PollFd::new(&socket, PollFlags::RDHUP),
    ];
    let now = rustix::time::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    if poll(&mut states, Some(&now))? != 0 {
        return Err(io::Error::new(
            io::ErrorKind::NotConnected,
            "peer has ended",
        ));
    }
    let unit = unit_of_cgroups(&cgroups)
        .ok_or_else(|| io::Error::other("peer is not in the cgroup of a service"))?;
    Ok(Peer {
        pid,
        uid: credentials.uid.as_raw(),
        unit: unit.to_owned(),
    })
}

/// The service that the unified hierarchy's line of /proc/PID/cgroup names (cgroups(7)).
fn unit_of_cgroups(cgroups: &str) -> Option<&str> {
    let path = cgroups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let unit = path.rsplit('/').next()?;
    unit.ends_with(".service").then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_is_the_last_part_of_the_unified_line() {
        let text = "12:pids:/x.service\n0::/system.slice/a.slice/sshd-privsep-preauth@7.service\n";
        assert_eq!(
            unit_of_cgroups(text),
            Some("sshd-privsep-preauth@7.service")
        );
    }

    #[test]
    fn a_scope_or_a_child_group_is_no_unit() {
        assert_eq!(
            unit_of_cgroups("0::/user.slice/user-0.slice/session-1.scope\n"),
            None
        );
        assert_eq!(
            unit_of_cgroups("0::/system.slice/a.service/payload\n"),
            None
        );
        assert_eq!(
            unit_of_cgroups("1:name=systemd:/system.slice/a.service\n"),
            None
        );
    }
}
