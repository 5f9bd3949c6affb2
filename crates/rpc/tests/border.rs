//! A worker that keeps to its contract is answered; one that does not is cut off, unanswered.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::time::Duration;

use rpc::preauth::{AuthReply, ConnectionEnd, KeyProofs, Monitor, MonitorFace, serve};
use rpc::{CallError, ServeEnd, Violation};
use wire::exchange::ExchangeValues;
use wire::groups::{DhGroup, GroupRequest};
use wire::names::{KexAlgorithm, SignatureAlgorithm};
use wire::secret::Secret;
use wire::userauth::{AuthMethod, AuthOutcome, AuthRequest, PublicKeyRequest, Responses, UserName};
use zeroize::Zeroizing;

/// Says what it was asked, and finds the user "mallory" a violation.
struct Face;

impl MonitorFace for Face {
    async fn choose_group(&self, request: GroupRequest) -> Result<Option<DhGroup>, Violation> {
        let fields = request.fields().map(|field| field.to_be_bytes().to_vec());
        let [prime, generator, _] = fields;
        Ok((request.preferred() < 8192).then_some(DhGroup { prime, generator }))
    }

    async fn sign_exchange(&self, values: ExchangeValues) -> Result<Vec<u8>, Violation> {
        Ok(values.shared_secret.to_vec())
    }

    async fn authenticate(&self, request: AuthRequest) -> Result<AuthReply, Violation> {
        match request.user.as_str() {
            "mallory" => Err(Violation::new("not now")),
            user => Ok(AuthReply {
                banners: vec![b"hello".to_vec()],
                pubkey_algorithms: vec!["ssh-ed25519".to_owned()],
                outcome: AuthOutcome::Refused {
                    methods: vec![user.to_owned(), request.service],
                    partial_success: true,
                },
            }),
        }
    }

    async fn answer(&self, responses: Responses) -> Result<AuthReply, Violation> {
        match responses {
            Responses::Given(secrets) => Ok(AuthReply::from(AuthOutcome::PasswordChange {
                prompt: secrets.len().to_string(),
            })),
            Responses::Impossible => Err(Violation::new("impossible")),
        }
    }

    async fn prove_host_keys(&self, host_keys: Vec<Vec<u8>>) -> Result<KeyProofs, Violation> {
        match host_keys.is_empty() {
            true => Ok(KeyProofs::Refused),
            false => Ok(KeyProofs::Proved(host_keys)),
        }
    }

    async fn report(&self, _: ConnectionEnd) -> Result<(), Violation> {
        Ok(())
    }
}

fn request(user: &str, method: AuthMethod) -> AuthRequest {
    AuthRequest {
        user: UserName::new(user).unwrap(),
        service: "ssh-connection".to_owned(),
        method,
    }
}

fn exchange(kexinit: usize) -> ExchangeValues {
    ExchangeValues {
        client_identification: b"SSH-2.0-test".to_vec(),
        client_kexinit: vec![20; kexinit],
        server_kexinit: vec![20; 100],
        kex: KexAlgorithm::Curve25519Sha256,
        host_key: SignatureAlgorithm::Ed25519,
        client_share: vec![1; 32],
        server_share: vec![2; 32],
        shared_secret: Zeroizing::new(vec![3; 32]),
    }
}

/// Runs `talk` as the worker of a served monitor, and tells how serving ended.
fn border<T>(talk: impl AsyncFnOnce(Monitor) -> T) -> (T, ServeEnd) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (worker, monitor) = rpc::lane::stream_pair().unwrap();
        let served = tokio::spawn(serve(rpc::grpc::stream(monitor).unwrap(), Face));
        let worker = Monitor::start(rpc::grpc::stream(worker).unwrap())
            .await
            .unwrap();
        let said = talk(worker).await;
        let end = tokio::time::timeout(Duration::from_secs(5), served)
            .await
            .unwrap()
            .unwrap();
        (said, end)
    })
}

#[test]
fn values_arrive_as_they_were_sent() {
    let ((signature, answer), end) = border(async |mut worker: Monitor| {
        let signature = worker.sign_exchange(exchange(1000)).await.unwrap();
        let answer = worker
            .authenticate(request("alice", AuthMethod::None))
            .await
            .unwrap();
        worker.report(ConnectionEnd::Closed).await.unwrap();
        (signature, answer)
    });
    assert_eq!(signature, [3; 32]);
    assert_eq!(
        answer,
        AuthReply {
            banners: vec![b"hello".to_vec()],
            pubkey_algorithms: vec!["ssh-ed25519".to_owned()],
            outcome: AuthOutcome::Refused {
                methods: vec!["alice".to_owned(), "ssh-connection".to_owned()],
                partial_success: true
            }
        }
    );
    assert!(matches!(end, ServeEnd::PeerClosed));
}

#[test]
fn a_group_arrives_as_it_was_chosen_and_so_does_that_there_is_none() {
    let ((some, none), _) = border(async |mut worker: Monitor| {
        let request = |preferred| GroupRequest::new(2048, preferred, 8192).unwrap();
        let some = worker.choose_group(request(3072)).await.unwrap();
        (some, worker.choose_group(request(8192)).await.unwrap())
    });
    let group = some.unwrap();
    assert_eq!(
        (&group.prime[..], &group.generator[..]),
        (&[0, 0, 8, 0][..], &[0, 0, 12, 0][..])
    );
    assert_eq!(none, None);
}

#[test]
fn responses_arrive_and_are_replied_to() {
    let secrets = vec![Secret::copy(b"a").unwrap(), Secret::copy(b"").unwrap()];
    let ((reply, none), end) = border(async |mut worker: Monitor| {
        let reply = worker.answer(Responses::Given(secrets)).await.unwrap();
        (reply, worker.answer(Responses::Impossible).await)
    });
    let prompt = "2".to_owned();
    assert_eq!(reply.outcome, AuthOutcome::PasswordChange { prompt });
    assert!(matches!(none, Err(CallError::Ended(_))), "{none:?}");
    assert!(matches!(end, ServeEnd::Violation(_)), "{end:?}");
}

#[test]
fn a_violation_is_not_answered_and_ends_the_border() {
    let (answer, end) = border(async |mut worker: Monitor| {
        worker
            .authenticate(request("mallory", AuthMethod::None))
            .await
    });
    assert!(matches!(answer, Err(CallError::Ended(_))), "{answer:?}");
    let ServeEnd::Violation(violation) = end else {
        panic!("{end:?}");
    };
    assert_eq!(violation, Violation::new("not now"));
}

#[test]
fn a_field_above_its_limit_is_a_violation() {
    let key = PublicKeyRequest {
        algorithm: "a".repeat(65),
        key: vec![0; 51],
        host_key: None,
        signature: None,
    };
    let (answer, end) = border(async |mut worker: Monitor| {
        worker
            .authenticate(request("alice", AuthMethod::PublicKey(key)))
            .await
    });
    assert!(matches!(answer, Err(CallError::Ended(_))), "{answer:?}");
    assert!(matches!(end, ServeEnd::Violation(_)), "{end:?}");
}

#[test]
fn proofs_of_host_keys_arrive_and_too_many_are_a_violation() {
    let keys = |count| vec![vec![7; 51]; count];
    let (answers, end) = border(async |mut worker: Monitor| {
        let mut answers = Vec::new();
        for count in [0, 2, 64, 65] {
            answers.push(worker.prove_host_keys(keys(count)).await.ok());
        }
        answers
    });
    assert_eq!(
        answers,
        [
            Some(KeyProofs::Refused),
            Some(KeyProofs::Proved(keys(2))),
            Some(KeyProofs::Proved(keys(64))),
            None,
        ]
    );
    assert!(matches!(end, ServeEnd::Violation(_)), "{end:?}");
}

#[test]
fn a_message_above_the_limit_is_never_converted() {
    let (answer, end) =
        border(async |mut worker: Monitor| worker.sign_exchange(exchange(200 * 1024)).await);
    assert!(matches!(answer, Err(CallError::Ended(_))), "{answer:?}");
    assert!(matches!(end, ServeEnd::PeerClosed), "{end:?}");
}
