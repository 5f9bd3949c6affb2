//! What ends with a channel or with the connection, and what does not.

use rpc::session::{Channel, Program, ProgramEnd};

use crate::harness::{Pty, Running, Stranger, soon};

/// Starts a command line on a terminal; it prints a line with two process numbers.
async fn two_sleeps(running: &mut Running, line: &str) -> (Pty, Stranger, Stranger) {
    let mut pty = running.pty(0, &[], Program::Command(line.into())).await;
    pty.until("\r\n").await;
    let numbers = pty.seen.trim().to_owned();
    let (first, second) = numbers.split_once(' ').unwrap();
    let both = (Stranger::new(first), Stranger::new(second));
    (pty, both.0, both.1)
}

const NOHUP: &str =
    "nohup sleep 100 >/dev/null 2>&1 </dev/null & a=$!; sleep 100 & sleep 0.2; echo $a $!; wait";

#[tokio::test]
async fn the_end_of_the_connection_hangs_up_terminals_but_not_who_ignores_it() {
    let mut running = Running::new().await;
    let (pty, nohup, sleep) = two_sleeps(&mut running, NOHUP).await;
    // The worker's copy of the master outlives its stream for this test: the session's signal alone must do.
    let status = running.lose_worker().await;
    assert!(status.success(), "{status}");
    sleep.dies().await;
    assert!(nohup.lives());
    drop(pty);
    assert!(nohup.lives());
    nohup.kill();
}

#[tokio::test]
async fn closing_a_channel_hangs_up_its_terminal() {
    let mut running = Running::new().await;
    let (pty, nohup, sleep) = two_sleeps(&mut running, NOHUP).await;
    drop(pty);
    soon(running.session.close(Channel(0))).await.unwrap();
    sleep.dies().await;
    assert!(nohup.lives());
    nohup.kill();
    assert_eq!(
        running.output(1, "echo other channels live").await.2,
        ProgramEnd::Exited(0)
    );
}

#[tokio::test]
async fn a_program_on_pipes_outlives_its_channel_and_its_connection() {
    let mut running = Running::new().await;
    let mut pipes = running.exec(0, "echo $$; exec sleep 100").await;
    let sleep = Stranger::new(&pipes.line().await);
    drop(pipes);
    let mut waiting = running.session.clone();
    let wait = tokio::spawn(async move { waiting.wait(Channel(0)).await.unwrap() });
    tokio::task::yield_now().await;
    soon(running.session.close(Channel(0))).await.unwrap();
    // The client may still hear of its end.
    assert!(sleep.lives() && !wait.is_finished());
    wait.abort();
    assert!(running.lose_worker().await.success());
    assert!(sleep.lives());
    sleep.kill();
}

#[tokio::test]
async fn the_end_of_a_program_is_told_after_its_channel_was_closed() {
    let mut running = Running::new().await;
    let (pty, sleep, _) = two_sleeps(
        &mut running,
        "trap 'exit 5' HUP; sleep 100 & a=$!; sleep 0.2; echo $a $$; wait",
    )
    .await;
    let mut waiting = running.session.clone();
    let wait = tokio::spawn(async move { waiting.wait(Channel(0)).await.unwrap() });
    tokio::task::yield_now().await;
    drop(pty);
    soon(running.session.close(Channel(0))).await.unwrap();
    assert_eq!(soon(wait).await.unwrap(), ProgramEnd::Exited(5));
    sleep.dies().await;
}

#[tokio::test]
async fn a_program_whose_channel_was_closed_is_reaped() {
    let mut running = Running::new().await;
    let mut pipes = running.exec(0, "echo $$; exec sleep 100").await;
    let sleep = Stranger::new(&pipes.line().await);
    soon(running.session.close(Channel(0))).await.unwrap();
    sleep.kill();
    let pid = running.pid();
    let children = format!("/proc/{pid}/task/{pid}/children");
    soon(async {
        while !std::fs::read_to_string(&children).unwrap().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}
