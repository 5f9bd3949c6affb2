//! The facilities of syslog(3) that sshd can be told to use.

/// `SYSLOG_FACILITY=`: by which rsyslog and others sort entries into files. The numbers are those of
/// RFC 5424 section 6.2.1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "they are explained in syslog(3)")]
pub enum Facility {
    User = 1,
    Daemon = 3,
    #[default]
    Auth = 4,
    AuthPriv = 10,
    Local0 = 16,
    Local1 = 17,
    Local2 = 18,
    Local3 = 19,
    Local4 = 20,
    Local5 = 21,
    Local6 = 22,
    Local7 = 23,
}

impl Facility {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::User,
        Self::Daemon,
        Self::Auth,
        Self::AuthPriv,
        Self::Local0,
        Self::Local1,
        Self::Local2,
        Self::Local3,
        Self::Local4,
        Self::Local5,
        Self::Local6,
        Self::Local7,
    ];

    /// Its number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The one of this number.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|facility| u32::from(facility.code()) == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_facility_has_a_number_of_its_own() {
        for facility in Facility::ALL {
            assert_eq!(Facility::from_code(facility.code().into()), Some(facility));
        }
        assert_eq!(Facility::default().code(), 4);
        for code in [0, 2, 9, 15, 24, 260] {
            assert_eq!(Facility::from_code(code), None);
        }
    }
}
