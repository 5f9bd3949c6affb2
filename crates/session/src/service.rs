//! Answers to the worker: which channels there are and what each of them does.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use journal::Escaped;
use rpc::accounting::{LastLogin, Records};
use rpc::lane::{
    FromSession, IdleSeconds, Lane, LaneError, Password, Permissions, ProgramDescriptors,
    SessionStart,
};
use rpc::session::{
    Address, Channel, Connect, Listening, OpenTunnel, Opened, Outcome, Program, ProgramEnd,
    PtyRequest, Remarked, SessionFace, Signal, TunnelOpened, WindowSize, X11Request,
};
use rpc::{ConnectionId, Endpoints, Violation};
use tracing::{debug, error, info, warn};

use crate::environment::{self, Account, ClientEnvironment, Rank, Sources, UnitEnvironment};
use crate::forgetting::{Forgetting, Shown};
use crate::forward::{Agent, Connector, Display, ForwardPolicy, Listeners, NoDisplay, Tunnels};
use crate::greeting::{Greeting, MessageOfTheDay, Preliminaries};
use crate::launch::{self, What};
use crate::outside::Outside;
use crate::policy::{Launch, NoLaunch, Policy, Run, ShellInput};
use crate::process::Process;
use crate::second_stage::{self, Instead};
use crate::terminal::{Pty, Terminal};
use crate::user_environment::{self, UserEnvironment};

/// How long a worker may leave a datagram with descriptors in its lane. It reads them in the loop in which it waits for the
/// answer to its call.
const LANE_DEADLINE: Duration = Duration::from_secs(10);

/// A session of a user: what may be asked of it, and the programs that run in it. Clones are the same session.
#[derive(Debug, Clone)]
pub struct Session(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connection: ConnectionId,
    outside: Outside,
    policy: Policy,
    account: Account,
    endpoints: Endpoints,
    unit: UnitEnvironment,
    password: Password,
    /// `None`: terminals are not recorded.
    records: Option<Arc<Records>>,
    lane: Lane,
    forward_policy: ForwardPolicy,
    connector: Connector,
    /// What PAM modules have said and nobody has seen yet.
    words: Mutex<Vec<u8>>,
    listeners: Listeners,
    tunnels: Tunnels,
    /// Once it is there, it is for all programs, until the connection ends.
    agent: Mutex<Option<Agent>>,
    forgetting: Forgetting,
    /// At most MaxSessions of them. Never locked across an await.
    channels: Mutex<BTreeMap<Channel, State>>,
}

#[derive(Debug)]
enum State {
    Prepared(Preparation),
    Started(Started),
}

/// A channel that has no program yet.
#[derive(Debug, Default)]
struct Preparation {
    environment: ClientEnvironment,
    pty: Option<Pty>,
    display: Option<Display>,
}

/// A channel whose program was started, and may have ended.
#[derive(Debug)]
struct Started {
    number: SessionNumber,
    asked: Program,
    process: Arc<Process>,
    terminal: Option<Terminal>,
    display: Option<Shown>,
}

/// What the log calls a program of this session: the smallest number that is free. So do sshd's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SessionNumber(usize);

impl SessionNumber {
    fn free(channels: &BTreeMap<Channel, State>) -> Self {
        let used = |number: &usize| {
            channels.values().any(|state| match state {
                State::Prepared(_) => false,
                State::Started(started) => started.number.0 == *number,
            })
        };
        // Of so many numbers one is free.
        let free = (0..channels.len()).find(|number| !used(number));
        Self(free.unwrap_or(channels.len()))
    }
}

impl Started {
    /// Takes the terminal from the program, if it has one.
    fn hang_up(&mut self) {
        if self.terminal.take().is_some() {
            // The kernel does the same for the foreground when the worker's copy of the master is closed too. What has
            // ended already cannot be signalled and need not be.
            self.process.signal(Signal::Hup).ok();
        }
    }
}

impl Session {
    /// A session as the monitor wants it, in this unit's environment, with what PAM modules said to the user, records of
    /// its terminals, and a lane to its worker.
    pub fn new(
        mut start: SessionStart,
        unit: UnitEnvironment,
        password: Password,
        words: Vec<u8>,
        records: Option<Records>,
        lane: Lane,
        outside: Outside,
    ) -> Self {
        if password == Password::Expired {
            // As sshd: nothing is forwarded meanwhile.
            start.permissions = Permissions::NONE;
        }
        let rank = if rustix::process::getuid().is_root() {
            Rank::Superuser
        } else {
            Rank::User
        };
        Self(Arc::new(Inner {
            connection: start.id,
            outside,
            policy: Policy::new(&start),
            forward_policy: ForwardPolicy::new(&start),
            connector: Connector::default(),
            listeners: Listeners::default(),
            tunnels: Tunnels::default(),
            agent: Mutex::new(None),
            forgetting: Forgetting::default(),
            account: Account {
                user: start.user,
                home: start.home,
                shell: start.shell,
                rank,
            },
            endpoints: start.endpoints,
            unit,
            password,
            records: records.map(Arc::new),
            lane,
            // As sshd, whose modules would not have been asked.
            words: Mutex::new(if start.process.use_pam {
                words
            } else {
                Vec::new()
            }),
            channels: Mutex::new(BTreeMap::new()),
        }))
    }

    /// Ends what depends on the connection: nothing is listened on any more, all terminals are hung up. Programs without one lose their pipes with the
    /// worker; programs that ignore SIGHUP live on.
    pub fn hang_up(&self) {
        self.0.listeners.close();
        drop(self.agent().take());
        let channels = std::mem::take(&mut *self.channels());
        for state in channels.into_values() {
            self.end(state);
        }
    }

    /// Waits until nothing is left to do for what has ended, a few seconds at most.
    pub async fn finish(&self) {
        self.0.forgetting.finish().await;
    }

    fn channels(&self) -> MutexGuard<'_, BTreeMap<Channel, State>> {
        lock(&self.0.channels)
    }

    fn agent(&self) -> MutexGuard<'_, Option<Agent>> {
        lock(&self.0.agent)
    }

    /// Lets `prepare` work on a channel without a program; the first request for a channel makes it known.
    fn prepare(
        &self,
        channel: Channel,
        prepare: impl FnOnce(&mut Preparation) -> Outcome,
    ) -> Outcome {
        let mut channels = self.channels();
        let room = channels.len() < self.0.policy.max_sessions();
        match channels.entry(channel) {
            Entry::Vacant(vacant) if room => {
                let mut preparation = Preparation::default();
                let outcome = prepare(&mut preparation);
                vacant.insert(State::Prepared(preparation));
                outcome
            }
            Entry::Vacant(_) => Outcome::Refused,
            Entry::Occupied(mut occupied) => match occupied.get_mut() {
                State::Prepared(preparation) => prepare(preparation),
                State::Started(_) => Outcome::Refused,
            },
        }
    }

    /// What the user has set: for this key, then for every session. The file is read for each program, as by sshd.
    fn user_environment(&self) -> UserEnvironment {
        let policy = &self.0.policy;
        let mut set = UserEnvironment {
            variables: policy.environment().to_vec(),
            complaints: String::new(),
        };
        if let Some(patterns) = policy.user_environment() {
            let home = Path::new(&self.0.account.home);
            let file = user_environment::read(home, patterns);
            set.variables.extend(file.variables);
            set.complaints = file.complaints;
        }
        set
    }

    /// Starts the program of a channel; none if it is refused or fails.
    fn launch(&self, channel: Channel, program: Program) -> Option<ProgramDescriptors> {
        let launch = match self.0.policy.launch(program.clone()) {
            Ok(launch) => launch,
            Err(why) => {
                self.report_no_launch(&why);
                return None;
            }
        };
        let mut channels = self.channels();
        let room = channels.len() < self.0.policy.max_sessions();
        let number = SessionNumber::free(&channels);
        let state = match channels.entry(channel) {
            Entry::Vacant(_) if !room => return None,
            Entry::Vacant(vacant) => vacant.insert(State::Prepared(Preparation::default())),
            Entry::Occupied(occupied) => occupied.into_mut(),
        };
        let State::Prepared(Preparation {
            environment,
            pty,
            display,
        }) = state
        else {
            return None;
        };
        let what = match (self.instead(), &launch.run) {
            (Some(instead), _) => What::Instead(instead),
            (None, Run::Shell(input)) => What::Shell(input),
            (None, Run::Sftp(sftp)) => What::Sftp(sftp, self.0.connection),
            (None, Run::SftpOnly) => {
                error!(
                    "Connection from {}: refusing non-sftp session",
                    self.0.endpoints.peer()
                );
                What::Instead(Instead::SftpOnly)
            }
        };
        let user = self.user_environment();
        let sources = Sources {
            client: environment,
            account: &self.0.account,
            user: &user.variables,
            unit: &self.0.unit,
            process: self.0.policy.process(),
            endpoints: self.0.endpoints,
            terminal: pty.as_ref().map(|pty| pty.terminal.names()),
        };
        let mut environment = environment::build(match what {
            What::Instead(_) => sources.of_the_server(),
            What::Shell(_) | What::Sftp(..) => sources,
        });
        let preliminaries = Preliminaries {
            complaints: user.complaints,
            ..self.preliminaries(&program, &launch, pty.as_ref(), display.as_ref())
        };
        if let Some(command) = launch.original_command {
            let name = environment::ORIGINAL_COMMAND.into();
            environment.insert(name, OsString::from_vec(command));
        }
        if let Some(display) = display {
            environment.insert("DISPLAY".into(), display.name().into());
        }
        if let Some(agent) = &*self.agent() {
            environment.insert("SSH_AUTH_SOCK".into(), agent.path().into());
        }
        if let Some(interfaces) = self.0.tunnels.interfaces() {
            environment.insert(environment::TUNNEL.into(), interfaces.into());
        }
        let started = launch::start(
            &self.0.outside,
            &self.0.account,
            what,
            &environment,
            &preliminaries,
            pty.as_ref(),
        );
        let (process, descriptors) = match started {
            Ok(started) => started,
            Err(error) => {
                warn!(channel = channel.0, "cannot start a program: {error}");
                return None;
            }
        };
        let shown = display.take().map(|display| {
            let Inner {
                outside, account, ..
            } = &*self.0;
            let forget =
                launch::forget_display(outside, account, what, &environment, display.gone());
            Shown::new(display, forget)
        });
        let started = Started {
            number,
            asked: program,
            process,
            terminal: pty.take().map(|pty| pty.terminal),
            display: shown,
        };
        self.report_start(&started);
        *state = State::Started(started);
        Some(descriptors)
    }

    /// What comes before a program.
    fn preliminaries(
        &self,
        program: &Program,
        launch: &Launch,
        pty: Option<&Pty>,
        display: Option<&Display>,
    ) -> Preliminaries {
        let policy = &self.0.policy;
        // Said once, to the first program, and to nobody if that is not a shell: so does sshd.
        let words = std::mem::take(&mut *lock(&self.0.words));
        let greeting = match launch.run {
            Run::Shell(ShellInput::CommandLine(_)) | Run::Sftp(_) | Run::SftpOnly => None,
            Run::Shell(ShellInput::Login) => Some(Greeting {
                words: Greeting::words(words, &self.last_login(pty)),
                motd: match pty {
                    Some(_) if policy.process().print_motd => MessageOfTheDay::Printed,
                    Some(_) | None => MessageOfTheDay::Silent,
                },
            }),
        };
        Preliminaries {
            greeting,
            user_rc: policy.user_rc(program),
            x_authority: display.map(Display::authority),
            ..Preliminaries::default()
        }
    }

    /// PrintLastLog, in sshd's words.
    fn last_login(&self, pty: Option<&Pty>) -> Vec<u8> {
        let printed = self.0.policy.process().print_last_log;
        let last = pty.and_then(|pty| pty.last_login.as_ref());
        match last.filter(|_| printed) {
            None => Vec::new(),
            Some(LastLogin { time, host }) if host.is_empty() => {
                format!("Last login: {time}\r\n").into_bytes()
            }
            Some(LastLogin { time, host }) => {
                format!("Last login: {time} from {host}\r\n").into_bytes()
            }
        }
    }

    /// What runs in place of whatever the client asks for. Asked for each program, as by sshd.
    fn instead(&self) -> Option<Instead> {
        let account = &self.0.account;
        if self.0.password == Password::Expired {
            return Some(Instead::PasswordChange);
        }
        let obeyed = self.0.policy.obeys_no_login() && account.rank == Rank::User;
        if obeyed && Path::new(second_stage::NO_LOGIN).exists() {
            info!(
                "User {} not allowed because {} exists",
                account.user,
                second_stage::NO_LOGIN
            );
            return Some(Instead::NoLogin);
        }
        None
    }

    /// Hands descriptors to the worker.
    async fn send(&self, message: &FromSession) -> Result<(), Violation> {
        let sent = tokio::time::timeout(LANE_DEADLINE, self.0.lane.send_from_session(message));
        match sent.await {
            // A worker goes with its client, lane and stream one after the other: nobody hears the answer.
            Ok(Ok(()) | Err(LaneError::Closed)) => Ok(()),
            // A lane that fails otherwise brings no descriptors: the connection ends, and its programs with it.
            Ok(Err(error)) => Err(Violation::new(format!("lane of the worker: {error}"))),
            Err(_elapsed) => Err(Violation::new("worker does not read its lane")),
        }
    }

    fn end(&self, state: State) {
        let State::Started(mut started) = state else {
            return;
        };
        started.hang_up();
        started.process.forget();
        if let Some(shown) = started.display.take() {
            self.0.forgetting.begin(&self.0.outside, shown);
        }
        debug!(
            "Close session: user {} from {} id {}",
            self.0.account.user,
            self.0.endpoints.peer(),
            started.number.0
        );
    }

    fn report_no_launch(&self, why: &NoLaunch) {
        match why {
            // In sshd's words, with as much of the name.
            NoLaunch::UnknownSubsystem(name) => info!(
                "subsystem request for {} by user {} failed, subsystem not found",
                Escaped::word(name).limit(100),
                self.0.account.user
            ),
            NoLaunch::Malformed => {
                error!("internal-sftp: a quotation in its arguments has no end");
            }
        }
    }

    fn report_start(&self, started: &Started) {
        let (on, terminal) = match &started.terminal {
            Some(terminal) => (" on ", terminal.short_name()),
            None => ("", ""),
        };
        let what = match (self.0.policy.forced_command(), &started.asked) {
            (Some(line), _) => format!("forced-command (config) '{line}'"),
            (None, Program::Shell) => "shell".to_owned(),
            (None, Program::Command(_)) => "command".to_owned(),
            // It is one of the names in the configuration.
            (None, Program::Subsystem(name)) => format!("subsystem '{name}'"),
        };
        debug!(
            "Starting session: {what}{on}{terminal} for {} from {} id {}",
            self.0.account.user,
            self.0.endpoints.peer(),
            started.number.0
        );
    }

    /// Lets `act` work on the terminal of a channel, before or after its program was started.
    fn on_terminal(
        &self,
        channel: Channel,
        act: impl FnOnce(&Terminal) -> Result<(), rustix::io::Errno>,
    ) -> Outcome {
        let channels = self.channels();
        let terminal = match channels.get(&channel) {
            Some(State::Prepared(preparation)) => preparation.pty.as_ref().map(|pty| &pty.terminal),
            Some(State::Started(started)) => started.terminal.as_ref(),
            None => None,
        };
        match terminal.map(act) {
            Some(Ok(())) => Outcome::Done,
            Some(Err(_)) | None => Outcome::Refused,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic ends a release build; in a test what is inside is as good as before: each change of it is one call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SessionFace for Session {
    async fn set_environment(
        &self,
        channel: Channel,
        name: String,
        value: String,
    ) -> Result<Outcome, Violation> {
        if !self.0.policy.accepts_variable(&name) {
            return Ok(Outcome::Refused);
        }
        Ok(self.prepare(channel, |preparation| {
            match preparation.environment.set(name, value) {
                Ok(()) => Outcome::Done,
                Err(environment::Full) => Outcome::Refused,
            }
        }))
    }

    async fn allocate_pty(
        &self,
        channel: Channel,
        request: PtyRequest,
    ) -> Result<Outcome, Violation> {
        if !self.0.policy.permits_terminal() {
            return Ok(Outcome::Refused);
        }
        let vacant = self.prepare(channel, |preparation| match preparation.pty {
            Some(_) => Outcome::Refused,
            None => Outcome::Done,
        });
        if vacant == Outcome::Refused {
            return Ok(Outcome::Refused);
        }
        let opened = self.0.outside.run(move || Ok(Pty::open(&request)?));
        let mut pty = match opened {
            Ok(pty) => pty,
            Err(error) => {
                warn!(channel = channel.0, "cannot open a terminal: {error}");
                return Ok(Outcome::Refused);
            }
        };
        if let Some(records) = &self.0.records {
            pty.record(records).await;
        }
        Ok(self.prepare(channel, |preparation| match preparation.pty {
            // A worker that does not wait for its answers.
            Some(_) => Outcome::Refused,
            None => {
                preparation.pty = Some(pty);
                Outcome::Done
            }
        }))
    }

    async fn start(&self, channel: Channel, program: Program) -> Result<Outcome, Violation> {
        let Some(descriptors) = self.launch(channel, program) else {
            return Ok(Outcome::Refused);
        };
        self.send(&FromSession::Descriptors {
            channel,
            descriptors,
        })
        .await?;
        Ok(Outcome::Done)
    }

    async fn resize(&self, channel: Channel, size: WindowSize) -> Result<Outcome, Violation> {
        Ok(self.on_terminal(channel, |terminal| terminal.resize(size)))
    }

    async fn signal(&self, channel: Channel, signal: Signal) -> Result<Outcome, Violation> {
        let channels = self.channels();
        let Some(State::Started(started)) = channels.get(&channel) else {
            return Ok(Outcome::Refused);
        };
        if !self.0.policy.permits_signal(&started.asked) {
            return Ok(Outcome::Refused);
        }
        Ok(match started.process.signal(signal) {
            Ok(()) => Outcome::Done,
            Err(_) => Outcome::Refused,
        })
    }

    async fn send_break(&self, channel: Channel) -> Result<Outcome, Violation> {
        match self.channels().get(&channel) {
            Some(State::Started(_)) => {}
            // Nobody would get it.
            Some(State::Prepared(_)) | None => return Ok(Outcome::Refused),
        }
        Ok(self.on_terminal(channel, Terminal::send_break))
    }

    async fn wait(&self, channel: Channel) -> Result<ProgramEnd, Violation> {
        let process = match self.channels().get(&channel) {
            Some(State::Started(started)) => Arc::clone(&started.process),
            Some(State::Prepared(_)) | None => return Ok(ProgramEnd::Gone),
        };
        Ok(process.ended().await)
    }

    async fn close(&self, channel: Channel) -> Result<Outcome, Violation> {
        let mut channels = self.channels();
        match channels.get_mut(&channel) {
            Some(State::Started(started)) if started.process.runs() => started.hang_up(),
            Some(_) => {
                if let Some(state) = channels.remove(&channel) {
                    self.end(state);
                }
            }
            None => {}
        }
        Ok(Outcome::Done)
    }

    async fn report_idle(&self, channel: Channel, time: IdleSeconds) -> Result<Outcome, Violation> {
        let (channel, seconds) = (channel.0, time.0);
        debug!("channel {channel}: closing after {seconds} seconds of inactivity");
        Ok(Outcome::Done)
    }

    async fn connect(&self, channel: Channel, connect: Connect) -> Result<Opened, Violation> {
        let Inner {
            connector,
            forward_policy,
            endpoints,
            ..
        } = &*self.0;
        match connector.connect(forward_policy, *endpoints, connect).await {
            Ok(socket) => {
                self.send(&FromSession::Forwarded { channel, socket })
                    .await?;
                Ok(Opened::Done)
            }
            Err(failure) => Ok(Opened::Failed(failure)),
        }
    }

    async fn open_tunnel(
        &self,
        channel: Channel,
        wanted: OpenTunnel,
    ) -> Result<TunnelOpened, Violation> {
        match self.0.tunnels.open(&self.0.forward_policy, wanted) {
            Ok(device) => {
                self.send(&FromSession::Tunnel { channel, device }).await?;
                Ok(TunnelOpened::Done)
            }
            Err(refused) => Ok(refused),
        }
    }

    async fn listen(&self, address: Address) -> Result<Remarked<Listening>, Violation> {
        let Inner {
            listeners,
            forward_policy,
            endpoints,
            ..
        } = &*self.0;
        Ok(listeners.listen(forward_policy, *endpoints, address).await)
    }

    async fn cancel_listen(&self, address: Address) -> Result<Outcome, Violation> {
        Ok(self.0.listeners.cancel(&address))
    }

    async fn forward_agent(&self, channel: Channel) -> Result<Outcome, Violation> {
        if let Some(State::Started(_)) = self.channels().get(&channel) {
            // Its program would not know where the agent is.
            return Ok(Outcome::Refused);
        }
        let mut agent = self.agent();
        if !self.0.forward_policy.permits_agent() || agent.is_some() {
            return Ok(Outcome::Refused);
        }
        Ok(match Agent::listen(&self.0.listeners) {
            Ok(listening) => {
                *agent = Some(listening);
                Outcome::Done
            }
            Err(error) => {
                warn!("cannot listen for the agent: {error}");
                Outcome::Refused
            }
        })
    }

    async fn forward_x11(
        &self,
        channel: Channel,
        request: X11Request,
    ) -> Result<Remarked<Outcome>, Violation> {
        let Inner {
            listeners,
            forward_policy: policy,
            ..
        } = &*self.0;
        let mut refusal = None;
        let answer = self.prepare(channel, |preparation| {
            if preparation.display.is_some() {
                error!("session_x11_req: x11 forwarding already active");
                return Outcome::Refused;
            }
            let display = policy.x11().and_then(|forwarding| {
                Display::listen(listeners, forwarding, policy.address_family(), request)
            });
            match display {
                Ok(display) => {
                    preparation.display = Some(display);
                    Outcome::Done
                }
                Err(why) => {
                    refusal = Some(why);
                    Outcome::Refused
                }
            }
        });
        Ok(Remarked {
            answer,
            remark: refusal.and_then(NoDisplay::remark),
        })
    }

    async fn accept(&self, channels: Vec<Channel>) -> Result<(), Violation> {
        for channel in channels {
            let (accepted, socket) = self.0.listeners.next().await;
            self.send(&FromSession::Accepted {
                channel,
                accepted,
                socket,
            })
            .await?;
        }
        Ok(())
    }
}
