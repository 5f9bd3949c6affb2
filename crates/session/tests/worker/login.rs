//! What comes before a program: the greeting of a shell, and `~/.ssh/rc`.

use std::fs;
use std::process::Command;

use rpc::lane::{LoginProcess, Permission, Permissions, SessionStart};
use rpc::session::{Channel, Program};

use crate::harness::{Running, Scratch, program, start};

/// As pam_sshd_privsep(8) passes it on.
const WORDS: &str = "welcome\n";

/// A session whose PAM modules have said something, with this home directory.
async fn greeted(home: &Scratch) -> Running {
    let mut command: Command = program();
    command.env("SSHD_PRIVSEP_WORDS", WORDS);
    Running::from_command(&mut command, at(home)).await
}

fn at(home: &Scratch) -> SessionStart {
    SessionStart {
        home: home.path().display().to_string(),
        process: LoginProcess {
            user_rc: Permission::Granted,
            ..LoginProcess::PLAIN
        },
        ..start()
    }
}

/// What a shell prints that is told to print its environment's secrets.
async fn shell(running: &mut Running, channel: u32) -> String {
    let mut pipes = running.pipes(channel, Program::Shell).await;
    pipes
        .write(b"echo shell; env | grep PRIVSEP; exit 0\n")
        .await;
    pipes.finish().await.0
}

#[tokio::test]
async fn a_shell_says_what_modules_said_once() {
    let home = Scratch::new();
    let mut running = greeted(&home).await;
    assert_eq!(shell(&mut running, 0).await, "welcome\nshell\n");
    assert_eq!(shell(&mut running, 1).await, "shell\n");
}

#[tokio::test]
async fn a_command_and_a_hushed_login_say_nothing() {
    let home = Scratch::new();
    let mut running = greeted(&home).await;
    assert_eq!(running.output(0, "echo command").await.0, "command\n");
    assert_eq!(shell(&mut running, 1).await, "shell\n");
    fs::write(home.path().join(".hushlogin"), "").unwrap();
    let mut running = greeted(&home).await;
    assert_eq!(shell(&mut running, 0).await, "shell\n");
}

#[tokio::test]
async fn without_pam_modules_are_not_heard() {
    let home = Scratch::new();
    let mut start = at(&home);
    start.process.use_pam = false;
    let mut command: Command = program();
    command.env("SSHD_PRIVSEP_WORDS", WORDS);
    let mut running = Running::from_command(&mut command, start).await;
    assert_eq!(shell(&mut running, 0).await, "shell\n");
}

#[tokio::test]
async fn the_users_file_runs_before_each_program_but_a_subsystem() {
    let home = Scratch::new();
    fs::create_dir(home.path().join(".ssh")).unwrap();
    let file = home.path().join(".ssh/rc");
    fs::write(&file, "read x; echo rc $x $LC_X in $(pwd); exit 3\n").unwrap();
    let mut running = Running::with(at(&home)).await;
    let session = &mut running.session;
    session
        .set_environment(Channel(0), "LC_X", "y")
        .await
        .unwrap();
    let expected = format!("rc y in {}\n", home.path().display());
    let (out, _, _) = running.output(0, "echo command").await;
    assert_eq!(out, format!("{expected}command\n"));
    let pipes = running.pipes(1, Program::Subsystem("greet".into())).await;
    assert_eq!(pipes.finish().await.0, "hello from tester\n");
}

#[tokio::test]
async fn the_users_file_does_not_run_if_key_or_configuration_forbid_it() {
    let home = Scratch::new();
    fs::create_dir(home.path().join(".ssh")).unwrap();
    fs::write(home.path().join(".ssh/rc"), "echo rc\n").unwrap();
    let mut by_key = at(&home);
    by_key.permissions = Permissions::NONE;
    let mut by_configuration = at(&home);
    by_configuration.process.user_rc = Permission::Denied;
    for start in [by_key, by_configuration] {
        let mut running = Running::with(start).await;
        assert_eq!(running.output(0, "echo command").await.0, "command\n");
    }
}
