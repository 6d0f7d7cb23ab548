//! What the broker shows agents to prove itself: read or fetched when it is needed, kept only as long as a token
//! lives, and never anything a caller presented.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Request};
use http_body_util::Full;
use serde_json::Value;
use tokio::sync::Mutex;
use url::form_urlencoded;

use super::body;
use super::dialer::Dialer;
use crate::address::{Destination, GivenBy};
use crate::config::secret::Secret;
use crate::ports::agent_auth::{AgentAuth, Kind, OAuth2};

/// A token is replaced this long before it ends, or after nine tenths of its life if that is later.
const EXPIRY_MARGIN: Duration = Duration::from_secs(30);
/// Life of a token whose server does not say.
const UNTOLD_LIFE: Duration = Duration::from_mins(5);
/// Longest life believed.
const LONGEST_LIFE: Duration = Duration::from_hours(24);
/// Largest answer of a token endpoint.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Longest error code of a token endpoint repeated to people, in characters.
const MAX_CODE_CHARS: usize = 64;
/// Tokens kept; beyond it all are forgotten and fetched again.
const MAX_TOKENS: usize = 1024;

/// A header that carries a credential.
pub(super) type Header = (HeaderName, HeaderValue);
/// Held while its token is fetched, so that one fetch serves all who wait.
type Cell = Arc<Mutex<Option<Token>>>;

struct Token {
    header: HeaderValue,
    until: Instant,
}

/// Reads secrets and keeps tokens.
pub(super) struct Credentials {
    dialer: Arc<Dialer>,
    patience: Duration,
    tokens: std::sync::Mutex<HashMap<OAuth2, Cell>>,
}

impl Credentials {
    /// Credentials whose tokens are waited for this long.
    pub(super) fn new(dialer: Arc<Dialer>, patience: Duration) -> Self {
        Self { dialer, patience, tokens: std::sync::Mutex::default() }
    }

    /// The header to present. Errors are sentences without the secret.
    pub(super) async fn header(&self, auth: &AgentAuth) -> Result<Header, String> {
        match auth.kind()? {
            Kind::Bearer(secret) => Ok((AUTHORIZATION, bearer(&secret.read().await?)?)),
            Kind::ApiKey(key) => {
                let name = HeaderName::from_bytes(key.header.as_bytes())
                    .map_err(|_| format!("{:?} is no header's name", key.header))?;
                Ok((name, value(key.secret.read().await?.expose())?))
            }
            Kind::OAuth2(oauth2) => Ok((AUTHORIZATION, self.token(oauth2).await?)),
        }
    }

    /// What to present after `refused` was answered with 401, if that is anything else: a secret may have been
    /// rotated, and a token withdrawn.
    pub(super) async fn other_than(&self, refused: &Header, auth: &AgentAuth) -> Option<Header> {
        if let Ok(Kind::OAuth2(oauth2)) = auth.kind() {
            let cell = self.cell(oauth2);
            let mut kept = cell.lock().await;
            if kept.as_ref().is_some_and(|token| token.header == refused.1) {
                *kept = None;
            }
        }
        match self.header(auth).await {
            Ok(header) => (header != *refused).then_some(header),
            Err(reason) => {
                tracing::warn!(reason, "a refused credential cannot be renewed");
                None
            }
        }
    }

    fn cell(&self, oauth2: &OAuth2) -> Cell {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= MAX_TOKENS && !tokens.contains_key(oauth2) {
            tokens.clear();
        }
        Arc::clone(tokens.entry(oauth2.clone()).or_default())
    }

    async fn token(&self, oauth2: &OAuth2) -> Result<HeaderValue, String> {
        let cell = self.cell(oauth2);
        let mut kept = cell.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| Instant::now() < token.until) {
            return Ok(token.header.clone());
        }
        let failed = |reason: String| format!("no token from {}: {reason}", oauth2.token_url);
        let fetched = tokio::time::timeout(self.patience, self.fetch(oauth2)).await;
        let late = || format!("it did not answer within {} s", self.patience.as_secs());
        let token = fetched.unwrap_or_else(|_| Err(late())).map_err(failed)?;
        let header = token.header.clone();
        *kept = Some(token);
        Ok(header)
    }

    async fn fetch(&self, oauth2: &OAuth2) -> Result<Token, String> {
        let destination = Destination::judge(&oauth2.token_url, &GivenBy::Operator)
            .map_err(|refused| refused.to_string())?;
        let secret = oauth2.client_secret.read().await?;
        let scope = oauth2.scope.iter().map(|scope| ("scope", scope.as_str()));
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .extend_pairs(scope)
            .finish();
        let request = Request::post(destination.url())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, basic(&oauth2.client_id, &secret)?)
            .body(Full::new(Bytes::from(form)))
            .map_err(|error| error.to_string())?;
        let asked = Instant::now();
        let answer = self.dialer.send(destination.reach(), request, None).await;
        let answer = answer.map_err(|trouble| trouble.to_string())?;
        let status = answer.status();
        let bytes = body::read(answer.into_body(), MAX_ANSWER_BYTES).await;
        let bytes = bytes.map_err(|trouble| trouble.to_string())?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if !status.is_success() {
            return Err(format!("HTTP {status}{}", error_code(&answer)));
        }
        read_token(&answer, asked)
    }
}

/// The answer of a token endpoint (RFC 6749 §5.1). The life counts from the question, which is never too late.
fn read_token(answer: &Value, asked: Instant) -> Result<Token, String> {
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    if text("token_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err("expected a token of type Bearer".to_owned());
    }
    let token = text("access_token").ok_or("expected a JSON object with access_token")?;
    // Some servers write the number as a string.
    let told = answer.get("expires_in");
    let seconds = told.and_then(|told| told.as_u64().or_else(|| told.as_str()?.parse().ok()));
    let life = seconds.map_or(UNTOLD_LIFE, Duration::from_secs).min(LONGEST_LIFE);
    let until = asked + life.saturating_sub(EXPIRY_MARGIN.min(life / 10));
    Ok(Token { header: bearer(&Secret::from(token.to_owned()))?, until })
}

/// The code of an error answer (RFC 6749 §5.2), and nothing else of it: what a server writes may repeat the secret.
fn error_code(answer: &Value) -> String {
    let code = answer.get("error").and_then(Value::as_str).unwrap_or_default();
    let is_code = !code.is_empty()
        && code.len() <= MAX_CODE_CHARS
        && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_code { format!(": {code}") } else { String::new() }
}

pub(super) fn bearer(secret: &Secret) -> Result<HeaderValue, String> {
    value(&format!("Bearer {}", secret.expose()))
}

/// RFC 6749 §2.3.1: both parts are form-encoded first.
fn basic(client_id: &str, secret: &Secret) -> Result<HeaderValue, String> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    value(&format!("Basic {}", BASE64.encode(format!("{}:{}", encode(client_id), encode(secret.expose())))))
}

/// A header's value that HTTP libraries keep out of logs and compression tables.
fn value(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "the secret holds characters that cannot stand in a header".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}
