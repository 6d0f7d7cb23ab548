//! What checks are written with: operations that must succeed, operations that must be refused, and the few
//! situations most checks begin from.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::binding::{Binding, Event, Fault, Stream};
use super::check::{Stop, ensure, fail, shown, skip};
use super::http::{Manner, PATIENCE, Reply};
use super::operation::{AT_WORK, CANCEL, GET, INTERRUPTED, Operation, SEND, STREAM, TERMINAL};
use super::server::{Server, bearer};

/// Between two looks at a task that is expected to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a scripted task works that is to be found at work, in milliseconds: longer than any check looks.
const LONG_WORK_MS: u64 = 180_000;

/// A server, and the binding a check speaks.
pub struct Bench {
    /// The server.
    pub server: Arc<Server>,
    /// The binding.
    pub binding: Binding,
}

impl Bench {
    /// As the suite calls unless a check is about the manner.
    pub fn manner(&self) -> Manner {
        Manner::plain(self.server.subject.token.as_deref().map(bearer))
    }

    /// An operation that must succeed.
    pub async fn call(&self, operation: Operation, params: &Value) -> Result<Value, Stop> {
        self.call_as(operation, params, &self.manner()).await
    }

    /// The same in another manner.
    pub async fn call_as(
        &self,
        operation: Operation,
        params: &Value,
        manner: &Manner,
    ) -> Result<Value, Stop> {
        match self.binding.call(operation, params, manner).await? {
            Ok(result) => Ok(result),
            Err(fault) => fail(format!("{} was refused: {}", operation.method, fault.seen())),
        }
    }

    /// An operation that must be refused.
    pub async fn refused(&self, operation: Operation, params: &Value) -> Result<Fault, Stop> {
        self.refused_as(operation, params, &self.manner()).await
    }

    /// The same in another manner. Streaming operations may say it in their first event.
    pub async fn refused_as(
        &self,
        operation: Operation,
        params: &Value,
        manner: &Manner,
    ) -> Result<Fault, Stop> {
        if operation.method != STREAM.method && !operation.path.ends_with(":subscribe") {
            return match self.binding.call(operation, params, manner).await? {
                Err(fault) => Ok(fault),
                Ok(result) => fail(format!("{} was not refused: {}", operation.method, shown(&result))),
            };
        }
        match self.open_any(operation, params, manner).await? {
            Err(fault) => Ok(fault),
            Ok(mut stream) => match stream.next_or_fault().await? {
                Some(Err(fault)) => Ok(fault),
                Some(Ok(event)) => {
                    fail(format!("{} was not refused: {}", operation.method, shown(&event.json)))
                }
                None => fail(format!("{} was answered with an empty stream", operation.method)),
            },
        }
    }

    /// Opens a stream; where the text's POST for subscribing is not served, the proto's GET is.
    async fn open_any(
        &self,
        operation: Operation,
        params: &Value,
        manner: &Manner,
    ) -> Result<Result<Stream, Fault>, Stop> {
        let opened = self.binding.open(operation, params, manner).await?;
        match opened {
            Err(fault) if fault.status == 405 && operation.path.ends_with(":subscribe") => {
                self.binding.open(Operation { verb: "GET", ..operation }, params, manner).await
            }
            opened => Ok(opened),
        }
    }

    /// An operation whose body is changed as bytes before it is sent: for what no value can be.
    pub async fn raw(
        &self,
        operation: Operation,
        params: &Value,
        change: impl Fn(Vec<u8>) -> Vec<u8>,
    ) -> Result<Reply, Stop> {
        self.binding.exchange_changed(operation, params, &self.manner(), change).await
    }

    /// A stream that must open.
    pub async fn open(&self, operation: Operation, params: &Value) -> Result<Stream, Stop> {
        match self.open_any(operation, params, &self.manner()).await? {
            Ok(stream) => Ok(stream),
            Err(fault) => fail(format!("{} was refused: {}", operation.method, fault.seen())),
        }
    }

    /// Skips a check of streams where the card declares none.
    pub fn needs_streaming(&self) -> Result<(), Stop> {
        self.needs("streaming")
    }

    /// Skips a check where the card does not declare a capability.
    pub fn needs(&self, capability: &str) -> Result<(), Stop> {
        if self.server.can(capability) {
            Ok(())
        } else {
            skip(format!("the card does not declare {capability}"))
        }
    }

    /// Skips a check where the card declares a capability.
    pub fn needs_none(&self, capability: &str) -> Result<(), Stop> {
        if self.server.can(capability) { skip(format!("the card declares {capability}")) } else { Ok(()) }
    }

    /// Parameters that send a script; skips where the agent follows none.
    pub fn script(&self, script: &Value) -> Result<Value, Stop> {
        if self.server.subject.scripted {
            return Ok(message(&script.to_string()));
        }
        skip("needs an agent that follows scripts (--scripted)")
    }

    /// Sends a message; the task that came of it, or a skip where the agent answers with a Message.
    pub async fn task(&self, params: &Value) -> Result<Value, Stop> {
        let result = self.call(SEND, params).await?;
        task_of(&result)
    }

    /// A task that has ended.
    pub async fn finished(&self) -> Result<Value, Stop> {
        let task = self.task(&message("hello")).await?;
        if TERMINAL.contains(&state(&task)) {
            return Ok(task);
        }
        if INTERRUPTED.contains(&state(&task)) {
            return skip(format!("a plain message led to {}", state(&task)));
        }
        self.settled(&id(&task)?).await
    }

    /// A task that is at work and stays so; to be ended with [`Bench::end`].
    pub async fn at_work(&self) -> Result<Value, Stop> {
        let mut params = self.script(&json!({ "delay_ms": LONG_WORK_MS, "chunks": ["late"] }))?;
        params["configuration"] = json!({ "returnImmediately": true });
        let task = self.task(&params).await?;
        ensure!(AT_WORK.contains(&state(&task)), "a task just begun is {}", state(&task));
        Ok(task)
    }

    /// Cancels what a check began; whether that works is not its matter.
    pub async fn end(&self, task: &Value) {
        let _ = self.binding.call(CANCEL, &json!({ "id": task["id"] }), &self.manner()).await;
    }

    /// A task as it stands.
    pub async fn get(&self, id: &str) -> Result<Value, Stop> {
        self.call(GET, &json!({ "id": id })).await
    }

    /// A task once it is terminal or waits for somebody.
    pub async fn settled(&self, id: &str) -> Result<Value, Stop> {
        self.once(id, "end", |state| TERMINAL.contains(&state) || INTERRUPTED.contains(&state)).await
    }

    /// A task once it is being worked on: nothing is to be told of it before it goes on.
    pub async fn working(&self, id: &str) -> Result<Value, Stop> {
        self.once(id, "begin", |state| state == AT_WORK[1]).await
    }

    async fn once(&self, id: &str, what: &str, holds: impl Fn(&str) -> bool) -> Result<Value, Stop> {
        let looks = PATIENCE.as_millis() / LOOK_EVERY.as_millis();
        for _ in 0..looks {
            let task = self.get(id).await?;
            if holds(state(&task)) {
                return Ok(task);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        fail(format!("task {id} did not {what} within {} s", PATIENCE.as_secs()))
    }
}

/// Parameters that send a text.
pub fn message(text: &str) -> Value {
    json!({ "message": { "messageId": new_id(), "role": "ROLE_USER", "parts": [{ "text": text }] } })
}

/// An id nobody has used.
pub fn new_id() -> String {
    format!("conformance-{}", Uuid::now_v7())
}

/// The state of a task.
pub fn state(task: &Value) -> &str {
    task["status"]["state"].as_str().unwrap_or("no state")
}

/// The id of a task.
pub fn id(task: &Value) -> Result<String, Stop> {
    match task["id"].as_str() {
        Some(id) if !id.is_empty() => Ok(id.to_owned()),
        _ => fail(format!("a task without an id: {}", shown(task))),
    }
}

/// The task in the result of SendMessage.
pub fn task_of(result: &Value) -> Result<Value, Stop> {
    match (result.get("task"), result.get("message")) {
        (Some(task), None) => Ok(task.clone()),
        (None, Some(_)) => skip("the agent answers with a Message, not with a task"),
        _ => fail(format!("neither a task nor a message: {}", shown(&result))),
    }
}

/// The texts in artifacts, in order.
pub fn texts(artifacts: &Value) -> Vec<String> {
    let parts =
        artifacts.as_array().into_iter().flatten().filter_map(|artifact| artifact["parts"].as_array());
    parts.flatten().filter_map(|part| part["text"].as_str().map(str::to_owned)).collect()
}

/// What kinds of events a stream brought.
pub fn kinds(events: &[Event]) -> String {
    let kinds: Vec<String> = events
        .iter()
        .map(|event| match event.state() {
            Some(state) => format!("{}({state})", event.member().unwrap_or("?")),
            None => event.member().unwrap_or("?").to_owned(),
        })
        .collect();
    shown(&kinds.join(", "))
}
