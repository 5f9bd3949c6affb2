//! `pam`: see the library's documentation.
//!
//! Started as root by systemd, one process per conversation, without arguments and with the channel as stdin.
#![forbid(unsafe_code)]

use anyhow::Context as _;
use pam::{Stacks, take_channel};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

fn main() -> anyhow::Result<()> {
    // There will be a password in it: no core file, and no other process looks inside.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("PR_SET_DUMPABLE")?;
    let channel = take_channel().context("channel at stdin")?;
    pam::run(channel, &Stacks::System).context("PAM conversation")
}
