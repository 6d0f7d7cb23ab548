//! Connections that go only where they may: every address, written out or resolved, is judged in the step that
//! connects to it. Nothing is resolved twice, so a name server cannot answer the judge one thing and the dialler
//! another; a pooled connection stays with the address it was judged by.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::address::Reach;

/// Silence on a connection after which TCP itself asks whether the other end is still there. A peer that vanished without a
/// word would otherwise keep a stream waiting for hours. HTTP/2 could ask as well, but servers of gRPC hang up on who
/// does it more often than every five minutes.
const IDLE_BEFORE_PROBE: Duration = Duration::from_secs(30);
/// Between two such questions.
const PROBE_EVERY: Duration = Duration::from_secs(10);
/// Unanswered ones after which the connection is dead.
const PROBES: u32 = 3;
/// How long what was sent may go unconfirmed. A pooled connection to a peer that is gone is given to one request after
/// another until it is dead, which by TCP's own reckoning takes a quarter of an hour.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const UNHEARD: Duration = Duration::from_secs(30);

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Promise<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Turns names into addresses.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of a name.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The machine's own resolver.
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Connections that are sent on at once, and that notice when the other end is gone.
pub(crate) fn watchful<R>(resolver: R) -> HttpConnector<R> {
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(IDLE_BEFORE_PROBE));
    tcp.set_keepalive_interval(Some(PROBE_EVERY));
    tcp.set_keepalive_retries(Some(PROBES));
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    tcp.set_tcp_user_timeout(Some(UNHEARD));
    tcp
}

/// Opens connections within a reach, with TLS where the URL says https.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<HttpConnector<JudgedNames>>,
    reach: Reach,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(
        reach: Reach,
        resolver: Arc<dyn Resolve>,
        tls: ClientConfig,
        timeout: Duration,
    ) -> Self {
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(watchful(JudgedNames { reach, resolver }));
        Self { https, reach, timeout }
    }

    /// An address that is written out is never resolved, so it is judged here.
    fn judge_literal(&self, uri: &Uri) -> Result<(), BoxError> {
        let host = uri.host().unwrap_or_default();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match bare.parse() {
            Ok(address) => Ok(self.reach.admits(address)?),
            Err(_) => Ok(()),
        }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Promise<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        if let Err(refused) = self.judge_literal(&uri) {
            return Box::pin(async { Err(refused) });
        }
        let (connecting, timeout) = (self.https.call(uri), self.timeout);
        // The bound covers the name, the connection and the TLS handshake.
        Box::pin(async move {
            let late = |_| format!("no connection within {} ms", timeout.as_millis());
            tokio::time::timeout(timeout, connecting).await.map_err(late)?
        })
    }
}

/// The addresses of a name, without those out of reach.
#[derive(Clone)]
struct JudgedNames {
    reach: Reach,
    resolver: Arc<dyn Resolve>,
}

impl Service<Name> for JudgedNames {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Promise<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { reach, resolver } = self.clone();
        Box::pin(async move {
            let found = resolver.resolve(name.as_str()).await?;
            let (mut admitted, mut refused) = (Vec::new(), None);
            for address in found {
                match reach.admits(address) {
                    Ok(()) => admitted.push(SocketAddr::new(address, 0)),
                    Err(why) => refused = Some(why),
                }
            }
            match refused {
                Some(why) if admitted.is_empty() => Err(format!("{name}: {why}").into()),
                _ => Ok(admitted.into_iter()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_is_written_out_is_judged_too() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tls = super::super::tls::client_config("southbound.ca_file", None).unwrap();
        let connect = |host: &str, reach| {
            let timeout = Duration::from_secs(5);
            let mut connector = Connector::new(reach, Arc::new(SystemResolver), tls.clone(), timeout);
            connector.call(format!("http://{host}:{port}/").parse().unwrap())
        };
        for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "2130706433", "0x7f.1"] {
            assert!(connect(host, Reach::Public).await.is_err(), "{host}");
        }
        assert!(connect("169.254.169.254", Reach::Anywhere).await.is_err());
        assert!(connect("127.0.0.1", Reach::Anywhere).await.is_ok(), "it can be reached at all");
    }
    /// Read from the kernel's own table: whether it watches over the connection while nothing is said.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_silent_connection_is_asked_whether_its_peer_is_there() {
        /// `tr` in the table: the keep-alive timer runs.
        const KEEP_ALIVE: &str = "02";
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tls = super::super::tls::client_config("southbound.ca_file", None).unwrap();
        let mut connector =
            Connector::new(Reach::Anywhere, Arc::new(SystemResolver), tls, Duration::from_secs(5));
        let _kept = connector.call(format!("http://127.0.0.1:{port}/").parse().unwrap()).await.unwrap();
        let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        let remote = format!("0100007F:{port:04X}");
        let ours = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let ours: Vec<_> = ours.filter(|row| row.get(2) == Some(&remote.as_str())).collect();
        assert_eq!(ours.len(), 1, "{table}");
        assert!(ours[0][5].starts_with(KEEP_ALIVE), "{:?}", ours[0]);
    }
}
