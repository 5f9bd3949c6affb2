//! Requests that prepare a channel, and those that are refused.

use rpc::lane::SessionStart;
use rpc::session::{Channel, Outcome, Program, ProgramEnd, PtyRequest, Signal, WindowSize};

use crate::harness::{Running, program, soon, start};

async fn set(running: &mut Running, channel: u32, name: &str, value: &str) -> Outcome {
    soon(
        running
            .session
            .set_environment(Channel(channel), name, value),
    )
    .await
    .unwrap()
}

fn plain_terminal() -> PtyRequest {
    PtyRequest {
        term: "vt100".into(),
        size: WindowSize::default(),
        modes: Vec::new(),
    }
}

#[tokio::test]
async fn accepted_variables_reach_their_channel_and_no_other() {
    let mut running = Running::new().await;
    assert_eq!(
        set(&mut running, 0, "LC_TIME", "de_DE").await,
        Outcome::Done
    );
    assert_eq!(
        set(&mut running, 0, "LC_X", "a b\n'c'").await,
        Outcome::Done
    );
    for refused in ["LD_PRELOAD", "HOME", "SSH_CONNECTION", "EDITOR"] {
        assert_eq!(
            set(&mut running, 0, refused, "x").await,
            Outcome::Refused,
            "{refused}"
        );
    }
    let line = "printf '%s|' \"$LC_TIME\" \"$LC_X\" \"$LD_PRELOAD\" \"$EDITOR\"";
    assert_eq!(running.output(0, line).await.0, "de_DE|a b\n'c'|||");
    assert_eq!(running.output(1, line).await.0, "||||");
}

#[tokio::test]
async fn programs_have_the_environment_of_sshd_and_nothing_of_the_units() {
    let mut command = program();
    command
        .env("INVOCATION_ID", "1")
        .env("XDG_SESSION_ID", "12")
        .env("LISTEN_PID", "1");
    let mut running = Running::from_command(&mut command, start()).await;
    let (out, _, _) = running
        .output(
            0,
            "env | grep -v -e ^PWD= -e ^_= -e ^OLDPWD= -e ^SHLVL= | sort",
        )
        .await;
    let expected = "HOME=/tmp
LOGNAME=tester
PATH=/usr/bin:/bin
SHELL=/bin/sh
SSH_CLIENT=192.0.2.1 40000 22
SSH_CONNECTION=192.0.2.1 40000 192.0.2.2 22
USER=tester
XDG_SESSION_ID=12
";
    assert_eq!(out, expected);
}

#[tokio::test]
async fn a_channel_has_one_program() {
    let mut running = Running::new().await;
    let pipes = running.exec(0, "read x").await;
    assert!(
        running
            .start(0, Program::Command(b"true".into()))
            .await
            .is_none()
    );
    assert_eq!(set(&mut running, 0, "LC_X", "x").await, Outcome::Refused);
    let late = soon(running.session.allocate_pty(Channel(0), plain_terminal())).await;
    assert_eq!(late.unwrap(), Outcome::Refused);
    pipes.finish().await;
    assert_eq!(running.wait(0).await, ProgramEnd::Exited(1));
    assert!(
        running
            .start(0, Program::Command(b"true".into()))
            .await
            .is_none()
    );
}

#[tokio::test]
async fn a_channel_has_one_terminal_and_only_if_permitted() {
    let mut running = Running::new().await;
    let first = soon(running.session.allocate_pty(Channel(0), plain_terminal())).await;
    assert_eq!(first.unwrap(), Outcome::Done);
    let second = soon(running.session.allocate_pty(Channel(0), plain_terminal())).await;
    assert_eq!(second.unwrap(), Outcome::Refused);

    let mut running = Running::with(SessionStart {
        permit_tty: false,
        ..start()
    })
    .await;
    let denied = soon(running.session.allocate_pty(Channel(0), plain_terminal())).await;
    assert_eq!(denied.unwrap(), Outcome::Refused);
    assert_eq!(running.output(0, "echo still").await.0, "still\n");
}

#[tokio::test]
async fn no_more_channels_than_max_sessions() {
    let mut running = Running::with(SessionStart {
        max_sessions: 2,
        ..start()
    })
    .await;
    running.output(0, "true").await;
    assert_eq!(set(&mut running, 1, "LC_X", "x").await, Outcome::Done);
    assert_eq!(set(&mut running, 2, "LC_X", "x").await, Outcome::Refused);
    assert!(running.start(2, Program::Shell).await.is_none());
    soon(running.session.close(Channel(0))).await.unwrap();
    assert_eq!(running.output(2, "echo now").await.0, "now\n");
}

#[tokio::test]
async fn requests_without_their_object_are_refused() {
    let mut running = Running::new().await;
    let channel = Channel(5);
    let size = WindowSize::default();
    assert_eq!(
        soon(running.session.resize(channel, size)).await.unwrap(),
        Outcome::Refused
    );
    assert_eq!(
        soon(running.session.send_break(channel)).await.unwrap(),
        Outcome::Refused
    );
    // A terminal that no program is on.
    let allocated = soon(running.session.allocate_pty(Channel(6), plain_terminal())).await;
    assert_eq!(allocated.unwrap(), Outcome::Done);
    let sent = soon(running.session.send_break(Channel(6))).await;
    assert_eq!(sent.unwrap(), Outcome::Refused);
    assert_eq!(
        soon(running.session.signal(channel, Signal::Hup))
            .await
            .unwrap(),
        Outcome::Refused
    );
    assert_eq!(running.wait(5).await, ProgramEnd::Gone);
    assert_eq!(
        soon(running.session.close(channel)).await.unwrap(),
        Outcome::Done
    );
}
