//! gRPC, raw: bytes in frames over HTTP/2, and the status as it stands in the head or in the trailers. Messages are
//! put together by hand, so that wrong ones can be too.

use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::HeaderMap;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::python::{agents_folder, interpreter};
pub use crate::suite::binding::grpc::frame;
pub use crate::suite::protobuf::field;

/// The path of the service.
pub const SERVICE: &str = "/lf.a2a.v1.A2AService";

/// How a call ended.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub http: u16,
    /// Head and trailers together.
    pub headers: HeaderMap,
    /// The messages, in their frames.
    pub body: Vec<u8>,
}

impl Answer {
    /// The gRPC status code.
    pub fn code(&self) -> Option<u32> {
        self.header("grpc-status")?.parse().ok()
    }

    /// A header or trailer.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

/// One connection, HTTP/2 without asking.
pub struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    /// Connects to host and port.
    pub async fn open(address: &str) -> Self {
        let socket = TcpStream::connect(address).await.expect("a connection");
        let (sender, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(socket)).await.expect("HTTP/2");
        tokio::spawn(connection);
        Self(sender)
    }

    /// POST of bytes as gRPC, with headers besides (or instead of) those every call has.
    pub async fn call(&mut self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let mut request = hyper::Request::builder().method("POST").uri(format!("http://broker{path}"));
        for usual in [("content-type", "application/grpc"), ("te", "trailers"), ("a2a-version", "1.0")] {
            if !headers.iter().any(|(name, _)| *name == usual.0) {
                request = request.header(usual.0, usual.1);
            }
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).expect("a request");
        let (head, body) = self.0.send_request(request).await.expect("an answer").into_parts();
        let collected = body.collect().await.expect("a body");
        let mut all = head.headers;
        all.extend(collected.trailers().cloned().unwrap_or_default());
        Answer { http: head.status.as_u16(), headers: all, body: collected.to_bytes().to_vec() }
    }
}

/// A SendMessageRequest to an agent.
pub fn send_request(agent: &str, message_id: &str, text: &str) -> Vec<u8> {
    let part = field(1, text.as_bytes());
    // 4: the role, ROLE_USER.
    let message = [field(1, message_id.as_bytes()), vec![4 << 3, 1], field(5, &part)].concat();
    [field(1, agent.as_bytes()), field(2, &message)].concat()
}

/// An unmodified SDK client that takes steps over gRPC (`agents/grpc_probe.py`); what came of each. With `ca` it uses
/// TLS and believes that authority.
pub async fn probe(url: &str, steps: &Value, ca: Option<&Path>) -> Vec<Value> {
    let mut command = Command::new(interpreter());
    command.arg(agents_folder().join("grpc_probe.py")).arg(url).arg(steps.to_string());
    if let Some(ca) = ca {
        command.arg("--ca").arg(ca);
    }
    let ran = tokio::task::spawn_blocking(move || command.stderr(Stdio::inherit()).output());
    let output = ran.await.expect("it runs").expect("the client starts");
    let text = String::from_utf8(output.stdout).expect("the client prints text");
    assert!(output.status.success(), "the client failed; it had printed {text}");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}
