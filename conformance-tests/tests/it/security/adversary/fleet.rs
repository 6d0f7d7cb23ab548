//! The field: a broker with principals, agents with different caps, a tree three deep whose agents are at work for as
//! long as the test lasts, a tree of somebody else's, and a task that is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use conformance_tests::{Agent, Broker, wire};
use serde_json::{Value, json};

use super::super::api_keys::made_key;

pub(super) const EXTENSION: &str = "urn:bailiwick:ext:delegation:v1";

/// Agents and what the operator gave them.
pub(super) const CAPS: [(&str, &[&str]); 5] = [
    ("top", &["a2a:skill/**", "mcp:tool/*{calls<=20}"]),
    (
        "mid",
        &["a2a:skill/end/*{hops<=3}", "a2a:skill/low/*", "a2a:skill/side/*", "mcp:tool/search{calls<=6}"],
    ),
    ("low", &["a2a:skill/end/*{hops<=1}", "mcp:tool/search{calls<=2}"]),
    ("side", &[]),
    ("end", &["mcp:tool/fetch{calls<=1}", "mcp:tool/search{calls<=1}"]),
];

/// Longer than the test.
const FOR_EVER_MS: u32 = 600_000;
/// How long the field may take to stand.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);

/// An agent at work, and what it was told.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) agent: String,
    pub(super) task: String,
    pub(super) root: String,
    pub(super) depth: u64,
    pub(super) grant: String,
}

pub(super) struct Fleet {
    pub(super) broker: Broker,
    pub(super) agents: BTreeMap<&'static str, Agent>,
    pub(super) keys: BTreeMap<&'static str, String>,
    /// Alice's tree: top, mid, low.
    pub(super) alices: Vec<Held>,
    pub(super) bobs: Held,
    /// Its task is over.
    pub(super) dead: Held,
    /// Tasks by who asked and under which message id.
    pub(super) replayed: Mutex<BTreeMap<(String, String), BTreeSet<String>>>,
}

impl Fleet {
    pub(super) async fn start() -> Self {
        let agents: BTreeMap<_, _> = CAPS.iter().map(|(name, _)| (*name, Agent::scripted(name))).collect();
        let mut config = String::new();
        let mut keys = BTreeMap::new();
        for (name, role) in [("alice", "user"), ("bob", "user"), ("olga", "operator")] {
            let (key, digest) = made_key();
            config.extend([format!(
                "[[principals]]\nname = {name:?}\nrole = {role:?}\nkey_sha256 = {digest:?}\n"
            )]);
            keys.insert(name, key);
        }
        for (name, caps) in CAPS {
            let url = agents[name].url();
            config.extend([format!("[[agents]]\nname = {name:?}\nurl = {url:?}\ncaps = {caps:?}\n")]);
        }
        let broker = Broker::start(&config);
        let deep = json!({ "delay_ms": FOR_EVER_MS });
        let low = json!({ "to": "low", "budget": budget(60), "script": deep });
        let mid = json!({ "to": "mid", "budget": budget(150), "script": { "delegate": [low] } });
        let alices = json!({ "delegate": [mid] });
        begin(&broker, &keys["alice"], "top", &alices).await;
        let mut told = Vec::new();
        for name in ["top", "mid", "low"] {
            told.push(until(|| received(&agents[name], |_| true)).await);
        }
        begin(&broker, &keys["bob"], "end", &deep).await;
        let bobs = until(|| received(&agents["end"], |_| true)).await;
        begin(&broker, &keys["alice"], "side", &json!({})).await;
        let dead = until(|| received(&agents["side"], |_| true)).await;
        until(|| agents["side"].logged("ended").pop()).await;
        let fleet = Self { broker, agents, keys, alices: told, bobs, dead, replayed: Mutex::default() };
        fleet.wait_for_the_end_of(&fleet.dead.task).await;
        fleet
    }

    async fn wait_for_the_end_of(&self, task: &str) {
        loop {
            let shown =
                self.broker.rpc_as(Some(&self.keys["olga"]), "", "GetTask", json!({ "id": task })).await;
            if shown["result"]["status"]["state"] == "TASK_STATE_COMPLETED" {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What an agent was told of a task, once it has it.
    pub(super) async fn told(&self, agent: &str, task: &str) -> Held {
        until(|| received(&self.agents[agent], |told| told["task"] == task)).await
    }

    pub(super) async fn call(&self, key: &str, agent: &str, method: &str, params: Value) -> Value {
        let path = if agent.is_empty() { String::new() } else { format!("/agents/{agent}") };
        self.broker.rpc_as(Some(key), &path, method, params).await
    }

    /// What the operator sees at an address of the operator API.
    pub(super) async fn view(&self, path: &str) -> String {
        let credential = format!("Bearer {}", self.keys["olga"]);
        let url = format!("{}{path}", self.broker.url());
        let answer = wire::request("GET", &url, &[("Authorization", &credential)], Vec::new()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.text
    }
}

pub(super) fn budget(calls: u32) -> Value {
    json!({ "calls": calls, "fanout": calls, "usd": format!("{}.00", calls / 10) })
}

pub(super) fn message(id: &str, script: &Value, wishes: &Value) -> Value {
    let mut params = wire::message(id, &script.to_string());
    params["message"]["metadata"] = json!({ EXTENSION: wishes });
    params
}

async fn begin(broker: &Broker, key: &str, agent: &str, script: &Value) {
    let mut params = message("begin", script, &json!({ "budget": budget(400) }));
    params["message"]["messageId"] = json!(format!("begin-{agent}"));
    params["configuration"] = json!({ "returnImmediately": true });
    let answer = broker.rpc_as(Some(key), &format!("/agents/{agent}"), "SendMessage", params).await;
    assert!(answer["result"]["task"].is_object(), "{answer}");
}

fn received(agent: &Agent, which: impl Fn(&Value) -> bool) -> Option<Held> {
    let line = agent.logged("received").into_iter().find(|line| which(&line["told"]))?;
    let told = &line["told"];
    let text = |name: &str| told[name].as_str().expect("told").to_owned();
    Some(Held {
        agent: line["agent"].as_str().expect("a name").to_owned(),
        task: text("task"),
        root: text("root"),
        depth: number(&told["depth"]),
        grant: text("grant"),
    })
}

/// Numbers an agent logs went through a protobuf struct and came out as decimals.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small whole numbers")]
pub(super) fn number(value: &Value) -> u64 {
    value.as_f64().expect("a number") as u64
}

async fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = found() {
                return found;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the agents get what was sent to them")
}
