//! The server: connections in, answers out, bounded in number, size and time; it ends gracefully.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use protocol::{A2aError, ErrorKind};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::connection::Connection;
use super::operations::{Context, Head};
use super::reply::{self, Body, method_not_allowed, not_found};
use super::route::{Route, route};
use super::tls::Tls;
use super::{api, body, cards, credential, grpc, http_json, jsonrpc, oauth, push, unambiguous};
use crate::service::{Broker, CardDocument, ClientCertificate};

/// Wait after a failed accept (out of file descriptors, say) before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Largest head of an HTTP/1.1 request, and most that is buffered of an answer that its caller does not take, bytes;
/// one event more is on its way. Over HTTP/2 the second is per stream.
const CONNECTION_BUFFER_BYTES: usize = 64 * 1024;

/// What the system may buffer of an answer that its caller does not take, bytes. Left to itself it grows to megabytes,
/// and a thousand callers that do not read would use up what all connections of the machine share.
const SEND_BUFFER_BYTES: u32 = 256 * 1024;

/// Connections that may wait to be accepted.
const ACCEPT_QUEUE: u32 = 1_024;

/// How long the key set may be kept; half as long as a key is published before it signs.
const JWKS_CACHE: &str = "public, max-age=300";

/// Bounds on callers.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Largest request body, bytes.
    pub body_limit: usize,
    /// Connections at a time; more wait to be accepted.
    pub max_connections: usize,
    /// To the end of a request's head.
    pub header_timeout: Duration,
    /// To the end of a request's body.
    pub body_timeout: Duration,
    /// Without one byte taken by a caller that is being answered.
    pub write_timeout: Duration,
    /// Event streams at a time.
    pub max_streams: usize,
    /// Silence on a stream after which a sign of life is sent.
    pub heartbeat: Duration,
    /// For open requests to finish at shutdown.
    pub drain: Duration,
}

/// The certificate a connection's caller has shown.
type Certificate = Option<Arc<ClientCertificate>>;

impl Default for Options {
    fn default() -> Self {
        Self {
            body_limit: 4 * 1024 * 1024,
            max_connections: 10_000,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_mins(1),
            max_streams: 10_000,
            heartbeat: Duration::from_secs(15),
            drain: Duration::from_secs(10),
        }
    }
}

/// Listens on an address.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // What is accepted here inherits it.
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_QUEUE)
}

/// The northbound server.
pub struct Server {
    context: Context,
    options: Options,
    tls: Option<Tls>,
}

impl Server {
    /// A server for a broker, with TLS or without.
    pub fn new(broker: Arc<Broker>, options: Options, tls: Option<Tls>) -> Arc<Self> {
        let streams = Arc::new(Semaphore::new(options.max_streams.min(Semaphore::MAX_PERMITS)));
        let heartbeat = options.heartbeat;
        let context = Context { broker, over: watch::Sender::new(false), streams, heartbeat };
        Arc::new(Self { context, options, tls })
    }

    /// Serves until `shutdown`, then ends streams, lets open requests finish within the drain time, and returns.
    pub async fn run(self: Arc<Self>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let places = Arc::new(Semaphore::new(self.options.max_connections));
        let graceful = GracefulShutdown::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
            let (socket, peer) = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
                () = &mut shutdown => break,
            };
            let (server, watcher) = (Arc::clone(&self), graceful.watcher());
            tokio::spawn(async move {
                server.accept(socket, peer, watcher).await;
                drop(place);
            });
        }
        self.context.over.send_replace(true);
        if tokio::time::timeout(self.options.drain, graceful.shutdown()).await.is_err() {
            tracing::warn!("open requests were cut off after the drain time (server.drain)");
        }
    }

    /// Takes a connection up: shakes hands where there is TLS, then serves it to its end.
    async fn accept(self: Arc<Self>, socket: TcpStream, peer: SocketAddr, watcher: Watcher) {
        // Without it the first event of a stream waits for the caller's delayed acknowledgement.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY could not be set");
        }
        let Some(tls) = self.tls.clone() else { return self.serve(socket, None, peer, watcher).await };
        match tokio::time::timeout(self.options.header_timeout, tls.accept(socket)).await {
            Ok(Ok((stream, certificate))) => self.serve(stream, certificate, peer, watcher).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS connection came about"),
            Err(_) => tracing::debug!(%peer, "the TLS handshake took longer than server.header_timeout"),
        }
    }

    async fn serve(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        certificate: Certificate,
        peer: SocketAddr,
        watcher: Watcher,
    ) {
        let Options { header_timeout, write_timeout, heartbeat, .. } = self.options;
        let stream = Connection::new(stream, header_timeout, write_timeout);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(CONNECTION_BUFFER_BYTES);
        // A stream of its own may stall without the connection; the PINGs show whether there is somebody still.
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(heartbeat)
            .keep_alive_timeout(write_timeout)
            .max_send_buf_size(CONNECTION_BUFFER_BYTES);
        let service = service_fn(move |request| {
            let (server, certificate) = (Arc::clone(&self), certificate.clone());
            async move { Ok::<_, Infallible>(server.answer(request, certificate).await) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%peer, %error, "a connection ended early");
        }
    }

    /// Answers one request; a panic on the way is an internal error of this request alone.
    async fn answer(self: Arc<Self>, request: Request<Incoming>, certificate: Certificate) -> Response<Body> {
        // A caller that hangs up takes its waiting with it; what it began is the driver's and goes on.
        let mut answering = JoinSet::new();
        answering.spawn(async move { self.dispatch(request, certificate.as_ref()).await });
        let answered = answering.join_next().await.unwrap_or_else(|| Ok(not_found()));
        answered.unwrap_or_else(|panicked| {
            tracing::error!(%panicked, "a request could not be answered");
            reply::error(&A2aError::new(ErrorKind::Internal, "internal error; the broker's log says more"))
        })
    }

    async fn dispatch(
        &self,
        request: Request<Incoming>,
        certificate: Option<&Arc<ClientCertificate>>,
    ) -> Response<Body> {
        let (head, incoming) = request.into_parts();
        let (method, path) = (head.method.as_str(), head.uri.path());
        let headers = &head.headers;
        let credential = credential::presented(&head, certificate);
        let credential = credential.as_ref();
        let query = head.uri.query().unwrap_or_default();
        let shared = Head { headers, query, credential };
        let route = if grpc::is_grpc(headers) { Route::Grpc } else { route(method, path) };
        if let Err(ambiguous) = unambiguous::check(&head) {
            return match route {
                Route::Grpc => grpc::refuse(&ambiguous),
                Route::JsonRpc(_) => jsonrpc::refuse_unread(&ambiguous),
                _ => reply::error(&ambiguous),
            };
        }
        let body = match method {
            "POST" | "PUT" | "PATCH" => {
                body::read(incoming, self.options.body_limit, self.options.body_timeout).await
            }
            _ => Ok(bytes::Bytes::new()),
        };
        match route {
            Route::Grpc => grpc::serve(&self.context, &head, shared, body).await,
            Route::JsonRpc(target) => jsonrpc::serve(&self.context, target, shared, body).await,
            Route::HttpJson(target, path) => {
                let incoming = http_json::Incoming { method, path: &path, head: shared, body };
                http_json::serve(&self.context, target, incoming).await
            }
            Route::Unknown => not_found(),
            Route::Api(resource) => {
                let incoming = api::Incoming { method, query, credential, body };
                api::serve(&self.context, resource, incoming).await
            }
            Route::Push(token) => push::receive(&self.context, &token, method, body).await,
            Route::Tokens(_) if method != "POST" => method_not_allowed("POST"),
            Route::Tokens(endpoint) => oauth::serve(&self.context, endpoint, &head, credential, body).await,
            _ if !matches!(method, "GET" | "HEAD") => method_not_allowed("GET, HEAD"),
            Route::Card(target) => card(self.context.broker.agent_card(&target), headers),
            Route::UpstreamCard(name) => card(self.context.broker.upstream_card(&name), headers),
            Route::Jwks => jwks(&self.context.broker.jwks()),
            Route::CardJwks => jwks(&self.context.broker.card_jwks()),
            Route::Health => plain(http::StatusCode::OK, "ok\n"),
            Route::Ready => match self.context.broker.ready().await {
                Ok(()) => plain(http::StatusCode::OK, "ready\n"),
                Err(_) => plain(http::StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n"),
            },
        }
    }
}

fn card(card: Result<CardDocument, A2aError>, headers: &HeaderMap) -> Response<Body> {
    card.map_or_else(|error| reply::error(&error), |card| cards::serve(card, headers))
}

fn jwks(keys: &serde_json::Value) -> Response<Body> {
    let mut response = reply::json(http::StatusCode::OK, "application/jwk-set+json", keys);
    response.headers_mut().insert(http::header::CACHE_CONTROL, HeaderValue::from_static(JWKS_CACHE));
    response
}

fn plain(status: http::StatusCode, text: &'static str) -> Response<Body> {
    reply::answer(status, "text/plain; charset=utf-8", reply::whole(text))
}
