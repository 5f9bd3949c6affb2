//! A list of public keys, one per line.

use super::{Asked, Reason, Unreadable};
use crate::key_text;
use wire::certificate::Certificate;

/// Looks for what is asked. A certificate in the list stands for its key, as in OpenSSH.
pub(super) fn search(file: &[u8], asked: &Asked<'_>) -> Result<Option<Reason>, Unreadable> {
    let mut found = None;
    for (number, line) in key_text::lines(file) {
        let blob = key_text::key(line).ok_or(Unreadable::Line(number))?;
        let plain = Certificate::decode(&blob).map_or(blob, |certificate| certificate.key);
        found = found.or_else(|| asked.named(|key| key.blob == plain));
    }
    Ok(found)
}
