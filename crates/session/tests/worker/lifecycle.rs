//! The process itself: how it starts, what ends it.

use std::process::Command;
use std::time::{Duration, Instant};

use rpc::session::{Channel, Outcome, Program, ProgramEnd};

use crate::harness::{Running, Scratch, exit_of, notify_socket, program, soon, spawn, start};

#[tokio::test]
async fn tells_systemd_when_it_is_ready_and_keeps_that_from_programs() {
    let scratch = Scratch::new();
    let (socket, path) = notify_socket(&scratch);
    let mut command = program();
    command.env("NOTIFY_SOCKET", path);
    let mut running = Running::from_command(&mut command, start()).await;
    let mut message = [0; 64];
    let length = socket.recv(&mut message).unwrap();
    assert!(message[..length].starts_with(b"READY=1"));
    assert_eq!(
        running.output(0, "echo \"[$NOTIFY_SOCKET]\"").await.0,
        "[]\n"
    );
}

#[tokio::test]
async fn what_pam_said_goes_to_the_monitor_and_to_no_program() {
    let mut command = program();
    command.env("SSHD_PRIVSEP_SAID", "mind the gap\n");
    let mut running = Running::from_command(&mut command, start()).await;
    assert_eq!(running.said, "mind the gap\n");
    let (out, ..) = running.output(0, "echo \"[$SSHD_PRIVSEP_SAID]\"").await;
    assert_eq!(out, "[]\n");
}

#[tokio::test]
async fn outlives_the_monitor() {
    let mut running = Running::new().await;
    running.lose_monitor();
    assert_eq!(running.output(0, "echo here").await.0, "here\n");
}

#[tokio::test]
async fn ends_well_when_the_worker_is_gone() {
    let running = Running::new().await;
    assert!(running.lose_worker().await.success());
}

/// Lane and stream of a worker close one after the other when it goes, and a call may be on its way.
#[tokio::test]
async fn a_worker_that_goes_while_its_program_starts_breaks_no_contract() {
    let mut running = Running::new().await;
    running.lose_lane();
    for channel in 0..2 {
        let program = Program::Command("true".into());
        let started = running.session.start_program(Channel(channel), program);
        assert_eq!(soon(started).await.unwrap(), Outcome::Done);
    }
    assert!(running.lose_worker().await.success());
}

#[tokio::test]
async fn fails_when_the_monitor_is_gone_before_the_start() {
    let (monitor, mut child) = spawn(&mut program());
    drop(monitor);
    assert_eq!(soon(exit_of(&mut child)).await.code(), Some(1));
}

#[tokio::test]
async fn fails_without_a_lane() {
    let status = Command::new(env!("CARGO_BIN_EXE_session"))
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

#[tokio::test]
async fn starts_programs_also_after_its_file_was_replaced() {
    let scratch = Scratch::new();
    let copy = scratch.path().join("session");
    std::fs::copy(env!("CARGO_BIN_EXE_session"), &copy).unwrap();
    let mut command = Command::new(&copy);
    let mut running = Running::from_command(&mut command, start()).await;
    running.output(0, "true").await;
    std::fs::write(scratch.path().join("new"), "#!/bin/false").unwrap();
    std::fs::rename(scratch.path().join("new"), &copy).unwrap();
    assert_eq!(running.output(1, "exit 6").await.2, ProgramEnd::Exited(6));
}

/// Not a benchmark, but a start that takes ten times as long is a mistake in the second stage.
#[tokio::test]
async fn a_program_starts_fast() {
    let mut running = Running::new().await;
    running.output(0, "true").await;
    let begin = Instant::now();
    for channel in 1..=20 {
        running.output(channel, "true").await;
    }
    let each = begin.elapsed() / 20;
    println!("start to end of a program: {each:?}");
    assert!(each < Duration::from_millis(100), "{each:?}");
}
