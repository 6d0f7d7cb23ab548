//! One thread that serves HTTP/1.1 and HTTP/2 with hyper and nothing around it.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

/// Connections that wait to be accepted; a thousand subscribers come at once.
const BACKLOG: u32 = 4096;

pub trait Service: Clone + Send + 'static {
    type Body: Body<Data = Bytes, Error: Into<anyhow::Error> + std::error::Error + Send + Sync> + Send;

    fn answer(&self, request: Request<Incoming>)
    -> impl Future<Output = Result<Response<Self::Body>>> + Send;
}

pub fn serve(listen: SocketAddr, service: impl Service) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(listen).with_context(|| format!("{listen} cannot be listened on"))?;
        accept(socket.listen(BACKLOG)?, service).await
    })
}

async fn accept(listener: TcpListener, service: impl Service) -> Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let service = service.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let service = service.clone();
                async move { service.answer(request).await.inspect_err(|error| eprintln!("{error:#}")) }
            });
            let connection = auto::Builder::new(TokioExecutor::new());
            if let Err(error) = connection.serve_connection(TokioIo::new(socket), answer).await {
                eprintln!("a connection: {error}");
            }
        });
    }
}

/// The whole body of a request or an answer.
pub async fn whole(body: Incoming) -> Result<Bytes> {
    Ok(body.collect().await?.to_bytes())
}
