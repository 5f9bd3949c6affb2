//! Who may link what: the table of `.cargo/deny.toml`, kept by a test that needs no cargo-deny.

use anyhow::Result;

use crate::workspace::{cargo, output};

/// A crate, and the only crates that may depend on it in what ships (tests may link what they like).
const WRAPPERS: &[(&str, &[&str])] = &[
    ("russh", &["preauth"]),
    ("transport", &["preauth"]),
    ("accounts", &["cli", "monitor"]),
    ("config", &["accounts", "cli", "monitor"]),
    ("zbus", &["monitor"]),
    ("rusqlite", &["wtmpdb"]),
    ("landlock", &["sandbox"]),
    ("seccompiler", &["sandbox"]),
];

/// The crates that link `library` directly and may not.
fn trespassers(library: &str, wrappers: &[&str]) -> Result<Vec<String>> {
    let tree = output(&mut cargo(&[
        "tree",
        "--workspace",
        "--exclude=fuzz",
        "--edges=normal",
        "--invert",
        library,
        "--depth=1",
        "--prefix=none",
        "--format={p}",
    ])?)?;
    let dependents = tree
        .lines()
        .skip(1)
        .filter_map(|line| line.split(' ').next());
    Ok(dependents
        .filter(|dependent| !dependent.is_empty() && !wrappers.contains(dependent))
        .map(str::to_owned)
        .collect())
}

#[test]
fn no_process_links_what_another_one_alone_may() -> Result<()> {
    for (library, wrappers) in WRAPPERS {
        let trespassers = trespassers(library, wrappers)?;
        assert!(
            trespassers.is_empty(),
            "{library} is linked by {trespassers:?}"
        );
    }
    Ok(())
}

#[test]
fn the_check_finds_a_trespasser() -> Result<()> {
    assert_eq!(trespassers("transport", &[])?, ["preauth"]);
    Ok(())
}

#[test]
fn the_table_is_the_one_of_cargo_deny() -> Result<()> {
    let deny = std::fs::read_to_string(crate::workspace::root()?.join(".cargo/deny.toml"))?;
    for (library, wrappers) in WRAPPERS {
        let line = format!("{{ crate = {library:?}, wrappers = {wrappers:?} }}");
        assert!(deny.contains(&line), "deny.toml lacks {line}");
    }
    Ok(())
}
