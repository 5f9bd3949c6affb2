//! The kept corpora, run without libFuzzer. One test: the allocator's limit is that of a process.

use std::path::Path;

use anyhow::{Result, ensure};
use fuzz::{TARGETS, replay};

#[test]
fn no_kept_input_is_a_finding() -> Result<()> {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(name);
        ensure!(
            replay::folder(*target, &folder)? > 0,
            "{name} has no corpus"
        );
    }
    Ok(())
}
