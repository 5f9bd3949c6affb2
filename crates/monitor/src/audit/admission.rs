//! Who is not let in, and why not.

use std::net::IpAddr;
use std::time::Duration;

use journal::message_id::{ADMISSION_REFUSED, PENALISED};
use journal::{RateLimit, Verdict};
use rpc::{Endpoints, Network};
use tracing::{debug, error, info, trace};

use crate::admission::{Effect, Force, Limits, Offence, Reason, Remark};
use crate::connections::Administrator;

/// A connection was dropped. With a remark it is the one of a flood that everybody sees.
pub fn dropped(endpoints: Endpoints, number: u32, reason: Reason, remark: Option<Remark>) {
    static STARTUPS: RateLimit = RateLimit::new(10, Duration::from_secs(10));
    static PENALTIES: RateLimit = RateLimit::new(10, Duration::from_secs(10));
    let limit = match reason {
        Reason::MaxStartups | Reason::PerSourceMaxStartups => &STARTUPS,
        Reason::Penalty(_) => &PENALTIES,
    };
    let Verdict::Log { suppressed } = limit.check() else {
        return;
    };
    let (peer, local) = (endpoints.peer(), endpoints.local());
    let words = reason.words();
    macro_rules! line {
        ($level:ident) => {
            $level!(
                message_id = ADMISSION_REFUSED,
                peer = %peer.address(),
                peer_port = peer.port(),
                reason = reason.cause(),
                suppressed,
                "drop connection #{number} from [{}]:{} on [{}]:{} {words}",
                peer.address(),
                peer.port(),
                local.address(),
                local.port(),
            )
        };
    }
    match (reason, remark) {
        (Reason::Penalty(_), _) | (_, Some(_)) => line!(info),
        (Reason::MaxStartups | Reason::PerSourceMaxStartups, None) => line!(debug),
    }
}

/// A flood begins, goes on or is over.
pub fn throttling(remark: Remark) {
    // With a limit per source one stranger can begin and another end it many times a second.
    static REMARKS: RateLimit = RateLimit::new(4, Duration::from_secs(60));
    if let Verdict::Log { suppressed } = REMARKS.check() {
        match remark {
            Remark::Begins | Remark::GoesOn(_) => error!(suppressed, "{remark}"),
            Remark::IsOver(_) => info!(suppressed, "{remark}"),
        }
    }
}

/// A source has a penalty.
pub fn penalised(peer: IpAddr, offence: Offence, effect: Effect, limits: &Limits) {
    static ACTIVE: RateLimit = RateLimit::new(20, Duration::from_secs(10));
    static OTHERS: RateLimit = RateLimit::new(20, Duration::from_secs(10));
    let limit = match effect {
        Effect::New(Force::Active) | Effect::Activated(_) => &ACTIVE,
        Effect::New(Force::Deferred) | Effect::Prolonged(..) | Effect::NoRoom => &OTHERS,
    };
    let Verdict::Log { suppressed } = limit.check() else {
        return;
    };
    let source = limits.source(peer);
    let family = match source.address() {
        IpAddr::V4(_) => "ipv4",
        IpAddr::V6(_) => "ipv6",
    };
    let (peer, reason) = (format!("{peer}/{}", source.prefix()), offence.reason());
    macro_rules! line {
        ($level:ident, $($text:tt)+) => {
            $level!(
                message_id = PENALISED,
                source = %source,
                reason,
                suppressed,
                $($text)+
            )
        };
    }
    match effect {
        Effect::New(Force::Active) => {
            let time = seconds(limits.time(offence));
            line!(
                info,
                "srclimit_penalise: {family}: new {peer} active penalty of {time} seconds for {reason}"
            );
        }
        Effect::New(Force::Deferred) => {
            let time = seconds(limits.time(offence));
            line!(
                debug,
                "srclimit_penalise: {family}: new {peer} deferred penalty of {time} seconds for {reason}"
            );
        }
        Effect::Activated(left) => {
            let left = seconds(left);
            line!(
                info,
                "srclimit_penalise: {peer}: activating {family} penalty of {left} seconds for {reason}"
            );
        }
        Effect::Prolonged(_, left) => {
            let left = seconds(left);
            line!(
                trace,
                "srclimit_penalise: {family} penalty for {peer} has {left} seconds remaining"
            );
        }
        Effect::NoRoom => {
            line!(
                debug,
                "srclimit_penalise: {family} penalty table full, cannot penalise {peer} for {reason}"
            );
        }
    }
}

/// An administrator took penalties away.
pub fn penalties_cleared(network: Option<Network>, count: usize, by: Administrator) {
    match network {
        Some(network) => info!("{count} penalties of {network} cleared by {by}"),
        None => info!("all {count} penalties cleared by {by}"),
    }
}

/// An administrator exempted a network.
pub fn exempted(network: Network, by: Administrator) {
    info!("{network} exempted from penalties by {by}");
}

fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}
