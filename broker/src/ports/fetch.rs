//! Fetching a document by its URL: agents' cards, and the key sets of issuers.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::address::GivenBy;

/// Fetches documents.
#[async_trait]
pub trait Fetch: Send + Sync + 'static {
    /// The body of a successful answer to `GET url`, of at most `max_bytes` bytes, within the response timeout.
    /// Only addresses that whoever gave the URL may name are dialled; redirects are not followed. Errors are
    /// sentences for people, without the URL.
    async fn get(&self, url: &str, given_by: &GivenBy, max_bytes: usize) -> Result<Bytes, String>;

    /// The same, unless the document is still the one that was fetched with `known`. A source that knows of no
    /// conditions answers in full, which is always right.
    async fn get_if_changed(
        &self,
        url: &str,
        given_by: &GivenBy,
        max_bytes: usize,
        _known: &Validators,
    ) -> Result<Fetched, String> {
        let body = self.get(url, given_by, max_bytes).await?;
        Ok(Fetched { body: Some(body), caching: Caching::default() })
    }
}

/// An answer to a conditional request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The document; none if it has not changed.
    pub body: Option<Bytes>,
    /// What the server says of keeping it.
    pub caching: Caching,
}

/// What a server says of keeping a document (RFC 9111).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caching {
    /// What to ask with next time.
    pub validators: Validators,
    /// For how long it may be used without asking; none if the server does not say. Zero: ask each time.
    pub max_age: Option<Duration>,
}

/// What names one version of a document (RFC 9110 §8.8), as the server wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// `ETag`, sent back as `If-None-Match`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// `Last-Modified`, sent back as `If-Modified-Since`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

impl Caching {
    /// What is known after a 304, which may leave out what has not changed (RFC 9111 §4.3.4).
    #[must_use]
    pub fn confirmed(&self, newer: &Self) -> Self {
        let (old, new) = (&self.validators, &newer.validators);
        Self {
            validators: Validators {
                etag: new.etag.clone().or_else(|| old.etag.clone()),
                last_modified: new.last_modified.clone().or_else(|| old.last_modified.clone()),
            },
            max_age: newer.max_age.or(self.max_age),
        }
    }
}
