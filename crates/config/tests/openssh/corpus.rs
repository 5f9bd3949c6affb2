//! The corpus: `corpus.txt`.
//!
//! ```text
//! == name                    a configuration; what follows, up to the next header, is its text
//! -- user=root,lport=22      (at its end) a connection, as for -C; without any, there is one of which nothing is known
//! >> name                    (at its end) another file in the directory {DIR}
//! == each                    every line that follows is a configuration of its own
//! !! ours-only: reason       OpenSSH refuses it; in `each`, at the end of the line
//! !! theirs-only: reason     we refuse it
//! !! keyword: reason         the values of the keyword differ
//! ```

pub(crate) const FILE: &str = "tests/openssh/corpus.txt";

/// One configuration.
#[derive(Debug, Default)]
pub(crate) struct Case {
    /// Where it is in the corpus.
    pub(crate) line: usize,
    pub(crate) text: String,
    pub(crate) files: Vec<(String, String)>,
    pub(crate) connections: Vec<String>,
    pub(crate) expectation: Expectation,
}

/// What both make of it.
#[derive(Debug, Default)]
pub(crate) enum Expectation {
    /// The same.
    #[default]
    Same,
    /// We accept what OpenSSH refuses.
    OursOnly,
    /// OpenSSH accepts what we refuse.
    TheirsOnly,
    /// The values of a keyword differ.
    Differs(String),
}

impl Expectation {
    /// Reads `what: reason`.
    fn parse(text: &str) -> Self {
        let (what, reason) = text
            .split_once(": ")
            .unwrap_or_else(|| panic!("no reason: {text}"));
        assert!(reason.len() > 10, "no reason: {text}");
        match what.trim() {
            "ours-only" => Self::OursOnly,
            "theirs-only" => Self::TheirsOnly,
            keyword => Self::Differs(keyword.to_ascii_lowercase()),
        }
    }
}

/// All configurations.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut each = false;
    for (at, line) in include_str!("corpus.txt").lines().enumerate() {
        let number = at + 1;
        if let Some(name) = line.strip_prefix("== ") {
            each = name.starts_with("each");
            if !each {
                cases.push(Case {
                    line: number,
                    ..Case::default()
                });
            }
            continue;
        }
        if each {
            if line.is_empty() {
                continue;
            }
            let (text, expectation) = match line.split_once(" !! ") {
                None => (line, Expectation::Same),
                Some((text, marked)) => (text, Expectation::parse(marked)),
            };
            let text = text.replace("\\n", "\n");
            cases.push(Case {
                line: number,
                text,
                expectation,
                ..Case::default()
            });
            continue;
        }
        let case = cases.last_mut().expect("a header first");
        if let Some(connection) = line.strip_prefix("-- ") {
            case.connections.push(connection.to_owned());
        } else if let Some(name) = line.strip_prefix(">> ") {
            case.files.push((name.to_owned(), String::new()));
        } else if let Some(marked) = line.strip_prefix("!! ") {
            case.expectation = Expectation::parse(marked);
        } else {
            let text = case
                .files
                .last_mut()
                .map_or(&mut case.text, |(_, text)| text);
            text.push_str(line);
            text.push('\n');
        }
    }
    for case in &mut cases {
        if case.connections.is_empty() {
            case.connections.push(String::new());
        }
    }
    cases
}
