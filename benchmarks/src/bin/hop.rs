//! What the broker adds to a call: the same SendMessage straight at a minimal agent, and through the broker, durable and not, in
//! turns, at 1 and 32 connections. The agent streams (the broker sends SendStreamingMessage) and answers with one message.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

const RUN: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;

async fn agent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let card = json!({
        "name": "echo", "description": "Echo", "version": "1",
        "supportedInterfaces": [{ "url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0" }],
        "capabilities": { "streaming": false }, "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": [{ "id": "echo", "name": "Echo", "description": "Echo", "tags": ["x"] }],
    })
    .to_string();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = listener.into_std().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                socket.set_nodelay(true).unwrap();
                let card = Bytes::from(card.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let card = card.clone();
                    async move {
                        if request.method() == hyper::Method::GET {
                            return Ok::<_, hyper::Error>(Response::new(Full::new(card)));
                        }
                        request.into_body().collect().await?;
                        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"message":{"messageId":"a","role":"ROLE_AGENT","parts":[{"text":"hi"}]}}}"#;
                        Ok(Response::builder().header("content-type", "application/json").body(Full::new(Bytes::from(answer))).unwrap())
                    }
                });
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service));
            }
        });
    });
    url
}

struct Broker(Child, String);

impl Broker {
    async fn start(binary: &str, agent: &str, fsync: bool, folder: &std::path::Path) -> Self {
        let config = folder.join("bailiwick.toml");
        let text = format!("[store]\nfsync = {fsync}\n[log]\nlevel = \"error\"\n[[agents]]\nname = \"echo\"\nurl = \"{agent}\"\n");
        std::fs::write(&config, text).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(binary)
            .args(["serve", "--listen", &free.to_string(), "--config"])
            .arg(&config)
            .arg("--data")
            .arg(folder.join("data"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while TcpStream::connect(free).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self(child, free.to_string())
    }

    /// User and system time of the process, in clock ticks of 10 ms.
    fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn connect(address: &str) -> SendRequest<Full<Bytes>> {
    let socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// One connection, one call after another; the times of all.
async fn load(address: String, path: &'static str, worker: usize) -> Vec<u128> {
    let mut sender = connect(&address).await;
    let (began, mut times) = (Instant::now(), Vec::new());
    let run = format!("{worker}-{}", std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos());
    let text = "x".repeat(300);
    while began.elapsed() < RUN {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{{"message":{{"messageId":"{run}-{}","role":"ROLE_USER","parts":[{{"text":"{text}"}}]}}}}}}"#,
            times.len()
        );
        let request = Request::post(path)
            .header("host", "x")
            .header("content-type", "application/json")
            .header("a2a-version", "1.0")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let call = Instant::now();
        let answer = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        times.push(call.elapsed().as_micros());
        assert!(answer.windows(10).any(|window| window == b"\"text\":\"hi"), "{answer:?}");
    }
    times
}

struct Figures {
    per_second: f64,
    p50: u128,
    p99: u128,
    cpu_micros: f64,
}

async fn measure(address: &str, path: &'static str, connections: usize, broker: Option<&Broker>) -> Figures {
    let (began, cpu) = (Instant::now(), broker.map_or(0, Broker::cpu_ticks));
    let workers: Vec<_> =
        (0..connections).map(|worker| tokio::spawn(load(address.to_owned(), path, worker))).collect();
    let mut times = Vec::new();
    for worker in workers {
        times.extend(worker.await.unwrap());
    }
    let elapsed = began.elapsed().as_secs_f64();
    let cpu = broker.map_or(0, Broker::cpu_ticks) - cpu;
    times.sort_unstable();
    Figures {
        per_second: times.len() as f64 / elapsed,
        p50: times[times.len() / 2],
        p99: times[times.len() * 99 / 100],
        cpu_micros: cpu as f64 * 10_000.0 / times.len() as f64,
    }
}

fn median(mut rounds: Vec<Figures>) -> Figures {
    rounds.sort_by(|a, b| a.p50.cmp(&b.p50));
    rounds.swap_remove(ROUNDS / 2)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let binary = std::env::args().nth(1).expect("usage: hop PATH_TO_BAILIWICK");
    let agent = agent().await;
    let direct = agent.trim_start_matches("http://").to_owned();
    let folders = [tempfile::TempDir::new_in(".").unwrap(), tempfile::TempDir::new_in(".").unwrap()];
    let durable = Broker::start(&binary, &agent, true, folders[0].path()).await;
    let memory = Broker::start(&binary, &agent, false, folders[1].path()).await;
    println!("| path | connections | calls/s | p50 µs | p99 µs | broker CPU µs a call |\n|---|---|---|---|---|---|");
    for connections in [1, 32] {
        let mut rounds: [Vec<Figures>; 3] = Default::default();
        for _ in 0..ROUNDS {
            rounds[0].push(measure(&direct, "/", connections, None).await);
            rounds[1].push(measure(&memory.1, "/agents/echo", connections, Some(&memory)).await);
            rounds[2].push(measure(&durable.1, "/agents/echo", connections, Some(&durable)).await);
        }
        for (name, rounds) in ["direct", "broker, no fsync", "broker, durable"].into_iter().zip(rounds) {
            let Figures { per_second, p50, p99, cpu_micros } = median(rounds);
            println!("| {name} | {connections} | {per_second:.0} | {p50} | {p99} | {cpu_micros:.0} |");
        }
    }
}
