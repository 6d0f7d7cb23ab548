//! HTTP as the suite speaks it: every failure to answer is a finding, never a panic.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use super::check::{Stop, fail, shown};

/// Longest wait for an answer, or for the next event of a stream.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// What a request says beside its operation.
#[derive(Debug, Clone)]
pub struct Manner {
    /// `A2A-Version`.
    pub version: Option<String>,
    /// Whether the version goes into the query instead of a header.
    pub version_in_query: bool,
    /// The credential, as the value of `Authorization`.
    pub authorization: Option<String>,
    /// Further headers; `content-type` here replaces the binding's own.
    pub headers: Vec<(&'static str, String)>,
}

impl Manner {
    /// As a client of 1.0 calls.
    pub fn plain(authorization: Option<String>) -> Self {
        Self { version: Some("1.0".into()), version_in_query: false, authorization, headers: Vec::new() }
    }

    /// The same with another version, or none.
    #[must_use]
    pub fn version(mut self, version: Option<&str>) -> Self {
        self.version = version.map(str::to_owned);
        self
    }

    fn says(&self, header: &str) -> bool {
        self.headers.iter().any(|(name, _)| *name == header)
    }

    /// The same with a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub text: String,
    /// The body.
    pub body: Vec<u8>,
    /// Trailers, names in lower case.
    pub trailers: Vec<(String, String)>,
}

impl Reply {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A trailer, or the header in its place where an answer is nothing but its end.
    pub fn ending(&self, name: &str) -> Option<&str> {
        let trailer = self.trailers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        trailer.or_else(|| self.header(name))
    }

    /// The media type without its parameters.
    pub fn media_type(&self) -> &str {
        self.header("content-type").unwrap_or("none").split(';').next().unwrap_or_default().trim()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value, Stop> {
        serde_json::from_str(&self.text).or_else(|error| {
            fail(format!("HTTP {} with no JSON ({error}): {}", self.status, shown(&self.text)))
        })
    }
}

/// Which HTTP a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// HTTP/1.1, as the JSON bindings are spoken.
    One,
    /// HTTP/2 without asking, as gRPC is.
    Two,
}

/// The head of an answer, its body still to come.
pub type Response = hyper::Response<Incoming>;

/// A client, for http and https; it follows no redirect: where a server sends one, that is what was seen.
#[derive(Clone)]
pub struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Http {
    /// A client that believes the machine's own certificate authorities.
    pub fn new(speech: Speech) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        let (_, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("no TLS: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let connector = match speech {
            Speech::One => builder.enable_http1().wrap_connector(tcp),
            Speech::Two => builder.enable_http2().wrap_connector(tcp),
        };
        let mut client = Client::builder(TokioExecutor::new());
        Ok(Self(client.http2_only(speech == Speech::Two).build(connector)))
    }

    /// Sends a request in a manner; the head of the answer.
    pub async fn open(
        &self,
        verb: &str,
        url: &str,
        content_type: Option<&str>,
        manner: &Manner,
        body: Vec<u8>,
    ) -> Result<Response, Stop> {
        let mut url = url.to_owned();
        let mut headers: Vec<(&str, &str)> = Vec::new();
        if let Some(content_type) = content_type.filter(|_| !manner.says("content-type")) {
            headers.push(("content-type", content_type));
        }
        match &manner.version {
            Some(version) if manner.version_in_query => {
                let separator = if url.contains('?') { '&' } else { '?' };
                url = format!("{url}{separator}A2A-Version={version}");
            }
            Some(version) => headers.push(("a2a-version", version)),
            None => {}
        }
        if content_type.is_some_and(|kind| kind.starts_with("application/grpc")) {
            // Without it, some servers take the call for one that cannot see trailers.
            headers.push(("te", "trailers"));
        }
        if let Some(authorization) = &manner.authorization {
            headers.push(("authorization", authorization));
        }
        headers.extend(manner.headers.iter().map(|(name, value)| (*name, value.as_str())));
        let mut request = hyper::Request::builder().method(verb).uri(&url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::from(body));
        let request = request.or_else(|error| fail(format!("{verb} {url} is no request: {error}")))?;
        match tokio::time::timeout(PATIENCE, self.0.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => fail(format!("no answer: {}", with_causes(&error))),
            Err(_) => fail(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }

    /// The same; the whole answer.
    pub async fn exchange(
        &self,
        verb: &str,
        url: &str,
        content_type: Option<&str>,
        manner: &Manner,
        body: Vec<u8>,
    ) -> Result<Reply, Stop> {
        read(self.open(verb, url, content_type, manner, body).await?).await
    }
}

/// Reads the rest of an answer.
pub async fn read(response: Response) -> Result<Reply, Stop> {
    let status = response.status().as_u16();
    let headers = texts(response.headers());
    match tokio::time::timeout(PATIENCE, response.into_body().collect()).await {
        Ok(Ok(collected)) => {
            let trailers = collected.trailers().map(texts).unwrap_or_default();
            let body = collected.to_bytes().to_vec();
            Ok(Reply { status, headers, text: String::from_utf8_lossy(&body).into_owned(), body, trailers })
        }
        Ok(Err(error)) => fail(format!("HTTP {status}, and its body broke off: {error}")),
        Err(_) => fail(format!("HTTP {status}, and no end of its body within {} s", PATIENCE.as_secs())),
    }
}

/// Whether an answer is a stream of server-sent events; media types are the same in upper case (RFC 9110 §8.3.1).
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    let given = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream")
}

/// Headers or trailers as texts.
pub fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// An error with what lies behind it.
fn with_causes(error: &dyn std::error::Error) -> String {
    let behind = error.source().map(|source| format!(": {}", with_causes(source)));
    format!("{error}{}", behind.unwrap_or_default())
}
