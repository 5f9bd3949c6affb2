//! Where things are: the source tree, the build's output, and cargo itself.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, ensure};

/// The source tree's top.
pub(crate) fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .context("xtask is not in crates/xtask")
}

/// Where cargo puts what it builds: `target` unless CARGO_TARGET_DIR says otherwise.
pub(crate) fn target_directory() -> Result<PathBuf> {
    let root = root()?;
    Ok(env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |directory| root.join(directory)))
}

/// Cargo with these arguments, in the source tree, reading nothing from standard input.
pub(crate) fn cargo(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(arguments)
        .current_dir(root()?)
        .env("CARGO_TARGET_DIR", target_directory()?)
        .stdin(Stdio::null());
    Ok(command)
}

/// Runs a command whose output the developer sees. A failure names it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status: ExitStatus = command
        .status()
        .with_context(|| format!("{} cannot be run", command.get_program().display()))?;
    ensure!(status.success(), "{} failed: {status}", shown(command));
    Ok(())
}

/// Runs a command and returns what it says on standard output. A failure shows what it said on standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("{} cannot be run", command.get_program().display()))?;
    ensure!(
        output.status.success(),
        "{} failed: {}\n{}",
        shown(command),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
