//! What is kept for users until their login: which lines, files and certificates did not count for the keys that they
//! presented, and why. `ssh -v` shows it.
//!
//! It is told to who has logged in to the account, and could read its files: a stranger learns nothing of them. sshd does
//! the same (auth_debug_add), and says everything once for the question about a key and once for its signature. Here each
//! thing is said once.

use crate::listing::Remark;

/// How many remarks are kept. What the [options](crate::key_options) of the key say must find room behind them
/// ([`REMARKS_LIMIT`](rpc::lane::REMARKS_LIMIT)).
const LIMIT: usize = 8;

/// What a user will be told.
#[derive(Debug, Default)]
pub struct Told(Vec<String>);

impl Told {
    /// Keeps what is not for the log alone, and is new.
    pub fn keep(&mut self, remarks: &[Remark]) {
        for line in remarks.iter().filter_map(Remark::told) {
            if self.0.len() < LIMIT && !self.0.contains(&line) {
                self.0.push(line);
            }
        }
    }

    /// In the order in which it was found.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use accounts::KeyRefusal;

    fn unmet(line: usize) -> Remark {
        let refusal = KeyRefusal::Unmet {
            place: format!("/k:{line}"),
            why: "for the log".to_owned(),
            told: "no".to_owned(),
        };
        refusal.into()
    }

    #[test]
    fn each_thing_is_told_once_and_what_is_for_the_log_never() {
        let mut told = Told::default();
        for _ in 0..2 {
            let extension = KeyRefusal::Extension("x".to_owned());
            told.keep(&[unmet(1), extension.into(), unmet(2)]);
        }
        assert_eq!(told.lines(), ["/k:1: no", "/k:2: no"]);
    }

    #[test]
    fn what_is_kept_for_a_stranger_is_bounded() {
        let mut told = Told::default();
        (0..100).for_each(|line| told.keep(&[unmet(line)]));
        assert_eq!(told.lines().len(), LIMIT);
    }
}
