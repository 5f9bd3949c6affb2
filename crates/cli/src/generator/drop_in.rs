//! The drop-in: its text, and how it gets to its place in one piece.

use std::fs;
use std::io;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use config::sshd::listening::{Socket, Sockets};

/// The drop-in for these sockets, see systemd.socket(5). `source` is the file that they come from.
#[must_use]
pub fn text(sockets: &Sockets, source: &Path) -> String {
    let source = source.display();
    let mut lines = vec![
        format!(
            "# Made from {source}. What `systemctl edit sshd-privsep.socket` says counts more."
        ),
        "[Unit]".to_owned(),
        format!("SourcePath={source}"),
        String::new(),
        "[Socket]".to_owned(),
        "ListenStream=".to_owned(),
    ];
    let listen = |socket: &Socket| match socket {
        // Not [::]: where the kernel has no IPv6, systemd makes 0.0.0.0 of a port alone.
        Socket::Everywhere(port) => format!("ListenStream={port}"),
        Socket::At(address) => format!("ListenStream={address}"),
    };
    lines.extend(sockets.sockets.iter().map(listen));
    let any = |is: fn(&Socket) -> bool| sockets.sockets.iter().any(is);
    if any(|socket| matches!(socket, Socket::At(address) if address.ip() == Ipv6Addr::UNSPECIFIED))
    {
        // As sshd's. Not without need: a port that an administrator's drop-in adds would be closed to IPv4, too.
        lines.push("BindIPv6Only=ipv6-only".to_owned());
    }
    if any(|socket| matches!(socket, Socket::At(address) if !address.ip().is_unspecified())) {
        // Sockets are opened before the network is there: an address that is not yet configured must not fail the unit.
        lines.push("FreeBind=yes".to_owned());
    }
    lines.extend(
        sockets
            .device
            .iter()
            .map(|device| format!("BindToDevice={device}")),
    );
    lines.push(String::new());
    lines.join("\n")
}

/// Writes a drop-in so that a reader sees all of it or nothing. An error comes with the path that it is about.
pub(super) fn write(directory: &Path, name: &str, text: &str) -> Result<(), (PathBuf, io::Error)> {
    let path = directory.join(name);
    // Without the ending of a drop-in it is none.
    let unfinished = directory.join(format!(".{name}.unfinished"));
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&unfinished, text))
        .and_then(|()| fs::rename(&unfinished, &path))
        .map_err(|error| (path, error))
}
