//! AuthorizedKeysCommand and AuthorizedPrincipalsCommand: programs of the administrator that are
//! asked who may log in.
//!
//! The monitor runs nothing. systemd does, in a unit of its own with the user and the groups of
//! AuthorizedKeysCommandUser; its policy is in `sshd-privsep-command-.service.d/10-vendor.conf`. What
//! it writes comes back through a pipe, at most as much as a file may have, and within a deadline.
//! A program that fails has said nothing, whatever it wrote (as in OpenSSH).
//!
//! It runs for users who exist and may log in only: its arguments are text of the client's choice,
//! and a stranger need not be able to have programs started under any name. For all others as much
//! time passes as its last runs took ([`pretend`]).
//!
//! getent(1), which UseDNS has asked for names of hosts, runs in the same way; its arguments are an
//! address and what that resolves to.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use accounts::bounded::{self, NotDone, Owner, number_of};
use accounts::identity::{self, IdentityError};
use accounts::{Account, LookupError, ProgramRefusal, check_program, lookup_within};
use base64ct::{Base64, Encoding};
use config::authorized_keys::FILE_LIMIT;
use config::sshd::{SshdConfig, Template};
use journal::{Escaped, RateLimit, Verdict};
use rpc::{ConnectionId, Network};
use thiserror::Error;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{AcquireError, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio::{join, select};
use tracing::{Instrument, Span, error};

use crate::account::blocking;
use crate::client_key::ClientKey;
use crate::open_session::Origin;
use crate::shares::{Share, Shares};
use crate::systemd::{CommandEnd, CommandUnit, CommandUser, ServiceManager, StartError};

/// How long a command may take, from the wish to run it to its end. Who must wait longer for a
/// directory server does better with a cache of its own, as SSSD has.
#[cfg(not(test))]
const DEADLINE: Duration = Duration::from_secs(10);
#[cfg(test)]
const DEADLINE: Duration = Duration::from_secs(1);

/// How long after that the pipe may stay open: systemd has to kill who does not go.
const GRACE: Duration = Duration::from_secs(5);

/// How long it may take to look up its user, and to look at its program.
const PREPARATION_DEADLINE: Duration = Duration::from_secs(5);

/// What wants to know names of hosts.
const USE_DNS: &str = "UseDNS";

/// Status of getent(1) for what is not there.
const NOT_FOUND: i32 = 2;

/// How many run at the same time, and for one account. Others wait, within their own deadline. One account's command that
/// hangs must not keep the keys of another from being found.
static ROOM: Shares<u32> = Shares::new(32, 8);

/// How many ask for names of hosts, and for one client. Strangers choose which name servers are asked, and how slowly these
/// answer: that must not keep anybody's keys from being found either.
static NAMES_ROOM: Shares<Option<Network>> = Shares::new(16, 4);

/// Which command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// AuthorizedKeysCommand: lines of authorized_keys.
    Keys,
    /// AuthorizedPrincipalsCommand: lines of AuthorizedPrincipalsFile.
    Principals,
}

/// What a command is asked: whether this user may log in with this key from there.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Whose key it should be.
    pub account: &'a Account,
    /// The key, or the certificate.
    pub key: &'a ClientKey,
    /// The connection.
    pub origin: Origin,
}

/// Runs the command of `purpose`, if one is configured, and yields what it wrote. `None` if there is
/// no command or if it failed, which the journal then tells.
///
/// When the caller no longer waits, the command is stopped.
pub async fn ask<M: ServiceManager>(
    services: &Arc<M>,
    purpose: Purpose,
    config: &SshdConfig,
    question: Question<'_>,
) -> Option<Vec<u8>> {
    let (command, user) = purpose.configured(config)?;
    let started = Instant::now();
    let invocation = Invocation::new(purpose, command, user, question);
    let text = invocation.spawn(services, question.origin.id).await;
    purpose.times().note(started.elapsed());
    text
}

/// Asks the name service through getent(1), as a user that is there for this one process: other processes of `nobody`
/// could have a say in the answer, and those of the workers' user would be within the reach of whoever answers. `None` if
/// it does not know, or not in time.
pub async fn getent<M: ServiceManager>(
    services: &Arc<M>,
    id: ConnectionId,
    client: Option<Network>,
    database: &str,
    key: String,
) -> Option<Vec<u8>> {
    let invocation = Invocation {
        keyword: USE_DNS,
        words: vec!["/usr/bin/getent".to_owned(), database.to_owned(), key],
        user: CommandUser::OfItsOwn,
        asker: Asker::Client(client),
    };
    invocation.spawn(services, id).await
}

/// Takes the time of the command of `purpose`, if one is configured, for those for whom it is not
/// run: refusals must not come earlier for a user that does not exist.
pub async fn pretend(purpose: Purpose, config: &SshdConfig) {
    if purpose.configured(config).is_some() {
        sleep(purpose.times().next()).await;
    }
}

impl Purpose {
    /// How long its last runs took.
    fn times(self) -> &'static Times {
        static KEYS: Times = Times::new();
        static PRINCIPALS: Times = Times::new();
        match self {
            Self::Keys => &KEYS,
            Self::Principals => &PRINCIPALS,
        }
    }

    fn keyword(self) -> &'static str {
        match self {
            Self::Keys => "AuthorizedKeysCommand",
            Self::Principals => "AuthorizedPrincipalsCommand",
        }
    }

    /// The command and its user. Without a user the configuration is refused.
    fn configured(self, config: &SshdConfig) -> Option<(&Template, &Template)> {
        let (command, user) = match self {
            Self::Keys => (
                &config.authorized_keys_command,
                &config.authorized_keys_command_user,
            ),
            Self::Principals => (
                &config.authorized_principals_command,
                &config.authorized_principals_command_user,
            ),
        };
        command.as_ref().zip(user.as_ref())
    }
}

/// How long the last runs of a command took, to take as long without one.
///
/// The same times, and not their mean: whoever measures often would see that they are all alike.
#[derive(Debug)]
struct Times(Mutex<VecDeque<Duration>>);

impl Times {
    /// How many are kept.
    const LIMIT: usize = 64;
    /// What counts before the first one.
    const GUESS: Duration = Duration::from_millis(50);

    const fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }

    fn note(&self, time: Duration) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if times.len() >= Self::LIMIT {
            times.pop_front();
        }
        times.push_back(time);
    }

    /// One after the other.
    fn next(&self) -> Duration {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(time) = times.pop_front() else {
            return Self::GUESS;
        };
        times.push_back(time);
        time
    }
}

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Invocation {
    keyword: &'static str,
    /// The program and its arguments; empty if the command has a quotation without end.
    words: Vec<String>,
    /// Who runs it.
    user: CommandUser,
    asker: Asker,
}

/// Who is to have an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    /// The account with this user id.
    Account(u32),
    /// A client, by the network that it shares with nobody else (PerSourceNetBlockSize).
    Client(Option<Network>),
}

impl Asker {
    /// Waits until it may have a command run.
    async fn room(self) -> Result<Share<'static>, AcquireError> {
        match self {
            Self::Account(uid) => ROOM.enter(uid).await,
            Self::Client(client) => NAMES_ROOM.enter(client).await,
        }
    }
}

impl Invocation {
    /// As OpenSSH: split first, then each word but the program has its tokens replaced.
    fn new(purpose: Purpose, command: &Template, user: &Template, question: Question<'_>) -> Self {
        let name = &question.account.name;
        let mut words = Vec::new();
        let mut templates = command.words().unwrap_or_default().into_iter();
        words.extend(templates.next().map(|program| program.as_str().to_owned()));
        words.extend(templates.map(|word| word.expand(|token| question.value(token))));
        if purpose == Purpose::Keys && words.len() == 1 {
            words.push(name.clone());
        }
        Self {
            keyword: purpose.keyword(),
            words,
            // Other tokens are refused with the configuration.
            user: CommandUser::Login(user.expand(|_u| name.clone())),
            asker: Asker::Account(question.account.uid),
        }
    }

    /// Runs in a task of its own, and yields what it wrote, if it was a success. When the caller no longer
    /// waits, it is stopped.
    async fn spawn<M: ServiceManager>(
        self,
        services: &Arc<M>,
        id: ConnectionId,
    ) -> Option<Vec<u8>> {
        let (mut answer, asked) = oneshot::channel();
        let services = Arc::clone(services);
        // A task of its own: it sees to the end of the unit also when nobody waits any more.
        let run = async move {
            let text = self.run(&*services, id, answer.closed()).await;
            let text = text.inspect_err(|why| self.report(why));
            // Who asked may be gone.
            drop(answer.send(text.ok()));
        };
        tokio::spawn(run.instrument(Span::current()));
        asked.await.ok().flatten()
    }

    async fn run<M: ServiceManager>(
        &self,
        services: &M,
        id: ConnectionId,
        unwanted: impl Future<Output = ()> + Send,
    ) -> Result<Vec<u8>, Silent> {
        let deadline = Instant::now() + DEADLINE;
        let Some((program, arguments)) = self.words.split_first() else {
            return Err(Silent::Quotes);
        };
        if self.words.iter().any(|word| word.contains('\0')) {
            return Err(Silent::Nul);
        }
        let room = timeout_at(deadline, self.asker.room()).await;
        let _room = room.map_err(|_elapsed| Silent::Deadline)?;
        let Prepared { user, ours, theirs } = self.prepare(program).await?;
        let pipe = Receiver::from_owned_fd(ours)?;

        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let unit = CommandUnit {
            name: format!("sshd-privsep-command-{id}-{number}.service"),
            description: format!("{} of sshd_config", self.keyword),
            user,
            program: program.clone(),
            arguments: arguments.to_owned(),
            stdout: theirs,
        };
        let enough = async {
            select! {
                () = sleep_until(deadline) => {}
                () = unwanted => {}
            }
        };
        let text = timeout_at(deadline + GRACE, read(pipe));
        let (text, end) = join!(text, services.run_command(unit, enough));
        let text = text.map_err(|_elapsed| Silent::Deadline)??;
        match end? {
            CommandEnd::Exited(0) => Ok(text),
            CommandEnd::Exited(status) => Err(Silent::Status(status)),
            CommandEnd::Killed(signal) => Err(Silent::Signal(signal)),
            CommandEnd::Stopped => Err(Silent::Deadline),
        }
    }

    /// Looks at the program, and makes a pipe, as the user who is to run it: what that user may not
    /// reach is not there, and the pipe belongs to them, so that `/dev/stdout` can be opened. A user
    /// of its own is not there yet.
    async fn prepare(&self, program: &str) -> Result<Prepared, Silent> {
        let (user, program) = (self.user.clone(), PathBuf::from(program));
        let work = move || {
            let account = match &user {
                CommandUser::OfItsOwn => None,
                CommandUser::Login(name) => {
                    let found = lookup_within(name, PREPARATION_DEADLINE)?;
                    Some(found.ok_or_else(|| Silent::NoUser(name.clone()))?)
                }
            };
            let user = match &account {
                None => CommandUser::OfItsOwn,
                Some(account) => CommandUser::Login(account.name.clone()),
            };
            let owner = Owner::Server(number_of(&program));
            let program = program.clone();
            let look = move || {
                if let Some(account) = &account {
                    identity::assume(account)?;
                }
                check_program(&program)?;
                Ok::<_, Silent>(io::pipe()?)
            };
            let (ours, theirs) = bounded::run(owner, PREPARATION_DEADLINE, look)??;
            Ok(Prepared {
                user,
                ours: ours.into(),
                theirs: theirs.into(),
            })
        };
        let busy = |done: &Result<Prepared, Silent>| {
            matches!(
                done,
                Err(Silent::NotDone(NotDone::Busy)
                    | Silent::Lookup(LookupError::NotDone(NotDone::Busy)))
            )
        };
        let done = blocking(work, busy).await;
        done.unwrap_or(Err(Silent::NotDone(NotDone::Failed)))
    }

    /// Says in the journal why nothing came of it, in OpenSSH's words where it has any.
    fn report(&self, why: &Silent) {
        if self.keyword == USE_DNS && matches!(why, Silent::Status(NOT_FOUND)) {
            return;
        }
        // A stranger with the name of a user can try as often as MaxStartups lets them.
        static REPORTS: RateLimit = RateLimit::new(20, Duration::from_secs(10));
        let Verdict::Log { suppressed } = REPORTS.check() else {
            return;
        };
        let keyword = self.keyword;
        let program = self.words.first().map_or("", String::as_str);
        let line = self.words.join(" ");
        // The client chose what some tokens stand for.
        let line = Escaped::new(&line).limit(512);
        match why {
            Silent::NoUser(user) => error!(suppressed, "Invalid {keyword}User \"{user}\""),
            Silent::Program(ProgramRefusal::Unknown(error)) => {
                error!(
                    suppressed,
                    "Could not stat {keyword} \"{program}\": {error}"
                );
            }
            Silent::Program(why @ ProgramRefusal::Unsafe { .. }) => {
                error!(suppressed, "Unsafe {keyword} \"{program}\": {why}");
            }
            why => error!(suppressed, "{keyword} {line} {why}"),
        }
    }
}

/// What a command can be started with.
struct Prepared {
    user: CommandUser,
    ours: OwnedFd,
    theirs: OwnedFd,
}

/// Why a command said nothing.
#[derive(Debug, Error)]
enum Silent {
    #[error("contains invalid quotes")]
    Quotes,
    #[error("would have a NUL in an argument")]
    Nul,
    #[error("would run as a user who does not exist")]
    NoUser(String),
    #[error("could not be run: {0}")]
    Lookup(#[from] LookupError),
    #[error("could not be run: {0}")]
    Identity(#[from] IdentityError),
    #[error("could not be run: {0}")]
    Program(#[from] ProgramRefusal),
    #[error("could not be run: {0}")]
    NotDone(#[from] NotDone),
    #[error("could not be run: {0}")]
    Io(#[from] io::Error),
    #[error("could not be run: {0}")]
    Start(#[from] StartError),
    #[error("failed, status {0}")]
    Status(i32),
    #[error("exited on signal {0}")]
    Signal(i32),
    #[error("did not end within {} seconds", DEADLINE.as_secs())]
    Deadline,
    #[error("wrote more than {FILE_LIMIT} bytes")]
    TooLong,
}

/// Reads to the end. Beyond the limit the pipe is closed, on which most programs end.
async fn read(pipe: Receiver) -> Result<Vec<u8>, Silent> {
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    loop {
        pipe.readable().await?;
        match pipe.try_read(&mut piece) {
            Ok(0) => return Ok(text),
            Ok(length) => text.extend(piece.iter().take(length)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        if text.len() > FILE_LIMIT {
            return Err(Silent::TooLong);
        }
    }
}

impl Question<'_> {
    /// What a token of sshd_config(5), TOKENS, stands for.
    fn value(&self, token: char) -> String {
        let (peer, local) = (self.origin.endpoints.peer(), self.origin.endpoints.local());
        let certified = match self.key {
            ClientKey::Plain(_) => None,
            ClientKey::Certified(certified) => Some(certified),
        };
        let authority = certified.map(|certified| certified.authority());
        let certificate = certified.map(|certified| certified.certificate());
        match token {
            'C' => format!(
                "{} {} {} {}",
                peer.address(),
                peer.port(),
                local.address(),
                local.port()
            ),
            'D' => said(self.origin.rdomain),
            'F' => said(authority.map(|key| key.fingerprint())),
            'f' => self.key.fingerprint().to_string(),
            'h' => self.account.home.display().to_string(),
            'i' => said(certificate.map(|certificate| &certificate.key_id)),
            'K' => said(authority.map(|key| Base64::encode_string(key.blob()))),
            'k' => Base64::encode_string(self.key.blob()),
            's' => said(certificate.map(|certificate| certificate.serial)),
            'T' => said(authority.map(|key| key.key_type().name())),
            't' => self.key.key_type().name().to_owned(),
            'U' => self.account.uid.to_string(),
            'u' => self.account.name.clone(),
            // Others are refused with the configuration.
            _ => String::new(),
        }
    }
}

/// A text for what may not be there.
fn said(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

#[cfg(test)]
mod tests;
