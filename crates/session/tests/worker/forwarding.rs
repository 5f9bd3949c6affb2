//! What the session forwards, and what it refuses.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};

use rpc::lane::{Forwarding, Permission, Permissions, SessionStart};
use rpc::session::{Channel, Connect, OpenFailure, OpenFailureReason, Opened, Port, Target};
use rustix::net::sockopt;

use crate::harness::{Running, Scratch, soon, start};

fn port(host: &str, port: u16) -> Target {
    Target::Port(Port {
        host: host.to_owned(),
        port,
    })
}

async fn connect(session: &mut Running, channel: u32, target: Target) -> Opened {
    let connect = Connect {
        target,
        originator: Port {
            host: "198.51.100.7".to_owned(),
            port: 40_000,
        },
    };
    soon(session.session.connect(Channel(channel), connect))
        .await
        .unwrap()
}

fn failure(reason: OpenFailureReason, description: &str) -> Opened {
    Opened::Failed(OpenFailure {
        reason,
        description: description.to_owned(),
    })
}

fn exchange(mut one: impl std::io::Write, mut other: impl std::io::Read) {
    one.write_all(b"ping").unwrap();
    let mut heard = [0; 4];
    other.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"ping");
}

#[tokio::test]
async fn a_port_is_connected_without_nagle() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let number = listener.local_addr().unwrap().port();
    let mut session = Running::new().await;
    // "localhost" may be ::1 first, where nobody listens.
    for (channel, host) in [(1, "127.0.0.1"), (2, "localhost")] {
        let opened = connect(&mut session, channel, port(host, number)).await;
        assert_eq!(opened, Opened::Done);
        let socket = TcpStream::from(session.socket(channel).await);
        assert!(sockopt::tcp_nodelay(&socket).unwrap());
        let (accepted, _) = listener.accept().unwrap();
        exchange(&socket, &accepted);
    }
}

#[tokio::test]
async fn the_listener_at_a_path_sees_the_users_process() {
    let scratch = Scratch::new();
    let path = scratch.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let mut session = Running::new().await;
    let target = Target::Path(path.into_os_string().into_encoded_bytes());
    assert_eq!(connect(&mut session, 7, target).await, Opened::Done);
    let socket = UnixStream::from(session.socket(7).await);
    let (accepted, _) = listener.accept().unwrap();
    exchange(&socket, &accepted);
    let seen = sockopt::socket_peercred(&accepted).unwrap();
    assert_eq!(
        seen.pid.as_raw_nonzero().get(),
        i32::try_from(session.pid()).unwrap()
    );
}

#[tokio::test]
async fn the_client_hears_why_there_is_no_connection() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut session = Running::new().await;
    let opened = connect(&mut session, 1, port("127.0.0.1", closed)).await;
    let refused = failure(OpenFailureReason::ConnectFailed, "Connection refused");
    assert_eq!(opened, refused);
    // sshd has no words for what fails at once.
    let nowhere = Target::Path(b"/nonexistent/socket".to_vec());
    let opened = connect(&mut session, 2, nowhere).await;
    assert_eq!(
        opened,
        failure(OpenFailureReason::ConnectFailed, "open failed")
    );
    // Longer than any label can be: no server is asked.
    let opened = connect(&mut session, 3, port(&"x".repeat(64), 80)).await;
    let Opened::Failed(OpenFailure {
        reason,
        description,
    }) = opened
    else {
        panic!("a host without an address");
    };
    assert_eq!(reason, OpenFailureReason::ConnectFailed);
    assert!(!description.contains("lookup"), "{description}");
}

#[tokio::test]
async fn what_is_not_permitted_is_not_connected() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let number = listener.local_addr().unwrap().port();
    let starts = [
        SessionStart {
            forwarding: Forwarding::NONE,
            ..start()
        },
        SessionStart {
            permissions: Permissions {
                port_forwarding: Permission::Denied,
                ..Permissions::ALL
            },
            ..start()
        },
    ];
    for start in starts {
        let mut session = Running::with(start).await;
        let opened = connect(&mut session, 1, port("127.0.0.1", number)).await;
        let prohibited = OpenFailureReason::AdministrativelyProhibited;
        assert_eq!(opened, failure(prohibited, "open failed"));
        let opened = connect(&mut session, 2, Target::Path(b"/run/x".to_vec())).await;
        assert_eq!(
            opened,
            failure(OpenFailureReason::ConnectFailed, "open failed")
        );
    }
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}
