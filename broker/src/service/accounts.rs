//! Accounts: principals that share a policy. What a policy does not admit, nobody of the account gets, at any hop; it
//! only ever narrows.

use std::collections::{HashMap, HashSet};

use capability::Scope;

/// Which account the owner of a tree belongs to, and what its policy admits.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    /// Policies by account.
    pub policies: HashMap<String, Scope>,
    /// Accounts by principal.
    pub of_principal: HashMap<String, String>,
    /// Accounts by issuer, for principals that only a token names (`issuer:subject`).
    pub of_issuer: HashMap<String, String>,
    /// All principals and issuers of the configuration, with an account or without.
    pub standing: HashSet<String>,
}

impl Accounts {
    /// The account of an owner.
    pub(super) fn of(&self, owner: &str) -> Option<&str> {
        let issuer = || owner.split_once(':').and_then(|(issuer, _)| self.of_issuer.get(issuer));
        self.of_principal.get(owner).or_else(issuer).map(String::as_str)
    }

    /// Whoever belonged to an account and stands nowhere any more goes on belonging to it: trees it began are still bound.
    pub(super) fn remember(&mut self, before: &Self) {
        let Self { policies, of_principal, of_issuer, standing } = self;
        for (of_former, of_present) in [(&before.of_principal, of_principal), (&before.of_issuer, of_issuer)]
        {
            for (name, account) in of_former.iter().filter(|(name, _)| !standing.contains(*name)) {
                if let Some(policy) = before.policies.get(account) {
                    policies.entry(account.clone()).or_insert_with(|| policy.clone());
                }
                of_present.entry(name.clone()).or_insert_with(|| account.clone());
            }
        }
    }

    /// What the policy of an owner's account admits; `None` is everything.
    pub(super) fn policy_of(&self, owner: &str) -> Option<&Scope> {
        self.policies.get(self.of(owner)?)
    }
}
