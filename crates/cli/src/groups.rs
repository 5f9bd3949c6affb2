//! The groups of a user, for `-C user=…`.

use nix::unistd::{Gid, Group};

/// The names of the user's groups; none of an unknown user, for whom no `Match Group` holds in sshd either.
#[must_use]
pub fn of(user: &str) -> Vec<String> {
    let Ok(Some(account)) = accounts::lookup(user) else {
        return Vec::new();
    };
    let name = |gid: &u32| Some(Group::from_gid(Gid::from_raw(*gid)).ok()??.name);
    account.groups.iter().filter_map(name).collect()
}
