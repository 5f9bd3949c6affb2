//! The environment of a program, on its way through the second stage.
//!
//! The user may choose any variable where PermitUserEnvironment permits it, and some of them choose what code a program
//! runs: LD_PRELOAD does before its first line. The second stage is ours and does what the user may not (with
//! ChrootDirectory it still has a capability), so each name has a prefix on the way, with which it means nothing to anybody.
//! The environment and not the arguments carries them, since arguments are for everybody to read.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::process::Command;

/// A variable is longer by this on the way, and execve(2) takes no string above 128 KiB.
pub(crate) const PREFIX: &[u8] = b"SSHD_PRIVSEP_PROGRAM_";

/// Gives `command`, which starts a second stage, the variables of the program, and no others.
pub(crate) fn carry<'a>(
    command: &mut Command,
    environment: impl IntoIterator<Item = (&'a OsString, &'a OsString)>,
) {
    command.env_clear();
    for (name, value) in environment {
        let name = [PREFIX, name.as_bytes()].concat();
        command.env(OsString::from_vec(name), value);
    }
}

/// In the second stage: gives `command` the variables of the program, and no others.
pub(crate) fn restore(command: &mut Command) {
    restore_from(command, std::env::vars_os());
}

fn restore_from(command: &mut Command, carried: impl Iterator<Item = (OsString, OsString)>) {
    command.env_clear();
    for (name, value) in carried {
        if let Some(name) = name.as_bytes().strip_prefix(PREFIX) {
            command.env(OsStr::from_bytes(name), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn environment(command: &Command) -> BTreeMap<OsString, OsString> {
        let variables = command.get_envs();
        variables
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect()
    }

    #[test]
    fn what_is_carried_means_nothing_on_the_way_and_arrives_whole() {
        let raw = OsString::from_vec(vec![b'B', 0xff]);
        let program: BTreeMap<OsString, OsString> = [
            ("LD_PRELOAD".into(), "x.so".into()),
            (raw.clone(), raw),
            ("EMPTY".into(), OsString::new()),
        ]
        .into();
        let mut stage = Command::new("stage");
        stage.env("LEFT", "over");
        carry(&mut stage, &program);
        let carried = environment(&stage);
        assert_eq!(carried.len(), program.len());
        for name in carried.keys() {
            assert!(name.as_bytes().starts_with(PREFIX), "{name:?}");
        }
        // What the second stage is told itself is not the program's.
        let told = [(OsString::from("SSHD_PRIVSEP_RC"), OsString::from("1"))];
        let mut command = Command::new("program");
        restore_from(&mut command, carried.into_iter().chain(told));
        assert_eq!(environment(&command), program);
    }
}
