//! HTTP towards whatever an URL names, within what whoever gave it may reach. Everything southbound goes through
//! here. Redirects are not followed: an answer that points elsewhere is an answer, not an order.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, LOCATION};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

use super::connector::{Connector, Resolve};
use super::failure::{Trouble, quote};
use super::{body, caching, tls};
use crate::address::{Destination, GivenBy, Reach};
use crate::ports::fetch::{Fetch, Fetched, Validators};

/// How long a connection is kept for the next request, when nobody uses it. Less than servers keep theirs (gunicorn 2 s, uvicorn
/// and Node.js 5 s): a request that crosses the server's closing is lost, and nobody knows whether it was read.
const IDLE_LIMIT: Duration = Duration::from_secs(1);

/// The same for HTTP/2, counted from when the last request began. A server that closes says which requests it did not read.
const HTTP2_IDLE_LIMIT: Duration = Duration::from_secs(90);

/// Bounds on dialling.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// To a connection, TLS included.
    pub connect_timeout: Duration,
    /// From a request to the end of a fetched document.
    pub response_timeout: Duration,
}

/// An HTTP client with pooled connections. Pools are apart by reach: a connection that an operator's URL may use is
/// never lent to one a card or a caller gave.
pub struct Dialer {
    negotiated: Pools,
    /// Connections that are made for one request.
    unshared: Pools,
    /// HTTP/2 without asking: what gRPC speaks, and in clear text nobody could be asked.
    http2: Pools,
    options: Options,
}

type Pool = Client<Connector, Full<Bytes>>;

struct Pools {
    anywhere: Pool,
    public: Pool,
    public_or_loopback: Pool,
}

impl Pools {
    fn new(pool: impl Fn(Reach) -> Pool) -> Self {
        Self {
            anywhere: pool(Reach::Anywhere),
            public: pool(Reach::Public),
            public_or_loopback: pool(Reach::PublicOrLoopback),
        }
    }

    fn within(&self, reach: Reach) -> &Pool {
        match reach {
            Reach::Anywhere => &self.anywhere,
            Reach::Public => &self.public,
            Reach::PublicOrLoopback => &self.public_or_loopback,
        }
    }
}

impl Dialer {
    /// A client that believes what `tls` believes.
    pub fn new(options: Options, tls: &ClientConfig, resolver: &Arc<dyn Resolve>) -> Self {
        let pools = |http2_only, idle_limit, most_idle| {
            Pools::new(|reach| {
                let connector =
                    Connector::new(reach, Arc::clone(resolver), tls.clone(), options.connect_timeout);
                Client::builder(TokioExecutor::new())
                    .pool_timer(TokioTimer::new())
                    .pool_idle_timeout(idle_limit)
                    .pool_max_idle_per_host(most_idle)
                    .http2_only(http2_only)
                    .build(connector)
            })
        };
        Self {
            negotiated: pools(false, IDLE_LIMIT, usize::MAX),
            unshared: pools(false, IDLE_LIMIT, 0),
            http2: pools(true, HTTP2_IDLE_LIMIT, usize::MAX),
            options,
        }
    }

    /// Makes a request and waits for the head of the answer. `patience` bounds the wait, where there is a bound. A
    /// request of HTTP/2 is spoken in nothing else; one that is to close its connection has one of its own.
    pub(super) async fn send(
        &self,
        reach: Reach,
        request: Request<Full<Bytes>>,
        patience: Option<Duration>,
    ) -> Result<Response<Incoming>, Trouble> {
        let pools = match request.version() {
            Version::HTTP_2 => &self.http2,
            _ if request.headers().contains_key(CONNECTION) => &self.unshared,
            _ => &self.negotiated,
        };
        let sent = pools.within(reach).request(request);
        let answered = match patience {
            None => sent.await,
            Some(patience) => tokio::time::timeout(patience, sent)
                .await
                .map_err(|_| Trouble::Timeout(format!("no answer within {} s", patience.as_secs())))?,
        };
        answered.map_err(|error| {
            let reason = tls::describe(&error, "southbound.ca_file");
            if error.is_connect() { Trouble::Connect(reason) } else { Trouble::Transport(reason) }
        })
    }

    async fn document(
        &self,
        destination: &Destination,
        max_bytes: usize,
        known: &Validators,
    ) -> Result<Fetched, String> {
        let mut request = Request::get(destination.url())
            .header(ACCEPT, "application/json")
            .body(Full::default())
            .map_err(|error| format!("the URL cannot be used: {error}"))?;
        let conditions: HeaderMap = caching::conditions(known).collect();
        let is_conditional = !conditions.is_empty();
        request.headers_mut().extend(conditions);
        let answer =
            self.send(destination.reach(), request, None).await.map_err(|trouble| trouble.to_string())?;
        let status = answer.status();
        let caching = caching::read(answer.headers());
        if status == StatusCode::NOT_MODIFIED && is_conditional {
            return Ok(Fetched { body: None, caching });
        }
        if status.is_redirection() {
            let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let location = quote(location.unwrap_or("nowhere"));
            return Err(format!(
                "it redirects to {location}; redirects are not followed, so name the final URL"
            ));
        }
        if !status.is_success() {
            return Err(format!("it answered HTTP {status}"));
        }
        let body = body::read(answer.into_body(), max_bytes).await.map_err(|trouble| trouble.to_string())?;
        Ok(Fetched { body: Some(body), caching })
    }
}

#[async_trait]
impl Fetch for Dialer {
    async fn get(&self, url: &str, given_by: &GivenBy, max_bytes: usize) -> Result<Bytes, String> {
        let fetched = self.get_if_changed(url, given_by, max_bytes, &Validators::default()).await?;
        fetched.body.ok_or_else(|| "it answered that nothing has changed, which was not asked".to_owned())
    }

    async fn get_if_changed(
        &self,
        url: &str,
        given_by: &GivenBy,
        max_bytes: usize,
        known: &Validators,
    ) -> Result<Fetched, String> {
        let destination = Destination::judge(url, given_by).map_err(|refused| refused.to_string())?;
        let patience = self.options.response_timeout;
        tokio::time::timeout(patience, self.document(&destination, max_bytes, known))
            .await
            .map_err(|_| format!("it did not answer within {} s", patience.as_secs()))?
    }
}
