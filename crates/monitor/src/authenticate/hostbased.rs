//! `hostbased` (RFC 4252 section 9).

use accounts::Method;
use wire::userauth::HostbasedRequest;

use super::attempt::{Attempt, Failed};
use super::tries::Verdict;
use super::{Named, Terms};
use crate::hostbased::{self, Hostbased, Situation};
use crate::proof::MethodProof;

impl Named {
    pub(super) async fn hostbased<M>(
        &mut self,
        request: HostbasedRequest,
        terms: Terms<'_, M>,
    ) -> Attempt {
        let situation = Situation {
            first: &self.first,
            user: &self.user,
            standing: &self.standing,
            rules: &self.rules,
            files: &terms.policy.trusted_hosts,
            source: &self.source,
        };
        let (key, verdict) = match hostbased::prove(&request, situation, &mut self.told).await {
            Hostbased::Proved(proof) => {
                return Attempt::Proved(MethodProof::Hostbased(proof), String::new());
            }
            Hostbased::Forged(key) => (Some(key), Verdict::Judged),
            Hostbased::Refused(key) => (key, Verdict::Unjudged),
        };
        Attempt::Failed(Failed {
            key,
            detail: Some(hostbased::described(&request)),
            ..Failed::new(Method::Hostbased, verdict)
        })
    }
}
