//! Both ends over a socket pair; what breaks the contract ends the conversation.

use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use proptest::prelude::any;
use rustix::net::{SendFlags, send};
use tokio::time::Instant;
use wire::userauth::UserName;
use zeroize::Zeroizing;

use super::*;

fn secret(text: &str) -> Secret {
    Secret::new(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
}

fn start(task: Task) -> Start {
    Start {
        authority: Authority::Pam(Service::new("sshd").unwrap()),
        user: UserName::new("alice").unwrap(),
        subject: Subject::Somebody,
        remote_host: RemoteName::new("2001:db8::1").unwrap(),
        remote_user: None,
        auth_info: "publickey ssh-ed25519 AAAA\n".to_owned(),
        empty_passwords: EmptyPasswords::Refused,
        task,
    }
}

fn message(style: Style, text: &str) -> Message {
    Message {
        style,
        text: text.to_owned(),
    }
}

fn accepted() -> End {
    End {
        verdict: Verdict::Accepted {
            password: PasswordState::Changed,
            environment: vec![Variable {
                name: b"KRB5CCNAME".to_vec(),
                value: b"FILE:/tmp/a=b".to_vec(),
            }],
        },
        messages: vec![message(Style::Error, "last login failed")],
        delay: Duration::from_millis(2100),
    }
}

/// Runs the monitor's end with `process` at the other end of the socket.
fn converse<T>(
    task: Task,
    patience: Duration,
    process: impl FnOnce(OwnedFd) -> T + Send + 'static,
    monitor: impl AsyncFnOnce(Result<Turn, PamError>),
) -> T
where
    T: Send + 'static,
{
    let (ours, theirs) = crate::lane::pair().unwrap();
    let process = thread::spawn(move || process(theirs));
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let deadline = Instant::now() + patience;
            monitor(Conversation::start(ours, start(task), deadline).await).await;
        });
    process.join().unwrap()
}

const LONG: Duration = Duration::from_secs(30);

#[test]
fn a_conversation_of_two_questions_comes_to_its_end() {
    let first = Question {
        messages: vec![
            message(Style::Information, "welcome"),
            message(Style::Secret, "Password: "),
            message(Style::Visible, "Token: "),
        ],
    };
    let second = Question {
        messages: vec![message(Style::Information, "touch it")],
    };
    let (asked, told) = (first.clone(), second.clone());
    let process = move |socket| {
        let channel = Channel::new(socket).unwrap();
        assert_eq!(channel.start().unwrap(), start(Task::KeyboardInteractive));
        let answers = channel.ask(&first).unwrap();
        assert_eq!(answers, [secret("hunter2"), secret("")]);
        assert_eq!(channel.ask(&second).unwrap(), []);
        channel.end(&accepted()).unwrap();
    };
    converse(Task::KeyboardInteractive, LONG, process, async |turn| {
        let Ok(Turn::Question(question, pending)) = turn else {
            panic!("{turn:?}");
        };
        assert_eq!((&question, question.prompts()), (&asked, 2));
        let turn = pending.answer(vec![secret("hunter2"), secret("")]).await;
        let Ok(Turn::Question(question, pending)) = turn else {
            panic!("{turn:?}");
        };
        assert_eq!((&question, question.prompts()), (&told, 0));
        let Ok(Turn::End(end)) = pending.answer(Vec::new()).await else {
            panic!("no end");
        };
        assert_eq!(end, accepted());
    });
}

#[test]
fn every_task_and_verdict_arrives_as_it_was_sent() {
    for task in [
        Task::Password(secret("pässword")),
        Task::Account,
        Task::PasswordChange {
            old: secret("old"),
            new: secret("new"),
        },
    ] {
        let sent = start(task);
        let shadow = Start {
            authority: Authority::Shadow,
            subject: Subject::Nobody,
            ..sent.clone()
        };
        for sent in [sent, shadow] {
            let bytes = convert::start(sent.clone());
            assert_eq!(convert::read_start(&bytes).unwrap(), sent);
        }
    }
    let refusals = [
        Refusal::Credentials,
        Refusal::NoMoreTries,
        Refusal::Account,
        Refusal::Locked,
        Refusal::Expired,
        Refusal::PasswordChange,
        Refusal::OtherUser,
        Refusal::System,
    ];
    let refused = refusals.map(|refusal| Verdict::Refused {
        refusal,
        reason: "why".to_owned(),
    });
    let expired = Verdict::PasswordExpired {
        environment: Vec::new(),
    };
    let states = [
        PasswordState::Kept,
        PasswordState::Changed,
        PasswordState::MustChange,
    ];
    let accepted_as = states.map(|password| Verdict::Accepted {
        password,
        environment: Vec::new(),
    });
    for verdict in refused.into_iter().chain(accepted_as).chain([expired]) {
        let sent = End {
            verdict,
            ..accepted()
        };
        let Ok(convert::Said::End(end)) = convert::read_turn(&convert::end(&sent)) else {
            panic!("no end");
        };
        assert_eq!(end, sent);
    }
}

#[test]
fn a_process_that_dies_or_hangs_is_no_success() {
    let die = |socket| drop(Channel::new(socket).unwrap().start());
    converse(Task::Account, LONG, die, async |turn| {
        assert!(matches!(turn, Err(PamError::Gone)), "{turn:?}");
    });
    let hang = |socket| {
        thread::sleep(Duration::from_millis(300));
        drop::<OwnedFd>(socket);
    };
    let patience = Duration::from_millis(50);
    converse(Task::Account, patience, hang, async |turn| {
        assert!(matches!(turn, Err(PamError::Deadline)), "{turn:?}");
    });
}

#[test]
fn a_monitor_that_gives_up_fails_the_question() {
    let question = Question {
        messages: vec![message(Style::Secret, "Password: ")],
    };
    let process = move |socket| {
        let channel = Channel::new(socket).unwrap();
        channel.start().unwrap();
        channel.ask(&question)
    };
    let asked = converse(Task::KeyboardInteractive, LONG, process, async |turn| {
        assert!(matches!(turn, Ok(Turn::Question(..))), "{turn:?}");
    });
    assert!(matches!(asked, Err(PamError::Gone)), "{asked:?}");
}

#[test]
fn answers_are_as_many_as_prompts_on_both_sides() {
    let question = Question {
        messages: vec![message(Style::Secret, "Password: ")],
    };
    let turn = question.clone();
    let process = move |socket| {
        let channel = Channel::new(socket).unwrap();
        channel.start().unwrap();
        channel.ask(&question)
    };
    let asked = converse(Task::KeyboardInteractive, LONG, process, async |turn| {
        let Ok(Turn::Question(_, pending)) = turn else {
            panic!("{turn:?}");
        };
        let turn = pending.answer(Vec::new()).await;
        assert!(matches!(turn, Err(PamError::Unsendable(_))), "{turn:?}");
    });
    assert!(matches!(asked, Err(PamError::Gone)), "{asked:?}");

    let (monitor, process) = crate::lane::pair().unwrap();
    let channel = Channel::new(process).unwrap();
    let two = convert::answers(vec![secret("a"), secret("b")]);
    send(&monitor, &two, SendFlags::empty()).unwrap();
    assert!(matches!(channel.ask(&turn), Err(PamError::Malformed(_))));
}

#[test]
fn a_process_that_never_ends_is_cut_off() {
    let question = Question {
        messages: vec![message(Style::Information, "once more")],
    };
    let process = move |socket| {
        let channel = Channel::new(socket).unwrap();
        channel.start().unwrap();
        (0..).take_while(|_| channel.ask(&question).is_ok()).count()
    };
    let asked = converse(Task::Account, LONG, process, async |mut turn| {
        while let Ok(Turn::Question(_, pending)) = turn {
            turn = pending.answer(Vec::new()).await;
        }
        assert!(matches!(
            turn,
            Err(PamError::Malformed("too many questions"))
        ));
    });
    assert_eq!(asked, QUESTION_LIMIT);
}

#[test]
fn too_much_of_anything_is_malformed() {
    let question = |messages| convert::question(&Question { messages });
    let information = |text: &str| message(Style::Information, text);
    let end = |environment| {
        convert::end(&End {
            verdict: Verdict::PasswordExpired { environment },
            ..accepted()
        })
    };
    let variable = |name: &str, value: &str| Variable {
        name: name.into(),
        value: value.into(),
    };
    assert!(convert::read_turn(&question(vec![information("x"); MESSAGE_LIMIT])).is_ok());
    assert!(convert::read_turn(&end(vec![variable("A", "="); VARIABLE_LIMIT])).is_ok());
    for bytes in [
        question(Vec::new()),
        question(vec![information("x"); MESSAGE_LIMIT + 1]),
        question(vec![information(&"x".repeat(TEXT_LIMIT + 1))]),
        end(vec![variable("A", ""); VARIABLE_LIMIT + 1]),
        end(vec![variable("", "x")]),
        end(vec![variable("A=B", "x")]),
        end(vec![variable("A", "x\0")]),
        Vec::new(),
    ] {
        let turn = convert::read_turn(&bytes);
        assert!(matches!(turn, Err(PamError::Malformed(_))), "{turn:?}");
    }

    let (monitor, process) = crate::lane::pair().unwrap();
    send(&monitor, &[0; DATAGRAM_LIMIT + 1], SendFlags::empty()).unwrap();
    let channel = Channel::new(process).unwrap();
    assert!(matches!(channel.start(), Err(PamError::Malformed(_))));
    let big = Question {
        messages: vec![information(&"x".repeat(TEXT_LIMIT)); 5],
    };
    assert!(matches!(channel.ask(&big), Err(PamError::Unsendable(_))));
}

#[test]
fn a_stream_is_no_socket_for_this() {
    let (one, _other) = crate::lane::stream_pair().unwrap();
    assert!(matches!(Channel::new(one), Err(PamError::Malformed(_))));
}

#[test]
fn names_that_reach_files_or_forge_lines_are_none() {
    for bad in [
        "",
        "../shadow",
        "a/b",
        ".hidden",
        "a b",
        "a\n",
        &"a".repeat(65),
    ] {
        assert_eq!(Service::new(bad), None, "{bad:?}");
    }
    assert!(Service::new("sshd-privsep").is_some());
    assert_eq!(RemoteName::new("192.0.2.1\nroot"), None);
    assert!(RemoteName::new("UNKNOWN").is_some());
}

#[test]
fn secrets_have_a_limit_and_are_not_shown() {
    let new = |bytes: &[u8]| Secret::new(Zeroizing::new(bytes.to_vec()));
    assert_eq!(new(b"a\0b"), None);
    assert!(new(&[b'a'; SECRET_LIMIT]).is_some());
    assert_eq!(new(&[b'a'; SECRET_LIMIT + 1]), None);
    let shown = format!("{:?}", start(Task::Password(secret("hunter2"))));
    assert!(
        !shown.contains("hunter2") && !shown.contains("104"),
        "{shown}"
    );
}

proptest::proptest! {
    #[test]
    fn no_datagram_makes_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(convert::read_start(&bytes));
        drop(convert::read_answers(&bytes));
        drop(convert::read_turn(&bytes));
    }
}
