//! A stream of events, read as its standard says and never trusted: server-sent events, or the messages of a gRPC
//! call that streams.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::{Fault, Kind, grpc};
use crate::suite::check::{Stop, ensure, fail, shown};
use crate::suite::http::{PATIENCE, Reply, Response, is_event_stream, texts};
use crate::suite::operation::{INTERRUPTED, Operation, TERMINAL};

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The `data` of the event; of gRPC the message.
    pub data: Value,
    /// The StreamResponse in it.
    pub json: Value,
}

impl Event {
    /// Which member of a StreamResponse it is.
    pub fn member(&self) -> Option<&str> {
        let known = ["task", "message", "statusUpdate", "artifactUpdate"];
        known.into_iter().find(|name| self.json.get(*name).is_some())
    }

    /// The state it shows.
    pub fn state(&self) -> Option<&str> {
        let state =
            self.json.pointer("/task/status/state").or(self.json.pointer("/statusUpdate/status/state"));
        state.and_then(Value::as_str)
    }

    /// The task it is about.
    pub fn task_id(&self) -> Option<&str> {
        let paths = ["/task/id", "/statusUpdate/taskId", "/artifactUpdate/taskId"];
        paths.iter().find_map(|path| self.json.pointer(path)).and_then(Value::as_str)
    }

    /// Whether it ends its task.
    pub fn is_terminal(&self) -> bool {
        self.state().is_some_and(|state| TERMINAL.contains(&state))
    }

    /// Whether the agent now waits for somebody.
    pub fn is_interrupted(&self) -> bool {
        self.state().is_some_and(|state| INTERRUPTED.contains(&state))
    }
}

/// A stream being read.
pub struct Stream {
    kind: Kind,
    operation: Operation,
    body: Incoming,
    buffer: Vec<u8>,
    /// What the trailers said, once they came.
    ending: Option<Vec<(String, String)>>,
}

impl Stream {
    /// Whether an answer is the beginning of one.
    pub(super) fn is_begun_by(kind: Kind, response: &Response) -> bool {
        match kind {
            Kind::JsonRpc | Kind::HttpJson => is_event_stream(response.headers()),
            Kind::Grpc => response.status() == 200 && !response.headers().contains_key("grpc-status"),
        }
    }

    pub(super) fn new(kind: Kind, operation: Operation, response: Response) -> Self {
        Self { kind, operation, body: response.into_body(), buffer: Vec::new(), ending: None }
    }

    /// The next event; `None` at the end. An error in the stream fails the check.
    pub async fn next(&mut self) -> Result<Option<Event>, Stop> {
        match self.next_or_fault().await? {
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(fault)) => fail(format!("the stream brought an error: {}", fault.seen())),
            None => Ok(None),
        }
    }

    /// The next event, or the error in its place.
    pub async fn next_or_fault(&mut self) -> Result<Option<Result<Event, Fault>>, Stop> {
        loop {
            if let Some(event) = self.buffered()? {
                return Ok(Some(event));
            }
            match tokio::time::timeout(PATIENCE, self.body.frame()).await {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.buffer.extend(data),
                    Err(frame) => self.ending = frame.trailers_ref().map(texts),
                },
                Ok(None) => return self.ended(),
                Ok(Some(Err(error))) => return fail(format!("the stream broke off: {error}")),
                Err(_) => return fail(format!("the stream was silent for {} s", PATIENCE.as_secs())),
            }
        }
    }

    /// The first whole event of what has been read.
    fn buffered(&mut self) -> Result<Option<Result<Event, Fault>>, Stop> {
        if self.kind == Kind::Grpc {
            let Some(message) = grpc::next_message(&mut self.buffer)? else { return Ok(None) };
            let json = grpc::event(self.operation, &message)?;
            return Ok(Some(Ok(Event { data: json.clone(), json })));
        }
        while let Some((block, rest)) = split(&self.buffer) {
            self.buffer = rest;
            if let Some(data) = data(&block) {
                return self.event(&data).map(Some);
            }
        }
        Ok(None)
    }

    /// What the end of the stream says: an error, if it is gRPC's and not OK.
    fn ended(&mut self) -> Result<Option<Result<Event, Fault>>, Stop> {
        if self.kind != Kind::Grpc {
            return Ok(None);
        }
        ensure!(self.buffer.is_empty(), "the stream ended within a message");
        let Some(trailers) = self.ending.take() else {
            return fail("the stream ended without a grpc-status");
        };
        let end = Reply { status: 200, headers: Vec::new(), text: String::new(), body: Vec::new(), trailers };
        let fault = grpc::fault(&end)?;
        // Whoever asks again is told the same.
        self.ending = Some(end.trailers);
        Ok(fault.map(Err))
    }

    fn event(&self, text: &str) -> Result<Result<Event, Fault>, Stop> {
        let data: Value = serde_json::from_str(text)
            .or_else(|error| fail(format!("an event with no JSON ({error}): {}", shown(text))))?;
        if let Some(error) = data.get("error").filter(|error| !error.is_null()) {
            let status = error["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(200);
            let error = error.clone();
            return Ok(Err(Fault { kind: self.kind, status, error, text: text.to_owned(), challenge: None }));
        }
        let json = match self.kind {
            Kind::JsonRpc => {
                ensure!(
                    data.get("result").is_some(),
                    "an event that is no JSON-RPC response: {}",
                    shown(text)
                );
                data["result"].clone()
            }
            Kind::HttpJson | Kind::Grpc => data.clone(),
        };
        Ok(Ok(Event { data, json }))
    }

    /// All events to the end of the stream.
    pub async fn rest(mut self) -> Result<Vec<Event>, Stop> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await? {
            events.push(event);
        }
        Ok(events)
    }

    /// Events until one satisfies a condition, that one included; fails if the stream ends before.
    pub async fn until(&mut self, what: &str, holds: impl Fn(&Event) -> bool) -> Result<Vec<Event>, Stop> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await? {
            events.push(event);
            if events.last().is_some_and(&holds) {
                return Ok(events);
            }
        }
        fail(format!("the stream ended after {} events without {what}", events.len()))
    }
}

/// The first block of lines up to an empty line, and what follows.
fn split(buffer: &[u8]) -> Option<(String, Vec<u8>)> {
    let text = buffer;
    for (at, window) in text.windows(2).enumerate() {
        let end = if window == b"\n\n" || window == b"\r\r" {
            2
        } else if text[at..].starts_with(b"\r\n\r\n") {
            4
        } else {
            continue;
        };
        return Some((String::from_utf8_lossy(&text[..at]).into_owned(), text[at + end..].to_vec()));
    }
    None
}

/// The data of a block: its `data` lines joined; none in a comment.
fn data(block: &str) -> Option<String> {
    let lines: Vec<&str> = block
        .split(['\n', '\r'])
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}
