//! `hostbased` (RFC 4252 section 9).

use accounts::Method;
use wire::userauth::HostbasedRequest;

use super::Named;
use super::attempt::{Attempt, Failed};
use super::tries::Verdict;
use crate::hostbased::{self, Hostbased, Situation};
use crate::proof::MethodProof;

impl Named {
    pub(super) async fn hostbased(&self, request: HostbasedRequest) -> Attempt {
        let situation = Situation {
            first: &self.first,
            user: &self.user,
            standing: &self.standing,
            rules: &self.rules,
            source: &self.source,
        };
        let (key, verdict) = match hostbased::prove(&request, situation).await {
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
