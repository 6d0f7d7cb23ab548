//! A delegation tree end to end: an SDK client, a coordinator, specialists, one of which delegates once more.

use std::collections::BTreeMap;

use conformance_tests::{Agent, Broker, Gates, Probe, until, wire};
use serde_json::{Value, json};

const COORDINATOR_CAPS: [&str; 4] =
    ["a2a:skill/left/*", "a2a:skill/right/*", "a2a:skill/deep/*", "mcp:tool/search{calls<=20}"];
const LEFT_CAPS: [&str; 2] = ["a2a:skill/deep/*", "mcp:tool/search{calls<=5}"];

pub(crate) struct Fleet {
    pub(crate) broker: Broker,
    pub(crate) agents: BTreeMap<&'static str, Agent>,
}

impl Fleet {
    pub(crate) async fn start(config: &str) -> Self {
        let broker = Broker::start(config);
        let caps: [(&str, &[&str]); 4] = [
            ("coordinator", &COORDINATOR_CAPS),
            ("left", &LEFT_CAPS),
            ("right", &[]),
            ("deep", &["fs:path/**"]),
        ];
        let mut agents = BTreeMap::new();
        for (name, caps) in caps {
            let agent = Agent::scripted(name);
            broker.add_agent(name, agent.url(), caps).await;
            agents.insert(name, agent);
        }
        Self { broker, agents }
    }
}

/// Coordinator → left (→ deep) and right, in parallel.
pub(crate) fn script(delay_ms: u64) -> Value {
    let deep = json!({ "to": "deep", "script": { "delay_ms": delay_ms, "chunks": ["d"] } });
    json!({ "delay_ms": delay_ms, "delegate": [
        { "to": "left", "script": { "delay_ms": delay_ms, "chunks": ["l1", "l2"], "delegate": [deep] } },
        { "to": "right", "script": { "delay_ms": delay_ms, "chunks": ["r"] } },
    ]})
}

fn state(event: &Value) -> Option<&str> {
    let event = event.get("event").unwrap_or(event);
    event
        .pointer("/task/status/state")
        .or(event.pointer("/statusUpdate/status/state"))
        .and_then(Value::as_str)
}

/// The child's state in a progress event of its parent.
fn child(event: &Value) -> Option<&Value> {
    event.pointer("/statusUpdate/metadata/urn:bailiwick:ext:delegation:v1/child")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_of_sdk_agents_completes_for_streaming_polling_and_waiting_clients() {
    let fleet = Fleet::start("").await;
    for mode in ["stream", "poll", "blocking"] {
        let probe = Probe::start(&fleet.broker.agent_url("coordinator"), &script(20).to_string(), mode);
        let events = tokio::task::spawn_blocking(|| probe.events()).await.unwrap();
        let last = events.last().expect("events");
        assert_eq!(state(last), Some("TASK_STATE_COMPLETED"), "{mode}: {events:#?}");
        let text = serde_json::to_string(&events).unwrap();
        for piece in ["l1", "l2", "d", "\"r\""] {
            assert!(text.contains(piece), "{mode}: the merged result holds {piece}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parent_is_working_while_a_child_is_open_and_all_subscribers_see_one_order() {
    let (fleet, gates) = (Fleet::start("").await, Gates::start().await);
    let url = fleet.broker.agent_url("coordinator");
    let mut script = script(100);
    // Nothing is over before all three listen.
    script["delegate"][1]["script"]["gate"] = json!(gates.wait("right"));
    let mut first =
        wire::stream(&url, "SendStreamingMessage", wire::message("m", &script.to_string()), None).await;
    let opening = first.next().await.expect("the stream begins");
    let task = opening.json.pointer("/task/id").and_then(Value::as_str).expect("with the task").to_owned();
    let second = wire::stream(&url, "SubscribeToTask", json!({ "id": task }), None).await;
    let third = wire::stream(&fleet.broker.url(), "SubscribeToTask", json!({ "id": task }), None).await;
    gates.open("right").await;
    let (first, second, third) = tokio::join!(first.rest(), second.rest(), third.rest());

    let tail = |events: &[wire::Event], from: u64| -> Vec<(Option<u64>, Value)> {
        events
            .iter()
            .filter(|event| event.id > Some(from))
            .map(|event| (event.id, event.json.clone()))
            .collect()
    };
    let from = second[0].id.max(third[0].id).expect("an id");
    assert_eq!(tail(&first, from), tail(&second, from), "two subscribers, one order");
    assert_eq!(tail(&first, from), tail(&third, from), "three subscribers, one order");

    let mut open = BTreeMap::new();
    for event in &first {
        if let Some(child) = child(&event.json) {
            let ended = ["COMPLETED", "FAILED", "CANCELED", "REJECTED"];
            let over = ended.iter().any(|state| child["state"].as_str().unwrap().ends_with(state));
            open.insert(child["task"].to_string(), !over);
        }
        if open.values().any(|open| *open) {
            assert!(matches!(event.state(), None | Some("TASK_STATE_WORKING")), "{event:?} while {open:?}");
        }
    }
    assert_eq!(open.len(), 2, "both children were seen");
    let terminal = first.iter().filter(|event| event.state() == Some("TASK_STATE_COMPLETED")).count();
    assert_eq!(terminal, 1, "one terminal event");
    assert_eq!(first.last().unwrap().state(), Some("TASK_STATE_COMPLETED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_grant_is_exactly_caps_of_the_agent_met_with_the_scope_of_its_delegator() {
    let fleet = Fleet::start("").await;
    let params = wire::message("m", &script(0).to_string());
    let answer = fleet.broker.rpc("/agents/coordinator", "SendMessage", params).await;
    assert_eq!(answer["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{answer}");

    let expected: [(&str, &[&str]); 4] = [
        (
            "coordinator",
            &["a2a:skill/deep/*", "a2a:skill/left/*", "a2a:skill/right/*", "mcp:tool/search{calls<=20}"],
        ),
        ("left", &["a2a:skill/deep/*", "mcp:tool/search{calls<=5}"]),
        ("right", &[]),
        ("deep", &[]),
    ];
    for (agent, scope) in expected {
        let received = fleet.agents[agent].logged("received");
        assert_eq!(received.len(), 1, "{agent} got one message");
        let told = &received[0]["told"];
        let claims = &received[0]["claims"];
        let mut granted: Vec<&str> = claims["authorization_details"][0]["capabilities"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        granted.sort_unstable();
        assert_eq!(granted, scope, "{agent}");
        assert_eq!(claims["task"], told["task"], "{agent}: the grant is bound to its task");
        assert_eq!(claims["client_id"], agent);
        assert!(claims["exp"].as_u64().unwrap() <= claims["iat"].as_u64().unwrap() + 900);
    }
    let tree = fleet.broker.tree(answer["result"]["task"]["id"].as_str().unwrap()).await;
    assert_eq!(tree.len(), 4);
    assert!(!answer.to_string().contains("eyJ"), "no grant is shown to callers");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_completes_before_its_child_is_held_working_until_the_child_is_done() {
    let (fleet, gates) = (Fleet::start("").await, Gates::start().await);
    let hold = gates.wait("left");
    let script = json!({ "chunks": ["early"], "delegate": [
        { "to": "left", "detach": true, "script": { "gate": hold, "chunks": ["late"] } } ] });
    let url = fleet.broker.agent_url("coordinator");
    let mut stream =
        wire::stream(&url, "SendStreamingMessage", wire::message("m", &script.to_string()), None).await;
    let opening = stream.next().await.expect("the stream begins");
    let task = opening.json["task"]["id"].as_str().expect("with the task").to_owned();
    until("the agent itself has ended", async || {
        let tree = fleet.broker.tree(&task).await;
        tree.first().is_some_and(|root| root["held"] == true && root["state"] == "TASK_STATE_WORKING")
    })
    .await;
    gates.open("left").await;
    let events = stream.rest().await;
    let done = |event: &wire::Event| {
        child(&event.json).is_some_and(|child| child["state"] == "TASK_STATE_COMPLETED")
    };
    let child_done = events.iter().position(done).expect("the child's end is shown");
    let parent_done = events.iter().position(|event| event.state() == Some("TASK_STATE_COMPLETED"));
    assert!(parent_done.is_some_and(|parent| parent > child_done), "{events:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_streams_is_polled_and_a_direct_message_passes_as_a_message() {
    let broker = Broker::start("");
    let polled = Agent::polled("polled");
    broker.add_agent("polled", polled.url(), &[]).await;
    let script = json!({ "delay_ms": 300, "chunks": ["x", "y"] }).to_string();
    let events =
        wire::stream(&broker.agent_url("polled"), "SendStreamingMessage", wire::message("a", &script), None)
            .await;
    let events = events.rest().await;
    assert_eq!(events.last().unwrap().state(), Some("TASK_STATE_COMPLETED"), "{events:#?}");

    let direct = json!({ "message": "hello" }).to_string();
    let answer = broker.rpc("/agents/polled", "SendMessage", wire::message("b", &direct)).await;
    assert_eq!(answer["result"]["message"]["parts"][0]["text"], "hello", "{answer}");
    let events =
        wire::stream(&broker.agent_url("polled"), "SendStreamingMessage", wire::message("c", &direct), None)
            .await;
    let events = events.rest().await;
    assert_eq!(events.len(), 1, "exactly one message: {events:#?}");
    assert_eq!(events[0].json["message"]["parts"][0]["text"], "hello");
    let list = broker.rpc("", "ListTasks", json!({ "status": "TASK_STATE_COMPLETED" })).await;
    assert_eq!(list["result"]["totalSize"], 3, "direct answers are tasks in the tree: {list}");
}
