use std::collections::BTreeSet;

use super::*;
use crate::testing::Directory;

fn request(min: u32, preferred: u32, max: u32) -> GroupRequest {
    GroupRequest::new(min, preferred, max).unwrap()
}

/// Three of each size; not primes, but nobody here looks.
fn groups() -> Groups {
    let group = |bits: usize, n: u8| DhGroup {
        prime: [vec![0xff; bits / 8 - 1], vec![2 * n + 1]].concat(),
        generator: vec![2],
    };
    let sizes = [8192, 3072, 2048, 4096];
    Groups(
        sizes
            .into_iter()
            .flat_map(|bits| (0..3).map(move |n| group(bits, n)))
            .collect(),
    )
}

fn bits(groups: &Groups, request: GroupRequest) -> Option<u32> {
    match groups.choose(request) {
        GroupExchange::Chosen(chosen) => {
            assert_eq!(chosen.request, request);
            Some(chosen.group.bits())
        }
        GroupExchange::NoneFits => None,
        GroupExchange::NotAsked => panic!("asked"),
    }
}

#[test]
fn the_smallest_group_that_is_large_enough_is_chosen_or_else_the_largest() {
    let groups = groups();
    for (wanted, expected) in [
        ((2048, 3072, 8192), 3072),
        ((2048, 2049, 8192), 3072),
        ((2048, 8192, 8192), 8192),
        ((2048, 5000, 8192), 8192),
        ((2048, 5000, 6000), 4096),
        ((1024, 1024, 8192), 2048),
        ((3000, 3000, 16_384), 3072),
    ] {
        let (min, preferred, max) = wanted;
        let chosen = bits(&groups, request(min, preferred, max));
        assert_eq!(chosen, Some(expected), "{wanted:?}");
    }
}

#[test]
fn any_group_of_the_best_size_may_be_the_one() {
    let groups = groups();
    let chosen: BTreeSet<Vec<u8>> = (0..200)
        .map(|_| match groups.choose(request(2048, 3072, 8192)) {
            GroupExchange::Chosen(chosen) => chosen.group.prime,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(chosen.len(), 3);
}

#[test]
fn without_a_file_there_are_the_fixed_groups() {
    let none = Groups::default();
    assert_eq!(bits(&none, request(2048, 3072, 8192)), Some(8192));
    assert_eq!(bits(&none, request(2048, 3072, 8191)), Some(4096));
    assert_eq!(bits(&none, request(1024, 2048, 3071)), Some(2048));
    assert_eq!(bits(&none, request(5000, 5000, 6000)), None);
    // A file without a fitting size.
    assert_eq!(
        bits(&Groups(Vec::new()), request(2048, 2048, 2048)),
        Some(2048)
    );
}

#[test]
fn a_file_that_cannot_be_used_is_a_remark() {
    let directory = Directory::new();
    let file = directory.write("moduli", "# nothing\nbad\n");
    let (groups, remark) = Groups::load(&file);
    assert!(groups.0.is_empty());
    assert!(remark.unwrap().contains("line 2"));
    let (_, remark) = Groups::load(&file.with_extension("missing"));
    assert!(remark.unwrap().ends_with("using fixed groups"));
}
