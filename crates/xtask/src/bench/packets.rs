//! `cargo xtask bench --packets`: the packet layer and the key exchange alone, without a network.
//!
//! Criterion measures CPU time (`crates/transport/benches/speed`), of which the best sample counts; callgrind counts the
//! instructions of the same work, which is what can be compared on a host that never rests. A missed goal is shown and
//! is no failure.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use support::host;
use support::progress::Step;

use crate::workspace::{cargo, output, target_directory};

/// Payload bytes that a packet of a transfer has, and one of somebody who types.
const LONG: &str = "32768";
const LONG_BYTES: f64 = 32768.0;
const SHORT: &str = "64";

/// The least rate of a packet of 32 KiB on one core, sealed or opened, in GB/s.
const RATE_GOALS: &[(&str, f64)] = &[
    ("chacha20-poly1305@openssh.com", 1.8),
    ("aes128-gcm@openssh.com", 5.0),
    ("aes256-gcm@openssh.com", 4.0),
    ("aes256-ctr umac-128-etm@openssh.com", 1.5),
    ("aes256-ctr hmac-sha2-256-etm@openssh.com", 1.2),
];

/// The most that a key exchange may cost the worker, in milliseconds, without the host key's signature.
const EXCHANGE_GOALS: &[(&str, f64)] =
    &[("mlkem768x25519-sha256", 1.0), ("curve25519-sha256", 0.3)];

const NOTE: &str = "\
CPU time of one core, best sample. Bare: aws-lc's AES-GCM, ChaCha20-Poly1305 (RFC 8439), or AES-CTR and HMAC on the same
bytes; beside UMAC AES-CTR alone. Instructions: callgrind, which has no AVX-512, VAES and SHA instructions to offer.
";

/// Nanoseconds or instructions by kind of work ("seal 32768", "kex") and algorithm.
type Readings = BTreeMap<(String, String), f64>;

/// Measures, and prints the table.
pub(super) fn run() -> Result<()> {
    host::ensure_packages(&["valgrind"])?;
    let directory = target_directory()?.join("packets");
    let report = Report {
        nanoseconds: measure(&directory.join("criterion"))?,
        instructions: count(&directory.join("callgrind"))?,
    };
    print!("{report}");
    Ok(())
}

fn measure(home: &Path) -> Result<Readings> {
    let step = Step::begin("measuring packets and key exchanges");
    empty_directory(home)?;
    let arguments = ["bench", "--locked", "-p", "transport", "--bench", "speed"];
    output(cargo(&arguments)?.env("CRITERION_HOME", home))?;
    let mut readings = Readings::new();
    for group in entries(home)? {
        for algorithm in entries(&home.join(&group))? {
            let file = home.join(&group).join(&algorithm).join("new/sample.json");
            if file.exists() {
                let best = best_sample(&fs::read_to_string(&file)?)
                    .with_context(|| format!("{} has no samples", file.display()))?;
                readings.insert((group.clone(), algorithm), best);
            }
        }
    }
    step.done();
    Ok(readings)
}

fn count(directory: &Path) -> Result<Readings> {
    let step = Step::begin("counting instructions");
    empty_directory(directory)?;
    let dump = directory.join("dump");
    let runner = format!(
        "target.'cfg(all())'.runner=['valgrind', '--tool=callgrind', '--quiet', \
         '--toggle-collect=*under_the_meter*', '--dump-before=*next_reading*', '--callgrind-out-file={}']",
        dump.display()
    );
    let mut command = cargo(&["--config", &runner, "bench", "--locked"])?;
    command.args([
        "-p",
        "transport",
        "--bench",
        "speed",
        "--",
        "--instructions",
    ]);
    let said = output(&mut command)?;
    let mut readings = Readings::new();
    for (index, line) in said.lines().enumerate() {
        let (work, times) = line.split_once('\t').context("bench says no count")?;
        let Some((group, algorithm)) = work.split_once('/') else {
            continue;
        };
        let file = dump.with_added_extension((index + 1).to_string());
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let total = text
            .lines()
            .find_map(|line| line.strip_prefix("summary: "))
            .with_context(|| format!("{} has no summary", file.display()))?;
        let each = total.trim().parse::<f64>()? / times.parse::<f64>()?;
        readings.insert((group.to_owned(), algorithm.to_owned()), each);
    }
    step.done();
    Ok(readings)
}

fn empty_directory(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())
}

fn entries(directory: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// Nanoseconds of one iteration in the best of criterion's samples.
fn best_sample(json: &str) -> Option<f64> {
    let numbers = |name: &str| -> Option<Vec<f64>> {
        let (_, rest) = json.split_once(&format!("\"{name}\":["))?;
        let (list, _) = rest.split_once(']')?;
        list.split(',')
            .map(|number| number.trim().parse().ok())
            .collect()
    };
    let samples = numbers("times")?.into_iter().zip(numbers("iters")?);
    samples.map(|(time, count)| time / count).reduce(f64::min)
}

struct Report {
    nanoseconds: Readings,
    instructions: Readings,
}

impl Report {
    /// The algorithms of a kind of work, by name.
    fn algorithms<'r>(&'r self, group: &str) -> impl Iterator<Item = &'r str> {
        self.nanoseconds
            .keys()
            .filter(move |(of, _)| of == group)
            .map(|(_, algorithm)| algorithm.as_str())
    }
}

/// A reading, in a column of this width; a dash where there is none.
fn cell(readings: &Readings, group: &str, algorithm: &str) -> String {
    let reading = readings.get(&(group.to_owned(), algorithm.to_owned()));
    reading.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"))
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "NOT MET" }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seal, open, bare) = ("seal 32768", "open 32768", "bare 32768");
        writeln!(
            formatter,
            "{:<41} {:>16} {:>16} {:>6}  {:<14} {:>13} {:>15} {:>13}",
            "",
            "seal GB/s (bare)",
            "open GB/s (bare)",
            "bare",
            "goal",
            "64 B ns",
            "instructions",
            "64 B"
        )?;
        for algorithm in self.algorithms(seal) {
            let rate = |group: &str| {
                let key = (group.to_owned(), algorithm.to_owned());
                self.nanoseconds
                    .get(&key)
                    .map_or(f64::NAN, |time| LONG_BYTES / time)
            };
            let mut goal = String::new();
            if let Some((_, least)) = RATE_GOALS.iter().find(|(name, _)| *name == algorithm) {
                let met = rate(seal).min(rate(open)) >= *least;
                write!(goal, ">= {least} {}", verdict(met))?;
            }
            let both = |readings: &Readings, payload: &str| {
                let cells = ["seal", "open"]
                    .map(|work| cell(readings, &format!("{work} {payload}"), algorithm));
                cells.join("/")
            };
            writeln!(
                formatter,
                "{algorithm:<41} {:>9.2} ({:.2}) {:>9.2} ({:.2}) {:>6.2}  {goal:<14} {:>13} {:>15} {:>13}",
                rate(seal),
                rate(seal) / rate(bare),
                rate(open),
                rate(open) / rate(bare),
                rate(bare),
                both(&self.nanoseconds, SHORT),
                both(&self.instructions, LONG),
                both(&self.instructions, SHORT),
            )?;
        }
        writeln!(
            formatter,
            "\n{:<41} {:>9}  {:<14} {:>13}",
            "", "ms", "goal", "instructions"
        )?;
        for algorithm in self.algorithms("kex") {
            let key = ("kex".to_owned(), algorithm.to_owned());
            let milliseconds = self
                .nanoseconds
                .get(&key)
                .map_or(f64::NAN, |time| time / 1e6);
            let mut goal = String::new();
            if let Some((_, most)) = EXCHANGE_GOALS.iter().find(|(name, _)| *name == algorithm) {
                write!(goal, "<= {most} {}", verdict(milliseconds <= *most))?;
            }
            let instructions = cell(&self.instructions, "kex", algorithm);
            writeln!(
                formatter,
                "{algorithm:<41} {milliseconds:>9.3}  {goal:<14} {instructions:>13}"
            )?;
        }
        write!(formatter, "\n{NOTE}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_sample_counts() {
        let json = r#"{"sampling_mode":"Flat","iters":[2.0,4.0,1.0],"times":[30.0,40.0,11.0]}"#;
        assert_eq!(best_sample(json), Some(10.0));
        assert_eq!(best_sample("{}"), None);
    }

    fn report(seal: f64, open: f64, exchange: f64) -> String {
        let (cipher, kex) = ("aes256-gcm@openssh.com", "curve25519-sha256");
        let readings = [
            ("seal 32768", cipher, LONG_BYTES / seal),
            ("open 32768", cipher, LONG_BYTES / open),
            ("bare 32768", cipher, LONG_BYTES / 10.0),
            ("kex", kex, exchange),
        ];
        let nanoseconds = readings
            .map(|(group, algorithm, value)| ((group.to_owned(), algorithm.to_owned()), value))
            .into();
        Report {
            nanoseconds,
            instructions: Readings::new(),
        }
        .to_string()
    }

    #[test]
    fn a_goal_is_met_by_both_directions_or_not_at_all() {
        assert!(report(5.0, 4.0, 1.0).contains("5.00 (0.50)      4.00 (0.40)  10.00  >= 4 met"));
        assert!(report(5.0, 3.9, 1.0).contains(">= 4 NOT MET"));
        assert!(report(3.9, 5.0, 1.0).contains(">= 4 NOT MET"));
    }

    #[test]
    fn a_key_exchange_must_not_take_longer_than_its_goal() {
        assert!(report(5.0, 5.0, 0.3e6).contains("0.300  <= 0.3 met"));
        assert!(report(5.0, 5.0, 0.31e6).contains("0.310  <= 0.3 NOT MET"));
    }
}
