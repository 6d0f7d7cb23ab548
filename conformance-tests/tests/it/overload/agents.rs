//! What agents are spared: one that cannot be reached is not tried for a while, and tried once before it is trusted again;
//! one that works on as many tasks as it takes gets the others in order, principals in turn.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use conformance_tests::{Agent, Broker, Gates, key_digest, until, wire};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

const EXTENSION: &str = "urn:bailiwick:ext:delegation:v1";

/// A door in front of an agent: shut, connections are refused; open, they are counted and led on.
struct Door {
    address: SocketAddr,
    entered: Arc<AtomicUsize>,
    open: Option<JoinHandle<()>>,
}

impl Door {
    /// An open door, and the agent behind it.
    async fn of(name: &str) -> (Self, Agent) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let agent = Agent::scripted_behind(name, &format!("http://{address}/"));
        let mut door = Self { address, entered: Arc::default(), open: None };
        door.lead_on(listener, &agent);
        (door, agent)
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn lead_on(&mut self, listener: TcpListener, agent: &Agent) {
        let agent = agent.url().trim_start_matches("http://").to_owned();
        let entered = Arc::clone(&self.entered);
        self.open = Some(tokio::spawn(async move {
            let mut inside = JoinSet::new();
            while let Ok((mut outer, _)) = listener.accept().await {
                entered.fetch_add(1, Ordering::SeqCst);
                let agent = agent.clone();
                inside.spawn(async move {
                    let mut inner = TcpStream::connect(agent).await?;
                    tokio::io::copy_bidirectional(&mut outer, &mut inner).await
                });
            }
        }));
    }

    /// Also whoever is inside has to leave.
    async fn shut(&mut self) {
        if let Some(open) = self.open.take() {
            open.abort();
            let _ = open.await;
        }
    }

    fn open_again(&mut self, agent: &Agent) {
        self.entered.store(0, Ordering::SeqCst);
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an option");
        socket.bind(self.address).expect("the same port");
        self.lead_on(socket.listen(64).expect("it listens"), agent);
    }

    fn entered(&self) -> usize {
        self.entered.load(Ordering::SeqCst)
    }
}

fn wishing(id: &str, script: &Value, retry: &Value) -> Value {
    let mut params = wire::message(id, &script.to_string());
    params["message"]["metadata"] = json!({ EXTENSION: { "retry": retry } });
    params
}

async fn shown(broker: &Broker, agent: &str) -> Value {
    wire::get(&format!("{}/api/v1/agents/{agent}", broker.url())).await.json()
}

fn state(task: &Value) -> &str {
    task["status"]["state"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_cannot_be_reached_is_left_alone_for_a_while_and_then_tried_once() {
    // The longer while is for a machine on which the shorter one is over before all was seen.
    for while_open in [Duration::from_secs(10), Duration::from_secs(30)] {
        if is_left_alone_and_then_tried(while_open).await {
            return;
        }
    }
    panic!("thirty seconds were too short for this machine");
}

/// Whether there was time enough to see all of it.
async fn is_left_alone_and_then_tried(while_open: Duration) -> bool {
    let seconds = while_open.as_secs();
    let broker = Broker::start(&format!(
        "[southbound]\ncircuit_failures = 2\ncircuit_open = \"{seconds}s\"\n[limits]\nbackoff = \"10ms\"\n"
    ));
    let ((mut door, agent), spare) = (Door::of("worker").await, Agent::scripted("spare"));
    broker.add_agent("worker", &door.url(), &[]).await;
    broker.add_agent("spare", spare.url(), &[]).await;
    let hello = json!({ "chunks": ["hello"] });
    let first = broker.rpc("/agents/worker", "SendMessage", wishing("before", &hello, &json!({}))).await;
    assert_eq!(state(&first["result"]["task"]), "TASK_STATE_COMPLETED", "{first}");
    assert!(door.entered() > 0, "it goes through the door");
    assert_eq!(shown(&broker, "worker").await.get("down_until"), None);

    let shut = Instant::now();
    door.shut().await;
    let twice = wishing("lost", &hello, &json!({ "max_attempts": 2 }));
    let lost = broker.rpc("/agents/worker", "SendMessage", twice).await;
    let task = &lost["result"]["task"];
    assert_eq!(state(task), "TASK_STATE_FAILED", "{lost}");
    let down = shown(&broker, "worker").await;
    let command = broker.command(&["agent", "show", "worker"]);

    // The agent is back, and nobody knows.
    door.open_again(&agent);
    let elsewhere = wishing("elsewhere", &hello, &json!({ "max_attempts": 1, "fallback": ["spare"] }));
    let elsewhere = broker.rpc("/agents/worker", "SendMessage", elsewhere).await;
    let mut waiting = Vec::new();
    for number in 0..3 {
        let mut params = wishing(&format!("wait{number}"), &hello, &json!({}));
        params["configuration"] = json!({ "returnImmediately": true });
        waiting.push(broker.rpc("/agents/worker", "SendMessage", params).await);
    }
    let still = shown(&broker, "worker").await;
    let tried = (door.entered(), agent.logged("received").len());
    if shut.elapsed() >= while_open {
        return false;
    }
    let down_until = down["down_until"].as_str().unwrap_or_else(|| panic!("{down}"));
    let text = String::from_utf8_lossy(&command.stdout);
    assert!(text.contains(down_until), "`agent show` says so too: {text}");
    assert_eq!(state(&elsewhere["result"]["task"]), "TASK_STATE_COMPLETED", "{elsewhere}");
    assert_eq!(spare.logged("received").len(), 1, "another delegate did it");
    assert_eq!(still["down_until"], down_until, "{still}");
    assert_eq!(tried, (0, 1), "it was not tried");

    for sent in &waiting {
        let task = &sent["result"]["task"];
        assert_eq!(state(task), "TASK_STATE_SUBMITTED", "{sent}");
        until("its end", async || {
            let got = broker.rpc("", "GetTask", json!({ "id": task["id"] })).await;
            state(&got["result"]) == "TASK_STATE_COMPLETED"
        })
        .await;
    }
    assert_eq!(agent.logged("received").len(), 4, "each once");
    assert!(door.entered() > 0);
    assert_eq!(shown(&broker, "worker").await.get("down_until"), None, "it is trusted again");
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_wait_for_a_place_in_order_and_principals_take_turns() {
    let principal = |name: &str, role: &str| {
        let key = key_digest(name);
        format!("[[principals]]\nname = \"{name}\"\nrole = \"{role}\"\nkey_sha256 = \"{key}\"\n")
    };
    let config = principal("alice", "user") + &principal("bob", "user") + &principal("root", "operator");
    let broker = Broker::start(&config);
    let (agent, gates) = (Agent::scripted("worker"), Gates::start().await);
    let body = json!({ "name": "worker", "url": agent.url(), "max_concurrent": 1 });
    let added = wire::post(&format!("{}/api/v1/agents", broker.url()), &body, Some("root")).await;
    assert_eq!(added.status, 201, "{}", added.text);

    let orders = [("alice", "a1"), ("alice", "a2"), ("alice", "a3"), ("bob", "b1"), ("bob", "b2")];
    let mut tasks = BTreeMap::new();
    for (who, id) in orders {
        let script = json!({ "gate": gates.wait(id), "chunks": [id] }).to_string();
        let mut params = wire::message(id, &script);
        params["configuration"] = json!({ "returnImmediately": true });
        let sent = broker.rpc_as(Some(who), "/agents/worker", "SendMessage", params).await;
        let task = &sent["result"]["task"];
        tasks.insert(id, (who, task["id"].clone()));
        if id == "a1" {
            until("the first is at work", async || !agent.logged("received").is_empty()).await;
        }
    }
    let show = async || {
        let url = format!("{}/api/v1/agents/worker", broker.url());
        wire::request("GET", &url, &[("Authorization", "Bearer root")], Vec::new()).await.json()
    };
    until("four wait", async || show().await["waiting"] == 4).await;
    assert_eq!(show().await["busy"], 1);
    let turns = ["a1", "a2", "b1", "a3", "b2"];
    for (number, id) in turns.iter().enumerate() {
        until("its turn", async || agent.logged("received").len() == number + 1).await;
        for waiting in &turns[number + 1..] {
            let (who, task) = &tasks[waiting];
            let got = broker.rpc_as(Some(who), "", "GetTask", json!({ "id": task })).await;
            assert_eq!(state(&got["result"]), "TASK_STATE_SUBMITTED", "{waiting} waits for {id}");
        }
        gates.open(id).await;
    }
    let order: Vec<Value> = agent.logged("received").into_iter().map(|line| line["task"].clone()).collect();
    let expected: Vec<Value> = turns.iter().map(|id| tasks[id].1.clone()).collect();
    assert_eq!(order, expected);
}
