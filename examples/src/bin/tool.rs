//! A tool that asks for a grant: an ordinary server behind the layer of `capability-tower`. The same as `tool.py`.
//!
//! `GET /search?limit=5&region=eu` needs `mcp:tool/search`, `GET /read?path=/docs/a` needs `mcp:tool/read`, each with
//! arguments the grant admits; `calls` is how often the task has called so far.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example says where it listens and what goes wrong"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Extension, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::{Json, Router, routing};
use capability::{Claims, KeySet};
use capability_tower::{GrantLayer, Keys, Refusal, Requested};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A key is published ten minutes before it signs.
const FETCH_KEYS_EVERY: Duration = Duration::from_mins(5);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How often each task has called so far; a real tool would forget old ones.
#[derive(Default)]
struct Calls(Mutex<HashMap<String, u64>>);

impl Calls {
    fn next(&self, task: &str) -> u64 {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = calls.entry(task.to_owned()).or_default();
        *count += 1;
        *count
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        arguments.iter().position(|known| known == name).and_then(|at| arguments.get(at + 1)).cloned()
    };
    let issuer = option("--issuer").ok_or("expected --issuer URL, the broker's public URL")?;
    let jwks = option("--jwks").unwrap_or_else(|| format!("{issuer}/.well-known/jwks.json"));
    let port = option("--port").unwrap_or_else(|| "0".to_owned());

    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    let audience = format!("http://{}", listener.local_addr()?);
    let keys = Keys::new(fetch(&jwks).await?);
    tokio::spawn(keep_fetching(keys.clone(), jwks));

    let calls = Calls::default();
    let layer = GrantLayer::new(keys, &issuer, &audience, move |request| required(request, &calls));
    println!("listening on {audience}");
    let tool = Router::new().route("/{name}", routing::get(work)).layer(layer);
    axum::serve(listener, tool).await?;
    Ok(())
}

/// What a request would be, as a capability would have to admit it.
fn required(request: &Parts, calls: &Calls) -> Result<Requested, Refusal> {
    let wrong = |problem: String| Refusal::BadRequest(problem);
    let name = request.uri.path().trim_start_matches('/');
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
    let mut requested = Requested::new("mcp", "tool", [name]);
    let mut seen = Vec::new();
    for (name, text) in url::form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes()) {
        requested = match &*name {
            "limit" if text.bytes().all(|byte| byte.is_ascii_digit()) => requested
                .int("limit", text.parse().map_err(|_| wrong("limit: expected an integer".to_owned()))?),
            "limit" => return Err(wrong("limit: expected an integer".to_owned())),
            "region" => requested.text("region", &text),
            "path" => requested.path("path", &text),
            // Others mean nothing to the tool.
            _ => continue,
        };
        if seen.contains(&name) {
            return Err(wrong(format!("{name}: expected once")));
        }
        seen.push(name);
    }
    let task = request.extensions.get::<Arc<Claims>>().map(|claims| claims.task.clone());
    Ok(requested.int("calls", calls.next(&task.unwrap_or_default())))
}

/// Whoever comes this far is admitted.
async fn work(
    Path(name): Path<String>,
    Extension(claims): Extension<Arc<Claims>>,
) -> (StatusCode, Json<Value>) {
    match name.as_str() {
        "search" | "read" => (StatusCode::OK, Json(json!({ "tool": name, "for": claims.holder }))),
        _ => (StatusCode::NOT_FOUND, Json(json!({ "error": "there is no such tool" }))),
    }
}

async fn keep_fetching(keys: Keys, from: String) {
    loop {
        tokio::time::sleep(FETCH_KEYS_EVERY).await;
        match fetch(&from).await {
            Ok(fetched) => keys.replace(fetched),
            Err(problem) => eprintln!("{from}: {problem}; the keys at hand are used on"),
        }
    }
}

async fn fetch(from: &str) -> Result<KeySet, Failure> {
    let document = if from.contains("://") {
        reqwest::get(from).await?.error_for_status()?.bytes().await?.to_vec()
    } else {
        std::fs::read(from)?
    };
    Ok(KeySet::from_jwks(&document)?)
}
