//! A server with one fault: a proxy before a good agent that spoils requests on their way in, or answers on their
//! way out, and leaves everything else as it was.

use std::convert::Infallible;

use bytes::Bytes;
use conformance_tests::suite::http::is_event_stream;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

/// A request on its way to the agent.
pub(super) struct Call {
    pub(super) verb: String,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    /// The body as JSON, if it is that.
    pub(super) json: Option<Value>,
    raw: Bytes,
}

impl Call {
    /// Whether it asks for the card.
    pub(super) fn is_card(&self) -> bool {
        self.path.ends_with("agent-card.json")
    }

    /// Whether it is this operation: a JSON-RPC method.
    pub(super) fn is(&self, method: &str) -> bool {
        self.json.as_ref().is_some_and(|json| json["method"] == method)
    }

    /// The parameters of JSON-RPC.
    pub(super) fn params(&mut self) -> Option<&mut Value> {
        self.json.as_mut()?.get_mut("params")
    }
}

/// An answer on its way to the suite.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    /// Changes the body as JSON.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Value)) {
        if let Ok(mut json) = serde_json::from_str(&self.text) {
            change(&mut json);
            self.text = json.to_string();
        }
    }

    /// Changes the events of a stream.
    pub(super) fn change_events(&mut self, change: impl FnOnce(&mut Vec<String>)) {
        if is_event_stream(&self.headers) {
            let text = self.text.replace("\r\n", "\n");
            let mut events: Vec<String> =
                text.split("\n\n").filter(|event| event.contains("data:")).map(str::to_owned).collect();
            change(&mut events);
            self.text = events.into_iter().map(|event| event + "\n\n").collect();
        }
    }
}

/// What is spoiled.
#[derive(Clone, Copy)]
pub(super) struct Fault {
    pub(super) request: fn(&mut Call),
    pub(super) answer: fn(&Call, &mut Answer),
}

/// Nothing.
pub(super) const NONE: Fault = Fault { request: |_| {}, answer: |_, _| {} };

/// Starts a proxy; its URL. It ends with the test's runtime.
pub(super) async fn spoiled(agent: &str, fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = format!("http://{}", listener.local_addr().unwrap());
    let (agent, url) = (agent.to_owned(), own.clone());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (agent, own) = (agent.clone(), own.clone());
            let service = service_fn(move |request| {
                let (agent, own) = (agent.clone(), own.clone());
                async move { Ok::<_, Infallible>(pass(&agent, &own, fault, request).await) }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service),
            );
        }
    });
    url
}

async fn pass(agent: &str, own: &str, fault: Fault, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let raw = body.collect().await.unwrap().to_bytes();
    let mut call = Call {
        verb: head.method.to_string(),
        path: head.uri.to_string(),
        headers: head.headers,
        json: serde_json::from_slice(&raw).ok(),
        raw,
    };
    (fault.request)(&mut call);
    let mut answer = ask(agent, &call).await;
    answer.text = answer.text.replace(agent, own);
    (fault.answer)(&call, &mut answer);
    let mut response = Response::new(Full::from(answer.text));
    *response.status_mut() = answer.status.try_into().unwrap();
    *response.headers_mut() = answer.headers;
    response
}

async fn ask(agent: &str, call: &Call) -> Answer {
    let body = call.json.as_ref().map_or_else(|| call.raw.to_vec(), |json| json.to_string().into_bytes());
    let mut headers = call.headers.clone();
    for name in ["host", "content-length", "connection"] {
        headers.remove(name);
    }
    let verb = call.verb.parse().unwrap();
    let request = reqwest::Client::new().request(verb, format!("{agent}{}", call.path)).headers(headers);
    let response = request.body(body).send().await.unwrap();
    let mut headers = response.headers().clone();
    for name in ["content-length", "transfer-encoding", "connection"] {
        headers.remove(name);
    }
    Answer { status: response.status().as_u16(), headers, text: response.text().await.unwrap() }
}
