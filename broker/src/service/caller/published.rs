//! The keys others publish: fetched when they are needed and kept for a while; whoever cannot be reached is believed by what
//! it last said, up to a bound.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use broker_core::Timestamp;
use protocol::A2aError;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::address::{self, GivenBy};
use crate::ports::clock::Clock;
use crate::ports::fetch::Fetch;
use crate::service::error;

/// Where an issuer says where its keys are (OpenID Connect Discovery §4).
const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";
/// Largest discovery document or key set, bytes.
const MAX_DOCUMENT_BYTES: usize = 256 * 1_024;

/// A set of keys as somebody publishes it.
pub(super) trait Keys: Send + Sync + Sized + 'static {
    /// Reads a JWKS; errors are sentences for people.
    fn read(document: &[u8]) -> Result<Self, String>;

    /// Whether it has the key of an id.
    fn has(&self, key_id: &str) -> bool;
}

/// Whose keys, where they are, and for how long they are believed.
#[derive(Debug, Clone)]
pub(super) struct KeySource {
    /// Its name here, for people.
    pub(super) name: String,
    /// Its URL.
    pub(super) issuer: String,
    /// Where its keys are; where it says so itself, if empty.
    pub(super) jwks_url: String,
    /// Keys this old are fetched anew.
    pub(super) refresh: Duration,
    /// Between two fetches at least, whatever tokens arrive.
    pub(super) min_refetch: Duration,
    /// Keys older than this are not believed, even while their publisher cannot be reached.
    pub(super) max_stale: Duration,
}

/// What is known of somebody's keys.
pub(super) struct Published<K> {
    source: KeySource,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    known: RwLock<Known<K>>,
    /// Held while asking: one question at a time.
    asking: Mutex<()>,
}

struct Known<K> {
    /// The keys, and when they were fetched.
    keys: Option<(Arc<K>, Timestamp)>,
    /// The last attempt, and why it failed if it did.
    tried: Option<(Timestamp, Option<Arc<str>>)>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// The URL of an issuer's discovery document.
pub(super) fn discovery_url(issuer: &str) -> String {
    format!("{}{DISCOVERY_PATH}", issuer.trim_end_matches('/'))
}

impl<K: Keys> Published<K> {
    pub(super) fn new(source: KeySource, fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { source, fetch, clock, known: RwLock::default(), asking: Mutex::default() })
    }

    /// The keys to look for a key in: those at hand if they are young and have it, else what the issuer says now,
    /// else, while it cannot be reached, those at hand up to the bound.
    pub(super) async fn keys_with(self: &Arc<Self>, key_id: &str) -> Result<Arc<K>, A2aError> {
        let source = &self.source;
        let young = |known: &Known<K>| known.younger_than(source.refresh, key_id, self.clock.now());
        let known = self.known();
        if let Some(keys) = young(&known) {
            return Ok(keys);
        }
        let kept = |known: &Known<K>| known.younger_than(source.max_stale, key_id, self.clock.now());
        let _turn = match (self.asking.try_lock(), kept(&known)) {
            (Ok(turn), _) => turn,
            // Somebody asks again an issuer that did not answer: nothing to wait for with a good key at hand.
            (Err(_), Some(keys)) if known.failure().is_some() => return Ok(keys),
            (Err(_), _) => self.asking.lock().await,
        };
        // Whoever had the turn before may have brought it.
        if let Some(keys) = young(&self.known()) {
            return Ok(keys);
        }
        if self.known().may_ask(source.min_refetch, self.clock.now()) {
            // A caller that hangs up ends its waiting, not the question.
            let _ = tokio::spawn(Arc::clone(self).ask()).await;
        }
        let known = self.known();
        match (kept(&known), known.failure(), &known.keys) {
            (Some(keys), ..) => Ok(keys),
            // The issuer was heard, and does not have the key.
            (None, None, Some((keys, _))) => Ok(Arc::clone(keys)),
            (None, ..) => Err(error::issuer_unreachable(&source.name, source.min_refetch)),
        }
    }

    /// Asks the issuer for its keys and remembers the answer, or that there was none.
    async fn ask(self: Arc<Self>) {
        let at = self.clock.now();
        self.change(|known| known.tried = Some((at, known.tried.take().and_then(|(_, problem)| problem))));
        match self.fetch_keys().await {
            Ok(keys) => {
                let keys = Some((Arc::new(keys), at));
                self.change(|known| *known = Known { keys, tried: Some((at, None)) });
            }
            Err(problem) => {
                tracing::warn!(issuer = self.source.name, problem, "the keys it publishes cannot be fetched");
                self.change(|known| known.tried = Some((at, Some(problem.into()))));
            }
        }
    }

    async fn fetch_keys(&self) -> Result<K, String> {
        let source = &self.source;
        let (url, given_by) = if source.jwks_url.is_empty() {
            let url = discovery_url(&source.issuer);
            let document = self.fetch.get(&url, &GivenBy::Operator, MAX_DOCUMENT_BYTES).await;
            let document = document.map_err(|problem| format!("{url}: {problem}"))?;
            let Discovery { issuer, jwks_uri } =
                serde_json::from_slice(&document).map_err(|problem| format!("{url}: {problem}"))?;
            if issuer != source.issuer {
                return Err(format!("{url}: it is the document of {issuer:?}"));
            }
            let registered_host = Url::parse(&url).ok().as_ref().and_then(address::host).unwrap_or_default();
            (jwks_uri, GivenBy::Card { registered_host })
        } else {
            (source.jwks_url.clone(), GivenBy::Operator)
        };
        // Keys that can be exchanged on their way verify nothing.
        let destination =
            address::Destination::judge(&url, &given_by).map_err(|refused| refused.to_string())?;
        if destination.is_clear_text() {
            return Err(format!("{url}: expected https, or this machine"));
        }
        let document = self.fetch.get(&url, &given_by, MAX_DOCUMENT_BYTES).await;
        let document = document.map_err(|problem| format!("{url}: {problem}"))?;
        K::read(&document).map_err(|problem| format!("{url}: {problem}"))
    }

    fn known(&self) -> Known<K> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Known<K>)) {
        change(&mut self.known.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl<K: Keys> Known<K> {
    /// The keys, where they are younger than an age and have a key.
    fn younger_than(&self, age: Duration, key_id: &str, now: Timestamp) -> Option<Arc<K>> {
        let (keys, fetched) = self.keys.as_ref()?;
        (is_within(age, *fetched, now) && keys.has(key_id)).then(|| Arc::clone(keys))
    }

    fn may_ask(&self, pause: Duration, now: Timestamp) -> bool {
        self.tried.as_ref().is_none_or(|(at, _)| !is_within(pause, *at, now))
    }

    fn failure(&self) -> Option<&str> {
        self.tried.as_ref().and_then(|(_, problem)| problem.as_deref())
    }
}

/// Whether a time is less than a span ago. A time to come, after the clock was set back, is not.
fn is_within(span: Duration, at: Timestamp, now: Timestamp) -> bool {
    let past = now.as_millis() - at.as_millis();
    u128::try_from(past).is_ok_and(|past| past < span.as_millis())
}

impl<K> Clone for Known<K> {
    fn clone(&self) -> Self {
        Self { keys: self.keys.clone(), tried: self.tried.clone() }
    }
}

impl<K> Default for Known<K> {
    fn default() -> Self {
        Self { keys: None, tried: None }
    }
}
