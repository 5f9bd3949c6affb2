//! The cases, and the monitor's side of each.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rpc::pam::{
    Authority, Conversation, EmptyPasswords, End, Message, PamError, PasswordState, Question,
    Refusal, RemoteName, Secret, Service, Start, Style, Subject, TEXT_LIMIT, Task, Turn, Verdict,
};
use rustix::process::{Pid, Signal, kill_process_group};
use wire::userauth::UserName;
use zeroize::Zeroizing;

/// All of them.
pub(crate) const CASES: &[(&str, fn())] = &[
    ("a_password_opens", a_password_opens),
    (
        "a_password_answers_no_other_prompt",
        a_password_answers_no_other_prompt,
    ),
    ("questions_in_rounds", questions_in_rounds),
    (
        "one_question_with_two_prompts",
        one_question_with_two_prompts,
    ),
    (
        "an_expired_password_is_changed",
        an_expired_password_is_changed,
    ),
    (
        "an_expired_password_is_reported",
        an_expired_password_is_reported,
    ),
    ("a_failed_change_refuses", a_failed_change_refuses),
    (
        "the_account_phase_has_the_last_word",
        the_account_phase_has_the_last_word,
    ),
    (
        "an_account_alone_is_not_asked_for_a_password",
        an_account_alone,
    ),
    ("messages_reach_the_user", messages_reach_the_user),
    (
        "modules_know_where_the_user_is",
        modules_know_where_the_user_is,
    ),
    (
        "empty_passwords_are_refused_by_flag",
        empty_passwords_are_refused_by_flag,
    ),
    (
        "nobody_is_refused_whatever_the_stack_says",
        nobody_is_refused_whatever_the_stack_says,
    ),
    (
        "shadow_judges_passwords_and_accounts_only",
        shadow_judges_passwords_and_accounts_only,
    ),
    (
        "modules_know_what_was_completed_before",
        modules_know_what_was_completed_before,
    ),
    (
        "shadow_judges_accounts_of_the_name_service",
        shadow_judges_accounts_of_the_name_service,
    ),
    (
        "delays_are_reported_and_not_waited_for",
        delays_are_reported,
    ),
    ("what_codes_mean", what_codes_mean),
    ("a_missing_stack_refuses", a_missing_stack_refuses),
    ("a_crash_is_a_refusal", a_crash_is_a_refusal),
    ("a_hang_ends_at_the_deadline", a_hang_ends_at_the_deadline),
    ("what_is_printed_goes_nowhere", what_is_printed_goes_nowhere),
    ("a_fork_does_not_speak", a_fork_does_not_speak),
    ("a_child_left_behind_delays_nobody", a_child_left_behind),
    ("another_user_is_refused", another_user_is_refused),
    ("endless_talk_ends", endless_talk_ends),
    ("long_texts_are_cut", long_texts_are_cut),
    (
        "malformed_calls_fail_in_the_module",
        malformed_calls_fail_in_the_module,
    ),
    (
        "a_large_environment_is_refused",
        a_large_environment_is_refused,
    ),
    ("a_monitor_that_goes_ends_the_process", a_monitor_that_goes),
];

fn a_password_opens() {
    let stack = "auth required STUNTS password environment\naccount required pam_permit.so";
    let end = login(stack, password("hunter2"));
    let Verdict::Accepted {
        password: PasswordState::Kept,
        environment,
    } = end.verdict
    else {
        panic!("{end:?}");
    };
    let environment: Vec<_> = environment.iter().map(|v| (&*v.name, &*v.value)).collect();
    let expected: [(&[u8], &[u8]); 2] = [(b"KRB5CCNAME", b"FILE:/tmp/a=b"), (b"EMPTY", b"")];
    assert_eq!(environment, expected);
    assert_eq!(
        refusal(login(stack, password("hunter3"))),
        Refusal::Credentials
    );
}

fn a_password_answers_no_other_prompt() {
    let stack = "auth required STUNTS password token\naccount required pam_permit.so";
    assert_eq!(
        refusal(login(stack, password("hunter2"))),
        Refusal::Credentials
    );
    let stack = "auth required pam_permit.so\naccount required STUNTS password";
    assert_eq!(refusal(login(stack, password("hunter2"))), Refusal::Account);
}

fn questions_in_rounds() {
    let stack = "auth required STUNTS password token\naccount required STUNTS password";
    let mut asked = Vec::new();
    let end = Login::new(stack, Task::KeyboardInteractive)
        .answer(|question| {
            asked.push(question.messages.clone());
            let word = if asked.len() == 2 { "42" } else { "hunter2" };
            vec![secret(word)]
        })
        .unwrap();
    assert!(accepted(&end), "{end:?}");
    let prompt = |style, text| vec![message(style, text)];
    let first = prompt(Style::Secret, "Password: ");
    let second = prompt(Style::Visible, "Token: ");
    assert_eq!(asked, [first.clone(), second, first]);
}

fn one_question_with_two_prompts() {
    let stack = "auth required STUNTS two-at-once\naccount required pam_permit.so";
    let end = Login::new(stack, Task::KeyboardInteractive)
        .answer(|question| {
            assert_eq!(question.messages[1], message(Style::Information, "and"));
            vec![secret("hunter2"), secret("42")]
        })
        .unwrap();
    assert!(accepted(&end), "{end:?}");
}

fn an_expired_password_is_changed() {
    let changed = |end: &End| {
        matches!(
            end.verdict,
            Verdict::Accepted {
                password: PasswordState::Changed,
                ..
            }
        )
    };
    let end = Login::new(EXPIRED, Task::KeyboardInteractive)
        .answer(|question| match &*question.messages[0].text {
            "Password: " | "Current password: " => vec![secret("hunter2")],
            _ => vec![secret("hunter3")],
        })
        .unwrap();
    assert!(changed(&end), "{end:?}");
    let end = login(EXPIRED, change("hunter2", "hunter3"));
    assert!(changed(&end), "{end:?}");
}

fn an_expired_password_is_reported() {
    for task in [password("hunter2"), Task::Account] {
        let end = login(EXPIRED, task);
        assert!(
            matches!(end.verdict, Verdict::PasswordExpired { .. }),
            "{end:?}"
        );
    }
}

fn a_failed_change_refuses() {
    let end = login(EXPIRED, change("hunter2", "too simple"));
    assert_eq!(refusal(end), Refusal::PasswordChange);
    // Nor is one changed that need not be.
    let end = login(HONEST, change("hunter2", "hunter3"));
    assert_eq!(refusal(end), Refusal::PasswordChange);
    // The wrong old password does not get that far.
    let end = login(EXPIRED, change("wrong", "hunter3"));
    assert_eq!(refusal(end), Refusal::Credentials);
}

fn the_account_phase_has_the_last_word() {
    for task in [password("hunter2"), Task::Account] {
        let stack = "auth required STUNTS password\naccount required STUNTS inform return=13";
        let end = login(stack, task);
        let said = [
            message(Style::Information, "maintenance at noon"),
            message(Style::Error, "3 failed attempts"),
        ];
        assert_eq!(end.messages, said);
        assert_eq!(refusal(end), Refusal::Account);
    }
}

fn an_account_alone() {
    let end = login(
        "auth required pam_deny.so\naccount required pam_permit.so",
        Task::Account,
    );
    assert!(accepted(&end), "{end:?}");
    let end = login(
        "auth required pam_permit.so\naccount required STUNTS password",
        Task::Account,
    );
    assert_eq!(refusal(end), Refusal::Account);
}

fn messages_reach_the_user() {
    let stack = "auth required STUNTS inform\naccount required pam_permit.so";
    let mut told = Vec::new();
    let end = Login::new(stack, Task::KeyboardInteractive)
        .answer(|question| {
            told.extend(question.messages.clone());
            Vec::new()
        })
        .unwrap();
    assert!(accepted(&end), "{end:?}");
    let texts: Vec<_> = told.iter().map(|message| &*message.text).collect();
    assert_eq!(texts, ["maintenance at noon", "3 failed attempts"]);
}

fn modules_know_where_the_user_is() {
    let stack = "auth required STUNTS origin\naccount required STUNTS origin";
    let end = login(stack, password("hunter2"));
    assert!(accepted(&end), "{end:?}");
}

fn empty_passwords_are_refused_by_flag() {
    let stack = "auth required STUNTS no-empty-passwords\naccount required pam_permit.so";
    let end = login(stack, password(""));
    assert!(accepted(&end), "{end:?}");
    let mut permitted = Login::new(stack, password(""));
    permitted.start.empty_passwords = EmptyPasswords::Permitted;
    let end = permitted.answer(nobody).unwrap();
    assert_eq!(refusal(end), Refusal::Credentials);
}

fn nobody_is_refused_whatever_the_stack_says() {
    for auth in ["pam_permit.so", "STUNTS password"] {
        let stack = format!("auth required {auth}\naccount required STUNTS return=13");
        let mut of_nobody = Login::new(&stack, password("hunter2"));
        of_nobody.start.subject = Subject::Nobody;
        let end = of_nobody.answer(nobody).unwrap();
        // Not by the account phase, which is not for them.
        assert_eq!(refusal(end), Refusal::Credentials, "{auth}");
    }
}

fn shadow_judges_passwords_and_accounts_only() {
    for (task, expected) in [
        (password("hunter2"), Refusal::Credentials),
        (Task::KeyboardInteractive, Refusal::System),
        (change("hunter2", "hunter3"), Refusal::System),
    ] {
        let mut login = Login::new("auth required pam_permit.so", task);
        login.start.authority = Authority::Shadow;
        login.start.user = UserName::new("no-such-user-here").unwrap();
        assert_eq!(refusal(login.answer(nobody).unwrap()), expected);
    }
}

/// Of the name service's entries, whichever service has them: these are in everybody's files.
fn shadow_judges_accounts_of_the_name_service() {
    let account = |name: &str, subject| {
        let mut login = Login::new("auth required pam_permit.so", Task::Account);
        login.start.authority = Authority::Shadow;
        login.start.user = UserName::new(name).unwrap();
        login.start.subject = subject;
        login.answer(nobody).unwrap()
    };
    // Its field is `*`, which is no lock.
    assert!(accepted(&account("daemon", Subject::Somebody)));
    let end = account("daemon", Subject::Nobody);
    assert_eq!(refusal(end), Refusal::Credentials);
}

fn modules_know_what_was_completed_before() {
    for (variable, expected) in [("SSH_AUTH_INFO_0", true), ("SSH_AUTH_INFO_1", false)] {
        let known = format!("auth required pam_exec.so quiet /usr/bin/printenv {variable}");
        let stack = format!("{known}\naccount required pam_permit.so");
        assert_eq!(accepted(&login(&stack, password("x"))), expected);
    }
}

fn delays_are_reported() {
    let begun = Instant::now();
    let end = login("auth required STUNTS delay return=7", password("x"));
    // libpam varies it by up to a half.
    assert!(end.delay >= Duration::from_secs(10), "{end:?}");
    assert!(begun.elapsed() < Duration::from_secs(9), "waited");
    assert_eq!(refusal(end), Refusal::Credentials);
    // A module that asks first and then accepts: nothing has failed.
    let stack = "auth required STUNTS delay\naccount required pam_permit.so";
    let end = login(stack, password("x"));
    assert!(accepted(&end) && end.delay.is_zero(), "{end:?}");
}

fn what_codes_mean() {
    for (code, meaning) in [
        (4, Refusal::System),
        (7, Refusal::Credentials),
        (9, Refusal::Credentials),
        (10, Refusal::Credentials),
        (11, Refusal::NoMoreTries),
        (13, Refusal::Credentials),
        (26, Refusal::System),
    ] {
        let stack = format!("auth required STUNTS return={code}");
        assert_eq!(refusal(login(&stack, password("x"))), meaning, "{code}");
    }
}

fn a_missing_stack_refuses() {
    let mut login = Login::new("auth required pam_permit.so", password("x"));
    login.start.authority = Authority::Pam(Service::new("missing").unwrap());
    assert_eq!(refusal(login.answer(nobody).unwrap()), Refusal::System);
    // And a stack without a word on accounts is none that lets in.
    let end = self::login("auth required pam_permit.so", password("x"));
    assert!(!accepted(&end), "{end:?}");
}

fn a_crash_is_a_refusal() {
    for stunt in ["segfault", "exit"] {
        for phase in [
            "auth required STUNTS",
            "auth required pam_permit.so\naccount required STUNTS",
        ] {
            let end = Login::new(&format!("{phase} {stunt}"), password("x")).answer(nobody);
            assert!(matches!(end, Err(PamError::Gone)), "{stunt}: {end:?}");
        }
    }
}

fn a_hang_ends_at_the_deadline() {
    let mut login = Login::new("auth required STUNTS hang", password("x"));
    login.patience = Duration::from_millis(500);
    let end = login.answer(nobody);
    assert!(matches!(end, Err(PamError::Deadline)), "{end:?}");
}

fn what_is_printed_goes_nowhere() {
    // It prints an acceptance in the border's own words, and then refuses.
    let end = login("auth required STUNTS print", password("x"));
    assert_eq!(refusal(end), Refusal::NoMoreTries);
}

fn a_fork_does_not_speak() {
    let stack = "auth required STUNTS fork\naccount required pam_permit.so";
    assert_eq!(refusal(login(stack, password("x"))), Refusal::Credentials);
    let asks = "auth required STUNTS fork password\naccount required pam_permit.so";
    let end = Login::new(asks, Task::KeyboardInteractive)
        .answer(|question| panic!("{question:?}"))
        .unwrap();
    assert_eq!(refusal(end), Refusal::Credentials);
}

fn a_child_left_behind() {
    let stack = "auth required STUNTS orphan\naccount required pam_permit.so";
    let begun = Instant::now();
    let end = login(stack, password("x"));
    assert!(accepted(&end), "{end:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

fn another_user_is_refused() {
    for stack in [
        "auth required STUNTS other-user\naccount required pam_permit.so",
        "auth required pam_permit.so\naccount required STUNTS other-user",
        // Whatever the module says itself.
        "auth required STUNTS other-user return=7",
    ] {
        assert_eq!(refusal(login(stack, password("x"))), Refusal::OtherUser);
    }
}

fn endless_talk_ends() {
    let stack = "auth required STUNTS chatter\naccount required pam_permit.so";
    let end = Login::new(stack, Task::KeyboardInteractive).answer(|_| Vec::new());
    assert!(
        matches!(end, Err(PamError::Malformed("too many questions"))),
        "{end:?}"
    );
}

fn long_texts_are_cut() {
    let stack = "auth required STUNTS long-text\naccount required pam_permit.so";
    let mut length = 0;
    let end = Login::new(stack, Task::KeyboardInteractive)
        .answer(|question| {
            length = question.messages[0].text.len();
            Vec::new()
        })
        .unwrap();
    assert!(accepted(&end), "{end:?}");
    assert_eq!(length, TEXT_LIMIT);
}

fn malformed_calls_fail_in_the_module() {
    let stack = "auth required STUNTS bad-calls\naccount required pam_permit.so";
    let end = Login::new(stack, Task::KeyboardInteractive)
        .answer(|question| panic!("{question:?}"))
        .unwrap();
    assert_eq!(refusal(end), Refusal::Credentials);
}

fn a_large_environment_is_refused() {
    let stack = "auth required STUNTS large-environment\naccount required pam_permit.so";
    assert_eq!(refusal(login(stack, password("x"))), Refusal::System);
}

fn a_monitor_that_goes() {
    let stack = "auth required STUNTS password\naccount required pam_permit.so";
    let status = Login::new(stack, Task::KeyboardInteractive).abandon();
    // It ran to its end, found nobody to tell, and said so.
    assert_eq!(status.code(), Some(1), "{status}");
}

const HONEST: &str = "auth required STUNTS password\naccount required pam_permit.so";

const EXPIRED: &str = "auth required STUNTS password\naccount required STUNTS return=12\n\
                       password required STUNTS";

fn login(stack: &str, task: Task) -> End {
    Login::new(stack, task).answer(nobody).unwrap()
}

fn nobody(question: &Question) -> Vec<Secret> {
    panic!("nobody is there to answer {question:?}")
}

fn accepted(end: &End) -> bool {
    matches!(end.verdict, Verdict::Accepted { .. })
}

fn refusal(end: End) -> Refusal {
    match end.verdict {
        Verdict::Refused { refusal, reason } => {
            assert!(!reason.is_empty());
            refusal
        }
        verdict => panic!("{verdict:?}"),
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
}

fn password(text: &str) -> Task {
    Task::Password(secret(text))
}

fn change(old: &str, new: &str) -> Task {
    Task::PasswordChange {
        old: secret(old),
        new: secret(new),
    }
}

fn message(style: Style, text: &str) -> Message {
    Message {
        style,
        text: text.to_owned(),
    }
}

/// One transaction, in a process of its own.
struct Login {
    start: Start,
    patience: Duration,
    child: std::process::Child,
    socket: Option<std::os::fd::OwnedFd>,
}

impl Login {
    fn new(stack: &str, task: Task) -> Self {
        let directory = scratch()
            .join("stacks")
            .join(format!("{:016x}", hash(stack)));
        fs::create_dir_all(&directory).unwrap();
        let module = scratch().join("stunts.so");
        let stack = stack.replace("STUNTS", module.to_str().unwrap());
        fs::write(directory.join("stack"), stack + "\n").unwrap();
        let (socket, stdio) = rpc::lane::pair().unwrap();
        let child = Command::new(env::current_exe().unwrap())
            .env(STACKS, directory)
            .stdin(Stdio::from(stdio.try_clone().unwrap()))
            .stdout(Stdio::from(stdio))
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let start = Start {
            authority: Authority::Pam(Service::new("stack").unwrap()),
            subject: Subject::Somebody,
            user: UserName::new("alice").unwrap(),
            remote_host: RemoteName::new("192.0.2.1").unwrap(),
            remote_user: RemoteName::new("bob"),
            auth_info: "publickey ssh-ed25519 AAAA\n".to_owned(),
            empty_passwords: EmptyPasswords::Refused,
            task,
        };
        Self {
            start,
            patience: Duration::from_secs(30),
            child,
            socket: Some(socket),
        }
    }

    /// Plays it to its end.
    fn answer(mut self, mut answer: impl FnMut(&Question) -> Vec<Secret>) -> Result<End, PamError> {
        let (socket, start) = (self.socket.take().unwrap(), self.start.clone());
        let deadline = tokio::time::Instant::now() + self.patience;
        runtime().block_on(async {
            let mut turn = Conversation::start(socket, start, deadline).await?;
            loop {
                match turn {
                    Turn::End(end) => return Ok(end),
                    Turn::Question(question, pending) => {
                        turn = pending.answer(answer(&question)).await?;
                    }
                }
            }
        })
    }

    /// Waits for a question and goes away; how the process ends then.
    fn abandon(mut self) -> ExitStatus {
        let (socket, start) = (self.socket.take().unwrap(), self.start.clone());
        let deadline = tokio::time::Instant::now() + self.patience;
        runtime().block_on(async {
            let turn = Conversation::start(socket, start, deadline).await;
            assert!(matches!(turn, Ok(Turn::Question(..))), "{turn:?}");
        });
        self.child.wait().unwrap()
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        // What systemd does with the unit.
        let group = Pid::from_child(&self.child);
        kill_process_group(group, Signal::KILL).ok();
        self.child.wait().ok();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn hash(text: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn scratch() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pam-modules")
}

/// The stacks that this process was started with, if it is the one under test.
pub(crate) fn assigned() -> Option<PathBuf> {
    env::var_os(STACKS).map(PathBuf::from)
}

/// Builds the module, as its makers do.
pub(crate) fn compile(source: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(scratch())?;
    let status = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
        .arg(scratch().join("stunts.so"))
        .arg(source)
        .arg("-lpam")
        .status()
        .context("the C compiler")?;
    ensure!(status.success(), "{} does not compile", source.display());
    Ok(())
}

const STACKS: &str = "PAM_TEST_STACKS";
