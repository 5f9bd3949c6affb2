//! User authentication as protocol: questions, answers, and what is never asked.

use transport::{Error, Failure, Incompatibility, Misbehaviour, Phase, RekeyLimit};
use wire::message::{
    BANNER_LIMIT, Disconnect, DisconnectReason, UserauthBanner, UserauthFailure, UserauthPkOk,
    number,
};
use wire::userauth::{AuthMethod, AuthOutcome, PasswordRequest};

use crate::client::{Offer, data, service_request};
use crate::monitor::{CODE, question};
use crate::pair::{Answers, Pair, asking, interactive, refused, request, response, signed};

/// A pair in which the service runs and nobody was named.
fn service_running() -> Pair {
    let mut pair = Pair::with_offer(Offer::default());
    pair.client.send(&service_request("ssh-userauth"));
    pair.run();
    pair.client.received.clear();
    assert_eq!(pair.transport.phase(), Phase::Authentication);
    pair
}

#[test]
fn a_login_is_none_then_asking_then_signing() {
    let mut pair = service_running();
    pair.client.send(&request("alice", AuthMethod::None));
    pair.run();
    let failure = pair.client.received.pop_front().unwrap();
    assert_eq!(
        UserauthFailure::decode(&failure).unwrap().methods.as_str(),
        "publickey"
    );

    pair.client.send(&request("alice", asking()));
    pair.run();
    let acceptable = pair.client.received.pop_front().unwrap();
    let acceptable = UserauthPkOk::decode(&acceptable).unwrap();
    assert_eq!(
        (acceptable.algorithm, acceptable.key),
        ("ssh-ed25519", &b"a key"[..])
    );
    assert_eq!(pair.transport.phase(), Phase::Authentication);

    pair.client.send(&request("alice", signed()));
    pair.run();
    assert_eq!(
        pair.client.received.pop_front().unwrap(),
        [number::USERAUTH_SUCCESS]
    );
    assert_eq!(pair.transport.phase(), Phase::Connection);
    assert_eq!(pair.questions.len(), 3);
}

#[test]
fn a_question_is_answered_once_and_that_may_be_a_login() {
    let mut pair = service_running();
    pair.client.send(&request("alice", interactive()));
    pair.run();
    let mut asked = Vec::new();
    question().encode(&mut asked);
    assert_eq!(pair.client.received.pop_front(), Some(asked.clone()));

    pair.client.send(&response(b"wrong"));
    pair.client.send(&response(CODE));
    pair.run();
    let answers: Vec<_> = pair.client.received.drain(..).map(|told| told[0]).collect();
    assert_eq!(answers, [number::USERAUTH_FAILURE, number::UNIMPLEMENTED]);

    pair.client.send(&request("alice", interactive()));
    pair.client.send(&response(CODE));
    pair.run();
    let answers: Vec<_> = pair.client.received.drain(..).collect();
    assert_eq!(answers, [asked, vec![number::USERAUTH_SUCCESS]]);
    assert_eq!(pair.transport.phase(), Phase::Connection);
    assert_eq!(pair.responses.len(), 2);
}

#[test]
fn another_request_abandons_a_question() {
    let mut pair = service_running();
    pair.client.send(&request("alice", interactive()));
    pair.client.send(&request("alice", AuthMethod::None));
    pair.client.send(&response(CODE));
    pair.run();
    assert!(pair.responses.is_empty());
    assert_eq!(pair.transport.phase(), Phase::Authentication);

    pair.client.send(&request("alice", interactive()));
    pair.client.send(&request("root", interactive()));
    assert_eq!(pair.expect_disconnect(), Misbehaviour::UserChanged.into());
}

#[test]
fn a_question_may_follow_on_an_answer_and_new_keys_come_in_between() {
    let mut pair = service_running();
    pair.answers = Answers::SignOnly;
    pair.client.send(&request("alice", interactive()));
    pair.run();
    for count in 0..3 {
        let asked = AuthOutcome::InfoRequest(question());
        pair.transport.handle_auth_outcome(asked).unwrap();
        pair.client.request_exchange();
        pair.run();
        pair.client.send(&response(CODE));
        pair.run();
        assert_eq!(pair.responses.len(), count + 1);
    }
    pair.transport
        .handle_auth_outcome(AuthOutcome::Accepted)
        .unwrap();
    assert_eq!(pair.transport.phase(), Phase::Connection);
}

#[test]
fn only_who_wants_to_be_asked_is_asked() {
    let change = AuthOutcome::PasswordChange {
        prompt: "New password: ".to_owned(),
    };
    let asked = AuthOutcome::InfoRequest(question());
    let password = AuthMethod::Password(PasswordRequest::Impossible);
    for (method, fits, unfit) in [
        (password, &change, &asked),
        (interactive(), &asked, &change),
    ] {
        let mut pair = service_running();
        pair.answers = Answers::SignOnly;
        pair.client.send(&request("alice", method));
        pair.run();
        let answered = pair.transport.handle_auth_outcome(unfit.clone());
        assert_eq!(answered, Err(Failure::UnfitAnswer.into()));
        pair.transport.handle_auth_outcome(fits.clone()).unwrap();
        pair.run();
        let answer = pair.client.received.pop_front().unwrap();
        assert_eq!(answer[0], 60);
    }
    for method in [AuthMethod::None, asking(), signed()] {
        let mut pair = service_running();
        pair.answers = Answers::SignOnly;
        pair.client.send(&request("alice", method));
        pair.run();
        for unfit in [&asked, &change] {
            let answered = pair.transport.handle_auth_outcome(unfit.clone());
            assert_eq!(answered, Err(Failure::UnfitAnswer.into()));
        }
    }
}

#[test]
fn no_input_is_taken_while_a_question_is_open() {
    let mut pair = service_running();
    pair.answers = Answers::SignOnly;
    pair.client.send(&request("alice", signed()));
    pair.client.send(&data(1, 10));
    pair.run();
    assert!(pair.transport.question_open());
    assert!(pair.received.is_empty());
    assert!(!pair.feed());

    pair.transport
        .handle_auth_outcome(AuthOutcome::Accepted)
        .unwrap();
    pair.run();
    assert_eq!(pair.received, [data(1, 10)]);
}

#[test]
fn no_input_is_taken_while_a_signature_is_missing() {
    let mut pair = Pair::with_offer(Offer::default());
    pair.answers = Answers::None;
    pair.run();
    let values = pair.unsigned.pop().unwrap();
    pair.client.output.extend([0; 100]);
    pair.run();
    assert_eq!(pair.error, None);
    assert_eq!(
        pair.transport.handle_auth_outcome(AuthOutcome::Accepted),
        Err(Failure::NoQuestion.into())
    );
    let signature = pair.sign(&values);
    pair.transport.handle_signature(signature.clone()).unwrap();
    assert_eq!(
        pair.transport.handle_signature(signature),
        Err(Failure::NoQuestion.into())
    );
}

#[test]
fn an_answer_that_does_not_fit_changes_nothing() {
    let mut pair = service_running();
    pair.answers = Answers::SignOnly;
    pair.client.send(&request("alice", asking()));
    pair.run();
    // The client has proved nothing: this must not let it in.
    let unfit = pair.transport.handle_auth_outcome(AuthOutcome::Accepted);
    assert_eq!(unfit, Err(Failure::UnfitAnswer.into()));
    assert!(pair.transport.question_open());
    pair.transport.handle_auth_outcome(refused()).unwrap();
    pair.run();
    assert_eq!(pair.transport.phase(), Phase::Authentication);
    assert_eq!(
        pair.transport.handle_auth_outcome(AuthOutcome::Accepted),
        Err(Failure::NoQuestion.into())
    );
}

#[test]
fn too_many_failures_end_the_connection() {
    let mut pair = service_running();
    pair.answers = Answers::SignOnly;
    pair.client.send(&request("alice", signed()));
    pair.run();
    pair.transport
        .handle_auth_outcome(AuthOutcome::TooManyFailures)
        .unwrap();
    assert_eq!(pair.transport.phase(), Phase::Closed);
    pair.server_to_client();
    let told = pair.client.received.pop_front().unwrap();
    let told = Disconnect::decode(&told).unwrap();
    assert_eq!(
        told.reason,
        DisconnectReason::NoMoreAuthMethodsAvailable.code()
    );
    assert_eq!(told.description, b"Too many authentication failures");
}

#[test]
fn a_banner_is_shown_before_the_answer_to_the_first_request() {
    let mut pair = service_running();
    assert_eq!(pair.transport.send_banner(b"x"), Err(Failure::Busy.into()));
    pair.answers = Answers::SignOnly;
    pair.client.send(&request("alice", AuthMethod::None));
    pair.run();
    pair.transport.send_banner("Grüße\n".as_bytes()).unwrap();
    pair.transport.send_banner(b"").unwrap();
    pair.transport.handle_auth_outcome(refused()).unwrap();
    pair.run();
    let banner = pair.client.received.pop_front().unwrap();
    assert_eq!(
        UserauthBanner::decode(&banner),
        Ok(UserauthBanner {
            message: "Grüße\n".as_bytes(),
            language: b"",
        })
    );
    assert_eq!(pair.client.received[0][0], number::USERAUTH_FAILURE);
    assert_eq!(pair.client.received.len(), 1);
}

#[test]
fn a_banner_is_bounded_and_shown_before_the_login_only() {
    let mut pair = service_running();
    pair.client.send(&request("alice", AuthMethod::None));
    pair.run();
    let longest = vec![b'x'; BANNER_LIMIT];
    pair.transport.send_banner(&longest).unwrap();
    assert_eq!(
        pair.transport.send_banner(&[&longest[..], b"x"].concat()),
        Err(Failure::PayloadTooLong(BANNER_LIMIT + 1).into())
    );
    // Not between the client's KEXINIT and our NEWKEYS.
    pair.answers = Answers::None;
    pair.client.request_exchange();
    pair.run();
    assert_eq!(pair.transport.send_banner(b"x"), Err(Failure::Busy.into()));

    let mut pair = Pair::logged_in(Offer::default(), RekeyLimit::default());
    assert_eq!(pair.transport.send_banner(b"x"), Err(Failure::Busy.into()));
    assert_eq!(pair.transport.phase(), Phase::Connection);
}

#[test]
fn another_user_name_ends_the_connection() {
    let mut pair = service_running();
    pair.client.send(&request("alice", AuthMethod::None));
    pair.client.send(&request("root", signed()));
    assert_eq!(pair.expect_disconnect(), Misbehaviour::UserChanged.into());
    assert_eq!(pair.questions.len(), 1);
}

#[test]
fn a_user_name_that_cannot_exist_ends_the_connection() {
    let mut pair = service_running();
    let mut payload = request("alice", AuthMethod::None);
    payload[7] = b'\n';
    pair.client.send(&payload);
    let error = pair.expect_disconnect();
    assert_eq!(
        error.disconnect_reason(),
        Some(DisconnectReason::IllegalUserName)
    );
    assert!(pair.questions.is_empty());
}

#[test]
fn another_service_is_not_available() {
    let mut pair = Pair::with_offer(Offer::default());
    pair.client.send(&service_request("ssh-connection"));
    let error = pair.expect_disconnect();
    assert!(
        matches!(error, Error::Incompatible(Incompatibility::Service { .. })),
        "{error}"
    );
}

#[test]
fn messages_of_the_connection_protocol_before_login_end_the_connection() {
    for message in [80, 90, 94, 98, 127] {
        let mut pair = service_running();
        pair.client.send(&[message, 0, 0, 0, 0]);
        let error = pair.expect_disconnect();
        assert!(matches!(
            error,
            Error::Misbehaved(Misbehaviour::Unexpected { .. })
        ));
        assert!(pair.received.is_empty());
    }
}

#[test]
fn a_request_before_the_service_was_requested_ends_the_connection() {
    let mut pair = Pair::with_offer(Offer::default());
    pair.client.send(&request("alice", signed()));
    pair.expect_disconnect();
    assert!(pair.questions.is_empty());
}

#[test]
fn a_service_that_is_requested_again_goes_on_with_the_same_user() {
    let mut pair = service_running();
    pair.client.send(&request("alice", AuthMethod::None));
    pair.client.send(&service_request("ssh-userauth"));
    pair.client.send(&request("alice", AuthMethod::None));
    pair.run();
    let answers: Vec<_> = pair.client.received.drain(..).map(|told| told[0]).collect();
    assert_eq!(
        answers,
        [
            number::USERAUTH_FAILURE,
            number::SERVICE_ACCEPT,
            number::USERAUTH_FAILURE
        ]
    );
    pair.client.send(&service_request("ssh-userauth"));
    pair.client.send(&request("root", signed()));
    assert_eq!(pair.expect_disconnect(), Misbehaviour::UserChanged.into());
    assert_eq!(pair.questions.len(), 2);
}

#[test]
fn requests_after_login_are_ignored() {
    let mut pair = Pair::logged_in(Offer::default(), RekeyLimit::default());
    pair.client.received.clear();
    pair.client.send(&request("root", signed()));
    pair.client.send(&data(1, 1));
    pair.run();
    assert_eq!(pair.questions.len(), 1);
    assert!(pair.client.received.is_empty());
    assert_eq!(pair.received, [data(1, 1)]);
}

#[test]
fn a_login_that_needs_too_much_traffic_ends_the_connection() {
    let mut pair = service_running();
    for _ in 0..1100 {
        pair.client.send(&[number::IGNORE, 0, 0, 0, 0]);
    }
    assert_eq!(
        pair.expect_disconnect(),
        Misbehaviour::TooMuchBeforeLogin.into()
    );
}
