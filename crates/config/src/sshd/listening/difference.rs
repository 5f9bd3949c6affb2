//! Whether a server listens where its configuration says.

use super::{Socket, Sockets, System};
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// What makes the sockets those of the file.
const REMEDY: &str = "systemctl daemon-reload && systemctl restart sshd-privsep.socket";

/// Who else than the file says where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Override {
    /// A file of the administrator says it all.
    Decides(PathBuf),
    /// A file of the administrator adds to what sshd_config says.
    Adds(PathBuf),
}

/// What the files of a socket unit say about who decides. They are those of FragmentPath and DropInPaths, in this order,
/// which is the order of their effect.
#[must_use]
pub fn overrides<'a>(files: impl IntoIterator<Item = (&'a Path, &'a str)>) -> Option<Override> {
    let mut found = None;
    for (path, text) in files {
        let addresses = text.lines().filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == "ListenStream").then(|| value.trim())
        });
        let addresses: Vec<&str> = addresses.collect();
        let from_scratch = addresses.contains(&"") || path.extension() == Some("socket".as_ref());
        found = match (is_administrators(path), addresses.is_empty()) {
            (_, true) => found,
            (true, false) if from_scratch => Some(Override::Decides(path.to_owned())),
            (true, false) => found.or_else(|| Some(Override::Adds(path.to_owned()))),
            // The package's own unit, or what its generator made.
            (false, false) if from_scratch => None,
            (false, false) => found,
        };
    }
    found
}

/// Whether a file of a unit was written by the machine's administrator, see systemd.unit(5).
fn is_administrators(path: &Path) -> bool {
    const THEIRS: [&str; 5] = [
        "/etc/systemd/system",
        "/etc/systemd/system.control",
        "/run/systemd/system",
        "/run/systemd/system.control",
        "/usr/local/lib/systemd/system",
    ];
    THEIRS.iter().any(|directory| path.starts_with(directory))
}

/// A server listens elsewhere than its configuration says. `Display` is for its administrator, with the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    configured: String,
    open: String,
    by: Option<PathBuf>,
}

impl Difference {
    /// Compares. None if the open sockets are those of the configuration, and whatever an administrator adds.
    #[must_use]
    pub fn between(
        configured: &Sockets,
        open: &[Socket],
        by: Option<&Override>,
        system: &dyn System,
    ) -> Option<Self> {
        let open: BTreeSet<Socket> = open
            .iter()
            .map(|socket| seen(*socket, configured, system))
            .collect();
        let wanted: BTreeSet<Socket> = configured.sockets.iter().copied().collect();
        let same = match by {
            Some(Override::Adds(_)) => wanted.is_subset(&open),
            Some(Override::Decides(_)) | None => wanted == open,
        };
        let by = match by {
            Some(Override::Decides(path)) => Some(path.clone()),
            Some(Override::Adds(_)) | None => None,
        };
        (!same).then(|| Self {
            configured: list(configured.sockets.iter()),
            open: list(open.iter()),
            by,
        })
    }
}

/// Without IPv6 in the kernel systemd listens on all of IPv4 where it is asked for both.
fn seen(open: Socket, configured: &Sockets, system: &dyn System) -> Socket {
    match open {
        Socket::At(address) if !system.has_ipv6() => {
            let everywhere = Socket::Everywhere(address.port());
            let all: IpAddr = Ipv4Addr::UNSPECIFIED.into();
            let meant = address == SocketAddr::new(all, address.port())
                && configured.sockets.contains(&everywhere);
            if meant { everywhere } else { open }
        }
        _ => open,
    }
}

fn list<'a>(sockets: impl Iterator<Item = &'a Socket>) -> String {
    let sockets: Vec<String> = sockets.map(ToString::to_string).collect();
    match sockets.is_empty() {
        true => "nothing".to_owned(),
        false => sockets.join(" and "),
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            configured,
            open,
            by,
        } = self;
        write!(
            f,
            "sshd_config says {configured}, sshd-privsep.socket listens on {open}"
        )?;
        match by {
            Some(path) => write!(f, ", as {} wants it", path.display()),
            None => write!(f, ". To listen where the file says: {REMEDY}"),
        }
    }
}
