//! From a program's descriptor to the client.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::sync::watch;

use super::channels::Number;
use super::mux::{Copied, Flow, Mux, Stream};

/// How long a silent terminal is read on after its program has ended, while somebody else is still on
/// it: what was written before the end is in the kernel's buffers.
const LINGER: Duration = Duration::from_millis(250);

/// Does the program whose output this is still run?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// It may write more.
    Runs,
    /// What it wrote is in the descriptor.
    Ended,
}

/// What a program's end means to its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// A pipe: whoever still has it may have something to say, so it is read to its end. So does sshd, where
    /// `ssh host 'sleep 100 &'` takes 100 seconds and `ssh host 'make > >(tee log)'` loses nothing.
    ToTheEnd,
    /// A terminal: who is still on it is hung up.
    HungUp,
}

/// Runs until the descriptor ends, the program has ended and its terminal is drained, the channel is closed, or the client
/// has no use for this stream: then the program, whose descriptor this was, gets SIGPIPE.
pub(super) async fn run(
    mux: Arc<Mux>,
    number: Number,
    stream: Stream,
    descriptor: Arc<AsyncFd<OwnedFd>>,
    afterwards: Afterwards,
    mut program: watch::Receiver<Program>,
) {
    let Some(changed) = mux.changes(number) else {
        return;
    };
    let mut gone = pin!(mux.unwanted(number, stream));
    loop {
        let flow = loop {
            // Begun before the check, so that no change in between is missed.
            let (room, change) = (mux.room.notified(), changed.notified());
            if let Some(flow) = mux.copy_allowed(number, stream) {
                break flow;
            }
            tokio::select! {
                () = room => {}
                () = change => {}
            }
        };
        if flow == Flow::Gone {
            return;
        }
        let readable = readable(&descriptor, afterwards, &mut program, gone.as_mut());
        let Some(mut ready) = readable.await else {
            return;
        };
        loop {
            match mux.copy(number, stream, descriptor.get_ref()) {
                // A terminal has no more then. A pipe or a socket may: it gives packets, urgent data and descriptors one by
                // one.
                Copied::Short if afterwards == Afterwards::HungUp => {
                    ready.clear_ready();
                    break;
                }
                Copied::Full | Copied::Short => {}
                Copied::Nothing => {
                    ready.clear_ready();
                    break;
                }
                Copied::Held => {
                    ready.retain_ready();
                    break;
                }
                Copied::End => return,
            }
        }
    }
}

/// Reads what the client is not to hear, so that whoever says it need not wait. Runs until the descriptor ends.
pub(super) async fn discard(descriptor: Arc<AsyncFd<OwnedFd>>) {
    let mut unheard = [0; 4096];
    while let Ok(mut ready) = descriptor.readable().await {
        let read =
            ready.try_io(|descriptor| Ok(rustix::io::read(descriptor.get_ref(), &mut unheard)?));
        if let Ok(Ok(0) | Err(_)) = read {
            return;
        }
        // Somebody who never stops must not have the worker for himself.
        tokio::task::yield_now().await;
    }
}

/// Waits until the descriptor is readable; `None` when there is nothing to wait for.
async fn readable<'a>(
    descriptor: &'a AsyncFd<OwnedFd>,
    afterwards: Afterwards,
    program: &mut watch::Receiver<Program>,
    mut gone: Pin<&mut impl Future<Output = ()>>,
) -> Option<AsyncFdReadyGuard<'a, OwnedFd>> {
    if *program.borrow_and_update() == Program::Runs {
        tokio::select! {
            ready = descriptor.readable() => return ready.ok(),
            () = &mut gone => return None,
            changed = program.changed() => drop(changed),
        }
    }
    let silent = async {
        match afterwards {
            Afterwards::ToTheEnd => std::future::pending().await,
            Afterwards::HungUp => tokio::time::sleep(LINGER).await,
        }
    };
    tokio::select! {
        ready = descriptor.readable() => ready.ok(),
        () = gone => None,
        () = silent => None,
    }
}
