//! Small servers of the suite's own: a webhook, to see what a server pushes, and a gate, at which a scripted agent
//! waits until a check is ready.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::watch;

use super::check::{Stop, fail};
use super::http::PATIENCE;

/// A notification as it came.
#[derive(Debug)]
pub struct Notification {
    /// `Authorization`.
    pub authorization: String,
    /// `Content-Type`.
    pub content_type: String,
    /// The body.
    pub json: Value,
}

/// A webhook that acknowledges whatever comes.
pub struct Webhook {
    /// Where it listens.
    pub url: String,
    notifications: UnboundedReceiver<Notification>,
    server: tokio::task::JoinHandle<()>,
}

impl Webhook {
    /// Listens on a free port of this machine.
    pub async fn listen() -> Result<Self, Stop> {
        let (listener, address) = bind().await?;
        let (sender, notifications) = mpsc::unbounded_channel();
        let server = tokio::spawn(serve(listener, move |request| {
            let sender = sender.clone();
            async move {
                let _ = sender.send(read(request).await);
            }
        }));
        Ok(Self { url: format!("http://{address}/hook"), notifications, server })
    }

    /// The next notification.
    pub async fn next(&mut self) -> Result<Notification, Stop> {
        match tokio::time::timeout(PATIENCE, self.notifications.recv()).await {
            Ok(Some(notification)) => Ok(notification),
            _ => fail(format!("no notification within {} s", PATIENCE.as_secs())),
        }
    }

    /// One that has come and was not read yet, if there is one.
    pub fn arrived(&mut self) -> Option<Notification> {
        self.notifications.try_recv().ok()
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A gate: who asks for its URL gets no answer until it is opened.
pub struct Gate {
    /// What to ask for.
    pub url: String,
    open: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
}

impl Gate {
    /// A closed gate on this machine.
    pub async fn closed() -> Result<Self, Stop> {
        let (listener, address) = bind().await?;
        let (open, waiting) = watch::channel(false);
        let server = tokio::spawn(serve(listener, move |_| {
            let mut waiting = waiting.clone();
            async move {
                let _ = waiting.wait_for(|open| *open).await;
            }
        }));
        Ok(Self { url: format!("http://{address}/gate"), open, server })
    }

    /// Opens it, for those who wait and those who will come.
    pub fn open(&self) {
        let _ = self.open.send(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn bind() -> Result<(TcpListener, SocketAddr), Stop> {
    let bound = TcpListener::bind("127.0.0.1:0").await;
    let listener = bound.or_else(|error| fail(format!("no port to listen on: {error}")))?;
    let address = listener.local_addr().or_else(|error| fail(format!("no address: {error}")))?;
    Ok((listener, address))
}

/// Answers every request with an empty 200 once it is dealt with.
async fn serve<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    deal: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
) {
    while let Ok((socket, _)) = listener.accept().await {
        let deal = deal.clone();
        let service = service_fn(move |request| {
            let dealt = deal(request);
            async move {
                dealt.await;
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service),
        );
    }
}

async fn read(request: Request<Incoming>) -> Notification {
    let header = |name: &str| {
        let value =
            request.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        value.unwrap_or_default()
    };
    let (authorization, content_type) = (header("authorization"), header("content-type"));
    let body =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Notification { authorization, content_type, json: serde_json::from_slice(&body).unwrap_or_default() }
}
