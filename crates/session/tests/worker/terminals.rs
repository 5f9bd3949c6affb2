//! "pty-req", "window-change", "break".

use rpc::session::{Channel, Outcome, Program, ProgramEnd, WindowSize};

use crate::harness::{Running, soon};

fn command(line: &str) -> Program {
    Program::Command(line.into())
}

#[tokio::test]
async fn a_shell_on_a_terminal_echoes_and_follows_the_window() {
    let mut running = Running::new().await;
    let mut pty = running.pty(0, &[], Program::Shell).await;
    pty.write(b"stty size; echo \"$TERM $SSH_TTY\"; tty\n");
    pty.until("stty size; echo").await;
    pty.until("24 80\r\n").await;
    pty.until("vt100 /dev/pts/").await;
    let size = WindowSize {
        columns: 132,
        rows: 50,
        width_pixels: 1,
        height_pixels: 2,
    };
    let resized = soon(running.session.resize(Channel(0), size)).await;
    assert_eq!(resized.unwrap(), Outcome::Done);
    pty.write(b"stty size\n");
    pty.until("50 132\r\n").await;
    assert_eq!(
        soon(running.session.send_break(Channel(0))).await.unwrap(),
        Outcome::Done
    );
    pty.write(b"exit 4\n");
    assert_eq!(running.wait(0).await, ProgramEnd::Exited(4));
    pty.finish().await;
}

#[tokio::test]
async fn modes_hold_when_the_program_starts() {
    let mut running = Running::new().await;
    let modes = [
        (53, 0),
        (1, 7),
        (3, 255),
        (72, 0),
        (42, 1),
        (129, 9600),
        (128, 9600),
        (200, 1),
    ];
    let pty = running.pty(0, &modes, command("stty -a")).await;
    let seen = pty.finish().await;
    for expected in [
        "speed 9600 baud",
        " -echo ",
        "intr = ^G",
        "erase = <undef>",
        " -onlcr",
        " iutf8",
    ] {
        assert!(seen.contains(expected), "{expected} in {seen}");
    }
    assert!(!seen.contains('\r'));
}

#[tokio::test]
async fn the_terminal_is_the_controlling_terminal() {
    let mut running = Running::new().await;
    let line = "trap 'exit 9' INT; echo ready > /dev/tty; while :; do sleep 0.02; done";
    let mut pty = running.pty(0, &[], command(line)).await;
    pty.until("ready").await;
    // Ctrl-C goes to the foreground process group.
    pty.write(b"\x03");
    assert_eq!(running.wait(0).await, ProgramEnd::Exited(9));
}

#[tokio::test]
async fn error_output_goes_to_the_terminal_too() {
    let mut running = Running::new().await;
    let pty = running.pty(0, &[], command("echo oops >&2")).await;
    assert_eq!(pty.finish().await, "oops\r\n");
}

#[tokio::test]
async fn window_changes_count_before_the_program_starts() {
    let mut running = Running::new().await;
    let request = rpc::session::PtyRequest {
        term: String::new(),
        size: WindowSize::default(),
        modes: Vec::new(),
    };
    soon(running.session.allocate_pty(Channel(0), request))
        .await
        .unwrap();
    let size = WindowSize {
        columns: 40,
        rows: 10,
        ..WindowSize::default()
    };
    assert_eq!(
        soon(running.session.resize(Channel(0), size))
            .await
            .unwrap(),
        Outcome::Done
    );
    let Some(rpc::lane::ProgramDescriptors::Pty(master)) =
        running.start(0, command("read x")).await
    else {
        panic!("no pty")
    };
    let now = rustix::termios::tcgetwinsize(&master).unwrap();
    assert_eq!((now.ws_col, now.ws_row), (40, 10));
}
