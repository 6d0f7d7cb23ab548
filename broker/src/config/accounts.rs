//! `[[accounts]]`: principals that share a policy.

use std::collections::HashMap;

use capability::Scope;
use serde::{Deserialize, Serialize};

use super::{Config, ConfigError};
use crate::service::Accounts;

/// An account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "documented in config.default.toml")]
pub struct AccountConfig {
    pub name: String,
    pub policy: Vec<String>,
}

impl Config {
    /// The accounts, and who belongs to them.
    pub(super) fn accounts(&self) -> Result<Accounts, ConfigError> {
        let mut policies = HashMap::new();
        for account in &self.accounts {
            let policy = Scope::parse(&account.policy).map_err(|error| {
                ConfigError::Callers(format!("accounts.{}.policy: {error}", account.name))
            })?;
            if policies.insert(account.name.clone(), policy).is_some() {
                return Err(ConfigError::Callers(format!("accounts.{}: stands twice", account.name)));
            }
        }
        let known = |(kind, name, account): (&str, &String, &Option<String>)| match account {
            None => Ok(None),
            Some(account) if policies.contains_key(account) => Ok(Some((name.clone(), account.clone()))),
            Some(account) => Err(ConfigError::Callers(format!(
                "{kind}.{name}.account: there is no [[accounts]] entry named {account:?}"
            ))),
        };
        let principals = self.principals.iter().map(|one| known(("principals", &one.name, &one.account)));
        let of_principal = principals.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        let issuers = self.issuers.iter().map(|one| known(("issuers", &one.name, &one.account)));
        let of_issuer = issuers.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        let principals = self.principals.iter().map(|one| one.name.clone());
        let standing = principals.chain(self.issuers.iter().map(|one| one.name.clone())).collect();
        Ok(Accounts { policies, of_principal, of_issuer, standing })
    }
}
