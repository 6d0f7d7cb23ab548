//! Foreign issuers: whose tokens are believed, under which keys, and as whom their subjects call. Keys are fetched
//! when they are needed and kept for a while; an issuer that cannot be reached is believed by what it last said,
//! up to a bound.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use broker_core::Timestamp;
use capability::Scope;
use protocol::A2aError;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use super::key_set::KeySet;
use super::token::{Algorithm, Expected, Token, TokenError, Verified};
use crate::address::{self, GivenBy};
use crate::ports::clock::Clock;
use crate::ports::fetch::Fetch;
use crate::service::error;

/// Where an issuer says where its keys are (OpenID Connect Discovery §4).
const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";
/// Largest discovery document or key set, bytes.
const MAX_DOCUMENT_BYTES: usize = 256 * 1_024;
const MILLIS_PER_SECOND: i64 = 1_000;

/// What the configuration says of an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerSettings {
    /// Its name here; begins the names of principals it vouches for.
    pub name: String,
    /// `iss`, exactly.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// Where its keys are; where it says so itself, if empty.
    pub jwks_url: String,
    /// What its tokens may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// The claim that names the subject.
    pub subject_claim: String,
    /// (claim, value) of subjects that are operators.
    pub operator_claim: Option<(String, String)>,
    /// What root tasks of subjects hold that no principal names; without it, only named subjects and operators may
    /// call.
    pub scope: Option<Scope>,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// Oldest `iat`.
    pub max_age: Duration,
    /// Keys this old are fetched anew.
    pub jwks_refresh: Duration,
    /// Between two fetches at least, whatever tokens arrive.
    pub jwks_min_refetch: Duration,
    /// Keys older than this are not believed, even while the issuer cannot be reached.
    pub jwks_max_stale: Duration,
}

/// An issuer and what is known of its keys.
pub(super) struct Issuer {
    pub(super) settings: IssuerSettings,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    known: RwLock<Known>,
    /// Held while asking: one question at a time.
    asking: Mutex<()>,
}

#[derive(Clone, Default)]
struct Known {
    /// The keys, and when they were fetched.
    keys: Option<(Arc<KeySet>, Timestamp)>,
    /// The last attempt, and why it failed if it did.
    tried: Option<(Timestamp, Option<Arc<str>>)>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// Whom a token vouches for.
pub(super) struct Vouched {
    pub(super) subject: String,
    pub(super) is_operator: bool,
}

impl IssuerSettings {
    /// The URL of the discovery document.
    pub fn discovery_url(&self) -> String {
        format!("{}{DISCOVERY_PATH}", self.issuer.trim_end_matches('/'))
    }
}

impl Issuer {
    pub(super) fn new(settings: IssuerSettings, fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { settings, fetch, clock, known: RwLock::default(), asking: Mutex::default() })
    }

    /// Judges a token that says it is from this issuer.
    pub(super) async fn judge(self: &Arc<Self>, token: Token<'_>) -> Result<Vouched, A2aError> {
        let refused = |problem: TokenError| error::unauthenticated(&problem.to_string());
        let settings = &self.settings;
        let (algorithm, key_id) = token.header(&settings.algorithms).map_err(refused)?;
        let keys = self.keys_with(key_id).await?;
        let key = keys.get(key_id).ok_or_else(|| refused(TokenError::UnknownKey))?;
        let expected = Expected {
            issuer: &settings.issuer,
            audience: &settings.audience,
            leeway: settings.leeway.as_secs(),
            max_age: settings.max_age.as_secs(),
            now: u64::try_from(self.clock.now().as_millis() / MILLIS_PER_SECOND).unwrap_or(0),
        };
        let verified = token.verify(algorithm, key, &expected).map_err(refused)?;
        self.vouched(&verified).map_err(refused)
    }

    fn vouched(&self, verified: &Verified) -> Result<Vouched, TokenError> {
        let subject = verified.subject(&self.settings.subject_claim)?.to_owned();
        let operator = self.settings.operator_claim.as_ref();
        Ok(Vouched { subject, is_operator: operator.is_some_and(|(name, value)| verified.has(name, value)) })
    }

    /// The keys to look for a key in: those at hand if they are young and have it, else what the issuer says now,
    /// else, while it cannot be reached, those at hand up to the bound.
    async fn keys_with(self: &Arc<Self>, key_id: &str) -> Result<Arc<KeySet>, A2aError> {
        let settings = &self.settings;
        let young = |known: &Known| known.younger_than(settings.jwks_refresh, key_id, self.clock.now());
        let known = self.known();
        if let Some(keys) = young(&known) {
            return Ok(keys);
        }
        let kept = |known: &Known| known.younger_than(settings.jwks_max_stale, key_id, self.clock.now());
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
        if self.known().may_ask(settings.jwks_min_refetch, self.clock.now()) {
            // A caller that hangs up ends its waiting, not the question.
            let _ = tokio::spawn(Arc::clone(self).ask()).await;
        }
        let known = self.known();
        match (kept(&known), known.failure(), &known.keys) {
            (Some(keys), ..) => Ok(keys),
            // The issuer was heard, and does not have the key.
            (None, None, Some((keys, _))) => Ok(Arc::clone(keys)),
            (None, ..) => Err(error::issuer_unreachable(&settings.name, settings.jwks_min_refetch)),
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
                tracing::warn!(issuer = self.settings.name, problem, "an issuer's keys cannot be fetched");
                self.change(|known| known.tried = Some((at, Some(problem.into()))));
            }
        }
    }

    async fn fetch_keys(&self) -> Result<KeySet, String> {
        let settings = &self.settings;
        let (url, given_by) = if settings.jwks_url.is_empty() {
            let url = settings.discovery_url();
            let document = self.fetch.get(&url, &GivenBy::Operator, MAX_DOCUMENT_BYTES).await;
            let document = document.map_err(|problem| format!("{url}: {problem}"))?;
            let Discovery { issuer, jwks_uri } =
                serde_json::from_slice(&document).map_err(|problem| format!("{url}: {problem}"))?;
            if issuer != settings.issuer {
                return Err(format!("{url}: it is the document of {issuer:?}"));
            }
            let registered_host = Url::parse(&url).ok().as_ref().and_then(address::host).unwrap_or_default();
            (jwks_uri, GivenBy::Card { registered_host })
        } else {
            (settings.jwks_url.clone(), GivenBy::Operator)
        };
        // Keys that can be exchanged on their way verify nothing.
        let destination =
            address::Destination::judge(&url, &given_by).map_err(|refused| refused.to_string())?;
        if destination.is_clear_text() {
            return Err(format!("{url}: expected https, or this machine"));
        }
        let document = self.fetch.get(&url, &given_by, MAX_DOCUMENT_BYTES).await;
        let document = document.map_err(|problem| format!("{url}: {problem}"))?;
        KeySet::read(&document).map_err(|problem| format!("{url}: {problem}"))
    }

    fn known(&self) -> Known {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Known {
    /// The keys, where they are younger than an age and have a key.
    fn younger_than(&self, age: Duration, key_id: &str, now: Timestamp) -> Option<Arc<KeySet>> {
        let (keys, fetched) = self.keys.as_ref()?;
        (is_within(age, *fetched, now) && keys.get(key_id).is_some()).then(|| Arc::clone(keys))
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
