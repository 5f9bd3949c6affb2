//! What the session forwards, and what it refuses.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use rpc::lane::{
    Directions, ForwardPort, Forwarding, GatewayPorts, IpFamily, Permission, Permissions, Places,
    SessionStart, X11Addresses, X11Forwarding,
};
use rpc::session::{
    Accepted, Address, Channel, Connect, Connections, Listening, OpenFailure, OpenFailureReason,
    Opened, Outcome, Port, Remark, Remarked, X11Request,
};
use rustix::net::sockopt;

use crate::harness::{Running, Scratch, soon, start};

fn port(host: &str, port: u16) -> Address {
    Address::Port(Port {
        host: host.to_owned(),
        port,
    })
}

async fn connect(session: &mut Running, channel: u32, target: Address) -> Opened {
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
    let target = Address::Path(path.into_os_string().into_encoded_bytes());
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
    let nowhere = Address::Path(b"/nonexistent/socket".to_vec());
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
        let opened = connect(&mut session, 2, Address::Path(b"/run/x".to_vec())).await;
        assert_eq!(
            opened,
            failure(OpenFailureReason::ConnectFailed, "open failed")
        );
    }
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

async fn listen(session: &mut Running, address: Address) -> Listening {
    remarked(session, address).await.answer
}

async fn remarked(session: &mut Running, address: Address) -> Remarked<Listening> {
    soon(session.session.listen(address)).await.unwrap()
}

async fn accept(session: &mut Running, channel: u32) -> (Accepted, std::os::fd::OwnedFd) {
    soon(session.session.accept(&[Channel(channel)]))
        .await
        .unwrap();
    session.accepted(channel).await
}

#[tokio::test]
async fn who_connects_to_a_forwarded_port_is_handed_on() {
    let mut session = Running::new().await;
    let Listening::On(chosen) = listen(&mut session, port("localhost", 0)).await else {
        panic!("a port is free");
    };
    // Both families have the same one.
    for (channel, address) in [
        (1, (Ipv4Addr::LOCALHOST, chosen).into()),
        (2, std::net::SocketAddr::from((Ipv6Addr::LOCALHOST, chosen))),
    ] {
        let client = TcpStream::connect(address).unwrap();
        let (accepted, socket) = accept(&mut session, channel).await;
        let from = client.local_addr().unwrap();
        let expected = Accepted::Port {
            listening: Port {
                host: "localhost".to_owned(),
                port: chosen,
            },
            originator: Port {
                host: from.ip().to_string(),
                port: from.port(),
            },
        };
        assert_eq!(accepted, expected);
        let socket = TcpStream::from(socket);
        assert!(sockopt::tcp_nodelay(&socket).unwrap());
        exchange(&client, &socket);
    }
    let taken = listen(&mut session, port("localhost", chosen)).await;
    assert_eq!(taken, Listening::Refused);

    for (host, outcome) in [
        ("", Outcome::Refused),
        ("localhost", Outcome::Done),
        ("localhost", Outcome::Refused),
    ] {
        let cancelled = soon(session.session.cancel_listen(port(host, chosen))).await;
        assert_eq!(cancelled.unwrap(), outcome, "{host:?}");
    }
    let again = listen(&mut session, port("", chosen)).await;
    assert_eq!(again, Listening::On(chosen));
}

#[tokio::test]
async fn four_hundred_ports_are_listened_on_and_no_more() {
    let mut session = Running::new().await;
    for number in 0..400 {
        let listening = listen(&mut session, port("127.0.0.1", 0)).await;
        assert!(matches!(listening, Listening::On(_)), "{number}");
    }
    let more = listen(&mut session, port("127.0.0.1", 0)).await;
    assert_eq!(more, Listening::Refused);
}

#[tokio::test]
async fn nobody_is_accepted_before_the_worker_has_room() {
    let mut session = Running::new().await;
    let Listening::On(chosen) = listen(&mut session, port("127.0.0.1", 0)).await else {
        panic!("a port is free");
    };
    let clients: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, chosen)).unwrap())
        .collect();
    let open = std::fs::read_dir(format!("/proc/{}/fd", session.pid())).unwrap();
    assert!(open.count() < 30, "connections pile up in the session");
    for channel in 0..100 {
        accept(&mut session, channel).await;
    }
    drop(clients);
}

#[tokio::test]
async fn a_forwarded_path_has_the_configured_mode_and_goes_with_the_session() {
    let scratch = Scratch::new();
    let path = scratch.path().join("socket");
    let address = || Address::Path(path.clone().into_os_string().into_encoded_bytes());
    std::fs::write(&path, "in the way").unwrap();
    let forwarding = Forwarding {
        stream_local_bind_mask: 0o117,
        stream_local_bind_unlink: Permission::Granted,
        ..Forwarding::DEFAULT
    };

    let mut session = Running::new().await;
    assert_eq!(listen(&mut session, address()).await, Listening::Refused);
    drop(session);

    let mut session = Running::with(SessionStart {
        forwarding,
        ..start()
    })
    .await;
    assert_eq!(listen(&mut session, address()).await, Listening::On(0));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let client = UnixStream::connect(&path).unwrap();
    let (accepted, socket) = accept(&mut session, 4).await;
    let Address::Path(expected) = address() else {
        panic!("a path");
    };
    assert_eq!(accepted, Accepted::Path(expected));
    exchange(&client, UnixStream::from(socket));
    let cancelled = soon(session.session.cancel_listen(address())).await;
    assert_eq!(cancelled.unwrap(), Outcome::Done);
    assert!(!path.exists());
}

#[tokio::test]
async fn programs_find_the_clients_agent_and_it_is_gone_with_the_connection() {
    let mut session = Running::new().await;
    // A program that runs already would not find it.
    session.output(0, "true").await;
    let late = soon(session.session.forward_agent(Channel(0))).await;
    assert_eq!(late.unwrap(), Outcome::Refused);
    let forwarded = soon(session.session.forward_agent(Channel(1))).await;
    assert_eq!(forwarded.unwrap(), Outcome::Done);
    // One is enough.
    let again = soon(session.session.forward_agent(Channel(2))).await;
    assert_eq!(again.unwrap(), Outcome::Refused);
    let line = "echo $SSH_AUTH_SOCK; stat -c %a $(dirname $SSH_AUTH_SOCK) $SSH_AUTH_SOCK";
    let (output, _, _) = session.output(1, line).await;
    let words: Vec<&str> = output.split_whitespace().collect();
    let [path, directory, socket] = words[..] else {
        panic!("{output}");
    };
    assert_eq!((directory, socket), ("700", "755"));
    let name = format!("/agent.{}", session.pid());
    assert!(
        path.starts_with("/tmp/ssh-") && path.ends_with(&name),
        "{path}"
    );
    let client = UnixStream::connect(path).unwrap();
    let (accepted, socket) = accept(&mut session, 4).await;
    assert_eq!(accepted, Accepted::Agent);
    exchange(&client, UnixStream::from(socket));

    session.lose_worker().await;
    assert!(!std::path::Path::new(path).parent().unwrap().exists());
}

#[tokio::test]
async fn an_agent_that_is_not_permitted_is_not_forwarded() {
    let starts = [
        SessionStart {
            forwarding: Forwarding::NONE,
            ..start()
        },
        SessionStart {
            permissions: Permissions {
                agent_forwarding: Permission::Denied,
                ..Permissions::ALL
            },
            ..start()
        },
    ];
    for start in starts {
        let mut session = Running::with(start).await;
        let forwarded = soon(session.session.forward_agent(Channel(1))).await;
        assert_eq!(forwarded.unwrap(), Outcome::Refused);
    }
}

#[tokio::test]
async fn a_session_that_is_asked_to_end_leaves_no_socket() {
    let scratch = Scratch::new();
    let path = scratch.path().join("socket");
    let mut session = Running::new().await;
    let address = Address::Path(path.clone().into_os_string().into_encoded_bytes());
    assert_eq!(listen(&mut session, address).await, Listening::On(0));
    let forwarded = soon(session.session.forward_agent(Channel(1))).await;
    assert_eq!(forwarded.unwrap(), Outcome::Done);
    let (agent, _, _) = session.output(1, "echo $SSH_AUTH_SOCK").await;
    let directory = std::path::Path::new(agent.trim()).parent().unwrap();
    assert!(path.exists() && directory.exists());
    session.terminate().await;
    assert!(!path.exists() && !directory.exists());
}

/// A program in place of xauth(1), and the file to which what it is told is written, over what was there or behind it.
fn listening_xauth(scratch: &Scratch, into: &str) -> (PathBuf, PathBuf) {
    let (xauth, said) = (scratch.path().join("xauth"), scratch.path().join("said"));
    let script = format!("#!/bin/sh\ncat {into}{}\n", said.display());
    std::fs::write(&xauth, script).unwrap();
    std::fs::set_permissions(&xauth, std::fs::Permissions::from_mode(0o755)).unwrap();
    (xauth, said)
}

#[tokio::test]
async fn programs_find_the_clients_display_until_their_channel_ends() {
    // It is told of the cookie in place of xauth(1).
    let scratch = Scratch::new();
    let (xauth, said) = listening_xauth(&scratch, ">");
    let forwarding = Forwarding {
        x11: Some(X11Forwarding {
            display_offset: 870,
            addresses: X11Addresses::Loopback,
            xauth: xauth.display().to_string(),
        }),
        ..Forwarding::DEFAULT
    };
    let mut session = Running::with(SessionStart {
        forwarding,
        ..start()
    })
    .await;
    let request = || X11Request {
        connections: Connections::One,
        protocol: "MIT-MAGIC-COOKIE-1".to_owned(),
        cookie: "00ff".to_owned(),
        screen: 1,
    };
    for (channel, outcome) in [
        (1, Outcome::Done),
        (1, Outcome::Refused),
        (2, Outcome::Done),
    ] {
        let forwarded = soon(session.session.forward_x11(Channel(channel), request())).await;
        assert_eq!(forwarded.unwrap(), outcome.into());
    }
    let (display, _, _) = session.output(1, "echo $DISPLAY").await;
    assert_eq!(display, "localhost:870.1\n");
    let told = std::fs::read_to_string(&said).unwrap();
    assert_eq!(
        told,
        "remove unix:870.1\nadd unix:870.1 MIT-MAGIC-COOKIE-1 00ff\n"
    );
    let (display, _, _) = session.output(2, "echo $DISPLAY").await;
    assert_eq!(display, "localhost:871.1\n");

    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, 6870)).unwrap();
    let (accepted, socket) = accept(&mut session, 7).await;
    let from = client.local_addr().unwrap();
    let originator = Port {
        host: from.ip().to_string(),
        port: from.port(),
    };
    assert_eq!(accepted, Accepted::X11 { originator });
    exchange(&client, TcpStream::from(socket));
    let closed = |port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while !closed(6870) {
        assert!(std::time::Instant::now() < deadline, "one connection only");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    soon(session.session.close(Channel(2))).await.unwrap();
    while !closed(6871) {
        assert!(
            std::time::Instant::now() < deadline,
            "the channel is closed"
        );
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// xauth(1) would run with the user's environment, in no cage.
#[tokio::test]
async fn a_display_is_forgotten_by_xauth_for_none_but_users_programs() {
    let scratch = Scratch::new();
    let (xauth, said) = listening_xauth(&scratch, ">>");
    for (forced, told) in [
        (Some("internal-sftp"), None),
        (
            None,
            Some("remove unix:860.0\nadd unix:860.0 MIT-MAGIC-COOKIE-1 00ff\nremove unix:860.0\n"),
        ),
    ] {
        let mut session = Running::with(SessionStart {
            forced_command: forced.map(str::to_owned),
            forwarding: Forwarding {
                x11: Some(X11Forwarding {
                    display_offset: 860,
                    addresses: X11Addresses::Loopback,
                    xauth: xauth.display().to_string(),
                }),
                ..Forwarding::DEFAULT
            },
            ..start()
        })
        .await;
        let request = X11Request {
            connections: Connections::Any,
            protocol: "MIT-MAGIC-COOKIE-1".to_owned(),
            cookie: "00ff".to_owned(),
            screen: 0,
        };
        let forwarded = soon(session.session.forward_x11(Channel(1), request)).await;
        assert_eq!(forwarded.unwrap(), Outcome::Done.into());
        session.output(1, "exit").await;
        soon(session.session.close(Channel(1))).await.unwrap();
        // It waits for what is being forgotten.
        session.lose_worker().await;
        assert_eq!(std::fs::read_to_string(&said).ok().as_deref(), told);
    }
}

#[tokio::test]
async fn one_family_of_addresses_is_listened_on_and_connected_to() {
    let mut session = Running::with(SessionStart {
        forwarding: Forwarding {
            address_family: IpFamily::Inet,
            ..Forwarding::DEFAULT
        },
        ..start()
    })
    .await;
    let Listening::On(chosen) = listen(&mut session, port("localhost", 0)).await else {
        panic!("a port is free");
    };
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, chosen)).is_ok());
    assert!(TcpStream::connect((Ipv6Addr::LOCALHOST, chosen)).is_err());
    let other = listen(&mut session, port("::1", 0)).await;
    assert_eq!(other, Listening::Refused);

    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    let number = listener.local_addr().unwrap().port();
    let opened = connect(&mut session, 1, port("::1", number)).await;
    let text = "Address family for hostname not supported";
    assert_eq!(opened, failure(OpenFailureReason::ConnectFailed, text));
}

#[tokio::test]
async fn the_user_is_told_why_nothing_is_forwarded() {
    let ports = |gateway_ports, remote| SessionStart {
        forwarding: Forwarding {
            gateway_ports,
            tcp: Directions {
                remote,
                ..Directions::BOTH
            },
            permit_listen: Places::Listed(vec![ForwardPort {
                host: "192.0.2.1".to_owned(),
                port: None,
            }]),
            ..Forwarding::DEFAULT
        },
        ..start()
    };
    let mut session = Running::with(ports(GatewayPorts::No, Permission::Denied)).await;
    let told = remarked(&mut session, port("192.0.2.1", 0)).await.remark;
    assert_eq!(told, Some(Remark::PortForwardingDisabled));
    let mut session = Running::with(ports(GatewayPorts::Yes, Permission::Granted)).await;
    let told = remarked(&mut session, port("192.0.2.2", 0)).await;
    assert_eq!(told.remark, Some(Remark::ForwardingRefused));
    let told = remarked(&mut session, port("192.0.2.1", 0)).await;
    assert_eq!(told.remark, Some(Remark::AddressOverridden));
    assert_ne!(told.answer, Listening::Refused);

    let display = |x11_forwarding, xauth: &str| SessionStart {
        permissions: Permissions {
            x11_forwarding,
            ..Permissions::ALL
        },
        forwarding: Forwarding {
            x11: Some(X11Forwarding {
                display_offset: 880,
                addresses: X11Addresses::Loopback,
                xauth: xauth.to_owned(),
            }),
            ..Forwarding::DEFAULT
        },
        ..start()
    };
    for (start, remark) in [
        (
            display(Permission::Denied, "/bin/sh"),
            Remark::X11DisabledForKey,
        ),
        (
            display(Permission::Granted, "/nonexistent"),
            Remark::NoXauth,
        ),
    ] {
        let mut session = Running::with(start).await;
        let request = X11Request {
            connections: Connections::Any,
            protocol: "MIT-MAGIC-COOKIE-1".to_owned(),
            cookie: "00ff".to_owned(),
            screen: 0,
        };
        let forwarded = soon(session.session.forward_x11(Channel(1), request)).await;
        let refused = Remarked {
            answer: Outcome::Refused,
            remark: Some(remark),
        };
        assert_eq!(forwarded.unwrap(), refused);
    }
}
