//! Who may call, as the configuration has it: principals, issuers, accounts. Replaced as a whole when the configuration is
//! read again.

use std::sync::{Arc, PoisonError};

use capability::Scope;

use super::brokers::{ForeignBroker, ForeignBrokerSettings};
use super::{Issuer, IssuerSettings, Principals};
use crate::ports::clock::Clock;
use crate::ports::fetch::Fetch;
use crate::service::{Accounts, Broker, NewAgent};

/// Who may call. With neither principals nor issuers the broker is open.
#[derive(Default)]
pub struct CallerSettings {
    /// Whom the configuration names.
    pub principals: Principals,
    /// Whose tokens are believed.
    pub issuers: Vec<IssuerSettings>,
    /// Other brokers: whose grants are believed, and whose agents are given grants for.
    pub brokers: Vec<ForeignBrokerSettings>,
    /// Which of them share a policy.
    pub accounts: Accounts,
}

/// The same, at work.
pub(in crate::service) struct Callers {
    pub(super) principals: Principals,
    pub(super) issuers: Vec<Arc<Issuer>>,
    brokers: Vec<Arc<ForeignBroker>>,
    pub(in crate::service) accounts: Accounts,
}

impl Callers {
    /// Whoever is as before keeps the keys that are known of it.
    pub(in crate::service) fn new(
        settings: CallerSettings,
        before: Option<&Self>,
        fetch: &Arc<dyn Fetch>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let CallerSettings { principals, issuers, brokers, mut accounts } = settings;
        if let Some(before) = before {
            accounts.remember(&before.accounts);
        }
        let kept = |settings: &IssuerSettings| {
            before?.issuers.iter().find(|issuer| issuer.settings == *settings).map(Arc::clone)
        };
        let new = |settings: IssuerSettings| {
            kept(&settings).unwrap_or_else(|| Issuer::new(settings, Arc::clone(fetch), Arc::clone(clock)))
        };
        let kept_broker = |settings: &ForeignBrokerSettings| {
            before?.brokers.iter().find(|broker| broker.settings == *settings).map(Arc::clone)
        };
        let new_broker = |settings: ForeignBrokerSettings| {
            kept_broker(&settings)
                .unwrap_or_else(|| ForeignBroker::new(settings, Arc::clone(fetch), Arc::clone(clock)))
        };
        Self {
            principals,
            issuers: issuers.into_iter().map(new).collect(),
            brokers: brokers.into_iter().map(new_broker).collect(),
            accounts,
        }
    }

    /// Another broker, by its name here.
    pub(in crate::service) fn broker(&self, name: &str) -> Option<&ForeignBroker> {
        self.brokers.iter().find(|broker| broker.settings.name == name).map(Arc::as_ref)
    }

    /// Whether the broker an agent is said to be of is known, and the agent is there.
    pub(in crate::service) fn check_broker_of(&self, new: &NewAgent) -> Result<(), String> {
        check_broker_of(new, self.brokers.iter().map(|broker| &broker.settings))
    }

    /// Whether anybody may call. With principals or issuers in the configuration, nobody may without a credential.
    pub(super) fn is_open(&self) -> bool {
        self.principals.is_empty() && self.issuers.is_empty()
    }
}

/// Whether the broker an agent is said to be of is one of these, and the agent is there.
pub(crate) fn check_broker_of<'k>(
    new: &NewAgent,
    mut known: impl Iterator<Item = &'k ForeignBrokerSettings>,
) -> Result<(), String> {
    let Some(name) = &new.broker else { return Ok(()) };
    let broker = known.find(|broker| broker.name == *name);
    let broker = broker.ok_or_else(|| format!("{name:?} is none of [[brokers]]"))?;
    if new.jwk.is_some() {
        return Err("an agent of another broker has no jwk here: its grants are for that broker".to_owned());
    }
    match broker.agent_at(&new.url) {
        Some(_) => Ok(()),
        None => Err(format!(
            "expected the url of an agent there, {}/agents/NAME, found {:?}",
            broker.url, new.url
        )),
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
