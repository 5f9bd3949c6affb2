use std::os::fd::{AsFd, AsRawFd};

use super::Permission::Denied;
use super::*;
use wire::message::TEXT_LIMIT;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn connection() -> Connection {
    Connection {
        id: ConnectionId::from_bytes([7; 8]),
        endpoints: Endpoints::inet(
            "192.0.2.1:4711".parse().unwrap(),
            "[2001:db8::1]:22".parse().unwrap(),
        ),
    }
}

fn grant() -> SessionGrant {
    SessionGrant {
        user: "alice".to_owned(),
        max_sessions: 10,
        rekey_bytes: 1 << 40,
        rekey_seconds: 7,
        unused_connection_timeout: 8,
        channel_timeouts: ChannelTimeouts {
            types: vec![
                (ChannelType::Subsystem("sftp".to_owned()), IdleSeconds(9)),
                (ChannelType::X11, IdleSeconds(10)),
            ],
            global: IdleSeconds(11),
        },
        packet_marks: PacketMarks {
            interactive: Some(255),
            bulk: None,
        },
        remarks: vec!["key options: pty".to_owned()],
        ..SessionGrant::default()
    }
}

#[test]
fn a_message_arrives_with_its_descriptors() {
    runtime().block_on(async {
        let (monitor, worker) = pair().unwrap();
        let (monitor, worker) = (Lane::new(monitor).unwrap(), Lane::new(worker).unwrap());
        let somewhere = connection();
        let nowhere = Connection {
            endpoints: Endpoints::UNKNOWN,
            ..somewhere
        };
        for connection in [somewhere, nowhere] {
            let (socket, _other) = stream_pair().unwrap();
            let sent = ToWorker::Connection { connection, socket };
            monitor.send_to_worker(&sent).await.unwrap();
            let ToWorker::Connection {
                connection: got, ..
            } = worker.receive_to_worker().await.unwrap()
            else {
                panic!("another message");
            };
            assert_eq!(got, connection);
        }
    });
}

/// Permissions that differ from all of them, and the places to forward to.
fn few(change: impl Fn(&mut Permissions)) -> Permissions {
    let place = |host: &str, port| ForwardPort {
        host: host.to_owned(),
        port,
    };
    let mut permissions = Permissions {
        permit_open: vec![place("db", Some(5432)), place("::1", None)],
        permit_listen: vec![place("*", Some(8080))],
        tunnel: Tunnel::Refused,
        ..Permissions::ALL
    };
    change(&mut permissions);
    permissions
}

#[test]
fn a_session_hears_what_the_monitor_said() {
    runtime().block_on(async {
        let (monitor, session) = pair().unwrap();
        let (monitor, session) = (Lane::new(monitor).unwrap(), Lane::new(session).unwrap());
        for (endpoints, log_level, permissions) in [
            (connection().endpoints, LevelFilter::OFF, Permissions::ALL),
            (
                connection().endpoints,
                LevelFilter::ERROR,
                few(|few| few.agent_forwarding = Denied),
            ),
            (
                connection().endpoints,
                LevelFilter::WARN,
                few(|few| few.port_forwarding = Denied),
            ),
            (
                Endpoints::UNKNOWN,
                LevelFilter::INFO,
                few(|few| few.x11_forwarding = Denied),
            ),
            (
                Endpoints::UNKNOWN,
                LevelFilter::DEBUG,
                few(|few| few.user_rc = Denied),
            ),
            (
                Endpoints::UNKNOWN,
                LevelFilter::TRACE,
                few(|few| few.tunnel = Tunnel::Device(3)),
            ),
        ] {
            let start = SessionStart {
                id: connection().id,
                endpoints,
                log_level,
                facility: 23,
                user: "alice".to_owned(),
                home: "/home/alice".to_owned(),
                shell: "/bin/sh".to_owned(),
                accept_env: vec!["LC_*".to_owned()],
                permit_tty: true,
                subsystems: vec![("sftp".to_owned(), "internal-sftp".to_owned())],
                max_sessions: 10,
                forced_command: (log_level == LevelFilter::OFF).then(|| "/bin/true".to_owned()),
                environment: vec![("EDITOR".to_owned(), "ed".to_owned())],
                user_environment: (log_level == LevelFilter::OFF).then(|| "LC_*".to_owned()),
                chroot_directory: (log_level == LevelFilter::OFF).then(|| "/srv/jail".to_owned()),
                permissions: permissions.clone(),
                login: match log_level {
                    LevelFilter::OFF => LoginDetails::UNTOLD,
                    _ => LoginDetails {
                        exposed: Some("password\n".to_owned()),
                        environment: vec![Variable {
                            name: b"KRB5CCNAME".to_vec(),
                            value: vec![0xff, b'='],
                        }],
                        no_login: NoLogin::Obeyed,
                        password: Password::Expired,
                    },
                },
                forwarding: match log_level {
                    LevelFilter::OFF => Forwarding::NONE,
                    _ => Forwarding {
                        tcp: Directions {
                            local: Permission::Granted,
                            remote: Denied,
                        },
                        stream_local: Directions {
                            local: Denied,
                            remote: Permission::Granted,
                        },
                        permit_open: Places::Any,
                        permit_listen: Places::Listed(permissions.permit_listen),
                        gateway_ports: GatewayPorts::ClientSpecified,
                        stream_local_bind_mask: 0o117,
                        stream_local_bind_unlink: Permission::Granted,
                        agent: Permission::Granted,
                        x11: Some(X11Forwarding {
                            display_offset: 20,
                            addresses: X11Addresses::All,
                            xauth: "/opt/xauth".to_owned(),
                        }),
                        tunnels: Tunnels {
                            point_to_point: Denied,
                            ethernet: Permission::Granted,
                        },
                        address_family: IpFamily::Inet6,
                    },
                },
                identifications: Identifications {
                    client: b"SSH-2.0-OpenSSH_10.0 \xff".to_vec(),
                    server: b"SSH-2.0-sshd_privsep_0.1.0".to_vec(),
                },
                process: match log_level {
                    LevelFilter::OFF => LoginProcess::PLAIN,
                    _ => LoginProcess {
                        use_pam: false,
                        print_motd: log_level == LevelFilter::DEBUG,
                        print_last_log: log_level == LevelFilter::TRACE,
                        user_rc: Permission::Granted,
                        xauth_location: Some("/usr/bin/xauth".to_owned()),
                        set_env: vec![("A".to_owned(), "b".to_owned())],
                    },
                },
            };
            let ((rpc, _rpc), (lane, _lane)) = (stream_pair().unwrap(), pair().unwrap());
            let recorded = log_level == LevelFilter::INFO;
            let (accounting, _accounting) = pair().unwrap();
            let message = ToSession::Start {
                start,
                rpc,
                lane,
                accounting: recorded.then_some(accounting),
            };
            monitor.send_to_session(&message).await.unwrap();
            let ToSession::Start {
                start: got,
                accounting,
                ..
            } = session.receive_to_session().await.unwrap();
            assert_eq!(accounting.is_some(), recorded);
            let ToSession::Start { start: sent, .. } = message;
            assert_eq!(got, sent);
        }
    });
}

#[test]
fn a_session_says_that_it_is_up_and_nothing_else() {
    runtime().block_on(async {
        let (monitor, session) = pair().unwrap();
        let (monitor, session) = (Lane::new(monitor).unwrap(), Lane::new(session).unwrap());
        let long = "ä".repeat(TEXT_LIMIT);
        for (said, heard) in [
            ("", ""),
            ("mind the gap\n", "mind the gap\n"),
            (&long, long.get(..TEXT_LIMIT).unwrap()),
        ] {
            session.send_ready(said).await.unwrap();
            assert_eq!(monitor.receive_ready().await.unwrap(), heard);
        }

        let ready = convert::ready("");
        let mut longer = ready.clone();
        longer.extend(&ready);
        for bytes in [b"ready".to_vec(), longer] {
            session.send(&bytes, &[]).await.unwrap();
            let heard = monitor.receive_ready().await;
            assert!(matches!(heard, Err(LaneError::Malformed(_))), "{heard:?}");
        }
        let (unasked, _other) = stream_pair().unwrap();
        session.send(&ready, &[unasked.as_fd()]).await.unwrap();
        let heard = monitor.receive_ready().await;
        assert!(matches!(heard, Err(LaneError::Descriptors(_))), "{heard:?}");
        drop(session);
        let heard = monitor.receive_ready().await;
        assert!(matches!(heard, Err(LaneError::Closed)), "{heard:?}");
    });
}

#[test]
fn a_missing_descriptor_ends_the_lane() {
    runtime().block_on(async {
        let (monitor, worker) = pair().unwrap();
        let worker = Lane::new(worker).unwrap();
        let (rpc, lane) = stream_pair().unwrap();
        let message = ToWorker::Session {
            grant: grant(),
            rpc,
            lane,
        };
        let (bytes, descriptors) = convert::to_worker(&message);
        send_once(monitor.as_fd(), &bytes, descriptors.get(..1).unwrap()).unwrap();
        assert!(matches!(
            worker.receive_to_worker().await,
            Err(LaneError::Descriptors(_))
        ));
    });
}

#[test]
fn a_descriptor_of_another_type_ends_the_lane() {
    runtime().block_on(async {
        let (monitor, worker) = pair().unwrap();
        let (monitor, worker) = (Lane::new(monitor).unwrap(), Lane::new(worker).unwrap());
        // A stream where a lane must be.
        let (rpc, lane) = stream_pair().unwrap();
        monitor
            .send_to_worker(&ToWorker::Session {
                grant: grant(),
                rpc,
                lane,
            })
            .await
            .unwrap();
        assert!(matches!(
            worker.receive_to_worker().await,
            Err(LaneError::Descriptors("not a lane"))
        ));
    });
}

/// A terminal is a device, too, and what is read from it is no packet.
#[test]
fn another_device_is_no_tunnel() {
    runtime().block_on(async {
        let (session, worker) = pair().unwrap();
        let (session, worker) = (Lane::new(session).unwrap(), Lane::new(worker).unwrap());
        let device = std::fs::File::open("/dev/null").unwrap().into();
        let channel = Channel(7);
        session
            .send_from_session(&FromSession::Tunnel { channel, device })
            .await
            .unwrap();
        assert!(matches!(
            worker.receive_from_session().await,
            Err(LaneError::Descriptors("not a tunnel"))
        ));
    });
}

/// A path of which a C library would see the beginning only.
#[test]
fn who_connects_comes_with_the_connection_and_is_checked() {
    runtime().block_on(async {
        let (session, worker) = pair().unwrap();
        let (session, worker) = (Lane::new(session).unwrap(), Lane::new(worker).unwrap());
        for (path, legal) in [(b"/run/a".to_vec(), true), (b"/run/a\0b".to_vec(), false)] {
            let sent = Accepted::Path(path);
            let message = FromSession::Accepted {
                channel: Channel(7),
                accepted: sent.clone(),
                socket: stream_pair().unwrap().0,
            };
            session.send_from_session(&message).await.unwrap();
            match worker.receive_from_session().await {
                Ok(FromSession::Accepted {
                    channel: Channel(7),
                    accepted,
                    ..
                }) if legal => assert_eq!(accepted, sent),
                Err(LaneError::Malformed("nobody was accepted")) if !legal => {}
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn descriptors_beyond_the_limit_are_closed_and_end_the_lane() {
    runtime().block_on(async {
        let (monitor, worker) = pair().unwrap();
        let worker = Lane::new(worker).unwrap();
        let (probe, other) = stream_pair().unwrap();
        let many = [other.as_fd(); DESCRIPTOR_LIMIT * 2];
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTOR_LIMIT * 2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&many)));
        sendmsg(
            &monitor,
            &[io::IoSlice::new(b"x")],
            &mut control,
            SendFlags::empty(),
        )
        .unwrap();
        assert!(matches!(
            worker.receive_to_worker().await,
            Err(LaneError::Truncated)
        ));
        drop(other);
        // All received copies are closed: our end sees the end of the stream.
        let mut byte = [0];
        assert_eq!(rustix::io::read(&probe, &mut byte).unwrap(), 0);
    });
}

#[test]
fn a_datagram_of_garbage_ends_the_lane() {
    runtime().block_on(async {
        let (monitor, worker) = pair().unwrap();
        let worker = Lane::new(worker).unwrap();
        send_once(monitor.as_fd(), &[0xff; 40], &[]).unwrap();
        assert!(matches!(
            worker.receive_to_worker().await,
            Err(LaneError::Malformed(_))
        ));
    });
}

#[test]
fn a_message_for_somebody_else_is_refused() {
    runtime().block_on(async {
        let (monitor, worker) = pair().unwrap();
        let (monitor, worker) = (Lane::new(monitor).unwrap(), Lane::new(worker).unwrap());
        let (socket, _other) = stream_pair().unwrap();
        monitor
            .send_to_worker(&ToWorker::Connection {
                connection: connection(),
                socket,
            })
            .await
            .unwrap();
        assert!(matches!(
            worker.receive_from_session().await,
            Err(LaneError::Malformed(_))
        ));
    });
}

#[test]
fn the_end_of_the_other_side_shows() {
    runtime().block_on(async {
        let (monitor, worker) = pair().unwrap();
        let monitor = Lane::new(monitor).unwrap();
        drop(worker);
        monitor.closed().await.unwrap();
    });
}

#[test]
fn a_worker_cannot_send_up_the_lane() {
    runtime().block_on(async {
        let (monitor, worker) = pair().unwrap();
        let monitor = Lane::new(monitor).unwrap();
        let (_keep, other) = stream_pair().unwrap();
        send_once(worker.as_fd(), b"x", &[other.as_fd()]).unwrap();
        assert!(matches!(
            monitor.closed().await,
            Err(LaneError::Malformed(_))
        ));
    });
}

#[test]
fn bootstrap_hands_over_exactly_one_lane() {
    let (monitor, worker) = stream_pair().unwrap();
    let (lane, _other) = pair().unwrap();
    send_bootstrap(&monitor, lane.as_fd()).unwrap();
    let received = receive_bootstrap(&worker).unwrap();
    assert_ne!(received.as_raw_fd(), lane.as_raw_fd());

    let (stream, _other) = stream_pair().unwrap();
    send_bootstrap(&monitor, stream.as_fd()).unwrap();
    assert!(matches!(
        receive_bootstrap(&worker),
        Err(LaneError::Descriptors("not a lane"))
    ));
}

proptest::proptest! {
    #[test]
    fn no_datagram_makes_a_reader_panic(bytes: Vec<u8>) {
        drop(convert::read_to_worker(&bytes, Vec::new()));
        drop(convert::read_to_session(&bytes, Vec::new()));
        drop(convert::read_from_session(&bytes, Vec::new()));
    }
}
