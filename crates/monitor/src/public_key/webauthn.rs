//! Signatures that an authenticator made for a web page (OpenSSH PROTOCOL.u2f, "webauthn signatures").
//!
//! A browser does not pass on what is to be signed. It has a text of its own signed, the client data
//! (W3C Web Authentication section 5.8.1), in which the page's origin stands and what was to be signed
//! is the challenge. The text is JSON whose beginning has one form only (section 5.8.1.1), so it is
//! built here and compared, and nothing is parsed.
//!
//! Which page may ask is not decided here: the browser does, by the key's application, which is the
//! domain of the page. Whoever lists such a key trusts that domain.

use base64ct::{Base64UrlUnpadded, Encoding};
use wire::codec::{DecodeError, Reader};

use super::verification::{Authenticator, BadSignature};

/// Longest origin of a page: a scheme, a DNS name and a port.
const ORIGIN_LIMIT: usize = 1024;
/// Longest client data. It repeats the signed data in Base64, a certificate included.
const CLIENT_DATA_LIMIT: usize = 64 * 1024;
/// Longest extensions: a few numbers in CBOR.
const EXTENSIONS_LIMIT: usize = 1024;

/// Flag "AT": the data is that of a new key, and no signature for a login.
const ATTESTED_CREDENTIAL: u8 = 0x40;
/// Flag "ED": extensions are there.
const EXTENSION_DATA: u8 = 0x80;

/// What stands behind the numbers of a signature.
pub(super) struct Assertion<'a> {
    said: Authenticator,
    client_data: &'a [u8],
    extensions: &'a [u8],
}

impl<'a> Assertion<'a> {
    /// Reads one that is about `data`.
    ///
    /// # Errors
    /// It is malformed, or about something else.
    pub(super) fn read(rest: &'a [u8], data: &[u8]) -> Result<Self, BadSignature> {
        let fields = Fields::read(rest).map_err(|_| BadSignature)?;
        let Fields {
            said,
            origin,
            client_data,
            extensions,
        } = fields;
        // A quotation mark would end the origin, and let it bring a challenge of its own.
        let fits = !origin.contains('"')
            && client_data.starts_with(beginning(data, origin).as_bytes())
            && !said.has(ATTESTED_CREDENTIAL)
            && said.has(EXTENSION_DATA) != extensions.is_empty();
        match fits {
            true => Ok(Self {
                said,
                client_data,
                extensions,
            }),
            false => Err(BadSignature),
        }
    }

    /// What the authenticator said.
    pub(super) fn said(&self) -> Authenticator {
        self.said
    }

    /// The bytes that it signed.
    pub(super) fn signed_data(&self, application: &[u8]) -> Vec<u8> {
        let (extensions, client_data) = (self.extensions, self.client_data);
        self.said.signed_data(application, extensions, client_data)
    }
}

/// How client data begins. Members that follow are the browser's.
fn beginning(data: &[u8], origin: &str) -> String {
    let challenge = Base64UrlUnpadded::encode_string(data);
    format!(r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{origin}""#)
}

/// The fields behind the numbers, as they stand there.
struct Fields<'a> {
    said: Authenticator,
    origin: &'a str,
    client_data: &'a [u8],
    extensions: &'a [u8],
}

impl<'a> Fields<'a> {
    fn read(rest: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(rest);
        let fields = Self {
            said: Authenticator::read(&mut reader)?,
            origin: reader.text(ORIGIN_LIMIT)?,
            client_data: reader.string(CLIENT_DATA_LIMIT)?,
            extensions: reader.string(EXTENSIONS_LIMIT)?,
        };
        reader.finish()?;
        Ok(fields)
    }
}

#[cfg(test)]
mod tests;
