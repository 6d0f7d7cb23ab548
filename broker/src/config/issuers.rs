//! `[[issuers]]`: whose tokens are believed (JWT, OpenID Connect).

use capability::Scope;
use serde::{Deserialize, Serialize};

use super::units::Span;
use crate::address::{Destination, GivenBy};
use crate::service::{Algorithm, IssuerSettings, is_agent_name};

/// An issuer of tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "documented in config.default.toml")]
pub struct IssuerConfig {
    pub name: String,
    pub issuer: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub audience: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jwks_url: String,
    #[serde(default = "all_algorithms")]
    pub algorithms: Vec<Algorithm>,
    #[serde(default = "default_subject_claim")]
    pub subject_claim: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_claim: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Vec<String>>,
    #[serde(default = "default_leeway")]
    pub leeway: Span,
    #[serde(default = "default_max_age")]
    pub max_age: Span,
    #[serde(default = "default_jwks_refresh")]
    pub jwks_refresh: Span,
    #[serde(default = "default_jwks_min_refetch")]
    pub jwks_min_refetch: Span,
    #[serde(default = "default_jwks_max_stale")]
    pub jwks_max_stale: Span,
}

fn all_algorithms() -> Vec<Algorithm> {
    vec![Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256]
}

fn default_subject_claim() -> String {
    "sub".to_owned()
}

fn default_leeway() -> Span {
    Span::seconds(30)
}

fn default_max_age() -> Span {
    Span::seconds(24 * 3_600)
}

fn default_jwks_refresh() -> Span {
    Span::seconds(3_600)
}

fn default_jwks_min_refetch() -> Span {
    Span::seconds(30)
}

fn default_jwks_max_stale() -> Span {
    Span::seconds(24 * 3_600)
}

impl IssuerConfig {
    /// Checks it, and fills in the broker as the audience.
    pub(super) fn resolve(&self, public_url: &str) -> Result<IssuerSettings, String> {
        if !is_agent_name(&self.name) {
            return Err("name: expected [a-z0-9][a-z0-9-]{0,62}".to_owned());
        }
        secure_url("issuer", &self.issuer)?;
        if self.issuer == public_url {
            return Err("issuer: this is the broker's own URL; its own grants need no entry".to_owned());
        }
        if !self.jwks_url.is_empty() {
            secure_url("jwks_url", &self.jwks_url)?;
        }
        if self.algorithms.is_empty() {
            return Err("algorithms: expected at least one of EdDSA, ES256, RS256".to_owned());
        }
        if self.jwks_min_refetch.0 > self.jwks_refresh.0 || self.jwks_refresh.0 > self.jwks_max_stale.0 {
            return Err("expected jwks_min_refetch <= jwks_refresh <= jwks_max_stale".to_owned());
        }
        let operator_claim = self.operator_claim.as_deref().map(|text| {
            let (claim, value) =
                text.split_once('=').filter(|(claim, value)| !claim.is_empty() && !value.is_empty())?;
            Some((claim.to_owned(), value.to_owned()))
        });
        if operator_claim == Some(None) {
            return Err("operator_claim: expected claim=value, such as roles=bailiwick-operator".to_owned());
        }
        let scope = self.scope.as_deref().map(Scope::parse).transpose();
        let audience = if self.audience.is_empty() { public_url } else { &self.audience };
        Ok(IssuerSettings {
            name: self.name.clone(),
            issuer: self.issuer.clone(),
            audience: audience.to_owned(),
            jwks_url: self.jwks_url.clone(),
            algorithms: self.algorithms.clone(),
            subject_claim: self.subject_claim.clone(),
            operator_claim: operator_claim.flatten(),
            scope: scope.map_err(|error| format!("scope: {error}"))?,
            leeway: self.leeway.0,
            max_age: self.max_age.0,
            jwks_refresh: self.jwks_refresh.0,
            jwks_min_refetch: self.jwks_min_refetch.0,
            jwks_max_stale: self.jwks_max_stale.0,
        })
    }
}

/// Keys that can be exchanged on their way verify nothing.
pub(super) fn secure_url(key: &str, url: &str) -> Result<(), String> {
    let to = Destination::judge(url, &GivenBy::Operator).map_err(|refused| format!("{key} {refused}"))?;
    if to.is_clear_text() { Err(format!("{key} {url:?}: expected https, or this machine")) } else { Ok(()) }
}
