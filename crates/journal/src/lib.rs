//! What the server tells the administrator: `tracing` events as entries of the systemd journal.
//!
//! ```text
//!  info!(…)  in span conn{conn, peer, …}
//!      │
//!      ▼
//!  layer     one event, the fields of its spans, a level        (fields, message_id)
//!      │
//!      ▼
//!  datagram  the native protocol of systemd-journald, bounded
//!      │
//!      ▼
//!  socket    connected before the sandbox closes, never blocks  (or: standard error)
//! ```
//!
//! A caged process can neither open a path nor make a socket, so the socket is connected before the cage closes. The
//! worker has none: over the native protocol whoever takes it over could write any field under the server's name, and
//! only `_PID`, `_UID` and `_SYSTEMD_UNIT` would tell. It reports to the monitor, which writes.
//!
//! Text that came from the peer goes through [`Escaped`] where the event is made. The layer escapes control characters
//! once more in everything, so that a forgotten `Escaped` is a blemish and not a hole. What a stranger can trigger goes
//! through a [`RateLimit`].

#![forbid(unsafe_code)]

mod datagram;
mod escaped;
mod facility;
pub mod fields;
mod layer;
pub mod message_id;
mod priority;
mod rate_limit;
mod socket;

pub use escaped::Escaped;
pub use facility::Facility;
pub use layer::{Destination, Identity, Layer, LevelFilter, Role, Threshold, init, set_level};
pub use priority::Priority;
pub use rate_limit::{RateLimit, Verdict};
pub use socket::connect;
pub use tracing::subscriber::SetGlobalDefaultError;
