//! The task of a connection, with a worker that is played here and speaks real gRPC.

mod penalties;

use std::io::Read;
use std::net::{TcpListener, TcpStream};

use rpc::admin;
use rpc::lane::{self, Lane};
use rpc::preauth::{ConnectionEnd, Monitor};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use wire::userauth::AuthOutcome;

use super::*;
use crate::admission::Admission;
use crate::pool::testing::{pool, worker};
use crate::testing::{Client as Key, Machine, Services, origin, publickey};

/// A connection in service, and everybody around it.
struct Bench {
    client: TcpStream,
    worker_lane: Lane,
    monitor: Monitor,
    services: Arc<Services>,
    admission: Admission,
    connections: Connections,
    serving: JoinHandle<Outcome>,
    _requests: mpsc::Receiver<oneshot::Sender<Worker>>,
}

impl Bench {
    async fn new(machine: &Machine, grace: Option<Duration>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let tcp = listener.accept().unwrap().0;
        let admission = Admission::default();
        let limits = Arc::clone(&machine.policy.limits);
        let ticket = admission.admit(origin().endpoints.peer().ip(), &limits);
        let (pool, mut requests) = pool();
        let services = Arc::new(Services::default());
        let connections = Connections::default();
        let common = Arc::new(Common {
            services: Arc::clone(&services),
            pool: pool.clone(),
            delay: Arc::new(FailureDelay::new().unwrap()),
            connections: connections.clone(),
            admission: admission.clone(),
        });
        let admitted = Client {
            origin: origin(),
            socket: tcp.into(),
            ticket,
            limits,
            deadline: deadline(grace),
        };
        let place = pool.place().await.unwrap();
        let serving = tokio::spawn(serve(common, admitted, place));

        let (worker_lane, theirs) = lane::pair().unwrap();
        let (rpc_ours, rpc_theirs) = lane::stream_pair().unwrap();
        let worker = worker(&pool, theirs, rpc_theirs, Arc::clone(&machine.policy));
        let request = requests.recv().await.unwrap();
        request.send(worker).unwrap();
        let worker_lane = Lane::new(worker_lane).unwrap();
        let ToWorker::Connection { connection, socket } =
            worker_lane.receive_to_worker().await.unwrap()
        else {
            panic!("another message");
        };
        assert_eq!(
            (connection.id, connection.endpoints),
            (origin().id, origin().endpoints)
        );
        drop(socket);
        let rpc = rpc::grpc::stream(rpc_ours).unwrap();
        Self {
            client,
            worker_lane,
            monitor: Monitor::start(rpc).await.unwrap(),
            services,
            admission,
            connections,
            serving,
            _requests: requests,
        }
    }

    fn killed(&self) -> Vec<String> {
        self.services.killed.lock().unwrap().clone()
    }

    /// Whether the client reads the end of the connection at once.
    fn client_is_shut(&mut self) -> bool {
        self.client.set_nonblocking(true).unwrap();
        matches!(self.client.read(&mut [0]), Ok(0))
    }
}

#[tokio::test]
async fn a_login_gives_back_ticket_and_socket_and_outlives_the_grace_time() {
    let key = Key::new();
    let machine = Machine::new(&[&key], "");
    let grace = Duration::from_millis(1500);
    let mut bench = Bench::new(&machine, Some(grace)).await;
    assert_eq!(bench.admission.unauthenticated(), 1);

    let values = machine.exchange(1);
    let session = machine.hash(&values);
    bench.monitor.sign_exchange(values).await.unwrap();
    let user = machine.user.as_str();
    let signs = publickey(user, key.blob(), Some(key.sign(&session, user)));
    let outcome = bench.monitor.authenticate(signs).await.unwrap().outcome;
    assert_eq!(outcome, AuthOutcome::Accepted);
    let message = bench.worker_lane.receive_to_worker().await.unwrap();
    assert!(matches!(message, ToWorker::Session { .. }));

    tokio::time::sleep(grace).await;
    assert_eq!(bench.admission.unauthenticated(), 0);
    // The worker played here has dropped its copy, so this was the last one.
    assert!(bench.client_is_shut());
    // Keys are still exchanged.
    bench
        .monitor
        .sign_exchange(machine.exchange(2))
        .await
        .unwrap();
    bench.monitor.report(ConnectionEnd::Closed).await.unwrap();
    let killed = Arc::clone(&bench.services);
    drop((bench.monitor, bench.worker_lane));
    assert_eq!(bench.serving.await.unwrap(), Outcome::LoggedIn);
    assert!(killed.killed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_administrator_sees_a_login_and_ends_it_with_worker_and_session() {
    let key = Key::new();
    let machine = Machine::new(&[&key], "");
    let mut bench = Bench::new(&machine, None).await;
    let seen = |bench: &Bench| bench.connections.list().remove(0);
    assert_eq!(seen(&bench).phase, admin::Phase::KeyExchange);

    let values = machine.exchange(1);
    let session = machine.hash(&values);
    bench.monitor.sign_exchange(values).await.unwrap();
    assert_eq!(seen(&bench).phase, admin::Phase::Authenticating);
    assert_eq!(seen(&bench).user, None);
    let user = machine.user.as_str();
    let signs = publickey(user, key.blob(), Some(key.sign(&session, user)));
    bench.monitor.authenticate(signs).await.unwrap();
    let open = seen(&bench);
    assert_eq!(open.phase, admin::Phase::Open);
    assert_eq!(open.user.as_deref(), Some(user));
    let session_unit = open.session_unit.unwrap();

    let by = Administrator {
        pid: 1,
        login: None,
    };
    let killed = bench.connections.kill(origin().id, by);
    assert_eq!(killed, admin::Kill::Ending);
    bench.serving.await.unwrap();
    let ended = bench.services.killed.lock().unwrap().clone();
    assert_eq!(ended, [open.worker_unit.unwrap(), session_unit]);
    assert!(bench.connections.list().is_empty());
}

#[tokio::test]
async fn the_grace_time_shuts_the_socket_and_the_worker_is_killed() {
    let machine = Machine::new(&[], "");
    let mut bench = Bench::new(&machine, Some(Duration::from_millis(50))).await;
    assert!(!bench.client_is_shut());
    let outcome = (&mut bench.serving).await.unwrap();
    assert_eq!(outcome, Outcome::NotLoggedIn);
    assert!(bench.client_is_shut());
    assert_eq!(bench.killed().len(), 1);
    assert_eq!(bench.admission.unauthenticated(), 0);
}

/// It says that the connection is over, and that much is asked: neither gives its place among those without a login to
/// somebody else (MaxStartups), nor more time (LoginGraceTime).
#[tokio::test]
async fn a_worker_that_lies_keeps_its_place_and_gets_no_more_time() {
    let machine = Machine::new(&[], "MaxAuthTries 100000");
    let grace = Duration::from_millis(500);
    let mut bench = Bench::new(&machine, Some(grace)).await;
    let begun = Instant::now();
    let values = machine.exchange(1);
    bench.monitor.sign_exchange(values).await.unwrap();
    // Each call is permitted and refused after a while: the last one is cut off.
    let user = machine.user.as_str();
    let mut asked = 0;
    while asked < 1000
        && bench
            .monitor
            .authenticate(publickey(user, Key::new().blob(), None))
            .await
            .is_ok()
    {
        asked += 1;
        if begun.elapsed() < grace / 2 {
            assert_eq!(bench.admission.unauthenticated(), 1);
        }
    }
    let outcome = (&mut bench.serving).await.unwrap();
    assert_eq!(outcome, Outcome::NotLoggedIn);
    assert!((1..1000).contains(&asked));
    assert!((grace..4 * grace).contains(&begun.elapsed()));
    assert!(bench.client_is_shut());
    assert_eq!(bench.admission.unauthenticated(), 0);
}

#[tokio::test]
async fn a_worker_that_reports_an_end_and_stays_keeps_its_place() {
    let machine = Machine::new(&[], "");
    let mut bench = Bench::new(&machine, Some(Duration::from_millis(500))).await;
    bench.monitor.report(ConnectionEnd::Closed).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(bench.admission.unauthenticated(), 1);
    (&mut bench.serving).await.unwrap();
    assert!(bench.client_is_shut());
    assert_eq!(bench.admission.unauthenticated(), 0);
}

#[tokio::test]
async fn a_violation_is_not_answered_and_the_worker_is_killed() {
    let key = Key::new();
    let machine = Machine::new(&[&key], "");
    let mut bench = Bench::new(&machine, None).await;
    let asks = publickey(&machine.user, key.blob(), None);
    bench.monitor.authenticate(asks).await.unwrap_err();
    (&mut bench.serving).await.unwrap();
    assert_eq!(bench.killed().len(), 1);
    assert!(bench.client_is_shut());
}

#[tokio::test]
async fn a_worker_that_dies_is_the_end_of_its_connection() {
    let machine = Machine::new(&[], "");
    let mut bench = Bench::new(&machine, None).await;
    bench
        .monitor
        .sign_exchange(machine.exchange(1))
        .await
        .unwrap();
    drop((bench.monitor, bench.worker_lane));
    bench.serving.await.unwrap();
    assert!(bench.services.killed.lock().unwrap().is_empty());
    assert_eq!(bench.admission.unauthenticated(), 0);
    bench.client.set_nonblocking(true).unwrap();
    assert!(matches!(bench.client.read(&mut [0]), Ok(0)));
}

#[tokio::test]
async fn what_a_worker_sends_through_the_lane_ends_its_connection() {
    let machine = Machine::new(&[], "");
    let bench = Bench::new(&machine, None).await;
    let (descriptor, _other) = lane::stream_pair().unwrap();
    let (lane, _) = lane::pair().unwrap();
    let message = ToWorker::Session {
        grant: lane::SessionGrant {
            user: "root".to_owned(),
            max_sessions: 1,
            ..lane::SessionGrant::default()
        },
        rpc: descriptor,
        lane,
    };
    bench.worker_lane.send_to_worker(&message).await.unwrap();
    bench.serving.await.unwrap();
    assert_eq!(bench.services.killed.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_client_without_a_worker_is_let_go_at_the_grace_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let tcp = listener.accept().unwrap().0;
    let admission = Admission::default();
    let limits = Arc::clone(&Machine::new(&[], "").policy.limits);
    let ticket = admission.admit(origin().endpoints.peer().ip(), &limits);
    let (pool, _requests) = pool();
    let place = pool.place().await.unwrap();
    let common = Arc::new(Common {
        services: Arc::new(Services::default()),
        pool,
        delay: Arc::new(FailureDelay::new().unwrap()),
        connections: Connections::default(),
        admission: admission.clone(),
    });
    let admitted = Client {
        origin: origin(),
        socket: tcp.into(),
        ticket,
        limits,
        deadline: deadline(Some(Duration::from_millis(20))),
    };
    serve(common, admitted, place).await;
    assert_eq!(admission.unauthenticated(), 0);
    // That it had no worker is our trouble.
    assert!(admission.list(Instant::now()).0.is_empty());
    client.set_nonblocking(true).unwrap();
    assert!(matches!(client.read(&mut [0]), Ok(0)));
}
