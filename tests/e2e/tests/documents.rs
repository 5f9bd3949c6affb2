//! Documents that name tests: the names are those of tests that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

fn workspace() -> Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .context("this package is in tests/ of the workspace")
}

/// The names of all functions in the Rust sources below a directory.
fn functions(directory: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            functions(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path)?;
            found.extend(
                source
                    .split("fn ")
                    .skip(1)
                    .filter_map(|rest| rest.split('(').next())
                    .map(str::to_owned),
            );
        }
    }
    Ok(())
}

/// Words in backquotes that can only be names of tests: lower case with at least three underscores.
fn tests_named_in(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|word| {
        word.matches('_').count() >= 3
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    })
}

#[test]
fn the_tables_of_the_tests_name_tests_that_exist() -> Result<()> {
    let workspace = workspace()?;
    let mut existing = BTreeSet::new();
    for directory in ["crates", "tests"] {
        functions(&workspace.join(directory), &mut existing)?;
    }
    let text = fs::read_to_string(workspace.join("tests/README.md"))?;
    let missing: Vec<_> = tests_named_in(&text)
        .filter(|name| !existing.contains(*name))
        .collect();
    assert!(tests_named_in(&text).count() > 40);
    assert_eq!(missing, Vec::<&str>::new());
    Ok(())
}
