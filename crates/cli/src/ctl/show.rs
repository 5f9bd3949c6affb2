//! Tables and pages for a terminal.

use std::time::Duration;

use rpc::admin::{Connection, Force, Penalties, Penalty, Phase, Status};
use rpc::{Endpoint, Network};

use super::command_line::Legend;

/// Rows under a header, columns as wide as their widest cell. The last column is not filled up.
#[must_use]
pub fn table<const N: usize>(header: [&str; N], rows: &[[String; N]], legend: Legend) -> String {
    let header = header.map(str::to_owned);
    let header = Some(&header).filter(|_| legend == Legend::Shown);
    let rows = || header.into_iter().chain(rows);
    let mut widths = [0; N];
    for row in rows() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("{}\n", line.join(" ").trim_end())
    };
    rows().map(line).collect()
}

/// `name: value` lines, the names flush right. Without a value there is no line.
fn page(lines: &[(&str, Option<String>)]) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, Option<String>)| {
        let indent = format!("\n{:width$}  ", "");
        let value = value.as_ref()?.trim_end().replace('\n', &indent);
        Some(format!("{name:>width$}: {value}\n"))
    };
    lines.iter().filter_map(line).collect()
}

/// `status`
#[must_use]
pub fn status(status: &Status) -> String {
    let (configuration, workers) = (&status.configuration, &status.workers);
    page(&[
        ("Version", Some(status.version.clone())),
        ("Listening", Some(status.listeners.join("\n"))),
        (
            "Configuration",
            Some(format!(
                "{}, in force for {}",
                configuration.file,
                age(configuration.age)
            )),
        ),
        (
            "Trouble",
            configuration.errors.as_ref().map(|errors| {
                format!("a later configuration has errors and is not in force:\n{errors}")
            }),
        ),
        (
            "Connections",
            Some(format!(
                "{} ({} not logged in)",
                status.connections.len(),
                status.unauthenticated
            )),
        ),
        (
            "Workers",
            Some(format!(
                "{} busy, {} idle, {} starting; {} clients wait for one",
                workers.busy, workers.idle, workers.starting, workers.waiting
            )),
        ),
    ])
}

/// `list`
#[must_use]
pub fn list(connections: &[Connection], legend: Legend) -> String {
    let row = |connection: &Connection| {
        [
            connection.id.to_string(),
            connection.user.clone().unwrap_or_else(|| "-".to_owned()),
            endpoint(connection.endpoints.peer()),
            phase(connection.phase).to_owned(),
            age(connection.age),
        ]
    };
    let rows: Vec<_> = connections.iter().map(row).collect();
    let mut text = table(
        ["CONNECTION", "USER", "PEER", "PHASE", "AGE"],
        &rows,
        legend,
    );
    if legend == Legend::Shown {
        let count = match rows.len() {
            1 => "\n1 connection listed.\n".to_owned(),
            count => format!("\n{count} connections listed.\n"),
        };
        text.push_str(&count);
    }
    text
}

/// `show`
#[must_use]
pub fn connection(connection: &Connection) -> String {
    page(&[
        ("Connection", Some(connection.id.to_string())),
        ("User", connection.user.clone()),
        ("Peer", Some(endpoint(connection.endpoints.peer()))),
        ("Local", Some(endpoint(connection.endpoints.local()))),
        ("Phase", Some(phase(connection.phase).to_owned())),
        ("Age", Some(age(connection.age))),
        ("Worker", connection.worker_unit.clone()),
        ("Session", connection.session_unit.clone()),
        (
            "Journal",
            Some(format!("journalctl SSHD_CONN={}", connection.id)),
        ),
    ])
}

/// `penalties`
#[must_use]
pub fn penalties(list: &Penalties, legend: Legend) -> String {
    let row = |penalty: &Penalty| {
        let force = match penalty.force {
            Force::Active => "refused",
            Force::Deferred => "deferred",
        };
        let reason = penalty.reason.strip_prefix("penalty: ");
        [
            penalty.source.to_string(),
            force.to_owned(),
            age(penalty.left),
            reason.unwrap_or(&penalty.reason).to_owned(),
        ]
    };
    let rows: Vec<_> = list.penalties.iter().map(row).collect();
    let exempt = |network: &Network| {
        [&network.to_string(), "exempt", "-", "by an administrator"].map(str::to_owned)
    };
    let exempt: Vec<_> = list.exempt.iter().map(exempt).collect();
    let rows = [rows, exempt].concat();
    let mut text = table(["SOURCE", "STATE", "LEFT", "REASON"], &rows, legend);
    if legend == Legend::Shown {
        let count = match list.count {
            1 => "\n1 penalty.\n".to_owned(),
            count => format!("\n{count} penalties.\n"),
        };
        text.push_str(&count);
    }
    text
}

fn endpoint(endpoint: Endpoint) -> String {
    match endpoint {
        Endpoint::Inet(address) => address.to_string(),
        Endpoint::Unknown => "-".to_owned(),
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Waiting => "waiting for a worker",
        Phase::KeyExchange => "exchanging keys",
        Phase::Authenticating => "authenticating",
        Phase::Exhausted => "out of attempts",
        Phase::Open => "logged in",
        Phase::Over => "ending",
    }
}

/// The two largest units of a time, as systemd writes them.
fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let shown: Vec<String> = parts
        .into_iter()
        .skip_while(|(count, _)| *count == 0)
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    match shown.is_empty() {
        true => "0s".to_owned(),
        false => shown.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use rpc::admin::{Configuration, Workers};
    use rpc::{ConnectionId, Endpoints};

    use super::*;

    fn alice() -> Connection {
        Connection {
            id: ConnectionId::from_bytes([7; 8]),
            endpoints: Endpoints::inet(
                "192.0.2.1:4711".parse().unwrap(),
                "[2001:db8::1]:22".parse().unwrap(),
            ),
            phase: Phase::Open,
            age: Duration::from_secs(3605),
            user: Some("alice".to_owned()),
            worker_unit: Some("sshd-privsep-preauth@1.service".to_owned()),
            session_unit: Some("sshd-privsep-session-0707070707070707.service".to_owned()),
        }
    }

    fn stranger() -> Connection {
        crate::ctl::tests::waiting([8; 8])
    }

    #[test]
    fn connections_stand_in_columns() {
        let expected = "\
CONNECTION       USER  PEER           PHASE                AGE
0707070707070707 alice 192.0.2.1:4711 logged in            1h
0808080808080808 -     -              waiting for a worker 0s

2 connections listed.
";
        assert_eq!(list(&[alice(), stranger()], Legend::Shown), expected);
        assert_eq!(
            list(&[alice()], Legend::Hidden),
            "0707070707070707 alice 192.0.2.1:4711 logged in 1h\n"
        );
    }

    #[test]
    fn a_page_has_what_is_known() {
        let expected = "Connection: 0808080808080808
      Peer: -
     Local: -
     Phase: waiting for a worker
       Age: 0s
   Journal: journalctl SSHD_CONN=0808080808080808
";
        assert_eq!(connection(&stranger()), expected);
        let session = "\n   Session: sshd-privsep-session-0707070707070707.service\n";
        assert!(connection(&alice()).contains(session));
    }

    #[test]
    fn errors_of_a_later_configuration_are_shown_whole() {
        let text = status(&Status {
            version: "1".to_owned(),
            listeners: vec!["0.0.0.0:22".to_owned(), "[::]:22".to_owned()],
            configuration: Configuration {
                file: "/x".to_owned(),
                age: Duration::from_secs(90_061),
                errors: Some("/x:1:1: bad\n    line\n".to_owned()),
            },
            workers: Workers::default(),
            unauthenticated: 1,
            connections: vec![alice(), stranger()],
        });
        let expected = "      Version: 1
    Listening: 0.0.0.0:22
               [::]:22
Configuration: /x, in force for 1d 1h
      Trouble: a later configuration has errors and is not in force:
               /x:1:1: bad
                   line
  Connections: 2 (1 not logged in)
      Workers: 0 busy, 0 idle, 0 starting; 0 clients wait for one
";
        assert_eq!(text, expected);
    }

    #[test]
    fn penalties_and_exemptions_stand_in_one_table() {
        let penalty = |source: &str, force, reason: &str| Penalty {
            source: source.parse().unwrap(),
            reason: format!("penalty: {reason}"),
            force,
            left: Duration::from_secs(85),
        };
        let list = Penalties {
            penalties: vec![
                penalty("192.0.2.1", Force::Active, "caused crash"),
                penalty("2001:db8::/64", Force::Deferred, "failed authentication"),
            ],
            count: 2,
            exempt: vec!["10.0.0.0/8".parse().unwrap()],
        };
        let expected = "\
SOURCE        STATE    LEFT     REASON
192.0.2.1/32  refused  1min 25s caused crash
2001:db8::/64 deferred 1min 25s failed authentication
10.0.0.0/8    exempt   -        by an administrator

2 penalties.
";
        assert_eq!(penalties(&list, Legend::Shown), expected);
        let bare = penalties(&list, Legend::Hidden);
        assert_eq!(bare.lines().count(), 3);
    }

    #[test]
    fn a_time_has_two_units_at_most() {
        let text = |seconds| age(Duration::from_secs(seconds));
        assert_eq!(text(59), "59s");
        assert_eq!(text(60), "1min");
        assert_eq!(text(3599), "59min 59s");
        assert_eq!(text(86_400 * 3 + 59), "3d");
    }
}
