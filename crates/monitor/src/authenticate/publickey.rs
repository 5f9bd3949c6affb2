//! `publickey` (RFC 4252 section 7): a key that an account lists, and a signature made with it.
//!
//! What an account accepts for a key is asked in [`listing`](crate::listing), which yields the proof
//! that [`KeyProof`] takes beside that of the signature.

use accounts::Method;
use wire::names::SignatureAlgorithm;
use wire::userauth::PublicKeyRequest;

use super::attempt::{Attempt, Failed};
use super::tries::Verdict;
use super::{Named, Terms};
use crate::account::Standing;
use crate::audit::Subject;
use crate::client_key::ClientKey;
use crate::listing::{self, Listing, Presentation, Remark};
use crate::proof::{Incomplete, KeyProof, MethodProof, Mismatch};
use crate::public_key::BadSignature;
use crate::systemd::ServiceManager;
use crate::verify::{Binding, SignatureProof, prove_possession};

impl Named {
    /// Signature first, files second, for whatever user: the order must not tell who exists.
    pub(super) async fn public_key<M: ServiceManager>(
        &mut self,
        request: PublicKeyRequest,
        terms: Terms<'_, M>,
    ) -> Attempt {
        let subject = self.subject(terms.origin.endpoints);
        let Some(usable) = self.usable_key(&request, subject) else {
            return Attempt::Unheard;
        };
        let Usable {
            algorithm,
            key,
            binding,
        } = usable;
        let possession = match &request.signature {
            None => Possession::Unasked,
            Some(signature) => Possession::of(prove_possession(
                &self.first,
                &self.user,
                binding,
                algorithm,
                key.clone(),
                signature,
            )),
        };
        let (listing, remarks) = self.listing(&key, terms).await;
        self.told.keep(remarks.iter().filter_map(Remark::told));
        let subject = self.subject(terms.origin.endpoints);
        match (possession, listing) {
            (Possession::Unasked, Listing::Listed(_)) => Attempt::Acceptable,
            (Possession::Proved(signature), Listing::Listed(listed)) => {
                let options = self.rules.config.pubkey_auth_options;
                match KeyProof::new(signature, listed, options) {
                    Ok(proof) => Attempt::Proved(MethodProof::PublicKey(proof), String::new()),
                    Err(Incomplete::Unsaid(unsaid)) => {
                        subject.unsaid(&key, unsaid);
                        failed(key, Verdict::Judged)
                    }
                    Err(Incomplete::Mismatch(Mismatch)) => failed(key, Verdict::Judged),
                }
            }
            (Possession::Refuted, Listing::Listed(_)) => failed(key, Verdict::Judged),
            (
                Possession::Unasked | Possession::Proved(_) | Possession::Refuted,
                Listing::NotListed,
            ) => failed(key, Verdict::Unjudged),
        }
    }

    /// The key of a request and what goes with it, if this server verifies with them.
    fn usable_key(&self, request: &PublicKeyRequest, subject: Subject<'_>) -> Option<Usable> {
        let Some(binding) = Binding::of(request.host_key.as_deref(), &self.first) else {
            // The client spoke with another server: somebody stands between.
            subject.key_unusable(&"request is bound to another host key");
            return None;
        };
        let algorithm = SignatureAlgorithm::from_name(&request.algorithm)
            .filter(|algorithm| self.rules.pubkey_algorithms.contains(algorithm));
        let Some(algorithm) = algorithm else {
            subject.algorithm_refused(&request.algorithm);
            return None;
        };
        let requirements = self.rules.key_requirements();
        let key = match ClientKey::parse(&request.key, algorithm, requirements) {
            Ok(key) => key,
            Err(error) => {
                subject.key_unusable(&error);
                return None;
            }
        };
        if self.progress.has_used(&key) {
            subject.key_used(&key);
            return None;
        }
        Some(Usable {
            algorithm,
            key,
            binding,
        })
    }

    async fn listing<M: ServiceManager>(
        &self,
        key: &ClientKey,
        terms: Terms<'_, M>,
    ) -> (Listing, Vec<Remark>) {
        let subject = self.subject(terms.origin.endpoints);
        let (listing, remarks) = listing::find(Presentation {
            user: &self.user,
            standing: &self.standing,
            rules: &self.rules,
            key,
            source: &self.source,
            origin: terms.origin,
            services: terms.services,
        })
        .await;
        if let Standing::Permitted(_) = self.standing {
            let remarks = remarks.iter();
            remarks.for_each(|remark| subject.about_key(key, remark));
        }
        if let Listing::Listed(listed) = &listing {
            subject.listed(key, listed.key());
        }
        (listing, remarks)
    }
}

/// What a publickey request names, as far as this server verifies with it.
struct Usable {
    algorithm: SignatureAlgorithm,
    key: ClientKey,
    binding: Binding,
}

/// Whether the client holds the private key.
enum Possession {
    /// It asks first whether the key would do.
    Unasked,
    /// It does.
    Proved(SignatureProof),
    /// Its signature does not verify.
    Refuted,
}

impl Possession {
    fn of(result: Result<SignatureProof, BadSignature>) -> Self {
        match result {
            Ok(proof) => Self::Proved(proof),
            Err(BadSignature) => Self::Refuted,
        }
    }
}

fn failed(key: ClientKey, verdict: Verdict) -> Attempt {
    Attempt::Failed(Failed {
        key: Some(key),
        ..Failed::new(Method::PublicKey, verdict)
    })
}
