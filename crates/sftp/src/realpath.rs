//! The absolute form of a path, as sftp-server makes it: its last component need not exist.

use rustix::fs::{CWD, FileType, lstat, readlinkat};
use rustix::io::Errno;

/// PATH_MAX of the kernel, in which the NUL counts.
const PATH_LIMIT: usize = 4096;

/// As many links are followed as by the kernel (path_resolution(7)).
const LINKS_LIMIT: usize = 40;

/// Resolves links and dots of `path`, from the working directory if it is relative.
pub(crate) fn resolve(path: &[u8]) -> Result<Vec<u8>, Errno> {
    let (mut resolved, mut left) = match path.strip_prefix(b"/") {
        Some(rest) => (b"/".to_vec(), rest.to_vec()),
        None => (working_directory()?, path.to_vec()),
    };
    let mut links = 0_usize;
    while !left.is_empty() {
        if left.len() >= PATH_LIMIT {
            return Err(Errno::NAMETOOLONG);
        }
        let (component, rest) = match left.iter().position(|byte| *byte == b'/') {
            Some(slash) => (
                left.get(..slash).unwrap_or_default().to_vec(),
                left.get(slash.saturating_add(1)..).map(<[u8]>::to_vec),
            ),
            None => (std::mem::take(&mut left), None),
        };
        let last = rest.is_none();
        left = rest.unwrap_or_default();
        match component.as_slice() {
            b"" | b"." => continue,
            b".." => {
                pop(&mut resolved);
                continue;
            }
            _ => {}
        }
        if !resolved.ends_with(b"/") {
            resolved.push(b'/');
        }
        resolved.extend_from_slice(&component);
        if resolved.len() >= PATH_LIMIT {
            return Err(Errno::NAMETOOLONG);
        }
        let stat = match lstat(resolved.as_slice()) {
            Ok(stat) => stat,
            Err(Errno::NOENT) if last => return Ok(resolved),
            Err(errno) => return Err(errno),
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            links = links.saturating_add(1);
            if links > LINKS_LIMIT {
                return Err(Errno::LOOP);
            }
            let mut target = readlinkat(CWD, resolved.as_slice(), Vec::new())?.into_bytes();
            pop(&mut resolved);
            if target.starts_with(b"/") {
                resolved = b"/".to_vec();
            }
            if !last {
                target.push(b'/');
                target.append(&mut left);
            }
            left = target;
        }
    }
    Ok(resolved)
}

/// The working directory, which need not have a name.
pub(crate) fn working_directory() -> Result<Vec<u8>, Errno> {
    Ok(rustix::process::getcwd(Vec::new())?.into_bytes())
}

/// Takes the last component off an absolute path.
fn pop(path: &mut Vec<u8>) {
    let slash = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    path.truncate(slash.max(1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_and_dots_are_resolved_and_the_last_component_need_not_exist() {
        let scratch = Scratch::new();
        // The scratch directory itself may be behind a link.
        let root = std::fs::canonicalize(scratch.path()).unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        symlink("a/b", root.join("relative")).unwrap();
        symlink(root.join("a"), root.join("absolute")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        for (path, expected) in [
            ("a/./b//", "a/b"),
            ("a/../a/b/..", "a"),
            ("relative", "a/b"),
            ("relative/../new", "a/new"),
            ("absolute/b/", "a/b"),
            ("none", "none"),
            ("dangling", "nowhere"),
        ] {
            let resolved = resolve(root.join(path).as_os_str().as_bytes()).unwrap();
            assert_eq!(
                resolved,
                root.join(expected).as_os_str().as_bytes(),
                "{path}"
            );
        }
        for (path, errno) in [
            ("none/below", Errno::NOENT),
            ("loop", Errno::LOOP),
            ("dangling/below", Errno::NOENT),
        ] {
            let resolved = resolve(root.join(path).as_os_str().as_bytes());
            assert_eq!(resolved, Err(errno), "{path}");
        }
    }

    #[test]
    fn the_root_is_its_own_parent() {
        for path in ["/", "//", "/..", "/../..", "/tmp/..", "/./"] {
            assert_eq!(resolve(path.as_bytes()), Ok(b"/".to_vec()), "{path}");
        }
        assert_eq!(resolve(b"."), working_directory());
    }

    #[test]
    fn a_path_of_100_kilobytes_is_too_long() {
        assert_eq!(resolve(&[b'a'; 100_000]), Err(Errno::NAMETOOLONG));
        assert_eq!(resolve(&b"/a".repeat(50_000)), Err(Errno::NAMETOOLONG));
    }
}
