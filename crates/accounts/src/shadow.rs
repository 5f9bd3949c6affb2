//! What shadow(5) says about an account: for UsePAM no, where nobody else asks.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use thiserror::Error;

/// What a password field begins with if the account is locked, sshd(8).
const LOCKED_PREFIXES: [&str; 2] = ["!", "*LK*"];

/// The line of an account, without its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shadow {
    lock: Lock,
    /// Day of the last change of the password. Days are counted from 1970-01-01.
    last_change: Option<u64>,
    /// After how many days it has to be changed.
    maximum: Option<u64>,
    /// After how many more days the account cannot be used.
    inactive: Option<u64>,
    /// The last day of the account.
    expiry: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lock {
    Open,
    Locked,
}

/// Whether an account can be used, by whatever method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountState {
    /// It can.
    Usable,
    /// The password field says that it is locked.
    Locked,
    /// Its last day has passed.
    Expired,
}

/// Whether an account's password is still good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordState {
    /// It is.
    Valid,
    /// It has to be changed because root says so. OpenSSH: "password has expired (root forced)".
    ChangeForced,
    /// It has to be changed because it is too old. OpenSSH: "password has expired (password aged)".
    Aged,
    /// It has been too old for so long that it cannot be changed any more. OpenSSH does not look at this field, PAM does.
    Inactive,
}

/// Why it cannot be told.
#[derive(Debug, Error)]
pub enum ShadowError {
    /// The file.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// A field that is no number of days.
    #[error("malformed line")]
    Malformed,
}

impl Shadow {
    /// The line of a user in a file. None for accounts of a directory server, whose state is the server's to judge.
    ///
    /// # Errors
    ///
    /// If it cannot be read. Such an account must not be used: it may be locked.
    pub fn find(file: &Path, user: &str) -> Result<Option<Self>, ShadowError> {
        // Lines are bytes: nothing says that those of others are text.
        for line in BufReader::new(File::open(file)?).split(b'\n') {
            let line = line?;
            let fields = line
                .strip_prefix(user.as_bytes())
                .and_then(|rest| rest.strip_prefix(b":"));
            if let Some(fields) = fields {
                return Self::parse(fields).map(Some);
            }
        }
        Ok(None)
    }

    /// Reads what follows the name on a line.
    fn parse(fields: &[u8]) -> Result<Self, ShadowError> {
        let mut fields = fields.split(|byte| *byte == b':');
        let password = fields.next().unwrap_or_default();
        let locked = |prefix: &&str| password.starts_with(prefix.as_bytes());
        let mut days = || match fields.next().unwrap_or_default() {
            b"" | b"-1" => Ok(None),
            digits => std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| digits.parse::<u64>().ok())
                .map(Some)
                .ok_or(ShadowError::Malformed),
        };
        let (last_change, _minimum, maximum) = (days()?, days()?, days()?);
        let (_warning, inactive, expiry) = (days()?, days()?, days()?);
        Ok(Self {
            lock: match LOCKED_PREFIXES.iter().any(locked) {
                true => Lock::Locked,
                false => Lock::Open,
            },
            last_change,
            maximum,
            inactive,
            expiry,
        })
    }

    /// Whether the account can be used on a day.
    #[must_use]
    pub fn account(&self, today: u64) -> AccountState {
        match (self.lock, self.expiry) {
            (_, Some(last)) if today > last => AccountState::Expired,
            (Lock::Locked, _) => AccountState::Locked,
            (Lock::Open, _) => AccountState::Usable,
        }
    }

    /// Whether the password is good on a day.
    #[must_use]
    pub fn password(&self, today: u64) -> PasswordState {
        let Some(changed) = self.last_change else {
            return PasswordState::Valid;
        };
        if changed == 0 {
            return PasswordState::ChangeForced;
        }
        let aged = self.maximum.map(|maximum| changed.saturating_add(maximum));
        let gone = aged
            .zip(self.inactive)
            .map(|(aged, inactive)| aged.saturating_add(inactive));
        match (aged, gone) {
            (_, Some(last)) if today > last => PasswordState::Inactive,
            (Some(last), _) if today > last => PasswordState::Aged,
            _ => PasswordState::Valid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Shadow {
        Shadow::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn an_account_is_expired_before_it_is_locked() {
        for (text, expected) in [
            ("$y$x:19000:0:99999:7:::", AccountState::Usable),
            ("*:19000:0:99999:7:::", AccountState::Usable),
            ("", AccountState::Usable),
            ("!$y$x:19000:0:99999:7:::", AccountState::Locked),
            ("!:19000:0:99999:7::1:", AccountState::Expired),
            ("*LK*:19000::::::", AccountState::Locked),
            ("*:19000:0:99999:7::20000:", AccountState::Usable),
            ("*:19000:0:99999:7::19999:", AccountState::Expired),
            ("*:19000:0:99999:7::-1:", AccountState::Usable),
            ("*:19000:0:99999:7::0:", AccountState::Expired),
        ] {
            assert_eq!(line(text).account(20_000), expected, "{text}");
        }
    }

    #[test]
    fn a_password_ages() {
        for (text, expected) in [
            ("*:19000:0:99999:7:::", PasswordState::Valid),
            ("*:19000:0::7:5::", PasswordState::Valid),
            ("*::0:1:7:5::", PasswordState::Valid),
            ("*:0:0:99999:7:::", PasswordState::ChangeForced),
            ("*:19000:0:1000:7:::", PasswordState::Valid),
            ("*:19000:0:999:7:::", PasswordState::Aged),
            ("*:19000:0:999:7:1::", PasswordState::Aged),
            ("*:19000:0:998:7:1::", PasswordState::Inactive),
            ("*:19000:0:999:7:0::", PasswordState::Inactive),
            ("*:18446744073709551615:0:9:7:9::", PasswordState::Valid),
        ] {
            assert_eq!(line(text).password(20_000), expected, "{text}");
        }
    }

    #[test]
    fn a_field_that_is_no_number_is_not_taken_for_never() {
        for text in [
            "*:x::::::",
            "*:19000:0:99999:7::soon:",
            "*:19000:0:99999:7::-2:",
            "*:19000:0: 9:7:::",
        ] {
            assert!(Shadow::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
