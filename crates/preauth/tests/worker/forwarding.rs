//! Forwarded channels: how they are opened, how each direction ends, what a client may leave behind.

use std::path::PathBuf;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use wire::channel;
use wire::codec::{Reader, Write as _};
use wire::message::number::{
    CHANNEL_CLOSE, CHANNEL_DATA, CHANNEL_EOF, CHANNEL_FAILURE, CHANNEL_OPEN,
    CHANNEL_OPEN_CONFIRMATION, CHANNEL_REQUEST, GLOBAL_REQUEST, REQUEST_FAILURE, REQUEST_SUCCESS,
};

use crate::scripted::{Connection, WINDOW, channel_message, soon};

/// A socket that the session is asked to connect to.
pub(crate) struct Server {
    listener: UnixListener,
    path: PathBuf,
}

impl Server {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("forward-{}-{name}", std::process::id()));
        drop(std::fs::remove_file(&path));
        let listener = UnixListener::bind(&path).unwrap();
        Self { listener, path }
    }

    /// Opens a channel of this number to it: the server's number of it, and the other end.
    pub(crate) async fn connected(&self, client: &mut Connection, ours: u32) -> (u32, UnixStream) {
        client.send(&open(ours, self.path.to_str().unwrap())).await;
        let (socket, _) = soon(self.listener.accept()).await.unwrap();
        let answer = client.answer().await;
        let mut fields = Reader::new(&answer);
        assert_eq!(fields.byte().unwrap(), CHANNEL_OPEN_CONFIRMATION);
        assert_eq!(fields.uint32().unwrap(), ours);
        (fields.uint32().unwrap(), socket)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}

fn opening(kind: &str, ours: u32) -> Vec<u8> {
    let mut payload = vec![CHANNEL_OPEN];
    payload.put_string(kind.as_bytes());
    for field in [ours, WINDOW, WINDOW] {
        payload.put_uint32(field);
    }
    payload
}

fn open(ours: u32, path: &str) -> Vec<u8> {
    let mut payload = opening("direct-streamlocal@openssh.com", ours);
    payload.put_string(path.as_bytes());
    payload.put_string(b"");
    payload.put_uint32(0);
    payload
}

pub(crate) fn data(channel: u32, bytes: &[u8]) -> Vec<u8> {
    let mut payload = channel_message(CHANNEL_DATA, channel);
    payload.put_string(bytes);
    payload
}

#[tokio::test]
async fn a_failure_is_told_in_the_words_of_the_session() {
    let mut client = Connection::new().await;
    let mut wanted = opening("direct-tcpip", 7);
    for (host, port) in [("db", 5432), ("127.0.0.1", 40_000)] {
        wanted.put_string(host.as_bytes());
        wanted.put_uint32(port);
    }
    client.send(&wanted).await;
    let failure = channel::failure(7, 2, "Network is unreachable");
    assert_eq!(client.answer().await, failure);
}

#[tokio::test]
async fn each_direction_ends_by_itself() {
    let server = Server::new("ends");
    let mut client = Connection::new().await;

    // The client ends first, and hears on.
    let (theirs, mut socket) = server.connected(&mut client, 1).await;
    client.send(&data(theirs, b"question")).await;
    client.send(&channel_message(CHANNEL_EOF, theirs)).await;
    let mut question = String::new();
    soon(socket.read_to_string(&mut question)).await.unwrap();
    assert_eq!(question, "question");
    socket.write_all(b"answer").await.unwrap();
    drop(socket);
    for expected in [
        data(1, b"answer"),
        channel_message(CHANNEL_EOF, 1),
        channel_message(CHANNEL_CLOSE, 1),
    ] {
        assert_eq!(client.answer().await, expected);
    }
    client.send(&channel_message(CHANNEL_CLOSE, theirs)).await;

    // The other side ends first, and hears on.
    let (theirs, mut socket) = server.connected(&mut client, 2).await;
    socket.write_all(b"greeting").await.unwrap();
    socket.shutdown().await.unwrap();
    assert_eq!(client.answer().await, data(2, b"greeting"));
    assert_eq!(client.answer().await, channel_message(CHANNEL_EOF, 2));
    client.send(&data(theirs, b"thanks")).await;
    client.send(&channel_message(CHANNEL_EOF, theirs)).await;
    let mut thanks = String::new();
    soon(socket.read_to_string(&mut thanks)).await.unwrap();
    assert_eq!(thanks, "thanks");
    assert_eq!(client.answer().await, channel_message(CHANNEL_CLOSE, 2));
}

#[tokio::test]
async fn what_came_before_the_close_is_written() {
    let server = Server::new("close");
    let mut client = Connection::new().await;
    let (theirs, mut socket) = server.connected(&mut client, 1).await;
    // More than the socket holds while nobody reads.
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    for part in sent.chunks(30_000) {
        client.send(&data(theirs, part)).await;
    }
    client.send(&channel_message(CHANNEL_CLOSE, theirs)).await;
    let mut heard = Vec::new();
    soon(socket.read_to_end(&mut heard)).await.unwrap();
    assert!(heard == sent, "{} of {} bytes", heard.len(), sent.len());
    assert_eq!(client.answer().await, channel_message(CHANNEL_CLOSE, 1));
    // The number is free again.
    server.connected(&mut client, 1).await;
}

#[tokio::test]
async fn nothing_can_be_asked_of_a_connection() {
    let server = Server::new("asked");
    let mut client = Connection::new().await;
    let (theirs, _socket) = server.connected(&mut client, 3).await;
    let mut request = channel_message(CHANNEL_REQUEST, theirs);
    request.put_string(b"exec");
    request.put_byte(1);
    request.put_string(b"id");
    client.send(&request).await;
    assert_eq!(client.answer().await, channel_message(CHANNEL_FAILURE, 3));
}

#[tokio::test]
async fn a_socket_whose_other_side_is_gone_ends_the_channel() {
    let server = Server::new("gone");
    let mut client = Connection::new().await;
    let (theirs, socket) = server.connected(&mut client, 4).await;
    drop(socket);
    assert_eq!(client.answer().await, channel_message(CHANNEL_EOF, 4));
    client.send(&data(theirs, b"nobody reads this")).await;
    assert_eq!(client.answer().await, channel_message(CHANNEL_CLOSE, 4));
}

fn global(name: &str, reply: u8) -> Vec<u8> {
    let mut payload = vec![GLOBAL_REQUEST];
    payload.put_string(name.as_bytes());
    payload.put_byte(reply);
    payload
}

fn listen(port: u32, reply: u8) -> Vec<u8> {
    let mut payload = global("tcpip-forward", reply);
    payload.put_string(b"localhost");
    payload.put_uint32(port);
    payload
}

#[tokio::test]
async fn requests_to_listen_are_answered_in_their_order() {
    let mut client = Connection::new().await;
    client.send(&global("unknown@example.com", 1)).await;
    // Nobody would hear of the port.
    client.send(&listen(0, 0)).await;
    let mut path = global("streamlocal-forward@openssh.com", 1);
    path.put_string(b"/run/x");
    client.send(&path).await;
    client
        .send(&global("no-more-sessions@openssh.com", 1))
        .await;
    let mut impossible = global("tcpip-forward", 1);
    impossible.put_string(b"");
    impossible.put_uint32(65_536);
    client.send(&impossible).await;
    for expected in [
        vec![REQUEST_FAILURE],
        vec![REQUEST_FAILURE],
        vec![REQUEST_SUCCESS],
        vec![REQUEST_FAILURE],
    ] {
        assert_eq!(client.answer().await, expected);
    }
}

#[tokio::test]
async fn who_connects_is_offered_to_the_client() {
    let mut client = Connection::new().await;
    client.send(&listen(0, 1)).await;
    let mut chosen = vec![REQUEST_SUCCESS];
    chosen.put_uint32(40_007);
    assert_eq!(client.answer().await, chosen);

    let mut offered = Vec::new();
    // More than the session is asked for at once.
    for _ in 0..20 {
        let offer = client.answer().await;
        let mut fields = Reader::new(&offer);
        assert_eq!(fields.byte().unwrap(), CHANNEL_OPEN);
        assert_eq!(fields.string(64).unwrap(), b"forwarded-tcpip");
        let number = fields.uint32().unwrap();
        fields.bytes(8).unwrap();
        for (host, port) in [("localhost", 40_007), ("192.0.2.7", 1234)] {
            assert_eq!(fields.string(64).unwrap(), host.as_bytes());
            assert_eq!(fields.uint32().unwrap(), port);
        }
        fields.finish().unwrap();
        offered.push(number);
    }
    let [refused, taken, ..] = offered[..] else {
        panic!("20 offers");
    };
    client.send(&channel::failure(refused, 1, "no")).await;
    let confirmation = channel::confirmation(taken, 5, WINDOW, WINDOW);
    client.send(&confirmation).await;
    loop {
        let message = client.answer().await;
        // More and more are offered meanwhile.
        if message[0] != CHANNEL_OPEN {
            let words = format!("hello {taken}");
            assert_eq!(message, data(5, words.as_bytes()));
            break;
        }
    }
}
