//! `/etc/ssh/sshd_config` and what it includes.
//!
//! An input is texts with a zero byte between them. The first one is the configuration; `Include N`
//! reads the one of that number, itself among them.
//!
//! What must hold: no panic; memory in proportion to what is read; every remark points into the text
//! that it is about; and what a configuration is shown as is read as the same, for any connection.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use config::sshd::{
    Configuration, Criteria, ErrorKind, Errors, IncludedFile, Includes, Location, NoFiles, Offers,
    read_text,
};

use crate::memory::Account;

/// Most bytes of all files that are included; the reader itself bounds how many files there are.
const INCLUDED_LIMIT: usize = 32 * 1024;

/// Bytes of memory for a byte of text: a line of two bytes can be a remark with its place.
const MEMORY_FACTOR: usize = 512;

/// What reading an empty text may take, and a line that is shown again.
const MEMORY_BASE: usize = 1024 * 1024;

const MAIN: &str = "main";

static OFFERS: LazyLock<Offers> = LazyLock::new(Offers::ours);

/// Runs one input.
pub fn run(data: &[u8]) {
    // As for a file: bytes that are no text are refused where they stand.
    let text = String::from_utf8_lossy(data);
    let texts = Texts {
        texts: text.split('\0').collect(),
        left: Cell::new(INCLUDED_LIMIT),
    };
    let offers = LazyLock::force(&OFFERS);
    let limit = MEMORY_BASE + MEMORY_FACTOR * (text.len() + INCLUDED_LIMIT);
    let outcome = Account::new(limit)
        .charge(|| read_text(texts.texts[0], MAIN, &[], &texts, &offers.offered()));
    match outcome {
        Ok(configuration) => accepted(&texts, &configuration),
        Err(Errors(errors)) => {
            assert!(!errors.is_empty(), "refused without a reason");
            for error in &errors {
                error.to_string();
                error.location.iter().for_each(|place| texts.check(place));
            }
        }
    }
}

fn accepted(texts: &Texts<'_>, configuration: &Configuration) {
    for warning in configuration.warnings() {
        warning.to_string();
        texts.check(&warning.location);
    }
    for error in configuration.refused() {
        error.location.iter().for_each(|place| texts.check(place));
    }
    // Without blocks all connections are shown the same, and once is enough.
    let mut known = BTreeSet::new();
    for connection in [
        "",
        "user=root,addr=::1,lport=22",
        "user=a,addr=10.0.0.1,invalid-user",
    ] {
        let mut criteria = Criteria::default();
        criteria.add(connection).unwrap();
        let effective = configuration.effective(&criteria);
        for explained in effective.explain() {
            assert!(explained.set_by.len() <= texts.lines(), "{explained:?}");
        }
        let shown = effective.config.print();
        if !known.insert(shown.clone()) {
            continue;
        }
        // A block may make together with the rest what no file may say.
        let Ok(again) = read_text(&shown, "shown", &[], &NoFiles, &OFFERS.offered()) else {
            assert!(!connection.is_empty(), "cannot be read again:\n{shown}");
            continue;
        };
        assert_eq!(again.global().config.print(), shown);
    }
}

/// The texts of an input, which are the files that there are.
struct Texts<'a> {
    texts: Vec<&'a str>,
    /// Bytes that may still be included.
    left: Cell<usize>,
}

impl Includes for Texts<'_> {
    fn resolve(&self, pattern: &str) -> Result<Vec<IncludedFile>, ErrorKind> {
        let found = pattern
            .parse()
            .ok()
            .and_then(|at: usize| self.texts.get(at));
        let left = found.map(|text| self.left.get().checked_sub(text.len()));
        match (found, left.flatten()) {
            (None, _) => Ok(Vec::new()),
            (Some(text), Some(left)) => {
                self.left.set(left);
                let name = pattern.to_owned();
                let text = (*text).to_owned();
                Ok(vec![IncludedFile { name, text }])
            }
            (Some(_), None) => Err(ErrorKind::TooLong {
                path: pattern.into(),
                limit: INCLUDED_LIMIT,
            }),
        }
    }

    fn service(&self, name: &str) -> Option<u16> {
        (name == "ssh").then_some(22)
    }
}

impl Texts<'_> {
    /// How many lines there can be, with everything that is included.
    fn lines(&self) -> usize {
        let all: usize = self.texts.iter().map(|text| text.len() + 1).sum();
        all + INCLUDED_LIMIT + self.texts.len()
    }

    /// A place is one in the text that it names.
    fn check(&self, place: &Location) {
        let text = match &*place.file {
            MAIN => self.texts[0],
            number => self.texts[number.parse::<usize>().unwrap()],
        };
        let line = text.split('\n').nth(place.line - 1).unwrap();
        let line = line.strip_suffix('\r').unwrap_or(line);
        assert_eq!(*place.text, *line, "{place}");
        let end = place.column - 1 + place.width;
        assert!(place.width > 0 && end <= line.chars().count(), "{place:?}");
    }
}
