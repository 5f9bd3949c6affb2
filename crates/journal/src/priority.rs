//! Priorities of syslog(3), and how the levels of `tracing` map to them.

use tracing::Level;

/// How much an entry matters: the priorities of syslog(3), as journald's `PRIORITY=` has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// 0: the system is unusable.
    Emergency,
    /// 1: somebody must act at once.
    Alert,
    /// 2: critical.
    Critical,
    /// 3: an error.
    Error,
    /// 4: a warning.
    Warning,
    /// 5: normal, but worth a look.
    Notice,
    /// 6: normal.
    Info,
    /// 7: for those who look for a mistake in the program.
    Debug,
}

impl Priority {
    /// The priority of an event that has no field `priority`. What is `debug` is written from LogLevel VERBOSE on, which
    /// sshd gives to syslog as LOG_INFO: `journalctl -p info` shows who connected, and a file of `auth.info` has it.
    #[must_use]
    pub fn of_level(level: Level) -> Self {
        match level {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warning,
            Level::INFO | Level::DEBUG => Self::Info,
            Level::TRACE => Self::Debug,
        }
    }

    /// Reads the names that journalctl(1) takes, as in `info!(priority = "notice", …)`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "emerg" => Self::Emergency,
            "alert" => Self::Alert,
            "crit" => Self::Critical,
            "err" => Self::Error,
            "warning" => Self::Warning,
            "notice" => Self::Notice,
            "info" => Self::Info,
            "debug" => Self::Debug,
            _ => return None,
        })
    }

    /// The digit that journald and syslog use.
    #[must_use]
    pub fn digit(self) -> char {
        match self {
            Self::Emergency => '0',
            Self::Alert => '1',
            Self::Critical => '2',
            Self::Error => '3',
            Self::Warning => '4',
            Self::Notice => '5',
            Self::Info => '6',
            Self::Debug => '7',
        }
    }
}
