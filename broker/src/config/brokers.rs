//! `[[brokers]]`: other brokers, whose grants are believed here and whose agents may be given work.

use serde::{Deserialize, Serialize};

use super::issuers::secure_url;
use crate::service::{ForeignBrokerSettings, is_agent_name};

/// Another broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "documented in config.default.toml")]
pub struct BrokerConfig {
    pub name: String,
    pub url: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jwks_url: String,
}

impl BrokerConfig {
    /// Checks it.
    pub(super) fn resolve(&self, public_url: &str) -> Result<ForeignBrokerSettings, String> {
        if !is_agent_name(&self.name) {
            return Err("name: expected [a-z0-9][a-z0-9-]{0,62}".to_owned());
        }
        secure_url("url", &self.url)?;
        let url = self.url.trim_end_matches('/').to_owned();
        if url == public_url {
            return Err("url: this is the broker's own URL".to_owned());
        }
        if !self.jwks_url.is_empty() {
            secure_url("jwks_url", &self.jwks_url)?;
        }
        Ok(ForeignBrokerSettings { name: self.name.clone(), url, jwks_url: self.jwks_url.clone() })
    }
}
