//! sshd-privsep_config(5) has an entry for each keyword and for nothing else, and what can be generated of an entry is:
//! its default, whether it can stand in Match blocks, and what this server does with it. After a change of the table:
//! `KEYWORDS=write cargo test -p config`.

#![expect(clippy::unwrap_used, reason = "a test")]

use config::sshd::{
    KeywordSupport, NoFiles, OWN_KEYWORDS, Offers, OwnKeyword, Support, read_text, support,
};
use std::collections::BTreeMap;
use std::fmt::Write;

const PAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../packaging/man/sshd-privsep_config.5"
);

/// From here to the end of an entry it is generated.
const MARK: &str = ".\\\" From the table of keywords:";

/// The sections whose entries are keywords.
const SECTIONS: [&str; 3] = ["KEYWORDS", "OUR OWN KEYWORDS", "OLD KEYWORDS"];

#[test]
fn each_keyword_has_an_entry_in_its_section_and_each_entry_is_a_keyword() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    for section in SECTIONS {
        let mut expected: Vec<&str> = support()
            .iter()
            .filter(|row| section_of(row) == section)
            .map(|row| row.name)
            .collect();
        expected.sort_by_key(|name| name.to_ascii_lowercase());
        let entries = page
            .split_once(&format!("\n.Sh {section}\n"))
            .and_then(|(_, after)| after.split("\n.Sh ").next())
            .unwrap();
        let names: Vec<&str> = entries.lines().filter_map(entry).collect();
        assert_eq!(names, expected, "{section}");
    }
}

#[test]
fn the_page_says_of_each_keyword_what_the_table_says() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let current = regenerated(&page);
    if std::env::var_os("KEYWORDS").is_some_and(|wish| wish == "write") {
        std::fs::write(PAGE, &current).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap();
    let stale = written.lines().zip(current.lines()).find(|(a, b)| a != b);
    assert_eq!(stale, None, "see the head of {}", file!());
    assert_eq!(written.len(), current.len());
}

/// An entry that is nothing but generated would be one that nobody has written.
#[test]
fn each_keyword_of_openssh_is_described() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (_, page) = page.split_once("\n.Sh KEYWORDS\n").unwrap();
    let (page, _) = page.split_once("\n.Sh ").unwrap();
    for (name, text) in page
        .split("\n.It Cm ")
        .skip(1)
        .filter_map(|text| text.split_once('\n'))
    {
        let (described, _) = text.split_once(MARK).unwrap();
        assert!(described.len() > 10, "{name}");
    }
}

fn entry(line: &str) -> Option<&str> {
    line.strip_prefix(".It Cm ")
}

fn section_of(row: &KeywordSupport) -> &'static str {
    let [openssh, ours, old] = SECTIONS;
    match row.support {
        Support::Obsolete | Support::OldName => old,
        _ if own(row.name).is_some() => ours,
        _ => openssh,
    }
}

fn own(name: &str) -> Option<&'static OwnKeyword> {
    OWN_KEYWORDS.iter().find(|own| own.name == name)
}

/// The page with every generated part as it is now.
fn regenerated(page: &str) -> String {
    let parts = parts();
    let mut text = String::new();
    let mut open: Option<&String> = None;
    let mut stale = false;
    for line in page.lines() {
        let begins = entry(line).and_then(|name| parts.get(name));
        if begins.is_some() || line == ".El" {
            stale = false;
            text.push_str(open.take().map_or("", String::as_str));
        }
        open = begins.or(open);
        stale |= line == MARK;
        if !stale {
            writeln!(text, "{line}").unwrap();
        }
    }
    text
}

/// The generated part of each entry.
fn parts() -> BTreeMap<&'static str, String> {
    let offers = Offers::ours();
    let nothing = read_text("", "", &[], &NoFiles, &offers.offered()).unwrap();
    let defaults: BTreeMap<&str, Vec<String>> = nothing
        .global()
        .explain()
        .into_iter()
        .map(|value| (value.keyword, value.values))
        .collect();
    let part = |row: &KeywordSupport| {
        let mut text = format!("{MARK}\n");
        if let Some(own) = own(row.name) {
            writeln!(text, "{}", sentences(own.meaning)).unwrap();
        }
        if let Some(values) = defaults.get(row.name) {
            writeln!(text, ".Pp\nDefault:").unwrap();
            let none = ["none".to_owned()];
            let values = if values.is_empty() { &none } else { &**values };
            for (at, value) in values.iter().enumerate() {
                let end = if at + 1 < values.len() { "," } else { "." };
                writeln!(text, ".Cm {} {end}", words(value)).unwrap();
            }
        }
        if !row.in_match && section_of(row) != "OLD KEYWORDS" {
            text.push_str("Not in blocks.\n");
        }
        let mut state = |state: &str, why: &str| {
            let blank = if defaults.contains_key(row.name) || own(row.name).is_some() {
                ".Pp\n"
            } else {
                ""
            };
            writeln!(text, "{blank}.Em {state} :\n{}", sentences(why)).unwrap();
        };
        match row.support {
            Support::Active if row.why.is_empty() => {}
            Support::Active => state("Partly", &row.why),
            Support::ActiveThrough => state("For the service", &row.why),
            Support::NoEffect => state("Without effect here", &row.why),
            Support::Planned => state("Planned", &row.why),
            Support::Refused => state("Planned, refused until then", &row.why),
            Support::Obsolete => text.push_str("Accepted, and ignored.\n"),
            Support::OldName => writeln!(text, "Now called\n.Cm {} .", row.why).unwrap(),
        }
        (row.name, text)
    };
    support().iter().map(part).collect()
}

/// A value as an argument of a macro. Lists can be broken at their commas.
fn words(value: &str) -> String {
    let escaped = value.replace('\\', "\\e").replace('"', "\\(dq");
    let list = escaped.replace(',', ",\\:");
    match list.contains(' ') || list.starts_with('.') {
        true => format!("\"{list}\""),
        false => list,
    }
}

/// Text with each sentence on a line of its own, so that the formatter knows the ends.
fn sentences(text: &str) -> String {
    let text = text.replace('"', "\\(dq").replace(". ", ".\n");
    match text.ends_with('.') {
        true => text,
        false => format!("{text}."),
    }
}
