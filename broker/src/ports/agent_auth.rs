//! How the broker proves itself to an agent: `auth` of `[[agents]]` and of registrations. It refers to secrets and
//! never holds one, so it may be stored, shown and logged.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::{Destination, GivenBy};
use crate::config::secret::SecretRef;

/// Headers of a request that are not there to be replaced by an API key.
const OWN_HEADERS: [&str; 9] = [
    "a2a-extensions",
    "a2a-version",
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
];

/// A credential of exactly one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentAuth {
    /// `Authorization: Bearer …`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<SecretRef>,
    /// A key in a header of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKey>,
    /// A token of an authorization server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    /// The host it is meant for, if not that of the registered URL. It goes nowhere else, whatever the card says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// A key in a header of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiKey {
    /// The header's name.
    pub header: String,
    /// The key.
    #[serde(flatten)]
    pub secret: SecretRef,
}

/// The client credentials grant (RFC 6749 §4.4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OAuth2 {
    /// The token endpoint.
    pub token_url: String,
    /// Who the broker is there.
    pub client_id: String,
    /// How it proves that.
    pub client_secret: SecretRef,
    /// What it asks for, as the server writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// The one kind a checked [`AgentAuth`] is of.
#[derive(Debug, Clone, Copy)]
pub enum Kind<'a> {
    /// `bearer`.
    Bearer(&'a SecretRef),
    /// `api_key`.
    ApiKey(&'a ApiKey),
    /// `oauth2`.
    OAuth2(&'a OAuth2),
}

impl AgentAuth {
    /// Which kind it is.
    pub fn kind(&self) -> Result<Kind<'_>, String> {
        match (&self.bearer, &self.api_key, &self.oauth2) {
            (Some(secret), None, None) => Ok(Kind::Bearer(secret)),
            (None, Some(key), None) => Ok(Kind::ApiKey(key)),
            (None, None, Some(oauth2)) => Ok(Kind::OAuth2(oauth2)),
            _ => Err("expected exactly one of bearer, api_key, oauth2".to_owned()),
        }
    }

    /// The name of its kind, for people.
    pub fn kind_name(&self) -> &'static str {
        match self.kind() {
            Ok(Kind::Bearer(_)) => "bearer",
            Ok(Kind::ApiKey(_)) => "api_key",
            Ok(Kind::OAuth2(_)) => "oauth2",
            Err(_) => "none",
        }
    }

    /// Whether it can be used, as far as can be said without reading the secret.
    pub fn check(&self) -> Result<(), String> {
        match self.kind()? {
            Kind::Bearer(secret) => secret.check().map_err(|problem| format!("bearer: {problem}")),
            Kind::ApiKey(key) => key.check().map_err(|problem| format!("api_key: {problem}")),
            Kind::OAuth2(oauth2) => oauth2.check().map_err(|problem| format!("oauth2: {problem}")),
        }
    }

    /// The same as far as somebody may say it who cannot write the configuration; see [`SecretRef::confined`].
    pub fn confined(mut self, secret_dir: Option<&Path>) -> Result<Self, String> {
        self.check()?;
        let secrets = [
            self.bearer.as_mut(),
            self.api_key.as_mut().map(|key| &mut key.secret),
            self.oauth2.as_mut().map(|oauth2| &mut oauth2.client_secret),
        ];
        for secret in secrets.into_iter().flatten() {
            *secret = secret.clone().confined(secret_dir)?;
        }
        Ok(self)
    }
}

impl ApiKey {
    fn check(&self) -> Result<(), String> {
        let name = http::HeaderName::from_bytes(self.header.as_bytes())
            .map_err(|_| format!("header: expected a header's name, found {:?}", self.header))?;
        if OWN_HEADERS.contains(&name.as_str()) {
            return Err(format!("header: {name} is set by the broker itself"));
        }
        self.secret.check()
    }
}

impl OAuth2 {
    fn check(&self) -> Result<(), String> {
        Destination::judge(&self.token_url, &GivenBy::Operator)
            .map_err(|refused| format!("token_url: {refused}"))?;
        if self.client_id.is_empty() {
            return Err("client_id: expected a name".to_owned());
        }
        self.client_secret.check().map_err(|problem| format!("client_secret: {problem}"))
    }
}
