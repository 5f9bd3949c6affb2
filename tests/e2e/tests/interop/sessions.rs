//! What OpenSSH's client has no option for.

use anyhow::Result;
use e2e::packages;

use crate::Site;

#[test]
fn asyncssh_signals_resizes_and_breaks_what_it_may() -> Result<()> {
    let site = Site::new("signals")?;
    let program = include_str!("clients/asyncssh_session.py");
    let path = format!("PYTHONPATH={}", packages::PYTHON_MODULES);
    site.run(&["env", &path, "python3", "-W", "ignore", "-c", program])?;
    Ok(())
}
