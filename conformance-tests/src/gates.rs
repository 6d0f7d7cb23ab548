//! Gates at which scripted agents wait: a script names `…/wait/NAME`, and goes on once somebody asks for `…/open/NAME`. So
//! a round is where it wants to be before the agent goes on, however slow the machine is.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Display;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::wire;

/// As many gates as are asked for, on loopback, all closed at first.
pub struct Gates {
    url: String,
    serving: tokio::task::JoinHandle<()>,
}

impl Gates {
    /// Starts to listen.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        Self { url, serving: tokio::spawn(serve(listener)) }
    }

    /// Where they are.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What a script names to wait at a gate.
    pub fn wait(&self, name: impl Display) -> String {
        format!("{}/wait/{name}", self.url)
    }

    /// Opens a gate.
    pub async fn open(&self, name: impl Display) {
        wire::get(&format!("{}/open/{name}", self.url)).await;
    }
}

impl Drop for Gates {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener) {
    let opened = watch::Sender::new(BTreeSet::new());
    while let Ok((socket, _)) = listener.accept().await {
        let opened = opened.clone();
        let service = service_fn(move |request| {
            let opened = opened.clone();
            async move { Ok::<_, Infallible>(answer(&request, &opened).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new();
        tokio::spawn(connection.serve_connection(TokioIo::new(socket), service));
    }
}

async fn answer(
    request: &Request<Incoming>,
    opened: &watch::Sender<BTreeSet<String>>,
) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    if let Some(name) = request.uri().path().strip_prefix("/open/") {
        opened.send_modify(|opened| {
            opened.insert(name.to_owned());
        });
    } else if let Some(name) = request.uri().path().strip_prefix("/wait/") {
        let _ = opened.subscribe().wait_for(|opened| opened.contains(name)).await;
    } else {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}
