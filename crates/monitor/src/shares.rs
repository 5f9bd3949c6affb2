//! A bounded number of things at the same time, of which each owner has a share at most.
//!
//! Who has used up the own share waits for the own, and keeps nobody else from going on. Among those who have not, the one
//! who has waited longest is next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Room for a number of things, shared by owners.
#[derive(Debug)]
pub struct Shares<K> {
    all: Semaphore,
    each: usize,
    owners: Mutex<BTreeMap<K, Arc<Semaphore>>>,
}

/// The right to do one thing, given back when dropped.
#[derive(Debug)]
pub struct Share<'a> {
    _own: OwnedSemaphorePermit,
    _of_all: SemaphorePermit<'a>,
}

impl<K: Ord> Shares<K> {
    /// Room for `all` things, of which an owner may have `each`.
    pub const fn new(all: usize, each: usize) -> Self {
        Self {
            all: Semaphore::const_new(all),
            each,
            owners: Mutex::new(BTreeMap::new()),
        }
    }

    /// Waits for room.
    ///
    /// # Errors
    /// Never: room is not taken away.
    pub async fn enter(&self, owner: K) -> Result<Share<'_>, AcquireError> {
        let own = self.share_of(owner).acquire_owned().await?;
        Ok(Share {
            _own: own,
            _of_all: self.all.acquire().await?,
        })
    }

    fn share_of(&self, owner: K) -> Arc<Semaphore> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits or is in holds a copy: nothing is kept of those who have gone.
        owners.retain(|_, share| Arc::strong_count(share) > 1);
        let share = owners.entry(owner);
        Arc::clone(share.or_insert_with(|| Arc::new(Semaphore::new(self.each))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    /// Whether there is room for an owner at once.
    async fn has_room(shares: &Shares<u32>, owner: u32) -> bool {
        timeout(Duration::ZERO, shares.enter(owner)).await.is_ok()
    }

    #[tokio::test]
    async fn one_owner_takes_no_more_than_a_share_and_all_no_more_than_there_is() {
        let shares = Shares::new(3, 2);
        let one = shares.enter(1).await.unwrap();
        let other = shares.enter(1).await.unwrap();
        assert!(!has_room(&shares, 1).await);
        // Who waits for the own share takes none of the others'.
        let waits = shares.enter(1);
        tokio::pin!(waits);
        assert!(timeout(Duration::ZERO, &mut waits).await.is_err());
        let third = shares.enter(2).await.unwrap();
        assert!(!has_room(&shares, 3).await);
        drop(third);
        assert!(has_room(&shares, 3).await);
        drop(one);
        drop(waits.await.unwrap());
        drop(other);
        assert!(has_room(&shares, 1).await);
    }

    #[tokio::test]
    async fn nothing_is_kept_of_who_has_gone() {
        let shares = Shares::new(100, 1);
        for owner in 0..10 {
            drop(shares.enter(owner).await.unwrap());
        }
        let _last = shares.enter(10).await.unwrap();
        assert_eq!(shares.owners.lock().unwrap().len(), 1);
    }
}
