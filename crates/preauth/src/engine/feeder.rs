//! From a channel's queue to the standard input of its program.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::unix::AsyncFd;

use super::channel::Feed;
use super::channels::Number;
use super::mux::Mux;

/// Runs until the client's input has ended and all of it is written, or nobody reads it. Then the
/// descriptor is closed, which the program sees as the end of its input.
pub(super) async fn run(mux: Arc<Mux>, number: Number, descriptor: Arc<AsyncFd<OwnedFd>>) {
    let Some(changed) = mux.changes(number) else {
        return;
    };
    loop {
        let feed = Mux::wait(&changed, || match mux.feed(number) {
            Feed::Empty => None,
            other => Some(other),
        })
        .await;
        match feed {
            Feed::Progress | Feed::Empty => {}
            Feed::Blocked => {
                // Closing the channel must end this wait: the program may never read again.
                tokio::select! {
                    ready = descriptor.writable() => match ready {
                        Ok(mut ready) => ready.clear_ready(),
                        Err(_) => break,
                    },
                    () = mux.closed(number) => break,
                }
            }
            Feed::Finished => break,
            Feed::Refused => return mux.tell_refusal(number),
        }
    }
    mux.discard_input(number);
}
