//! Fetching a document by its URL: agents' cards, and the key sets of issuers.

use async_trait::async_trait;
use bytes::Bytes;

use crate::address::GivenBy;

/// Fetches documents.
#[async_trait]
pub trait Fetch: Send + Sync + 'static {
    /// The body of a successful answer to `GET url`, of at most `max_bytes` bytes, within the response timeout.
    /// Only addresses that whoever gave the URL may name are dialled; redirects are not followed. Errors are
    /// sentences for people, without the URL.
    async fn get(&self, url: &str, given_by: &GivenBy, max_bytes: usize) -> Result<Bytes, String>;
}
