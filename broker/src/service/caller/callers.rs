//! Who may call, as the configuration has it: principals, issuers, accounts. Replaced as a whole when the configuration is
//! read again.

use std::sync::{Arc, PoisonError};

use capability::Scope;

use super::{Issuer, IssuerSettings, Principals};
use crate::ports::clock::Clock;
use crate::ports::fetch::Fetch;
use crate::service::{Accounts, Broker};

/// Who may call. With neither principals nor issuers the broker is open.
#[derive(Default)]
pub struct CallerSettings {
    /// Whom the configuration names.
    pub principals: Principals,
    /// Whose tokens are believed.
    pub issuers: Vec<IssuerSettings>,
    /// Which of them share a policy.
    pub accounts: Accounts,
}

/// The same, at work.
pub(in crate::service) struct Callers {
    pub(super) principals: Principals,
    pub(super) issuers: Vec<Arc<Issuer>>,
    pub(in crate::service) accounts: Accounts,
}

impl Callers {
    /// An issuer that is as it was before keeps the keys that are known of it.
    pub(in crate::service) fn new(
        settings: CallerSettings,
        before: Option<&Self>,
        fetch: &Arc<dyn Fetch>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let CallerSettings { principals, issuers, mut accounts } = settings;
        if let Some(before) = before {
            accounts.remember(&before.accounts);
        }
        let kept = |settings: &IssuerSettings| {
            before?.issuers.iter().find(|issuer| issuer.settings == *settings).map(Arc::clone)
        };
        let new = |settings: IssuerSettings| {
            kept(&settings).unwrap_or_else(|| Issuer::new(settings, Arc::clone(fetch), Arc::clone(clock)))
        };
        Self { principals, issuers: issuers.into_iter().map(new).collect(), accounts }
    }

    /// Whether anybody may call. With principals or issuers in the configuration, nobody may without a credential.
    pub(super) fn is_open(&self) -> bool {
        self.principals.is_empty() && self.issuers.is_empty()
    }
}

impl Broker {
    /// Who may call now.
    pub(in crate::service) fn callers(&self) -> Arc<Callers> {
        Arc::clone(&self.callers.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Others may call from now on. What was begun goes on.
    pub(in crate::service) fn replace_callers(&self, settings: CallerSettings) {
        let callers = Callers::new(settings, Some(&*self.callers()), &self.fetch, &self.clock);
        *self.callers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(callers);
    }

    /// What the policy of an owner's account admits; `None` is everything.
    pub(in crate::service) fn policy_of(&self, owner: &str) -> Option<Scope> {
        self.callers().accounts.policy_of(owner).cloned()
    }
}
