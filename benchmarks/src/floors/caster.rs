//! The least fan-out, and the agent for it: one task whose events go to whoever listens, each made once and shared. Events
//! come at a given pace once somebody says so.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use hyper::{Method, Request, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::serving::{Service, whole};

/// `/cast/{events}/{milliseconds between}`: answered when all are out.
pub const CAST: &str = "/cast/";
const TASK: &str = r#"{"id":"the-task","contextId":"c","status":{"state":"TASK_STATE_WORKING"}}"#;

#[derive(Clone)]
pub struct Caster {
    card: Bytes,
    listeners: Arc<Mutex<Vec<UnboundedSender<Bytes>>>>,
}

impl Caster {
    pub fn new(listen: SocketAddr) -> Self {
        let card = json!({
            "name": "caster", "description": "Says a lot", "version": "1.0.0",
            "supportedInterfaces": [
                { "url": format!("http://{listen}"), "protocolBinding": "JSONRPC", "protocolVersion": "1.0" },
            ],
            "capabilities": { "streaming": true, "pushNotifications": false },
            "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
            "skills": [{ "id": "cast", "name": "Cast", "description": "Casts", "tags": ["cast"] }],
        });
        Self { card: card.to_string().into(), listeners: Arc::default() }
    }

    async fn cast(&self, path: &str) -> Result<()> {
        let mut numbers = path.trim_start_matches(CAST).split('/').map(str::parse::<u64>);
        let (Some(Ok(events)), Some(Ok(pace))) = (numbers.next(), numbers.next()) else {
            anyhow::bail!("{path} is not {CAST}EVENTS/MILLISECONDS");
        };
        while self.listeners().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut tick = tokio::time::interval(Duration::from_millis(pace));
        for number in 0..events {
            tick.tick().await;
            let append = number > 0;
            let update = format!(
                r#"{{"artifactUpdate":{{"taskId":"the-task","contextId":"c","artifact":{{"artifactId":"a","parts":[{{"text":"token {number:04} "}}]}},"append":{append}}}}}"#
            );
            self.send(&update);
        }
        tick.tick().await;
        let end = r#"{"statusUpdate":{"taskId":"the-task","contextId":"c","status":{"state":"TASK_STATE_COMPLETED"}}}"#;
        self.send(end);
        self.listeners().clear();
        Ok(())
    }

    /// All that is cast from now on, after the task.
    fn listen(&self) -> Heard {
        let (sender, receiver) = mpsc::unbounded_channel();
        let _ = sender.send(event(&format!(r#"{{"task":{TASK}}}"#)));
        self.listeners().push(sender);
        Heard::Live(receiver)
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<UnboundedSender<Bytes>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, result: &str) {
        let event = event(result);
        self.listeners().retain(|listener| listener.send(event.clone()).is_ok());
    }
}

fn event(result: &str) -> Bytes {
    format!("data: {{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{result}}}\n\n").into()
}

pub enum Heard {
    Whole(Option<Bytes>),
    Live(UnboundedReceiver<Bytes>),
}

impl Body for Heard {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut *self {
            Self::Whole(whole) => Poll::Ready(whole.take()),
            Self::Live(events) => events.poll_recv(context),
        };
        next.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

impl Service for Caster {
    type Body = Heard;

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Heard>> {
        let json = |body: Bytes| {
            Ok(Response::builder()
                .header("content-type", "application/json")
                .body(Heard::Whole(Some(body)))?)
        };
        if request.method() == Method::GET {
            let path = request.uri().path();
            if !path.starts_with(CAST) {
                return json(self.card.clone());
            }
            self.cast(path).await?;
            return json(Bytes::from_static(b"{}"));
        }
        let call: Value = serde_json::from_slice(&whole(request.into_body()).await?)?;
        if call["method"] == "SendMessage" {
            let task: Value = serde_json::from_str(TASK)?;
            return json(json!({ "jsonrpc": "2.0", "id": 1, "result": { "task": task } }).to_string().into());
        }
        Ok(Response::builder().header("content-type", "text/event-stream").body(self.listen())?)
    }
}
