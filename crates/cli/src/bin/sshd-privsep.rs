//! See sshd-privsep(8).
#![forbid(unsafe_code)]

use std::io::Write;

use cli::version::VERSION;
use lexopt::Arg;

fn main() -> anyhow::Result<()> {
    let mut words = lexopt::Parser::from_env();
    while let Some(word) = words.next()? {
        match word {
            Arg::Short('V') => writeln!(std::io::stderr(), "{VERSION}")?,
            unknown => return Err(unknown.unexpected().into()),
        }
    }
    Ok(())
}
