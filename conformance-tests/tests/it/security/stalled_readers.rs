//! Subscribers that stop reading: what they cost is bounded whatever happens to their task, nobody else notices, and
//! when they wake they hear the rest or can resume.

use std::time::{Duration, Instant};

use conformance_tests::{Agent, Broker, wire};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// Stalled readers in a default run; with `BAILIWICK_LONG=1`, [`MANY`].
const SOME: usize = 200;
const MANY: usize = 1_000;
/// Each event, bytes, and how many there are: about 3 MB for each reader, were it all kept.
const EVENT_BYTES: usize = 48_000;
const EVENTS: usize = 60;
/// What one stalled reader may cost the process: the broker's buffer for a connection (64 KiB), an event that passes
/// it and the one behind it (48 KB and its envelope each), and the connection itself.
const READER_KILOBYTES: u64 = 220;
/// What the task and the journal may cost besides.
const REST_KILOBYTES: u64 = 64 * 1024;
/// Calls of others, before and while.
const HONEST_CALLS: usize = 100;
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_mins(2);

/// Holds an agent's work until it is opened (`gate` of `scripted.py`).
struct Gate(TcpListener);

impl Gate {
    async fn closed() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.expect("a port"))
    }

    fn url(&self) -> String {
        format!("http://{}/", self.0.local_addr().expect("an address"))
    }

    async fn open(self) {
        let (mut socket, _) = self.0.accept().await.expect("the agent asks");
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.expect("answered");
        let _ = socket.read(&mut [0; 1_024]).await;
    }
}

/// A stream over a socket of its own, read by hand.
struct Reader {
    socket: TcpStream,
    text: String,
}

impl Reader {
    async fn subscribe(broker: &Broker, task: &str, after: Option<u64>) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4_096).expect("a small buffer");
        let address = broker.address().parse().expect("an address");
        let mut socket = socket.connect(address).await.expect("a connection");
        let after = after.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        let head = format!(
            "GET /tasks/{task}:subscribe HTTP/1.1\r\nHost: x\r\nA2A-Version: 1.0\r\nConnection: close\r\n{after}\r\n"
        );
        socket.write_all(head.as_bytes()).await.expect("written");
        Self { socket, text: String::new() }
    }

    /// Reads until a text has come.
    async fn until(&mut self, text: &str) {
        let mut piece = [0; 1_024];
        while !self.text.contains(text) {
            let read = tokio::time::timeout(PATIENCE, self.socket.read(&mut piece)).await.expect("it comes");
            let read = read.expect("a connection");
            assert!(read > 0, "closed before {text}: {}", self.text);
            self.text.push_str(std::str::from_utf8(&piece[..read]).expect("ASCII"));
        }
    }

    /// Reads to the end, clean or not; the ids of the events that came whole.
    async fn rest(mut self) -> Vec<u64> {
        let mut bytes = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, self.socket.read_to_end(&mut bytes)).await.expect("it ends");
        self.text.push_str(&String::from_utf8_lossy(&bytes));
        let whole = self.text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
        whole.split("\n\n").filter_map(event_id).collect()
    }
}

/// The id of an event within the chunks it came in.
fn event_id(block: &str) -> Option<u64> {
    let (_, after) = block.split_once("id: ")?;
    after.split('\n').next()?.parse().ok()
}

/// A task that waits at a gate before it says a lot.
async fn chatty(broker: &Broker, gate: &Gate, events: usize) -> String {
    let script = json!({ "gate": gate.url(), "many": [events, EVENT_BYTES] }).to_string();
    let mut params = wire::message("chatty", &script);
    params["configuration"] = json!({ "returnImmediately": true });
    let sent = broker.rpc("/agents/worker", "SendMessage", params).await;
    let task = sent["result"]["task"]["id"].as_str().expect("a task").to_owned();
    // All readers are to begin with the same event: the last one before the gate.
    let began = Instant::now();
    while broker.rpc("", "GetTask", json!({ "id": task })).await["result"]["status"]["state"]
        != "TASK_STATE_WORKING"
    {
        assert!(began.elapsed() < PATIENCE, "the agent does not begin");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    task
}

/// Asks for a task often; how long that took in the middle.
async fn honest_calls(broker: &Broker, task: &Value) -> Duration {
    let mut times = Vec::new();
    for _ in 0..HONEST_CALLS {
        let began = Instant::now();
        let answer = broker.rpc("", "GetTask", json!({ "id": task["id"] })).await;
        times.push(began.elapsed());
        assert_eq!(answer["result"], *task, "an honest call is answered, and with the truth");
    }
    times.sort();
    times[HONEST_CALLS / 2]
}

async fn worker(config: &str) -> (Broker, Agent) {
    let broker = Broker::start(config);
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    (broker, agent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_stalled_readers_cost_little_and_harm_nobody() {
    let readers = if std::env::var_os("BAILIWICK_LONG").is_some() { MANY } else { SOME };
    // Longer than this takes on a busy machine: what is measured is what they cost while they are there.
    let (broker, _agent) = worker("[server]\nwrite_timeout = \"1h\"\n").await;
    let small = broker.rpc("/agents/worker", "SendMessage", wire::message("s", "hello")).await;
    let small = small["result"]["task"].clone();
    let gate = Gate::closed().await;
    let task = chatty(&broker, &gate, EVENTS).await;

    let mut stalled = Vec::new();
    for _ in 0..readers {
        let mut reader = Reader::subscribe(&broker, &task, None).await;
        reader.until("\n\n").await;
        stalled.push(reader);
    }
    let mut good = JoinSet::new();
    for _ in 0..3 {
        let stream = wire::stream(&broker.url(), "SubscribeToTask", json!({ "id": task }), None).await;
        good.spawn(stream.rest());
    }
    let before = (broker.resident_kilobytes(), honest_calls(&broker, &small).await);
    gate.open().await;
    let while_stalled = honest_calls(&broker, &small).await;
    let heard: Vec<Vec<wire::Event>> =
        tokio::time::timeout(PATIENCE, good.join_all()).await.expect("the good ones hear all of it");
    let after = (broker.resident_kilobytes(), honest_calls(&broker, &small).await);

    let ids = |events: &[wire::Event]| events.iter().filter_map(|event| event.id).collect::<Vec<u64>>();
    let all = ids(&heard[0]);
    assert!(all.len() > EVENTS && all.is_sorted());
    for events in &heard {
        assert_eq!(events.last().unwrap().state(), Some("TASK_STATE_COMPLETED"));
        assert_eq!(ids(events), all, "all hear the same in the same order");
    }
    let (grown, bound) =
        (after.0.saturating_sub(before.0), readers as u64 * READER_KILOBYTES + REST_KILOBYTES);
    let unbounded = (readers * EVENTS * EVENT_BYTES / 1024) as u64;
    eprintln!(
        "{readers} stalled readers: grew by {grown} kB ({} kB each), bound {bound} kB, all events would be {unbounded} kB; \
         median of an honest call {:?} before, {while_stalled:?} while, {:?} after ({:.2} times)",
        grown / readers as u64,
        before.1,
        after.1,
        after.1.as_secs_f64() / before.1.as_secs_f64()
    );
    assert!(grown < bound, "grew by {grown} kB, bound {bound} kB");

    // Some wake up and hear the rest; some come back on a new connection.
    for reader in stalled.drain(..10) {
        assert_eq!(reader.rest().await, all, "without hole or repeat, from the first event on");
    }
    for reader in stalled.drain(..10) {
        drop(reader);
        let resumed = Reader::subscribe(&broker, &task, Some(all[0])).await;
        assert_eq!(resumed.rest().await, all[1..], "resumed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stalls_for_too_long_loses_its_place_and_can_resume() {
    // No less: it holds for those who read, and on a machine that stands still for a moment, too.
    let (broker, _agent) = worker("[server]\nwrite_timeout = \"5s\"\nmax_streams = 2\n").await;
    let gate = Gate::closed().await;
    let task = chatty(&broker, &gate, EVENTS).await;
    let mut stalled = Vec::new();
    for _ in 0..2 {
        let mut reader = Reader::subscribe(&broker, &task, None).await;
        reader.until("\n\n").await;
        stalled.push(reader);
    }
    let url = format!("{}/tasks/{task}:subscribe", broker.url());
    let refused = wire::get(&url).await;
    assert_eq!(refused.status, 429, "{}", refused.text);
    assert_eq!(refused.json()["error"]["details"][0]["reason"], "TOO_MANY_STREAMS");
    assert!(refused.header("retry-after").is_some());
    let message = wire::message("n", "hello");
    let refused = broker.rpc("/agents/worker", "SendStreamingMessage", message.clone()).await;
    assert_eq!(refused["error"]["code"], -31429, "{refused}");
    let rpc = broker.rpc("/agents/worker", "SendMessage", message).await;
    assert_eq!(
        rpc["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED",
        "no stream, no limit: {rpc}"
    );
    gate.open().await;

    // Their places are free once the broker has given them up.
    let began = Instant::now();
    let mut free = Reader::subscribe(&broker, &task, Some(1)).await;
    free.until("\r\n\r\n").await;
    while !free.text.starts_with("HTTP/1.1 200") {
        assert!(began.elapsed() < PATIENCE, "the stalled readers keep their places: {}", free.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
        free = Reader::subscribe(&broker, &task, Some(1)).await;
        free.until("\r\n\r\n").await;
    }
    let all = free.rest().await;
    assert!(all.len() >= EVENTS);
    for reader in stalled {
        let heard = reader.rest().await;
        let (first, last) = (heard[0], *heard.last().unwrap());
        assert!(heard.len() < all.len(), "it was cut off in the middle");
        let expected: Vec<u64> = all.iter().copied().filter(|id| (first + 1..=last).contains(id)).collect();
        assert_eq!(heard[1..], expected, "what came whole has no hole");
        let resumed = Reader::subscribe(&broker, &task, Some(last)).await.rest().await;
        let expected: Vec<u64> = all.iter().copied().filter(|id| *id > last).collect();
        assert_eq!(resumed, expected, "the rest, resumed");
    }
}
