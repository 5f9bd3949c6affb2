//! Public keys as text: a type and base64, as in `id_ed25519.pub`, known_hosts and TrustedUserCAKeys.

use aws_lc_rs::digest;
use base64ct::{Base64, Base64Unpadded, Encoding};
use wire::codec::Reader;
use wire::names::KeyType;

/// The longest line, in bytes. A certificate for an RSA key of 16384 bits by such an authority takes 12 KiB.
pub(crate) const LINE_LIMIT: usize = 64 * 1024;

/// The longest name of a key type, RFC 4250 section 4.6.1.
const NAME_LIMIT: usize = 64;

/// The lines of a file that are neither empty nor comments, without blanks around them, with their numbers from 1.
pub(crate) fn lines(file: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    file.split(|byte| *byte == b'\n')
        .enumerate()
        .map(|(at, line)| (at.saturating_add(1), line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"))
}

/// The key at the beginning of a text. The type beside it must be the one within; it can be one that nobody knows, which
/// is then the same as no other key.
pub(crate) fn key(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() > LINE_LIMIT {
        return None;
    }
    let (kind, rest) = word(text);
    let key = std::str::from_utf8(word(rest).0).ok()?;
    let blob = Base64::decode_vec(key).ok()?;
    let inner = Reader::new(&blob).string(NAME_LIMIT).ok()? == kind;
    inner.then_some(blob)
}

/// The type of a key as OpenSSH's log has it.
pub(crate) fn log_name(blob: &[u8]) -> &'static str {
    let kind = Reader::new(blob).text(NAME_LIMIT).ok();
    kind.and_then(KeyType::from_name)
        .map_or("unknown", KeyType::log_name)
}

/// The hash of a key as OpenSSH's log has it.
pub(crate) fn fingerprint(blob: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, blob);
    format!("SHA256:{}", Base64Unpadded::encode_string(hash.as_ref()))
}

/// The text up to the first blank, and what follows the blanks.
pub(crate) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let end = text.iter().position(is_blank).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
    (word, rest.trim_ascii_start())
}
