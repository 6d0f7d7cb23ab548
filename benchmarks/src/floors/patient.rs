//! An agent whose tasks stay open for ever, and who remembers the grants it was given with them. It neither streams nor
//! is it asked again soon: it offers to push.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use serde_json::{Value, json};

use super::body::Pieces;
use super::serving::{Service, whole};

/// All grants so far, one a line.
pub const GRANTS: &str = "/grants";
/// Under this name the broker tells an agent what it may delegate.
const DELEGATION: &str = "urn:bailiwick:ext:delegation:v1";

#[derive(Clone)]
pub struct Patient {
    card: Bytes,
    grants: Arc<Mutex<Vec<String>>>,
}

impl Patient {
    pub fn new(listen: SocketAddr) -> Self {
        let card = json!({
            "name": "patient", "description": "Never done", "version": "1.0.0",
            "supportedInterfaces": [
                { "url": format!("http://{listen}"), "protocolBinding": "JSONRPC", "protocolVersion": "1.0" },
            ],
            "capabilities": { "streaming": false, "pushNotifications": true },
            "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
            "skills": [{ "id": "wait", "name": "Wait", "description": "Waits", "tags": ["wait"] }],
        });
        Self { card: card.to_string().into(), grants: Arc::default() }
    }

    fn call(&self, call: &Value) -> Value {
        let message = &call["params"]["message"];
        if let Some(grant) = message["metadata"][DELEGATION]["grant"].as_str() {
            self.grants.lock().unwrap_or_else(PoisonError::into_inner).push(grant.to_owned());
        }
        let id = message["messageId"].as_str().or(call["params"]["id"].as_str()).unwrap_or_default();
        let task = json!({ "id": id, "contextId": "c", "status": { "state": "TASK_STATE_WORKING" } });
        match call["method"].as_str() {
            Some("SendMessage") => json!({ "task": task }),
            Some("GetTask") => task,
            // What else it is asked (a push configuration) it agrees to.
            _ => call["params"].clone(),
        }
    }
}

impl Service for Patient {
    type Body = Pieces;

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Pieces>> {
        let body = if request.method() == Method::GET && request.uri().path() == GRANTS {
            self.grants.lock().unwrap_or_else(PoisonError::into_inner).join("\n").into()
        } else if request.method() == Method::GET {
            self.card.clone()
        } else {
            let call: Value = serde_json::from_slice(&whole(request.into_body()).await?).context("a call")?;
            json!({ "jsonrpc": "2.0", "id": call["id"], "result": self.call(&call) }).to_string().into()
        };
        Ok(Response::builder().header("content-type", "application/json").body(Pieces::one(body))?)
    }
}
