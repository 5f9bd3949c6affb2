//! The client's agent: a socket in a directory of its own, which programs find by SSH_AUTH_SOCK.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::rand::{GetRandomFlags, getrandom};
use tracing::debug;

use super::arrivals::{For, Listener};
use super::bind::{self, BoundPath};
use super::listen::Listeners;
use crate::second_stage::reason;

/// Where sshd has put it up to OpenSSH 10.0, and where programs and their profiles look for it.
const DIRECTORY: &str = "/tmp/ssh-";

/// Letters of the name that follows.
const NAME: usize = 10;

/// The socket gets the mode that it has with sshd. Nobody but the user comes through the directory to it.
const MASK: u32 = 0o022;

/// A forwarded agent. Its files are removed with this.
#[derive(Debug)]
pub(crate) struct Agent {
    _listener: Listener,
    // In this order: a directory is empty when it is removed.
    socket: Socket,
    _directory: Directory,
}

#[derive(Debug)]
struct Socket {
    path: PathBuf,
    _file: BoundPath,
}

#[derive(Debug)]
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        // It belongs to the user, who may have put something there.
        rustix::fs::rmdir(&self.0).unwrap_or_default();
    }
}

impl Agent {
    /// Listens in place of the client's agent.
    pub(crate) fn listen(listeners: &Listeners) -> io::Result<Self> {
        let directory = Directory::new()?;
        let name = format!("agent.{}", std::process::id());
        let path = directory.0.join(name);
        let (socket, file) = bind::path(&path, Mode::from_raw_mode(MASK))?;
        let listener = listeners.arrivals().listen(socket, For::Agent)?;
        debug!("agent at {}", path.display());
        Ok(Self {
            _listener: listener,
            socket: Socket { path, _file: file },
            _directory: directory,
        })
    }

    /// SSH_AUTH_SOCK
    pub(crate) fn path(&self) -> &Path {
        &self.socket.path
    }
}

impl Directory {
    /// As mkdtemp(3).
    fn new() -> io::Result<Self> {
        const LETTERS: &[u8; 62] =
            b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        loop {
            let mut random = [0; NAME];
            getrandom(&mut random, GetRandomFlags::empty())?;
            let letters = random.iter().filter_map(|byte| {
                let letter = LETTERS.get(usize::from(*byte) % LETTERS.len())?;
                Some(char::from(*letter))
            });
            let path = PathBuf::from(format!("{DIRECTORY}{}", letters.collect::<String>()));
            match rustix::fs::mkdir(&path, Mode::RWXU) {
                Ok(()) => return Ok(Self(path)),
                Err(rustix::io::Errno::EXIST) => {}
                Err(errno) => {
                    debug!("mkdtemp: {}", reason(&errno.into()));
                    return Err(errno.into());
                }
            }
        }
    }
}
