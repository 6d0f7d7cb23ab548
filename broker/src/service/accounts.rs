//! Accounts: principals that share a policy. What a policy does not admit, nobody of the account gets, at any hop; it
//! only ever narrows.

use std::collections::HashMap;

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
}

impl Accounts {
    /// The account of an owner.
    pub(super) fn of(&self, owner: &str) -> Option<&str> {
        let issuer = || owner.split_once(':').and_then(|(issuer, _)| self.of_issuer.get(issuer));
        self.of_principal.get(owner).or_else(issuer).map(String::as_str)
    }

    /// What the policy of an owner's account admits; `None` is everything.
    pub(super) fn policy_of(&self, owner: &str) -> Option<&Scope> {
        self.policies.get(self.of(owner)?)
    }
}
