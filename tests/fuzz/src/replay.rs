//! Inputs from files, without libFuzzer: a kept corpus, a finding under a debugger.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::Target;

/// Runs the files that the command line names.
pub fn arguments(target: Target) -> Result<()> {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    ensure!(!files.is_empty(), "usage: TARGET FILE...");
    files.iter().try_for_each(|file| run(target, file))
}

/// Runs all files of a folder; how many there were.
pub fn folder(target: Target, folder: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        run(target, &entry?.path())?;
        count += 1;
    }
    Ok(count)
}

fn run(target: Target, file: &Path) -> Result<()> {
    let input = fs::read(file).with_context(|| file.display().to_string())?;
    target(&input);
    Ok(())
}
