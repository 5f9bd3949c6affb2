//! The table: both servers' numbers, their ratio, and the goal for it.

use std::fmt::{self, Write as _};

use super::samples::{
    Quantity, Samples, Server, Work, median, ninetieth_percentile, ninety_ninth_percentile,
    smallest,
};

/// What a ratio of ours to OpenSSH's should be.
#[derive(Debug, Clone, Copy)]
enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(limit) => ratio <= limit,
            Self::AtLeast(limit) => ratio >= limit,
        }
    }
}

/// Two delayed ACKs that every login to OpenSSH waits for, and ours does not, are worth this much.
const LOGIN_WALL: Goal = Goal::AtMost(0.6);
/// Ours starts two units for each login, for the isolation that they give: this is what that may cost.
const LOGIN_CPU: Goal = Goal::AtMost(1.5);
/// For the cipher that hardware does best, where a server's own overhead shows most.
const BULK_RATE: Goal = Goal::AtLeast(1.2);
const BULK_GOAL_CIPHER: &str = "aes256-gcm@openssh.com";
/// One large file by `sftp`, each way.
const SFTP_RATE: Goal = Goal::AtLeast(1.5);
/// Small files, which are round trips.
const SFTP_FILES: Goal = Goal::AtLeast(1.2);

/// OpenSSH leaves Nagle's algorithm on where no session is: who waits for what a server says first waits for a delayed
/// ACK, 40 ms.
const CONNECTIONS: Goal = Goal::AtLeast(20.0);
/// One transfer through a tunnel.
const FORWARD_RATE: Goal = Goal::AtLeast(1.3);
/// Sessions at the same time.
const HELD: Goal = Goal::AtLeast(1.0);

/// How many small files the driver moves, in two directions.
const SMALL_FILES: f64 = 2000.0;

/// A user feels a terminal's delay; more data at once must not be bought with it.
const ECHO: Goal = Goal::AtMost(1.0);
/// Two processes for each session instead of two of one program that share their memory.
const IDLE: Goal = Goal::AtMost(1.5);

/// One line of the table.
#[derive(Debug)]
struct Row {
    work: Work,
    algorithm: String,
    measure: &'static str,
    ours: f64,
    openssh: f64,
    goal: Option<Goal>,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.ours / self.openssh
    }
}

/// The whole comparison. Displayed as a table.
#[derive(Debug)]
pub(super) struct Report {
    titles: [&'static str; 2],
    about: String,
    samples: Samples,
    rows: Vec<Row>,
}

impl Report {
    /// Compares. `about` says on what the measurement was made.
    pub(super) fn new(
        titles: [&'static str; 2],
        about: String,
        transfer_bytes: u64,
        samples: Samples,
    ) -> Self {
        let mut rows = Vec::new();
        for key_exchange in samples.algorithms(Work::Login) {
            login_rows(&mut rows, &samples, key_exchange);
        }
        for terminal in samples.algorithms(Work::Echo) {
            terminal_rows(&mut rows, &samples, terminal);
        }
        for terminal in samples.algorithms(Work::Held) {
            rows.push(held_row(&samples, terminal));
        }
        for way in samples.algorithms(Work::Connect) {
            rows.push(connections_row(&samples, way));
        }
        for work in [
            Work::Forward,
            Work::Down,
            Work::Up,
            Work::SftpPut,
            Work::SftpGet,
        ] {
            for cipher in samples.algorithms(work) {
                transfer_rows(&mut rows, &samples, work, cipher, transfer_bytes);
            }
        }
        for cipher in samples.algorithms(Work::SftpMany) {
            rows.push(small_files_row(&samples, cipher));
        }
        Self {
            titles,
            about,
            samples,
            rows,
        }
    }

    /// The table's rows and every single run, as JSON.
    pub(super) fn json(&self) -> String {
        let rows = self.rows.iter().map(|row| {
            format!(
                r#"{{"work":"{}","algorithm":"{}","measure":"{}","ours":{:.4},"openssh":{:.4},"ratio":{:.4}}}"#,
                row.work.word(),
                row.algorithm,
                row.measure,
                row.ours,
                row.openssh,
                row.ratio()
            )
        });
        let runs = self.samples.iter().map(|sample| {
            format!(
                r#"{{"work":"{}","algorithm":"{}","server":"{}","wall_s":{:.6},"server_cpu_s":{:.6},"client_cpu_s":{:.6}}}"#,
                sample.work.word(),
                sample.algorithm,
                sample.server,
                sample.wall,
                sample.server_cpu,
                sample.client_cpu
            )
        });
        // Versions and names of processors hold neither quotes nor control characters; if one ever does, it goes.
        let about = self
            .about
            .replace(|c: char| c.is_control() || matches!(c, '"' | '\\'), "");
        format!(
            "{{\n\"about\": \"{about}\",\n\"rows\": [\n{}\n],\n\"runs\": [\n{}\n]\n}}\n",
            rows.collect::<Vec<_>>().join(",\n"),
            runs.collect::<Vec<_>>().join(",\n")
        )
    }
}

fn login_rows(rows: &mut Vec<Row>, samples: &Samples, key_exchange: &str) {
    let mut row = |measure, quantity, statistic: fn(&[f64]) -> f64, goal| {
        let milliseconds =
            |server| 1e3 * statistic(&samples.sorted(Work::Login, key_exchange, server, quantity));
        rows.push(Row {
            work: Work::Login,
            algorithm: key_exchange.to_owned(),
            measure,
            ours: milliseconds(Server::Ours),
            openssh: milliseconds(Server::OpenSsh),
            goal,
        });
    };
    row("wall ms, median", Quantity::Wall, median, Some(LOGIN_WALL));
    row("wall ms, best", Quantity::Wall, smallest, None);
    row("wall ms, p90", Quantity::Wall, ninetieth_percentile, None);
    row(
        "server CPU ms",
        Quantity::ServerCpu,
        median,
        Some(LOGIN_CPU),
    );
    row("client CPU ms", Quantity::ClientCpu, median, None);
}

fn terminal_rows(rows: &mut Vec<Row>, samples: &Samples, terminal: &str) {
    let mut row = |work, measure, scale: f64, statistic: fn(&[f64]) -> f64, goal| {
        let value =
            |server| scale * statistic(&samples.sorted(work, terminal, server, Quantity::Wall));
        rows.push(Row {
            work,
            algorithm: terminal.to_owned(),
            measure,
            ours: value(Server::Ours),
            openssh: value(Server::OpenSsh),
            goal,
        });
    };
    row(Work::Echo, "us, median", 1e6, median, Some(ECHO));
    row(
        Work::Echo,
        "us, p99",
        1e6,
        ninety_ninth_percentile,
        Some(ECHO),
    );
    row(Work::Idle, "MiB PSS a session", 1.0, median, Some(IDLE));
}

fn held_row(samples: &Samples, terminal: &str) -> Row {
    let count = |server| median(&samples.sorted(Work::Held, terminal, server, Quantity::Wall));
    Row {
        work: Work::Held,
        algorithm: terminal.to_owned(),
        measure: "sessions at once",
        ours: count(Server::Ours),
        openssh: count(Server::OpenSsh),
        goal: Some(HELD),
    }
}

/// Connections a second, one after the other.
fn connections_row(samples: &Samples, way: &str) -> Row {
    let rate = |server| 1.0 / median(&samples.sorted(Work::Connect, way, server, Quantity::Wall));
    Row {
        work: Work::Connect,
        algorithm: way.to_owned(),
        measure: "a second, median",
        ours: rate(Server::Ours),
        openssh: rate(Server::OpenSsh),
        goal: (way == "-L").then_some(CONNECTIONS),
    }
}

/// Small files a second.
fn small_files_row(samples: &Samples, cipher: &str) -> Row {
    let rate = |server| {
        let wall = |work| median(&samples.sorted(work, cipher, server, Quantity::Wall));
        SMALL_FILES / (wall(Work::SftpMany) - wall(Work::SftpEmpty))
    };
    Row {
        work: Work::SftpMany,
        algorithm: cipher.to_owned(),
        measure: "files/s, median",
        ours: rate(Server::Ours),
        openssh: rate(Server::OpenSsh),
        goal: Some(SFTP_FILES),
    }
}

/// Rate and CPU of the transfer itself: the median run less the median of the login around it, if there is one.
fn transfer_rows(rows: &mut Vec<Row>, samples: &Samples, work: Work, cipher: &str, bytes: u64) {
    #[expect(
        clippy::cast_precision_loss,
        reason = "sizes of transfers are far below 2^52"
    )]
    let bytes = bytes as f64;
    let (around, goal) = match work {
        Work::Forward => (None, Some(FORWARD_RATE)),
        Work::SftpPut | Work::SftpGet => (Some(Work::SftpEmpty), Some(SFTP_RATE)),
        _ => {
            let goal = (cipher == BULK_GOAL_CIPHER).then_some(BULK_RATE);
            (Some(Work::Empty), goal)
        }
    };
    let net_of = |statistic: fn(&[f64]) -> f64, server, quantity| {
        let of = |work| statistic(&samples.sorted(work, cipher, server, quantity));
        of(work) - around.map_or(0.0, of)
    };
    let net = |server, quantity| net_of(median, server, quantity);
    let mut row = |measure, value: &dyn Fn(Server) -> f64, goal| {
        rows.push(Row {
            work,
            algorithm: cipher.to_owned(),
            measure,
            ours: value(Server::Ours),
            openssh: value(Server::OpenSsh),
            goal,
        });
    };
    let gibibytes = bytes / f64::from(1 << 30);
    row(
        "MB/s, median",
        &|server| bytes / 1e6 / net(server, Quantity::Wall),
        goal,
    );
    row(
        "MB/s, best",
        &|server| bytes / 1e6 / net_of(smallest, server, Quantity::Wall),
        None,
    );
    row(
        "server CPU s/GiB",
        &|server| net(server, Quantity::ServerCpu) / gibibytes,
        None,
    );
    row(
        "client CPU s/GiB",
        &|server| net(server, Quantity::ClientCpu) / gibibytes,
        None,
    );
    // Near 1.00 for `ssh` alone: it is the client that is measured, and no server makes it faster.
    row(
        "client, cores",
        &|server| net(server, Quantity::ClientCpu) / net(server, Quantity::Wall),
        None,
    );
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [ours, openssh] = self.titles;
        writeln!(formatter, "{}\n", self.about)?;
        writeln!(
            formatter,
            "{:<9} {:<29} {:<17} {ours:>14} {openssh:>14} {:>6}  goal",
            "work", "algorithm", "measure", "ratio"
        )?;
        for row in &self.rows {
            let mut goal = String::new();
            if let Some(wanted) = row.goal {
                match wanted {
                    Goal::AtMost(limit) => write!(goal, "<= {limit}")?,
                    Goal::AtLeast(limit) => write!(goal, ">= {limit}")?,
                }
                goal.push_str(if wanted.met(row.ratio()) {
                    " met"
                } else {
                    " NOT MET"
                });
            }
            let line = format!(
                "{:<9} {:<29} {:<17} {:>14.2} {:>14.2} {:>6.2}  {goal}",
                row.work.word(),
                row.algorithm,
                row.measure,
                row.ours,
                row.openssh,
                row.ratio()
            );
            writeln!(formatter, "{}", line.trim_end())?;
        }
        writeln!(
            formatter,
            "\nMedians of runs in turn. Server CPU: the whole machine until it is at rest again. \
             Transfers: less the login around them."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str) -> Report {
        let samples = Samples::parse(text).unwrap();
        Report::new(
            ["ours", "OpenSSH"],
            "a \"host\"".to_owned(),
            1 << 30,
            samples,
        )
    }

    #[test]
    fn marks_goals_by_the_ratio() {
        let table = report(
            "login\tk\tours\t0.1\t0.08\t0.01\n\
             login\tk\topenssh\t0.2\t0.05\t0.01\n",
        )
        .to_string();
        let line = |measure| table.lines().find(|line| line.contains(measure)).unwrap();
        assert!(line("wall ms, median").ends_with("0.50  <= 0.6 met"));
        assert!(line("server CPU ms").ends_with("1.60  <= 1.5 NOT MET"));
        assert!(line("wall ms, p90").ends_with("0.50"));
    }

    #[test]
    fn terminals_have_rows_of_their_own() {
        let table = report(
            "echo\tpty\tours\t0.0002\t0\t0\necho\tpty\topenssh\t0.0001\t0\t0\n\
             idle\tpty\tours\t2.5\t0\t0\nidle\tpty\topenssh\t2\t0\t0\n",
        )
        .to_string();
        let line = |measure| table.lines().find(|line| line.contains(measure)).unwrap();
        assert!(line("us, median").ends_with("200.00         100.00   2.00  <= 1 NOT MET"));
        assert!(line("MiB PSS").ends_with("2.50           2.00   1.25  <= 1.5 met"));
    }

    #[test]
    fn forwarding_has_rows_of_its_own_and_one_goal_for_connections() {
        let table = report(
            "connect\t-L\tours\t0.001\t0\t0\nconnect\t-L\topenssh\t0.05\t0\t0\n\
             connect\t-R\tours\t0.001\t0\t0\nconnect\t-R\topenssh\t0.001\t0\t0\n\
             forward\t-R\tours\t1\t0.5\t0.5\nforward\t-R\topenssh\t2\t1\t0.5\n\
             held\tpty\tours\t500\t0\t0\nheld\tpty\topenssh\t400\t0\t0\n",
        )
        .to_string();
        let mut lines = table.lines();
        let mut line = |measure| lines.find(|line| line.contains(measure)).unwrap();
        assert!(line("sessions at once").ends_with("400.00   1.25  >= 1 met"));
        assert!(line("a second").ends_with("1000.00          20.00  50.00  >= 20 met"));
        assert!(line("a second").ends_with("1000.00        1000.00   1.00"));
        assert!(line("MB/s, median").ends_with("1073.74         536.87   2.00  >= 1.3 met"));
    }

    #[test]
    fn subtracts_the_login_from_a_transfer() {
        let table = report(
            "empty\taes256-gcm@openssh.com\tours\t0.1\t0.1\t0.1\n\
             empty\taes256-gcm@openssh.com\topenssh\t0.2\t0.1\t0.1\n\
             down\taes256-gcm@openssh.com\tours\t1.1\t0.6\t1.0\n\
             down\taes256-gcm@openssh.com\topenssh\t2.2\t1.1\t1.1\n",
        )
        .to_string();
        let line = |measure| table.lines().find(|line| line.contains(measure)).unwrap();
        assert!(line("MB/s, median").ends_with("1073.74         536.87   2.00  >= 1.2 met"));
        assert!(line("server CPU s/GiB").ends_with("0.50           1.00   0.50"));
        assert!(line("client, cores").ends_with("0.90           0.50   1.80"));
    }

    #[test]
    fn json_stays_json_whatever_the_host_is_called() {
        assert!(report("").json().starts_with("{\n\"about\": \"a host\",\n"));
    }
}
