//! The engine with a client that sends and reads what each test wants, when the test wants it, on a Unix socket.

use std::time::Duration;

use preauth::client::ClientSocket;
use preauth::engine::{self, EngineEnd};
use preauth::handshake::LoggedIn;
use rpc::Violation;
use rpc::lane::SessionGrant;
use rpc::preauth::{AuthReply, ConnectionEnd, KeyProofs, Monitor, MonitorFace};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use transport::RekeyLimit;
use wire::codec::{Reader, Write as _};
use wire::exchange::ExchangeValues;
use wire::groups::{DhGroup, GroupRequest};
use wire::message::number::{CHANNEL_EOF, CHANNEL_REQUEST};
use wire::message::{Ping, Pong, number};
use wire::userauth::{AuthRequest, Responses};

use crate::client::{Client, Offer};
use crate::pair::Pair;
use crate::session;

/// Nothing in these tests takes long; what does is broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// Window and packet size that the client gives, in bytes.
pub(crate) const WINDOW: u32 = 1 << 20;

// A number that only russh knows (RFC 4254 section 9).
pub(crate) const CHANNEL_SUCCESS: u8 = 99;

/// For connections that need no monitor after login.
struct NoMonitor;

impl MonitorFace for NoMonitor {
    async fn choose_group(&self, _: GroupRequest) -> Result<Option<DhGroup>, Violation> {
        Err(Violation::new("no rekey"))
    }

    async fn sign_exchange(&self, _: ExchangeValues) -> Result<Vec<u8>, Violation> {
        Err(Violation::new("no rekey"))
    }

    async fn authenticate(&self, _: AuthRequest) -> Result<AuthReply, Violation> {
        Err(Violation::new("logged in"))
    }

    async fn answer(&self, _: Responses) -> Result<AuthReply, Violation> {
        Err(Violation::new("no question"))
    }

    async fn prove_host_keys(&self, _: Vec<Vec<u8>>) -> Result<KeyProofs, Violation> {
        Err(Violation::new("no keys"))
    }

    async fn report(&self, _: ConnectionEnd) -> Result<(), Violation> {
        Ok(())
    }
}

/// A connection whose user is logged in.
pub(crate) struct Connection {
    client: Client,
    stream: UnixStream,
    engine: JoinHandle<EngineEnd>,
}

impl Connection {
    pub(crate) async fn new() -> Self {
        Self::granted(SessionGrant::default()).await
    }

    /// One that is told this, but for alice and her sessions.
    pub(crate) async fn granted(grant: SessionGrant) -> Self {
        Self::of(Client::new(Offer::default()), grant).await
    }

    async fn of(client: Client, grant: SessionGrant) -> Self {
        let mut pair = Pair::new(client, RekeyLimit::default());
        pair.log_in();
        let (stream, theirs) = UnixStream::pair().unwrap();
        let socket = ClientSocket::new(theirs.into_std().unwrap().into()).unwrap();

        let (worker_stream, monitor_stream) = rpc::lane::stream_pair().unwrap();
        let monitor_stream = rpc::grpc::stream(monitor_stream).unwrap();
        tokio::spawn(rpc::preauth::serve(monitor_stream, NoMonitor));
        let worker_stream = rpc::grpc::stream(worker_stream).unwrap();
        let monitor = Monitor::start(worker_stream).await.unwrap();

        let (session, session_stream) = rpc::lane::stream_pair().unwrap();
        let (lane, session_lane) = rpc::lane::pair().unwrap();
        tokio::spawn(session::serve(session_stream, session_lane));
        let login = LoggedIn {
            host_keys: Vec::new(),
            transport: pair.transport,
            input: Vec::new(),
            grant: SessionGrant {
                user: "alice".to_owned(),
                max_sessions: 2,
                ..grant
            },
            session,
            lane,
        };
        let mut client = pair.client;
        client.received.clear();
        Self {
            client,
            stream,
            engine: tokio::spawn(engine::run(socket, login, monitor)),
        }
    }

    pub(crate) async fn send(&mut self, payload: &[u8]) {
        self.client.send(payload);
        let output = std::mem::take(&mut self.client.output);
        soon(self.stream.write_all(&output)).await.unwrap();
    }

    /// The next message from the server.
    pub(crate) async fn next(&mut self) -> Vec<u8> {
        loop {
            if let Some(payload) = self.client.received.pop_front() {
                return payload;
            }
            let mut bytes = vec![0; 64 * 1024];
            let count = soon(self.stream.read(&mut bytes)).await.unwrap();
            assert!(count > 0, "the server has closed the connection");
            self.client.receive(&bytes[..count]);
        }
    }

    /// The next message from the server that is not about windows and host keys.
    pub(crate) async fn answer(&mut self) -> Vec<u8> {
        loop {
            let payload = self.next().await;
            if ![number::CHANNEL_WINDOW_ADJUST, number::GLOBAL_REQUEST].contains(&payload[0]) {
                return payload;
            }
        }
    }

    /// How the connection ends.
    pub(crate) async fn end(self) -> EngineEnd {
        soon(self.engine).await.unwrap()
    }

    /// Opens a session channel of this number; the server's number of it.
    pub(crate) async fn open(&mut self, ours: u32) -> Option<u32> {
        let mut open = vec![number::CHANNEL_OPEN];
        open.put_string(b"session");
        open.put_uint32(ours);
        open.put_uint32(WINDOW);
        open.put_uint32(WINDOW);
        self.send(&open).await;
        let answer = self.answer().await;
        let mut fields = Reader::new(&answer);
        let confirmed = fields.byte().unwrap() == number::CHANNEL_OPEN_CONFIRMATION;
        assert_eq!(fields.uint32().unwrap(), ours);
        confirmed.then(|| fields.uint32().unwrap())
    }

    /// Starts a command line on a channel.
    pub(crate) async fn exec(&mut self, theirs: u32, line: &str) {
        let mut request = channel_message(CHANNEL_REQUEST, theirs);
        request.put_string(b"exec");
        request.put_byte(1);
        request.put_string(line.as_bytes());
        self.send(&request).await;
        assert_eq!(self.answer().await[0], CHANNEL_SUCCESS);
    }
}

pub(crate) fn channel_message(message: u8, channel: u32) -> Vec<u8> {
    let mut payload = vec![message];
    payload.put_uint32(channel);
    payload
}

pub(crate) fn exit_status(channel: u32, status: u32) -> Vec<u8> {
    let mut payload = channel_message(CHANNEL_REQUEST, channel);
    payload.put_string(b"exit-status");
    payload.put_byte(0);
    payload.put_uint32(status);
    payload
}

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("in time")
}

#[tokio::test]
async fn remarks_are_made_to_clients_that_understand_them() {
    let remarked = || SessionGrant {
        remarks: vec!["no".to_owned()],
        ..SessionGrant::default()
    };
    let mut connection = Connection::granted(remarked()).await;
    assert_eq!(connection.answer().await[0], number::DEBUG);
    let mut twisted = Client::new(Offer::default());
    twisted.identify("SSH-2.0-Twisted");
    let mut connection = Connection::of(twisted, remarked()).await;
    // Nothing comes before its answer.
    connection.open(7).await.unwrap();
}

#[tokio::test]
async fn a_client_that_reads_its_answers_late_is_heard_again() {
    // Twice what may wait for a client that does not read; and the sockets hold some, too.
    const PINGS: usize = 192;
    let connection = Connection::new().await;
    let Connection {
        mut client,
        stream,
        engine,
    } = connection;
    let data = vec![7; 16 * 1024];
    let mut ping = Vec::new();
    Ping { data: &data }.encode(&mut ping);
    for _ in 0..PINGS {
        client.send(&ping);
    }
    let output = std::mem::take(&mut client.output);
    let (mut reading, mut writing) = stream.into_split();
    let writer = tokio::spawn(async move {
        writing.write_all(&output).await.unwrap();
        writing
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!writer.is_finished(), "the server took all of it");

    let mut pongs = 0;
    while pongs < PINGS {
        let mut bytes = vec![0; 64 * 1024];
        let count = soon(reading.read(&mut bytes)).await.unwrap();
        assert!(count > 0);
        client.receive(&bytes[..count]);
        for answer in client.received.drain(..) {
            pongs += usize::from(answer[0] == Pong::NUMBER);
        }
    }
    drop((soon(writer).await.unwrap(), reading));
    let end = soon(engine).await.unwrap();
    assert!(matches!(end, EngineEnd::Closed), "{end:?}");
}

#[tokio::test]
async fn the_exit_status_precedes_the_answer_to_a_client_that_closes_early() {
    let mut connection = Connection::new().await;
    let theirs = connection.open(7).await.unwrap();
    let line = "exec >&- 2>&-; sleep 0.8; exit 5";
    connection.exec(theirs, line).await;
    connection.send(&channel_message(CHANNEL_EOF, theirs)).await;
    let eof = channel_message(CHANNEL_EOF, 7);
    assert_eq!(connection.answer().await, eof);
    connection
        .send(&channel_message(number::CHANNEL_CLOSE, theirs))
        .await;
    assert_eq!(connection.answer().await, exit_status(7, 5));
    let close = channel_message(number::CHANNEL_CLOSE, 7);
    assert_eq!(connection.answer().await, close);
}

#[tokio::test]
async fn a_channel_that_is_closed_makes_room_for_another() {
    let mut connection = Connection::new().await;
    for ours in 0..5 {
        let theirs = connection.open(ours).await.unwrap();
        connection.exec(theirs, "exit 3").await;
        assert_eq!(connection.answer().await, exit_status(ours, 3));
        for message in [CHANNEL_EOF, number::CHANNEL_CLOSE] {
            assert_eq!(connection.answer().await, channel_message(message, ours));
        }
        connection
            .send(&channel_message(number::CHANNEL_CLOSE, theirs))
            .await;
    }
}
