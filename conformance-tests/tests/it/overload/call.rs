//! The same call on each binding, and what a refusal says there: its code, its reason, and when to try again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use conformance_tests::grpc::{Connection, SERVICE, frame};
use conformance_tests::suite::binding::grpc::next_message;
use conformance_tests::suite::operation::Operation;
use conformance_tests::suite::protobuf;
use conformance_tests::{Broker, wire};
use serde_json::{Value, json};

pub(super) const BINDINGS: [Binding; 3] = [Binding::JsonRpc, Binding::HttpJson, Binding::Grpc];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binding {
    JsonRpc,
    HttpJson,
    Grpc,
}

/// How a call was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// JSON-RPC code, HTTP status or gRPC status.
    pub(super) code: i64,
    pub(super) reason: String,
    /// Seconds, where the header and the RetryInfo say the same.
    pub(super) retry: Option<u64>,
}

/// A kind of refusal, on each binding: temporary lack of room, or a limit of the caller's.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Unavailable,
    Exhausted,
}

impl Kind {
    fn code(self, binding: Binding) -> i64 {
        match (self, binding) {
            (Self::Unavailable, Binding::JsonRpc) => -31503,
            (Self::Unavailable, Binding::HttpJson) => 503,
            (Self::Unavailable, Binding::Grpc) => 14,
            (Self::Exhausted, Binding::JsonRpc) => -31429,
            (Self::Exhausted, Binding::HttpJson) => 429,
            (Self::Exhausted, Binding::Grpc) => 8,
        }
    }
}

impl Refusal {
    #[track_caller]
    pub(super) fn assert_is(&self, binding: Binding, kind: Kind, reason: &str) {
        assert_eq!((self.code, self.reason.as_str()), (kind.code(binding), reason), "{binding:?}: {self:?}");
        assert!(
            self.retry.is_some_and(|seconds| seconds > 0),
            "{binding:?} says when to try again: {self:?}"
        );
    }
}

/// Calls an operation at the broker, or at an agent there; a stream is read to its end.
pub(super) async fn call(
    broker: &Broker,
    binding: Binding,
    agent: Option<&str>,
    operation: Operation,
    params: &Value,
) -> Result<Value, Refusal> {
    let url = agent.map_or_else(|| broker.url(), |agent| broker.agent_url(agent));
    match binding {
        Binding::JsonRpc => {
            let body = json!({ "jsonrpc": "2.0", "id": 7, "method": operation.method, "params": params })
                .to_string();
            let answer = wire::request("POST", &url, &HEADERS, body.into_bytes()).await;
            if !is_json(&answer) {
                return Ok(json!(answer.text));
            }
            let json = answer.json();
            assert_eq!(answer.status, 200, "{json}");
            match json.get("error") {
                None => Ok(json["result"].clone()),
                Some(error) => Err(refusal(error["code"].as_i64(), &error["data"], &answer)),
            }
        }
        Binding::HttpJson => {
            let id = params["id"].as_str().unwrap_or_default();
            let url = format!("{url}{}", operation.path.replace("{id}", id));
            let body = if operation.verb == "GET" { Vec::new() } else { params.to_string().into_bytes() };
            let answer = wire::request(operation.verb, &url, &HEADERS, body).await;
            if !is_json(&answer) {
                return Ok(json!(answer.text));
            }
            let json = answer.json();
            match json.get("error") {
                None => Ok(json),
                Some(error) => Err(refusal(Some(answer.status.into()), &error["details"], &answer)),
            }
        }
        Binding::Grpc => {
            let mut params = params.clone();
            if let Some(agent) = agent {
                params["tenant"] = json!(agent);
            }
            let message = protobuf::request(operation, &params).expect("what protobuf can say");
            let mut connection = Connection::open(broker.address()).await;
            let path = format!("{SERVICE}/{}", operation.method);
            let answer = connection.call(&path, &[], frame(&message)).await;
            if answer.code() == Some(0) {
                let mut body = answer.body;
                let message = next_message(&mut body).ok().flatten().expect("a message");
                return Ok(protobuf::response(operation, &message).expect("an answer"));
            }
            let details = answer.header("grpc-status-details-bin").unwrap_or_default();
            let details = STANDARD_NO_PAD.decode(details.trim_end_matches('=')).expect("base64");
            let details = protobuf::status(&details).expect("a status")["details"].clone();
            let code = answer.code().map(i64::from);
            Err(read(code, &details, answer.header("retry-after")))
        }
    }
}

const HEADERS: [(&str, &str); 2] = [("Content-Type", "application/json"), ("A2A-Version", "1.0")];

fn is_json(answer: &wire::Answer) -> bool {
    answer.header("content-type").is_some_and(|media_type| media_type.contains("json"))
}

fn refusal(code: Option<i64>, details: &Value, answer: &wire::Answer) -> Refusal {
    read(code, details, answer.header("retry-after"))
}

fn read(code: Option<i64>, details: &Value, header: Option<&str>) -> Refusal {
    let details = details.as_array().cloned().unwrap_or_default();
    let text = |name: &str| details.iter().find_map(|detail| detail[name].as_str().map(str::to_owned));
    let info = text("retryDelay").and_then(|delay| delay.trim_end_matches('s').parse().ok());
    let header = header.and_then(|seconds| seconds.parse().ok());
    Refusal {
        code: code.unwrap_or_default(),
        reason: text("reason").unwrap_or_default(),
        // On gRPC the header is there for whoever stands between.
        retry: info.filter(|info| header == Some(*info)),
    }
}
