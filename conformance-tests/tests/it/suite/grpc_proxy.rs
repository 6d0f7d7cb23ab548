//! A gRPC server with one fault, as `proxy.rs` has those of the JSON bindings: a proxy before a good agent that spoils
//! the message on its way in, or messages and trailers on their way out.

use std::convert::Infallible;

use bytes::Bytes;
use conformance_tests::suite::binding::grpc;
use conformance_tests::suite::operation::{ALL, Operation};
use conformance_tests::suite::protobuf;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use conformance_tests::wire;

const DETAILS: &str = "grpc-status-details-bin";

/// A call on its way to the agent.
pub(super) struct Call {
    pub(super) method: String,
    pub(super) headers: HeaderMap,
    pub(super) message: Vec<u8>,
}

impl Call {
    /// Whether it is this operation.
    pub(super) fn is(&self, method: &str) -> bool {
        self.method == method
    }

    /// Changes its message as JSON.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Value)) {
        let operation = self.operation();
        let mut json = protobuf::read_request(operation, &self.message).unwrap();
        change(&mut json);
        self.message = protobuf::request(operation, &json).unwrap();
    }

    fn operation(&self) -> Operation {
        ALL.into_iter().find(|operation| operation.method == self.method).unwrap()
    }
}

/// An answer on its way to the suite. Without trailers it breaks off.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) messages: Vec<Vec<u8>>,
    pub(super) trailers: HeaderMap,
}

impl Answer {
    /// Changes every message as JSON.
    pub(super) fn change(&mut self, call: &Call, change: impl Fn(&mut Value)) {
        for message in &mut self.messages {
            let mut json = protobuf::response(call.operation(), message).unwrap();
            change(&mut json);
            *message = protobuf::write_response(call.operation(), &json).unwrap();
        }
    }

    /// Whether it ends with a code.
    pub(super) fn ends_with(&self, code: u8) -> bool {
        self.trailers.get("grpc-status").is_some_and(|value| value.as_bytes() == code.to_string().as_bytes())
    }

    /// Replaces the code it ends with.
    pub(super) fn end_with(&mut self, code: u8) {
        self.trailers.insert("grpc-status", u16::from(code).into());
    }

    /// Takes the details of an error away.
    pub(super) fn drop_details(&mut self) {
        self.trailers.remove(DETAILS);
    }

    /// Replaces the details of an error by a status of its own code and none.
    pub(super) fn mismatch_details(&mut self) {
        use base64::Engine;
        let status = protobuf::write_status(&json!({ "code": 13, "message": "other" })).unwrap();
        let text = base64::prelude::BASE64_STANDARD_NO_PAD.encode(status);
        if self.trailers.contains_key(DETAILS) {
            self.trailers.insert(DETAILS, text.parse().unwrap());
        }
    }
}

/// What is spoiled.
#[derive(Clone, Copy)]
pub(super) struct Fault {
    pub(super) card: fn(&mut Value),
    pub(super) request: fn(&mut Call),
    pub(super) answer: fn(&Call, &mut Answer),
}

/// Nothing.
pub(super) const NONE: Fault = Fault { card: |_| {}, request: |_| {}, answer: |_, _| {} };

type Out = Response<http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>>;

/// Starts a proxy; the URL of its card. It ends with the test's runtime.
pub(super) async fn spoiled(agent: &str, fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let url = format!("http://{address}");
    let mut card = wire::get(&format!("{agent}/.well-known/agent-card.json")).await.json();
    let interfaces = card["supportedInterfaces"].as_array_mut().unwrap();
    interfaces.retain(|interface| interface["protocolBinding"] == "GRPC");
    let upstream = interfaces[0]["url"].as_str().unwrap().to_owned();
    interfaces[0]["url"] = json!(address);
    (fault.card)(&mut card);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (card, upstream) = (card.to_string(), upstream.clone());
            let service = service_fn(move |request| {
                let (card, upstream) = (card.clone(), upstream.clone());
                async move { Ok::<_, Infallible>(pass(card, &upstream, fault, request).await) }
            });
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
            });
        }
    });
    url
}

async fn pass(card: String, upstream: &str, fault: Fault, request: Request<Incoming>) -> Out {
    let (head, body) = request.into_parts();
    if head.uri.path().ends_with("agent-card.json") {
        let mut response = Response::new(Full::from(card).boxed_unsync());
        response.headers_mut().insert("content-type", "application/json".parse().unwrap());
        return response;
    }
    let mut buffer = body.collect().await.unwrap().to_bytes().to_vec();
    let message = grpc::next_message(&mut buffer).unwrap().unwrap();
    let method = head.uri.path().rsplit('/').next().unwrap().to_owned();
    let mut call = Call { method, headers: head.headers, message };
    (fault.request)(&mut call);
    let mut answer = ask(upstream, &call).await;
    (fault.answer)(&call, &mut answer);
    let data = answer.messages.iter().flat_map(|message| grpc::frame(message)).collect::<Vec<u8>>();
    let trailers = Some(answer.trailers).filter(|trailers| !trailers.is_empty()).map(Ok);
    let body = Full::from(data).with_trailers(std::future::ready(trailers));
    let mut response = Response::new(body.boxed_unsync());
    *response.headers_mut() = answer.headers;
    response
}

async fn ask(upstream: &str, call: &Call) -> Answer {
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let uri = format!("http://{upstream}/{}/{}", protobuf::SERVICE, call.method);
    let mut request = Request::post(uri).body(Full::from(grpc::frame(&call.message))).unwrap();
    *request.headers_mut() = call.headers.clone();
    request.headers_mut().remove("content-length");
    let (head, body) = client.request(request).await.unwrap().into_parts();
    let collected = body.collect().await.unwrap();
    let (mut headers, mut trailers) = (head.headers, collected.trailers().cloned().unwrap_or_default());
    // An answer that is nothing but its end gets an end of its own.
    for name in ["grpc-status", "grpc-message", DETAILS] {
        if let Some(value) = headers.remove(name) {
            trailers.insert(name, value);
        }
    }
    headers.remove("content-length");
    let (mut buffer, mut messages) = (collected.to_bytes().to_vec(), Vec::new());
    while let Some(message) = grpc::next_message(&mut buffer).unwrap() {
        messages.push(message);
    }
    Answer { headers, messages, trailers }
}
