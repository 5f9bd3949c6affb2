//! The first user name of a connection: it binds it, and decides what holds for it.

use config::sshd::YesNo;
use tokio::time::Instant;
use tracing::Span;
use wire::userauth::UserName;

use super::tries::Tries;
use super::{Named, Terms, Undecided};
use crate::account::{self, Refusal, Standing};
use crate::audit::{Subject, Validity};
use crate::exchange::FirstExchange;
use crate::failures;
use crate::host_name;
use crate::progress::Progress;
use crate::rules;
use crate::systemd::ServiceManager;
use crate::told::Told;

impl Named {
    pub(super) async fn bind<M: ServiceManager>(
        first: FirstExchange,
        user: UserName,
        terms: Terms<'_, M>,
    ) -> Result<Self, Undecided> {
        let source = host_name::source(terms).await;
        let asked = Instant::now();
        let (rules, standing) = account::admit(&user, &source, terms).await;
        if let Standing::Refused(Refusal::Unknown) = &standing {
            // Before the delay, which hides that it takes a moment.
            failures::record(&user, &source, rules.name_limit);
        }
        terms.delay.settle_lookup(&user, asked).await;
        journal::set_level(&Span::current(), rules::log_level(&rules.config));
        let subject = Subject {
            user: &user,
            validity: standing.validity(),
            endpoints: terms.origin.endpoints,
        };
        if rules.config.refuse_connection == YesNo::Yes {
            // Before anybody asks whether the account may be used.
            let validity = match &standing {
                Standing::Permitted(_) | Standing::Refused(Refusal::Denied(_)) => Validity::Valid,
                Standing::Refused(_) => Validity::Invalid,
            };
            Subject {
                validity,
                ..subject
            }
            .prohibited();
            return Err(Undecided::Prohibited);
        }
        match &standing {
            Standing::Refused(Refusal::Unknown) => subject.invalid_user(),
            Standing::Refused(Refusal::Denied(denial)) => subject.denied(denial),
            Standing::Refused(Refusal::Unclear(error)) => subject.unclear(error),
            Standing::Permitted(_) => {}
        }
        let methods = &rules.config.authentication_methods;
        let (progress, skipped) = Progress::new(methods, |method| rules.enables(method));
        skipped.iter().for_each(|list| subject.skipped(list));
        Ok(Self {
            first,
            user,
            source,
            rules,
            standing,
            progress,
            tries: Tries::default(),
            told: Told::default(),
        })
    }
}
