//! The wire, raw: JSON in and out, event streams as they come, and bytes for those who send no HTTP at all.

use std::time::SystemTime;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::suite::http::is_event_stream;

/// All operations of the specification (§5.3).
pub const OPERATIONS: [&str; 11] = [
    "SendMessage",
    "SendStreamingMessage",
    "GetTask",
    "ListTasks",
    "CancelTask",
    "SubscribeToTask",
    "CreateTaskPushNotificationConfig",
    "GetTaskPushNotificationConfig",
    "ListTaskPushNotificationConfigs",
    "DeleteTaskPushNotificationConfig",
    "GetExtendedAgentCard",
];

/// An answer.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text))
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// An event of a stream.
#[derive(Debug, Clone)]
pub struct Event {
    /// The `id` line.
    pub id: Option<u64>,
    /// The event without its JSON-RPC envelope.
    pub json: Value,
    /// When it arrived.
    pub at: SystemTime,
}

impl Event {
    /// The state it shows, if it shows one.
    pub fn state(&self) -> Option<&str> {
        let status =
            self.json.pointer("/task/status/state").or(self.json.pointer("/statusUpdate/status/state"));
        status.and_then(Value::as_str)
    }
}

/// A user message with a text.
pub fn message(id: &str, text: &str) -> Value {
    json!({ "message": { "messageId": id, "role": "ROLE_USER", "parts": [{ "text": text }] } })
}

fn client() -> reqwest::Client {
    reqwest::Client::new()
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("the server answers");
    let status = response.status().as_u16();
    let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap_or_default().to_owned())
    };
    let headers = response.headers().iter().map(header).collect();
    Answer { status, headers, text: response.text().await.expect("a body") }
}

/// GET with the protocol version.
pub async fn get(url: &str) -> Answer {
    answer(client().get(url).header("A2A-Version", "1.0")).await
}

/// POST of JSON with the protocol version and a credential.
pub async fn post(url: &str, body: &Value, key: Option<&str>) -> Answer {
    let headers: Vec<(&str, String)> =
        key.map(|key| ("Authorization", format!("Bearer {key}"))).into_iter().collect();
    let mut request = client().post(url).header("A2A-Version", "1.0").json(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    answer(request).await
}

/// POST of a form.
pub async fn form(url: &str, parameters: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
    let mut request = client().post(url).form(parameters);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request).await
}

/// A request with a body and headers of any kind.
pub async fn request(method: &str, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let method = method.parse().expect("a method");
    let mut request = client().request(method, url).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request).await
}

/// A request with a credential; the whole answer, or, of a stream that is opened, only its first event.
pub async fn first(method: &str, url: &str, key: Option<&str>, body: Option<&Value>) -> Answer {
    let mut request = client().request(method.parse().expect("a method"), url).header("A2A-Version", "1.0");
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let response = request.send().await.expect("the server answers");
    let status = response.status().as_u16();
    let text = if is_event_stream(response.headers()) {
        let event = Stream { response, buffer: String::new() }.next().await.expect("a first event");
        event.json.to_string()
    } else {
        response.text().await.expect("a body")
    };
    Answer { status, headers: Vec::new(), text }
}

/// A stream being read.
pub struct Stream {
    response: reqwest::Response,
    buffer: String,
}

/// Why a call has no result.
#[derive(Debug)]
pub enum Trouble {
    /// No connection, or it broke before the end of the answer.
    Broken(String),
    /// The server answered with an error, or with no stream where one was asked for: the whole response.
    Refused(Value),
}

impl From<reqwest::Error> for Trouble {
    fn from(error: reqwest::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Calls an operation by JSON-RPC at a server that may be killed meanwhile; its result.
pub async fn try_rpc(url: &str, method: &str, params: &Value) -> Result<Value, Trouble> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let text = client().post(url).header("A2A-Version", "1.0").json(&body).send().await?.text().await?;
    let mut response: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON ({error}): {text}"));
    match response.get_mut("result") {
        Some(result) => Ok(result.take()),
        None => Err(Trouble::Refused(response)),
    }
}

/// Opens a stream by JSON-RPC at a server that may be killed meanwhile.
pub async fn try_stream(
    url: &str,
    method: &str,
    params: &Value,
    last_event_id: Option<u64>,
) -> Result<Stream, Trouble> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut request = client().post(url).header("A2A-Version", "1.0").json(&body);
    if let Some(id) = last_event_id {
        request = request.header("Last-Event-ID", id.to_string());
    }
    let response = request.send().await?;
    if is_event_stream(response.headers()) {
        return Ok(Stream { response, buffer: String::new() });
    }
    let text = response.text().await?;
    Err(Trouble::Refused(serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// Opens a stream by JSON-RPC.
pub async fn stream(url: &str, method: &str, params: Value, last_event_id: Option<u64>) -> Stream {
    try_stream(url, method, &params, last_event_id)
        .await
        .unwrap_or_else(|trouble| panic!("the server opens a stream: {trouble:?}"))
}

impl Stream {
    /// The next event; `None` at the end of the stream, or where it breaks off.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let block: String = self.buffer.drain(..end + 2).collect();
                if let Some(event) = read_event(&block) {
                    return Some(event);
                }
                continue;
            }
            let chunk = self.response.chunk().await.ok()??;
            self.buffer.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }

    /// All events to the end.
    pub async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

fn read_event(block: &str) -> Option<Event> {
    let line = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    let response: Value = serde_json::from_str(line("data: ")?).expect("JSON in an event");
    let json = response.get("result").cloned().unwrap_or(response);
    Some(Event { id: line("id: ").and_then(|id| id.parse().ok()), json, at: SystemTime::now() })
}

/// Sends bytes as they are and reads what comes back until the server closes or a while has passed.
pub async fn raw(address: &str, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    socket.write_all(bytes).await.expect("written");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(std::time::Duration::from_secs(5), socket.read_to_end(&mut answer));
    let _ = read.await;
    String::from_utf8_lossy(&answer).into_owned()
}
