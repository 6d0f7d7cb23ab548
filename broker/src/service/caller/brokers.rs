//! Other brokers that this one knows: under which URL they sign and take grants, and their keys.

use std::sync::Arc;
use std::time::Duration;

use broker_core::federation::full_name;
use capability::{Expected, FederatedGrant, KeySet, Possession, federated_key_id, verify_federated};
use protocol::A2aError;

use super::published::{KeySource, Keys, Published};
use crate::ports::clock::Clock;
use crate::ports::fetch::Fetch;
use crate::service::error;

/// Where a broker publishes the keys its grants are signed with.
const JWKS_PATH: &str = "/.well-known/jwks.json";
/// Keys this old are fetched anew; a broker publishes a key ten minutes before it signs.
const KEYS_REFRESH: Duration = Duration::from_mins(5);
/// Between two fetches at least, whatever grants arrive.
const KEYS_MIN_REFETCH: Duration = Duration::from_secs(30);
/// Keys older than this are not believed, even while their broker cannot be reached.
const KEYS_MAX_STALE: Duration = Duration::from_hours(1);

/// What the configuration says of another broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignBrokerSettings {
    /// Its name here.
    pub name: String,
    /// Its public URL, exactly: who signs its grants, and who ours are for. Without a slash at its end.
    pub url: String,
    /// Where its keys are; below its URL, if empty.
    pub jwks_url: String,
}

/// Another broker, and what is known of its keys.
pub(in crate::service) struct ForeignBroker {
    pub(in crate::service) settings: ForeignBrokerSettings,
    keys: Arc<Published<KeySet>>,
}

impl ForeignBrokerSettings {
    /// What an agent at a URL is called there, if it is one of this broker's.
    pub(crate) fn agent_at<'u>(&self, url: &'u str) -> Option<&'u str> {
        let name = url.strip_prefix(self.url.as_str())?.strip_prefix("/agents/")?.trim_end_matches('/');
        crate::service::is_agent_name(name).then_some(name)
    }

    /// What that agent is called between brokers.
    pub(in crate::service) fn full_name_at(&self, url: &str) -> Option<String> {
        Some(full_name(self.agent_at(url)?, &self.url))
    }
}

impl ForeignBroker {
    pub(super) fn new(
        settings: ForeignBrokerSettings,
        fetch: Arc<dyn Fetch>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let published_at = format!("{}{JWKS_PATH}", settings.url);
        let source = KeySource {
            name: settings.name.clone(),
            issuer: settings.url.clone(),
            jwks_url: if settings.jwks_url.is_empty() { published_at } else { settings.jwks_url.clone() },
            refresh: KEYS_REFRESH,
            min_refetch: KEYS_MIN_REFETCH,
            max_stale: KEYS_MAX_STALE,
        };
        Arc::new(Self { settings, keys: Published::new(source, fetch, clock) })
    }

    /// What a grant of this broker's says to the one of that URL, at a time in seconds.
    pub(in crate::service) async fn verify(
        &self,
        token: &str,
        audience: &str,
        now: u64,
    ) -> Result<FederatedGrant, A2aError> {
        let refused = |problem: capability::GrantError| error::unauthenticated(&problem.to_string());
        let keys = self.keys.keys_with(&federated_key_id(token).map_err(refused)?).await?;
        let possession = Possession::Bearer;
        let expected = Expected { issuer: &self.settings.url, audience, now, possession };
        verify_federated(token, &keys, &expected).map_err(refused)
    }
}

impl Keys for KeySet {
    fn read(document: &[u8]) -> Result<Self, String> {
        Self::from_jwks(document).map_err(|problem| problem.to_string())
    }

    fn has(&self, key_id: &str) -> bool {
        self.find(key_id).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_a_brokers_only_at_that_brokers_address() {
        let (name, url, jwks_url) = ("far".to_owned(), "https://far.example/b".to_owned(), String::new());
        let far = ForeignBrokerSettings { name, url, jwks_url };
        assert_eq!(far.agent_at("https://far.example/b/agents/x"), Some("x"));
        assert_eq!(far.agent_at("https://far.example/b/agents/x/"), Some("x"));
        for elsewhere in [
            "https://far.example/b/agents/",
            "https://far.example/b/agents/x/y",
            "https://far.example/b/agents/X",
            "https://far.example/agents/x",
            "https://far.example/bb/agents/x",
            "https://far.example.org/b/agents/x",
        ] {
            assert_eq!(far.agent_at(elsewhere), None, "{elsewhere}");
        }
    }
}
