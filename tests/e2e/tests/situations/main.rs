//! Situations of authentication (the state of an account, methods, configuration), each tried with our server and, at the
//! same time, with Debian's sshd on another port of the same machine. The outcome, the methods that are offered
//! afterwards, what the user is shown and what the log says must agree, or the difference is in a list with its reason.
//!
//! - `table.txt`, read by [`table`]: the situations
//! - `accounts.sh`: their accounts, keys and files
//! - [`events`]: what was said, in a form that can be compared
//! - [`differences`]: where the servers differ, and why

mod differences;
mod events;
mod table;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::beside::PORTS;
use e2e::journal::SERVERS;
use e2e::{Peer, Server};
use support::patience::stretched;
use support::users::KNOWN_HOSTS;

use crate::differences::{DIFFERENCES, Difference};
use crate::events::Record;
use crate::table::{Configuration, Situation};

/// What stands after each configuration's lines: where a line is missing this holds.
const COMMON: &str = "LogLevel VERBOSE\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM yes\n\
                      MaxStartups 100\n";

/// What only ours knows: strangers from many addresses are no attack here.
const OURS: &str = "PerSourcePenalties no\n";

/// How many clients are at work at the same time.
const AT_ONCE: usize = 8;

/// How long the last line of a connection may be on its way to the journal.
const PATIENCE: Duration = Duration::from_secs(5);

const WHOSE: [&str; 2] = ["ours", "theirs"];

/// A situation with what both servers did.
struct Tried<'a> {
    configuration: &'a Configuration,
    situation: &'a Situation,
    records: [Record; 2],
}

#[test]
fn every_situation_ends_as_with_openssh_or_the_difference_has_a_reason() -> Result<()> {
    let server = Server::up("situations", "")?;
    server.shell(include_str!("accounts.sh"))?;
    let configurations = table::read(include_str!("table.txt"))?;
    let since = server.now()?;
    let mut tried = Vec::new();
    for configuration in &configurations {
        tried.extend(try_out(&server, configuration)?);
    }
    server.stop_theirs()?;
    let newer = server.exec(["test", "-e", "/usr/lib/openssh/sshd-session"])?;
    let left_out = match newer.code() {
        Some(0) => events::OF_NEWER_SSHD,
        _ => &[],
    };
    assert_addresses_differ(&tried);

    let began = Instant::now();
    loop {
        let entries = server.entries(&[&["--since", &since], SERVERS].concat())?;
        let logs = events::of_log(&entries, left_out);
        for tried in &mut tried {
            for (record, log) in tried.records.iter_mut().zip(&logs) {
                record.log = log.get(&tried.situation.from).cloned().unwrap_or_default();
            }
        }
        let failures = compare(&tried, server.peer())?;
        if failures.is_empty() {
            return Ok(());
        }
        assert!(began.elapsed() < stretched(PATIENCE), "{failures}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn try_out<'a>(server: &Server, configuration: &'a Configuration) -> Result<Vec<Tried<'a>>> {
    let lines = format!("{}{COMMON}{}", configuration.lines, configuration.blocks);
    server.shell(&configuration.before)?;
    let ours = match server.peer() {
        Peer::Ours => format!("{OURS}{lines}"),
        Peer::OpenSsh => lines.clone(),
    };
    server.configure_beside([&ours, &lines], "")?;
    let [our_port, their_port] = PORTS;
    let calls: Vec<[String; 2]> = configuration
        .situations
        .iter()
        .map(|situation| {
            let [ours, theirs] = WHOSE;
            [(ours, our_port), (theirs, their_port)]
                .map(|(whose, port)| situation.call(whose, port, KNOWN_HOSTS))
        })
        .collect();
    let ended = server.call_beside(&calls, AT_ONCE)?;
    server.shell(&configuration.after)?;
    Ok(configuration
        .situations
        .iter()
        .zip(ended)
        .map(|(situation, [ours, theirs])| Tried {
            configuration,
            situation,
            records: [
                Record::of_client(&ours, our_port),
                Record::of_client(&theirs, their_port),
            ],
        })
        .collect())
}

fn assert_addresses_differ(tried: &[Tried<'_>]) {
    let addresses: BTreeSet<&str> = tried.iter().map(|it| it.situation.from.as_str()).collect();
    assert_eq!(addresses.len(), tried.len(), "two have the same address");
}

/// What is wrong, as text.
fn compare(tried: &[Tried<'_>], peer: Peer) -> Result<String> {
    let mut failures = String::new();
    let mut used = BTreeSet::new();
    for tried in tried {
        let text = tried.compare(peer, &mut used)?;
        if !text.is_empty() {
            let title = &tried.configuration.title;
            writeln!(failures, "== {title}\n{}\n{text}", tried.situation.line)?;
        }
    }
    for (number, difference) in DIFFERENCES.iter().enumerate() {
        if peer == Peer::Ours && !used.contains(&number) {
            let Difference {
                place,
                line,
                reason,
            } = difference;
            writeln!(
                failures,
                "no such difference any more: {place}: {line:?}: {reason}"
            )?;
        }
    }
    Ok(failures)
}

impl Tried<'_> {
    fn compare(&self, peer: Peer, used: &mut BTreeSet<usize>) -> Result<String> {
        let mut text = String::new();
        let Self {
            situation, records, ..
        } = self;
        let skipped = match peer {
            Peer::Ours => 0,
            // The table is tried out: there is nothing of ours.
            Peer::OpenSsh => 1,
        };
        let answers = WHOSE.iter().zip(records).zip(situation.outcomes);
        for ((whose, record), expected) in answers.skip(skipped) {
            let outcome = record.outcome();
            if outcome != expected {
                writeln!(text, "    {whose}: {outcome:?}")?;
            }
            if !record
                .log
                .iter()
                .any(|line| line.contains(&situation.sentence))
            {
                writeln!(text, "    {whose}: not said")?;
            }
        }
        if peer == Peer::OpenSsh {
            return Ok(text);
        }
        let [ours, theirs] = records;
        for (name, ours, theirs) in [
            ("client", &ours.client, &theirs.client),
            ("log", &ours.log, &theirs.log),
        ] {
            let mut agreed = true;
            for ((server, whose), (lines, others)) in WHOSE
                .iter()
                .enumerate()
                .zip([(ours, theirs), (theirs, ours)])
            {
                for line in leftover(lines, others) {
                    agreed = false;
                    match self.explanation(server, line) {
                        Some(number) => {
                            used.insert(number);
                        }
                        None => writeln!(text, "    only {whose} {name}: {line}")?,
                    }
                }
            }
            if agreed && ours != theirs {
                writeln!(text, "    in another order: {ours:#?}\n{theirs:#?}")?;
            }
        }
        Ok(text)
    }

    fn explanation(&self, server: usize, line: &str) -> Option<usize> {
        let Self {
            configuration,
            situation,
            ..
        } = self;
        DIFFERENCES.iter().position(|difference| {
            difference.explains(&configuration.title, &situation.line, server, line)
        })
    }
}

/// The lines that the others do not have, or not as often.
fn leftover<'a>(lines: &'a [String], others: &[String]) -> Vec<&'a str> {
    let mut others: Vec<&String> = others.iter().collect();
    let mut left = Vec::new();
    for line in lines {
        match others.iter().position(|other| *other == line) {
            Some(at) => drop(others.swap_remove(at)),
            None => left.push(line.as_str()),
        }
    }
    left
}
