//! What open tasks cost in memory: an agent that works for ever, 10,000 tasks given to it, and the broker's resident size.

use std::convert::Infallible;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

const TASKS: u32 = 10_000;
const STEP: u32 = 2_500;

async fn answer(request: Request<Incoming>, card: Bytes) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() == hyper::Method::GET {
        return Ok(Response::new(Full::new(card)));
    }
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let call: Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = match call["params"]["message"]["messageId"].as_str() {
        Some(message) => message.to_owned(),
        None => call["params"]["id"].as_str().unwrap_or_default().to_owned(),
    };
    let task = json!({ "id": id, "contextId": "c", "status": { "state": "TASK_STATE_WORKING" } });
    let result = if call["method"] == "SendMessage" { json!({ "task": task }) } else { task };
    let answer = json!({ "jsonrpc": "2.0", "id": call["id"], "result": result }).to_string();
    Ok(Response::builder().header("content-type", "application/json").body(Full::new(answer.into())).unwrap())
}

async fn agent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let card = json!({
        "name": "sloth", "description": "Never done", "version": "1",
        "supportedInterfaces": [{ "url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0" }],
        "capabilities": { "streaming": false }, "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": [{ "id": "work", "name": "Work", "description": "Works", "tags": ["x"] }],
    });
    let card = Bytes::from(card.to_string());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let card = card.clone();
            let service = service_fn(move |request| answer(request, card.clone()));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    url
}

fn resident_kilobytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::main]
async fn main() {
    let binary = std::env::args().nth(1).expect("usage: open_tasks PATH_TO_BAILIWICK");
    let agent = agent().await;
    let folder = tempfile::TempDir::new_in(".").unwrap();
    let config = folder.path().join("bailiwick.toml");
    std::fs::write(&config, format!("[log]\nlevel = \"error\"\n[[agents]]\nname = \"sloth\"\nurl = \"{agent}\"\n")).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut broker = Command::new(binary)
        .args(["serve", "--listen", &free.to_string(), "--config"])
        .arg(&config)
        .arg("--data")
        .arg(folder.path().join("data"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let socket = loop {
        match TcpStream::connect(free).await {
            Ok(socket) => break socket,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    println!("| open tasks | resident MiB |\n|---|---|\n| 0 | {:.1} |", resident_kilobytes(broker.id()) as f64 / 1024.0);
    for number in 1..=TASKS {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {
            "message": { "messageId": number.to_string(), "role": "ROLE_USER", "parts": [{ "text": "x".repeat(300) }] },
            "configuration": { "returnImmediately": true } } });
        let request = Request::post("/agents/sloth")
            .header("host", "x")
            .header("content-type", "application/json")
            .header("a2a-version", "1.0")
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        sender.ready().await.unwrap();
        let answer = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&answer).contains("\"task\""), "{answer:?}");
        if number % STEP == 0 {
            tokio::time::sleep(Duration::from_secs(3)).await;
            println!("| {number} | {:.1} |", resident_kilobytes(broker.id()) as f64 / 1024.0);
        }
    }
    broker.kill().unwrap();
    broker.wait().unwrap();
}
