//! Ways to delegate, and what becomes of work that its first delegate does not do: with real agents, over the wire.

use conformance_tests::{Agent, Broker, Gates, key_digest, until, wire};
use serde_json::{Value, json};

const EXTENSION: &str = "urn:bailiwick:ext:delegation:v1";

/// A message with wishes of the extension.
fn wishing(id: &str, script: &Value, wish: &Value) -> Value {
    let mut params = wire::message(id, &script.to_string());
    params["message"]["metadata"] = json!({ EXTENSION: wish });
    params
}

fn at_once(mut params: Value) -> Value {
    params["configuration"] = json!({ "returnImmediately": true });
    params
}

async fn register(broker: &Broker, body: &Value) {
    let answer = wire::post(&format!("{}/api/v1/agents", broker.url()), body, None).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

async fn state(broker: &Broker, task: &Value) -> String {
    let got = broker.rpc("", "GetTask", json!({ "id": task })).await;
    got["result"]["status"]["state"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gets_no_more_at_a_time_than_it_takes_and_the_rest_in_order_over_a_crash() {
    let (agent, gates) = (Agent::scripted("worker"), Gates::start().await);
    let mut broker = Broker::start("");
    register(&broker, &json!({ "name": "worker", "url": agent.url(), "max_concurrent": 1 })).await;
    let mut tasks = Vec::new();
    for number in 0..3 {
        let script = json!({ "gate": gates.wait(number), "chunks": ["done"] });
        let params = at_once(wire::message(&format!("m{number}"), &script.to_string()));
        let sent = broker.rpc("/agents/worker", "SendMessage", params).await;
        tasks.push(sent["result"]["task"]["id"].clone());
    }
    until("the first is at work", async || state(&broker, &tasks[0]).await == "TASK_STATE_WORKING").await;
    broker.crash();
    for number in 0..3 {
        for waiting in &tasks[number + 1..] {
            assert_eq!(state(&broker, waiting).await, "TASK_STATE_SUBMITTED");
        }
        gates.open(number).await;
        until("its end", async || state(&broker, &tasks[number]).await == "TASK_STATE_COMPLETED").await;
    }
    let order: Vec<Value> = agent.logged("received").into_iter().map(|line| line["task"].clone()).collect();
    assert_eq!(order, tasks, "each once, in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_agent_refuses_or_never_gets_another_does_with_a_scope_of_its_own() {
    let broker = Broker::start("[limits]\nbackoff = \"10ms\"\n");
    let (boss, helper) = (Agent::scripted("boss"), Agent::scripted("helper"));
    let mut gone = Agent::scripted("gone");
    broker.add_agent("boss", boss.url(), &["a2a:skill/**", "mcp:tool/**"]).await;
    broker.add_agent("helper", helper.url(), &["mcp:tool/search"]).await;
    broker.add_agent("gone", gone.url(), &["mcp:tool/other"]).await;
    gone.kill();
    let order = json!({ "to": "gone", "script": { "chunks": ["found"] }, "skill": "work",
        "retry": { "max_attempts": 1, "fallback": true } });
    let script = json!({ "delegate": [order] });
    let sent = broker.rpc("/agents/boss", "SendMessage", wire::message("m", &script.to_string())).await;
    let task = &sent["result"]["task"];
    assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED", "{sent}");
    assert!(task.to_string().contains("found"), "{task}");
    let tree = broker.tree(task["id"].as_str().unwrap()).await;
    assert_eq!(tree.len(), 2, "the same task, another delegate: {tree:?}");
    assert_eq!((&tree[1]["agent"], &tree[1]["scope"]), (&json!("helper"), &json!(["mcp:tool/search"])));
    assert_eq!(tree[1]["attempts"][0]["agent"], "gone", "{}", tree[1]);
    let claims = &helper.logged("received")[0]["claims"];
    assert_eq!(claims["client_id"], "helper", "its grant is its own: {claims}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_handed_over_and_the_first_agents_grant_is_dead() {
    let broker = Broker::start("");
    let (first, second) = (Agent::scripted("first"), Agent::scripted("second"));
    let gates = Gates::start().await;
    broker.add_agent("first", first.url(), &["a2a:skill/second/*"]).await;
    broker.add_agent("second", second.url(), &[]).await;
    let hold = gates.wait("second");
    let order =
        json!({ "to": "second", "mode": "handoff", "script": { "gate": hold, "chunks": ["by the second"] } });
    let params =
        at_once(wire::message("m", &json!({ "delegate": [order], "chunks": ["by the first"] }).to_string()));
    let sent = broker.rpc("/agents/first", "SendMessage", params).await;
    let task = sent["result"]["task"]["id"].clone();
    until("the second has it", async || !second.logged("received").is_empty()).await;
    let grant = first.logged("received")[0]["told"]["grant"].as_str().unwrap().to_owned();
    let refused =
        broker.rpc_as(Some(&grant), "/agents/second", "SendMessage", wire::message("x", "{}")).await;
    assert_eq!(refused["error"]["code"], -31401, "{refused}");
    until("the first is done", async || !first.logged("ended").is_empty()).await;
    // Its word counts no longer.
    until("the second at work", async || state(&broker, &task).await == "TASK_STATE_WORKING").await;
    gates.open("second").await;
    until("the end", async || state(&broker, &task).await == "TASK_STATE_COMPLETED").await;
    for address in ["/agents/second", "/agents/first"] {
        let got = broker.rpc(address, "GetTask", json!({ "id": task, "historyLength": 0 })).await.to_string();
        assert!(got.contains("by the second") && !got.contains("by the first"), "{address}: {got}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sub_tasks_are_one_task_that_keeps_what_some_achieved() {
    let broker = Broker::start("");
    let (a, b) = (Agent::scripted("a"), Agent::scripted("b"));
    broker.add_agent("a", a.url(), &[]).await;
    broker.add_agent("b", b.url(), &[]).await;
    let part = |script: Value| json!([{ "text": script.to_string() }]);
    let good = json!({ "agent": "a", "parts": part(json!({ "chunks": ["good"] })) });
    let bad = json!({ "agent": "b", "parts": part(json!({ "end": "failed" })) });
    let parallel = json!({ "mode": "parallel", "subtasks": [good, bad] });
    let sent = broker.rpc("", "SendMessage", wishing("p", &json!({}), &parallel)).await;
    let task = &sent["result"]["task"];
    assert_eq!(task["status"]["state"], "TASK_STATE_FAILED", "{sent}");
    assert!(task["artifacts"].to_string().contains("good"), "{task}");
    let line = task["status"]["message"]["parts"][0]["text"].as_str().unwrap();
    assert!(
        line.contains("1. a: TASK_STATE_COMPLETED") && line.contains("2. b: TASK_STATE_FAILED"),
        "{line}"
    );

    let slow = json!({ "agent": "b", "parts": part(json!({ "delay_ms": 60_000 })) });
    let race = json!({ "mode": "race", "subtasks": [slow, good] });
    let sent = broker.rpc("", "SendMessage", wishing("r", &json!({}), &race)).await;
    let task = &sent["result"]["task"];
    assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED", "{sent}");
    assert_eq!(b.logged("cancel").len(), 1, "the loser is stopped");

    let asks = json!({ "agent": "a", "parts": part(json!({ "ask": "colour?" })) });
    let quorum = json!({ "mode": "quorum", "quorum": 1, "subtasks": [asks] });
    let sent = broker.rpc("", "SendMessage", wishing("q", &json!({}), &quorum)).await;
    let task = &sent["result"]["task"];
    assert_eq!(task["status"]["state"], "TASK_STATE_INPUT_REQUIRED", "{sent}");
    let mut answer = wire::message("answer", "blue");
    answer["message"]["taskId"] = task["id"].clone();
    let done = broker.rpc("", "SendMessage", answer).await;
    assert!(done["result"]["task"]["artifacts"].to_string().contains("answer: blue"), "{done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_granted_by_whoever_owns_the_tree_and_by_no_agent() {
    let principal = |name: &str, role: &str| {
        let key = key_digest(name);
        format!("[[principals]]\nname = \"{name}\"\nrole = \"{role}\"\nkey_sha256 = \"{key}\"\n")
    };
    let mut broker = Broker::start(
        &(principal("alice", "user") + &principal("bob", "user") + &principal("root", "operator")),
    );
    let agents = ["boss", "middle", "expert"].map(Agent::scripted);
    for (agent, (name, caps)) in agents.iter().zip([
        ("boss", json!(["a2a:skill/**"])),
        ("middle", json!(["a2a:skill/nobody/*"])),
        ("expert", json!([])),
    ]) {
        let body = json!({ "name": name, "url": agent.url(), "caps": caps });
        let added = wire::post(&format!("{}/api/v1/agents", broker.url()), &body, Some("root")).await;
        assert_eq!(added.status, 201, "{}", added.text);
    }
    let order = json!({ "to": "expert", "escalate": true, "script": { "chunks": ["expertise"] } });
    let script = json!({ "delegate": [{ "to": "middle", "script": { "delegate": [order] } }] });
    let params = at_once(wire::message("m", &script.to_string()));
    let sent = broker.rpc_as(Some("alice"), "/agents/boss", "SendMessage", params).await;
    let root = sent["result"]["task"]["id"].clone();
    let approvals = |key: &'static str, url: String| async move {
        let answer = wire::request(
            "GET",
            &format!("{url}/api/v1/approvals"),
            &[("authorization", &format!("Bearer {key}"))],
            Vec::new(),
        )
        .await;
        answer.json()["approvals"].as_array().cloned().unwrap_or_default()
    };
    until("it waits", async || !approvals("alice", broker.url()).await.is_empty()).await;
    broker.crash();
    let waiting = approvals("alice", broker.url()).await;
    assert_eq!((waiting.len(), &waiting[0]["missing"]), (1, &json!(["a2a:skill/expert/*"])), "{waiting:?}");
    assert!(approvals("bob", broker.url()).await.is_empty(), "it is not bob's");
    assert!(agents[2].log().is_empty(), "nothing was sent");
    let task = waiting[0]["task"].as_str().unwrap();
    let approve = format!("{}/api/v1/tasks/{task}/approve", broker.url());
    assert_eq!(wire::post(&approve, &json!({}), Some("bob")).await.status, 404);
    let grant = agents[1].logged("received")[0]["told"]["grant"].as_str().unwrap().to_owned();
    assert_eq!(wire::post(&approve, &json!({}), Some(&grant)).await.status, 403, "no agent approves itself");
    assert_eq!(wire::post(&approve, &json!({}), Some("alice")).await.status, 200);
    let end = async || {
        let got = broker.rpc_as(Some("alice"), "", "GetTask", json!({ "id": root })).await;
        got["result"]["status"]["state"] == "TASK_STATE_COMPLETED"
    };
    until("the end", end).await;
    let got = broker.rpc_as(Some("alice"), "", "GetTask", json!({ "id": task })).await;
    assert!(got["result"]["artifacts"].to_string().contains("expertise"), "{got}");
    approval_is_recorded(&broker, task).await;
}

/// Who granted it stands in the audit log, beside the delegation that followed.
async fn approval_is_recorded(broker: &Broker, task: &str) {
    let url = format!("{}/api/v1/audit", broker.url());
    let log = wire::request("GET", &url, &[("authorization", "Bearer root")], Vec::new()).await.text;
    let events = |kind: &str| -> Vec<Value> {
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| line["event"].get(kind).cloned()).collect()
    };
    let approvals = events("approval");
    let [approval] = approvals.as_slice() else { panic!("{approvals:?}") };
    assert_eq!((&approval["by"], &approval["task"]), (&json!("alice"), &json!(task)));
    assert_eq!(
        (&approval["missing"], &approval["agent"]),
        (&json!(["a2a:skill/expert/*"]), &json!("expert"))
    );
    let granted = &approval["granted"];
    let delegations = events("delegation");
    let followed = delegations.iter().find(|event| event["task"] == granted["task"]).expect("its delegation");
    assert_eq!(followed["parent"], granted["holder"]);
    assert_eq!(followed["judged"]["verdict"]["allowed"]["effective"], granted["scope"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &log).unwrap();
    let verified = broker.command(&["audit", "verify", file.path().to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}
