//! Foreign issuers: whose tokens are believed, under which keys, and as whom their subjects call.

use std::sync::Arc;
use std::time::Duration;

use capability::Scope;
use protocol::A2aError;

use super::key_set::KeySet;
use super::published::{self, KeySource, Keys, Published};
use super::token::{Algorithm, Expected, Token, TokenError, Verified};
use crate::ports::clock::Clock;
use crate::ports::fetch::Fetch;
use crate::service::error;

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
    clock: Arc<dyn Clock>,
    keys: Arc<Published<KeySet>>,
}

/// Whom a token vouches for.
pub(super) struct Vouched {
    pub(super) subject: String,
    pub(super) is_operator: bool,
}

impl IssuerSettings {
    /// The URL of the discovery document.
    pub fn discovery_url(&self) -> String {
        published::discovery_url(&self.issuer)
    }
}

impl Issuer {
    pub(super) fn new(settings: IssuerSettings, fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let source = KeySource {
            name: settings.name.clone(),
            issuer: settings.issuer.clone(),
            jwks_url: settings.jwks_url.clone(),
            refresh: settings.jwks_refresh,
            min_refetch: settings.jwks_min_refetch,
            max_stale: settings.jwks_max_stale,
        };
        let keys = Published::new(source, fetch, Arc::clone(&clock));
        Arc::new(Self { settings, clock, keys })
    }

    /// Judges a token that says it is from this issuer.
    pub(super) async fn judge(&self, token: Token<'_>) -> Result<Vouched, A2aError> {
        let refused = |problem: TokenError| error::unauthenticated(&problem.to_string());
        let settings = &self.settings;
        let (algorithm, key_id) = token.header(&settings.algorithms).map_err(refused)?;
        let keys = self.keys.keys_with(key_id).await?;
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
}

impl Keys for KeySet {
    fn read(document: &[u8]) -> Result<Self, String> {
        Self::read(document)
    }

    fn has(&self, key_id: &str) -> bool {
        self.get(key_id).is_some()
    }
}
