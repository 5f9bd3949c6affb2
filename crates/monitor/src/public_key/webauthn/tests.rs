use std::fs::File;
use std::process::Command;

use aws_lc_rs::digest;
use base64ct::Base64;
use wire::codec::Write;
use wire::names::SignatureAlgorithm;

use super::*;
use crate::public_key::{PublicKey, RequiredRsaSize};
use crate::testing::{Directory, Page, SecurityKey};

const WEBAUTHN: SignatureAlgorithm = SignatureAlgorithm::WebauthnSkEcdsaNistp256;

struct Token {
    key: SecurityKey,
    public: PublicKey,
}

impl Token {
    fn new() -> Self {
        let key = SecurityKey::ecdsa();
        let public = PublicKey::parse(&key.blob(), RequiredRsaSize(2048)).unwrap();
        Self { key, public }
    }

    fn accepts(&self, data: &[u8], page: &Page, flags: u8) -> bool {
        let signature = self.key.sign_for_page(page, flags, 1);
        self.public.verify(WEBAUTHN, data, &signature).is_ok()
    }
}

#[test]
fn a_page_has_something_signed_that_counts_for_nothing_else() {
    let token = Token::new();
    let good = token.key.sign_for_page(&Page::about(b"x"), 0x05, 7);
    let verify = |data, signature: &[u8]| token.public.verify(WEBAUTHN, data, signature);
    let said = verify(b"x", &good).unwrap().unwrap();
    assert!(said.user_present() && said.user_verified());
    assert_eq!(said.counter(), 7);
    assert_eq!(verify(b"y", &good), Err(BadSignature));
    let longer = [good.as_slice(), &[0]].concat();
    assert_eq!(verify(b"x", &longer), Err(BadSignature));
    for cut in 0..good.len() {
        assert_eq!(verify(b"x", &good[..cut]), Err(BadSignature));
    }
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(verify(b"x", &bad), Err(BadSignature), "bit {bit}");
    }
}

#[test]
fn client_data_begins_as_a_browser_writes_it() {
    let token = Token::new();
    let data = b"data to be signed";
    assert!(token.accepts(data, &Page::about(data), 1));
    let with = |from: &str, to: &str| {
        let page = Page::about(data);
        let client_data = page.client_data.replace(from, to);
        assert_ne!(client_data, page.client_data);
        Page {
            client_data,
            ..page
        }
    };
    let challenge = Base64UrlUnpadded::encode_string(data);
    let other = Base64UrlUnpadded::encode_string(b"other data");
    // What a later version of the standard adds.
    assert!(token.accepts(data, &with("false}", "true,\"more\":1}"), 1));
    for page in [
        with("webauthn.get", "webauthn.create"),
        with(&challenge, &other),
        with(&challenge, &Base64::encode_string(data)),
        with("{\"type\"", " {\"type\""),
        with("login.example.com", "evil.example.com"),
        with("https://login", "https://\\u006cogin"),
    ] {
        assert!(!token.accepts(data, &page, 1), "{}", page.client_data);
    }
}

#[test]
fn an_origin_brings_no_challenge_of_its_own() {
    let token = Token::new();
    let mut page = Page::about(b"x");
    let origin = format!("{}\",\"crossOrigin\":false,\"z\":\"", page.origin);
    page.client_data = page.client_data.replace(&page.origin, &origin);
    page.origin = origin;
    assert!(!token.accepts(b"x", &page, 1));
}

#[test]
fn flags_say_whether_there_are_extensions_and_of_no_new_key() {
    let token = Token::new();
    for (flags, extensions, fits) in [
        (0x01, b"".as_slice(), true),
        (0x00, b"", true),
        (0x81, b"\xa0", true),
        (0x81, b"", false),
        (0x01, b"\xa0", false),
        (0x41, b"", false),
        (0xc1, b"\xa0", false),
    ] {
        let page = Page {
            extensions,
            ..Page::about(b"x")
        };
        assert_eq!(token.accepts(b"x", &page, flags), fits, "{flags:x}");
    }
}

/// OpenSSH judges the token that the other tests rest on, by a signature of PROTOCOL.sshsig.
#[test]
fn openssh_accepts_what_the_token_signs() {
    let directory = Directory::new();
    let token = Token::new();
    let hash = digest::digest(&digest::SHA512, b"text");
    let fields = |head: &mut Vec<u8>| {
        head.put_string(b"test");
        head.put_string(b"");
        head.put_string(b"sha512");
    };
    let mut signed = b"SSHSIG".to_vec();
    fields(&mut signed);
    signed.put_string(hash.as_ref());
    let mut blob = b"SSHSIG".to_vec();
    blob.put_uint32(1);
    blob.put_string(&token.key.blob());
    fields(&mut blob);
    blob.put_string(&token.key.sign_for_page(&Page::about(&signed), 1, 1));
    let armored = format!(
        "-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n",
        Base64::encode_string(&blob)
    );
    let accepts = |text: &str| {
        let text = directory.write("text", text);
        let check = Command::new("ssh-keygen")
            .args(["-q", "-Y", "check-novalidate", "-n", "test", "-s"])
            .arg(directory.write("signature", &armored))
            .stdin(File::open(text).unwrap())
            .status();
        check.unwrap().success()
    };
    assert!(accepts("text"));
    assert!(!accepts("another text"));
}
