//! "exec", "shell", "subsystem": what a program is given, and how its end is told.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rpc::lane::SessionStart;
use rpc::session::{Channel, Outcome, Program, ProgramEnd, Signal};

use crate::harness::{
    Running, Scratch, Stranger, ignored_signals, inherited_descriptors, soon, start,
};

#[tokio::test]
async fn exec_has_separate_output_and_error_and_an_exit_status() {
    let mut running = Running::new().await;
    let (out, err, end) = running.output(0, "echo out; echo err >&2; exit 3").await;
    assert_eq!((out.as_str(), err.as_str()), ("out\n", "err\n"));
    assert_eq!(end, ProgramEnd::Exited(3));
}

#[tokio::test]
async fn command_lines_reach_the_shell_byte_by_byte() {
    let mut running = Running::new().await;
    let line = b"printf %s '\xff\xfe \"$HOME\"'; printf \" $HOME\"".to_vec();
    let mut pipes = running.pipes(0, Program::Command(line)).await;
    let mut out = Vec::new();
    soon(tokio::io::AsyncReadExt::read_to_end(
        &mut pipes.stdout,
        &mut out,
    ))
    .await
    .unwrap();
    assert_eq!(out, b"\xff\xfe \"$HOME\" /tmp");
}

#[tokio::test]
async fn stdin_reaches_the_program_and_ends() {
    let mut running = Running::new().await;
    let mut pipes = running.exec(0, "sha256sum").await;
    for _ in 0..64 {
        pipes.write(&[b'x'; 16 * 1024]).await;
    }
    let (out, _) = pipes.finish().await;
    // head -c 1M /dev/zero | tr '\0' x | sha256sum
    let expected = "8f990ba0b577b51cf009ea049368c16bbda1b21e1b93be07a824758bb253c39b  -\n";
    assert_eq!(out, expected);
    assert_eq!(running.wait(0).await, ProgramEnd::Exited(0));
}

#[tokio::test]
async fn a_named_signal_ends_as_exit_signal() {
    let mut running = Running::new().await;
    let (_, _, end) = running.output(0, "kill -TERM $$").await;
    let expected = ProgramEnd::Signaled {
        signal: Signal::Term,
        core_dumped: false,
    };
    assert_eq!(end, expected);
}

#[tokio::test]
async fn a_signal_without_a_name_in_the_rfc_ends_as_a_shells_exit_status() {
    let mut running = Running::new().await;
    let (_, _, end) = running.output(0, "ulimit -c 0; kill -XCPU $$").await;
    assert_eq!(end, ProgramEnd::Exited(128 + 24));
}

#[tokio::test]
async fn the_shell_without_a_command_is_a_login_shell() {
    let mut running = Running::with(SessionStart {
        shell: "/bin/bash".into(),
        ..start()
    })
    .await;
    let mut pipes = running.pipes(0, Program::Shell).await;
    pipes
        .write(b"echo $0; shopt -q login_shell && echo login; exit 7\n")
        .await;
    assert_eq!(pipes.finish().await.0, "-bash\nlogin\n");
    assert_eq!(running.wait(0).await, ProgramEnd::Exited(7));
}

#[tokio::test]
async fn a_subsystem_is_run_by_the_shell() {
    let mut running = Running::new().await;
    let pipes = running.pipes(0, Program::Subsystem("greet".into())).await;
    let signaled = soon(running.session.signal(Channel(0), Signal::Kill)).await;
    assert_eq!(signaled.unwrap(), Outcome::Refused);
    assert_eq!(pipes.finish().await.0, "hello from tester\n");
    assert_eq!(running.wait(0).await, ProgramEnd::Exited(0));
}

#[tokio::test]
async fn a_forced_command_runs_in_place_of_what_was_asked_for() {
    let mut running = Running::with(SessionStart {
        forced_command: Some("echo forced ${SSH_ORIGINAL_COMMAND-unset}; sleep 0.2".into()),
        ..start()
    })
    .await;
    let asked = [
        (Program::Shell, "forced unset\n"),
        (
            Program::Command(b"echo free".to_vec()),
            "forced echo free\n",
        ),
        (
            Program::Subsystem("greet".into()),
            "forced echo hello from $USER; sleep 0.2\n",
        ),
    ];
    for (channel, (program, expected)) in (0..).zip(asked) {
        let pipes = running.pipes(channel, program).await;
        let signaled = soon(running.session.signal(Channel(channel), Signal::Kill)).await;
        assert_eq!(signaled.unwrap(), Outcome::Refused);
        assert_eq!(pipes.finish().await.0, expected);
    }
}

/// What ld.so(8) says of a LD_PRELOAD that is not there: once in each program that has it in its environment.
const NOT_PRELOADED: &str = "/nonexistent.so' from LD_PRELOAD cannot be preloaded";

#[tokio::test]
async fn variables_of_the_user_reach_nothing_but_the_users_program() {
    let preload = SessionStart {
        environment: vec![("LD_PRELOAD".into(), "/nonexistent.so".into())],
        ..start()
    };
    let mut running = Running::with(preload.clone()).await;
    let (_, errors, _) = running.output(0, "exit").await;
    assert_eq!(errors.matches(NOT_PRELOADED).count(), 1, "{errors}");

    let mut restricted = Running::with(SessionStart {
        forced_command: Some("internal-sftp".into()),
        ..preload
    })
    .await;
    let (out, errors) = restricted.pipes(0, Program::Shell).await.finish().await;
    assert_eq!(out, "This service allows sftp connections only.\n");
    assert_eq!(errors, "");
}

#[tokio::test]
async fn an_unknown_subsystem_is_refused() {
    let mut running = Running::new().await;
    assert!(
        running
            .start(0, Program::Subsystem("sftp".into()))
            .await
            .is_none()
    );
}

#[tokio::test]
async fn signals_reach_the_whole_process_group() {
    let mut running = Running::new().await;
    let mut pipes = running.exec(0, "sleep 100 & echo $!; wait").await;
    let sleep = Stranger::new(&pipes.line().await);
    let signaled = soon(running.session.signal(Channel(0), Signal::Usr1)).await;
    assert_eq!(signaled.unwrap(), Outcome::Done);
    sleep.dies().await;
    let expected = ProgramEnd::Signaled {
        signal: Signal::Usr1,
        core_dumped: false,
    };
    assert_eq!(running.wait(0).await, expected);
    let late = soon(running.session.signal(Channel(0), Signal::Kill)).await;
    assert_eq!(late.unwrap(), Outcome::Refused);
}

#[tokio::test]
async fn a_signal_right_after_the_start_is_not_lost() {
    let mut running = Running::new().await;
    for channel in 0..20 {
        let _pipes = running.exec(channel, "exec sleep 100").await;
        let signaled = soon(running.session.signal(Channel(channel), Signal::Kill)).await;
        assert_eq!(signaled.unwrap(), Outcome::Done);
        let expected = ProgramEnd::Signaled {
            signal: Signal::Kill,
            core_dumped: false,
        };
        assert_eq!(running.wait(channel).await, expected);
    }
}

#[tokio::test]
async fn a_background_child_with_the_pipes_does_not_delay_the_end() {
    let mut running = Running::new().await;
    let begin = Instant::now();
    let mut pipes = running.exec(0, "sleep 100 & echo $!").await;
    let sleep = Stranger::new(&pipes.line().await);
    assert_eq!(running.wait(0).await, ProgramEnd::Exited(0));
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(sleep.lives());
    sleep.kill();
}

#[tokio::test]
async fn programs_inherit_nothing_but_their_standard_descriptors() {
    let mut expected = inherited_descriptors();
    expected.extend(["0", "1", "2"].map(str::to_owned));
    let numbers =
        |text: &str| -> BTreeSet<String> { text.split_whitespace().map(str::to_owned).collect() };
    let mut running = Running::new().await;
    let line = "ls /proc/$$/fd; true";
    assert_eq!(numbers(&running.output(0, line).await.0), expected);
    let pty = running.pty(1, &[], Program::Command(line.into())).await;
    assert_eq!(numbers(&pty.finish().await), expected);
    // Nor is the lane one of the three.
    let (out, _, _) = running
        .output(2, "readlink /proc/$$/fd/0 /proc/$$/fd/1; true")
        .await;
    assert!(
        out.lines().all(|target| target.starts_with("pipe:")),
        "{out}"
    );
}

#[tokio::test]
async fn programs_start_with_default_signals() {
    let mut running = Running::new().await;
    let (out, _, _) = running
        // By the shell itself: while it starts a program it blocks everything.
        .output(
            0,
            "while read -r line; do echo \"$line\"; done < /proc/$$/status",
        )
        .await;
    assert!(out.contains("SigBlk:\t0000000000000000\n"), "{out}");
    // std ignores SIGPIPE in this process and in the session, but not in what they start.
    const PIPE: u64 = 1 << 12;
    let ours = ignored_signals(&std::fs::read_to_string("/proc/self/status").unwrap());
    assert_eq!(ignored_signals(&out), ours & !PIPE);
}

#[tokio::test]
async fn programs_lead_a_session_and_have_an_end_that_blocks() {
    let mut running = Running::new().await;
    let (out, _, _) = running
        .output(
            0,
            "cut -d' ' -f1,5,6 /proc/$$/stat; echo $$; cat /proc/$$/fdinfo/0 | grep flags",
        )
        .await;
    let lines: Vec<&str> = out.lines().collect();
    let pid = lines[1];
    assert_eq!(lines[0], format!("{pid} {pid} {pid}"));
    assert_eq!(lines[2], "flags:\t00");
}

#[tokio::test]
async fn programs_start_in_the_home_directory() {
    let home = Scratch::new();
    let path = home.path().to_str().unwrap().to_owned();
    let mut running = Running::with(SessionStart {
        home: path.clone(),
        ..start()
    })
    .await;
    let (out, err, _) = running.output(0, "pwd -P").await;
    assert_eq!((out, err), (format!("{path}\n"), String::new()));
}

#[tokio::test]
async fn a_missing_home_is_told_and_survived() {
    let mut running = Running::with(SessionStart {
        home: "/nonexistent/home".into(),
        ..start()
    })
    .await;
    let (out, err, end) = running.output(0, "pwd").await;
    assert_eq!(out, "/\n");
    assert_eq!(
        err,
        "Could not chdir to home directory /nonexistent/home: No such file or directory\n"
    );
    assert_eq!(end, ProgramEnd::Exited(0));
}

#[tokio::test]
async fn a_missing_shell_is_told() {
    let mut running = Running::with(SessionStart {
        shell: "/nonexistent/shell".into(),
        ..start()
    })
    .await;
    let (_, err, end) = running.output(0, "true").await;
    assert_eq!(err, "/nonexistent/shell: No such file or directory\n");
    assert_eq!(end, ProgramEnd::Exited(1));
}

#[tokio::test]
async fn twenty_channels_run_at_once() {
    let mut running = Running::new().await;
    let mut all = Vec::new();
    for channel in 0..20_u32 {
        all.push(
            running
                .exec(
                    channel,
                    &format!("read line; echo {channel} $line; exit {channel}"),
                )
                .await,
        );
    }
    // All of them wait for their line, so all of them run now.
    for (channel, mut pipes) in all.into_iter().enumerate() {
        pipes.write(format!("line{channel}\n").as_bytes()).await;
        assert_eq!(pipes.finish().await.0, format!("{channel} line{channel}\n"));
    }
    for channel in 0..20_u32 {
        assert_eq!(running.wait(channel).await, ProgramEnd::Exited(channel));
    }
}

#[tokio::test]
async fn nothing_is_left_behind_by_programs_that_ended() {
    let mut running = Running::new().await;
    for channel in 0..5 {
        running.output(channel, "true").await;
        soon(running.session.close(Channel(channel))).await.unwrap();
    }
    let pid = running.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    assert_eq!(children, "");
    let before = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count();
    running.output(9, "true").await;
    soon(running.session.close(Channel(9))).await.unwrap();
    let after = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count();
    assert_eq!(before, after);
}
