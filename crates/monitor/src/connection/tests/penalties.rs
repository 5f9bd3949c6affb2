//! What the source of a connection is penalised for: what the monitor saw, whatever the worker says.

use super::*;
use crate::admission::Force;
use wire::secret::Secret;
use wire::userauth::{AuthMethod, AuthRequest, PasswordRequest, UserName};

/// What the source of the bench has.
fn penalties(bench: &Bench) -> Vec<Offence> {
    let (penalties, _) = bench.admission.list(Instant::now());
    penalties.iter().map(|listed| listed.offence).collect()
}

impl Bench {
    async fn exchange_keys(&mut self, machine: &Machine) {
        let values = machine.exchange(1);
        self.monitor.sign_exchange(values).await.unwrap();
    }

    async fn asks(&mut self, user: &str, method: AuthMethod) {
        let request = AuthRequest {
            user: UserName::new(user).unwrap(),
            service: "ssh-connection".to_owned(),
            method,
        };
        self.monitor.authenticate(request).await.unwrap();
    }

    /// The worker ends as an honest one does; what its source has then.
    async fn ends(mut self) -> Vec<Offence> {
        self.monitor.report(ConnectionEnd::Closed).await.unwrap();
        self.vanishes().await
    }

    /// The worker ends without a word.
    async fn vanishes(self) -> Vec<Offence> {
        let Self {
            monitor,
            worker_lane,
            serving,
            admission,
            ..
        } = self;
        drop((monitor, worker_lane));
        serving.await.unwrap();
        let (penalties, _) = admission.list(Instant::now());
        penalties.iter().map(|listed| listed.offence).collect()
    }
}

#[tokio::test]
async fn who_never_tried_to_authenticate_is_penalised_for_that() {
    let machine = Machine::new(&[], "");
    let bench = Bench::new(&machine, None).await;
    assert_eq!(bench.ends().await, [Offence::NoAuth]);

    // To hear which methods there are is no attempt, nor is one that no server has.
    let mut bench = Bench::new(&machine, None).await;
    bench.exchange_keys(&machine).await;
    bench.asks(&machine.user, AuthMethod::None).await;
    let unknown = AuthMethod::Unsupported("telepathy".to_owned());
    bench.asks(&machine.user, unknown).await;
    assert_eq!(bench.ends().await, [Offence::NoAuth]);
}

#[tokio::test]
async fn who_tried_in_vain_is_penalised_for_that() {
    let machine = Machine::new(&[], "");
    let mut bench = Bench::new(&machine, None).await;
    bench.exchange_keys(&machine).await;
    let question = publickey(&machine.user, Key::new().blob(), None);
    bench.monitor.authenticate(question).await.unwrap();
    // The last request is not the one that counts.
    bench.asks(&machine.user, AuthMethod::None).await;
    assert_eq!(bench.ends().await, [Offence::AuthFail]);
}

#[tokio::test]
async fn who_used_up_all_attempts_is_penalised_for_them() {
    let machine = Machine::new(&[], "MaxAuthTries 1");
    let mut bench = Bench::new(&machine, None).await;
    bench.exchange_keys(&machine).await;
    let question = publickey(&machine.user, Key::new().blob(), None);
    let answer = bench.monitor.authenticate(question).await.unwrap();
    assert_eq!(answer.outcome, AuthOutcome::TooManyFailures);
    let end = ConnectionEnd::TooManyFailures;
    bench.monitor.report(end).await.unwrap();
    assert_eq!(bench.vanishes().await, [Offence::AuthFail]);
}

#[tokio::test]
async fn the_name_of_nobody_is_penalised_unless_a_password_was_tried_with_it() {
    let machine = Machine::new(&[], "");
    for method in [AuthMethod::None, AuthMethod::Unsupported("x".to_owned())] {
        let mut bench = Bench::new(&machine, None).await;
        bench.exchange_keys(&machine).await;
        bench.asks("no-such-user", method).await;
        assert_eq!(bench.ends().await, [Offence::InvalidUser]);
    }
    let mut bench = Bench::new(&machine, None).await;
    bench.exchange_keys(&machine).await;
    let question = publickey("no-such-user", Key::new().blob(), None);
    bench.monitor.authenticate(question).await.unwrap();
    assert_eq!(bench.ends().await, [Offence::InvalidUser]);

    // As with sshd, whose monitor is asked about passwords of nobody, but not about keys.
    let mut bench = Bench::new(&machine, None).await;
    bench.exchange_keys(&machine).await;
    let password = PasswordRequest::Login(Secret::copy(b"guess").unwrap());
    bench
        .asks("no-such-user", AuthMethod::Password(password))
        .await;
    bench.asks("no-such-user", AuthMethod::None).await;
    assert_eq!(bench.ends().await, [Offence::AuthFail]);
}

#[tokio::test]
async fn who_may_not_log_in_is_penalised_as_nobody_is() {
    let machine = Machine::new(&[], "");
    let deny = format!("DenyUsers {}", machine.user);
    let machine = Machine::new(&[], &deny);
    let mut bench = Bench::new(&machine, None).await;
    bench.exchange_keys(&machine).await;
    bench.asks(&machine.user, AuthMethod::None).await;
    assert_eq!(bench.ends().await, [Offence::InvalidUser]);
}

#[tokio::test]
async fn refuse_connection_is_penalised_as_such() {
    let machine = Machine::new(&[], "Match User no-such-user\nRefuseConnection yes");
    let mut bench = Bench::new(&machine, None).await;
    bench.exchange_keys(&machine).await;
    let question = publickey("no-such-user", Key::new().blob(), None);
    bench.monitor.authenticate(question).await.unwrap_err();
    (&mut bench.serving).await.unwrap();
    assert_eq!(penalties(&bench), [Offence::RefuseConnection]);
}

#[tokio::test]
async fn the_grace_time_is_penalised_whatever_was_done_in_it() {
    let machine = Machine::new(&[], "");
    let mut bench = Bench::new(&machine, Some(Duration::from_millis(300))).await;
    bench.exchange_keys(&machine).await;
    bench.asks("no-such-user", AuthMethod::None).await;
    (&mut bench.serving).await.unwrap();
    assert_eq!(penalties(&bench), [Offence::GraceExceeded]);
}

#[tokio::test]
async fn a_worker_that_ends_without_a_word_has_crashed_and_its_source_is_refused_at_once() {
    let machine = Machine::new(&[], "");
    let bench = Bench::new(&machine, None).await;
    assert_eq!(bench.vanishes().await, [Offence::Crash]);

    let mut bench = Bench::new(&machine, None).await;
    bench.exchange_keys(&machine).await;
    bench.asks(&machine.user, AuthMethod::None).await;
    let admission = bench.admission.clone();
    assert_eq!(bench.vanishes().await, [Offence::Crash]);
    let (list, _) = admission.list(Instant::now());
    assert_eq!(list[0].force, Force::Active);
}

#[tokio::test]
async fn a_worker_in_a_strangers_hands_is_penalised_as_a_crash_although_it_reports_an_end() {
    let machine = Machine::new(&[], "");
    let mut bench = Bench::new(&machine, None).await;
    let early = publickey(&machine.user, Key::new().blob(), None);
    bench.monitor.authenticate(early).await.unwrap_err();
    drop(bench.monitor.report(ConnectionEnd::Closed).await);
    (&mut bench.serving).await.unwrap();
    assert_eq!(penalties(&bench), [Offence::Crash]);
}

#[tokio::test]
async fn an_administrator_who_ends_a_connection_blames_nobody() {
    let machine = Machine::new(&[], "");
    let bench = Bench::new(&machine, None).await;
    let by = Administrator {
        pid: 1,
        login: None,
    };
    bench.connections.kill(origin().id, by);
    let Bench {
        serving, admission, ..
    } = bench;
    serving.await.unwrap();
    assert!(admission.list(Instant::now()).0.is_empty());
}

#[tokio::test]
async fn a_login_clears_what_the_source_had_and_its_end_is_no_offence() {
    let key = Key::new();
    let machine = Machine::new(&[&key], "");
    let mut bench = Bench::new(&machine, None).await;
    let peer = origin().endpoints.peer().ip().unwrap();
    let limits = Arc::clone(&machine.policy.limits);
    let offend = |offence| {
        let now = Instant::now();
        bench.admission.penalise(peer, offence, &limits, now)
    };
    offend(Offence::AuthFail).unwrap();
    bench.exchange_keys(&machine).await;
    assert_eq!(penalties(&bench), [Offence::AuthFail]);

    let session = machine.hash(&machine.exchange(1));
    let user = machine.user.as_str();
    let signs = publickey(user, key.blob(), Some(key.sign(&session, user)));
    let outcome = bench.monitor.authenticate(signs).await.unwrap().outcome;
    assert_eq!(outcome, AuthOutcome::Accepted);
    tokio::task::yield_now().await;
    assert!(penalties(&bench).is_empty());
    // It may even crash now: that is between a user and their worker.
    assert!(bench.vanishes().await.is_empty());
}
