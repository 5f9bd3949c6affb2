//! The unit that ships and the list that the cage was built for say the same.

use std::collections::BTreeSet;
use std::path::Path;

use sandbox::UNIT_SYSTEM_CALL_FILTER;

#[test]
fn the_worker_unit_lists_what_the_cage_needs_and_nothing_else() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../units/sshd-privsep-preauth@.service");
    let unit = std::fs::read_to_string(&path).unwrap();
    let listed: BTreeSet<&str> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("SystemCallFilter="))
        .flat_map(str::split_whitespace)
        .collect();
    let needed: BTreeSet<&str> = UNIT_SYSTEM_CALL_FILTER.iter().copied().collect();
    let missing: Vec<_> = needed.difference(&listed).collect();
    let superfluous: Vec<_> = listed.difference(&needed).collect();
    assert!(
        missing.is_empty(),
        "{}: not listed, so they kill: {missing:?}",
        path.display()
    );
    assert!(
        superfluous.is_empty(),
        "{}: listed without need: {superfluous:?}",
        path.display()
    );
}
