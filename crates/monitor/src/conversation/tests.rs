//! The worker is taken to be corrupted: it says here what an honest one never would.

mod blocks;
mod dialogs;
mod lists;
mod model;

use std::time::Duration;

use rpc::lane::{self, ToSession, ToWorker};
use rpc::pam::{
    Authority, Channel, End, Message, PasswordState, Refusal, Style, Subject, Task, Verdict,
};
use wire::codec::Write;
use wire::groups::ChosenGroup;
use wire::names::{KexAlgorithm, SignatureAlgorithm};
use wire::userauth::{AuthMethod, PublicKeyRequest, UserName, signed_data};

use super::*;
use crate::connections::Connections;
use crate::public_key::{PublicKey, RequiredRsaSize};
use crate::testing::{
    Client, Directory, Machine, SecurityKey, Services, origin, publickey, read_public, request,
};
use crate::verify::SERVICE;

const UNKNOWN: &str = "no-such-user-here";

/// A conversation, and the worker that holds the other end of its lane.
struct Bench {
    conversation: Conversation<Services>,
    services: Arc<Services>,
    login: Arc<SetOnce<()>>,
    worker: Lane,
}

impl Bench {
    fn new(machine: &Machine) -> Self {
        Self::with(machine, Services::default())
    }

    fn with(machine: &Machine, services: Services) -> Self {
        let (ours, theirs) = lane::pair().unwrap();
        let (services, login) = (Arc::new(services), Arc::new(SetOnce::new()));
        let setting = Setting {
            origin: origin(),
            policy: Arc::clone(&machine.policy),
            worker: Arc::new(Lane::new(ours).unwrap()),
            services: Arc::clone(&services),
            delay: Arc::new(FailureDelay::new().unwrap()),
            deadline: None,
            login: Arc::clone(&login),
            entry: Arc::new(Connections::default().enter(origin())),
        };
        Self {
            conversation: Conversation::new(setting),
            services,
            login,
            worker: Lane::new(theirs).unwrap(),
        }
    }

    /// After a first key exchange; the session identifier.
    async fn exchanged(machine: &Machine) -> (Self, Vec<u8>) {
        let mut bench = Self::new(machine);
        let values = machine.exchange(1);
        let hash = machine.hash(&values);
        bench.conversation.sign_exchange(values).await.unwrap();
        (bench, hash)
    }

    async fn ask(&mut self, request: AuthRequest) -> Result<AuthOutcome, Broken> {
        Ok(self.conversation.authenticate(request).await?.outcome)
    }

    async fn refused(&mut self, request: AuthRequest) {
        let outcome = self.ask(request).await.unwrap();
        assert_eq!(outcome, refused());
        assert!(self.services.sessions.lock().unwrap().is_empty());
    }

    /// The connection is over, and nothing may be asked any more.
    async fn violation(&mut self, request: AuthRequest, machine: &Machine) {
        let broken = self.ask(request.clone()).await.unwrap_err();
        assert!(matches!(broken, Broken::Violation(_)), "{broken}");
        assert_eq!(self.conversation.phase.name(), "over");
        self.ask(request).await.unwrap_err();
        self.conversation
            .sign_exchange(machine.exchange(9))
            .await
            .unwrap_err();
        self.conversation
            .report(&ConnectionEnd::Closed)
            .unwrap_err();
        assert!(self.services.sessions.lock().unwrap().is_empty());
    }
}

fn refused() -> AuthOutcome {
    AuthOutcome::Refused {
        methods: vec!["publickey".to_owned()],
        partial_success: false,
    }
}

#[tokio::test]
async fn a_key_of_the_user_logs_in_and_its_session_starts() {
    let client = Client::new();
    let machine = Machine::new(&[&client], "AcceptEnv LANG\nSubsystem sftp /x");
    let (mut bench, session) = Bench::exchanged(&machine).await;
    let user = machine.user.as_str();

    bench.refused(request(user, AuthMethod::None)).await;
    let asks = publickey(user, client.blob(), None);
    assert_eq!(bench.ask(asks).await.unwrap(), AuthOutcome::KeyAcceptable);
    let signs = publickey(user, client.blob(), Some(client.sign(&session, user)));
    assert_eq!(bench.ask(signs).await.unwrap(), AuthOutcome::Accepted);
    bench.login.wait().await;

    // The worker has its descriptors before it has its answer.
    let ToWorker::Session { grant, .. } = bench.worker.receive_to_worker().await.unwrap() else {
        panic!("another message");
    };
    assert_eq!(grant.user, user);
    // What PAM and then the session are to know waits in its standard input.
    let told = bench.services.told_pam.lock().unwrap().remove(0);
    let key = client.line();
    assert_eq!(told, format!("SSH_AUTH_INFO_0=publickey {key}"));
    let (started, stdio) = bench.services.sessions.lock().unwrap().remove(0);
    assert_eq!(started, user);
    let stdio = Lane::new(stdio).unwrap();
    let ToSession::Start { start, .. } = stdio.receive_to_session().await.unwrap();
    assert_eq!((start.user.as_str(), start.id), (user, origin().id));
    assert_eq!(start.endpoints, origin().endpoints);
    assert_eq!(start.accept_env, ["LANG"]);
    assert_eq!(start.subsystems, [("sftp".to_owned(), "/x".to_owned())]);
}

/// What comes of a right signature if the session does not come up and PAM, asked why, says this.
async fn without_a_session(verdict: Verdict) -> (Bench, Result<AuthReply, Broken>) {
    let client = Client::new();
    let machine = Machine::new(&[&client], "");
    let services = Services {
        fails_sessions: true,
        ..Services::default()
    };
    let script = Box::new(move |channel: Channel| {
        assert_eq!(channel.start().unwrap().task, Task::Account);
        let end = End {
            verdict,
            messages: vec![Message {
                style: Style::Error,
                text: "going down".to_owned(),
            }],
            delay: Duration::ZERO,
        };
        channel.end(&end).unwrap();
    });
    services.pam_scripts.lock().unwrap().push_back(script);
    let mut bench = Bench::with(&machine, services);
    let values = machine.exchange(1);
    let session = machine.hash(&values);
    bench.conversation.sign_exchange(values).await.unwrap();
    let user = machine.user.as_str();
    let signs = publickey(user, client.blob(), Some(client.sign(&session, user)));
    let reply = bench.conversation.authenticate(signs).await;
    assert!(!bench.login.initialized());
    (bench, reply)
}

#[tokio::test]
async fn whom_pam_refuses_is_told_why_and_is_not_logged_in() {
    let (mut bench, reply) = without_a_session(Verdict::Refused {
        refusal: Refusal::Account,
        reason: "no".to_owned(),
    })
    .await;
    let reply = reply.unwrap();
    assert_eq!(reply.outcome, AuthOutcome::Denied);
    assert_eq!(reply.banners, [b"going down\n"]);
    assert_eq!(bench.conversation.phase.name(), "denied");
    bench.conversation.report(&ConnectionEnd::Denied).unwrap();
}

#[tokio::test]
async fn a_session_that_does_not_come_up_is_no_login() {
    let (bench, reply) = without_a_session(Verdict::Accepted {
        password: PasswordState::Kept,
        environment: Vec::new(),
    })
    .await;
    let broken = reply.unwrap_err();
    let Broken::Open { error, .. } = broken else {
        panic!("{broken}");
    };
    assert!(matches!(error, OpenError::NeverUp { .. }), "{error}");
    // The worker has nothing of the session that was not.
    drop(bench.conversation);
    let heard = bench.worker.receive_to_worker().await;
    assert!(matches!(heard, Err(lane::LaneError::Closed)), "{heard:?}");
}

#[tokio::test]
async fn without_pam_a_process_is_asked_whether_the_account_is_locked() {
    let client = Client::new();
    let machine = Machine::new(&[&client], "UsePAM no");
    let judged = |refusal, reason: &str| Verdict::Refused {
        refusal,
        reason: reason.to_owned(),
    };
    let usable = Verdict::Accepted {
        password: PasswordState::Kept,
        environment: Vec::new(),
    };
    for (verdict, expected) in [
        (Some(usable), AuthOutcome::Accepted),
        (Some(judged(Refusal::Locked, "is locked")), refused()),
        (Some(judged(Refusal::Expired, "has expired")), refused()),
        (Some(judged(Refusal::System, "no answer")), refused()),
        // It cannot be asked.
        (None, refused()),
    ] {
        let (mut bench, session) = Bench::exchanged(&machine).await;
        let user = machine.user.as_str();
        if let Some(verdict) = verdict {
            bench.services.script_pam(Box::new(move |channel| {
                let start = channel.start().unwrap();
                assert_eq!(start.authority, Authority::Shadow);
                assert_eq!(
                    (start.task, start.subject),
                    (Task::Account, Subject::Somebody)
                );
                let end = End {
                    verdict,
                    messages: Vec::new(),
                    delay: Duration::ZERO,
                };
                drop(channel.end(&end));
            }));
        }
        let signs = publickey(user, client.blob(), Some(client.sign(&session, user)));
        assert_eq!(bench.ask(signs).await.unwrap(), expected);
    }
    // The same is asked about nobody.
    let (mut bench, _) = Bench::exchanged(&machine).await;
    let (tell, told) = std::sync::mpsc::channel();
    bench.services.script_pam(Box::new(move |channel| {
        tell.send(channel.start().unwrap().subject).unwrap();
    }));
    bench.refused(request(UNKNOWN, AuthMethod::None)).await;
    assert_eq!(told.recv(), Ok(Subject::Nobody));
}

#[tokio::test]
async fn the_banner_comes_with_the_first_answer_and_for_every_user() {
    let directory = Directory::new();
    let file = directory.write("banner", "hello\n");
    let machine = Machine::new(&[], &format!("Banner {}", file.display()));
    for user in [machine.user.as_str(), "nobody-of-this-name"] {
        let (mut bench, _) = Bench::exchanged(&machine).await;
        for expected in [vec![b"hello\n".to_vec()], Vec::new()] {
            let ask = request(user, AuthMethod::None);
            let answer = bench.conversation.authenticate(ask).await.unwrap();
            assert_eq!(answer.banners, expected);
            assert_eq!(answer.outcome, refused());
        }
    }
}

#[tokio::test]
async fn a_signature_for_something_else_is_refused() {
    let (client, other) = (Client::new(), Client::new());
    let machine = Machine::new(&[&client], "MaxAuthTries 100");
    let (mut bench, session) = Bench::exchanged(&machine).await;
    let user = machine.user.as_str();
    let lies = [
        // Replayed from a connection with another session identifier.
        (client.blob(), client.sign(b"another session", user)),
        // Made for another user.
        (client.blob(), client.sign(&session, "nobody")),
        // The listed key is named, another one signed.
        (client.blob(), other.sign(&session, user)),
        (
            client.blob(),
            other.sign_under(&session, user, "ssh-ed25519", &client.blob()),
        ),
        // Signed with the listed key, but for another key or algorithm.
        (
            client.blob(),
            client.sign_under(&session, user, "ssh-ed25519", &other.blob()),
        ),
        (
            client.blob(),
            client.sign_under(&session, user, "rsa-sha2-512", &client.blob()),
        ),
        // In order, with a key that is not listed.
        (other.blob(), other.sign(&session, user)),
        // Nothing at all.
        (client.blob(), Vec::new()),
        (Vec::new(), client.sign(&session, user)),
    ];
    for (key, signature) in lies {
        bench.refused(publickey(user, key, Some(signature))).await;
    }
    let signs = publickey(user, client.blob(), Some(client.sign(&session, user)));
    assert_eq!(bench.ask(signs).await.unwrap(), AuthOutcome::Accepted);
}

#[tokio::test]
async fn another_algorithm_name_than_the_keys_is_refused() {
    let client = Client::new();
    let machine = Machine::new(&[&client], "MaxAuthTries 100");
    let (mut bench, session) = Bench::exchanged(&machine).await;
    let user = machine.user.as_str();
    for algorithm in [
        "rsa-sha2-512",
        "ecdsa-sha2-nistp256",
        "ssh-rsa",
        "ssh-ed25519-cert-v01@openssh.com",
        "",
    ] {
        let signature = client.sign_under(&session, user, algorithm, &client.blob());
        for signature in [None, Some(signature)] {
            let fields = PublicKeyRequest {
                algorithm: algorithm.to_owned(),
                key: client.blob(),
                host_key: None,
                signature,
            };
            bench
                .refused(request(user, AuthMethod::PublicKey(fields)))
                .await;
        }
    }
}

#[tokio::test]
async fn a_request_bound_to_another_host_key_is_refused() {
    let client = Client::new();
    let machine = Machine::new(&[&client], "MaxAuthTries 100");
    let (mut bench, session) = Bench::exchanged(&machine).await;
    let user = UserName::new(&machine.user).unwrap();
    let ours = machine.policy.offer.host_keys.public().remove(0).public_key;
    let bound = |claimed: &[u8], signed: &[u8]| {
        let (name, blob) = ("ssh-ed25519", client.blob());
        let data = signed_data(&session, &user, SERVICE, name, &blob, Some(signed));
        let fields = |signature| PublicKeyRequest {
            algorithm: name.to_owned(),
            key: blob.clone(),
            host_key: Some(claimed.to_vec()),
            signature,
        };
        let signature = client.sign_data(&data);
        [None, Some(signature)]
            .map(|signature| request(user.as_str(), AuthMethod::PublicKey(fields(signature))))
    };
    let other = Client::new().blob();
    let [asks, signs] = bound(&other, &other);
    bench.refused(asks).await;
    bench.refused(signs).await;
    // Our key is named, another one signed: the question is in order, the answer is not.
    let [asks, signs] = bound(&ours, &other);
    assert_eq!(bench.ask(asks).await.unwrap(), AuthOutcome::KeyAcceptable);
    bench.refused(signs).await;
    let [_, signs] = bound(&ours, &ours);
    assert_eq!(bench.ask(signs).await.unwrap(), AuthOutcome::Accepted);
}

#[tokio::test]
async fn a_key_on_a_touched_security_key_logs_in() {
    use SignatureAlgorithm::{SkEcdsaNistp256, SkEd25519, WebauthnSkEcdsaNistp256};
    for (device, algorithm) in [
        (SecurityKey::ed25519(), SkEd25519),
        (SecurityKey::ecdsa(), SkEcdsaNistp256),
        (SecurityKey::ecdsa(), WebauthnSkEcdsaNistp256),
    ] {
        let machine = Machine::with_lines(&device.line(), "");
        let (mut bench, session) = Bench::exchanged(&machine).await;
        let user = UserName::new(&machine.user).unwrap();
        let name = algorithm.name();
        let data = signed_data(&session, &user, SERVICE, name, &device.blob(), None);
        let signs = |flags| {
            let fields = PublicKeyRequest {
                algorithm: name.to_owned(),
                key: device.blob(),
                host_key: None,
                signature: Some(device.sign_as(algorithm, &data, flags, 1).unwrap()),
            };
            request(&machine.user, AuthMethod::PublicKey(fields))
        };
        bench.refused(signs(0)).await;
        assert_eq!(bench.ask(signs(1)).await.unwrap(), AuthOutcome::Accepted);
    }
}

#[tokio::test]
async fn a_certificate_never_counts_as_the_key_inside() {
    let directory = Directory::new();
    let authority = directory.key("authority", &["-t", "ed25519", "-N", ""]);
    let client = Client::new();
    directory.write("client.pub", &client.line());
    let machine = Machine::new(&[&client], "MaxAuthTries 100");
    let options = ["-n", machine.user.as_str()];
    let certificate = read_public(&directory.certificate(&authority, "client", &options));
    let (mut bench, session) = Bench::exchanged(&machine).await;
    let user = machine.user.as_str();
    // Under its own name, under the plain name, and the plain key under the certificate's name.
    let own = "ssh-ed25519-cert-v01@openssh.com";
    for (algorithm, key) in [
        (own, certificate.clone()),
        ("ssh-ed25519", certificate),
        (own, client.blob()),
    ] {
        let signature = client.sign_under(&session, user, algorithm, &key);
        for signature in [None, Some(signature)] {
            let fields = PublicKeyRequest {
                algorithm: algorithm.to_owned(),
                key: key.clone(),
                host_key: None,
                signature,
            };
            bench
                .refused(request(user, AuthMethod::PublicKey(fields)))
                .await;
        }
    }
    let signs = publickey(user, client.blob(), Some(client.sign(&session, user)));
    assert_eq!(bench.ask(signs).await.unwrap(), AuthOutcome::Accepted);
}

#[tokio::test]
async fn an_algorithm_that_is_not_accepted_is_refused() {
    let client = Client::new();
    let machine = Machine::new(&[&client], "PubkeyAcceptedAlgorithms rsa-sha2-512");
    let (mut bench, session) = Bench::exchanged(&machine).await;
    let user = machine.user.as_str();
    let signature = client.sign(&session, user);
    bench
        .refused(publickey(user, client.blob(), Some(signature)))
        .await;
}

#[tokio::test]
async fn another_service_is_refused() {
    let client = Client::new();
    let machine = Machine::new(&[&client], "");
    let (mut bench, session) = Bench::exchanged(&machine).await;
    let user = machine.user.as_str();
    let mut asks = publickey(user, client.blob(), Some(client.sign(&session, user)));
    asks.service = "ssh-userauth".to_owned();
    bench.refused(asks).await;
}

#[tokio::test]
async fn without_publickey_authentication_no_key_logs_in() {
    let client = Client::new();
    let machine = Machine::new(&[&client], "PubkeyAuthentication no");
    let (mut bench, session) = Bench::exchanged(&machine).await;
    let user = machine.user.as_str();
    let signs = publickey(user, client.blob(), Some(client.sign(&session, user)));
    let AuthOutcome::Refused { methods, .. } = bench.ask(signs).await.unwrap() else {
        panic!("not refused");
    };
    assert!(methods.is_empty());
}

#[tokio::test]
async fn an_unknown_user_gets_what_a_user_without_the_key_gets() {
    let (client, other) = (Client::new(), Client::new());
    let machine = Machine::new(&[&client], "");
    for (user, client) in [(UNKNOWN, &client), (machine.user.as_str(), &other)] {
        let (mut bench, session) = Bench::exchanged(&machine).await;
        bench.refused(request(user, AuthMethod::None)).await;
        bench.refused(publickey(user, client.blob(), None)).await;
        let signature = client.sign(&session, user);
        bench
            .refused(publickey(user, client.blob(), Some(signature)))
            .await;
    }
}

#[tokio::test]
async fn a_user_who_may_not_log_in_is_refused_with_the_right_key() {
    let client = Client::new();
    let machine = Machine::new(&[&client], "PermitRootLogin no");
    let (mut bench, session) = Bench::exchanged(&machine).await;
    let signature = client.sign(&session, "root");
    // As in sshd, PermitRootLogin is asked once the key has turned out to be right.
    let asks = publickey("root", client.blob(), None);
    assert_eq!(bench.ask(asks).await.unwrap(), AuthOutcome::KeyAcceptable);
    bench
        .refused(publickey("root", client.blob(), Some(signature)))
        .await;
}

#[tokio::test]
async fn nothing_is_authenticated_before_a_key_exchange() {
    let client = Client::new();
    let machine = Machine::new(&[&client], "");
    let user = machine.user.as_str();
    let signature = client.sign(b"", user);
    let asks = publickey(user, client.blob(), Some(signature));
    Bench::new(&machine).violation(asks, &machine).await;
}

#[tokio::test]
async fn a_second_user_name_ends_the_connection() {
    let client = Client::new();
    let machine = Machine::new(&[&client], "");
    let (mut bench, session) = Bench::exchanged(&machine).await;
    bench.refused(request(UNKNOWN, AuthMethod::None)).await;
    let user = machine.user.as_str();
    let signs = publickey(user, client.blob(), Some(client.sign(&session, user)));
    bench.violation(signs, &machine).await;
}

#[tokio::test]
async fn authenticating_again_after_login_ends_the_connection() {
    let client = Client::new();
    let machine = Machine::new(&[&client], "");
    let (mut bench, session) = Bench::exchanged(&machine).await;
    let user = machine.user.as_str();
    let signs = publickey(user, client.blob(), Some(client.sign(&session, user)));
    bench.ask(signs.clone()).await.unwrap();
    bench.services.sessions.lock().unwrap().clear();
    bench.violation(signs, &machine).await;
}

#[tokio::test]
async fn the_first_exchange_is_the_session_identifier_for_good() {
    let client = Client::new();
    let machine = Machine::new(&[&client], "MaxAuthTries 100");
    let (mut bench, first) = Bench::exchanged(&machine).await;
    let rekey = machine.exchange(2);
    let second = machine.hash(&rekey);
    bench.conversation.sign_exchange(rekey).await.unwrap();
    let user = machine.user.as_str();
    let with = |hash: &[u8]| publickey(user, client.blob(), Some(client.sign(hash, user)));
    bench.refused(with(&second)).await;
    assert_eq!(
        bench.ask(with(&first)).await.unwrap(),
        AuthOutcome::Accepted
    );
}

#[tokio::test]
async fn later_exchanges_of_a_user_take_turns_and_keep_nobody_waiting() {
    let client = Client::new();
    let machine = Machine::new(&[&client], "");
    let (mut bench, session) = Bench::exchanged(&machine).await;
    let user = machine.user.clone();
    let signs = publickey(&user, client.blob(), Some(client.sign(&session, &user)));
    assert_eq!(bench.ask(signs).await.unwrap(), AuthOutcome::Accepted);
    // Another connection of the same user has a signature made that takes long.
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let storm =
        tokio::spawn(async move { signing::aside(&user, move || wait.recv().is_err()).await });
    tokio::task::yield_now().await;
    let rekey = tokio::spawn(async move {
        bench
            .conversation
            .sign_exchange(machine.exchange(2))
            .await
            .unwrap();
        machine
    });
    // Others are served meanwhile, by this very thread.
    let other = Machine::new(&[], "");
    let (mut stranger, _) = Bench::exchanged(&other).await;
    stranger.refused(request(UNKNOWN, AuthMethod::None)).await;
    assert!(!rekey.is_finished());
    drop(release);
    storm.await.unwrap().unwrap();
    rekey.await.unwrap();
}

#[tokio::test]
async fn too_many_or_foreign_exchanges_end_the_connection() {
    let machine = Machine::new(&[], "KexAlgorithms curve25519-sha256");
    let (mut bench, _) = Bench::exchanged(&machine).await;
    for share in 2..5 {
        let rekey = machine.exchange(share);
        bench.conversation.sign_exchange(rekey).await.unwrap();
    }
    let fifth = bench.conversation.sign_exchange(machine.exchange(5)).await;
    assert!(matches!(fifth, Err(Broken::Violation(_))));

    let mut foreign = machine.exchange(1);
    foreign.kex = KexAlgorithm::Mlkem768X25519Sha256;
    let mut no_key = machine.exchange(1);
    no_key.host_key = SignatureAlgorithm::EcdsaNistp256;
    for values in [foreign, no_key] {
        let mut bench = Bench::new(&machine);
        let answer = bench.conversation.sign_exchange(values).await;
        assert!(matches!(answer, Err(Broken::Violation(_))));
        assert_eq!(bench.conversation.phase.name(), "over");
    }
}

#[tokio::test]
async fn the_last_try_is_the_last_whatever_it_is() {
    let (client, other) = (Client::new(), Client::new());
    let machine = Machine::new(&[&client], "MaxAuthTries 3");
    let (mut bench, session) = Bench::exchanged(&machine).await;
    let user = machine.user.as_str();
    // Neither the first `none` nor keys that would do are failures.
    bench.refused(request(user, AuthMethod::None)).await;
    for _ in 0..5 {
        let asks = publickey(user, client.blob(), None);
        assert_eq!(bench.ask(asks).await.unwrap(), AuthOutcome::KeyAcceptable);
    }
    // A later `none`, an unknown method and a key that would not do are.
    bench.refused(request(user, AuthMethod::None)).await;
    let password = AuthMethod::Unsupported("password".to_owned());
    bench.refused(request(user, password)).await;
    let asks = publickey(user, other.blob(), None);
    assert_eq!(bench.ask(asks).await.unwrap(), AuthOutcome::TooManyFailures);
    assert_eq!(bench.conversation.phase.name(), "exhausted");
    let signs = publickey(user, client.blob(), Some(client.sign(&session, user)));
    bench.violation(signs, &machine).await;
}

#[tokio::test]
async fn host_keys_are_proved_after_login_each_once_per_request() {
    let client = Client::new();
    let machine = Machine::new(&[&client], "");
    let (mut bench, session) = Bench::exchanged(&machine).await;
    let user = machine.user.as_str();
    let signs = publickey(user, client.blob(), Some(client.sign(&session, user)));
    assert_eq!(bench.ask(signs).await.unwrap(), AuthOutcome::Accepted);

    let ours = machine.policy.offer.host_keys.public().remove(0).public_key;
    let mut ask = async |keys: &[&[u8]]| {
        let keys: Vec<Vec<u8>> = keys.iter().map(|key| key.to_vec()).collect();
        bench.conversation.prove_host_keys(keys).await.unwrap()
    };
    let KeyProofs::Proved(proofs) = ask(&[&ours]).await else {
        panic!("refused");
    };
    let key = PublicKey::parse(&ours, RequiredRsaSize(2048)).unwrap();
    let mut data = Vec::new();
    for part in [b"hostkeys-prove-00@openssh.com".as_slice(), &session, &ours] {
        data.put_string(part);
    }
    assert_eq!(proofs.len(), 1);
    assert_eq!(
        key.verify(SignatureAlgorithm::Ed25519, &data, &proofs[0]),
        Ok(None)
    );

    assert_eq!(ask(&[&ours, &ours]).await, KeyProofs::Refused);
    assert_eq!(ask(&[&client.blob()]).await, KeyProofs::Refused);
    assert_eq!(ask(&[&ours, &client.blob()]).await, KeyProofs::Refused);
    // Refused ones count as well.
    assert_eq!(ask(&[&ours]).await, KeyProofs::Refused);
}

#[tokio::test]
async fn host_keys_are_not_proved_before_login() {
    let machine = Machine::new(&[], "");
    let ours = machine.policy.offer.host_keys.public().remove(0).public_key;
    let (mut bench, _) = Bench::exchanged(&machine).await;
    let broken = bench
        .conversation
        .prove_host_keys(vec![ours])
        .await
        .unwrap_err();
    assert!(matches!(broken, Broken::Violation(_)), "{broken}");
    assert_eq!(bench.conversation.phase.name(), "over");
}

#[tokio::test]
async fn no_session_no_login() {
    let client = Client::new();
    let machine = Machine::new(&[&client], "");
    let services = Services {
        refuses: true,
        ..Services::default()
    };
    let mut bench = Bench::with(&machine, services);
    let values = machine.exchange(1);
    let session = machine.hash(&values);
    bench.conversation.sign_exchange(values).await.unwrap();
    let user = machine.user.as_str();
    let signs = publickey(user, client.blob(), Some(client.sign(&session, user)));
    assert!(matches!(bench.ask(signs).await, Err(Broken::Open { .. })));
    assert_eq!(bench.conversation.phase.name(), "over");
}

#[tokio::test]
async fn refusals_take_their_time() {
    let machine = Machine::new(&[], "");
    let (mut bench, _) = Bench::exchanged(&machine).await;
    let asked = Instant::now();
    bench
        .refused(publickey(UNKNOWN, Client::new().blob(), None))
        .await;
    assert!(asked.elapsed() >= Duration::from_millis(5));
}

#[tokio::test]
async fn calls_that_pile_up_are_a_violation() {
    let machine = Machine::new(&[], "");
    let (face, _questions) = face();
    let first = tokio::time::timeout(
        Duration::from_millis(10),
        face.sign_exchange(machine.exchange(1)),
    );
    assert!(first.await.is_err(), "nobody answers");
    let second = face.sign_exchange(machine.exchange(1)).await;
    assert_eq!(second, Err(Violation::new("calls pile up")));
}

#[tokio::test]
async fn questions_about_a_good_key_have_an_end() {
    let client = Client::new();
    let machine = Machine::new(&[&client], "");
    let (mut bench, _) = Bench::exchanged(&machine).await;
    let user = machine.user.as_str();
    for _ in 1..1024 {
        let asks = publickey(user, client.blob(), None);
        assert_eq!(bench.ask(asks).await.unwrap(), AuthOutcome::KeyAcceptable);
    }
    let asks = publickey(user, client.blob(), None);
    assert_eq!(bench.ask(asks).await.unwrap(), AuthOutcome::TooManyFailures);
}

/// A server that exchanges groups, and nothing that came before.
fn exchanging() -> (Machine, Bench, GroupRequest) {
    let machine = Machine::new(&[], "KexAlgorithms diffie-hellman-group*");
    let bench = Bench::new(&machine);
    (machine, bench, GroupRequest::new(1024, 3072, 8192).unwrap())
}

fn in_a_group(machine: &Machine) -> ExchangeValues {
    ExchangeValues {
        kex: KexAlgorithm::DhGroupExchangeSha256,
        ..machine.exchange(1)
    }
}

#[tokio::test]
async fn what_is_signed_covers_the_group_that_was_chosen_here() {
    let (machine, mut bench, request) = exchanging();
    for _ in 0..2 {
        let group = bench.conversation.choose_group(request).unwrap().unwrap();
        let values = in_a_group(&machine);
        let signature = bench
            .conversation
            .sign_exchange(values.clone())
            .await
            .unwrap();
        let hash = machine.hash_with(&values, Some(&ChosenGroup { request, group }));
        let key = machine.policy.offer.host_keys.public().remove(0).public_key;
        PublicKey::parse(&key, RequiredRsaSize(2048))
            .unwrap()
            .verify(SignatureAlgorithm::Ed25519, &hash, &signature)
            .unwrap();
    }
}

#[tokio::test]
async fn a_group_is_for_one_exchange_and_an_exchange_has_one_group() {
    let violation = |result: Result<Vec<u8>, Broken>| {
        assert!(matches!(result, Err(Broken::Violation(_))));
    };
    // None was asked for.
    let (machine, mut bench, request) = exchanging();
    let values = in_a_group(&machine);
    violation(bench.conversation.sign_exchange(values.clone()).await);

    // It was used already.
    let mut bench = Bench::new(&machine);
    bench.conversation.choose_group(request).unwrap().unwrap();
    bench
        .conversation
        .sign_exchange(values.clone())
        .await
        .unwrap();
    violation(bench.conversation.sign_exchange(values.clone()).await);

    // Another method follows.
    let mut bench = Bench::new(&machine);
    bench.conversation.choose_group(request).unwrap().unwrap();
    let other = ExchangeValues {
        kex: KexAlgorithm::DhGroup14Sha256,
        ..values
    };
    violation(bench.conversation.sign_exchange(other).await);

    // Another question follows, whether there was a group or not.
    for sizes in [(2048, 2048, 2048), (5000, 5000, 5001)] {
        let mut bench = Bench::new(&machine);
        let (min, preferred, max) = sizes;
        let first = GroupRequest::new(min, preferred, max).unwrap();
        bench.conversation.choose_group(first).unwrap();
        let second = bench.conversation.choose_group(request);
        assert!(matches!(second, Err(Broken::Violation(_))));
        assert_eq!(bench.conversation.phase.name(), "over");
    }
}

#[tokio::test]
async fn no_group_is_chosen_where_none_is_offered() {
    let machine = Machine::new(&[], "");
    let mut bench = Bench::new(&machine);
    let request = GroupRequest::new(2048, 2048, 8192).unwrap();
    let refused = bench.conversation.choose_group(request);
    assert!(matches!(refused, Err(Broken::Violation(_))));
}
