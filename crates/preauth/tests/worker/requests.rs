//! Requests of a channel whose program runs: "eow@openssh.com" both ways (OpenSSH PROTOCOL section 2.1), "break" (RFC 4335)
//! and "signal" (RFC 4254 section 6.9).

use wire::codec::Write as _;
use wire::message::number::{
    CHANNEL_DATA, CHANNEL_EXTENDED_DATA, CHANNEL_FAILURE, CHANNEL_OPEN, CHANNEL_OPEN_FAILURE,
    CHANNEL_REQUEST,
};

use crate::scripted::{CHANNEL_SUCCESS, Connection, channel_message, exit_status};

/// How the tests' session answers "signal".
const SIGNAL_REFUSED: u8 = CHANNEL_FAILURE;

fn request(channel: u32, name: &str, want_reply: u8) -> Vec<u8> {
    let mut payload = channel_message(CHANNEL_REQUEST, channel);
    payload.put_string(name.as_bytes());
    payload.put_byte(want_reply);
    payload
}

#[tokio::test]
async fn output_that_the_client_cannot_write_ends_the_program_and_its_errors_still_come() {
    let mut connection = Connection::new().await;
    let theirs = connection.open(7).await.unwrap();
    let line = "(exec cat /dev/zero); echo over >&2; exit 4";
    connection.exec(theirs, line).await;
    assert_eq!(connection.answer().await[0], CHANNEL_DATA);
    let unwritable = request(theirs, "eow@openssh.com", 0);
    connection.send(&unwritable).await;
    let mut after = loop {
        let answer = connection.answer().await;
        if answer[0] != CHANNEL_DATA {
            break answer;
        }
    };
    if after[0] == CHANNEL_EXTENDED_DATA {
        assert!(after.ends_with(b"over\n"));
        after = connection.answer().await;
    }
    assert_eq!(after, exit_status(7, 4));
}

#[tokio::test]
async fn a_break_and_signals_are_answered_in_the_order_of_the_requests() {
    let mut connection = Connection::new().await;
    let theirs = connection.open(7).await.unwrap();
    connection.exec(theirs, "cat").await;
    let signal = |want_reply| {
        let mut signal = request(theirs, "signal", want_reply);
        signal.put_string(b"USR1");
        signal
    };
    let length_of_break = |want_reply| {
        let mut length = request(theirs, "break", want_reply);
        length.put_uint32(500);
        length
    };
    for unanswered in [signal(0), length_of_break(0)] {
        connection.send(&unanswered).await;
    }
    for answered in [signal(1), length_of_break(1), signal(1), length_of_break(1)] {
        connection.send(&answered).await;
    }
    for expected in [
        SIGNAL_REFUSED,
        CHANNEL_SUCCESS,
        SIGNAL_REFUSED,
        CHANNEL_SUCCESS,
    ] {
        assert_eq!(connection.answer().await, channel_message(expected, 7));
    }
}

/// The scripted client is not OpenSSH; that `ssh` hears of it is shown with `ssh`.
#[tokio::test]
async fn who_may_not_know_the_request_is_not_told_that_nobody_reads() {
    let mut connection = Connection::new().await;
    let theirs = connection.open(7).await.unwrap();
    connection
        .exec(theirs, "exec <&-; echo closed; sleep 0.5; exit 6")
        .await;
    assert!(connection.answer().await.ends_with(b"closed\n"));
    let mut data = channel_message(CHANNEL_DATA, theirs);
    data.put_string(b"for nobody");
    connection.send(&data).await;
    assert_eq!(connection.answer().await, exit_status(7, 6));
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_at_the_end_of_its_input() {
    let mut connection = Connection::new().await;
    let theirs = connection.open(7).await.unwrap();
    connection
        .exec(theirs, "{ cat; echo over; } <&0 & exit 5")
        .await;
    // Either may come first: they are on ways of their own.
    let mut answers = [connection.answer().await, connection.answer().await];
    answers.sort();
    let [said, status] = answers;
    assert!(said.ends_with(b"over\n"), "{said:?}");
    assert_eq!(status, exit_status(7, 5));
}

/// One answer, in sshd's words. A second one would be for the next channel of that number.
#[tokio::test]
async fn channels_of_unknown_types_are_refused_once() {
    let mut connection = Connection::new().await;
    for kind in [
        "nonsense",
        "auth-agent@openssh.com",
        "x11",
        "forwarded-tcpip",
    ] {
        let mut open = vec![CHANNEL_OPEN];
        open.put_string(kind.as_bytes());
        for field in [7, 1000, 1000] {
            open.put_uint32(field);
        }
        connection.send(&open).await;
        let mut refused = channel_message(CHANNEL_OPEN_FAILURE, 7);
        refused.put_uint32(2);
        refused.put_string(b"open failed");
        refused.put_string(b"");
        assert_eq!(connection.answer().await, refused, "{kind}");
    }
    let theirs = connection.open(7).await.unwrap();
    connection.exec(theirs, "exit 3").await;
    assert_eq!(connection.answer().await, exit_status(7, 3));
}
