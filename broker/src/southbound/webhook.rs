//! Posting events to receivers that callers named (spec §4.3.3). The connection goes only where a caller's URL may
//! lead, whatever the name resolves to by now, and no redirect is followed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use protocol::binding::http_json::MEDIA_TYPE;
use protocol::{PUSH_TOKEN_HEADER, Secret, VERSION_HEADER, Version};

use super::dialer::Dialer;
use super::{body, retry_after};
use crate::ports::notifier::{Notification, Notifier, Undelivered};

/// Names the event, the same at each try, so that a receiver can tell a repeat.
const EVENT_HEADER: &str = "Idempotency-Key";
/// Of what a receiver answers, read so that the connection can be used again.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Time it gets for that.
const DRAIN_TIME: Duration = Duration::from_secs(1);
const AGENT: &str = concat!("bailiwick/", env!("CARGO_PKG_VERSION"));

/// Posts events by way of the dialer.
pub struct Webhooks {
    dialer: Arc<Dialer>,
    timeout: Duration,
}

impl Webhooks {
    /// Each try waits `timeout` for the head of the answer.
    pub fn new(dialer: Arc<Dialer>, timeout: Duration) -> Self {
        Self { dialer, timeout }
    }
}

#[async_trait]
impl Notifier for Webhooks {
    async fn notify(&self, notification: Notification) -> Result<(), Undelivered> {
        let reach = notification.to.reach();
        let request = request(notification).map_err(failed)?;
        let sent = tokio::time::timeout(self.timeout, self.dialer.send(reach, request, None)).await;
        let late = |_| failed(format!("no answer within {} ms (push.timeout)", self.timeout.as_millis()));
        let answer = sent.map_err(late)?.map_err(|trouble| failed(trouble.to_string()))?;
        let (status, retry_after) = (answer.status(), retry_after::read(answer.headers()));
        // What it says matters to nobody; a connection read to its end can be used again.
        let _ = tokio::time::timeout(DRAIN_TIME, body::read(answer.into_body(), MAX_ANSWER_BYTES)).await;
        match status {
            status if status.is_success() => Ok(()),
            StatusCode::GONE => Err(Undelivered::Gone),
            status if status.is_redirection() => {
                Err(failed(format!("HTTP {status}; redirects are not followed, so name the final URL")))
            }
            status => Err(Undelivered::Failed { reason: format!("HTTP {status}"), retry_after }),
        }
    }
}

fn failed(reason: String) -> Undelivered {
    Undelivered::Failed { reason, retry_after: None }
}

fn request(notification: Notification) -> Result<Request<Full<bytes::Bytes>>, String> {
    let Notification { to, version, authorization, token, event_id, body } = notification;
    let mut request = Request::post(to.url())
        .header(CONTENT_TYPE, media_type(version))
        .header(VERSION_HEADER, version.name())
        .header(USER_AGENT, AGENT)
        .header(EVENT_HEADER, format!("\"{event_id}\""))
        .body(Full::new(body))
        .map_err(|error| format!("the URL cannot be used: {error}"))?;
    let headers = request.headers_mut();
    if let Some(value) = authorization {
        headers.insert(AUTHORIZATION, secret_header(&value)?);
    }
    if let (Some(token), Ok(name)) = (token, http::HeaderName::try_from(PUSH_TOKEN_HEADER)) {
        headers.insert(name, secret_header(&token)?);
    }
    Ok(request)
}

fn media_type(version: Version) -> &'static str {
    match version {
        Version::V1 => MEDIA_TYPE,
        Version::V03 => "application/json",
    }
}

fn secret_header(secret: &Secret) -> Result<HeaderValue, String> {
    let value = HeaderValue::from_str(secret.reveal());
    let mut value = value.map_err(|_| "its credentials cannot stand in a header".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}
