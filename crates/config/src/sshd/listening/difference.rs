//! Whether a server listens where its configuration says.

use super::{Listening, Socket, Sockets, System};
use crate::sshd::{FileSystem, SshdConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// What makes the sockets those of the file.
const REMEDY: &str = "systemctl daemon-reload && systemctl restart sshd-privsep.socket";

/// Where units are, from the one that counts most: systemd.unit(5). Down to [`THEIRS`], files are the administrator's.
const DIRECTORIES: [&str; 7] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/run/systemd/generator",
    "/usr/lib/systemd/system",
];

/// How many of [`DIRECTORIES`] are the administrator's.
const THEIRS: usize = 5;

/// The unit.
const UNIT: &str = "sshd-privsep.socket";

/// Its drop-ins' directories: one for it, two for all of its kind.
const DROP_INS: [&str; 3] = ["sshd-privsep.socket.d", "sshd-.socket.d", "socket.d"];

/// Who else than the file says where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Override {
    /// A file of the administrator says it all.
    Decides(PathBuf),
    /// A file of the administrator adds to what sshd_config says.
    Adds(PathBuf),
}

impl Override {
    /// Who says it on this machine.
    #[must_use]
    pub fn of_this_machine() -> Option<Self> {
        let directories = DIRECTORIES.map(Path::new);
        let unit = directories
            .iter()
            .map(|directory| directory.join(UNIT))
            .find(|unit| unit.symlink_metadata().is_ok());
        // By name; of two with one name, the first of these directories.
        let mut drop_ins = BTreeMap::new();
        for name in DROP_INS {
            for directory in directories {
                let files = directory
                    .join(name)
                    .read_dir()
                    .into_iter()
                    .flatten()
                    .flatten();
                for file in files.map(|entry| entry.path()) {
                    if file.extension() == Some("conf".as_ref()) {
                        drop_ins
                            .entry(file.file_name().map(ToOwned::to_owned))
                            .or_insert(file);
                    }
                }
            }
        }
        let files = unit.into_iter().chain(drop_ins.into_values());
        // A file that cannot be read says nothing to systemd either.
        let texts: Vec<(PathBuf, String)> = files
            .map(|path| (std::fs::read_to_string(&path).unwrap_or_default(), path))
            .map(|(text, path)| (path, text))
            .collect();
        Self::of(
            texts
                .iter()
                .map(|(path, text)| (path.as_path(), text.as_str())),
        )
    }

    /// Who says it by these files of the unit, in the order in which they take effect.
    #[must_use]
    pub(super) fn of<'a>(files: impl IntoIterator<Item = (&'a Path, &'a str)>) -> Option<Self> {
        let mut found = None;
        for (path, text) in files {
            let addresses = text.lines().filter_map(|line| {
                let (key, value) = line.split_once('=')?;
                (key.trim() == "ListenStream").then(|| value.trim())
            });
            let addresses: Vec<&str> = addresses.collect();
            let begins_anew =
                addresses.contains(&"") || path.extension() == Some("socket".as_ref());
            let theirs = DIRECTORIES.iter().take(THEIRS);
            let is_theirs = theirs
                .into_iter()
                .any(|directory| path.starts_with(directory));
            found = match (addresses.is_empty(), is_theirs) {
                (true, _) => found,
                (false, true) if begins_anew => Some(Self::Decides(path.to_owned())),
                (false, true) => found.or_else(|| Some(Self::Adds(path.to_owned()))),
                // The package's own unit, or what its generator made.
                (false, false) if begins_anew => None,
                (false, false) => found,
            };
        }
        found
    }
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

/// What an administrator should know of where a server listens by its configuration, and where it does in fact.
#[must_use]
pub fn remarks(config: &SshdConfig, open: &[Socket]) -> Vec<String> {
    let configured = Sockets::of(&Listening::from(config), &FileSystem);
    let difference = Difference::between(&configured, open, None, &FileSystem).and_then(|_| {
        let by = Override::of_this_machine();
        Difference::between(&configured, open, by.as_ref(), &FileSystem)
    });
    let difference = difference.map(|difference| difference.to_string());
    configured.remarks.into_iter().chain(difference).collect()
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
