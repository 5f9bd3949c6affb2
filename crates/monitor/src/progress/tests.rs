use super::*;

use Method::{Hostbased, KeyboardInteractive, None as NoMethod, Password, PublicKey};

const PAM: Option<&str> = Some("pam");

/// Of a value as sshd_config(5) has it.
fn methods(value: &str) -> AuthenticationMethods {
    let list = |list: &str| list.split(',').map(str::to_owned).collect();
    let lists = value.split(' ').filter(|list| *list != "any");
    AuthenticationMethods::from(lists.map(list).collect::<Vec<_>>())
}

fn progress(value: &str) -> Progress {
    Progress::new(&methods(value), |_| true).0
}

/// What can be tried.
fn offered(progress: &Progress) -> Vec<Method> {
    let all = Method::ALL.into_iter();
    all.filter(|method| progress.wants(*method)).collect()
}

/// Completes methods one after the other; what each comes to, and what is offered after it.
fn walk(value: &str, completed: &[(Method, Option<&str>)]) -> Vec<(Step, Vec<Method>)> {
    let mut progress = progress(value);
    let walked = completed.iter().map(|(method, submethod)| {
        let step = progress.wanted.advance(*method, *submethod);
        (step, offered(&progress))
    });
    walked.collect()
}

#[test]
fn any_method_is_enough_without_lists() {
    assert_eq!(offered(&progress("any")), Method::ALL);
    for method in Method::ALL {
        let (step, _) = walk("any", &[(method, None)]).remove(0);
        assert_eq!(step, Step::Complete);
    }
}

#[test]
fn a_list_is_done_in_its_order() {
    let value = "publickey,password,keyboard-interactive";
    assert_eq!(offered(&progress(value)), [PublicKey]);
    let walked = walk(
        value,
        &[
            (Password, None),
            (PublicKey, None),
            (PublicKey, None),
            (KeyboardInteractive, PAM),
            (Password, None),
            (KeyboardInteractive, PAM),
        ],
    );
    assert_eq!(
        walked,
        [
            (Step::Unwanted, vec![PublicKey]),
            (Step::Partial, vec![Password]),
            (Step::Unwanted, vec![Password]),
            (Step::Unwanted, vec![Password]),
            (Step::Partial, vec![KeyboardInteractive]),
            (Step::Complete, vec![]),
        ]
    );
}

#[test]
fn a_method_advances_each_list_that_begins_with_it() {
    let value = "publickey,password publickey,hostbased password,publickey";
    assert_eq!(offered(&progress(value)), [PublicKey, Password]);
    let walked = walk(value, &[(PublicKey, None), (Password, None)]);
    assert_eq!(walked[0], (Step::Partial, vec![Password, Hostbased]));
    assert_eq!(walked[1].0, Step::Complete);
    // The third list has its password, and wants the key once more.
    let walked = walk(value, &[(Password, None), (PublicKey, None)]);
    assert_eq!(walked[0], (Step::Partial, vec![PublicKey]));
    assert_eq!(walked[1].0, Step::Complete);
}

#[test]
fn the_first_list_that_is_empty_is_enough() {
    let walked = walk("publickey,password publickey", &[(PublicKey, None)]);
    assert_eq!(walked[0].0, Step::Complete);
}

#[test]
fn a_method_that_occurs_twice_is_to_be_completed_twice() {
    let walked = walk(
        "publickey,publickey",
        &[(PublicKey, None), (PublicKey, None)],
    );
    assert_eq!(walked[0], (Step::Partial, vec![PublicKey]));
    assert_eq!(walked[1].0, Step::Complete);
}

#[test]
fn a_submethod_is_wanted_by_its_name() {
    let interactive = |value: &str, submethod| {
        let progress = progress(value);
        // The name alone does not tell.
        assert!(progress.wants(KeyboardInteractive));
        let wanted = progress.wants_submethod(KeyboardInteractive, "pam");
        let (step, _) = walk(value, &[(KeyboardInteractive, submethod)]).remove(0);
        (wanted, step)
    };
    assert_eq!(
        interactive("keyboard-interactive", PAM),
        (true, Step::Complete)
    );
    assert_eq!(
        interactive("keyboard-interactive:pam", PAM),
        (true, Step::Complete)
    );
    assert_eq!(
        interactive("keyboard-interactive:bsdauth", PAM),
        (false, Step::Unwanted)
    );
    assert_eq!(
        interactive("keyboard-interactive:pa", PAM),
        (false, Step::Unwanted)
    );
    assert_eq!(
        interactive("keyboard-interactive:pam", None),
        (true, Step::Unwanted)
    );
    // sshd offers it and ends the connection when it is completed: publickey has no submethods.
    let (step, _) = walk("publickey:x", &[(PublicKey, None)]).remove(0);
    assert_eq!(step, Step::Unwanted);
}

#[test]
fn lists_with_a_method_that_is_off_are_never_begun() {
    let enabled = |method: Method| method != Password;
    let new = |value: &str| Progress::new(&methods(value), enabled);
    let (left, skipped) = new("publickey,password:x hostbased publickey,hostbased");
    assert_eq!(offered(&left), [PublicKey, Hostbased]);
    assert_eq!(left.prospect(), Prospect::Open);
    assert_eq!(
        skipped[0].to_string(),
        "Disabled method \"password\" in AuthenticationMethods list \"publickey,password:x\""
    );
    assert_eq!(skipped.len(), 1);
    for hopeless in ["publickey,password", "gssapi-with-mic"] {
        let (left, _) = new(hopeless);
        assert_eq!(left.prospect(), Prospect::Hopeless, "{hopeless}");
        assert_eq!(offered(&left), []);
    }
    // Without lists there is nothing to be left over.
    assert_eq!(new("any").0.prospect(), Prospect::Open);
}

#[test]
fn none_is_a_method_of_lists_like_others() {
    let walked = walk("none,publickey", &[(NoMethod, None), (PublicKey, None)]);
    assert_eq!(walked[0], (Step::Partial, vec![PublicKey]));
    assert_eq!(walked[1].0, Step::Complete);
}
