//! Python programs inside the machine, for what no stock client does: packets out of order, terminals that change
//! their size.

use anyhow::Result;
use support::{Exec, Machine, Output};

use crate::Server;

/// Where the modules that programs import are, inside the machine.
const MODULES: &str = "/root/modules";

/// A client that says what no stock client says; packets without a cipher, for clients that break the rules; connections
/// through forwardings; streams that stop; a program on a terminal of its own, with a script at the keyboard.
const SOURCES: &[(&str, &str)] = &[
    ("conversation.py", include_str!("conversation.py")),
    ("packets.py", include_str!("packets.py")),
    ("sockets.py", include_str!("sockets.py")),
    ("streams.py", include_str!("streams.py")),
    ("terminal.py", include_str!("terminal.py")),
];

/// Puts the modules on a machine.
pub(crate) fn install_modules(machine: &Machine) -> Result<()> {
    for (name, source) in SOURCES {
        machine.write_file(&format!("{MODULES}/{name}"), source.as_bytes(), 0o644)?;
    }
    Ok(())
}

impl Server {
    /// A Python program, ready to run. It may import all of `conversation`, `packets`, `sockets`, `streams` and `terminal`.
    pub fn python(&self, program: &str) -> Exec<'_> {
        self.command(["python3", "-u", "-c", program])
            .env("PYTHONPATH", MODULES)
    }

    /// Runs a Python program; an exit status other than 0 is an error.
    pub fn run_python(&self, program: &str) -> Result<Output> {
        self.python(program).run()?.success()
    }
}
