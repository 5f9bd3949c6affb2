//! `cargo xtask fuzz`: the targets of `tests/fuzz` under libFuzzer, all at once.
//!
//! ```text
//!  tests/fuzz/corpus/TARGET ──┐ read
//!  target/fuzz/TARGET/corpus ─┴─▶ TARGET ─▶ target/fuzz/TARGET/corpus      what it found worth keeping
//!                                        ├▶ target/fuzz/TARGET/log
//!                                        └▶ target/fuzz/findings/TARGET-…  inputs of findings
//! ```
//!
//! The compiler's own coverage instrumentation (SanitizerCoverage) and libFuzzer as a crate are all it takes: both work
//! with the stable toolchain. No sanitizer of memory is linked: code that forbids `unsafe` has nothing for one to find,
//! and without it the same time runs several times the inputs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use support::host;
use support::progress::{Step, line};

use crate::workspace::{cargo, output, root, run as run_command, target_directory};

const HELP: &str = "\
cargo xtask fuzz [--target NAME] [--seconds N] [--minimise]

  --target NAME  raw_bytes, packets, connection, sshd_config, texts or sftp_requests; all of them without it
  --seconds N    how long each one runs, all at the same time; 60 without it
  --minimise     no run: keeps in tests/fuzz/corpus the smallest set of inputs that covers what all that were found do
";

const TARGETS: &[&str] = &[
    "raw_bytes",
    "packets",
    "connection",
    "sshd_config",
    "texts",
    "sftp_requests",
];

/// What libFuzzer's C++ is built with.
pub(crate) const PACKAGES: &[&str] = &["g++"];

/// Counters and comparisons for libFuzzer: what `cargo fuzz` passes, less the sanitizer, so that stable rustc takes it.
const INSTRUMENTATION: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Longest input that libFuzzer makes. A session of a hundred messages fits.
const LONGEST_INPUT: &str = "-max_len=8192";

/// An input that takes this many seconds by the clock on the wall is a finding; the usual one takes a millisecond, the
/// slowest key exchange a third of a second, and much more on a machine that is busy with other things.
const SLOWEST_INPUT: &str = "-timeout=60";

/// The kept inputs of all targets together, in bytes: they are in every clone.
const KEPT_LIMIT: u64 = 1024 * 1024;

/// Runs `fuzz` with the words after it.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let mut targets = TARGETS.to_vec();
    let mut seconds = 60;
    let mut minimise = false;
    let mut rest = words;
    loop {
        rest = match rest {
            [] => break,
            ["--target", name, rest @ ..] if TARGETS.contains(name) => {
                targets = vec![*name];
                rest
            }
            ["--seconds", count, rest @ ..] => {
                seconds = count.parse().context("--seconds")?;
                rest
            }
            ["--minimise", rest @ ..] => {
                minimise = true;
                rest
            }
            _ => bail!("{HELP}"),
        };
    }
    host::ensure_packages(PACKAGES)?;
    let programs = build()?;
    match minimise {
        true => keep_smallest(&programs, &targets),
        false => search(&programs, &targets, Duration::from_secs(seconds)),
    }
}

/// Builds all targets; the folder with the programs.
fn build() -> Result<PathBuf> {
    let step = Step::begin("building the fuzz targets");
    let host = host_triple()?;
    // With a target named, cargo leaves build scripts and macros without the instrumentation.
    run_command(
        cargo(&[
            "build",
            "--quiet",
            "--locked",
            "--package=fuzz",
            "--bins",
            "--features=libfuzzer",
            "--profile=fuzz",
            "--target",
            &host,
        ])?
        .env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENTATION.join("\x1f")),
    )?;
    step.done();
    Ok(target_directory()?.join(host).join("fuzz"))
}

fn host_triple() -> Result<String> {
    let about = output(Command::new("rustc").arg("-vV"))?;
    about
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc does not tell its host")
}

fn search(programs: &Path, targets: &[&str], time: Duration) -> Result<()> {
    let findings = findings()?;
    let mut step = Step::begin(format!("fuzzing {}", targets.join(", ")));
    let mut searches = targets
        .iter()
        .map(|target| Search::start(target, programs, &findings, time))
        .collect::<Result<Vec<_>>>()?;
    while !searches.iter_mut().all(Search::is_over) {
        std::thread::sleep(Duration::from_millis(200));
        step.pulse("searching");
    }
    step.done();
    let failed = searches
        .into_iter()
        .map(Search::finish)
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
    ensure!(
        failed.is_empty(),
        "findings of {}: inputs in {}, to be run with `cargo run -p fuzz --bin TARGET FILE`",
        failed.join(", "),
        findings.display()
    );
    Ok(())
}

/// One target at work.
struct Search {
    target: String,
    log: PathBuf,
    child: Child,
}

impl Search {
    fn start(target: &str, programs: &Path, findings: &Path, time: Duration) -> Result<Self> {
        let found = found_corpus(target)?;
        let log = found.with_file_name("log");
        let output = File::create(&log).with_context(|| log.display().to_string())?;
        let child = Command::new(programs.join(target))
            .arg(format!("-max_total_time={}", time.as_secs()))
            .arg(format!("-artifact_prefix={}/{target}-", findings.display()))
            .args([LONGEST_INPUT, SLOWEST_INPUT])
            // Longer inputs soon: a session is long.
            .args(["-len_control=10", "-print_final_stats=1"])
            .arg(found)
            .arg(kept_corpus(target)?)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        Ok(Self {
            target: target.to_owned(),
            log,
            child,
        })
    }

    fn is_over(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Says what came of it; the target's name if there is a finding.
    fn finish(mut self) -> Result<Option<String>> {
        let status = self.child.wait()?;
        let log = String::from_utf8_lossy(&fs::read(&self.log)?).into_owned();
        let statistic = |name: &str| {
            log.lines()
                .filter_map(|line| line.split_once(name))
                .next_back()
                .and_then(|(_, rest)| rest.split_whitespace().next())
                .unwrap_or("?")
        };
        line(format_args!(
            "{}: {} inputs, {} per second, coverage {} edges, {} features",
            self.target,
            statistic("stat::number_of_executed_units:"),
            statistic("stat::average_exec_per_sec:"),
            statistic(" cov: "),
            statistic(" ft: "),
        ));
        if status.success() {
            return Ok(None);
        }
        let finding = |text: &&str| text.contains("panicked at") || text.contains("ERROR: ");
        for text in log.lines().skip_while(|text| !finding(text)).take(30) {
            line(format_args!("{}: {text}", self.target));
        }
        Ok(Some(self.target))
    }
}

/// Replaces the kept inputs that libFuzzer made. Those with a name were put there by hand, and stay.
fn keep_smallest(programs: &Path, targets: &[&str]) -> Result<()> {
    let findings = findings()?;
    for target in targets {
        let step = Step::begin(format!("minimising the corpus of {target}"));
        let kept = kept_corpus(target)?;
        let found = found_corpus(target)?;
        let smallest = found.with_file_name("smallest");
        fs::remove_dir_all(&smallest).ok();
        fs::create_dir_all(&smallest)?;
        for input in files(&kept)? {
            if is_made(&input) {
                fs::copy(&input, found.join(input.file_name().unwrap_or_default()))?;
                fs::remove_file(&input)?;
            }
        }
        // The first folder gets what adds to its own inputs.
        copy_files(&kept, &smallest)?;
        run_command(
            Command::new(programs.join(target))
                // Edges alone: with how often each is taken, it would be ten times the files.
                .args(["-merge=1", "-set_cover_merge=1", "-use_counters=0"])
                .arg(LONGEST_INPUT)
                .arg(format!("-artifact_prefix={}/{target}-", findings.display()))
                .args([&smallest, &found])
                .stderr(Stdio::null()),
        )?;
        copy_files(&smallest, &kept)?;
        step.done();
    }
    let mut size = 0;
    for target in TARGETS {
        for input in files(&kept_corpus(target)?)? {
            size += input.metadata()?.len();
        }
    }
    ensure!(size <= KEPT_LIMIT, "kept corpora of {size} bytes");
    Ok(())
}

/// libFuzzer calls an input by its SHA-1.
fn is_made(input: &Path) -> bool {
    input.file_name().is_some_and(|name| name.len() == 40)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect()
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for file in files(from)? {
        fs::copy(&file, to.join(file.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

/// The inputs in the source tree.
fn kept_corpus(target: &str) -> Result<PathBuf> {
    Ok(root()?.join("tests/fuzz/corpus").join(target))
}

/// The inputs of this machine; the folder exists.
fn found_corpus(target: &str) -> Result<PathBuf> {
    let folder = target_directory()?.join("fuzz").join(target).join("corpus");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Where inputs of findings are left; the folder exists.
fn findings() -> Result<PathBuf> {
    let folder = target_directory()?.join("fuzz/findings");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
