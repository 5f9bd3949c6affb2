//! Pseudo-terminals (RFC 4254 section 6.2), by pty(7).

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rpc::accounting::{LastLogin, Records, TerminalNumber};
use rpc::session::{PtyRequest, WindowSize};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, Winsize};
use tracing::warn;

use crate::environment::TerminalNames;
use crate::modes;

/// The half of a pseudo-terminal that stays with the session for as long as the channel is open.
#[derive(Debug)]
pub(crate) struct Terminal {
    pub(crate) master: OwnedFd,
    device: String,
    kind: String,
    /// Where it is recorded that somebody is on it.
    recorded: Option<Recorded>,
}

/// A record of a terminal. It ends with this.
#[derive(Debug)]
struct Recorded {
    records: Arc<Records>,
    number: TerminalNumber,
}

impl Drop for Recorded {
    fn drop(&mut self) {
        // If it cannot be said now, it is known at the end of the connection.
        drop(self.records.closed(self.number));
    }
}

/// A pseudo-terminal on which no program runs yet.
#[derive(Debug)]
pub(crate) struct Pty {
    pub(crate) terminal: Terminal,
    /// The programs' side. Kept open until one has it: with the last descriptor of it the modes would go back to default.
    pub(crate) slave: OwnedFd,
    /// The user's last login on any, if this one was recorded.
    pub(crate) last_login: Option<LastLogin>,
}

impl Pty {
    /// Opens a pseudo-terminal as the client wants it. It belongs to the user and has the mode that devpts was mounted
    /// with (0620, group tty, on Debian): both are set by the kernel.
    pub(crate) fn open(request: &PtyRequest) -> Result<Self, Errno> {
        // NOCTTY: this process leads a session of its own and has no use for a terminal.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let device = rustix::pty::ptsname(&master, Vec::new())?
            .into_string()
            .map_err(|_| Errno::ILSEQ)?;
        // By descriptor, not by name: in another mount namespace the name could be another terminal.
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;

        let mut termios = rustix::termios::tcgetattr(&slave)?;
        modes::apply(&request.modes, &mut termios);
        rustix::termios::tcsetattr(&slave, OptionalActions::Now, &termios)?;
        // The worker reads and writes it in its event loop. This does not affect the programs' side.
        rustix::io::ioctl_fionbio(&master, true)?;
        let terminal = Terminal {
            master,
            device,
            kind: request.term.clone(),
            recorded: None,
        };
        terminal.resize(request.size)?;
        Ok(Self {
            terminal,
            slave,
            last_login: None,
        })
    }

    /// Has it recorded that the user is on it from now on. Nobody is kept from work by it.
    pub(crate) async fn record(&mut self, records: &Arc<Records>) {
        let Some(number) = TerminalNumber::of(&self.terminal.device) else {
            return;
        };
        match records.opened(number).await {
            Ok(last) => {
                let records = Arc::clone(records);
                self.terminal.recorded = Some(Recorded { records, number });
                self.last_login = last;
            }
            Err(error) => warn!("{} is not recorded: {error}", self.terminal.device),
        }
    }
}

impl Terminal {
    /// "window-change" (RFC 4254 section 6.7); the kernel sends SIGWINCH to the foreground.
    pub(crate) fn resize(&self, size: WindowSize) -> Result<(), Errno> {
        let size = Winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: size.width_pixels,
            ws_ypixel: size.height_pixels,
        };
        rustix::termios::tcsetwinsize(&self.master, size)
    }

    /// "break" (RFC 4335). A pseudo-terminal has no line to break, so this does nothing, successfully.
    pub(crate) fn send_break(&self) -> Result<(), Errno> {
        rustix::termios::tcsendbreak(&self.master)
    }

    /// For the environment of programs.
    pub(crate) fn names(&self) -> TerminalNames<'_> {
        TerminalNames {
            device: &self.device,
            kind: &self.kind,
        }
    }

    /// For the journal, as who(1) has it: `pts/0`.
    pub(crate) fn short_name(&self) -> &str {
        self.device.strip_prefix("/dev/").unwrap_or(&self.device)
    }
}
