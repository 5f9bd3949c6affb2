//! Key revocation lists, OpenSSH's PROTOCOL.krl.
//!
//! ```text
//!  KRL ─┬─ header
//!       ├─ certificates of an authority, or of any ─┬─ serial numbers: list, range, bitmap
//!       │                                           ├─ key ids
//!       │                                           └─ extension
//!       ├─ keys
//!       ├─ SHA-1 or SHA-256 hashes of keys
//!       ├─ extension
//!       └─ signature: not looked at, as in OpenSSH since 9.4
//! ```
//!
//! The list is walked through, not loaded: whatever it says it takes no memory. It is always walked to its end, since one
//! that is broken anywhere revokes everything.

use super::{Asked, Reason, Unreadable};
use wire::certificate::Certificate;
use wire::codec::{DecodeError, Reader};
use wire::names::KeyType;

/// KRL_MAGIC
pub(super) const MAGIC: &[u8] = b"SSHKRL\n\0";

/// KRL_FORMAT_VERSION
const VERSION: u32 = 1;

/// The longest bitmap in bytes: SSHBUF_MAX_BIGNUM of OpenSSH.
const BITMAP_LIMIT: usize = 2048;

/// The longest name of a key type, RFC 4250 section 4.6.1.
const NAME_LIMIT: usize = 64;

// Sections.
const CERTIFICATES: u8 = 1;
const EXPLICIT_KEY: u8 = 2;
const FINGERPRINT_SHA1: u8 = 3;
const SIGNATURE: u8 = 4;
const FINGERPRINT_SHA256: u8 = 5;
const EXTENSION: u8 = 255;

// Sections about certificates.
const SERIAL_LIST: u8 = 0x20;
const SERIAL_RANGE: u8 = 0x21;
const SERIAL_BITMAP: u8 = 0x22;
const KEY_ID: u8 = 0x23;
const CERTIFICATE_EXTENSION: u8 = 0x39;

type Found = Result<Option<Reason>, Unreadable>;

impl From<DecodeError> for Unreadable {
    fn from(_: DecodeError) -> Self {
        Self::Malformed
    }
}

/// Looks for what is asked, in a list without its magic.
pub(super) fn search(list: &[u8], asked: &Asked<'_>) -> Found {
    let mut reader = Reader::new(list);
    if reader.uint32()? != VERSION {
        return Err(Unreadable::Unsupported);
    }
    // krl_version, generated_date and flags
    for _ in 0..3 {
        reader.uint64()?;
    }
    // reserved and comment
    for _ in 0..2 {
        string(&mut reader)?;
    }
    let mut found = None;
    while !reader.rest().is_empty() {
        let kind = reader.byte()?;
        let contents = Reader::new(string(&mut reader)?);
        let here = match kind {
            CERTIFICATES => certificates(contents, asked)?,
            EXPLICIT_KEY => blobs(contents, None, |blob| asked.named(|key| key.blob == blob))?,
            FINGERPRINT_SHA1 => blobs(contents, Some(20), |hash| {
                asked.named(|key| key.sha1.as_ref() == hash)
            })?,
            FINGERPRINT_SHA256 => blobs(contents, Some(32), |hash| {
                asked.named(|key| key.sha256.as_ref() == hash)
            })?,
            EXTENSION => extension(contents)?,
            // The contents are the key, and the signature itself follows.
            SIGNATURE => {
                string(&mut reader)?;
                None
            }
            _ => return Err(Unreadable::Unsupported),
        };
        found = found.or(here);
    }
    Ok(found)
}

/// Certificates of one authority, or of any.
fn certificates(mut reader: Reader<'_>, asked: &Asked<'_>) -> Found {
    let authority = string(&mut reader)?;
    if !authority.is_empty() {
        let kind = Reader::new(authority).text(NAME_LIMIT)?;
        let plain = KeyType::from_name(kind).is_some_and(|kind| !kind.is_certificate());
        // Of whom this is about can then not be told.
        if !plain {
            return Err(Unreadable::Unsupported);
        }
    }
    string(&mut reader)?; // reserved
    let certificate = asked
        .certificate
        .as_ref()
        .map(|(certificate, _)| *certificate)
        .filter(|certificate| authority.is_empty() || certificate.signature_key == authority);
    let mut found = None;
    while !reader.rest().is_empty() {
        let kind = reader.byte()?;
        let contents = Reader::new(string(&mut reader)?);
        let here = match kind {
            SERIAL_LIST | SERIAL_RANGE | SERIAL_BITMAP => serials(kind, contents, certificate)?,
            KEY_ID => blobs(contents, None, |id| {
                let same =
                    certificate.is_some_and(|certificate| certificate.key_id.as_bytes() == id);
                same.then_some(Reason::KeyId)
            })?,
            CERTIFICATE_EXTENSION => extension(contents)?,
            _ => return Err(Unreadable::Unsupported),
        };
        found = found.or(here);
    }
    Ok(found)
}

/// Whether the certificate's serial number is among these.
fn serials(kind: u8, mut reader: Reader<'_>, certificate: Option<&Certificate>) -> Found {
    // Zero is what authorities give that do not number their certificates.
    let serial = certificate.map(|certificate| certificate.serial);
    let serial = serial.filter(|serial| *serial != 0);
    let mut revoked = false;
    match kind {
        SERIAL_LIST => {
            while !reader.rest().is_empty() {
                let listed = above_zero(reader.uint64()?)?;
                revoked |= serial == Some(listed);
            }
        }
        SERIAL_RANGE => {
            let (low, high) = (above_zero(reader.uint64()?)?, reader.uint64()?);
            if low > high {
                return Err(Unreadable::Malformed);
            }
            revoked = serial.is_some_and(|serial| (low..=high).contains(&serial));
        }
        _ => {
            let first = reader.uint64()?;
            let bitmap = reader.mpint(BITMAP_LIMIT)?;
            if let Some((lowest, highest)) = ends(bitmap) {
                above_zero(first.saturating_add(lowest))?;
                first.checked_add(highest).ok_or(Unreadable::Malformed)?;
            }
            let bit = serial.and_then(|serial| serial.checked_sub(first));
            revoked = bit.is_some_and(|bit| is_set(bitmap, bit));
        }
    }
    reader.finish()?;
    Ok(revoked.then_some(Reason::Serial))
}

fn above_zero(serial: u64) -> Result<u64, Unreadable> {
    match serial {
        0 => Err(Unreadable::Malformed),
        serial => Ok(serial),
    }
}

/// Whether a bit of a big-endian number is set.
fn is_set(bitmap: &[u8], bit: u64) -> bool {
    let byte = usize::try_from(bit / 8).ok();
    let byte = byte.and_then(|byte| bitmap.iter().rev().nth(byte));
    byte.is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
}

/// The lowest and the highest bit that is set.
fn ends(bitmap: &[u8]) -> Option<(u64, u64)> {
    let lowest = bitmap.iter().rev().position(|byte| *byte != 0)?;
    let low_byte = bitmap.iter().rev().nth(lowest)?;
    let lowest = u64::try_from(lowest).ok()? * 8 + u64::from(low_byte.trailing_zeros());
    // A number has no leading zeros.
    let length = u64::try_from(bitmap.len()).ok()?;
    let highest = length * 8 - 1 - u64::from(bitmap.first()?.leading_zeros());
    Some((lowest, highest))
}

/// Strings one after the other, each of this length if one is given.
fn blobs(
    mut reader: Reader<'_>,
    length: Option<usize>,
    named: impl Fn(&[u8]) -> Option<Reason>,
) -> Found {
    let mut found = None;
    while !reader.rest().is_empty() {
        let blob = string(&mut reader)?;
        if length.is_some_and(|length| blob.len() != length) {
            return Err(Unreadable::Malformed);
        }
        found = found.or_else(|| named(blob));
    }
    Ok(found)
}

/// An extension: there is none that is known. One that is critical makes the list unreadable.
fn extension(mut reader: Reader<'_>) -> Found {
    string(&mut reader)?; // name
    let critical = reader.boolean()?;
    string(&mut reader)?; // contents
    reader.finish()?;
    match critical {
        true => Err(Unreadable::Unsupported),
        false => Ok(None),
    }
}

/// A string of whatever length: it is not copied.
fn string<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    reader.string(usize::MAX)
}
