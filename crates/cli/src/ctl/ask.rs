//! The way to the monitor.

use std::io;

use rpc::CallError;
use rpc::admin::{DEADLINE, Monitor};
use thiserror::Error;
use tokio::net::UnixStream;

/// Where the monitor listens for administrators.
const SOCKET: &str = "/run/sshd-privsep/admin.sock";

/// Why there is no answer, and what to do.
#[derive(Debug, Error)]
pub enum AskError {
    /// There is no socket.
    #[error(
        "the server is not running; it begins with its first connection, or with:\n    systemctl start sshd-privsep.socket sshd-privsep-monitor.service"
    )]
    NotRunning,
    /// The socket is not for everybody.
    #[error("only root may ask the server: try sudo")]
    NoPermission,
    /// The socket is there and cannot be used.
    #[error("{SOCKET}: {0}")]
    Socket(io::Error),
    /// No answer in time.
    #[error(
        "the server does not answer within {} s; see \"systemctl status sshd-privsep-monitor.service\"",
        DEADLINE.as_secs()
    )]
    Deadline,
    /// The monitor ended before it answered, or is of another version.
    #[error("the server did not answer: {0}; see \"journalctl -u sshd-privsep-monitor.service\"")]
    Call(CallError),
    /// No runtime.
    #[error("{0}")]
    Runtime(io::Error),
}

impl AskError {
    /// 3 and 4 as of an init script's `status` and actions (LSB): not running, not permitted.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotRunning => 3,
            Self::NoPermission => 4,
            Self::Socket(_) | Self::Deadline | Self::Call(_) | Self::Runtime(_) => 1,
        }
    }

    fn connecting(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Self::NotRunning,
            io::ErrorKind::PermissionDenied => Self::NoPermission,
            _ => Self::Socket(error),
        }
    }
}

impl From<CallError> for AskError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Deadline => Self::Deadline,
            CallError::Ended(_) | CallError::Malformed(_) => Self::Call(error),
        }
    }
}

/// Connects to the monitor and asks. Every question has its deadline.
///
/// # Errors
/// See [`AskError`].
pub fn ask<T>(
    question: impl AsyncFnOnce(&mut Monitor) -> Result<T, CallError>,
) -> Result<T, AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(AskError::Runtime)?;
    runtime.block_on(async {
        let stream = UnixStream::connect(SOCKET)
            .await
            .map_err(AskError::connecting)?;
        let mut monitor = Monitor::start(stream).await?;
        Ok(question(&mut monitor).await?)
    })
}
