//! What the audit log says of a registration: what the operator said of the agent, without its secrets, and how its card
//! stands with that.

use broker_core::audit::{By, Event, Registered};
use capability::VerifyKey;

use super::Agent;

impl Agent {
    pub(super) fn registration(&self, by: By) -> Event {
        Event::AgentRegistered(Registered {
            by,
            agent: self.name.clone(),
            url: without_secrets(&self.url),
            caps: self.caps.clone(),
            auth: self.auth.as_ref().map(|auth| auth.kind_name().to_owned()),
            key: self.confirmation(),
            card_keys: self.card_keys.iter().map(|key| key.id().to_owned()).collect(),
            card: self.resolved.as_ref().map(|resolved| resolved.standing.to_string()),
        })
    }

    /// Whether another registration would change nothing.
    pub(super) fn is_configured_as(&self, other: &Self) -> bool {
        self.resolved.is_some()
            && self.is_registered_as(other)
            && self.max_concurrent == other.max_concurrent
            && self.retry == other.retry
            && self.broker == other.broker
    }

    /// Whether the operator says the same of it as of another one. What a card says is another matter.
    pub(super) fn is_registered_as(&self, other: &Self) -> bool {
        let pinned = |agent: &Self| agent.card_keys.iter().map(VerifyKey::jwk).collect::<Vec<_>>();
        self.url == other.url
            && self.source == other.source
            && self.caps == other.caps
            && self.auth == other.auth
            && self.jwk == other.jwk
            && pinned(self) == pinned(other)
    }
}

/// Scheme, host, port and path: userinfo and query may be credentials.
fn without_secrets(url: &str) -> String {
    let Ok(mut url) = url::Url::parse(url) else { return String::new() };
    url.set_query(None);
    url.set_fragment(None);
    // Only URLs without a host refuse, and those have no userinfo.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.into()
}
