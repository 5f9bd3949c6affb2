//! Every sequence of calls that a worker can make, up to a depth: no session opens without a proof
//! for every method that is wanted, all of them for the user who is bound.
//!
//! The real conversation runs, with its phases, proofs and lists. Only leaves are not real: systemd,
//! and the process that judges passwords. What is known about a connection cannot be copied, so each
//! state is reached again by the calls that led there; those that lead to a known one are not
//! followed any further.

use std::collections::HashSet;

use rpc::pam::{
    Channel, End, Message, PasswordState, Question as Asks, Style, Subject, Task, Verdict,
};
use wire::secret::Secret;
use wire::userauth::{KeyboardInteractiveRequest, PasswordRequest};

use super::*;
use crate::testing::PamScript;

const DEPTH: usize = 8;

/// Two ways to log in, of which one has two steps.
const RULES: &str = "PasswordAuthentication yes\nKbdInteractiveAuthentication yes\nMaxAuthTries 3\n\
    AuthenticationMethods publickey,password keyboard-interactive\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    ChooseGroup,
    Exchange,
    ForeignExchange,
    None,
    AskKey,
    Key,
    ForgedKey,
    ForeignKey,
    Password,
    WrongPassword,
    Interactive,
    Unsupported,
    OthersKey,
    OthersPassword,
    Answer,
    WrongAnswer,
    ProveHostKeys,
    Report,
}

const CALLS: [Call; 18] = [
    Call::ChooseGroup,
    Call::Exchange,
    Call::ForeignExchange,
    Call::None,
    Call::AskKey,
    Call::Key,
    Call::ForgedKey,
    Call::ForeignKey,
    Call::Password,
    Call::WrongPassword,
    Call::Interactive,
    Call::Unsupported,
    Call::OthersKey,
    Call::OthersPassword,
    Call::Answer,
    Call::WrongAnswer,
    Call::ProveHostKeys,
    Call::Report,
];

fn secret(text: &str) -> Secret {
    Secret::copy(text.as_bytes()).unwrap()
}

/// A process that knows the right password and the right answer.
fn judge() -> PamScript {
    Box::new(|channel: Channel| {
        let start = channel.start().unwrap();
        let right = match &start.task {
            Task::Password(password) => *password == secret("right"),
            Task::KeyboardInteractive => {
                let text = "? ".to_owned();
                let style = Style::Secret;
                let messages = vec![Message { style, text }];
                match channel.ask(&Asks { messages }) {
                    Ok(answers) => answers == [secret("right")],
                    Err(_) => return,
                }
            }
            Task::Account | Task::PasswordChange { .. } => false,
        };
        let verdict = match right && start.subject == Subject::Somebody {
            true => Verdict::Accepted {
                password: PasswordState::Kept,
                environment: Vec::new(),
            },
            false => Verdict::Refused {
                refusal: Refusal::Credentials,
                reason: String::new(),
            },
        };
        let end = End {
            verdict,
            messages: Vec::new(),
            delay: Duration::ZERO,
        };
        drop(channel.end(&end));
    })
}

struct World {
    machine: Machine,
    client: Client,
    stranger: Client,
}

impl World {
    /// Makes the calls of a path from the beginning. `None`: one of them broke the connection.
    async fn walk(&self, path: &[Call]) -> (Bench, Option<()>) {
        let mut bench = Bench::new(&self.machine);
        bench.conversation.delay = Arc::new(FailureDelay::none());
        for _ in 0..path.len() {
            bench.services.script_pam(judge());
        }
        for call in path {
            if self.make(&mut bench, *call).await.is_err() {
                return (bench, None);
            }
        }
        (bench, Some(()))
    }

    async fn make(&self, bench: &mut Bench, call: Call) -> Result<(), Broken> {
        let user = self.machine.user.as_str();
        let session = self.machine.hash(&self.machine.exchange(1));
        let signed = |client: &Client, user: &str, session: &[u8]| {
            publickey(user, client.blob(), Some(client.sign(session, user)))
        };
        let password = |user: &str, text: &str| {
            let login = PasswordRequest::Login(secret(text));
            request(user, AuthMethod::Password(login))
        };
        let asked = match call {
            Call::ChooseGroup => {
                let group = GroupRequest::new(2048, 2048, 8192).unwrap();
                return bench.conversation.choose_group(group).map(drop);
            }
            Call::Exchange => {
                let share = match bench.conversation.phase {
                    Phase::AwaitingExchange => 1,
                    _ => 2,
                };
                let values = self.machine.exchange(share);
                return bench.conversation.sign_exchange(values).await.map(drop);
            }
            Call::ForeignExchange => {
                let mut values = self.machine.exchange(3);
                values.host_key = SignatureAlgorithm::EcdsaNistp256;
                return bench.conversation.sign_exchange(values).await.map(drop);
            }
            Call::ProveHostKeys => {
                let keys = [self.client.blob()];
                return bench.conversation.prove_host_keys(&keys).map(drop);
            }
            Call::Report => return bench.conversation.report(&ConnectionEnd::Closed),
            Call::Answer | Call::WrongAnswer => {
                let text = if call == Call::Answer {
                    "right"
                } else {
                    "wrong"
                };
                let responses = Responses::Given(vec![secret(text)]);
                let answered = bench.conversation.answer_question(responses).await;
                return answered.map(drop);
            }
            Call::None => request(user, AuthMethod::None),
            Call::AskKey => publickey(user, self.client.blob(), None),
            Call::Key => signed(&self.client, user, &session),
            Call::ForgedKey => signed(&self.client, user, b"another session"),
            Call::ForeignKey => signed(&self.stranger, user, &session),
            Call::OthersKey => signed(&self.client, UNKNOWN, &session),
            Call::Password => password(user, "right"),
            Call::WrongPassword => password(user, "wrong"),
            Call::OthersPassword => password(UNKNOWN, "right"),
            Call::Interactive => {
                let submethods = String::new();
                let method = KeyboardInteractiveRequest { submethods };
                request(user, AuthMethod::KeyboardInteractive(method))
            }
            Call::Unsupported => {
                request(user, AuthMethod::Unsupported("gssapi-with-mic".to_owned()))
            }
        };
        bench.ask(asked).await.map(drop)
    }
}

/// What the calls prove by themselves, told without the code under test: the first name binds, and
/// either list is complete.
fn may_log_in(path: &[Call]) -> bool {
    let names_other = |call: &Call| matches!(call, Call::OthersKey | Call::OthersPassword);
    if path.iter().any(names_other) || !path.contains(&Call::Exchange) {
        return false;
    }
    let key = path.iter().position(|call| *call == Call::Key);
    let both = key.is_some_and(|at| path[at..].contains(&Call::Password));
    // Other calls than requests leave the question open.
    let requests = path
        .iter()
        .filter(|call| !matches!(call, Call::ChooseGroup | Call::Exchange | Call::Report));
    let requests: Vec<Call> = requests.copied().collect();
    let answered = requests
        .windows(2)
        .any(|pair| pair == [Call::Interactive, Call::Answer]);
    both || answered
}

/// What the rest of a connection depends on.
fn state(bench: &Bench) -> String {
    format!(
        "{:?} {}",
        bench.conversation.group,
        bench.conversation.phase.summary()
    )
}

#[tokio::test]
async fn no_sequence_of_calls_opens_a_session_without_proofs() {
    let (client, stranger) = (Client::new(), Client::new());
    let world = World {
        machine: Machine::new(&[&client], RULES),
        client,
        stranger,
    };
    let mut seen = HashSet::new();
    let mut paths = vec![Vec::new()];
    let (mut walked, mut logins) = (0, 0);
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for path in &paths {
            for call in CALLS {
                let path: Vec<Call> = [path.as_slice(), &[call]].concat();
                let (bench, alive) = world.walk(&path).await;
                walked += 1;
                let opened = !bench.services.sessions.lock().unwrap().is_empty();
                // What broke the connection opened nothing: the session is from before.
                let led_here = match alive {
                    Some(()) => path.as_slice(),
                    None => path.split_last().map_or(&[][..], |(_, before)| before),
                };
                assert!(!opened || may_log_in(led_here), "{path:?}");
                logins += usize::from(opened);
                match alive {
                    Some(()) if seen.insert(state(&bench)) => next.push(path),
                    Some(()) => {}
                    None => assert_eq!(bench.conversation.phase.name(), "over"),
                }
            }
        }
        paths = next;
    }
    // It saw logins, by both lists, and many states without one.
    assert!(logins > 2, "{logins} logins of {walked} paths");
    assert!(seen.len() > 30, "{} states", seen.len());
}
