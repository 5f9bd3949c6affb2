//! What takes long to make and never changes: Debian trees, packages of others. Made once for each host.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

/// Where it is kept.
const CACHE: &str = "/var/cache/sshd-privsep";

/// The directory `name` of the cache, made now by `make` if it is not there. Safe to call from several processes: one
/// makes it, the others wait.
///
/// The name must change whenever the content would: nothing here is ever made again.
pub fn ensure(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let directory = Path::new(CACHE).join(name);
    if directory.is_dir() {
        return Ok(directory);
    }
    fs::create_dir_all(CACHE).with_context(|| format!("{CACHE}: cannot create"))?;
    // One lock for each name: who wants to make another thing need not wait.
    let lock = File::create(Path::new(CACHE).join(format!(".{name}.lock")))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if directory.is_dir() {
        return Ok(directory);
    }
    let unfinished = Path::new(CACHE).join(format!("{name}.unfinished"));
    match fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("{}: cannot remove", unfinished.display()));
        }
        _ => {}
    }
    make(&unfinished)?;
    // It has its final name only when it is complete: a killed build leaves nothing that looks usable.
    fs::rename(&unfinished, &directory)?;
    Ok(directory)
}

/// FNV-1a over the parts of a recipe, for the name of what it makes. The standard library's hashers are not stable
/// between its versions, a directory name must be.
pub fn recipe_hash<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}
