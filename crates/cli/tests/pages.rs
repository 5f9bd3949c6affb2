//! The manual pages say what the programs do: every flag has an entry and every entry is one, and the formatter has
//! nothing to complain about.

#![expect(clippy::unwrap_used, reason = "a test")]

use cli::ctl::command_line::{self as ctl, EXIT_CODES, SUBCOMMANDS};
use cli::flags::{FLAGS, USAGE};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn each_flag_has_an_entry_and_each_entry_is_a_flag() {
    let page = read("sshd-privsep.8");
    let mut entries: Vec<String> = items(&page, "OPTIONS")
        .filter_map(|entry| entry.strip_prefix("Fl "))
        .map(|entry| entry.replace(" Ar ", " "))
        .collect();
    let mut flags: Vec<String> = FLAGS
        .iter()
        .map(|flag| match flag.argument {
            None => flag.letter.to_string(),
            Some(argument) => format!("{} {argument}", flag.letter),
        })
        .collect();
    entries.sort();
    flags.sort();
    assert_eq!(entries, flags);
}

#[test]
fn the_synopsis_is_the_usage_line() {
    let page = read("sshd-privsep.8");
    let flags: Vec<String> = section(&page, "SYNOPSIS")
        .lines()
        .filter_map(|line| line.strip_prefix(".Op Fl "))
        .map(|flag| format!("[-{}]", flag.replace(" Ar ", " ")))
        .collect();
    let usage: Vec<&str> = USAGE.split_whitespace().collect();
    let synopsis = format!("usage: sshd-privsep {}", flags.join(" "));
    assert_eq!(synopsis, usage.join(" "));
}

#[test]
fn each_subcommand_has_an_entry_and_each_entry_is_a_subcommand() {
    let page = read("sshd-privsepctl.1");
    let mut entries = Vec::new();
    let mut command = "";
    for line in section(&page, "COMMANDS").lines() {
        if let Some(entry) = line.strip_prefix(".It Cm ") {
            command = entry.split(' ').next().unwrap();
            entries.push(entry.replace(" Ar ", " "));
        } else if let Some(flag) = line.strip_prefix(".It ") {
            entries.push(format!("{command} {}", form(flag)));
        }
    }
    let expected = SUBCOMMANDS.iter().flat_map(|command| {
        let own = format!("{} {}", command.name, command.arguments);
        let flags = command.flags.iter();
        let flags = flags.map(|flag| format!("{} {}", command.name, flag.form()));
        std::iter::once(own.trim_end().to_owned()).chain(flags)
    });
    assert_eq!(entries, expected.collect::<Vec<_>>());
    let flags: Vec<String> = ctl::FLAGS.iter().map(ctl::Flag::form).collect();
    assert_eq!(items(&page, "OPTIONS").map(form).collect::<Vec<_>>(), flags);
}

#[test]
fn each_exit_code_has_an_entry() {
    let page = read("sshd-privsepctl.1");
    let codes = EXIT_CODES.iter().map(|(code, _)| code.to_string());
    assert!(items(&page, "EXIT STATUS").eq(codes));
}

#[test]
fn our_pages_that_others_refer_to_exist() {
    let units = directory().join("../../units");
    let mut count = 0;
    for file in files(&directory()).iter().chain(&files(&units)) {
        for page in references(&fs::read_to_string(file).unwrap()) {
            assert!(
                directory().join(&page).exists(),
                "{}: {page}",
                file.display()
            );
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

/// The files of our pages that a text names: by `.Xr NAME 8` of mdoc, `.BR NAME (8)` of man, `man:NAME(8)` of systemd.
fn references(text: &str) -> Vec<String> {
    let separates = |c: char| c.is_whitespace() || "():=".contains(c);
    let words: Vec<&str> = text
        .split(separates)
        .filter(|word| !word.is_empty())
        .collect();
    let ours = |name: &str| name.contains("sshd-privsep") || name.contains("sshd_privsep");
    words
        .iter()
        .zip(words.iter().skip(1))
        .filter(|(name, section)| ours(name) && matches!(section.parse(), Ok(1..=9)))
        .map(|(name, section)| format!("{name}.{section}"))
        .collect()
}

#[test]
fn mandoc_has_nothing_to_complain_about() {
    let pages = files(&directory());
    assert!(pages.len() > 5, "{pages:?}");
    let output = Command::new("mandoc")
        .args(["-Tlint", "-W", "warning"])
        .args(pages)
        .output()
        .expect("mandoc is in Debian's package of that name");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, "");
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_file()).collect()
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/man")
}

fn read(page: &str) -> String {
    fs::read_to_string(directory().join(page)).unwrap()
}

/// The entries of a section that has one list.
fn items<'a>(page: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    section(page, name)
        .lines()
        .filter_map(|line| line.strip_prefix(".It "))
}

/// `-f, --file=FILE` out of what stands for it in a page.
fn form(entry: &str) -> String {
    entry
        .replace("Fl ", "-")
        .replace(" , ", ", ")
        .replace(" Ns = Ns Ar ", "=")
}

/// The text of a section.
fn section<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, text) = page.split_once(&format!("\n.Sh {name}\n")).unwrap();
    text.split("\n.Sh ").next().unwrap()
}
