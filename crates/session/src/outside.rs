//! What a session in a jail does outside of it.
//!
//! With ChrootDirectory the session itself lives in the new root, as sshd's process does: whatever it opens for the user
//! (files, sockets to forward to, names to resolve) is found there, whoever wrote the code that opens it. Two things it
//! has to do in the old one: to start a program, which is its own binary or the SFTP server and no file of the jail, and
//! to open a terminal. For these one thread stays behind.
//!
//! That thread shares no root and no working directory with the others (`unshare(2)`, CLONE_FS), and as capabilities are
//! those of a thread, it alone keeps CAP_SYS_CHROOT, so that a program can enter the jail as its first act. Its working
//! directory is the jail already: there is no path to say, and nothing to judge once more.
//!
//! sshd's process enters the jail wholly: it forks for a program, where this one has a binary to execute, which no jail
//! holds. The price: the thread is in one address space with what the worker talks to, so the jail holds whoever takes this
//! process over only as far as they run programs. Those it starts it holds all the same.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use nix::sched::{CloneFlags, unshare};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use sandbox::jail::{Jail, JailError};

use crate::second_stage::Root;

type Work = Box<dyn FnOnce() + Send>;

/// Where programs are started and terminals opened.
#[derive(Debug, Clone)]
pub struct Outside(Option<SyncSender<Work>>);

impl Outside {
    /// Here: there is no jail.
    pub fn here() -> Self {
        Self(None)
    }

    /// Puts this process into a jail, all but the thread that works outside.
    ///
    /// To be called by the only thread.
    ///
    /// # Errors
    /// Something could not be done, and the process must end: it may be half in.
    pub fn of(jail: Jail) -> Result<Self, JailError> {
        let call = |name| move |errno| JailError::Call(name, errno);
        // A program of the user's in the jail must not take the thread outside over (ptrace(2)).
        set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(call("PR_SET_DUMPABLE"))?;
        let jail = Arc::new(jail);
        let (ready, is_ready) = sync_channel(0);
        let (sender, work) = sync_channel(0);
        let behind = Arc::clone(&jail);
        let thread = thread::Builder::new().name("outside".to_owned());
        let started = thread.spawn(move || stay_behind(&behind, &ready, &work));
        let failed = || JailError::Call("thread", rustix::io::Errno::AGAIN);
        drop(started.map_err(|_| failed())?);
        // Not before: until then it shares its root with this thread.
        is_ready.recv().unwrap_or_else(|_| Err(failed()))?;
        jail.enter()?;
        Ok(Self(Some(sender)))
    }

    /// What programs do about their root.
    pub(crate) fn root(&self) -> Root {
        match self.0 {
            None => Root::Kept,
            Some(_) => Root::WorkingDirectory,
        }
    }

    /// Has `work` done outside, and waits for it.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let Some(thread) = &self.0 else {
            return work();
        };
        let (result, is_there) = sync_channel(1);
        let gone = || io::Error::other("the thread outside of the jail has ended");
        let work: Work = Box::new(move || {
            drop(result.send(work()));
        });
        thread.send(work).map_err(|_| gone())?;
        is_there.recv().unwrap_or_else(|_| Err(gone()))
    }
}

/// The life of the thread.
fn stay_behind(jail: &Jail, ready: &SyncSender<Result<(), JailError>>, work: &Receiver<Work>) {
    let parted = unshare(CloneFlags::CLONE_FS)
        .map_err(|errno| {
            JailError::Call(
                "unshare",
                rustix::io::Errno::from_raw_os_error(errno as i32),
            )
        })
        .and_then(|()| jail.wait_outside());
    let failed = parted.is_err();
    if ready.send(parted).is_err() || failed {
        return;
    }
    while let Ok(work) = work.recv() {
        work();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_jail_work_is_done_here() {
        let outside = Outside::here();
        let here = thread::current().id();
        let there = outside.run(move || Ok(thread::current().id()));
        assert_eq!(there.unwrap(), here);
        assert_eq!(outside.root(), Root::Kept);
    }
}
