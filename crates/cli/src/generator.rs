//! sshd-privsep-generator: where sshd_config says to listen, sshd-privsep.socket listens.
//!
//! systemd runs it at boot and at each `systemctl daemon-reload`, before it reads units: systemd.generator(7). Nothing runs
//! yet that could be asked, `/var` may not be mounted, and the boot waits. What it makes is a drop-in of the socket unit in
//! the first of the three directories, which is read after the packaged unit and before what `systemctl edit` writes:
//! drop-ins are sorted by name alone, wherever they are (systemd.unit(5)).
//!
//! A unit that says nowhere to listen would lock everybody out. So there is a whole drop-in with a listener, or none: then
//! the packaged unit holds, with port 22.

mod drop_in;
mod log;

use std::io;
use std::path::{Path, PathBuf};

use config::sshd::Errors;
use config::sshd::listening::{Salvage, Sockets, System, salvage};
use thiserror::Error;

pub use drop_in::text;
pub use log::Log;

/// The unit.
const UNIT: &str = "sshd-privsep.socket";

/// The drop-in. Every name that an administrator is likely to choose comes after it.
const DROP_IN: &str = "00-sshd_config.conf";

/// Where the generator looks.
#[derive(Debug, Clone)]
pub struct Place {
    /// The configuration file.
    pub configuration: PathBuf,
    /// Where units stand above packaged ones.
    pub units: Vec<PathBuf>,
}

impl Default for Place {
    fn default() -> Self {
        let units = [
            "/etc/systemd/system",
            "/run/systemd/system",
            "/usr/local/lib/systemd/system",
        ];
        Self {
            configuration: "/etc/ssh/sshd_config".into(),
            units: units.map(PathBuf::from).into(),
        }
    }
}

/// Why there is no drop-in.
#[derive(Debug, Error)]
pub enum GeneratorError {
    /// The configuration cannot be read.
    #[error("{0}; {UNIT} listens on port 22")]
    Configuration(#[from] Errors),
    /// The drop-in cannot be written.
    #[error("{}: {error}; {UNIT} listens on port 22", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

/// Writes the drop-in into `directory`, if there is something to say. Returns remarks for the administrator.
///
/// # Errors
/// See [`GeneratorError`]: nothing was written.
pub fn run(
    place: &Place,
    directory: &Path,
    system: &dyn System,
) -> Result<Vec<String>, GeneratorError> {
    // A whole unit of the administrator's, or a mask: a drop-in would change that, too.
    let is_replaced = |units: &PathBuf| units.join(UNIT).symlink_metadata().is_ok();
    if place.units.iter().any(is_replaced) {
        return Ok(Vec::new());
    }
    let Salvage { listening, errors } = salvage(&place.configuration)?;
    let sockets = Sockets::of(&listening, system);
    if !sockets.are_as_shipped() {
        drop_in::write(
            &directory.join(format!("{UNIT}.d")),
            DROP_IN,
            &text(&sockets, &place.configuration),
        )
        .map_err(|(path, error)| GeneratorError::Write { path, error })?;
    }
    let mut remarks = sockets.remarks;
    if let Some(first) = errors.0.first() {
        remarks.push(format!(
            "the file has errors, the server will not take it: {first}"
        ));
    }
    Ok(remarks)
}

#[cfg(test)]
mod tests;
