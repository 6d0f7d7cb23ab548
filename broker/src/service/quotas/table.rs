//! Which quota is whose.

use std::collections::HashMap;
use std::fmt;

use broker_core::quota::Quota;
use capability::ledger::Ceilings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What can have a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Somebody who may call.
    Principal,
    /// Principals that share a policy.
    Account,
    /// An agent.
    Agent,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl Subject {
    /// One of a kind.
    pub fn new(kind: Kind, name: &str) -> Self {
        Self { kind, name: name.to_owned() }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.name)
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Principal, Self::Account, Self::Agent];

    /// Its name, as in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Account => "account",
            Self::Agent => "agent",
        }
    }
}

/// Quotas by subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuotaTable {
    named: HashMap<Subject, Quota>,
    /// Of each of a kind that has none of its own.
    each: HashMap<Kind, Quota>,
    /// Most open tasks of a principal whose quota does not say.
    open_tasks: Option<u64>,
}

impl QuotaTable {
    /// Nobody has a quota, except that no principal may have more open tasks than that.
    pub fn new(open_tasks: Option<u64>) -> Self {
        Self { open_tasks, ..Self::default() }
    }

    /// Adds the quota of one of a kind, or of each that has none of its own; `false` if it has one already.
    #[must_use]
    pub fn add(&mut self, kind: Kind, name: Option<&str>, quota: Quota) -> bool {
        match name {
            Some(name) => self.named.insert(Subject { kind, name: name.to_owned() }, quota).is_none(),
            None => self.each.insert(kind, quota).is_none(),
        }
    }

    /// What one may use.
    pub fn of(&self, subject: &Subject) -> Quota {
        let quota = self.named.get(subject).or_else(|| self.each.get(&subject.kind));
        let mut quota = quota.copied().unwrap_or_default();
        if subject.kind == Kind::Principal {
            quota.open_tasks = quota.open_tasks.or(self.open_tasks);
        }
        quota
    }

    /// Whether it has a quota, beside the bound that every principal has.
    pub fn has_quota(&self, subject: &Subject) -> bool {
        self.named.contains_key(subject) || self.each.contains_key(&subject.kind)
    }

    /// Whether anybody's budgets are bounded.
    pub fn bounds_budgets(&self) -> bool {
        let mut all = self.named.values().chain(self.each.values());
        all.any(|quota| quota.budget_per_day != Ceilings::default())
    }

    /// Whom it names.
    pub fn named(&self) -> impl Iterator<Item = &Subject> {
        self.named.keys()
    }
}
