//! `pam_sshd_privsep.so`: tells the PAM stack of a session where its user came from, and its limits.
//!
//! systemd opens the PAM session of a session unit (`PAMName=`), and it has no setting for the remote host or the
//! terminal. It does hand the unit's environment to PAM, before anything else. So the monitor starts the unit with
//!
//! * `SSHD_PRIVSEP_RHOST=` the client's address, as the monitor knows it from getpeername(2),
//! * `SSHD_PRIVSEP_TTY=` the terminal, `ssh` where there is none,
//! * `SSHD_PRIVSEP_MEMORY_MAX=`, `…_TASKS_MAX=`, `…_CPU_WEIGHT=`, `…_IO_WEIGHT=`, `…_RUNTIME_MAX_SEC=` what the session
//!   may use of the machine, each only if SessionProperties of sshd-privsep_config(5) says so,
//!
//! and this module turns the first two into `PAM_RHOST` and `PAM_TTY`: pam_systemd then registers a remote session with
//! logind, pam_access finds the host that its rules are about, and pam_lastlog and the audit log name it. The others
//! become data of the transaction, `systemd.memory_max` and so on, from which pam_systemd(8) makes properties of the
//! session's scope. The variables end here: the user's processes do not inherit them.
//!
//! * `SSHD_PRIVSEP_AUTH_INFO=stdin` says that how the user was authenticated is in the unit's standard input, for modules
//!   to find in `SSH_AUTH_INFO_0` as with sshd (`auth_info`).
//! * `SSHD_PRIVSEP_ACCOUNT=` who judges whether the account may be used: a PAM service, or `-` for nobody (UsePAM no).
//!   The module asks that service in a transaction of its own (`account`), and leaves what it says to the user in
//!   `SSHD_PRIVSEP_SAID=` for the session process, where the server finds it (`said`).
//!
//! In a `session` stack it also takes systemd's own locale and `PATH` out of the environment, which systemd gives to each
//! unit: what is there in the end was set by modules, and counts more than what the client sent. A further line
//! `session optional pam_sshd_privsep.so greeting=SERVICE` has another service greet the user (`greeting`).
//!
//! In `/etc/pam.d/sshd-privsep` it stands first in the `account` and `session` stacks (pam.d(5)):
//!
//! ```text
//! account  [success=done ignore=ignore default=die]  pam_sshd_privsep.so
//! session  required                                  pam_sshd_privsep.so
//! ```
//!
//! A variable with an unexpected form fails the session: a wrong origin in the records, or a limit that pam_systemd would
//! skip, is worse than no login. So does a session whose account nobody has judged, because the first line is missing.
//!
//! This crate is the one island of unsafe code: module `transaction` holds all of it but the entry points' signatures.

mod account;
mod auth_info;
mod greeting;
mod origin;
mod said;
mod transaction;

use std::ffi::{CStr, c_char, c_int};

use account::{Judgement, judge, was_forgotten};
use greeting::greet;
use origin::{adopt, forget_systemds};
use transaction::Transaction;

pub use transaction::RawTransaction;

/// `account`: sets items and data for the modules below, and asks the service that judges. Where none is named, it has
/// no opinion. The argument `confdir=` is the directory of services, for tests.
///
/// # Safety
/// `pamh` is the transaction that libpam passes to its modules, or null; `argv` are its `argc` arguments.
#[unsafe(no_mangle)]
#[expect(
    unsafe_code,
    reason = "an entry point of the module interface, pam_sm_acct_mgmt(3)"
)]
pub unsafe extern "C" fn pam_sm_acct_mgmt(
    pamh: *mut RawTransaction,
    _flags: c_int,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // JUSTIFICATION: libpam is a C library and hands over a raw pointer.
    // SAFETY: the caller promises it is libpam's transaction, which outlives this call, and no other thread has it.
    let transaction = unsafe { Transaction::new(pamh) };
    // SAFETY: the caller promises that these are the arguments, which outlive this call.
    let arguments = unsafe { transaction::arguments(argc, argv) };
    let Some(mut transaction) = transaction else {
        return PAM_SYSTEM_ERR;
    };
    if adopt(&mut transaction).is_err() {
        return PAM_SYSTEM_ERR;
    }
    match judge(&mut transaction, value_of(&arguments, b"confdir=")) {
        // Success would count as "this account is fine" in a stack where nobody else speaks.
        Ok(Judgement::NotAsked) => PAM_IGNORE,
        Ok(Judgement::Permitted) => PAM_SUCCESS,
        Err(account::Refusal::Pam(error)) => error.0,
        Err(account::Refusal::Form) => PAM_SYSTEM_ERR,
    }
}

/// What comes after `name` in one of the words.
fn value_of<'a>(words: &[&'a CStr], name: &[u8]) -> Option<&'a CStr> {
    words.iter().find_map(|word| {
        let value = word.to_bytes_with_nul().strip_prefix(name)?;
        CStr::from_bytes_with_nul(value).ok()
    })
}

/// `session`, on opening: sets items and data for the modules below. With the argument `greeting=SERVICE`, further below,
/// it has that service greet the user and does nothing else.
///
/// # Safety
/// `pamh` is the transaction that libpam passes to its modules, or null; `argv` are its `argc` arguments.
#[unsafe(no_mangle)]
#[expect(
    unsafe_code,
    reason = "an entry point of the module interface, pam_sm_open_session(3)"
)]
pub unsafe extern "C" fn pam_sm_open_session(
    pamh: *mut RawTransaction,
    _flags: c_int,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // JUSTIFICATION: libpam is a C library and hands over a raw pointer.
    // SAFETY: the caller promises it is libpam's transaction, which outlives this call, and no other thread has it.
    let transaction = unsafe { Transaction::new(pamh) };
    // SAFETY: the caller promises that these are the arguments, which outlive this call.
    let arguments = unsafe { transaction::arguments(argc, argv) };
    let Some(mut transaction) = transaction else {
        return PAM_SESSION_ERR;
    };
    if let Some(service) = value_of(&arguments, b"greeting=") {
        let directory = value_of(&arguments, b"confdir=");
        return match greet(&mut transaction, service, directory) {
            Ok(()) => PAM_SUCCESS,
            Err(error) => error.0,
        };
    }
    if was_forgotten(&transaction) {
        return PAM_SESSION_ERR;
    }
    let done = adopt(&mut transaction).is_ok() && forget_systemds(&mut transaction).is_ok();
    if done { PAM_SUCCESS } else { PAM_SESSION_ERR }
}

/// `session`, on closing: there is nothing to undo.
#[unsafe(no_mangle)]
#[expect(
    unsafe_code,
    reason = "an entry point of the module interface, pam_sm_close_session(3)"
)]
pub extern "C" fn pam_sm_close_session(
    _pamh: *mut RawTransaction,
    _flags: c_int,
    _argc: c_int,
    _argv: *const *const c_char,
) -> c_int {
    PAM_SUCCESS
}

/// `auth`, on credentials: libpam asks modules of an `auth` stack for both; this one has no part in it.
#[unsafe(no_mangle)]
#[expect(
    unsafe_code,
    reason = "an entry point of the module interface, pam_sm_setcred(3)"
)]
pub extern "C" fn pam_sm_setcred(
    _pamh: *mut RawTransaction,
    _flags: c_int,
    _argc: c_int,
    _argv: *const *const c_char,
) -> c_int {
    PAM_IGNORE
}

// Return values of security/_pam_types.h.
const PAM_SUCCESS: c_int = 0;
const PAM_SYSTEM_ERR: c_int = 4;
const PAM_SESSION_ERR: c_int = 14;
const PAM_IGNORE: c_int = 25;
