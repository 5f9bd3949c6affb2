//! Attempts on programs, other processes, identity, and what the world looks like. Process 1 is the
//! victim: to ask for any other's number would be a system call of its own, and might be what the cage kills for.

use std::io::{self, IoSliceMut, stdin};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;

use libc::EPERM;
use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use nix::sys::personality::Persona;
use nix::sys::uio::RemoteIoVec;
use rustix::process::{
    DumpableBehavior, Gid, Pid, PidfdFlags, Resource, Rlimit, Signal, Uid, getpid,
};

use super::Attempt;
use super::Expected::{Killed, Refused, Unspecified, Works};

#[rustfmt::skip] // A table.
pub(super) const ATTEMPTS: &[Attempt] = &[
    Attempt::new("execute", Killed, Killed, Killed, || Err(Command::new("/bin/true").exec())),
    Attempt::new("fork", Killed, Refused(EPERM), Killed, || Command::new("/bin/true").spawn()?.wait().map(drop)),
    Attempt::new("thread", Killed, Works, Killed, || thread::Builder::new().spawn(|| ()).map(drop)),
    Attempt::new("trace-other", Killed, Killed, Killed, || Ok(nix::sys::ptrace::attach(nix::unistd::Pid::from_raw(1))?)),
    Attempt::new("read-other", Killed, Killed, Killed, read_other),
    Attempt::new("signal-other", Killed, Refused(EPERM), Killed, || Ok(rustix::process::test_kill_process(Pid::INIT)?)),
    Attempt::new("signal-group", Killed, Refused(EPERM), Killed, || Ok(rustix::process::test_kill_current_process_group()?)),
    Attempt::new("signal-self", Killed, Refused(EPERM), Killed, || Ok(rustix::process::kill_process(getpid(), Signal::USR1)?)),
    Attempt::new("handle-of-other", Killed, Works, Killed,
        || Ok(rustix::process::pidfd_open(Pid::INIT, PidfdFlags::empty()).map(drop)?)),
    Attempt::new("descriptor-of-other", Killed, Killed, Killed, || {
        Ok(rustix::process::pidfd_getfd(stdin(), 0, rustix::process::PidfdGetfdFlags::empty()).map(drop)?)
    }),
    Attempt::new("limits-of-other", Killed, Refused(EPERM), Killed,
        || Ok(rustix::process::prlimit(Some(Pid::INIT), Resource::Core, UNLIMITED).map(drop)?)),
    Attempt::new("raise-limit", Killed, Refused(EPERM), Killed, || Ok(rustix::process::setrlimit(Resource::Core, UNLIMITED)?)),
    Attempt::new("new-session", Killed, Refused(EPERM), Killed, || Ok(rustix::process::setsid().map(drop)?)),
    Attempt::new("priority", Killed, Refused(EPERM), Killed, || Ok(rustix::process::nice(0).map(drop)?)),

    Attempt::new("become-root", Killed, Unspecified, Killed, || Ok(rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?)),
    Attempt::new("become-root-group", Killed, Unspecified, Killed, || Ok(rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?)),
    Attempt::new("change-groups", Killed, Unspecified, Killed, || Ok(rustix::thread::set_thread_groups(&[])?)),
    Attempt::new("dumpable", Killed, Refused(EPERM), Killed,
        || Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?)),
    Attempt::new("keep-capabilities", Killed, Refused(EPERM), Killed, || Ok(rustix::thread::set_keep_capabilities(true)?)),

    Attempt::new("unshare-user", Killed, Killed, Killed, || Ok(nix::sched::unshare(CloneFlags::CLONE_NEWUSER)?)),
    Attempt::new("enter-namespace", Killed, Killed, Killed, || Ok(nix::sched::setns(stdin(), CloneFlags::empty())?)),
    Attempt::new("change-root", Killed, Killed, Killed, || Ok(rustix::process::chroot("/")?)),
    Attempt::new("mount", Killed, Killed, Killed,
        || Ok(nix::mount::mount(Some("none"), "/mnt", Some("tmpfs"), MsFlags::empty(), None::<&str>)?)),
    Attempt::new("personality", Killed, Killed, Killed,
        || Ok(nix::sys::personality::set(Persona::READ_IMPLIES_EXEC).map(drop)?)),
    Attempt::new("host-name", Killed, Refused(EPERM), Killed, || Ok(rustix::system::sethostname(b"probe")?)),
];

const UNLIMITED: Rlimit = Rlimit {
    current: None,
    maximum: None,
};

fn read_other() -> io::Result<()> {
    let mut byte = [0];
    let mut local = [IoSliceMut::new(&mut byte)];
    let remote = [RemoteIoVec {
        base: 0x1000,
        len: 1,
    }];
    Ok(
        nix::sys::uio::process_vm_readv(nix::unistd::Pid::from_raw(1), &mut local, &remote)
            .map(drop)?,
    )
}
