//! Clients, channels and connections that are silent for too long.

use std::time::{Duration, Instant};

use preauth::engine::EngineEnd;
use rpc::lane::{ChannelTimeouts, ChannelType, IdleSeconds, SessionGrant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wire::message::number::{CHANNEL_CLOSE, CHANNEL_EOF, GLOBAL_REQUEST, REQUEST_FAILURE};

use crate::forwarding::{Server, data};
use crate::scripted::{Connection, channel_message, soon};

const SECOND: Duration = Duration::from_secs(1);

/// Waits for the message that asks for a sign of life.
async fn asked(client: &mut Connection) {
    while client.next().await[0] != GLOBAL_REQUEST {}
}

#[tokio::test]
async fn a_client_that_answers_is_kept_and_one_that_does_not_is_given_up() {
    let mut client = Connection::granted(SessionGrant {
        client_alive_interval: 1,
        client_alive_count_max: 1,
        ..SessionGrant::default()
    })
    .await;
    for _ in 0..3 {
        asked(&mut client).await;
        client.send(&[REQUEST_FAILURE]).await;
    }
    let silent = Instant::now();
    assert_eq!(client.end().await, EngineEnd::Unresponsive);
    assert!(silent.elapsed() >= SECOND * 2);
}

#[tokio::test]
async fn a_connection_ends_when_no_program_runs_on_it() {
    let mut client = Connection::granted(SessionGrant {
        unused_connection_timeout: 1,
        ..SessionGrant::default()
    })
    .await;
    let theirs = client.open(5).await.unwrap();
    let start = Instant::now();
    client.exec(theirs, "sleep 2; echo x").await;
    while client.answer().await != channel_message(CHANNEL_CLOSE, 5) {}
    assert!(start.elapsed() >= SECOND * 2, "it was used");
    client.send(&channel_message(CHANNEL_CLOSE, theirs)).await;
    // A channel without a program is none.
    client.open(6).await.unwrap();
    assert_eq!(client.end().await, EngineEnd::Unused);
}

fn timeouts(channel: ChannelType) -> SessionGrant {
    SessionGrant {
        channel_timeouts: ChannelTimeouts {
            types: vec![(channel, IdleSeconds(1))],
            global: IdleSeconds(0),
        },
        ..SessionGrant::default()
    }
}

#[tokio::test]
async fn an_idle_command_is_closed_and_the_connection_goes_on() {
    let mut client = Connection::granted(timeouts(ChannelType::Command)).await;
    let theirs = client.open(5).await.unwrap();
    client.exec(theirs, "exec cat").await;
    assert_eq!(client.answer().await, channel_message(CHANNEL_EOF, 5));
    assert_eq!(client.answer().await, channel_message(CHANNEL_CLOSE, 5));
    client.send(&channel_message(CHANNEL_CLOSE, theirs)).await;
    let theirs = client.open(6).await.unwrap();
    client.exec(theirs, "exit 0").await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_on_both_sides() {
    let server = Server::new("idle");
    let mut client = Connection::granted(timeouts(ChannelType::DirectStreamLocal)).await;
    let (theirs, mut socket) = server.connected(&mut client, 7).await;
    let start = Instant::now();
    for _ in 0..3 {
        tokio::time::sleep(SECOND * 3 / 5).await;
        client.send(&data(theirs, b"x")).await;
        soon(socket.read_exact(&mut [0])).await.unwrap();
    }
    socket.write_all(b"y").await.unwrap();
    assert_eq!(client.answer().await, data(7, b"y"));
    assert_eq!(client.answer().await, channel_message(CHANNEL_EOF, 7));
    assert_eq!(client.answer().await, channel_message(CHANNEL_CLOSE, 7));
    assert!(start.elapsed() >= SECOND * 14 / 5);
    assert_eq!(soon(socket.read(&mut [0])).await.unwrap(), 0);
}
