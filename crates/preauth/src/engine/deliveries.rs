//! Descriptors that come through the session's lane, for those who wait for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rpc::lane::{FromSession, Lane, LaneError};
use tokio::sync::oneshot;

use super::channels::Number;
use super::end::EngineEnd;

/// How long a descriptor may be on its way: the session sends it before it answers.
const DEADLINE: Duration = Duration::from_secs(10);

/// Who waits, by channel. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Deliveries(Arc<Mutex<HashMap<Number, oneshot::Sender<FromSession>>>>);

/// What is awaited for one channel.
#[derive(Debug)]
pub(super) struct Delivery {
    deliveries: Deliveries,
    number: Number,
    receiver: oneshot::Receiver<FromSession>,
}

impl Deliveries {
    /// Must be called before the session is asked, so that what it sends finds somebody.
    pub(super) fn expect(&self, number: Number) -> Delivery {
        let (sender, receiver) = oneshot::channel();
        self.lock().insert(number, sender);
        Delivery {
            deliveries: self.clone(),
            number,
            receiver,
        }
    }

    /// Hands out what comes, until the lane ends. What nobody waits for is closed.
    pub(super) async fn run(&self, lane: &Lane) -> EngineEnd {
        loop {
            let message = match lane.receive_from_session().await {
                Ok(message) => message,
                Err(error) => return EngineEnd::Session(error.to_string()),
            };
            let number = match &message {
                FromSession::Descriptors { channel, .. }
                | FromSession::Forwarded { channel, .. }
                | FromSession::Accepted { channel, .. }
                | FromSession::Tunnel { channel, .. } => channel.0,
            };
            let waiting = self.lock().remove(&number);
            if let Some(sender) = waiting {
                drop(sender.send(message));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Number, oneshot::Sender<FromSession>>> {
        // A panic ends the process (profile), so a poisoned state is never seen.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Delivery {
    /// The descriptors, after the session said that they are there.
    ///
    /// # Errors
    /// They are not.
    pub(super) async fn take(self) -> Result<FromSession, LaneError> {
        soon(self.arrival()).await?
    }

    /// The descriptors, whenever they come.
    ///
    /// # Errors
    /// They cannot come any more.
    pub(super) async fn arrival(mut self) -> Result<FromSession, LaneError> {
        (&mut self.receiver).await.map_err(|_| LaneError::Closed)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.deliveries.lock().remove(&self.number);
    }
}

/// What waits for descriptors of which the session said that they are there.
///
/// # Errors
/// They are not.
pub(super) async fn soon<T>(waiting: impl Future<Output = T>) -> Result<T, LaneError> {
    let waited = tokio::time::timeout(DEADLINE, waiting).await;
    waited.map_err(|_elapsed| LaneError::Malformed("descriptors are missing"))
}
