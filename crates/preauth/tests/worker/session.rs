//! A session on the other side of the worker's border: it runs command lines, connects, and refuses the rest.

use std::collections::HashMap;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rpc::Violation;
use rpc::lane::{FromSession, IdleSeconds, Lane, ProgramDescriptors};
use rpc::session::{
    Accepted, Address, Channel, Connect, Listening, OpenFailure, OpenFailureReason, OpenTunnel,
    Opened, Outcome, Port, Program, ProgramEnd, PtyRequest, Remarked, SessionFace, Signal,
    TunnelOpened, WindowSize, X11Request,
};
use tokio::sync::Notify;

/// Serves until the worker goes, or asks for the command `terminate-session`.
pub(crate) async fn serve(stream: OwnedFd, lane: OwnedFd) {
    let session = TestSession {
        lane: Lane::new(lane).unwrap(),
        children: Mutex::new(HashMap::new()),
        terminated: Arc::new(Notify::new()),
    };
    let terminated = Arc::clone(&session.terminated);
    let stream = rpc::grpc::stream(stream).unwrap();
    tokio::select! {
        _ = rpc::session::serve(stream, session) => {}
        () = terminated.notified() => {}
    }
}

struct TestSession {
    lane: Lane,
    children: Mutex<HashMap<Channel, Child>>,
    terminated: Arc<Notify>,
}

impl TestSession {
    async fn forward(&self, channel: Channel, socket: UnixStream) {
        let socket = socket.into();
        self.lane
            .send_from_session(&FromSession::Forwarded { channel, socket })
            .await
            .unwrap();
    }
}

impl SessionFace for TestSession {
    async fn set_environment(
        &self,
        _: Channel,
        _: String,
        _: String,
    ) -> Result<Outcome, Violation> {
        Ok(Outcome::Refused)
    }

    async fn allocate_pty(&self, _: Channel, _: PtyRequest) -> Result<Outcome, Violation> {
        Ok(Outcome::Refused)
    }

    async fn start(&self, channel: Channel, program: Program) -> Result<Outcome, Violation> {
        let Program::Command(line) = program else {
            return Ok(Outcome::Refused);
        };
        if line == b"terminate-session" {
            self.terminated.notify_one();
        }
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            .arg(String::from_utf8(line).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let descriptors = ProgramDescriptors::Pipes {
            stdin: OwnedFd::from(child.stdin.take().unwrap()),
            stdout: OwnedFd::from(child.stdout.take().unwrap()),
            stderr: OwnedFd::from(child.stderr.take().unwrap()),
        };
        self.children.lock().unwrap().insert(channel, child);
        self.lane
            .send_from_session(&FromSession::Descriptors {
                channel,
                descriptors,
            })
            .await
            .unwrap();
        Ok(Outcome::Done)
    }

    async fn resize(&self, _: Channel, _: WindowSize) -> Result<Outcome, Violation> {
        Ok(Outcome::Refused)
    }

    async fn signal(&self, _: Channel, _: Signal) -> Result<Outcome, Violation> {
        Ok(Outcome::Refused)
    }

    async fn send_break(&self, _: Channel) -> Result<Outcome, Violation> {
        Ok(Outcome::Done)
    }

    async fn wait(&self, channel: Channel) -> Result<ProgramEnd, Violation> {
        let Some(mut child) = self.children.lock().unwrap().remove(&channel) else {
            return Ok(ProgramEnd::Gone);
        };
        let status = tokio::task::spawn_blocking(move || child.wait().unwrap())
            .await
            .unwrap();
        Ok(match status.code() {
            Some(code) => ProgramEnd::Exited(code.try_into().unwrap()),
            None => ProgramEnd::Signaled {
                signal: Signal::Term,
                core_dumped: false,
            },
        })
    }

    async fn close(&self, _: Channel) -> Result<Outcome, Violation> {
        Ok(Outcome::Done)
    }

    async fn report_idle(&self, _: Channel, _: IdleSeconds) -> Result<Outcome, Violation> {
        Ok(Outcome::Done)
    }

    async fn connect(&self, channel: Channel, connect: Connect) -> Result<Opened, Violation> {
        let Address::Path(path) = connect.target else {
            return Ok(Opened::Failed(OpenFailure {
                reason: OpenFailureReason::ConnectFailed,
                description: "Network is unreachable".to_owned(),
            }));
        };
        let socket = UnixStream::connect(String::from_utf8(path).unwrap()).unwrap();
        self.forward(channel, socket).await;
        Ok(Opened::Done)
    }

    async fn open_tunnel(&self, _: Channel, _: OpenTunnel) -> Result<TunnelOpened, Violation> {
        Ok(TunnelOpened::Refused)
    }

    /// Listens on every port, on none of which somebody is.
    async fn listen(&self, address: Address) -> Result<Remarked<Listening>, Violation> {
        let answer = match address {
            Address::Port(port) if port.port == 0 => Listening::On(40_007),
            Address::Port(port) => Listening::On(port.port),
            Address::Path(_) => Listening::Refused,
        };
        Ok(answer.into())
    }

    async fn cancel_listen(&self, _: Address) -> Result<Outcome, Violation> {
        Ok(Outcome::Done)
    }

    async fn forward_agent(&self, _: Channel) -> Result<Outcome, Violation> {
        Ok(Outcome::Refused)
    }

    async fn forward_x11(&self, _: Channel, _: X11Request) -> Result<Remarked<Outcome>, Violation> {
        Ok(Outcome::Refused.into())
    }

    /// Each with other words.
    async fn accept(&self, channels: Vec<Channel>) -> Result<(), Violation> {
        for channel in channels {
            self.hand_on(channel).await;
        }
        Ok(())
    }
}

impl TestSession {
    async fn hand_on(&self, channel: Channel) {
        let (mut other, socket) = UnixStream::pair().unwrap();
        other
            .write_all(format!("hello {}", channel.0).as_bytes())
            .unwrap();
        let port = |host: &str, port| Port {
            host: host.to_owned(),
            port,
        };
        let accepted = Accepted::Port {
            listening: port("localhost", 40_007),
            originator: port("192.0.2.7", 1234),
        };
        let socket = socket.into();
        self.lane
            .send_from_session(&FromSession::Accepted {
                channel,
                accepted,
                socket,
            })
            .await
            .unwrap();
    }
}
