//! How the broker leaves (SIGTERM) while it has work: streams end cleanly and go on at the broker that comes back, those
//! who wait are told when to ask again and join what they began, what can be finished is, and nothing is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use conformance_tests::grpc::{self, Connection, SERVICE, field, frame};
use conformance_tests::suite::operation::SEND;
use conformance_tests::{Agent, Broker, Gates, until, wire};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};

use super::call::{BINDINGS, Binding, Kind, Refusal, call};
const PATIENCE: Duration = Duration::from_mins(1);
/// Exit code of a process that SIGTERM ended, as shells have it.
const TERMINATED: i32 = 128 + 15;
const UNAVAILABLE: u32 = 14;

async fn worker(config: &str) -> (Broker, Agent, Gates) {
    let (broker, agent, gates) = (Broker::start(config), Agent::scripted("worker"), Gates::start().await);
    broker.add_agent("worker", agent.url(), &[]).await;
    (broker, agent, gates)
}

fn gated(gates: &Gates, name: &str) -> String {
    json!({ "gate": gates.wait(name), "chunks": [name] }).to_string()
}

async fn begin(broker: &Broker, agent: &str, id: &str, script: &str) -> String {
    let mut params = wire::message(id, script);
    params["configuration"] = json!({ "returnImmediately": true });
    let begun = broker.rpc(&format!("/agents/{agent}"), "SendMessage", params).await;
    begun["result"]["task"]["id"].as_str().unwrap_or_else(|| panic!("{begun}")).to_owned()
}

async fn takes_connections(broker: &Broker) -> bool {
    TcpStream::connect(broker.address()).await.is_ok()
}

/// A subscription over a socket of its own, read by hand.
struct Subscription {
    socket: TcpStream,
    text: String,
}

impl Subscription {
    async fn open(broker: &Broker, task: &str, after: Option<u64>) -> Self {
        let mut socket = TcpStream::connect(broker.address()).await.expect("a connection");
        let after = after.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        let head =
            format!("GET /tasks/{task}:subscribe HTTP/1.1\r\nHost: x\r\nA2A-Version: 1.0\r\n{after}\r\n");
        socket.write_all(head.as_bytes()).await.expect("written");
        Self { socket, text: String::new() }
    }

    async fn read_on(&mut self) -> bool {
        let mut piece = [0; 8_192];
        let read = tokio::time::timeout(PATIENCE, self.socket.read(&mut piece)).await.expect("in time");
        let read = read.expect("the connection is not broken");
        self.text.push_str(std::str::from_utf8(&piece[..read]).expect("ASCII"));
        read > 0
    }

    async fn until_events(&mut self, count: usize) {
        while self.ids().len() < count {
            assert!(self.read_on().await, "it ended: {}", self.text);
        }
    }

    /// Reads to the end of the connection.
    async fn read_out(mut self) -> Self {
        while self.read_on().await {}
        self
    }

    /// The ids of its events. Each event is a chunk of its own.
    fn ids(&self) -> Vec<u64> {
        let whole = self.text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
        let id = |block: &str| block.split_once("id: ")?.1.split('\n').next()?.parse().ok();
        whole.split("\n\n").filter_map(id).collect()
    }
}

async fn replay(broker: &Broker, task: &str) -> Vec<u64> {
    let stream = wire::stream(&broker.url(), "SubscribeToTask", json!({ "id": task }), Some(0)).await;
    stream.rest().await.into_iter().filter_map(|event| event.id).collect()
}

/// Has a caller wait on each binding for what is behind a gate.
fn wait_on_each(broker: &Arc<Broker>, gates: &Gates) -> JoinSet<(Binding, Result<Value, Refusal>)> {
    let mut waiting = JoinSet::new();
    for binding in BINDINGS {
        let params = wire::message(&format!("{binding:?}"), &gated(gates, "calls"));
        let broker = Arc::clone(broker);
        waiting.spawn(async move { (binding, call(&broker, binding, Some("worker"), SEND, &params).await) });
    }
    waiting
}

async fn hear_by_grpc(broker: &Broker, task: &str) -> JoinHandle<grpc::Answer> {
    let mut connection = Connection::open(broker.address()).await;
    let subscribe = frame(&field(2, task.as_bytes()));
    tokio::spawn(async move { connection.call(&format!("{SERVICE}/SubscribeToTask"), &[], subscribe).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_go_on_and_callers_join_at_the_broker_that_comes_back() {
    let (broker, agent, gates) = worker("[server]\ndrain = \"1s\"\n").await;
    let boss = Agent::scripted("boss");
    broker.add_agent("boss", boss.url(), &["a2a:skill/**"]).await;
    let broker = Arc::new(broker);

    // A tree: an unmodified SDK client, in the agent, hears its child by a stream.
    let order =
        json!({ "to": "worker", "script": serde_json::from_str::<Value>(&gated(&gates, "child")).unwrap() });
    let tree = begin(&broker, "boss", "tree", &json!({ "delegate": [order] }).to_string()).await;
    let waiting = wait_on_each(&broker, &gates);
    until("all are at work", async || agent.logged("received").len() == 4).await;
    until("the client hears its child", async || !boss.logged("child").is_empty()).await;
    // One that says something all the while, for minutes if nobody stops it; heard on two bindings.
    let chatty = json!({ "many": [10_000, 10], "pace_ms": 15 }).to_string();
    let chatty = begin(&broker, "worker", "chatty", &chatty).await;
    let mut heard = Subscription::open(&broker, &chatty, None).await;
    let grpc = hear_by_grpc(&broker, &chatty).await;
    until("three wait and two listen", async || broker.callers().await == 5).await;
    heard.until_events(20).await;

    broker.terminate();
    let told = Instant::now();
    let heard = heard.read_out().await;
    let streams_ended = told.elapsed();
    assert!(heard.text.contains("retry: 2000\nid: "), "when to come back: {}", heard.text);
    assert!(
        heard.text.ends_with("\r\n0\r\n\r\n"),
        "a clean end: {:?}",
        heard.text.get(heard.text.len() - 80..)
    );
    let grpc = grpc.await.unwrap();
    assert_eq!(grpc.code(), Some(UNAVAILABLE), "{grpc:?}");
    assert!(grpc.body.len() > 100, "it had heard something");
    for (binding, answer) in waiting.join_all().await {
        answer.expect_err("the gate is shut").assert_is(binding, Kind::Unavailable, "SHUTTING_DOWN");
    }
    let waits_ended = told.elapsed();
    let mut broker = Arc::into_inner(broker).expect("nobody else");
    assert_eq!(broker.ended().await, Some(0), "the exit code");
    eprintln!(
        "after SIGTERM: streams ended after {streams_ended:?}, waits refused after {waits_ended:?} (drain 1 s), ended \
         after {:?}",
        told.elapsed()
    );

    broker.restart();
    let resumed = Subscription::open(&broker, &chatty, heard.ids().last().copied()).await;
    let broker = Arc::new(broker);
    let joining = wait_on_each(&broker, &gates);
    for gate in ["calls", "child"] {
        gates.open(gate).await;
    }
    for (_, answer) in joining.join_all().await {
        let answer = answer.expect("it joins its task").to_string();
        assert!(answer.contains("TASK_STATE_COMPLETED") && answer.contains("calls"), "{answer}");
    }
    goes_on(&broker, &chatty, &heard.ids(), resumed).await;
    until("the tree ends", async || {
        let got = broker.rpc("", "GetTask", json!({ "id": tree })).await;
        got["result"]["status"]["state"] == "TASK_STATE_COMPLETED"
    })
    .await;
    assert_eq!(broker.tree(&tree).await.len(), 2, "one child, joined by the client that came back");
    assert_eq!(agent.logged("received").len(), 5, "each message was sent to the agent once");
}

/// What a subscriber saw and what it hears on from there are all there is, to the task's end.
async fn goes_on(broker: &Broker, task: &str, seen: &[u64], mut resumed: Subscription) {
    resumed.until_events(1).await;
    let cancelled = broker.rpc("", "CancelTask", json!({ "id": task })).await;
    assert_eq!(cancelled["result"]["status"]["state"], "TASK_STATE_CANCELED", "{cancelled}");
    while !resumed.text.ends_with("\r\n0\r\n\r\n") {
        assert!(resumed.read_on().await, "it broke off: {}", resumed.text);
    }
    assert!(resumed.text.contains("TASK_STATE_CANCELED"), "{}", resumed.text);
    let both = [seen, &resumed.ids()].concat();
    let all = replay(broker, task).await;
    // It began with the task as it stood, under the number of its newest event.
    let followed: Vec<u64> = all.iter().copied().filter(|id| *id > seen[0]).collect();
    assert_eq!(both[1..], followed, "without hole or repeat");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_finished_in_time_is_finished() {
    let (mut broker, agent, gates) = worker("[server]\ndrain = \"1m\"\n").await;
    let mut waiting = JoinSet::new();
    for binding in [Binding::JsonRpc, Binding::Grpc] {
        let (address, params) =
            (broker.address().to_owned(), wire::message(&format!("{binding:?}"), &gated(&gates, "g")));
        let url = broker.agent_url("worker");
        waiting.spawn(async move {
            if binding == Binding::JsonRpc {
                let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params });
                return wire::post(&url, &body, None).await.text;
            }
            let text = params["message"]["parts"][0]["text"].as_str().unwrap();
            let send = frame(&conformance_tests::grpc::send_request("worker", "Grpc", text));
            let mut connection = Connection::open(&address).await;
            let answer = connection.call(&format!("{SERVICE}/SendMessage"), &[], send).await;
            assert_eq!(answer.code(), Some(0), "{answer:?}");
            "TASK_STATE_COMPLETED".to_owned()
        });
    }
    until("both are at work", async || agent.logged("received").len() == 2).await;
    broker.terminate();
    until("nobody else is let in", async || !takes_connections(&broker).await).await;
    gates.open("g").await;
    for answer in waiting.join_all().await {
        assert!(answer.contains("TASK_STATE_COMPLETED"), "{answer}");
    }
    assert_eq!(broker.ended().await, Some(0));
    broker.restart();
    let listed = broker.rpc("", "ListTasks", json!({})).await;
    let tasks = listed["result"]["tasks"].as_array().expect("tasks");
    assert!(tasks.iter().all(|task| task["status"]["state"] == "TASK_STATE_COMPLETED"), "{listed}");
    assert_eq!(tasks.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_first_that_it_leaves_and_a_second_signal_ends_it_at_once() {
    let (mut broker, _agent, gates) = worker("[server]\nnotice = \"1h\"\ndrain = \"1h\"\n").await;
    let ready = async |broker: &Broker| wire::get(&format!("{}/readyz", broker.url())).await;
    assert_eq!(ready(&broker).await.status, 200);
    let task = begin(&broker, "worker", "open", &gated(&gates, "never")).await;
    let mut heard = Subscription::open(&broker, &task, None).await;
    heard.until_events(1).await;

    broker.terminate();
    until("it is not ready", async || ready(&broker).await.status == 503).await;
    assert!(ready(&broker).await.text.contains("shutting down"));
    let sent = broker.rpc("/agents/worker", "SendMessage", wire::message("while", "hello")).await;
    assert_eq!(sent["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "served as before: {sent}");

    broker.terminate();
    assert_eq!(broker.ended().await, Some(TERMINATED));
    broker.restart();
    until("its task goes on", async || {
        let got = broker.rpc("", "GetTask", json!({ "id": task })).await;
        got["result"]["status"]["state"] == "TASK_STATE_WORKING"
    })
    .await;
}
