//! The parser against OpenSSH itself: every configuration of the corpus goes through Debian's `sshd -T -C …` and through
//! ours. Both print the same, or both refuse, or the corpus says at the case why not.
//!
//! The sshd is taken out of Debian's package and not installed; it runs as nobody, opens no socket and reads nothing but
//! the case's files. Its own lists of algorithms are given to our parser, so that the edits of lists are compared too.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "modules of a test"
)]

#[path = "openssh/corpus.rs"]
mod corpus;
#[path = "openssh/debian.rs"]
mod debian;
#[path = "openssh/reviewed.rs"]
mod reviewed;

use config::sshd::{self, Criteria, FileSystem};
use corpus::{Case, Expectation};
use debian::Sshd;
use std::fmt::Write as _;

#[test]
fn every_configuration_of_the_corpus_means_the_same_to_openssh() {
    let sshd = Sshd::from_package();
    let algorithms = sshd.algorithms();
    let offered = algorithms.offered();
    let mut failures = String::new();
    let (mut configurations, mut runs) = (0, 0);
    for case in corpus::cases() {
        configurations += 1;
        let file = sshd.write(&case);
        let read = sshd::read(&file, &[], &offered);
        for connection in &case.connections {
            runs += 1;
            let theirs = sshd.show(&file, connection);
            let ours = match &read {
                Ok(configuration) => Ok(configuration
                    .effective(&criteria(connection))
                    .config
                    .print()),
                Err(errors) => Err(errors.to_string()),
            };
            if let Some(failure) = compare(&case, &ours, &theirs) {
                let name = format!("{}:{} -C '{connection}'", corpus::FILE, case.line);
                writeln!(failures, "{name}\n{}\n{failure}", case.text).unwrap();
            }
        }
    }
    assert!(
        configurations >= 300,
        "the corpus has {configurations} configurations"
    );
    assert!(failures.is_empty(), "{failures}");
    println!("{configurations} configurations, {runs} runs");
}

/// Whatever is printed can be read, and means what it was printed from.
#[test]
fn what_is_printed_for_the_corpus_is_a_fixed_point() {
    let sshd = Sshd::from_package();
    let algorithms = sshd.algorithms();
    let offered = algorithms.offered();
    for case in corpus::cases() {
        let Ok(configuration) = sshd::read(&sshd.write(&case), &[], &offered) else {
            continue;
        };
        for connection in &case.connections {
            let printed = configuration
                .effective(&criteria(connection))
                .config
                .print();
            let again = sshd::read_text(&printed, "printed", &[], &FileSystem, &offered)
                .unwrap_or_else(|errors| panic!("{}: {errors}\n{printed}", case.line));
            let again = again.effective(&Criteria::default()).config.print();
            assert_eq!(again, printed, "{}:{}", corpus::FILE, case.line);
        }
    }
}

#[test]
fn every_keyword_of_debians_manual_is_in_the_table() {
    let known = sshd::support();
    let keywords = Sshd::from_package().keywords();
    assert!(keywords.len() >= 100, "{keywords:?}");
    let forgotten: Vec<&String> = keywords
        .iter()
        .filter(|keyword| !known.iter().any(|row| row.name == **keyword))
        .collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

/// What is wrong with a case; none if nothing is.
fn compare(
    case: &Case,
    ours: &Result<String, String>,
    theirs: &Result<String, String>,
) -> Option<String> {
    let unexpected = |what: &str| Some(format!("  {what}, but the corpus says otherwise"));
    match (ours, theirs, &case.expectation) {
        (Ok(_), Err(_), Expectation::OursOnly) | (Err(_), Ok(_), Expectation::TheirsOnly) => None,
        (Err(_), Err(_), Expectation::Same) => None,
        (Ok(_), Err(error), _) => Some(format!("  only OpenSSH refuses: {error}")),
        (Err(error), Ok(_), _) => Some(format!("  only we refuse: {error}")),
        (Err(_), Err(_), _) => unexpected("both refuse"),
        (Ok(ours), Ok(theirs), expectation) => {
            let keyword = match expectation {
                Expectation::Same => None,
                Expectation::Differs(keyword) => Some(keyword.as_str()),
                Expectation::OursOnly | Expectation::TheirsOnly => {
                    return unexpected("both accept");
                }
            };
            let ours = reviewed::comparable(ours, keyword);
            let theirs = reviewed::comparable(theirs, keyword);
            let only = |a: &[String], b: &[String], sign: &str| -> String {
                let missing = a.iter().filter(|line| !b.contains(line));
                missing.map(|line| format!("  {sign} {line}\n")).collect()
            };
            match ours == theirs {
                true => None,
                false => Some(format!(
                    "{}{}  (- OpenSSH, + ours; no lines: another order)",
                    only(&theirs, &ours, "-"),
                    only(&ours, &theirs, "+")
                )),
            }
        }
    }
}

fn criteria(connection: &str) -> Criteria {
    let mut criteria = Criteria::default();
    criteria.add(connection).unwrap();
    if let Some(user) = &criteria.user {
        criteria.groups = debian::groups(user);
    }
    criteria
}
