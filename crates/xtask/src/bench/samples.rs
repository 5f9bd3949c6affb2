//! What the driver measured, and the statistics that are made of it.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Which of the two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    /// The one that is measured.
    Ours,
    /// The one that it is compared with.
    OpenSsh,
}

impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ours => "ours",
            Self::OpenSsh => "openssh",
        })
    }
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// A login with the command `true`.
    Login,
    /// A transfer of nothing: the login around [`Self::Down`] and [`Self::Up`].
    Empty,
    /// A transfer from the server to the client.
    Down,
    /// A transfer from the client to the server.
    Up,
    /// A key typed on a terminal, until it is seen.
    Echo,
    /// A session that does nothing: in place of wall seconds, MiB of memory.
    Idle,
    /// As many sessions as could be had: in place of wall seconds, their count.
    Held,
    /// A connection through a tunnel, on which the server of it speaks first.
    Connect,
    /// A transfer through a tunnel.
    Forward,
    /// A login by `sftp` that does nothing: what is around the three that follow.
    SftpEmpty,
    /// One large file to the server.
    SftpPut,
    /// One large file to the client.
    SftpGet,
    /// Many small files to the server and back.
    SftpMany,
}

impl Work {
    /// The word for it in the driver's output.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Empty => "empty",
            Self::Down => "down",
            Self::Up => "up",
            Self::Echo => "echo",
            Self::Idle => "idle",
            Self::Held => "held",
            Self::Connect => "connect",
            Self::Forward => "forward",
            Self::SftpEmpty => "sftp-empty",
            Self::SftpPut => "sftp-put",
            Self::SftpGet => "sftp-get",
            Self::SftpMany => "sftp-many",
        }
    }
}

/// What is measured of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    /// From the client's start to its end.
    Wall,
    /// CPU of the whole machine until it was at rest again.
    ServerCpu,
    /// CPU of the `ssh` process.
    ClientCpu,
}

/// One run.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) work: Work,
    pub(super) algorithm: String,
    pub(super) server: Server,
    /// All in seconds.
    pub(super) wall: f64,
    pub(super) server_cpu: f64,
    pub(super) client_cpu: f64,
}

impl Sample {
    fn parse(line: &str) -> Result<Self> {
        let fields: Vec<_> = line.split('\t').collect();
        let [work, algorithm, server, wall, server_cpu, client_cpu] = fields[..] else {
            bail!("not six fields");
        };
        Ok(Self {
            work: match work {
                "login" => Work::Login,
                "empty" => Work::Empty,
                "down" => Work::Down,
                "up" => Work::Up,
                "echo" => Work::Echo,
                "idle" => Work::Idle,
                "held" => Work::Held,
                "connect" => Work::Connect,
                "forward" => Work::Forward,
                "sftp-empty" => Work::SftpEmpty,
                "sftp-put" => Work::SftpPut,
                "sftp-get" => Work::SftpGet,
                "sftp-many" => Work::SftpMany,
                _ => bail!("unknown work"),
            },
            algorithm: algorithm.to_owned(),
            server: match server {
                "ours" => Server::Ours,
                "openssh" => Server::OpenSsh,
                _ => bail!("unknown server"),
            },
            wall: wall.parse()?,
            server_cpu: server_cpu.parse()?,
            client_cpu: client_cpu.parse()?,
        })
    }

    fn seconds(&self, quantity: Quantity) -> f64 {
        match quantity {
            Quantity::Wall => self.wall,
            Quantity::ServerCpu => self.server_cpu,
            Quantity::ClientCpu => self.client_cpu,
        }
    }
}

/// All runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples(Vec<Sample>);

impl Samples {
    /// Reads the driver's output: one run a line.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let samples = text
            .lines()
            .map(|line| Sample::parse(line).with_context(|| format!("driver said {line:?}")));
        Ok(Self(samples.collect::<Result<_>>()?))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Sample> {
        self.0.iter()
    }

    /// CPU time of all clients.
    pub(super) fn client_cpu(&self) -> Duration {
        let seconds: f64 = self.0.iter().map(|sample| sample.client_cpu).sum();
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }

    /// The algorithms of one kind of work, in the order in which they were measured.
    pub(super) fn algorithms(&self, work: Work) -> Vec<&str> {
        let mut found = Vec::new();
        for sample in self.0.iter().filter(|sample| sample.work == work) {
            if !found.contains(&sample.algorithm.as_str()) {
                found.push(sample.algorithm.as_str());
            }
        }
        found
    }

    /// One quantity of all runs of this kind, in seconds, smallest first.
    pub(super) fn sorted(
        &self,
        work: Work,
        algorithm: &str,
        server: Server,
        quantity: Quantity,
    ) -> Vec<f64> {
        let mut values: Vec<f64> = self
            .0
            .iter()
            .filter(|sample| {
                sample.work == work && sample.algorithm == algorithm && sample.server == server
            })
            .map(|sample| sample.seconds(quantity))
            .collect();
        values.sort_by(f64::total_cmp);
        values
    }
}

/// The middle of sorted values; of two middles their mean. NaN if there are none.
pub(super) fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (Some(below), Some(above)) if sorted.len().is_multiple_of(2) => (below + above) / 2.0,
        (_, Some(value)) => *value,
        _ => f64::NAN,
    }
}

/// The smallest of sorted values: what is left when nothing disturbs. NaN if there are none.
pub(super) fn smallest(sorted: &[f64]) -> f64 {
    sorted.first().copied().unwrap_or(f64::NAN)
}

/// The smallest of sorted values that nine tenths of them do not exceed. NaN if there are none.
pub(super) fn ninetieth_percentile(sorted: &[f64]) -> f64 {
    percentile(sorted, 90)
}

/// The same for 99 of 100.
pub(super) fn ninety_ninth_percentile(sorted: &[f64]) -> f64 {
    percentile(sorted, 99)
}

fn percentile(sorted: &[f64], of_hundred: usize) -> f64 {
    let rank = (sorted.len() * of_hundred).div_ceil(100);
    let value = rank.checked_sub(1).and_then(|index| sorted.get(index));
    value.copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_driver_writes() {
        let text = "login\tcurve25519-sha256\tours\t0.090000\t0.060000\t0.010000\n\
                    login\tcurve25519-sha256\topenssh\t0.190000\t0.055000\t0.011000\n";
        let samples = Samples::parse(text).unwrap();
        let algorithms = samples.algorithms(Work::Login);
        assert_eq!(algorithms, ["curve25519-sha256"]);
        let walls = samples.sorted(Work::Login, algorithms[0], Server::OpenSsh, Quantity::Wall);
        assert_eq!(walls, [0.19]);
    }

    #[test]
    fn refuses_a_line_that_is_no_run() {
        assert!(Samples::parse("login\tours\t0.1\n").is_err());
        assert!(Samples::parse("logout\tx\tours\t0.1\t0.1\t0.1\n").is_err());
        assert!(Samples::parse("login\tx\tours\tsoon\t0.1\t0.1\n").is_err());
    }

    #[test]
    fn median_is_the_middle_or_the_mean_of_both_middles() {
        assert!(median(&[]).is_nan());
        assert_eq!(median(&[3.0]).to_bits(), 3.0_f64.to_bits());
        assert_eq!(median(&[1.0, 2.0, 9.0]).to_bits(), 2.0_f64.to_bits());
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]).to_bits(), 3.0_f64.to_bits());
    }

    #[test]
    fn a_tenth_of_the_values_may_exceed_the_ninetieth_percentile() {
        let ten: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!(ninetieth_percentile(&ten).to_bits(), 9.0_f64.to_bits());
        assert_eq!(ninetieth_percentile(&[5.0]).to_bits(), 5.0_f64.to_bits());
        assert!(ninetieth_percentile(&[]).is_nan());
    }
}
