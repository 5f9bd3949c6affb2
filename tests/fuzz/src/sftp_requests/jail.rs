//! A file system for requests that may mean any path: in memory, and all that the thread that serves them can reach.
//!
//! A root directory belongs to a thread, once it shares it with no other one (CLONE_FS), and so do mounts. libFuzzer
//! keeps its files, and what was mounted goes with the process, whatever that ends of.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{LazyLock, Mutex};
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::unistd::{chdir, chroot, mkfifo};

/// Bytes that all files in it may take.
const SIZE: &str = "size=64m,mode=0700";

type Work = Box<dyn FnOnce() + Send>;

struct Jail {
    work: SyncSender<Work>,
    done: Receiver<()>,
}

static JAIL: LazyLock<Mutex<Jail>> = LazyLock::new(|| {
    let (work, received) = sync_channel::<Work>(0);
    let (tell, done) = sync_channel(0);
    thread::spawn(move || {
        enter();
        while let Ok(work) = received.recv()
            && {
                work();
                tell.send(())
            }
            .is_ok()
        {}
    });
    Mutex::new(Jail { work, done })
});

/// Does some work in the jail, and waits for it.
pub(super) fn within(work: impl FnOnce() + Send + 'static) {
    let jail = JAIL.lock().unwrap();
    jail.work.send(Box::new(work)).unwrap();
    jail.done.recv().unwrap();
}

/// Nothing is served outside: whoever cannot enter (root can) has a finding in place of a harmed machine.
fn enter() {
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(none, "/tmp", Some("tmpfs"), MsFlags::MS_NODEV, Some(SIZE)).unwrap();
    chroot("/tmp").unwrap();
    chdir("/").unwrap();
}

/// Makes the files anew that requests find.
pub(super) fn fill() {
    for entry in fs::read_dir("/").unwrap() {
        let path = entry.unwrap().path();
        match fs::symlink_metadata(&path).unwrap().is_dir() {
            true => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }
    for directory in ["/d", "/etc", "/home"] {
        fs::create_dir(directory).unwrap();
    }
    fs::write("/a", "content of a").unwrap();
    fs::write("/d/e", "").unwrap();
    fs::write(
        "/etc/passwd",
        "root:x:0:0::/:\nbob:x:1001:1001::/d:/bin/sh\n",
    )
    .unwrap();
    fs::write("/etc/group", "root:x:0:\nstaff:x:50:bob\n").unwrap();
    for (target, link) in [
        ("a", "/l"),
        ("/loop", "/loop"),
        ("none", "/n"),
        ("../..", "/d/up"),
    ] {
        symlink(target, link).unwrap();
    }
    mkfifo("/p", Mode::S_IRWXU).unwrap();
}

/// What is there, as far as a request could have changed it.
pub(super) fn content() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    list(Path::new("/"), &mut found);
    found
}

fn list(directory: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let about = fs::symlink_metadata(&path).unwrap();
        let text = match about.is_file() {
            true => String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned(),
            false => String::new(),
        };
        let owner = (about.uid(), about.gid(), about.mode());
        let changed = (about.ctime(), about.ctime_nsec(), about.nlink());
        found.insert(path.clone(), format!("{owner:?} {changed:?} {text}"));
        if about.is_dir() {
            list(&path, found);
        }
    }
}
