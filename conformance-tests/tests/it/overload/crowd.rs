//! A crowd of hostile connections, more than there are places, and a hundred good callers among them: all of the good
//! ones are served, and the broker does not grow beyond what its bounds say. How much slower it gets is printed, and is
//! no part of the verdict.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use conformance_tests::{Agent, Broker, Gates, until, wire};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// Hostile connections in a default run, and the places there are; with `BAILIWICK_LONG=1`, the others.
const SOME: (usize, usize) = (500, 400);
const MANY: (usize, usize) = (10_000, 9_000);
/// Good callers, and the calls each makes before and while.
const GOOD: usize = 100;
const CALLS: usize = 5;
/// Each event of the large task, bytes, and how many there are.
const EVENT_BYTES: usize = 20_000;
const EVENTS: usize = 100;
/// How long a hostile caller that was sent away stays away.
const COME_BACK: Duration = Duration::from_secs(2);
/// Between two bytes of one who sends slowly.
const SLOWLY: Duration = Duration::from_secs(2);
/// What a connection may cost, kB: what is buffered of an answer (64 KiB), and what HTTP needs.
const CONNECTION_KILOBYTES: u64 = 128;
/// What is allowed besides, kB: bodies and answers on their way (server.max_body_memory), and the work itself.
const REST_KILOBYTES: u64 = (32 + 128) * 1_024;

#[derive(Debug, Clone, Copy)]
enum Hostile {
    SaysNothing,
    HalfAHead,
    BodyByTheByte,
    TakesNoAnswer,
    TakesNoEvents,
    Garbage,
    TlsWhereThereIsNone,
    Http2WithoutFrames,
}

const KINDS: [Hostile; 8] = [
    Hostile::SaysNothing,
    Hostile::HalfAHead,
    Hostile::BodyByTheByte,
    Hostile::TakesNoAnswer,
    Hostile::TakesNoEvents,
    Hostile::Garbage,
    Hostile::TlsWhereThereIsNone,
    Hostile::Http2WithoutFrames,
];

/// What all hostile callers know.
struct Crowd {
    broker: SocketAddr,
    /// A task with a large answer.
    large: String,
    /// Connections open now, and closed so far.
    open: AtomicUsize,
    sent_away: AtomicUsize,
}

impl Crowd {
    /// Comes back whenever it is sent away.
    async fn member(self: Arc<Self>, number: usize) {
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 1, u8::try_from(number % 250).unwrap_or(0) + 1));
        loop {
            if let Ok(socket) = self.connect(source).await {
                self.open.fetch_add(1, Ordering::Relaxed);
                let _ = self.annoy(socket, KINDS[number % KINDS.len()]).await;
                self.open.fetch_sub(1, Ordering::Relaxed);
                self.sent_away.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(COME_BACK).await;
        }
    }

    async fn connect(&self, source: IpAddr) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4_096)?;
        socket.bind(SocketAddr::new(source, 0))?;
        socket.connect(self.broker).await
    }

    async fn annoy(&self, mut socket: TcpStream, how: Hostile) -> std::io::Result<()> {
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nA2A-Version: 1.0\r\n\r\n");
        let (large, head) = (&self.large, "Host: x\r\nContent-Type: application/json\r\n");
        let said = match how {
            Hostile::SaysNothing => String::new(),
            Hostile::HalfAHead => format!("POST / HTTP/1.1\r\n{head}"),
            Hostile::BodyByTheByte => format!("POST / HTTP/1.1\r\n{head}Content-Length: 1000000\r\n\r\n{{"),
            Hostile::TakesNoAnswer => get(&format!("/tasks/{large}")),
            Hostile::TakesNoEvents => {
                get(&format!("/tasks/{large}:subscribe")).replace("\r\n\r\n", "\r\nLast-Event-ID: 0\r\n\r\n")
            }
            Hostile::Garbage => "\u{1}\u{2}GARBAGE\n\n\n".repeat(10),
            Hostile::TlsWhereThereIsNone => {
                "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}".to_owned()
            }
            Hostile::Http2WithoutFrames => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        };
        socket.write_all(said.as_bytes()).await?;
        loop {
            tokio::time::sleep(SLOWLY).await;
            match how {
                Hostile::BodyByTheByte => socket.write_all(b" ").await?,
                // Reads nothing, and yet notices when it is sent away.
                Hostile::TakesNoAnswer | Hostile::TakesNoEvents => {
                    let ready =
                        socket.ready(tokio::io::Interest::ERROR | tokio::io::Interest::READABLE).await?;
                    if ready.is_read_closed() || ready.is_error() {
                        return Ok(());
                    }
                }
                _ => {
                    let mut piece = [0; 512];
                    let read = tokio::time::timeout(SLOWLY, socket.read(&mut piece)).await;
                    if matches!(read, Ok(Ok(0) | Err(_))) {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// What good callers had to wait, in the middle and at worst.
#[derive(Debug, Clone, Copy)]
struct Waited {
    half: Duration,
    most: Duration,
}

impl Waited {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self { half: times[times.len() / 2], most: *times.last().expect("calls") }
    }

    fn times(self, before: Self) -> f64 {
        self.half.as_secs_f64() / before.half.as_secs_f64()
    }
}

/// A hundred good callers at a time: each asks for a task on a connection of its own for each call, and sends a message.
/// All are served.
async fn good_callers(broker: &Arc<Broker>, task: &Value, round: &str) -> (Waited, Waited) {
    let mut callers = JoinSet::new();
    for number in 0..GOOD {
        let (broker, task, round) = (Arc::clone(broker), task.clone(), round.to_owned());
        callers.spawn(async move {
            let (mut asked, mut sent) = (Vec::new(), Vec::new());
            for call in 0..CALLS {
                let began = Instant::now();
                let answer = broker.rpc("", "GetTask", json!({ "id": task["id"] })).await;
                asked.push(began.elapsed());
                assert_eq!(answer["result"], task, "a good call is answered, and with the truth");
                if call > 0 {
                    continue;
                }
                let began = Instant::now();
                let params = wire::message(&format!("{round}{number}"), "hello");
                let answer = broker.rpc("/agents/worker", "SendMessage", params).await;
                sent.push(began.elapsed());
                assert_eq!(answer["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{answer}");
            }
            (asked, sent)
        });
    }
    let (asked, sent): (Vec<_>, Vec<_>) = callers.join_all().await.into_iter().unzip();
    (Waited::of(asked.concat()), Waited::of(sent.concat()))
}

/// As many files as this process may have open: each hostile connection is one.
fn raise_open_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if raised.is_ok() { maximum } else { current }.unwrap_or(u64::MAX)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_hostile_connections_keeps_no_good_caller_out() {
    let long = std::env::var_os("BAILIWICK_LONG").is_some();
    let (hostile, places) = if long { MANY } else { SOME };
    let files = raise_open_files();
    assert!(
        files > hostile as u64 + 1_000,
        "only {files} files may be open: raise the hard limit (ulimit -Hn)"
    );
    let config = format!("[server]\nmax_connections = {places}\nmax_body_memory = \"32MiB\"\n");
    let broker = Arc::new(Broker::start(&config));
    let (agent, gates) = (Agent::scripted("worker"), Gates::start().await);
    broker.add_agent("worker", agent.url(), &[]).await;
    let small = broker.rpc("/agents/worker", "SendMessage", wire::message("small", "hello")).await;
    let small = small["result"]["task"].clone();
    // Large, and not over: its subscribers stay.
    let script = json!({ "many": [EVENTS, EVENT_BYTES], "delegate": [] });
    let mut params = wire::message("large", &script.to_string());
    params["configuration"] = json!({ "historyLength": 0 });
    let large = broker.rpc("/agents/worker", "SendMessage", params).await;
    let large = large["result"]["task"]["id"].as_str().expect("a task").to_owned();
    drop(gates);

    let before = good_callers(&broker, &small, "before").await;
    let size = broker.resident_kilobytes();
    let crowd = Arc::new(Crowd {
        broker: broker.address().parse().unwrap(),
        large,
        open: AtomicUsize::new(0),
        sent_away: AtomicUsize::new(0),
    });
    let mut members = JoinSet::new();
    for number in 0..hostile {
        members.spawn(Arc::clone(&crowd).member(number));
    }
    // There are more of them than places, so some are sent away before all have come.
    until("the crowd", async || {
        let (open, sent_away) = (crowd.open.load(Ordering::Relaxed), crowd.sent_away.load(Ordering::Relaxed));
        open + sent_away >= hostile && sent_away > 0
    })
    .await;
    let first = good_callers(&broker, &small, "first").await;
    let second = good_callers(&broker, &small, "second").await;
    let grown = broker.resident_kilobytes().saturating_sub(size);
    let (open, sent_away) = (crowd.open.load(Ordering::Relaxed), crowd.sent_away.load(Ordering::Relaxed));
    members.shutdown().await;

    let bound = places as u64 * CONNECTION_KILOBYTES + REST_KILOBYTES;
    eprintln!(
        "{hostile} hostile connections ({open} open, {sent_away} sent away so far), {places} places, {GOOD} good callers: \
         GetTask on a new connection {:?} (at worst {:?}) before, {:?} ({:?}) and {:?} ({:?}) among them: {:.2} and \
         {:.2} times; SendMessage {:?} before, {:?} and {:?}: {:.2} and {:.2} times; grew by {grown} kB, bound {bound} kB",
        before.0.half,
        before.0.most,
        first.0.half,
        first.0.most,
        second.0.half,
        second.0.most,
        first.0.times(before.0),
        second.0.times(before.0),
        before.1.half,
        first.1.half,
        second.1.half,
        first.1.times(before.1),
        second.1.times(before.1),
    );
    assert!(grown < bound, "grew by {grown} kB, bound {bound} kB");
}
