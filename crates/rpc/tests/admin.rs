//! What an administrator asks and hears across the border.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::net::IpAddr;
use std::time::Duration;

use rpc::admin::{
    AdminFace, Configuration, Connection, Exempt, Force, Kill, Monitor, Penalties, Penalty, Phase,
    Reload, Status, Workers, serve,
};
use rpc::{CallError, ConnectionId, Endpoints, Network, ServeEnd, Violation};

/// Has this status, a broken configuration, and connections whose name begins with a zero.
struct Face(Status);

impl AdminFace for Face {
    async fn reload(&self) -> Result<Reload, Violation> {
        let errors = "é".repeat(1024 * 1024);
        Ok(Reload::Refused { errors })
    }

    async fn status(&self) -> Result<Status, Violation> {
        Ok(self.0.clone())
    }

    async fn kill(&self, id: ConnectionId) -> Result<Kill, Violation> {
        match id.to_string().split_at(2).0 {
            "00" => Ok(Kill::Ending),
            "ff" => Err(Violation::new("never")),
            _ => Ok(Kill::NoSuchConnection),
        }
    }

    async fn penalties(&self) -> Result<Penalties, Violation> {
        let penalty = |number: u32| Penalty {
            source: Network::around(IpAddr::V4(number.into()), 32),
            reason: "penalty: connections without attempting authentication".to_owned(),
            force: match number & 1 {
                0 => Force::Active,
                _ => Force::Deferred,
            },
            left: Duration::from_secs(600),
        };
        Ok(Penalties {
            penalties: (0..self.0.unauthenticated).map(penalty).collect(),
            count: self.0.unauthenticated.into(),
            exempt: vec!["2001:db8::/32".parse().unwrap()],
        })
    }

    async fn clear_penalties(&self, network: Option<Network>) -> Result<u64, Violation> {
        Ok(network.map_or(0, |network| network.prefix().into()))
    }

    async fn exempt(&self, network: Network) -> Result<Exempt, Violation> {
        match network.prefix() {
            0 => Ok(Exempt::TooMany),
            _ => Ok(Exempt::Exempted),
        }
    }
}

fn status(connections: usize) -> Status {
    let phases = [
        Phase::Waiting,
        Phase::KeyExchange,
        Phase::Authenticating,
        Phase::Exhausted,
        Phase::Open,
        Phase::Over,
    ];
    let connection = |(number, kind): (usize, usize)| Connection {
        id: ConnectionId::from_bytes([u8::try_from(number % 256).unwrap(); 8]),
        endpoints: match number & 1 {
            0 => Endpoints::UNKNOWN,
            _ => Endpoints::inet(
                "192.0.2.1:1".parse().unwrap(),
                "[2001:db8::1]:22".parse().unwrap(),
            ),
        },
        phase: *phases.iter().cycle().nth(number % 6).unwrap(),
        age: Duration::from_secs(7),
        user: (kind == 0).then(|| "alice".to_owned()),
        worker_unit: (kind == 1).then(|| "sshd-privsep-preauth@1.service".to_owned()),
        session_unit: (kind == 2).then(|| "sshd-privsep-session-1.service".to_owned()),
    };
    Status {
        version: "1".to_owned(),
        listeners: vec!["[::]:22".to_owned()],
        configuration: Configuration {
            file: "/etc/ssh/sshd_config".to_owned(),
            age: Duration::from_secs(9),
            errors: Some("line 1".to_owned()),
        },
        workers: Workers {
            starting: 1,
            idle: 2,
            busy: 3,
            waiting: 4,
        },
        unauthenticated: 5,
        connections: (0..connections)
            .zip((0..3).cycle())
            .map(connection)
            .collect(),
    }
}

/// Runs `talk` as the client of a monitor with this status, and tells how serving ended.
fn border<T>(status: Status, talk: impl AsyncFnOnce(Monitor) -> T) -> (T, ServeEnd) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, monitor) = rpc::lane::stream_pair().unwrap();
        let served = tokio::spawn(serve(rpc::grpc::stream(monitor).unwrap(), Face(status)));
        let client = Monitor::start(rpc::grpc::stream(client).unwrap())
            .await
            .unwrap();
        let said = talk(client).await;
        let end = tokio::time::timeout(Duration::from_secs(5), served);
        (said, end.await.unwrap().unwrap())
    })
}

#[test]
fn a_status_arrives_as_it_was_sent() {
    let (heard, end) = border(status(12), async |mut monitor: Monitor| {
        monitor.status().await.unwrap()
    });
    assert_eq!(heard, status(12));
    assert!(matches!(end, ServeEnd::PeerClosed));
}

#[test]
fn an_answer_has_an_end_however_much_there_is_to_say() {
    let ((connections, reload), _) = border(status(9000), async |mut monitor: Monitor| {
        let status = monitor.status().await.unwrap();
        (status.connections.len(), monitor.reload().await.unwrap())
    });
    assert_eq!(connections, 8192);
    let Reload::Refused { errors } = reload else {
        panic!("{reload:?}");
    };
    assert_eq!(errors.len(), 1024 * 1024 + "…".len());
}

#[test]
fn a_connection_is_killed_by_its_name() {
    let id = |byte| ConnectionId::from_bytes([byte; 8]);
    let (outcomes, end) = border(status(0), async |mut monitor: Monitor| {
        let some = monitor.kill(id(0)).await.unwrap();
        let none = monitor.kill(id(1)).await.unwrap();
        (some, none, monitor.kill(id(0xff)).await)
    });
    let (some, none, refused) = outcomes;
    assert_eq!((some, none), (Kill::Ending, Kill::NoSuchConnection));
    assert!(matches!(refused, Err(CallError::Ended(_))), "{refused:?}");
    assert!(matches!(end, ServeEnd::Violation(_)), "{end:?}");
}

#[test]
fn penalties_are_listed_cleared_and_exempted_from() {
    let (said, end) = border(status(0), async |mut monitor: Monitor| {
        let list = monitor.penalties().await.unwrap();
        let network: Network = "192.0.2.0/24".parse().unwrap();
        let all: Network = "::/0".parse().unwrap();
        let cleared = (
            monitor.clear_penalties(None).await.unwrap(),
            monitor.clear_penalties(Some(network)).await.unwrap(),
        );
        let exempt = (
            monitor.exempt(network).await.unwrap(),
            monitor.exempt(all).await.unwrap(),
        );
        (list, cleared, exempt)
    });
    let (list, cleared, exempt) = said;
    assert_eq!((list.count, list.penalties.len()), (5, 5));
    assert_eq!(list.penalties[4].source.to_string(), "0.0.0.4/32");
    assert_eq!(list.penalties[4].force, Force::Active);
    assert_eq!(list.penalties[3].force, Force::Deferred);
    assert_eq!(list.exempt, ["2001:db8::/32".parse().unwrap()]);
    assert_eq!(cleared, (0, 24));
    assert_eq!(exempt, (Exempt::Exempted, Exempt::TooMany));
    assert!(matches!(end, ServeEnd::PeerClosed));
}

#[test]
fn more_penalties_than_an_answer_holds_are_counted() {
    let many = Status {
        unauthenticated: 70_000,
        ..status(0)
    };
    let (list, _) = border(many, async |mut monitor: Monitor| {
        monitor.penalties().await.unwrap()
    });
    assert_eq!((list.count, list.penalties.len()), (70_000, 65_536));
}
