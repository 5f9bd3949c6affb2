//! Every sequence of calls that a worker can make, up to a depth: no session opens without a proof
//! for every method that is wanted, all of them for the user who is bound.
//!
//! The real conversation runs, with its phases, proofs and lists. Only leaves are not real: systemd,
//! and the process that judges passwords. What is known about a connection cannot be copied, so each
//! state is reached again by the calls that led there; those that lead to a known one are not
//! followed any further.

mod alphabet;

use std::collections::HashSet;

use rpc::pam::{Question as Asks, Subject};
use wire::secret::Secret;

use self::alphabet::{CALLS, Call, Given, HOST, Keys, Means, Name, Signature};
use super::*;
use crate::testing::PamScript;

const DEPTH: usize = 8;

/// Three ways to log in, of which two have two steps; and groups to exchange keys in.
const RULES: &str = "PasswordAuthentication yes\nKbdInteractiveAuthentication yes\n\
    HostbasedAuthentication yes\nHostbasedUsesNameFromPacketOnly yes\nMaxAuthTries 2\n\
    AuthenticationMethods publickey,password hostbased,password keyboard-interactive\n\
    KexAlgorithms curve25519-sha256,diffie-hellman-group-exchange-sha256\nModuliFile none\n";

fn secret(text: &str) -> Secret {
    Secret::copy(text.as_bytes()).unwrap()
}

/// A process that knows the right password, the one that has expired, and the right answer.
fn judge() -> PamScript {
    Box::new(|channel: Channel| {
        let start = channel.start().unwrap();
        let accepted = |password| Verdict::Accepted {
            password,
            environment: Vec::new(),
        };
        let refused = |refusal| Verdict::Refused {
            refusal,
            reason: String::new(),
        };
        let is = |given: &Secret, text: &str| *given == secret(text);
        let verdict = match &start.task {
            _ if start.subject != Subject::Somebody => refused(Refusal::Credentials),
            Task::Password(password) if is(password, "right") => accepted(PasswordState::Kept),
            Task::Password(password) if is(password, "expired") => Verdict::PasswordExpired {
                environment: Vec::new(),
            },
            Task::Password(password) if is(password, "locked") => refused(Refusal::Account),
            Task::PasswordChange { old, .. } if is(old, "expired") => {
                accepted(PasswordState::Changed)
            }
            Task::KeyboardInteractive => {
                let text = "? ".to_owned();
                let style = Style::Secret;
                let messages = vec![Message { style, text }];
                match channel.ask(&Asks { messages }) {
                    Ok(answers) if answers == [secret("right")] => accepted(PasswordState::Kept),
                    Ok(_) => refused(Refusal::Credentials),
                    Err(_) => return,
                }
            }
            Task::Password(_) | Task::PasswordChange { .. } | Task::Account => {
                refused(Refusal::Credentials)
            }
        };
        let end = End {
            verdict,
            messages: Vec::new(),
            delay: Duration::ZERO,
        };
        drop(channel.end(&end));
    })
}

/// A machine with a user, whom a key and a host can log in.
struct World {
    machine: Machine,
    client: Client,
    host: Client,
    stranger: Client,
    _files: Directory,
}

impl World {
    fn new() -> Self {
        let (client, host, stranger) = (Client::new(), Client::new(), Client::new());
        let mut machine = Machine::new(&[&client], RULES);
        if machine.user == "root" {
            // Whom the system's files trust no host for.
            "daemon".clone_into(&mut machine.user);
        }
        let files = Directory::new();
        let policy = Arc::get_mut(&mut machine.policy).unwrap();
        let trusted = &mut policy.trusted_hosts;
        trusted.equivalent[1] = files.write("shosts.equiv", &format!("{HOST}\n"));
        trusted.known_hosts[0] = files.write("known_hosts", &format!("{HOST} {}", host.line()));
        Self {
            machine,
            client,
            host,
            stranger,
            _files: files,
        }
    }

    /// Makes the calls of a path from the beginning. `None`: one of them broke the connection.
    async fn walk(&self, path: &[Call]) -> (Bench, Option<()>) {
        let mut bench = Bench::new(&self.machine);
        bench.conversation.delay = Arc::new(FailureDelay::none());
        let mut session = None;
        for call in path {
            bench.services.script_pam(judge());
            let question = self.question(*call, session.as_deref());
            if let (Call::SignExchange(keys), None) = (call, &session) {
                let group = match &bench.conversation.group {
                    GroupExchange::Chosen(chosen) => Some(chosen),
                    GroupExchange::NotAsked | GroupExchange::NoneFits => None,
                };
                session = Some(self.machine.hash_with(&self.values(*keys, None), group));
            }
            if bench.conversation.answer(question).await.is_err() {
                return (bench, None);
            }
        }
        (bench, Some(()))
    }
}

/// What the calls prove by themselves, told without the code under test: the first name binds, and
/// one of the lists is complete.
fn may_log_in(path: &[Call]) -> bool {
    let position = |wanted: &[Call]| path.iter().position(|call| wanted.contains(call));
    let own = |means| Call::Authenticate(Name::Own, means);
    let names_other = |call: &Call| matches!(call, Call::Authenticate(Name::Other, _));
    let exchanges = [Keys::OnCurve, Keys::InGroup].map(Call::SignExchange);
    if path.iter().any(names_other) || position(&exchanges).is_none() {
        return false;
    }
    let passwords = [
        own(Means::Password("right")),
        own(Means::NewPassword { old: "expired" }),
    ];
    let firsts = [Means::Key(Signature::Good), Means::Host(Signature::Good)].map(own);
    let both = position(&firsts).is_some_and(|at| {
        let rest = path.split_at(at).1;
        rest.iter().any(|call| passwords.contains(call))
    });
    // Other calls than requests leave the question open.
    let requests = path
        .iter()
        .filter(|call| matches!(call, Call::Authenticate(..) | Call::Answer(_)));
    let requests: Vec<Call> = requests.copied().collect();
    let dialog = [own(Means::Interactive), Call::Answer(Given::Text("right"))];
    both || requests.windows(2).any(|pair| pair == dialog)
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
    let world = World::new();
    let mut seen = HashSet::new();
    let mut paths = vec![Vec::new()];
    let (mut walked, mut logins) = (0, Vec::new());
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for path in &paths {
            for call in CALLS {
                let path: Vec<Call> = [path.as_slice(), &[*call]].concat();
                let (bench, alive) = world.walk(&path).await;
                walked += 1;
                // What broke the connection opened nothing: the session is from before.
                let led_here = match alive {
                    Some(()) => path.as_slice(),
                    None => path.split_last().map_or(&[][..], |(_, before)| before),
                };
                let users = bench.services.sessions.lock().unwrap();
                if let Some((user, _)) = users.first() {
                    assert!(may_log_in(led_here), "{path:?}");
                    assert_eq!(*user, world.machine.user);
                    logins.push(led_here.to_vec());
                }
                drop(users);
                match alive {
                    Some(()) if seen.insert(state(&bench)) => next.push(path),
                    Some(()) => {}
                    None => assert_eq!(bench.conversation.phase.name(), "over"),
                }
            }
        }
        paths = next;
    }
    // It saw logins by each list, in either kind of connection, and many states without one.
    for needed in [
        Call::SignExchange(Keys::OnCurve),
        Call::SignExchange(Keys::InGroup),
        Call::Authenticate(Name::Own, Means::Key(Signature::Good)),
        Call::Authenticate(Name::Own, Means::Host(Signature::Good)),
        Call::Authenticate(Name::Own, Means::Password("right")),
        Call::Authenticate(Name::Own, Means::NewPassword { old: "expired" }),
        Call::Answer(Given::Text("right")),
    ] {
        let by = logins.iter().filter(|path| path.contains(&needed));
        assert!(by.count() > 0, "{needed:?} is in no login");
    }
    assert!(seen.len() > 200, "{} states of {walked} paths", seen.len());
}
