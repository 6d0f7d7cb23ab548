//! Fetching documents over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use crate::address::{Destination, GivenBy};
use crate::ports::fetch::Fetch;

/// Fetches documents. Redirects are not followed.
pub struct HttpFetch {
    http: reqwest::Client,
}

impl HttpFetch {
    /// A fetcher that waits this long for a document.
    pub fn new(timeout: Duration) -> Result<Self, reqwest::Error> {
        let redirect = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().timeout(timeout).redirect(redirect).build()?;
        Ok(Self { http })
    }
}

#[async_trait]
impl Fetch for HttpFetch {
    async fn get(&self, url: &str, given_by: &GivenBy, max_bytes: usize) -> Result<Bytes, String> {
        let to = Destination::judge(url, given_by).map_err(|refused| refused.to_string())?;
        let mut answer = self.http.get(to.url()).send().await.map_err(|error| describe(&error))?;
        if !answer.status().is_success() {
            return Err(format!("it answered HTTP {}", answer.status()));
        }
        let mut document = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| describe(&error))? {
            document.extend_from_slice(&chunk);
            if document.len() > max_bytes {
                return Err(format!("the document is larger than {max_bytes} bytes"));
            }
        }
        Ok(document.freeze())
    }
}

/// The innermost cause; reqwest's own text would repeat the URL.
fn describe(error: &reqwest::Error) -> String {
    use std::error::Error;
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
