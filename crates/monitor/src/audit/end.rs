//! How connections end, as their workers report it.

use std::fmt;
use std::time::Duration;

use journal::message_id::DISCONNECTED;
use journal::{Escaped, RateLimit, Verdict};
use rpc::Endpoints;
use rpc::preauth::ConnectionEnd;
use tracing::info;

use super::{Subject, Validity};

/// How far a connection had come when it ended.
#[derive(Debug, Clone, Copy)]
pub enum Stage<'a> {
    /// Nobody was logged in; who tried, if anybody.
    Before(Option<Subject<'a>>),
    /// This user was.
    LoggedIn(&'a str),
}

/// Takes down the worker's last word. What strangers cause is rate limited.
pub fn reported(endpoints: Endpoints, stage: Stage<'_>, end: &ConnectionEnd) {
    static STRANGERS: RateLimit = RateLimit::new(100, Duration::from_secs(10));
    let suppressed = match stage {
        Stage::LoggedIn(_) => None,
        Stage::Before(_) => match STRANGERS.check() {
            Verdict::Log { suppressed } => suppressed,
            Verdict::Suppress => return,
        },
    };
    let user = stage.user();
    for line in lines(endpoints, stage, end) {
        info!(message_id = DISCONNECTED, user, suppressed, "{line}");
    }
}

/// OpenSSH's words for an end.
fn lines(endpoints: Endpoints, stage: Stage<'_>, end: &ConnectionEnd) -> Vec<String> {
    let address = endpoints.peer();
    let peer = format!("{}{address}", Who(stage));
    let preauth = match stage {
        Stage::Before(_) => " [preauth]",
        Stage::LoggedIn(_) => "",
    };
    let line = match end {
        // Said when it was decided.
        ConnectionEnd::TooManyFailures | ConnectionEnd::NoMethods | ConnectionEnd::Denied => {
            return Vec::new();
        }
        ConnectionEnd::Closed => format!("Connection closed by {peer}"),
        ConnectionEnd::Socket(error) if error.contains("reset") => {
            format!("Connection reset by {peer}")
        }
        ConnectionEnd::Socket(error) if error.contains("timed out") => {
            format!("Connection from {peer} timed out")
        }
        ConnectionEnd::Socket(error) => {
            format!("Read error from {peer}: {}", Escaped::new(error))
        }
        ConnectionEnd::Disconnected {
            reason,
            description,
        } => {
            let description = Escaped::new(description);
            return vec![
                format!("Received disconnect from {address}:{reason}: {description}{preauth}"),
                format!("Disconnected from {peer}{preauth}"),
            ];
        }
        ConnectionEnd::NotSsh(_) => {
            format!("banner exchange: Connection from {address}: invalid format")
        }
        ConnectionEnd::Incompatible(what) => {
            format!("Unable to negotiate with {address}: {}", Escaped::new(what))
        }
        ConnectionEnd::Misbehaved(what) => {
            format!(
                "ssh_dispatch_run_fatal: Connection from {peer}: {}",
                Escaped::new(what)
            )
        }
        ConnectionEnd::Unresponsive => {
            format!("Timeout, client not responding from {peer}")
        }
        ConnectionEnd::Unused => format!("terminating inactive connection from {peer}"),
        ConnectionEnd::Failed(what) => {
            format!(
                "Connection from {peer} cannot go on: {}",
                Escaped::new(what)
            )
        }
    };
    vec![line + preauth]
}

impl Stage<'_> {
    fn user(&self) -> Option<String> {
        match self {
            Self::LoggedIn(user) => Some(Escaped::word(user).to_string()),
            Self::Before(subject) => subject.map(|subject| subject.name().to_string()),
        }
    }
}

/// "authenticating user alice " and its kin, before an address.
struct Who<'a>(Stage<'a>);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Stage::LoggedIn(user) => write!(f, "user {} ", Escaped::word(user)),
            Stage::Before(None) => Ok(()),
            Stage::Before(Some(subject)) => match subject.validity {
                Validity::Valid => write!(f, "authenticating user {} ", subject.name()),
                Validity::Invalid => write!(f, "invalid user {} ", subject.name()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::userauth::UserName;

    use super::*;

    const END: ConnectionEnd = ConnectionEnd::Closed;

    fn endpoints() -> Endpoints {
        Endpoints::inet(
            "192.0.2.7:4711".parse().unwrap(),
            "192.0.2.1:22".parse().unwrap(),
        )
    }

    fn line(stage: Stage<'_>, end: &ConnectionEnd) -> String {
        lines(endpoints(), stage, end).join("\n")
    }

    #[test]
    fn the_words_are_those_of_openssh() {
        let user = UserName::new("alice").unwrap();
        let tried = |validity| {
            Stage::Before(Some(Subject {
                user: &user,
                validity,
                endpoints: endpoints(),
            }))
        };
        let none = Stage::Before(None);
        for (stage, end, expected) in [
            (
                none,
                END,
                "Connection closed by 192.0.2.7 port 4711 [preauth]",
            ),
            (
                tried(Validity::Valid),
                END,
                "Connection closed by authenticating user alice 192.0.2.7 port 4711 [preauth]",
            ),
            (
                tried(Validity::Invalid),
                ConnectionEnd::Socket("Connection reset by peer (os error 104)".to_owned()),
                "Connection reset by invalid user alice 192.0.2.7 port 4711 [preauth]",
            ),
            (
                Stage::LoggedIn("alice"),
                ConnectionEnd::Disconnected {
                    reason: 11,
                    description: "disconnected by user".to_owned(),
                },
                "Received disconnect from 192.0.2.7 port 4711:11: disconnected by user\n\
                 Disconnected from user alice 192.0.2.7 port 4711",
            ),
            (
                none,
                ConnectionEnd::NotSsh("GET / HTTP/1.1".to_owned()),
                "banner exchange: Connection from 192.0.2.7 port 4711: invalid format [preauth]",
            ),
            (none, ConnectionEnd::TooManyFailures, ""),
        ] {
            assert_eq!(line(stage, &end), expected);
        }
    }

    #[test]
    fn text_of_a_worker_forges_no_line() {
        let description = "bye\nAccepted publickey for root".to_owned();
        let end = ConnectionEnd::Disconnected {
            reason: 11,
            description,
        };
        let lines = lines(endpoints(), Stage::Before(None), &end);
        assert!(lines.iter().all(|line| !line.contains('\n')));
    }
}
