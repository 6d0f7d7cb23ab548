//! Who waits for nothing but himself makes way for who is served: connections that ask for nothing, bodies that do not
//! arrive, answers that are not taken.

use std::time::{Duration, Instant};

use conformance_tests::{Agent, Broker, until, wire};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const PATIENCE: Duration = Duration::from_secs(30);
/// No time limit ends anybody in these tests.
const PATIENT: &str =
    "[server]\nheader_timeout = \"1h\"\nbody_timeout = \"1h\"\nwrite_timeout = \"1h\"\nheartbeat = \"1h\"\n";

async fn worker(config: &str) -> (Broker, Agent) {
    let broker = Broker::start(&format!("{PATIENT}{config}"));
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    (broker, agent)
}

async fn connect(broker: &Broker, bytes: &[u8]) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let mut socket = socket.connect(broker.address().parse().unwrap()).await.expect("a connection");
    socket.write_all(bytes).await.expect("written");
    socket
}

/// Whether the broker has closed a connection, having answered nothing, without waiting long.
async fn is_closed(socket: &mut TcpStream) -> bool {
    let read = tokio::time::timeout(Duration::from_millis(50), socket.read(&mut [0; 64])).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

async fn read_out(mut socket: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer));
    let _ = read.await.expect("the connection ends");
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(id: &str, length: usize) -> (String, String) {
    let (start, end) = (
        format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"SendMessage\",\"params\":{{\"message\":{{\"messageId\":\"{id}\",\
             \"role\":\"ROLE_USER\",\"parts\":[{{\"text\":\""
        ),
        "\"}]},\"configuration\":{\"returnImmediately\":true,\"historyLength\":0}}}",
    );
    let text = "x".repeat(length.saturating_sub(start.len() + end.len()));
    let body = format!("{start}{text}{end}");
    let head = format!(
        "POST /agents/worker HTTP/1.1\r\nHost: x\r\nA2A-Version: 1.0\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (head, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_ask_for_nothing_make_way_in_order() {
    let (broker, _agent) = worker("max_connections = 4\n").await;
    let mut idle = Vec::new();
    for bytes in [b"".as_slice(), b"GET /readyz HT", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"]
    {
        idle.push(connect(&broker, bytes).await);
    }
    // The fourth has asked once, and is idle by now.
    let mut asked = connect(&broker, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut answer = [0; 12];
    asked.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");

    let mut served = Vec::new();
    for (number, mut hostile) in idle.into_iter().enumerate() {
        let mut new = connect(&broker, b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        new.read_exact(&mut answer).await.expect("served");
        assert_eq!(&answer, b"HTTP/1.1 200", "number {number}");
        // HTTP/2 says its settings first.
        let _ = tokio::time::timeout(PATIENCE, hostile.read_to_end(&mut Vec::new())).await.expect("closed");
        served.push(new);
    }
    let mut rest = vec![0; 4_096];
    let read = tokio::time::timeout(PATIENCE, asked.read(&mut rest)).await.unwrap().unwrap();
    assert!(read > 0, "the rest of its answer");
    assert!(!is_closed(&mut asked).await, "who had asked is still there");
    // Next is who has been idle longest.
    let answer = wire::get(&format!("{}/healthz", broker.url())).await;
    assert_eq!(answer.status, 200);
    let _ = tokio::time::timeout(PATIENCE, asked.read(&mut rest)).await.expect("it made way");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_spoke_before_the_broker_could_listen_is_heard_before_anybody_takes_its_place() {
    const PLACES: usize = 20;
    const SILENT: usize = 200;
    const GOOD: usize = 10;
    let (broker, _agent) = worker(&format!("max_connections = {PLACES}\n")).await;
    let sent = broker.rpc("/agents/worker", "SendMessage", wire::message("m", "hello")).await;
    let get = format!(
        "GET /tasks/{} HTTP/1.1\r\nHost: x\r\nA2A-Version: 1.0\r\n\r\n",
        sent["result"]["task"]["id"].as_str().expect("a task")
    );
    broker.pause();
    let (mut silent, mut good) = (Vec::new(), Vec::new());
    for number in 0..SILENT {
        silent.push(connect(&broker, b"").await);
        // In the middle, with ever so many before and behind.
        if number >= SILENT / 2 && good.len() < GOOD {
            good.push(connect(&broker, get.as_bytes()).await);
        }
    }
    broker.unpause();
    for (number, caller) in good.iter_mut().enumerate() {
        let mut answer = [0; 12];
        let read = tokio::time::timeout(PATIENCE, caller.read_exact(&mut answer)).await.expect("in time");
        read.unwrap_or_else(|error| panic!("{number} of those who asked is sent away unheard: {error}"));
        assert_eq!(&answer, b"HTTP/1.1 200", "number {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_arrive_makes_way_for_one_that_does() {
    let (broker, agent) = worker("body_limit = \"1MiB\"\nmax_body_memory = \"1100KiB\"\n").await;
    let (head, body) = post("slow", 1_000_000);
    let first = &body[..900_000];
    let slow = connect(&broker, format!("{head}{first}").as_bytes()).await;
    // When it has arrived, nobody can see from here; a body that needs the same memory can.
    let (mut others, began) = (0, Instant::now());
    while tokio::time::timeout(Duration::from_millis(100), slow.peek(&mut [0])).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "it does not make way");
        let (head, body) = post(&format!("other{others}"), 500_000);
        let served = read_out(connect(&broker, format!("{head}{body}").as_bytes()).await).await;
        assert!(served.contains("\"result\":{\"task\""), "{served:.900}");
        others += 1;
    }
    let refused = read_out(slow).await;
    assert!(refused.contains("TOO_MANY_BYTES") && refused.contains("retry-after: 1"), "{refused:.900}");
    let (head, body) = post("slow", 1_000_000);
    let again = read_out(connect(&broker, format!("{head}{body}").as_bytes()).await).await;
    assert!(again.contains("\"result\":{\"task\""), "{again:.900}");
    until("all are sent", async || agent.logged("received").len() > others).await;
    assert_eq!(agent.logged("received").len(), others + 1, "nothing came of what was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_nobody_takes_cost_what_is_allowed_and_make_way() {
    const READERS: usize = 200;
    const ANSWER_KILOBYTES: u64 = 3_000;
    // What may be on its way; per connection 64 KiB in its buffer, and the connection itself; and what is about to be given back.
    const BOUND_KILOBYTES: u64 = 8 * 1_024 + READERS as u64 * 160 + 32 * 1_024;
    let (broker, _agent) = worker("max_body_memory = \"8MiB\"\n").await;
    let script = json!({ "many": [60, 50_000] }).to_string();
    let mut params = wire::message("m", &script);
    params["configuration"] = json!({ "historyLength": 0 });
    let sent = broker.rpc("/agents/worker", "SendMessage", params).await;
    let task: &Value = &sent["result"]["task"];
    let id = task["id"].as_str().expect("a task");
    let get = format!("GET /tasks/{id}?historyLength=0 HTTP/1.1\r\nHost: x\r\nA2A-Version: 1.0\r\n\r\n");
    let before = broker.resident_kilobytes();
    let mut stalled = Vec::new();
    for _ in 0..READERS {
        let mut reader = connect(&broker, get.as_bytes()).await;
        let mut head = [0; 12];
        reader.read_exact(&mut head).await.expect("an answer");
        assert_eq!(&head, b"HTTP/1.1 200", "those who came before make way");
        stalled.push(reader);
    }
    let honest = broker.rpc("", "GetTask", json!({ "id": id, "historyLength": 0 })).await;
    assert_eq!(&honest["result"], task, "who takes it gets all of it");
    let mut grown = 0;
    // What is free again the allocator keeps for a second, and gives back when it is next asked for some.
    let is_bounded = async || {
        let _ = broker.rpc("", "GetTask", json!({ "id": "nobody's" })).await;
        grown = broker.resident_kilobytes().saturating_sub(before);
        eprintln!("grown by {grown} kB, bound {BOUND_KILOBYTES} kB");
        grown < BOUND_KILOBYTES
    };
    until("they take no more than is allowed", is_bounded).await;
    eprintln!(
        "{READERS} readers of {ANSWER_KILOBYTES} kB that take nothing: grew by {grown} kB, bound {BOUND_KILOBYTES} kB, all \
         answers would be {} kB",
        READERS as u64 * ANSWER_KILOBYTES
    );
    let cut = read_out(stalled.remove(0)).await;
    assert!(!cut.ends_with("}}") && cut.len() < 2_000_000, "it is cut off, not made up: {}", cut.len());
    let last = stalled.pop().unwrap();
    drop(stalled);
    assert!(read_whole(last).await.ends_with('}'), "the last one was still there");
}

/// Reads an answer whose connection stays.
async fn read_whole(mut socket: TcpStream) -> String {
    let (mut answer, mut piece) = (String::new(), vec![0; 65_536]);
    loop {
        let read =
            tokio::time::timeout(PATIENCE, socket.read(&mut piece)).await.expect("it comes").expect("whole");
        assert!(read > 0, "cut off after {}", answer.len());
        answer.push_str(std::str::from_utf8(&piece[..read]).expect("ASCII"));
        let length = answer.split_once("content-length: ").and_then(|(_, rest)| rest.split("\r\n").next());
        let whole = answer.split_once("\r\n\r\n").map(|(_, body)| body.len());
        if length.and_then(|length| length.parse().ok()) == whole {
            return answer;
        }
    }
}
