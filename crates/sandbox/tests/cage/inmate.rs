//! The child: enters the cage of its role, does the one thing it was started for, and tells the outcome by exit code.

use std::env;
use std::hint::black_box;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use sandbox::Role;
use sandbox::probe::{Outcome, attempt};

use crate::life;

/// Exit codes that are no errno.
pub(crate) const WORKED: u8 = 200;
pub(crate) const UNKNOWN: u8 = 201;
pub(crate) const NO_CAGE: u8 = 202;

/// What a child is started for.
pub(crate) struct Assignment {
    role: Role,
    what: String,
}

/// Tells a child what to do.
pub(crate) fn assign(command: &mut Command, role: Role, what: &str) {
    command.env(ROLE, format!("{role:?}")).env(WHAT, what);
}

/// What this process was told, if it is a child.
pub(crate) fn assigned() -> Option<Assignment> {
    let role = env::var(ROLE).ok()?;
    let role = *Role::ALL
        .iter()
        .find(|known| format!("{known:?}") == role)?;
    Some(Assignment {
        role,
        what: env::var(WHAT).ok()?,
    })
}

/// Lives the child's life; yields its exit code.
pub(crate) fn live(case: &Assignment) -> u8 {
    if case.what == "second-thread" {
        let (_keep, wait) = mpsc::channel::<()>();
        thread::spawn(move || wait.recv());
        return if sandbox::enter(case.role).is_err() {
            NO_CAGE
        } else {
            WORKED
        };
    }
    // Kernels and containers that lack a wall, played by a filter that says so.
    match case.what.as_str() {
        "without-landlock" => life::without(libc::SYS_landlock_create_ruleset),
        "without-seccomp" => life::without(libc::SYS_seccomp),
        _ => Ok(()),
    }
    .unwrap_or_else(|error| life::complain(&error));
    let prepared = life::Prepared::new();
    let token = match sandbox::enter(case.role) {
        Ok(token) => token,
        Err(error) => {
            life::complain(&error.into());
            return NO_CAGE;
        }
    };
    match case.what.as_str() {
        "life-of-a-worker" => outcome(prepared.and_then(|prepared| prepared.live_as_worker(token))),
        "life-of-a-monitor" => outcome(life::live_as_monitor(token)),
        "abort" => std::process::abort(),
        "stack-overflow" => recurse(0),
        name => match attempt(name) {
            Outcome::Worked => WORKED,
            Outcome::Refused(errno) => u8::try_from(errno).unwrap_or(UNKNOWN),
            Outcome::Unknown => UNKNOWN,
        },
    }
}

fn outcome(life: anyhow::Result<()>) -> u8 {
    match life {
        Ok(()) => WORKED,
        Err(error) => {
            life::complain(&error);
            UNKNOWN
        }
    }
}

#[expect(unconditional_recursion, reason = "its purpose is to run out of stack")]
fn recurse(depth: u8) -> u8 {
    let room = black_box([depth; 4096]);
    recurse(black_box(room[0])) ^ black_box(room)[1]
}

const ROLE: &str = "CAGE_TEST_ROLE";
const WHAT: &str = "CAGE_TEST_WHAT";
