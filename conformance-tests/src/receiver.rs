//! A receiver of what a broker posts: remembers what it was sent, answers what a test says, and can vanish and return
//! at the same address.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use private_postgres::lasting_port;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Longest wait for something to arrive.
const PATIENCE: Duration = Duration::from_mins(1);

/// A request.
#[derive(Debug, Clone)]
pub struct Posted {
    /// Request line and headers, names in lower case.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
    /// The same, where it is JSON.
    pub json: Value,
    /// What it was answered with.
    pub status: u16,
}

impl Posted {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// The status; 0 never answers.
    pub status: u16,
    /// Further header lines, each with its line end.
    pub headers: String,
    /// What it says.
    pub body: String,
}

impl Reply {
    /// A status and nothing else.
    pub fn of(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// A document.
    pub fn json(body: &Value) -> Self {
        let headers = "content-type: application/json\r\n".to_owned();
        Self { status: 200, headers, body: body.to_string() }
    }
}

type Behaviour = Arc<Mutex<Box<dyn FnMut(&Posted) -> Reply + Send>>>;

/// A receiver on loopback.
pub struct Receiver {
    address: SocketAddr,
    behaviour: Behaviour,
    posted: watch::Sender<Vec<Posted>>,
    serving: Option<JoinSet<()>>,
}

impl Receiver {
    /// Takes everything.
    pub async fn start() -> Self {
        Self::answering(|_| Reply::of(200)).await
    }

    /// Answers as told.
    pub async fn answering(behaviour: impl FnMut(&Posted) -> Reply + Send + 'static) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], lasting_port().expect("a port")));
        let behaviour: Behaviour = Arc::new(Mutex::new(Box::new(behaviour)));
        let mut receiver = Self { address, behaviour, posted: watch::Sender::new(Vec::new()), serving: None };
        receiver.come_back().await;
        receiver
    }

    /// A URL of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Nobody is at its address any more, and every connection is gone.
    pub async fn vanish(&mut self) {
        if let Some(mut serving) = self.serving.take() {
            serving.shutdown().await;
        }
    }

    /// It is at its address again.
    pub async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("the receiver's address");
        let (behaviour, posted) = (Arc::clone(&self.behaviour), self.posted.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket, Arc::clone(&behaviour), posted.clone()));
            }
        });
        self.serving = Some(serving);
    }

    /// Answers differently from now on.
    pub fn behave(&self, behaviour: impl FnMut(&Posted) -> Reply + Send + 'static) {
        *self.behaviour.lock().expect("no test panics here") = Box::new(behaviour);
    }

    /// Everything it was sent, in order.
    pub fn posted(&self) -> Vec<Posted> {
        self.posted.borrow().clone()
    }

    /// What it confirmed, in order.
    pub fn taken(&self) -> Vec<Posted> {
        let mut posted = self.posted();
        posted.retain(|posted| (200..300).contains(&posted.status));
        posted
    }

    /// Waits until what it was sent fulfils a condition.
    pub async fn until(&self, what: &str, mut condition: impl FnMut(&[Posted]) -> bool) {
        let mut posted = self.posted.subscribe();
        let waited = tokio::time::timeout(PATIENCE, posted.wait_for(|posted| condition(posted))).await;
        assert!(waited.is_ok(), "{what}: not within {PATIENCE:?}; it was sent {:#?}", self.posted());
    }

    /// Waits until it has confirmed the end of a task.
    pub async fn until_end(&self) {
        let ends = |posted: &Posted| {
            let state = posted.json.pointer("/statusUpdate/status/state").and_then(Value::as_str);
            posted.status == 200
                && state.is_some_and(|state| {
                    ["COMPLETED", "FAILED", "CANCELED", "REJECTED"].iter().any(|end| state.ends_with(end))
                })
        };
        self.until("the end of the task", |posted| posted.iter().any(ends)).await;
    }
}

async fn serve(mut socket: TcpStream, behaviour: Behaviour, all: watch::Sender<Vec<Posted>>) {
    while let Some(mut posted) = read(&mut socket).await {
        let reply = (behaviour.lock().expect("no test panics here"))(&posted);
        posted.status = reply.status;
        all.send_modify(|all| all.push(posted));
        if reply.status == 0 {
            std::future::pending::<()>().await;
        }
        let Reply { status, headers, body } = reply;
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} -\r\n{headers}content-length: {length}\r\n\r\n{body}");
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(socket: &mut TcpStream) -> Option<Posted> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let read = socket.read(&mut chunk).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let (head, body) = (String::from_utf8_lossy(&bytes[..end]), &bytes[end + 4..]);
        let mut posted =
            Posted { head: lower_names(&head), body: body.to_vec(), json: Value::Null, status: 0 };
        let length = posted.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        if body.len() >= length {
            posted.json = serde_json::from_slice(body).unwrap_or_default();
            return Some(posted);
        }
    }
}

fn lower_names(head: &str) -> String {
    let lower = |line: &str| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}", name.to_lowercase()),
        None => line.to_owned(),
    };
    head.lines().map(lower).collect::<Vec<_>>().join("\n")
}
