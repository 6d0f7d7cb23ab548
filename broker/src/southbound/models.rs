//! Asking a server of models that the configuration names. It may be anywhere, as an agent's may; its answers are bounded,
//! redirects are not followed, and its key is read when it is needed.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, StatusCode};
use http_body_util::Full;

use super::body;
use super::credentials::bearer;
use super::dialer::Dialer;
use super::failure::{Trouble, quote};
use crate::address::{Destination, GivenBy};
use crate::config::secret::SecretRef;
use crate::ports::stages::{EndpointError, ModelEndpoint};

/// Largest answer read: 64 vectors of 4,096 numbers in decimal digits fit in.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Largest part of an answer read that is an error.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// One such server, by way of the dialer.
pub struct Models {
    dialer: Arc<Dialer>,
    base: String,
    key: Option<SecretRef>,
}

impl Models {
    /// The server whose paths are below `base`, such as `http://127.0.0.1:8000/v1`.
    pub fn new(dialer: Arc<Dialer>, base: &str, key: Option<SecretRef>) -> Self {
        Self { dialer, base: base.trim_end_matches('/').to_owned(), key }
    }

    async fn request(
        &self,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(Destination, Request<Full<Bytes>>), String> {
        let url = format!("{}{path}", self.base);
        let destination =
            Destination::judge(&url, &GivenBy::Operator).map_err(|refused| refused.to_string())?;
        let mut request = Request::post(destination.url())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .map_err(|error| format!("the URL cannot be used: {error}"))?;
        if let Some(key) = &self.key {
            request.headers_mut().insert(AUTHORIZATION, bearer(&key.read().await?)?);
        }
        Ok((destination, request))
    }
}

#[async_trait]
impl ModelEndpoint for Models {
    async fn post(&self, path: &str, body: Vec<u8>) -> Result<Bytes, EndpointError> {
        let request = self.request(path, body).await;
        let (destination, request) = request.map_err(|reason| failed("it cannot be asked", &reason))?;
        let answer = self.dialer.send(destination.reach(), request, None).await.map_err(|it| lost(&it))?;
        let status = answer.status();
        if status.is_success() {
            return body::read(answer.into_body(), MAX_ANSWER_BYTES).await.map_err(|it| lost(&it));
        }
        let said = body::read(answer.into_body(), MAX_ERROR_BYTES).await.unwrap_or_default();
        let (reason, said) = (format!("HTTP {status}"), quote(&String::from_utf8_lossy(&said)));
        Err(match status {
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::NOT_IMPLEMENTED => {
                tracing::debug!(reason, said, "a server of models does not take a question");
                EndpointError::Refused(reason)
            }
            // Some repeat the key they refuse.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => failed(&reason, "it refuses the key"),
            _ => failed(&reason, &said),
        })
    }
}

/// What callers may read of it in a task. The rest (addresses, paths, what a server repeats of a key) is for the log.
fn failed(public: &str, detail: &str) -> EndpointError {
    tracing::warn!(reason = public, detail, "a server of models did not answer as it should");
    EndpointError::Failed(public.to_owned())
}

/// The same for what went wrong on the way.
fn lost(trouble: &Trouble) -> EndpointError {
    let public = match trouble {
        Trouble::Connect(_) => "it cannot be reached",
        Trouble::TooLarge { .. } => "its answer is too large",
        _ => "the connection broke",
    };
    failed(public, &trouble.to_string())
}
