//! How the user was authenticated: from the unit's standard input to the PAM environment, where modules look for it.
//!
//! The environment of a unit is for everybody to read, as all its properties (systemctl show), and a key by which somebody
//! logged in tells who that is. systemd has the unit's standard input at descriptor 0 already when it runs the PAM stack,
//! as root. The monitor has put this there, as the first datagram; the session's program finds the rest.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;

use crate::origin::Refusal;
use crate::transaction::Transaction;

/// Says where it is.
const VARIABLE: &CStr = c"SSHD_PRIVSEP_AUTH_INFO";

/// The one place where it can be.
const STANDARD_INPUT: &[u8] = b"stdin";

/// What the datagram begins with: as sshd tells PAM modules.
const PREFIX: &[u8] = b"SSH_AUTH_INFO_0=";

/// The longest datagram of a lane, in bytes.
const LIMIT: usize = 64 * 1024;

/// Takes the text, if there is one, and puts it into the environment.
pub(crate) fn receive(transaction: &mut Transaction<'_>) -> Result<(), Refusal> {
    let Some(place) = transaction.variable(VARIABLE) else {
        return Ok(());
    };
    transaction
        .remove_variable(VARIABLE)
        .map_err(Refusal::Pam)?;
    if place.to_bytes() != STANDARD_INPUT {
        return Err(Refusal::Form);
    }
    let text = take_from_stdin().map_err(|_| Refusal::Form)?;
    if !text.starts_with(PREFIX) {
        return Err(Refusal::Form);
    }
    let text = CString::new(text).map_err(|_| Refusal::Form)?;
    transaction.set_variable(&text).map_err(Refusal::Pam)
}

/// One datagram: not through the buffer of [`io::stdin`], which could take more.
fn take_from_stdin() -> io::Result<Vec<u8>> {
    let mut stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut datagram = vec![0; LIMIT];
    let length = stdin.read(&mut datagram)?;
    datagram.truncate(length);
    Ok(datagram)
}
