//! A session process with this test as its monitor and its worker.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use journal::LevelFilter;
use rpc::lane::{
    self, Forwarding, FromSession, Identifications, Lane, LoginDetails, LoginProcess, Permissions,
    ProgramDescriptors, SessionStart, ToSession,
};
use rpc::session::{
    Accepted, Channel, Outcome, Program, ProgramEnd, PtyRequest, Session, WindowSize,
};
use rpc::{ConnectionId, Endpoints};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;

/// Nothing in these tests takes long; what does is broken.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("in time")
}

/// A directory that is removed with its owner.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        let unique = format!(
            "session-test-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        );
        // Fit for a shell's command line.
        let unique = unique.replace(['(', ')'], "");
        let path = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

pub(crate) fn start() -> SessionStart {
    SessionStart {
        id: ConnectionId::from_bytes([9; 8]),
        endpoints: Endpoints::inet(([192, 0, 2, 1], 40_000).into(), ([192, 0, 2, 2], 22).into()),
        log_level: LevelFilter::INFO,
        facility: 4,
        user: "tester".into(),
        home: "/tmp".into(),
        shell: "/bin/sh".into(),
        accept_env: vec!["LC_*".into()],
        permit_tty: true,
        subsystems: vec![("greet".into(), "echo hello from $USER; sleep 0.2".into())],
        max_sessions: 64,
        forced_command: None,
        environment: Vec::new(),
        user_environment: None,
        chroot_directory: None,
        permissions: Permissions::ALL,
        login: LoginDetails::UNTOLD,
        forwarding: Forwarding::DEFAULT,
        process: LoginProcess::PLAIN,
        identifications: Identifications {
            client: b"SSH-2.0-OpenSSH_10.0".to_vec(),
            server: b"SSH-2.0-sshd_privsep_0.1.0".to_vec(),
        },
    }
}

/// A started session. Its process is killed with the test.
pub(crate) struct Running {
    child: Mortal,
    pub(crate) session: Session,
    lane: Lane,
    monitor: Option<Lane>,
    /// What it told the monitor that PAM had said.
    pub(crate) said: String,
}

impl Running {
    pub(crate) async fn new() -> Self {
        Self::with(start()).await
    }

    pub(crate) async fn with(start: SessionStart) -> Self {
        Self::from_command(&mut program(), start).await
    }

    pub(crate) async fn from_command(command: &mut Command, start: SessionStart) -> Self {
        let (monitor, child) = spawn(command);
        let (rpc, their_rpc) = lane::stream_pair().unwrap();
        let (lane, their_lane) = lane::pair().unwrap();
        let message = ToSession::Start {
            start,
            rpc: their_rpc,
            lane: their_lane,
            accounting: None,
        };
        monitor.send_to_session(&message).await.unwrap();
        drop(message);
        let said = soon(monitor.receive_ready()).await.expect("up");
        let session = Session::start(rpc::grpc::stream(rpc).unwrap())
            .await
            .unwrap();
        Self {
            child: Mortal(child),
            session,
            lane: Lane::new(lane).unwrap(),
            monitor: Some(monitor),
            said,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    pub(crate) fn lose_lane(&mut self) {
        let (unused, _) = lane::pair().unwrap();
        self.lane = Lane::new(unused).unwrap();
    }

    pub(crate) fn lose_monitor(&mut self) {
        self.monitor = None;
    }

    /// Asks for a program; its descriptors are in the lane when the answer is there.
    pub(crate) async fn start(
        &mut self,
        channel: u32,
        program: Program,
    ) -> Option<ProgramDescriptors> {
        let channel = Channel(channel);
        match soon(self.session.start_program(channel, program))
            .await
            .unwrap()
        {
            Outcome::Refused => None,
            Outcome::Done => {
                let received = soon(self.lane.receive_from_session()).await.unwrap();
                let FromSession::Descriptors {
                    channel: named,
                    descriptors,
                } = received
                else {
                    panic!("no descriptors of a program: {received:?}");
                };
                assert_eq!(named, channel);
                Some(descriptors)
            }
        }
    }

    /// The socket of a forwarded channel, which is in the lane.
    pub(crate) async fn socket(&mut self, channel: u32) -> OwnedFd {
        match soon(self.lane.receive_from_session()).await.unwrap() {
            FromSession::Forwarded {
                channel: named,
                socket,
            } if named == Channel(channel) => socket,
            other => panic!("no socket: {other:?}"),
        }
    }

    /// Who has connected to what the session listens on, and is in the lane.
    pub(crate) async fn accepted(&mut self, channel: u32) -> (Accepted, OwnedFd) {
        match soon(self.lane.receive_from_session()).await.unwrap() {
            FromSession::Accepted {
                channel: named,
                accepted,
                socket,
            } if named == Channel(channel) => (accepted, socket),
            other => panic!("nobody: {other:?}"),
        }
    }

    pub(crate) async fn exec(&mut self, channel: u32, line: &str) -> Pipes {
        self.pipes(channel, Program::Command(line.into())).await
    }

    pub(crate) async fn pipes(&mut self, channel: u32, program: Program) -> Pipes {
        match self.start(channel, program).await {
            Some(ProgramDescriptors::Pipes {
                stdin,
                stdout,
                stderr,
            }) => Pipes {
                stdin: pipe::Sender::from_owned_fd(stdin).unwrap(),
                stdout: pipe::Receiver::from_owned_fd(stdout).unwrap(),
                stderr: pipe::Receiver::from_owned_fd(stderr).unwrap(),
            },
            other => panic!("no pipes: {other:?}"),
        }
    }

    pub(crate) async fn pty(&mut self, channel: u32, modes: &[(u8, u32)], program: Program) -> Pty {
        let request = PtyRequest {
            term: "vt100".into(),
            size: WindowSize {
                columns: 80,
                rows: 24,
                ..WindowSize::default()
            },
            modes: modes.to_vec(),
        };
        let outcome = soon(self.session.allocate_pty(Channel(channel), request)).await;
        assert_eq!(outcome.unwrap(), Outcome::Done);
        match self.start(channel, program).await {
            Some(ProgramDescriptors::Pty(master)) => Pty::new(master),
            other => panic!("no pty: {other:?}"),
        }
    }

    pub(crate) async fn wait(&mut self, channel: u32) -> ProgramEnd {
        soon(self.session.wait(Channel(channel))).await.unwrap()
    }

    /// Runs a command line to its end: what it wrote and how it ended.
    pub(crate) async fn output(
        &mut self,
        channel: u32,
        line: &str,
    ) -> (String, String, ProgramEnd) {
        let pipes = self.exec(channel, line).await;
        let (out, err) = pipes.finish().await;
        (out, err, self.wait(channel).await)
    }

    /// Asks the session to end, as systemd does.
    pub(crate) async fn terminate(mut self) -> ExitStatus {
        let pid = i32::try_from(self.pid()).unwrap();
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        soon(exit_of(&mut self.child.0)).await
    }

    /// Closes the worker's stream and lane, as the death of the worker does.
    pub(crate) async fn lose_worker(self) -> ExitStatus {
        let Self {
            mut child,
            session,
            lane,
            monitor,
            said: _,
        } = self;
        drop((session, lane));
        let status = soon(exit_of(&mut child.0)).await;
        if let Some(monitor) = monitor {
            // A line of a log, say, would be an error here.
            soon(monitor.closed()).await.expect("nothing in the lane");
        }
        status
    }
}

/// A process that is killed when it is not needed any more.
struct Mortal(Child);

impl Drop for Mortal {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session"));
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command
}

/// Starts a session as systemd does: the lane is stdin, stdout and, by systemd's default, stderr.
pub(crate) fn spawn(command: &mut Command) -> (Lane, Child) {
    // systemd starts units with an empty signal mask; who runs tests may have another one.
    nix::sys::signal::SigSet::empty().thread_set_mask().unwrap();
    let (ours, theirs) = lane::pair().unwrap();
    let child = command
        .stdin(theirs.try_clone().unwrap())
        .stdout(theirs.try_clone().unwrap())
        .stderr(theirs)
        .spawn()
        .unwrap();
    // The command keeps its copies of the other end.
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::null());
    command.stderr(std::process::Stdio::null());
    (Lane::new(ours).unwrap(), child)
}

pub(crate) async fn exit_of(child: &mut Child) -> ExitStatus {
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) struct Pipes {
    pub(crate) stdin: pipe::Sender,
    pub(crate) stdout: pipe::Receiver,
    pub(crate) stderr: pipe::Receiver,
}

impl Pipes {
    /// Closes stdin and reads the rest.
    pub(crate) async fn finish(self) -> (String, String) {
        let Self {
            stdin,
            mut stdout,
            mut stderr,
        } = self;
        drop(stdin);
        let (mut out, mut err) = (String::new(), String::new());
        soon(async {
            let (a, b) = tokio::join!(
                stdout.read_to_string(&mut out),
                stderr.read_to_string(&mut err)
            );
            a.unwrap();
            b.unwrap();
        })
        .await;
        (out, err)
    }

    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        soon(async {
            loop {
                match self.stdout.read_u8().await.unwrap() {
                    b'\n' => return,
                    byte => line.push(char::from(byte)),
                }
            }
        })
        .await;
        line
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        soon(self.stdin.write_all(bytes)).await.unwrap();
    }
}

pub(crate) struct Pty {
    master: AsyncFd<OwnedFd>,
    pub(crate) seen: String,
}

impl Pty {
    fn new(master: OwnedFd) -> Self {
        Self {
            master: rpc::reactor::watch(master, Interest::READABLE).unwrap(),
            seen: String::new(),
        }
    }

    pub(crate) fn write(&self, bytes: &[u8]) {
        assert_eq!(
            rustix::io::write(self.master.get_ref(), bytes),
            Ok(bytes.len())
        );
    }

    /// Reads more; none at the end, when no process has the terminal any more.
    async fn read(&mut self) -> Option<()> {
        let mut buffer = [0; 4096];
        loop {
            let mut ready = self.master.readable().await.unwrap();
            match rustix::io::read(self.master.get_ref(), &mut buffer) {
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::IO) | Ok(0) => return None,
                Ok(read) => {
                    self.seen
                        .push_str(std::str::from_utf8(&buffer[..read]).unwrap());
                    return Some(());
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) async fn until(&mut self, text: &str) {
        soon(async {
            while !self.seen.contains(text) {
                self.read()
                    .await
                    .unwrap_or_else(|| panic!("ended after {:?}", self.seen));
            }
        })
        .await;
    }

    pub(crate) async fn finish(mut self) -> String {
        soon(async { while self.read().await.is_some() {} }).await;
        self.seen
    }
}

/// A process of somebody's, by number.
#[derive(Clone, Copy)]
pub(crate) struct Stranger(rustix::process::Pid);

impl Stranger {
    pub(crate) fn new(number: &str) -> Self {
        let number = number.trim().parse().unwrap();
        Self(rustix::process::Pid::from_raw(number).unwrap())
    }

    pub(crate) fn lives(self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.as_raw_nonzero()));
        // A zombie without a parent that cares is as dead as can be.
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }

    pub(crate) async fn dies(self) {
        soon(async {
            while self.lives() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    pub(crate) fn kill(self) {
        // It may have died by itself.
        rustix::process::kill_process(self.0, rustix::process::Signal::KILL).ok();
    }
}

/// The descriptors that whoever runs the tests left open for all its descendants.
pub(crate) fn inherited_descriptors() -> BTreeSet<String> {
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    let flags_of = |number: &str| {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
        u32::from_str_radix(flags.trim(), 8).ok()
    };
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|number| flags_of(number).is_some_and(|flags| flags & CLOSE_ON_EXEC == 0))
        .collect()
}

/// The signals that a process ignores, by its `/proc/PID/status`. Without 32 and 33, which belong to the C library: it
/// makes them ignored in whatever it spawns.
pub(crate) fn ignored_signals(status: &str) -> u64 {
    const C_LIBRARYS: u64 = 0b11 << 31;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap() & !C_LIBRARYS
}

/// The other end of NOTIFY_SOCKET.
pub(crate) fn notify_socket(scratch: &Scratch) -> (UnixDatagram, PathBuf) {
    let path = scratch.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    (socket, path)
}
