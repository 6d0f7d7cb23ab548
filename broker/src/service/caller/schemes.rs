//! What callers may present, as cards declare it (A2A §4.5): the one description of what `authenticate` accepts.

use protocol::Fields;
use serde_json::{Value, json};

use super::Proof;
use crate::service::Broker;

impl Broker {
    /// `securitySchemes` by name; none in open mode.
    pub(in crate::service) fn security_schemes(&self) -> Fields {
        let mut schemes = Fields::default();
        for (name, scheme) in self.declared_schemes() {
            let _ = schemes.set(&name, &scheme);
        }
        schemes
    }

    /// `securityRequirements`: any one of the schemes is enough.
    pub(in crate::service) fn security_requirements(&self) -> Fields {
        let alternatives: Vec<Value> = self
            .declared_schemes()
            .into_iter()
            .map(|(name, _)| json!({ "schemes": { name: { "list": [] } } }))
            .collect();
        let mut members = Fields::default();
        if !alternatives.is_empty() {
            let _ = members.set("securityRequirements", &alternatives);
        }
        members
    }

    /// The schemes by name, as A2A has them; none in open mode.
    pub fn declared_schemes(&self) -> Vec<(String, Value)> {
        let callers = self.callers();
        if callers.is_open() {
            return Vec::new();
        }
        let bearer = json!({ "httpAuthSecurityScheme": { "scheme": "Bearer", "description":
            "An API key of this broker, a token of an issuer it trusts, or a grant it gave with a task." } });
        let mut schemes = vec![("bearer".to_owned(), bearer)];
        if callers.principals.any(|proof| matches!(proof, Proof::Key(_))) {
            let key = json!({ "apiKeySecurityScheme": {
                "location": "header", "name": "X-API-Key", "description": "An API key of this broker." } });
            schemes.push(("apiKey".to_owned(), key));
        }
        if callers.principals.any(|proof| matches!(proof, Proof::Certificate(_) | Proof::Name(_))) {
            let certificate = json!({ "mtlsSecurityScheme": {
                "description": "A client certificate of a principal this broker knows." } });
            schemes.push(("mtls".to_owned(), certificate));
        }
        // An issuer whose keys are named directly need not publish a discovery document; its tokens are bearer tokens.
        let discovered = callers.issuers.iter().filter(|issuer| issuer.settings.jwks_url.is_empty());
        schemes.extend(discovered.map(|issuer| {
            let scheme = json!({ "openIdConnectSecurityScheme": {
                "openIdConnectUrl": issuer.settings.discovery_url(),
                "description": format!("A token of {} for {}.", issuer.settings.name, issuer.settings.audience) } });
            (format!("oidc-{}", issuer.settings.name), scheme)
        }));
        schemes
    }
}
