//! Certificates as authorized keys: by a line with `cert-authority`, or by an authority of TrustedUserCAKeys.

use super::{AuthorizedKey, Judged, KeyRefusal, Place};
use crate::access::Source;
use crate::account::Account;
use crate::certificate::{CertificateRefusal, Trust, judge};
use crate::key_text;
use crate::time_zone::SystemZone;
use crate::trusted_authorities::TrustedAuthority;
use config::authorized_keys::{Principal, Situation};
use std::fmt;
use thiserror::Error;
use wire::certificate::Certificate;

/// A certificate that somebody presents. That its signature verifies is for the caller to know.
#[derive(Debug, Clone, Copy)]
pub struct CertifiedQuery<'a> {
    /// Whose account it should open.
    pub account: &'a Account,
    /// The certificate.
    pub certificate: &'a Certificate,
    /// Where the login comes from.
    pub source: &'a Source,
    /// Seconds since 1970.
    pub now: u64,
}

/// A certificate that does not count. `Display` is what OpenSSH says.
#[derive(Debug, Error)]
#[error("Refusing certificate {certificate} via {place}: {why}")]
pub struct RefusedCertificate {
    certificate: Signed,
    place: Place,
    why: CertificateRefusal,
}

/// A certificate and who signed it.
#[derive(Debug)]
struct Signed {
    key_id: String,
    serial: u64,
    authority: Vec<u8>,
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = key_text::log_name(&self.authority);
        let fingerprint = key_text::fingerprint(&self.authority);
        write!(f, "{} signed by {kind} CA {fingerprint}", self.named())
    }
}

impl Signed {
    fn named(&self) -> String {
        // At most as much of it as is worth reading.
        let key_id: String = self.key_id.escape_debug().take(256).collect();
        format!("ID \"{key_id}\" serial={}", self.serial)
    }
}

impl RefusedCertificate {
    /// What the user may be told, in the words of OpenSSH 10. What a line says against it is told by itself.
    pub(crate) fn told(&self) -> Option<String> {
        let why = match &self.why {
            CertificateRefusal::ByLine(_) => return None,
            CertificateRefusal::ByCertificate(_) => "Refused by certificate options".to_owned(),
            CertificateRefusal::ByPrincipal(_) => {
                "Refused by certificate principals options".to_owned()
            }
            CertificateRefusal::Options(_) => "Invalid certificate options".to_owned(),
            why => why.to_string(),
        };
        Some(format!(
            "Refused Certificate {}: {why}",
            self.certificate.named()
        ))
    }
}

/// Whether a certificate by a trusted authority opens an account. What the journal gets comes with it.
///
/// With `principals`, those of AuthorizedPrincipalsFile and AuthorizedPrincipalsCommand, it must have one of them; else it
/// must name the user.
pub fn certified(
    query: CertifiedQuery<'_>,
    authority: &TrustedAuthority,
    principals: Option<&[Principal]>,
) -> (Option<AuthorizedKey>, Vec<KeyRefusal>) {
    let CertifiedQuery {
        account,
        certificate,
        ..
    } = query;
    if certificate.signature_key != authority.blob() {
        return (None, Vec::new());
    }
    let trust = match principals {
        Some(principals) => Trust::ForPrincipals(principals),
        None => Trust::ForUser(&account.name),
    };
    let place = Place::Authorities(authority.file().to_owned());
    match judged(query, trust, &place) {
        Ok(Judged {
            constraints,
            remarks,
        }) => {
            let key = AuthorizedKey {
                account: account.clone(),
                key_blob: certificate.blob().to_vec(),
                place,
                constraints: Box::new(constraints),
            };
            (Some(key), remarks)
        }
        Err(refusals) => (None, refusals),
    }
}

/// What a certificate permits, or what the journal gets.
pub(super) fn judged(
    query: CertifiedQuery<'_>,
    trust: Trust<'_>,
    place: &Place,
) -> Result<Judged, Vec<KeyRefusal>> {
    let CertifiedQuery {
        account,
        certificate,
        source,
        now,
    } = query;
    let situation = Situation {
        host: &source.host,
        address: source.address,
        now,
        zone: &SystemZone::read(),
    };
    match judge(certificate, trust, situation) {
        Ok(permitted) => {
            let unknown = permitted.ignored.into_iter();
            Ok(Judged {
                constraints: permitted.constraints,
                remarks: unknown.map(KeyRefusal::Extension).collect(),
            })
        }
        Err(why) => {
            // As OpenSSH names the place in the line that it writes about this.
            let at_line = place.to_string();
            let condition = match (&why, trust) {
                (CertificateRefusal::ByCertificate(unmet), Trust::ByLine { .. })
                | (CertificateRefusal::ByLine(unmet), _) => Some((at_line.as_str(), unmet)),
                (CertificateRefusal::ByCertificate(unmet), _) => Some(("cert", unmet)),
                (CertificateRefusal::ByPrincipal(unmet), _) => Some(("principals", unmet)),
                _ => None,
            };
            let condition = condition.map(|(place, condition)| {
                KeyRefusal::unmet(place.to_owned(), &account.name, source, condition)
            });
            let refused = RefusedCertificate {
                certificate: Signed {
                    key_id: certificate.key_id.clone(),
                    serial: certificate.serial,
                    authority: certificate.signature_key.clone(),
                },
                place: place.clone(),
                why,
            };
            let refused = KeyRefusal::Certificate(Box::new(refused));
            Err(condition.into_iter().chain([refused]).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounded::Owner;
    use crate::keys::{KeyQuery, Verdict, find_key};
    use crate::revocation::Presented;
    use crate::testing::{Directory, Home};
    use crate::trusted_authorities::trusted_authority;
    use config::authorized_keys::principal;
    use config::sshd::{AuthorizedKeysFile, YesNo};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    const LONG: Duration = Duration::from_secs(30);

    /// An authority, and its certificate `5` for alice.
    struct Setting {
        directory: Directory,
        home: Home,
        certificate: Certificate,
        source: Source,
    }

    impl Setting {
        fn new() -> Self {
            let directory = Directory::new();
            for name in ["a", "ca", "other"] {
                directory.key(name);
            }
            directory.certificate("ca", "5");
            let certificate = Certificate::decode(&directory.blob("a-ca-5")).unwrap();
            Self {
                directory,
                home: Home::new(),
                certificate,
                source: Source {
                    host: "192.0.2.7".to_owned(),
                    address: "192.0.2.7".parse().ok(),
                },
            }
        }

        /// What a file with this line, and `AUTHORITY` in it for the authority, makes of something presented.
        fn find(&self, line: &str, presented: Presented<'_>) -> (Option<AuthorizedKey>, String) {
            let line = line.replace("AUTHORITY", &self.directory.public("ca"));
            self.home.write(".ssh/authorized_keys", &line);
            let files = [AuthorizedKeysFile::parse(".ssh/authorized_keys").unwrap()];
            let search = find_key(
                KeyQuery {
                    account: &self.home.account,
                    owner: Owner::User(self.home.account.uid),
                    files: &files,
                    strict_modes: YesNo::Yes,
                    presented,
                    source: &self.source,
                    now: now(),
                },
                LONG,
            );
            let found = match search.verdict {
                Verdict::Found(key) => Some(key),
                Verdict::NotFound | Verdict::Unknown(_) => None,
            };
            (found, lines(&search.refusals))
        }

        fn certified(&self, principals: Option<&[&str]>) -> (Option<AuthorizedKey>, String) {
            let (found, refusals) = self.judged(principals);
            (found, lines(&refusals))
        }

        fn judged(&self, principals: Option<&[&str]>) -> (Option<AuthorizedKey>, Vec<KeyRefusal>) {
            let read = |line: &&str| principal(line.as_bytes()).unwrap().unwrap();
            let principals: Option<Vec<_>> =
                principals.map(|lines| lines.iter().map(read).collect());
            let file = self
                .directory
                .write("authorities", &self.directory.public("ca"));
            let authority = trusted_authority(&file, &self.directory.blob("ca"), LONG).unwrap();
            let query = CertifiedQuery {
                account: &self.home.account,
                certificate: &self.certificate,
                source: &self.source,
                now: now(),
            };
            certified(query, &authority, principals.as_deref())
        }
    }

    fn now() -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.unwrap().as_secs()
    }

    fn lines(refusals: &[KeyRefusal]) -> String {
        let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    #[test]
    fn a_line_of_an_authority_lets_in_whom_it_certified_and_not_itself() {
        let setting = Setting::new();
        let certificate = Presented::Certified(&setting.certificate);
        let line = "cert-authority,principals=\"x,alice\" AUTHORITY";
        let (found, _) = setting.find(line, certificate);
        let found = found.unwrap();
        assert_eq!(found.key_blob(), setting.certificate.blob());
        assert!(found.place().to_string().ends_with("authorized_keys:1"));
        let (a, ca) = (setting.directory.blob("a"), setting.directory.blob("ca"));
        for (line, presented) in [
            ("AUTHORITY", certificate),
            ("cert-authority AUTHORITY", Presented::Plain(&ca)),
            (
                "cert-authority,principals=\"alice\" AUTHORITY",
                Presented::Plain(&a),
            ),
        ] {
            let (found, lines) = setting.find(line, presented);
            assert_eq!((found, lines.as_str()), (None, ""), "{line}");
        }
        // The key inside is on a line, which is not the certificate's.
        let (found, _) = setting.find(&setting.directory.public("a"), certificate);
        assert_eq!(found, None);
    }

    #[test]
    fn a_refused_certificate_is_described_as_by_openssh() {
        let mut setting = Setting::new();
        let describe = |place: &str, why: &str| {
            let authority = setting.directory.fingerprint("ca");
            format!(
                "Refusing certificate ID \"id-5\" serial=5 signed by ED25519 CA {authority} via {place}: {why}"
            )
        };
        let keys = setting.home.account.home.join(".ssh/authorized_keys:1");
        let place = keys.display().to_string();
        let name = "Certificate invalid: name is not a listed principal";
        let listed = "Certificate does not contain an authorized principal";
        for (line, why) in [
            ("cert-authority AUTHORITY", name),
            ("cert-authority,principals=\"u\" AUTHORITY", listed),
        ] {
            let certificate = Presented::Certified(&setting.certificate);
            let (found, lines) = setting.find(line, certificate);
            assert_eq!((found, lines), (None, describe(&place, why)));
        }
        let (found, lines) = setting.certified(Some(&["from=\"10.0.0.0/8\" alice"]));
        assert_eq!(found, None);
        let (condition, refused) = lines.split_once('\n').unwrap();
        assert_eq!(
            condition,
            "principals: Authentication tried for u with correct key but not from a permitted host \
             (host=192.0.2.7, ip=192.0.2.7, required=10.0.0.0/8)."
        );
        let file = setting.directory.write("authorities", "");
        let place = file.with_file_name("authorities").display().to_string();
        let by_principal = describe(&place, "Refused by certificate principals options");
        assert!(refused.starts_with(&by_principal), "{refused}");
        setting.certificate.key_id = "a\nb\"".to_owned();
        let (_, lines) = setting.certified(None);
        assert!(lines.starts_with(r#"Refusing certificate ID "a\nb\"" serial"#));
    }

    #[test]
    fn users_are_told_which_certificate_did_not_count() {
        let setting = Setting::new();
        let told = |principals: Option<&[&str]>| {
            let (_, refusals) = setting.judged(principals);
            let told = refusals.iter().filter_map(KeyRefusal::told);
            told.collect::<Vec<_>>()
        };
        let refused =
            |why: &str| format!("Refused Certificate ID \"id-5\" serial=5: Certificate {why}");
        assert_eq!(
            told(None),
            [refused("invalid: name is not a listed principal")]
        );
        assert_eq!(
            told(Some(&[])),
            [refused("does not contain an authorized principal")]
        );
        let own = "principals: Your host '192.0.2.7' is not permitted to use this key for login.";
        let refused =
            "Refused Certificate ID \"id-5\" serial=5: Refused by certificate principals options";
        assert_eq!(told(Some(&["from=\"10.0.0.0/8\" alice"])), [own, refused]);
    }

    #[test]
    fn a_trusted_authority_certifies_users_or_their_principals() {
        let mut setting = Setting::new();
        assert_eq!(setting.certified(None).0, None);
        assert_eq!(setting.certified(Some(&[])).0, None);
        assert_eq!(setting.certified(Some(&["u"])).0, None);
        let (found, lines) = setting.certified(Some(&["x", "alice"]));
        assert_eq!(lines, "");
        let found = found.unwrap();
        assert_eq!(found.key_blob(), setting.certificate.blob());
        assert!(found.place().to_string().ends_with("/authorities"));
        setting.home.account.name = "alice".to_owned();
        assert!(setting.certified(None).0.is_some());
        // Another authority than the one that was looked for.
        setting.certificate.signature_key = setting.directory.blob("other");
        assert_eq!(setting.certified(None), (None, String::new()));
    }
}
