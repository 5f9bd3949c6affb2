//! Cages of real processes: this program starts itself once per case, and looks at how the child ends.
//!
//! * Each attempt of [`sandbox::probe`] in the cage of each role: refused, killed, or working, as its line says.
//! * What a worker and a monitor need to live works inside, and its ends look as they should ([`life`]).
//! * A cage that cannot be built is refused.
//!
//! `cargo test -p sandbox --test cage -- NAME` runs the cases whose name contains NAME.

mod inmate;
mod life;

use std::io::{Write, stderr};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, Output, Stdio};
use std::{env, io};

use anyhow::Context;
use libc::{SIGABRT, SIGSYS};
use rustix::process::geteuid;
use sandbox::Role;
use sandbox::probe::{Expected, attempts};

/// How a child must end.
#[derive(Debug)]
enum End {
    Code(u8),
    Signal(i32),
}

/// One child.
struct Case {
    role: Role,
    what: String,
    end: End,
}

fn main() -> anyhow::Result<ExitCode> {
    if let Some(case) = inmate::assigned() {
        return Ok(ExitCode::from(inmate::live(&case)));
    }
    let wanted = env::args()
        .nth(1)
        .filter(|word| !word.starts_with('-'))
        .unwrap_or_default();
    let mut failures = 0;
    for case in cases() {
        let name = format!("{:?}::{}", case.role, case.what);
        if !name.to_lowercase().contains(&wanted.to_lowercase()) {
            continue;
        }
        let Output {
            status,
            stderr: said,
            ..
        } = run(&case).with_context(|| name.clone())?;
        let good = match case.end {
            End::Code(code) => status.code() == Some(i32::from(code)),
            End::Signal(signal) => status.signal() == Some(signal),
        };
        if good {
            writeln!(stderr(), "test {name} ... ok")?;
        } else {
            failures += 1;
            writeln!(
                stderr(),
                "test {name} ... FAILED: must end with {:?}, ended with {status}: {}",
                case.end,
                String::from_utf8_lossy(&said)
            )?;
        }
    }
    Ok(if failures == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for &role in Role::ALL {
        for attempt in attempts() {
            let end = match attempt.expected(role) {
                Expected::Killed => End::Signal(SIGSYS),
                Expected::Refused(errno) => {
                    End::Code(u8::try_from(errno).unwrap_or(inmate::UNKNOWN))
                }
                Expected::Works => End::Code(inmate::WORKED),
                Expected::Unspecified => continue,
            };
            cases.push(Case {
                role,
                what: attempt.name.to_owned(),
                end,
            });
        }
    }
    let mut case = |what: &str, end| {
        cases.push(Case {
            role: Role::Preauth,
            what: what.to_owned(),
            end,
        })
    };
    case("life-of-a-worker", End::Code(inmate::WORKED));
    case("abort", End::Signal(SIGABRT));
    case("stack-overflow", End::Signal(SIGABRT));
    case("second-thread", End::Code(inmate::NO_CAGE));
    case("without-landlock", End::Code(inmate::NO_CAGE));
    case("without-seccomp", End::Code(inmate::NO_CAGE));
    if geteuid().is_root() {
        case("as-root", End::Code(inmate::NO_CAGE));
    }
    let what = "life-of-a-monitor".to_owned();
    cases.push(Case {
        role: Role::Monitor,
        what,
        end: End::Code(inmate::WORKED),
    });
    cases
}

/// Starts this program again for `case`, as the user that the role has, and waits for its end.
fn run(case: &Case) -> io::Result<Output> {
    // A victim for the attempts that need a socket.
    let (stdin, _other) = UnixStream::pair()?;
    let mut command = Command::new(env::current_exe()?);
    inmate::assign(&mut command, case.role, &case.what);
    command
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(stdin)))
        .stdout(Stdio::null());
    if case.role != Role::Monitor && geteuid().is_root() && case.what != "as-root" {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.output()
}

const NOBODY: u32 = 65534;
