//! Values that are one word out of a few.

use crate::sshd::lexer::Malformed;
use crate::sshd::setting::{Arguments, Kind};

/// A type whose values have names.
pub(crate) trait Word: Copy + PartialEq + 'static {
    /// The names, compared without regard to case unless [`Self::EXACT`]. The first one of a value is how it is shown.
    const WORDS: &'static [(&'static str, Self)];
    /// Whether OpenSSH compares with regard to case.
    const EXACT: bool = false;

    /// The value of a word.
    fn from_word(word: &str) -> Option<Self> {
        let same = |name: &str| match Self::EXACT {
            true => name == word,
            false => name.eq_ignore_ascii_case(word),
        };
        let found = Self::WORDS.iter().find(|(name, _)| same(name));
        found.map(|(_, value)| *value)
    }

    /// The word for a value.
    fn as_word(self) -> &'static str {
        let found = Self::WORDS.iter().find(|(_, value)| *value == self);
        found.map_or("", |(name, _)| name)
    }
}

/// One word.
pub(crate) const fn word<T: Word>() -> Kind<T> {
    Kind::new(read, |value| vec![value.as_word().to_owned()])
}

fn read<T: Word>(arguments: &mut Arguments<'_>) -> Result<T, Malformed> {
    let names: Vec<&str> = T::WORDS.iter().map(|(name, _)| *name).collect();
    let expected = match names.as_slice() {
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
        [] => String::new(),
    };
    arguments.value(&expected, T::from_word)
}

macro_rules! words {
    (
        $(#[$doc:meta])* $type:ident $(($exact:ident))?
        { $($(#[$variant_doc:meta])* $variant:ident = $name:literal $(| $other:literal)*,)+ }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $type { $($(#[$variant_doc])* $variant,)+ }

        impl Word for $type {
            const WORDS: &'static [(&'static str, Self)] =
                &[$(($name, Self::$variant), $(($other, Self::$variant),)*)+];
            $(const EXACT: bool = stringify!($exact).len() > 0;)?
        }
    };
}

words! {
    /// `yes` or `no`.
    YesNo {
        /// yes
        Yes = "yes",
        /// no
        No = "no",
    }
}

words! {
    /// AddressFamily: which addresses are listened on.
    AddressFamily {
        /// Both.
        Any = "any",
        /// IPv4.
        Inet = "inet",
        /// IPv6.
        Inet6 = "inet6",
    }
}

words! {
    /// Compression.
    Compression {
        /// After authentication.
        Delayed = "yes" | "delayed",
        /// Never.
        No = "no",
    }
}

words! {
    /// FingerprintHash: how keys are named in the log.
    FingerprintHash {
        /// SHA-256.
        Sha256 = "SHA256",
        /// MD5.
        Md5 = "MD5",
        /// SHA-1.
        Sha1 = "SHA1",
        /// SHA-384.
        Sha384 = "SHA384",
        /// SHA-512.
        Sha512 = "SHA512",
    }
}

words! {
    /// AllowTcpForwarding and AllowStreamLocalForwarding.
    Forwarding {
        /// In both directions.
        Yes = "yes" | "all",
        /// Not at all.
        No = "no",
        /// From the server's side to the client (`ssh -R`).
        Remote = "remote",
        /// From the client to the server's side (`ssh -L`).
        Local = "local",
    }
}

words! {
    /// GatewayPorts: which addresses `ssh -R` binds.
    GatewayPorts {
        /// Those that the client names.
        ClientSpecified = "clientspecified",
        /// All.
        Yes = "yes",
        /// Loopback.
        No = "no",
    }
}

words! {
    /// IgnoreRhosts, for host-based authentication.
    IgnoreRhosts {
        /// `.rhosts` and `.shosts` are ignored.
        Yes = "yes",
        /// Neither is.
        No = "no",
        /// `.rhosts` is.
        ShostsOnly = "shosts-only",
    }
}

words! {
    /// LogLevel. Each includes the ones before it.
    LogLevel {
        /// Nothing.
        Quiet = "SILENT" | "QUIET",
        /// What ends the process.
        Fatal = "FATAL",
        /// What failed.
        Error = "ERROR",
        /// What happened; the default.
        Info = "INFO",
        /// What happened in detail.
        Verbose = "VERBOSE",
        /// For those who look for a mistake. DEBUG is the same.
        Debug1 = "DEBUG" | "DEBUG1",
        /// More of it.
        Debug2 = "DEBUG2",
        /// All of it.
        Debug3 = "DEBUG3",
    }
}

words! {
    /// PermitRootLogin.
    PermitRootLogin {
        /// Not by password or keyboard-interactive.
        ProhibitPassword = "prohibit-password" | "without-password",
        /// By public key, and only for a key with a command of its own.
        ForcedCommandsOnly = "forced-commands-only",
        /// By every method.
        Yes = "yes",
        /// Not at all.
        No = "no",
    }
}

words! {
    /// SyslogFacility, see syslog(3).
    SyslogFacility {
        /// LOG_DAEMON
        Daemon = "DAEMON",
        /// LOG_USER
        User = "USER",
        /// LOG_AUTH
        Auth = "AUTH",
        /// LOG_AUTHPRIV
        AuthPriv = "AUTHPRIV",
        /// LOG_LOCAL0
        Local0 = "LOCAL0",
        /// LOG_LOCAL1
        Local1 = "LOCAL1",
        /// LOG_LOCAL2
        Local2 = "LOCAL2",
        /// LOG_LOCAL3
        Local3 = "LOCAL3",
        /// LOG_LOCAL4
        Local4 = "LOCAL4",
        /// LOG_LOCAL5
        Local5 = "LOCAL5",
        /// LOG_LOCAL6
        Local6 = "LOCAL6",
        /// LOG_LOCAL7
        Local7 = "LOCAL7",
    }
}

words! {
    /// PermitTunnel: forwarding of tun(4) devices.
    Tunnel (exact) {
        /// None.
        No = "no",
        /// Layer 3.
        PointToPoint = "point-to-point",
        /// Layer 2.
        Ethernet = "ethernet",
        /// Both.
        Yes = "yes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_by_its_first_name() {
        assert_eq!(
            PermitRootLogin::from_word("Without-Password"),
            Some(PermitRootLogin::ProhibitPassword)
        );
        assert_eq!(
            PermitRootLogin::ProhibitPassword.as_word(),
            "prohibit-password"
        );
        assert_eq!(
            LogLevel::from_word("debug1").map(Word::as_word),
            Some("DEBUG")
        );
        assert_eq!(YesNo::from_word("true"), None);
    }

    #[test]
    fn case_counts_where_it_does_for_openssh() {
        assert_eq!(Tunnel::from_word("Yes"), None);
        assert_eq!(YesNo::from_word("YES"), Some(YesNo::Yes));
    }
}
