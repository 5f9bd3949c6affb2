//! Logins that failed, for btmp and lastb(1).

use accounts::Source;
use rpc::accounting::{self, FailedLogin};
use tracing::trace;
use wire::userauth::UserName;

use crate::recorded_host::NameLimit;

/// Has one recorded. It never waits, and takes the same for every user.
pub(crate) fn record(user: &UserName, source: &Source, limit: NameLimit) {
    if let Err(error) = accounting::failed_login(&failed(user, source, limit)) {
        // Nobody's login depends on it, and strangers could fill the journal with it.
        trace!("this failure is not recorded: {error}");
    }
}

fn failed(user: &UserName, source: &Source, limit: NameLimit) -> FailedLogin {
    FailedLogin {
        user: user.as_str().to_owned(),
        host: match source.address {
            Some(address) => limit.shown(&source.host, address),
            // Then it has no name either.
            None => source.host.clone(),
        },
        address: source.address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_name_that_is_too_long_the_address_is_recorded() {
        let user = UserName::new("alice").unwrap();
        let source = Source {
            host: "client.example".to_owned(),
            address: Some([192, 0, 2, 1].into()),
        };
        let host = |limit| failed(&user, &source, limit).host;
        assert_eq!(host(NameLimit::default()), "client.example");
        assert_eq!(host(NameLimit::new(0).unwrap()), "192.0.2.1");
        let nowhere = Source {
            host: "UNKNOWN".to_owned(),
            address: None,
        };
        let failed = failed(&user, &nowhere, NameLimit::new(0).unwrap());
        assert_eq!(failed.host, "UNKNOWN");
    }
}
