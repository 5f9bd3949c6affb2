//! SSH_MSG_KEXINIT: what each side offers and what follows from it (RFC 4253 section 7.1).

use wire::message::{KexInit, NameList};
use wire::names::{
    CipherAlgorithm, CompressionAlgorithm, KexAlgorithm, MacAlgorithm, SignatureAlgorithm,
};

use crate::cipher::{DirectionAlgorithms, authenticates};
use crate::error::{Error, Failure, Incompatibility};
use crate::peer_text::printable;
use crate::settings::Settings;

/// The client wants SSH_MSG_EXT_INFO (RFC 8308 section 2.1).
const EXT_INFO_CLIENT: &str = "ext-info-c";
/// We want it, too.
const EXT_INFO_SERVER: &str = "ext-info-s";
/// The client can do strict key exchange (OpenSSH PROTOCOL section 1.10).
const STRICT_CLIENT: &str = "kex-strict-c-v00@openssh.com";
/// So can we.
const STRICT_SERVER: &str = "kex-strict-s-v00@openssh.com";

/// How much of a list that does not fit is kept for the log.
const OFFER_LIMIT: usize = 512;

/// Strict key exchange, the answer to the Terrapin attack (CVE-2023-48795): nothing but the key
/// exchange during the first one, and sequence numbers start again with each key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrictKex {
    /// Both sides can do it.
    On,
    /// The client cannot.
    Off,
}

/// Whether the client listens to SSH_MSG_EXT_INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtInfoWish {
    /// It does.
    Wanted,
    /// It does not, or this is not the first exchange.
    Unwanted,
}

/// Which key exchange of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    /// The pseudo-algorithms of RFC 8308 and of strict key exchange have a meaning.
    First,
    /// They have none any more: what the first exchange found stays.
    Again(StrictKex),
}

/// The client may have sent the method's first message on a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guess {
    /// Nothing to skip.
    NoneOrRight,
    /// "first_kex_packet_follows", but other algorithms were negotiated: that packet is skipped.
    Wrong,
}

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// Key exchange method.
    pub kex: KexAlgorithm,
    /// Host key algorithm.
    pub host_key: SignatureAlgorithm,
    /// What the client sends with.
    pub client_to_server: DirectionAlgorithms,
    /// What we send with.
    pub server_to_client: DirectionAlgorithms,
    /// What the client compresses with.
    pub compression_client_to_server: CompressionAlgorithm,
    /// What we compress with.
    pub compression_server_to_client: CompressionAlgorithm,
    /// For the whole connection.
    pub strict: StrictKex,
    pub(crate) ext_info: ExtInfoWish,
    pub(crate) guess: Guess,
}

/// Payload of our own SSH_MSG_KEXINIT.
pub(crate) fn ours(settings: &Settings, cookie: [u8; 16], round: Round) -> Result<Vec<u8>, Error> {
    let mut kex: Vec<&str> = settings.kex.iter().map(|kex| kex.name()).collect();
    match round {
        Round::First => kex.extend([EXT_INFO_SERVER, STRICT_SERVER]),
        Round::Again(_) => {}
    }
    let kex = kex.join(",");
    let host_keys = join(&settings.host_key_algorithms(), SignatureAlgorithm::name);
    let ciphers = join(&settings.ciphers, CipherAlgorithm::name);
    let macs = join(&settings.macs, MacAlgorithm::name);
    let compression = join(&settings.compression, CompressionAlgorithm::name);
    let list = |names| NameList::new(names).map_err(|_| Error::from(Failure::Settings));
    let message = KexInit {
        cookie,
        kex_algorithms: list(&kex)?,
        server_host_key_algorithms: list(&host_keys)?,
        encryption_algorithms_client_to_server: list(&ciphers)?,
        encryption_algorithms_server_to_client: list(&ciphers)?,
        mac_algorithms_client_to_server: list(&macs)?,
        mac_algorithms_server_to_client: list(&macs)?,
        compression_algorithms_client_to_server: list(&compression)?,
        compression_algorithms_server_to_client: list(&compression)?,
        languages_client_to_server: list("")?,
        languages_server_to_client: list("")?,
        first_kex_packet_follows: 0,
        reserved: 0,
    };
    let mut out = Vec::new();
    message.encode(&mut out);
    Ok(out)
}

/// What follows from the client's SSH_MSG_KEXINIT and our settings.
pub(crate) fn negotiate(
    settings: &Settings,
    round: Round,
    client: &KexInit<'_>,
) -> Result<Negotiated, Error> {
    let kex = choose(
        "key exchange method",
        client.kex_algorithms,
        &settings.kex,
        KexAlgorithm::from_name,
    )?;
    let host_keys = settings.host_key_algorithms();
    let host_key = choose(
        "host key type",
        client.server_host_key_algorithms,
        &host_keys,
        SignatureAlgorithm::from_name,
    )?;
    let client_to_server = direction(
        settings,
        client.encryption_algorithms_client_to_server,
        client.mac_algorithms_client_to_server,
    )?;
    let server_to_client = direction(
        settings,
        client.encryption_algorithms_server_to_client,
        client.mac_algorithms_server_to_client,
    )?;
    let compression = |offer| {
        choose(
            "compression method",
            offer,
            &settings.compression,
            CompressionAlgorithm::from_name,
        )
    };
    let compression_client_to_server = compression(client.compression_algorithms_client_to_server)?;
    let compression_server_to_client = compression(client.compression_algorithms_server_to_client)?;
    let (strict, ext_info) = match round {
        Round::First => (
            match client.kex_algorithms.contains(STRICT_CLIENT) {
                true => StrictKex::On,
                false => StrictKex::Off,
            },
            match client.kex_algorithms.contains(EXT_INFO_CLIENT) {
                true => ExtInfoWish::Wanted,
                false => ExtInfoWish::Unwanted,
            },
        ),
        Round::Again(strict) => (strict, ExtInfoWish::Unwanted),
    };
    // A guess is right if the first names of both sides are the same.
    let guessed_right = client.kex_algorithms.first() == settings.kex.first().map(|kex| kex.name())
        && client.server_host_key_algorithms.first() == host_keys.first().map(|key| key.name());
    let guess = match (client.first_kex_packet_follows, guessed_right) {
        (0, _) | (_, true) => Guess::NoneOrRight,
        (_, false) => Guess::Wrong,
    };
    Ok(Negotiated {
        kex,
        host_key,
        client_to_server,
        server_to_client,
        compression_client_to_server,
        compression_server_to_client,
        strict,
        ext_info,
        guess,
    })
}

fn direction(
    settings: &Settings,
    ciphers: NameList<'_>,
    macs: NameList<'_>,
) -> Result<DirectionAlgorithms, Error> {
    let cipher = choose(
        "cipher",
        ciphers,
        &settings.ciphers,
        CipherAlgorithm::from_name,
    )?;
    let mac = match authenticates(cipher) {
        true => None,
        false => Some(choose(
            "MAC",
            macs,
            &settings.macs,
            MacAlgorithm::from_name,
        )?),
    };
    Ok(DirectionAlgorithms { cipher, mac })
}

/// The first name of the client's list that is on ours as well.
fn choose<A: Copy + PartialEq>(
    what: &'static str,
    offer: NameList<'_>,
    ours: &[A],
    from_name: fn(&str) -> Option<A>,
) -> Result<A, Error> {
    offer
        .names()
        .filter_map(from_name)
        .find(|algorithm| ours.contains(algorithm))
        .ok_or_else(|| no_common(what, offer))
}

fn no_common(what: &'static str, offer: NameList<'_>) -> Error {
    let offer = printable(offer.as_str().as_bytes(), OFFER_LIMIT);
    Incompatibility::NoCommon { what, offer }.into()
}

fn join<A: Copy>(algorithms: &[A], name: fn(A) -> &'static str) -> String {
    algorithms
        .iter()
        .map(|algorithm| name(*algorithm))
        .collect::<Vec<_>>()
        .join(",")
}

/// Reads the client's SSH_MSG_KEXINIT.
pub(crate) fn decode(payload: &[u8]) -> Result<KexInit<'_>, Error> {
    KexInit::decode(payload).map_err(Error::malformed(KexInit::NUMBER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{HostKey, RekeyLimit};

    fn settings() -> Settings {
        Settings {
            software_version: "test".to_owned(),
            host_keys: vec![HostKey {
                public_key: b"key".to_vec(),
                algorithms: vec![SignatureAlgorithm::Ed25519],
            }],
            kex: KexAlgorithm::ALL.to_vec(),
            ciphers: CipherAlgorithm::ALL.to_vec(),
            macs: MacAlgorithm::ALL.to_vec(),
            compression: CompressionAlgorithm::ALL.to_vec(),
            pubkey_algorithms: Vec::new(),
            rekey: RekeyLimit::default(),
        }
    }

    fn list(names: &str) -> NameList<'_> {
        NameList::new(names).unwrap()
    }

    fn offer<'a>(kex: &'a str, host_key: &'a str, cipher: &'a str) -> KexInit<'a> {
        KexInit {
            cookie: [0; 16],
            kex_algorithms: list(kex),
            server_host_key_algorithms: list(host_key),
            encryption_algorithms_client_to_server: list(cipher),
            encryption_algorithms_server_to_client: list(cipher),
            mac_algorithms_client_to_server: list("hmac-md5"),
            mac_algorithms_server_to_client: list("hmac-md5"),
            compression_algorithms_client_to_server: list("zlib,none"),
            compression_algorithms_server_to_client: list("none"),
            languages_client_to_server: list(""),
            languages_server_to_client: list(""),
            first_kex_packet_follows: 0,
            reserved: 0,
        }
    }

    fn what(error: &Error) -> &'static str {
        match error {
            Error::Incompatible(Incompatibility::NoCommon { what, .. }) => what,
            _ => panic!("{error}"),
        }
    }

    #[test]
    fn the_clients_preference_decides() {
        let client = offer(
            "unknown,curve25519-sha256@libssh.org,mlkem768x25519-sha256",
            "ssh-rsa,ssh-ed25519",
            "aes256-gcm@openssh.com,aes128-gcm@openssh.com",
        );
        let negotiated = negotiate(&settings(), Round::First, &client).unwrap();
        assert_eq!(negotiated.kex, KexAlgorithm::Curve25519Sha256Libssh);
        assert_eq!(negotiated.host_key, SignatureAlgorithm::Ed25519);
        assert_eq!(
            negotiated.client_to_server.cipher,
            CipherAlgorithm::Aes256Gcm
        );
        assert_eq!(negotiated.client_to_server.mac, None);
        assert_eq!(negotiated.strict, StrictKex::Off);
        assert_eq!(negotiated.ext_info, ExtInfoWish::Unwanted);
    }

    #[test]
    fn each_missing_algorithm_is_named() {
        let aes = "aes128-gcm@openssh.com";
        for (client, expected) in [
            (offer("x", "ssh-ed25519", aes), "key exchange method"),
            (offer("curve25519-sha256", "x", aes), "host key type"),
            (offer("curve25519-sha256", "ssh-ed25519", "x"), "cipher"),
            // Not an AEAD cipher, so the MAC matters, and hmac-md5 is not ours.
            (
                offer("curve25519-sha256", "ssh-ed25519", "aes256-ctr"),
                "MAC",
            ),
        ] {
            let error = negotiate(&settings(), Round::First, &client).unwrap_err();
            assert_eq!(what(&error), expected);
        }
        let mut client = offer("curve25519-sha256", "ssh-ed25519", aes);
        client.compression_algorithms_server_to_client = list("zlib");
        let error = negotiate(&settings(), Round::First, &client).unwrap_err();
        assert_eq!(what(&error), "compression method");
    }

    #[test]
    fn compression_is_chosen_for_each_direction_by_the_client_and_never_from_the_first_keys_on() {
        let mut client = offer("curve25519-sha256", "ssh-ed25519", "aes128-gcm@openssh.com");
        client.compression_algorithms_client_to_server = list("zlib,zlib@openssh.com,none");
        client.compression_algorithms_server_to_client = list("none,zlib@openssh.com");
        let negotiated = negotiate(&settings(), Round::First, &client).unwrap();
        assert_eq!(
            (
                negotiated.compression_client_to_server,
                negotiated.compression_server_to_client
            ),
            (
                CompressionAlgorithm::ZlibDelayed,
                CompressionAlgorithm::None
            )
        );
        let without = Settings {
            compression: vec![CompressionAlgorithm::None],
            ..settings()
        };
        let negotiated = negotiate(&without, Round::First, &client).unwrap();
        assert_eq!(
            negotiated.compression_client_to_server,
            CompressionAlgorithm::None
        );
    }

    #[test]
    fn pseudo_algorithms_count_in_the_first_exchange_only() {
        let client = offer(
            "curve25519-sha256,ext-info-c,kex-strict-c-v00@openssh.com",
            "ssh-ed25519",
            "aes128-gcm@openssh.com",
        );
        let first = negotiate(&settings(), Round::First, &client).unwrap();
        assert_eq!(
            (first.strict, first.ext_info),
            (StrictKex::On, ExtInfoWish::Wanted)
        );
        let again = negotiate(&settings(), Round::Again(StrictKex::Off), &client).unwrap();
        assert_eq!(
            (again.strict, again.ext_info),
            (StrictKex::Off, ExtInfoWish::Unwanted)
        );

        let names = |round| {
            let payload = ours(&settings(), [0; 16], round).unwrap();
            decode(&payload).unwrap().kex_algorithms.as_str().to_owned()
        };
        assert!(names(Round::First).ends_with(",ext-info-s,kex-strict-s-v00@openssh.com"));
        let again = names(Round::Again(StrictKex::On));
        assert!(!again.contains("kex-strict") && !again.contains("ext-info"));
    }

    #[test]
    fn a_pseudo_algorithm_is_never_chosen() {
        let client = offer(
            "ext-info-c,kex-strict-s-v00@openssh.com",
            "ssh-ed25519",
            "x",
        );
        let error = negotiate(&settings(), Round::First, &client).unwrap_err();
        assert_eq!(what(&error), "key exchange method");
    }

    #[test]
    fn a_guess_is_right_only_if_both_first_names_are_ours() {
        let guess = |kex, host_key| {
            let mut client = offer(kex, host_key, "aes128-gcm@openssh.com");
            client.first_kex_packet_follows = 1;
            negotiate(&settings(), Round::First, &client).unwrap().guess
        };
        assert_eq!(
            guess("mlkem768x25519-sha256", "ssh-ed25519"),
            Guess::NoneOrRight
        );
        assert_eq!(guess("curve25519-sha256", "ssh-ed25519"), Guess::Wrong);
        assert_eq!(
            guess("mlkem768x25519-sha256", "ssh-rsa,ssh-ed25519"),
            Guess::Wrong
        );
        let silent = offer("curve25519-sha256", "ssh-ed25519", "aes128-gcm@openssh.com");
        let negotiated = negotiate(&settings(), Round::First, &silent).unwrap();
        assert_eq!(negotiated.guess, Guess::NoneOrRight);
    }
}
