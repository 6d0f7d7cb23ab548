//! The server: takes connections in, bounded in number and time, serves them, and leaves in good order.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::FutureExt;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::body::Bounds;
use super::connection::Connection;
use super::leaving::Phase;
use super::mcp;
use super::memory::Memory;
use super::operations::Context;
use super::places::{Order, Place, Places, REFUSED_CONNECTIONS};
use super::tls::Tls;
use crate::service::{Broker, ClientCertificate};

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

/// Time within which the system says of a new connection whether something had come on it before, unless it has thousands
/// to say that of.
const LISTEN: Duration = Duration::from_millis(1);

/// Connections that have made way and may still be on their way out; while there are more, none is taken in.
const LEAVING_CONNECTIONS: usize = 256;

/// Time the last answers get to leave after the drain time.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Bounds on callers, and what they are served.
#[derive(Debug, Clone)]
pub struct Options {
    /// Largest request body, bytes.
    pub body_limit: usize,
    /// Bytes of request bodies and of answers on their way at a time, all callers together.
    pub max_body_memory: usize,
    /// Connections at a time; for a further one one that waits for its caller makes way.
    pub max_connections: usize,
    /// Requests being answered at a time; further ones are refused.
    pub max_requests: usize,
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
    /// At shutdown, of saying so while serving as before.
    pub notice: Duration,
    /// For open requests to finish at shutdown.
    pub drain: Duration,
    /// Whether the web console is served.
    pub console: bool,
    /// How the fleet is served as tools.
    pub mcp: mcp::Options,
}

/// The certificate a connection's caller has shown.
pub(super) type Certificate = Option<Arc<ClientCertificate>>;

impl Default for Options {
    fn default() -> Self {
        Self {
            body_limit: 4 * 1024 * 1024,
            max_body_memory: 256 * 1024 * 1024,
            max_connections: 10_000,
            max_requests: 20_000,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_mins(1),
            max_streams: 10_000,
            heartbeat: Duration::from_secs(15),
            notice: Duration::ZERO,
            drain: Duration::from_secs(10),
            console: true,
            mcp: mcp::Options::default(),
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
    pub(super) context: Context,
    pub(super) options: Options,
    /// A place for each socket that may be there, whatever for.
    sockets: Arc<Semaphore>,
    tls: Option<Tls>,
}

impl Server {
    /// A server for a broker, with TLS or without.
    pub fn new(broker: Arc<Broker>, options: Options, tls: Option<Tls>) -> Arc<Self> {
        let semaphore = |permits: usize| Semaphore::new(permits.min(Semaphore::MAX_PERMITS));
        let context = Context {
            broker,
            phase: watch::Sender::new(Phase::Serving),
            memory: Memory::new(options.max_body_memory),
            places: Places::new(options.max_connections),
            requests: semaphore(options.max_requests),
            max_requests: options.max_requests.min(Semaphore::MAX_PERMITS),
            streams: Arc::new(semaphore(options.max_streams)),
            max_streams: options.max_streams.min(Semaphore::MAX_PERMITS),
            heartbeat: options.heartbeat,
            mcp: options.mcp.clone(),
            under_way: Arc::default(),
            configuration: RwLock::default(),
        };
        let sockets = options.max_connections.saturating_add(REFUSED_CONNECTIONS + LEAVING_CONNECTIONS);
        Arc::new(Self { context, sockets: Arc::new(semaphore(sockets)), options, tls })
    }

    /// Shows operators this configuration from now on. It must hold no secret.
    pub fn show_configuration(&self, configuration: Map<String, Value>) {
        *self.context.configuration.write().unwrap_or_else(PoisonError::into_inner) = configuration;
    }

    /// Serves until `shutdown`; then says so, takes nobody in any more and ends streams, lets open requests finish within
    /// the drain time, refuses what is left, and returns.
    pub async fn run(self: Arc<Self>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        self.take_in(&listener, shutdown).await;
        let phase = &self.context.phase;
        phase.send_replace(Phase::Leaving);
        self.take_in(&listener, tokio::time::sleep(self.options.notice)).await;
        drop(listener);
        phase.send_replace(Phase::Draining);
        self.context.places.finish();
        // Every connection holds the phase to its end.
        if tokio::time::timeout(self.options.drain, phase.closed()).await.is_ok() {
            return;
        }
        phase.send_replace(Phase::Late);
        tracing::info!("what was not finished within the drain time (server.drain) is refused");
        if tokio::time::timeout(LAST_WORDS, phase.closed()).await.is_err() {
            tracing::warn!("connections are cut off whose callers take nothing");
        }
    }

    async fn take_in(self: &Arc<Self>, listener: &TcpListener, until: impl Future<Output = ()>) {
        let mut until = pin!(until);
        loop {
            tokio::select! {
                biased;
                () = &mut until => return,
                () = self.take_one_in(listener) => {}
            }
        }
    }

    async fn take_one_in(self: &Arc<Self>, listener: &TcpListener) {
        let Ok(permit) = Arc::clone(&self.sockets).acquire_owned().await else { return };
        let newcomer = self.context.places.newcomer().await;
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                let made = self.context.places.make_way();
                tracing::warn!(%error, made, "a connection could not be accepted; made: another one made way");
                return tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        };
        let (server, place) = (Arc::clone(self), self.context.places.take(newcomer));
        let phase = self.context.phase();
        tokio::spawn(async move {
            // Then what has come is read before anything else is looked at.
            let _ = tokio::time::timeout(LISTEN, socket.readable()).await;
            server.accept(socket, peer, &place).await;
            drop((permit, phase));
        });
    }

    /// Takes a connection up: shakes hands where there is TLS, then serves it to its end.
    async fn accept(self: Arc<Self>, socket: TcpStream, peer: SocketAddr, place: &Arc<Place>) {
        // Without it the first event of a stream waits for the caller's delayed acknowledgement.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY could not be set");
        }
        let Some(tls) = self.tls.clone() else { return self.serve(socket, None, peer, place).await };
        let handshake = tokio::time::timeout(self.options.header_timeout, tls.accept(socket));
        let shaken = tokio::select! {
            shaken = handshake => shaken,
            // It has asked nothing yet.
            order = place.order() => return tracing::debug!(%peer, ?order, "a connection ends in its handshake"),
        };
        match shaken {
            Ok(Ok((stream, certificate))) => self.serve(stream, certificate, peer, place).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS connection came about"),
            Err(_) => tracing::debug!(%peer, "the TLS handshake took longer than server.header_timeout"),
        }
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds { size: self.options.body_limit, time: self.options.body_timeout }
    }

    async fn serve(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        certificate: Certificate,
        peer: SocketAddr,
        place: &Arc<Place>,
    ) {
        let Options { header_timeout, write_timeout, heartbeat, .. } = self.options;
        let stream = Connection::new(stream, header_timeout, write_timeout, Arc::clone(place));
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
        let asked = Arc::clone(place);
        let service = service_fn(move |request| {
            let (server, certificate, place) = (Arc::clone(&self), certificate.clone(), Arc::clone(&asked));
            async move { Ok::<_, Infallible>(server.answer(request, certificate, place).await) }
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let ended = loop {
            tokio::select! {
                // First: who has to go begins nothing more.
                biased;
                order = place.order() => match order {
                    Order::Go => return tracing::debug!(%peer, "a connection made way for another"),
                    Order::Finish => {
                        // What had come by then is answered.
                        if let Some(ended) = connection.as_mut().now_or_never() {
                            break ended;
                        }
                        connection.as_mut().graceful_shutdown();
                    }
                },
                ended = connection.as_mut() => break ended,
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a connection ended early");
        }
    }
}
