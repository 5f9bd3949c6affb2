//! With a thread for a process: what a dialog proves, and that its unit never outlives it.

use rpc::pam::{Channel, Service, Style};
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::*;
use crate::testing::{PamScript, Services, origin, pam_ends};

const PATIENCE: Duration = Duration::from_secs(30);

fn secret(text: &str) -> Secret {
    Secret::new(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
}

fn password() -> Credentials {
    Credentials::Password(secret("hunter2"))
}

fn applicant(subject: Subject) -> Applicant {
    Applicant {
        connection: origin().id,
        authority: Authority::Pam(Service::new("sshd").unwrap()),
        user: UserName::new("alice").unwrap(),
        subject,
        remote_host: RemoteName::new("192.0.2.7").unwrap(),
        remote_user: None,
        auth_info: String::new(),
        empty_passwords: EmptyPasswords::Refused,
    }
}

fn accepted() -> Verdict {
    Verdict::Accepted {
        password: PasswordState::Kept,
        environment: vec![Variable {
            name: b"KRB5CCNAME".to_vec(),
            value: b"FILE:/tmp/x".to_vec(),
        }],
    }
}

fn expired() -> Verdict {
    Verdict::PasswordExpired {
        environment: Vec::new(),
    }
}

fn refused() -> Verdict {
    Verdict::Refused {
        refusal: Refusal::Credentials,
        reason: "Authentication failure".to_owned(),
    }
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}

fn services(script: PamScript) -> Arc<Services> {
    let services = Arc::new(Services::default());
    services.script_pam(script);
    services
}

/// The outcome with a process that comes to this end, and what is stopped when there is an outcome.
fn outcome_of(verdict: Verdict, subject: Subject, credentials: Credentials) -> Outcome {
    let services = services(pam_ends(verdict));
    run(async {
        let deadline = Instant::now() + PATIENCE;
        let dialog = begin(&services, applicant(subject), credentials, deadline).await;
        stopped(&services).await;
        match dialog {
            Dialog::Done(outcome) => outcome,
            Dialog::Question(..) => panic!("{dialog:?}"),
        }
    })
}

/// Waits until every unit that was started is stopped.
async fn stopped(services: &Services) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let started = services.pam_started.lock().unwrap().clone();
        assert!(!started.is_empty());
        if *services.pam_stopped.lock().unwrap() == started {
            return;
        }
        assert!(Instant::now() < deadline, "{started:?} are left over");
        sleep(Duration::from_millis(1)).await;
    }
}

/// Asks `count` times, then accepts.
fn asks(count: usize) -> PamScript {
    Box::new(move |channel: Channel| {
        channel.start().unwrap();
        let messages = vec![Message {
            style: Style::Secret,
            text: "Password: ".to_owned(),
        }];
        let question = Question { messages };
        for _ in 0..count {
            if channel.ask(&question).is_err() {
                return;
            }
        }
        let end = End {
            verdict: accepted(),
            messages: Vec::new(),
            delay: Duration::ZERO,
        };
        channel.end(&end).unwrap();
    })
}

#[test]
fn an_accepted_user_has_proof_with_the_environment() {
    let outcome = outcome_of(accepted(), Subject::Somebody, password());
    let Outcome::Accepted { proof, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(proof.user().as_str(), "alice");
    assert_eq!(proof.password(), PasswordState::Kept);
    assert_eq!(proof.environment().len(), 1);
}

#[test]
fn whoever_is_not_accepted_has_no_proof() {
    let outcome = outcome_of(refused(), Subject::Somebody, password());
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    let outcome = outcome_of(expired(), Subject::Somebody, password());
    assert!(
        matches!(outcome, Outcome::PasswordExpired { .. }),
        "{outcome:?}"
    );
}

#[test]
fn nobody_has_proof_whatever_the_process_says() {
    for verdict in [accepted(), expired()] {
        let outcome = outcome_of(verdict, Subject::Nobody, password());
        assert!(
            matches!(outcome, Outcome::Failed(Failure::Contract(_))),
            "{outcome:?}"
        );
    }
    let outcome = outcome_of(refused(), Subject::Nobody, password());
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
}

#[test]
fn a_dialog_of_questions_ends_with_proof() {
    let services = services(asks(2));
    run(async {
        let deadline = Instant::now() + PATIENCE;
        let credentials = Credentials::KeyboardInteractive;
        let subject = applicant(Subject::Somebody);
        let mut dialog = begin(&services, subject, credentials, deadline).await;
        let mut asked = 0;
        while let Dialog::Question(question, waiting) = dialog {
            assert_eq!(question.prompts(), 1);
            assert_eq!(*services.pam_stopped.lock().unwrap(), [""; 0]);
            asked += 1;
            dialog = waiting.answer(vec![secret("hunter2")]).await;
        }
        assert!(
            matches!(dialog, Dialog::Done(Outcome::Accepted { .. })),
            "{dialog:?}"
        );
        assert_eq!(asked, 2);
        stopped(&services).await;
    });
}

#[test]
fn a_dropped_question_stops_the_unit() {
    let services = services(asks(1));
    run(async {
        let deadline = Instant::now() + PATIENCE;
        let credentials = Credentials::KeyboardInteractive;
        let dialog = begin(
            &services,
            applicant(Subject::Somebody),
            credentials,
            deadline,
        );
        drop(dialog.await);
        stopped(&services).await;
    });
}

#[test]
fn a_dialog_that_is_abandoned_while_it_begins_stops_the_unit() {
    let services = services(Box::new(|channel| {
        channel.start().unwrap();
        // Until the monitor goes.
        drop(channel.start());
    }));
    run(async {
        let deadline = Instant::now() + PATIENCE;
        let dialog = begin(
            &services,
            applicant(Subject::Somebody),
            password(),
            deadline,
        );
        let patience = Duration::from_millis(50);
        assert!(tokio::time::timeout(patience, dialog).await.is_err());
        stopped(&services).await;
    });
}

#[test]
fn the_deadline_stops_the_unit_of_a_user_who_does_not_answer() {
    let services = services(asks(1));
    run(async {
        let deadline = Instant::now() + Duration::from_millis(200);
        let credentials = Credentials::KeyboardInteractive;
        let subject = applicant(Subject::Somebody);
        let dialog = begin(&services, subject, credentials, deadline).await;
        let Dialog::Question(_, waiting) = dialog else {
            panic!("{dialog:?}");
        };
        stopped(&services).await;
        assert!(Instant::now() >= deadline);
        let late = waiting.answer(vec![secret("hunter2")]).await;
        assert!(matches!(late, Dialog::Done(Outcome::Failed(_))), "{late:?}");
    });
}

#[test]
fn a_process_that_hangs_dies_or_is_not_started_is_a_failure() {
    let hang: PamScript = Box::new(|channel| {
        channel.start().unwrap();
        drop(channel.start());
    });
    for (script, patience) in [
        (hang, Duration::from_millis(100)),
        (Box::new(drop), PATIENCE),
    ] {
        let services = services(script);
        run(async {
            let deadline = Instant::now() + patience;
            let subject = applicant(Subject::Somebody);
            let dialog = begin(&services, subject, password(), deadline).await;
            assert!(
                matches!(
                    dialog,
                    Dialog::Done(Outcome::Failed(Failure::Conversation(_)))
                ),
                "{dialog:?}"
            );
            stopped(&services).await;
        });
    }
    let services = Arc::new(Services::default());
    run(async {
        let deadline = Instant::now() + PATIENCE;
        let subject = applicant(Subject::Somebody);
        let dialog = begin(&services, subject, password(), deadline).await;
        assert!(
            matches!(dialog, Dialog::Done(Outcome::Failed(Failure::Start(_)))),
            "{dialog:?}"
        );
    });
}

#[test]
fn the_account_phase_permits_and_refuses() {
    let phase = |script| {
        let services = services(script);
        run(async {
            let deadline = Instant::now() + PATIENCE;
            let phase = account(&services, applicant(Subject::Somebody), deadline).await;
            stopped(&services).await;
            phase
        })
    };
    let permitted = phase(pam_ends(accepted()));
    assert!(
        matches!(permitted, AccountPhase::Permitted { .. }),
        "{permitted:?}"
    );
    let expired = phase(pam_ends(expired()));
    assert!(
        matches!(expired, AccountPhase::PasswordExpired { .. }),
        "{expired:?}"
    );
    let denied = phase(pam_ends(refused()));
    assert!(matches!(denied, AccountPhase::Refused(_)), "{denied:?}");
    let asked = phase(asks(1));
    assert!(matches!(asked, AccountPhase::Failed(_)), "{asked:?}");
}
