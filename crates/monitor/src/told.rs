//! What is kept for users until their login: which lines, files and certificates did not count for the keys that they
//! or their hosts presented, and why. `ssh -v` shows it.
//!
//! It is told to who has logged in to the account, and could read its files: a stranger learns nothing of them. sshd does
//! the same (auth_debug_add), and says everything once for the question about a key and once for its signature. Here each
//! thing is said once.

/// How many remarks are kept. What the [options](crate::key_options) of the key say must find room behind them
/// ([`REMARKS_LIMIT`](rpc::lane::REMARKS_LIMIT)).
const LIMIT: usize = 8;

/// What a user will be told.
#[derive(Debug, Default)]
pub struct Told(Vec<String>);

impl Told {
    /// Keeps what is new.
    pub fn keep(&mut self, lines: impl IntoIterator<Item = String>) {
        for line in lines {
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

    #[test]
    fn each_thing_is_told_once() {
        let mut told = Told::default();
        for _ in 0..2 {
            told.keep(["no".to_owned(), "nor this".to_owned()]);
        }
        assert_eq!(told.lines(), ["no", "nor this"]);
    }

    #[test]
    fn what_is_kept_for_a_stranger_is_bounded() {
        let mut told = Told::default();
        told.keep((0..100).map(|number| number.to_string()));
        assert_eq!(told.lines().len(), LIMIT);
    }
}
