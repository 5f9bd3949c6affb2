//! Extension negotiation (RFC 8308): what this server announces, and what it hears.

use wire::message::{ExtInfo, server_sig_algs};
use wire::names::SignatureAlgorithm;

use crate::error::Error;
use crate::settings::Settings;

/// The client takes a second SSH_MSG_EXT_INFO while it authenticates (OpenSSH PROTOCOL section
/// 1.11).
const IN_AUTHENTICATION: &[u8] = b"ext-info-in-auth@openssh.com";

/// Signature algorithms for `publickey` (RFC 8308 section 3.1).
const SERVER_SIG_ALGS: &[u8] = b"server-sig-algs";

/// publickey-hostbound-v00@openssh.com is understood (OpenSSH PROTOCOL section 3.1).
const HOSTBOUND: &[u8] = b"publickey-hostbound@openssh.com";

/// SSH2_MSG_PING is answered (OpenSSH PROTOCOL section 1.9).
const PING: &[u8] = b"ping@openssh.com";

/// The version of extensions that have had one only.
const VERSION: &[u8] = b"0";

/// Whether the client listens to SSH_MSG_EXT_INFO once more, when it has named the user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum SecondExtInfo {
    /// It has not said so, or was told.
    #[default]
    Unwanted,
    /// It does.
    Wanted,
}

/// Payload of our first SSH_MSG_EXT_INFO, right after the first SSH_MSG_NEWKEYS.
pub(crate) fn announcement(settings: &Settings) -> Vec<u8> {
    let algorithms = server_sig_algs(&settings.pubkey_algorithms);
    encode(vec![
        (SERVER_SIG_ALGS, algorithms.as_bytes()),
        (HOSTBOUND, VERSION),
        (PING, VERSION),
    ])
}

/// Payload of the second one: what depends on the user.
pub(crate) fn announcement_for_user(pubkey_algorithms: &[SignatureAlgorithm]) -> Vec<u8> {
    let algorithms = server_sig_algs(pubkey_algorithms);
    encode(vec![(SERVER_SIG_ALGS, algorithms.as_bytes())])
}

fn encode(extensions: Vec<(&[u8], &[u8])>) -> Vec<u8> {
    let mut out = Vec::new();
    ExtInfo { extensions }.encode(&mut out);
    out
}

/// Reads the client's SSH_MSG_EXT_INFO. What it does not know, it ignores (RFC 8308 section 2.5).
pub(crate) fn second_wanted(payload: &[u8]) -> Result<SecondExtInfo, Error> {
    let message = ExtInfo::decode(payload).map_err(Error::malformed(ExtInfo::NUMBER))?;
    let named = |(name, value): &(&[u8], &[u8])| *name == IN_AUTHENTICATION && *value == VERSION;
    Ok(match message.extensions.iter().any(named) {
        true => SecondExtInfo::Wanted,
        false => SecondExtInfo::Unwanted,
    })
}
