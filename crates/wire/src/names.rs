//! Algorithm names, each with the document that defines it.

/// Hash function of a key exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

/// How the shared secret K enters the exchange hash and the key derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretEncoding {
    /// `mpint` (RFC 4253, RFC 5656, RFC 8731)
    Mpint,
    /// `string` (the hybrid exchanges)
    String,
}

/// Declares an enum of names with `name`, `from_name` and `ALL`.
macro_rules! names {
    ($(#[$outer:meta])* $enum:ident { $($(#[$inner:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $enum { $($(#[$inner])* $variant,)+ }

        impl $enum {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The algorithm of this name, if it is one of ours.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

names! {
    /// Key exchange methods.
    KexAlgorithm {
        /// ML-KEM-768 and X25519 (draft-ietf-sshm-mlkem-hybrid-kex)
        Mlkem768X25519Sha256 = "mlkem768x25519-sha256",
        /// Streamlined NTRU Prime and X25519 (draft-ietf-sshm-ntruprime-ssh)
        Sntrup761X25519Sha512 = "sntrup761x25519-sha512",
        /// The same under the name that OpenSSH 8.5 gave it
        Sntrup761X25519Sha512Openssh = "sntrup761x25519-sha512@openssh.com",
        /// X25519 (RFC 8731)
        Curve25519Sha256 = "curve25519-sha256",
        /// X25519 under the name that it had before RFC 8731
        Curve25519Sha256Libssh = "curve25519-sha256@libssh.org",
        /// RFC 5656
        EcdhSha2Nistp256 = "ecdh-sha2-nistp256",
        /// RFC 5656
        EcdhSha2Nistp384 = "ecdh-sha2-nistp384",
        /// RFC 5656
        EcdhSha2Nistp521 = "ecdh-sha2-nistp521",
        /// RFC 4419
        DhGroupExchangeSha256 = "diffie-hellman-group-exchange-sha256",
        /// RFC 8268
        DhGroup16Sha512 = "diffie-hellman-group16-sha512",
        /// RFC 8268
        DhGroup18Sha512 = "diffie-hellman-group18-sha512",
        /// RFC 8268
        DhGroup14Sha256 = "diffie-hellman-group14-sha256",
    }
}

impl KexAlgorithm {
    /// What is offered without configuration.
    ///
    /// As OpenSSH 10, without the NIST curves: every client that knows them and is still in use
    /// knows X25519. Finite-field groups cost the server too much for strangers (CVE-2002-20001).
    pub const DEFAULT: &[Self] = &[
        Self::Mlkem768X25519Sha256,
        Self::Sntrup761X25519Sha512,
        Self::Sntrup761X25519Sha512Openssh,
        Self::Curve25519Sha256,
        Self::Curve25519Sha256Libssh,
    ];

    /// HASH of the method.
    pub fn hash(self) -> HashAlgorithm {
        match self {
            Self::Mlkem768X25519Sha256
            | Self::Curve25519Sha256
            | Self::Curve25519Sha256Libssh
            | Self::EcdhSha2Nistp256
            | Self::DhGroup14Sha256
            | Self::DhGroupExchangeSha256 => HashAlgorithm::Sha256,
            Self::EcdhSha2Nistp384 => HashAlgorithm::Sha384,
            Self::Sntrup761X25519Sha512
            | Self::Sntrup761X25519Sha512Openssh
            | Self::EcdhSha2Nistp521
            | Self::DhGroup16Sha512
            | Self::DhGroup18Sha512 => HashAlgorithm::Sha512,
        }
    }

    /// Encoding of K.
    pub fn secret_encoding(self) -> SecretEncoding {
        match self {
            Self::Mlkem768X25519Sha256
            | Self::Sntrup761X25519Sha512
            | Self::Sntrup761X25519Sha512Openssh => SecretEncoding::String,
            Self::Curve25519Sha256
            | Self::Curve25519Sha256Libssh
            | Self::EcdhSha2Nistp256
            | Self::EcdhSha2Nistp384
            | Self::EcdhSha2Nistp521
            | Self::DhGroup14Sha256
            | Self::DhGroup16Sha512
            | Self::DhGroup18Sha512
            | Self::DhGroupExchangeSha256 => SecretEncoding::Mpint,
        }
    }
}

names! {
    /// Public key algorithms for signatures, of hosts and of users. A certificate's algorithm says
    /// which form the key has in the message; the signature itself is that of the plain algorithm.
    SignatureAlgorithm {
        /// OpenSSH PROTOCOL.certkeys
        Ed25519Cert = "ssh-ed25519-cert-v01@openssh.com",
        /// OpenSSH PROTOCOL.certkeys
        EcdsaNistp256Cert = "ecdsa-sha2-nistp256-cert-v01@openssh.com",
        /// OpenSSH PROTOCOL.certkeys
        EcdsaNistp384Cert = "ecdsa-sha2-nistp384-cert-v01@openssh.com",
        /// OpenSSH PROTOCOL.certkeys
        EcdsaNistp521Cert = "ecdsa-sha2-nistp521-cert-v01@openssh.com",
        /// OpenSSH PROTOCOL.u2f
        SkEd25519Cert = "sk-ssh-ed25519-cert-v01@openssh.com",
        /// OpenSSH PROTOCOL.u2f
        SkEcdsaNistp256Cert = "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        /// OpenSSH PROTOCOL.u2f, "webauthn signatures"
        WebauthnSkEcdsaNistp256Cert = "webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        /// OpenSSH PROTOCOL.certkeys, RFC 8332
        RsaSha2_512Cert = "rsa-sha2-512-cert-v01@openssh.com",
        /// OpenSSH PROTOCOL.certkeys, RFC 8332
        RsaSha2_256Cert = "rsa-sha2-256-cert-v01@openssh.com",
        /// RFC 8709
        Ed25519 = "ssh-ed25519",
        /// RFC 5656
        EcdsaNistp256 = "ecdsa-sha2-nistp256",
        /// RFC 5656
        EcdsaNistp384 = "ecdsa-sha2-nistp384",
        /// RFC 5656
        EcdsaNistp521 = "ecdsa-sha2-nistp521",
        /// OpenSSH PROTOCOL.u2f
        SkEd25519 = "sk-ssh-ed25519@openssh.com",
        /// OpenSSH PROTOCOL.u2f
        SkEcdsaNistp256 = "sk-ecdsa-sha2-nistp256@openssh.com",
        /// OpenSSH PROTOCOL.u2f, "webauthn signatures": by the same keys, in a web browser
        WebauthnSkEcdsaNistp256 = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
        /// RFC 8332
        RsaSha2_512 = "rsa-sha2-512",
        /// RFC 8332
        RsaSha2_256 = "rsa-sha2-256",
        /// RFC 4253; SHA-1
        RsaSha1 = "ssh-rsa",
        /// OpenSSH PROTOCOL.certkeys; SHA-1
        RsaSha1Cert = "ssh-rsa-cert-v01@openssh.com",
    }
}

impl SignatureAlgorithm {
    /// What is offered and accepted without configuration: everything but SHA-1.
    pub const DEFAULT: &[Self] = &[
        Self::Ed25519Cert,
        Self::EcdsaNistp256Cert,
        Self::EcdsaNistp384Cert,
        Self::EcdsaNistp521Cert,
        Self::SkEd25519Cert,
        Self::SkEcdsaNistp256Cert,
        Self::WebauthnSkEcdsaNistp256Cert,
        Self::RsaSha2_512Cert,
        Self::RsaSha2_256Cert,
        Self::Ed25519,
        Self::EcdsaNistp256,
        Self::EcdsaNistp384,
        Self::EcdsaNistp521,
        Self::SkEd25519,
        Self::SkEcdsaNistp256,
        Self::WebauthnSkEcdsaNistp256,
        Self::RsaSha2_512,
        Self::RsaSha2_256,
    ];

    /// The algorithm of the signature itself, and the name that its blob begins with: for a
    /// certificate's algorithm that of the plain key (OpenSSH PROTOCOL.certkeys).
    pub fn plain(self) -> Self {
        match self {
            Self::Ed25519Cert | Self::Ed25519 => Self::Ed25519,
            Self::EcdsaNistp256Cert | Self::EcdsaNistp256 => Self::EcdsaNistp256,
            Self::EcdsaNistp384Cert | Self::EcdsaNistp384 => Self::EcdsaNistp384,
            Self::EcdsaNistp521Cert | Self::EcdsaNistp521 => Self::EcdsaNistp521,
            Self::SkEd25519Cert | Self::SkEd25519 => Self::SkEd25519,
            Self::SkEcdsaNistp256Cert | Self::SkEcdsaNistp256 => Self::SkEcdsaNistp256,
            Self::WebauthnSkEcdsaNistp256Cert | Self::WebauthnSkEcdsaNistp256 => {
                Self::WebauthnSkEcdsaNistp256
            }
            Self::RsaSha2_512Cert | Self::RsaSha2_512 => Self::RsaSha2_512,
            Self::RsaSha2_256Cert | Self::RsaSha2_256 => Self::RsaSha2_256,
            Self::RsaSha1Cert | Self::RsaSha1 => Self::RsaSha1,
        }
    }

    /// Whether the key has the form of a certificate in the message.
    pub fn is_certificate(self) -> bool {
        self.plain() != self
    }

    /// Whether a host can sign with it here. Private host keys lie in files, so none is on a
    /// security key, and SHA-1 signatures are verified where configured but never made.
    pub fn is_of_hosts(self) -> bool {
        !matches!(
            self.plain(),
            Self::SkEd25519 | Self::SkEcdsaNistp256 | Self::WebauthnSkEcdsaNistp256 | Self::RsaSha1
        )
    }

    /// The key type that the public key blob names.
    pub fn key_type(self) -> KeyType {
        match self {
            Self::Ed25519 => KeyType::Ed25519,
            Self::EcdsaNistp256 => KeyType::EcdsaNistp256,
            Self::EcdsaNistp384 => KeyType::EcdsaNistp384,
            Self::EcdsaNistp521 => KeyType::EcdsaNistp521,
            Self::SkEd25519 => KeyType::SkEd25519,
            Self::SkEcdsaNistp256 | Self::WebauthnSkEcdsaNistp256 => KeyType::SkEcdsaNistp256,
            Self::RsaSha2_512 | Self::RsaSha2_256 | Self::RsaSha1 => KeyType::Rsa,
            Self::Ed25519Cert => KeyType::Ed25519Cert,
            Self::EcdsaNistp256Cert => KeyType::EcdsaNistp256Cert,
            Self::EcdsaNistp384Cert => KeyType::EcdsaNistp384Cert,
            Self::EcdsaNistp521Cert => KeyType::EcdsaNistp521Cert,
            Self::SkEd25519Cert => KeyType::SkEd25519Cert,
            Self::SkEcdsaNistp256Cert | Self::WebauthnSkEcdsaNistp256Cert => {
                KeyType::SkEcdsaNistp256Cert
            }
            Self::RsaSha2_512Cert | Self::RsaSha2_256Cert | Self::RsaSha1Cert => KeyType::RsaCert,
        }
    }
}

names! {
    /// Public key formats: the first string of a public key blob (RFC 4253 section 6.6).
    KeyType {
        /// RFC 8709
        Ed25519 = "ssh-ed25519",
        /// RFC 5656
        EcdsaNistp256 = "ecdsa-sha2-nistp256",
        /// RFC 5656
        EcdsaNistp384 = "ecdsa-sha2-nistp384",
        /// RFC 5656
        EcdsaNistp521 = "ecdsa-sha2-nistp521",
        /// OpenSSH PROTOCOL.u2f
        SkEd25519 = "sk-ssh-ed25519@openssh.com",
        /// OpenSSH PROTOCOL.u2f
        SkEcdsaNistp256 = "sk-ecdsa-sha2-nistp256@openssh.com",
        /// RFC 4253
        Rsa = "ssh-rsa",
        /// OpenSSH PROTOCOL.certkeys
        Ed25519Cert = "ssh-ed25519-cert-v01@openssh.com",
        /// OpenSSH PROTOCOL.certkeys
        EcdsaNistp256Cert = "ecdsa-sha2-nistp256-cert-v01@openssh.com",
        /// OpenSSH PROTOCOL.certkeys
        EcdsaNistp384Cert = "ecdsa-sha2-nistp384-cert-v01@openssh.com",
        /// OpenSSH PROTOCOL.certkeys
        EcdsaNistp521Cert = "ecdsa-sha2-nistp521-cert-v01@openssh.com",
        /// OpenSSH PROTOCOL.u2f
        SkEd25519Cert = "sk-ssh-ed25519-cert-v01@openssh.com",
        /// OpenSSH PROTOCOL.u2f
        SkEcdsaNistp256Cert = "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        /// OpenSSH PROTOCOL.certkeys
        RsaCert = "ssh-rsa-cert-v01@openssh.com",
    }
}

impl KeyType {
    /// The type of the key that a certificate is about; of a plain key, its own.
    pub fn plain(self) -> Self {
        match self {
            Self::Ed25519Cert | Self::Ed25519 => Self::Ed25519,
            Self::EcdsaNistp256Cert | Self::EcdsaNistp256 => Self::EcdsaNistp256,
            Self::EcdsaNistp384Cert | Self::EcdsaNistp384 => Self::EcdsaNistp384,
            Self::EcdsaNistp521Cert | Self::EcdsaNistp521 => Self::EcdsaNistp521,
            Self::SkEd25519Cert | Self::SkEd25519 => Self::SkEd25519,
            Self::SkEcdsaNistp256Cert | Self::SkEcdsaNistp256 => Self::SkEcdsaNistp256,
            Self::RsaCert | Self::Rsa => Self::Rsa,
        }
    }

    /// Whether this is a certificate and not a plain key.
    pub fn is_certificate(self) -> bool {
        self.plain() != self
    }

    /// The type as OpenSSH's log has it.
    pub fn log_name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ED25519",
            Self::EcdsaNistp256 | Self::EcdsaNistp384 | Self::EcdsaNistp521 => "ECDSA",
            Self::SkEd25519 => "ED25519-SK",
            Self::SkEcdsaNistp256 => "ECDSA-SK",
            Self::Rsa => "RSA",
            Self::Ed25519Cert => "ED25519-CERT",
            Self::EcdsaNistp256Cert | Self::EcdsaNistp384Cert | Self::EcdsaNistp521Cert => {
                "ECDSA-CERT"
            }
            Self::SkEd25519Cert => "ED25519-SK-CERT",
            Self::SkEcdsaNistp256Cert => "ECDSA-SK-CERT",
            Self::RsaCert => "RSA-CERT",
        }
    }
}

names! {
    /// Encryption algorithms.
    CipherAlgorithm {
        /// OpenSSH PROTOCOL.chacha20poly1305
        Chacha20Poly1305 = "chacha20-poly1305@openssh.com",
        /// OpenSSH PROTOCOL section 1.6, RFC 5647
        Aes128Gcm = "aes128-gcm@openssh.com",
        /// OpenSSH PROTOCOL section 1.6, RFC 5647
        Aes256Gcm = "aes256-gcm@openssh.com",
        /// RFC 4344
        Aes128Ctr = "aes128-ctr",
        /// RFC 4344
        Aes192Ctr = "aes192-ctr",
        /// RFC 4344
        Aes256Ctr = "aes256-ctr",
    }
}

names! {
    /// MAC algorithms.
    MacAlgorithm {
        /// draft-miller-secsh-umac with a tag of 128 bits, OpenSSH PROTOCOL section 1.5
        Umac128Etm = "umac-128-etm@openssh.com",
        /// OpenSSH PROTOCOL section 1.5, RFC 6668
        HmacSha2_256Etm = "hmac-sha2-256-etm@openssh.com",
        /// OpenSSH PROTOCOL section 1.5, RFC 6668
        HmacSha2_512Etm = "hmac-sha2-512-etm@openssh.com",
        /// draft-miller-secsh-umac, OpenSSH PROTOCOL section 1.5
        Umac64Etm = "umac-64-etm@openssh.com",
        /// draft-miller-secsh-umac with a tag of 128 bits
        Umac128 = "umac-128@openssh.com",
        /// RFC 6668
        HmacSha2_256 = "hmac-sha2-256",
        /// RFC 6668
        HmacSha2_512 = "hmac-sha2-512",
        /// draft-miller-secsh-umac
        Umac64 = "umac-64@openssh.com",
        /// OpenSSH PROTOCOL section 1.5, RFC 4253
        HmacSha1Etm = "hmac-sha1-etm@openssh.com",
    }
}

impl MacAlgorithm {
    /// What is offered without configuration: no SHA-1, no tag of 64 bits, and a MAC over the
    /// plaintext only where libssh2 before 1.11 and its kind have nothing else.
    pub const DEFAULT: &[Self] = &[
        Self::Umac128Etm,
        Self::HmacSha2_256Etm,
        Self::HmacSha2_512Etm,
        Self::HmacSha2_256,
    ];
}

names! {
    /// Compression methods.
    CompressionAlgorithm {
        /// RFC 4253 section 6.2
        None = "none",
        /// zlib from the login on (OpenSSH PROTOCOL section 1.2); `zlib`, which begins with the
        /// first keys, would show a decompressor to strangers.
        ZlibDelayed = "zlib@openssh.com",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finite_fields_and_nist_curves_have_to_be_configured() {
        for kex in KexAlgorithm::DEFAULT {
            assert!(kex.name().contains("25519"), "{}", kex.name());
        }
    }

    #[test]
    fn names_map_back_to_their_algorithm_and_unknown_names_to_none() {
        for kex in KexAlgorithm::ALL {
            assert_eq!(KexAlgorithm::from_name(kex.name()), Some(*kex));
        }
        for signature in SignatureAlgorithm::ALL {
            assert_eq!(
                SignatureAlgorithm::from_name(signature.name()),
                Some(*signature)
            );
        }
        for cipher in CipherAlgorithm::ALL {
            assert_eq!(CipherAlgorithm::from_name(cipher.name()), Some(*cipher));
        }
        assert_eq!(CipherAlgorithm::from_name("none"), None);
        assert_eq!(MacAlgorithm::from_name(""), None);
    }

    #[test]
    fn certificates_are_told_from_plain_keys_and_signed_like_them() {
        for algorithm in SignatureAlgorithm::ALL {
            let is_certificate = algorithm.name().contains("-cert-");
            assert_eq!(algorithm.is_certificate(), is_certificate);
            assert_eq!(algorithm.key_type().is_certificate(), is_certificate);
            assert_eq!(algorithm.plain().key_type(), algorithm.key_type().plain());
            assert_eq!(algorithm.name().replace("-cert-v01", ""), {
                let suffix = match is_certificate && !algorithm.plain().name().contains('@') {
                    true => "@openssh.com",
                    false => "",
                };
                format!("{}{suffix}", algorithm.plain().name())
            });
        }
        for kind in KeyType::ALL {
            assert_eq!(kind.is_certificate(), kind.name().contains("-cert-"));
            assert!(!kind.plain().is_certificate());
        }
    }
}
