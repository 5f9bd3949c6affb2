//! Test programs that run side by side, for most of what they do is to wait.
//!
//! A program of the suites on machines boots a machine of its own, so any two of them share nothing but the processor.
//! Cargo runs them one after the other; here the longest begin first, and what a program says is shown in one piece
//! when it has ended.
//!
//! Beside others, deadlines are longer ([`patience`]); and a program that failed is run once more when nothing else is,
//! with the deadlines as they are written. That run decides. Both are shown, and the last line names those that passed
//! only then: such a test, or what it tests, depends on the load.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use support::patience;
use support::progress::{Step, line};

use crate::workspace::{self, cargo};

/// Programs that take a minute or more, the longest first. They begin before all others, or the run would end with
/// one of them alone.
const LONG: &[&str] = &[
    "compat/matrix",
    "e2e/reload",
    "e2e/interop",
    "e2e/situations",
    "compat/clients",
    "e2e/backpressure",
    "e2e/ends",
    "e2e/transfers",
    "e2e/pam",
];

/// Programs that compare times, and are run when nothing else does.
const ALONE: &[&str] = &["e2e/timing"];

/// How many programs run at once: as many as a machine with two processors keeps busy, by measurement. With more, logins
/// meet the deadlines of the tests.
const AT_ONCE: usize = 3;

/// How long one program may take. Three times what the longest needs on a slow machine.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// How much longer tests wait beside others: logins were seen to take seven times as long as alone.
const PATIENCE: &str = "4";

const POLL: Duration = Duration::from_millis(100);

/// A test program that cargo built.
struct Program {
    /// Its package and its file below `tests`, as in `e2e/login`.
    name: String,
    executable: PathBuf,
    /// Where cargo would start it: in its package.
    directory: PathBuf,
}

/// A program at work.
struct Running {
    program: Program,
    child: Child,
    output: PathBuf,
    step: Step,
}

/// What else runs with a program.
#[derive(Clone, Copy)]
enum Company {
    Others,
    Nobody,
}

/// Builds the tests of these packages and runs them: those whose names contain the filter, if there is one.
///
/// # Errors
///
/// They cannot be built; some failed with nothing beside them (all are run nevertheless).
pub(crate) fn test(
    packages: &[&str],
    variables: &[(&str, PathBuf)],
    filter: &[&str],
) -> Result<()> {
    let mut waiting = Vec::new();
    for package in packages {
        waiting.append(&mut build(package)?);
    }
    let (mut alone, mut waiting): (Vec<_>, Vec<_>) = waiting
        .into_iter()
        .partition(|program| ALONE.contains(&program.name.as_str()));
    // The next one is taken from the end.
    waiting.sort_by_key(|program| {
        let place = LONG.iter().position(|name| *name == program.name);
        std::cmp::Reverse(place.unwrap_or(LONG.len()))
    });

    let again = run(waiting, Company::Others, variables, filter)?;
    let crowded: Vec<String> = again.iter().map(|program| program.name.clone()).collect();
    alone.extend(again);
    let failed = run(alone, Company::Nobody, variables, filter)?;
    let failed: Vec<String> = failed.into_iter().map(|program| program.name).collect();
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    if !crowded.is_empty() {
        line(format_args!(
            "failed beside others, passed alone: {}",
            crowded.join(", ")
        ));
    }
    Ok(())
}

/// Runs programs, the last one first; those that failed.
fn run(
    mut waiting: Vec<Program>,
    company: Company,
    variables: &[(&str, PathBuf)],
    filter: &[&str],
) -> Result<Vec<Program>> {
    let at_once = match company {
        Company::Others => AT_ONCE,
        Company::Nobody => 1,
    };
    let mut failed = Vec::new();
    let mut running = Vec::new();
    while !(waiting.is_empty() && running.is_empty()) {
        let next = match running.len() < at_once {
            true => waiting.pop(),
            false => None,
        };
        match next {
            Some(program) => running.push(program.start(variables, filter, company)?),
            None => std::thread::sleep(POLL),
        }
        let mut still = Vec::new();
        for program in running {
            match program.ended()? {
                Ended::No(program) => still.push(program),
                Ended::Well => {}
                Ended::Badly(program) => failed.push(program),
            }
        }
        running = still;
    }
    Ok(failed)
}

/// Builds the test programs of a package.
fn build(package: &str) -> Result<Vec<Program>> {
    let step = Step::begin(format!("building {package} tests"));
    let mut command = cargo(&["test", "--no-run", "--locked", "-p", package])?;
    let output = command.stdout(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{package}: {}\n{said}",
        output.status
    );
    let programs: Vec<Program> = said
        .lines()
        .filter_map(|said| parse(package, said))
        .collect::<Result<_>>()?;
    ensure!(!programs.is_empty(), "{package} has no tests:\n{said}");
    step.done();
    Ok(programs)
}

/// Reads `  Executable tests/login.rs (target/debug/deps/login-0123456789abcdef)`; other lines are none.
fn parse(package: &str, said: &str) -> Option<Result<Program>> {
    let (what, executable) = said
        .trim()
        .strip_prefix("Executable ")?
        .strip_suffix(')')?
        .rsplit_once(" (")?;
    let source = what.strip_prefix("unittests ").unwrap_or(what);
    let name = source.trim_start_matches("tests/").trim_end_matches(".rs");
    let name = name.trim_end_matches("/main");
    Some(workspace::root().map(|root| Program {
        name: format!("{package}/{name}"),
        executable: root.join(executable),
        directory: root.join("tests").join(package),
    }))
}

impl Program {
    fn start(
        self,
        variables: &[(&str, PathBuf)],
        filter: &[&str],
        company: Company,
    ) -> Result<Running> {
        let directory = workspace::target_directory()?.join("test-output");
        let (words, patience) = match company {
            Company::Others => (self.name.clone(), Some(PATIENCE)),
            Company::Nobody => (format!("{} alone", self.name), None),
        };
        let output = directory.join(format!("{}.txt", words.replace(['/', ' '], "-")));
        fs::create_dir_all(directory)?;
        let file = File::create(&output)
            .with_context(|| format!("{} cannot be written", output.display()))?;
        let child = Command::new(&self.executable)
            .args(filter)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .envs(patience.map(|factor| (patience::VARIABLE, factor)))
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stderr(file.try_clone()?)
            .stdout(file)
            .spawn()
            .with_context(|| format!("{} cannot be run", self.executable.display()))?;
        Ok(Running {
            step: Step::begin(words),
            program: self,
            child,
            output,
        })
    }
}

/// What [`Running::ended`] found.
enum Ended {
    No(Running),
    Well,
    Badly(Program),
}

impl Running {
    fn ended(mut self) -> Result<Ended> {
        if let Some(status) = self.child.try_wait()? {
            show(&self.output)?;
            self.step.done();
            return Ok(verdict(self.program, status));
        }
        if self.step.elapsed() < LIMIT {
            return Ok(Ended::No(self));
        }
        self.child.kill()?;
        self.child.wait()?;
        show(&self.output)?;
        line(format_args!(
            "{} took more than {LIMIT:?}",
            self.program.name
        ));
        Ok(Ended::Badly(self.program))
    }
}

fn verdict(program: Program, status: ExitStatus) -> Ended {
    if status.success() {
        return Ended::Well;
    }
    line(format_args!("{}: {status}", program.name));
    Ended::Badly(program)
}

fn show(output: &Path) -> Result<()> {
    let said = fs::read(output)?;
    std::io::stderr().write_all(&said)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn cargo_says_where_test_programs_are() {
        let named = |said: &str| parse("e2e", said).map(|program| program.map(|it| it.name));
        for (said, name) in [
            (
                "  Executable tests/login.rs (target/debug/deps/login-0f)",
                "e2e/login",
            ),
            (
                "  Executable tests/situations/main.rs (/t/deps/main-0f)",
                "e2e/situations",
            ),
            (
                "  Executable unittests src/lib.rs (target/debug/deps/e2e-0f)",
                "e2e/src/lib",
            ),
        ] {
            assert_eq!(named(said).and_then(Result::ok).as_deref(), Some(name));
        }
        assert!(named("    Finished `test` profile (optimized)").is_none());
    }
}
