//! What a client's host is called in utmp, wtmp, lastlog and btmp (sshd(8), `-u`).

/// The longest name that is recorded, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameLimit(u8);

impl NameLimit {
    /// None beyond HOST_NAME_MAX and its NUL, as with sshd.
    pub fn new(length: u8) -> Option<Self> {
        (length <= Self::default().0).then_some(Self(length))
    }

    /// The name, or in place of a longer one the address.
    pub fn shown(self, name: &str, address: impl ToString) -> String {
        match name.len() <= self.0.into() {
            true => name.to_owned(),
            false => address.to_string(),
        }
    }
}

impl Default for NameLimit {
    fn default() -> Self {
        Self(65)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_name_that_is_too_long_the_address_is_recorded() {
        let of = |length, name: &str| NameLimit::new(length).unwrap().shown(name, "192.0.2.1");
        assert_eq!(of(0, "a"), "192.0.2.1");
        assert_eq!(of(3, "a.b"), "a.b");
        assert_eq!(of(3, "a.bc"), "192.0.2.1");
        let default = NameLimit::default();
        assert_eq!(default.shown(&"n".repeat(65), "x"), "n".repeat(65));
        assert_eq!(default.shown(&"n".repeat(66), "x"), "x");
        assert_eq!(NameLimit::new(66), None);
    }
}
