//! An agent that answers thousands of messages at once, each with one word and no task: what makes large trees quickly.

use std::convert::Infallible;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(super) struct Crowd {
    pub(super) url: String,
    serving: JoinHandle<()>,
}

impl Crowd {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let card = json!({
            "name": "crowd", "description": "Answers at once", "version": "1",
            "supportedInterfaces": [{ "url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0" }],
            "capabilities": {}, "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
            "skills": [{ "id": "work", "name": "work", "description": "works", "tags": ["work"] }],
        });
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let card = card.clone();
                let service = service_fn(move |request| answer(request, card.clone()));
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service);
                tokio::spawn(connection);
            }
        });
        Self { url, serving }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(request: Request<Incoming>, card: Value) -> Result<Response<Full<Bytes>>, Infallible> {
    let document = if request.method() == "GET" {
        card
    } else {
        let body =
            request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let call: Value = serde_json::from_slice(&body).unwrap_or_default();
        let id = uuid::Uuid::now_v7().to_string();
        let said = json!({ "messageId": id, "role": "ROLE_AGENT", "parts": [{ "text": "done" }] });
        json!({ "jsonrpc": "2.0", "id": call["id"], "result": { "message": said } })
    };
    let body = Full::new(Bytes::from(document.to_string()));
    Ok(Response::builder().header("content-type", "application/json").body(body).expect("a response"))
}
