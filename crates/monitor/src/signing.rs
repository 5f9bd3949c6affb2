//! Signatures for users who are logged in, made aside.
//!
//! One with RSA takes milliseconds, and users may have new keys made as often as they like. So theirs are not made on the
//! thread that serves everybody, a user has one at a time, and other users have theirs in between. What is signed before
//! login is bounded by MaxStartups and by few exchanges for each connection.

use tokio::task::spawn_blocking;

use crate::hostkeys::SignError;
use crate::shares::Shares;

/// How many are made at the same time: fewer than there are processors on most machines.
const SIGNERS: usize = 2;

/// By login name.
static ROOM: Shares<String> = Shares::new(SIGNERS, 1);

/// Does `work` for `user` aside, when it is their turn.
///
/// # Errors
/// The work panicked.
pub async fn aside<T: Send + 'static>(
    user: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SignError> {
    let share = ROOM.enter(user.to_owned()).await.map_err(|_| SignError)?;
    // The share stays with the work, which goes on when nobody waits for it any more: who asks and hangs up at once would
    // have as many made at the same time as there are threads.
    let made = spawn_blocking(move || {
        let done = work();
        drop(share);
        done
    });
    made.await.map_err(|_| SignError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn who_hangs_up_has_the_share_until_the_work_is_done() {
        let (release, wait) = mpsc::channel::<()>();
        let (begun, begins) = tokio::sync::oneshot::channel();
        let left = tokio::spawn(aside("hasty-1", move || {
            begun.send(()).unwrap();
            wait.recv().is_err()
        }));
        begins.await.unwrap();
        left.abort();
        assert!(left.await.unwrap_err().is_cancelled());
        let next = tokio::spawn(aside("hasty-1", || ()));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!next.is_finished());
        drop(release);
        next.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_storm_of_one_user_delays_neither_the_others_nor_this_thread() {
        let (release, wait) = mpsc::channel::<()>();
        let long = tokio::spawn(aside("storm-1", move || wait.recv().is_err()));
        let storm: Vec<_> = (0..100)
            .map(|_| tokio::spawn(aside("storm-1", || ())))
            .collect();
        tokio::task::yield_now().await;
        let others = async {
            for number in 0..10 {
                assert_eq!(aside("calm-1", move || number).await.unwrap(), number);
            }
        };
        timeout(Duration::from_secs(10), others).await.unwrap();
        assert!(storm.iter().all(|signature| !signature.is_finished()));
        drop(release);
        long.await.unwrap().unwrap();
        for signature in storm {
            signature.await.unwrap().unwrap();
        }
    }
}
