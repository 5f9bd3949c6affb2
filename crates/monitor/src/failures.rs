//! Logins that failed, for btmp and lastb(1).

use accounts::Source;
use rpc::accounting::{self, FailedLogin};
use tracing::trace;
use wire::userauth::UserName;

/// Has one recorded. It never waits, and takes the same for every user.
pub(crate) fn record(user: &UserName, source: &Source) {
    let failed = FailedLogin {
        user: user.as_str().to_owned(),
        host: source.host.clone(),
        address: source.address,
    };
    if let Err(error) = accounting::failed_login(&failed) {
        // Nobody's login depends on it, and strangers could fill the journal with it.
        trace!("this failure is not recorded: {error}");
    }
}
