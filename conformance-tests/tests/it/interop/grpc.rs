//! gRPC with the official Python SDK, unmodified, on both sides of the broker.

use std::collections::BTreeMap;
use std::time::Duration;

use conformance_tests::tls::Authority;
use conformance_tests::{Agent, Broker, grpc, wire};
use serde_json::{Value, json};

const EXTENSION: &str = "urn:bailiwick:ext:delegation:v1";
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks at what is awaited, for two minutes.
fn wait() -> std::ops::Range<u32> {
    0..2_400
}

fn message(id: &str, script: &Value) -> Value {
    wire::message(id, &script.to_string())
}

/// The same to be sent by the generated stub, which names the agent itself.
fn to(agent: &str, mut request: Value) -> Value {
    request["tenant"] = agent.into();
    request
}

fn state(event: &Value) -> &str {
    let found = ["/task/status/state", "/statusUpdate/status/state", "/status/state"];
    found.iter().find_map(|path| event.pointer(path)).and_then(Value::as_str).unwrap_or_default()
}

fn events(result: &Value) -> &Vec<Value> {
    assert!(result.get("error").is_none(), "{result}");
    result["events"].as_array().expect("events")
}

fn last_state(result: &Value) -> &str {
    events(result).iter().rev().map(state).find(|state| !state.is_empty()).unwrap_or_default()
}

async fn one(agent: &Agent) -> Broker {
    let broker = Broker::start("");
    broker.add_agent("worker", agent.url(), &[]).await;
    broker
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_works_from_an_sdk_client_to_an_sdk_agent() {
    let agent = Agent::grpc("worker");
    let broker = one(&agent).await;
    let ask = json!({ "ask": "colour?" });
    let mut long = to("worker", message("d", &json!({ "delay_ms": 60_000 })));
    long["configuration"] = json!({ "returnImmediately": true });
    let steps = json!([
        { "sdk": "send_message", "request": message("a", &json!({ "chunks": ["x", "y"] })) },
        { "sdk": "get_task", "request": { "id": "$task", "historyLength": 0 } },
        { "sdk": "list_tasks", "request": { "includeArtifacts": true } },
        { "sdk": "send_message", "request": message("b", &ask) },
        { "sdk": "send_message", "request": { "message": { "messageId": "c", "taskId": "$task", "role": "ROLE_USER",
            "parts": [{ "text": "blue" }] } } },
        { "sdk": "send_message", "request": message("e", &json!({ "message": "hi" })) },
        { "stub": "SendMessage", "request": long },
        { "sdk": "subscribe", "request": { "id": "$task" }, "begin": "listening" },
        { "sdk": "cancel_task", "request": { "id": "$task" } },
        { "end": "listening" },
        { "sdk": "cancel_task", "request": { "id": "$task" } },
        { "sdk": "subscribe", "request": { "id": "$task" } },
        { "sdk": "get_task", "request": { "id": "nothing" } },
    ]);
    let results = grpc::probe(&broker.agent_url("worker"), &steps, None).await;
    let [sent, got, listed, asked, answered, direct, begun, _, canceled, heard, again, late, none] =
        &results[..]
    else {
        panic!("{results:#?}")
    };
    assert_eq!(last_state(sent), "TASK_STATE_COMPLETED");
    let pieces: Vec<_> = events(sent).iter().filter_map(|event| event.get("artifactUpdate")).collect();
    assert_eq!(
        (pieces.len(), &pieces[1]["append"], &pieces[1]["lastChunk"]),
        (2, &json!(true), &json!(true))
    );
    let task = &events(got)[0];
    assert_eq!(task["artifacts"][0]["parts"], json!([{ "text": "x" }, { "text": "y" }]));
    assert!(task.get("history").is_none(), "{task}");
    assert_eq!(events(listed)[0]["tasks"][0]["artifacts"][0]["parts"][0]["text"], "x");
    assert_eq!(last_state(asked), "TASK_STATE_INPUT_REQUIRED");
    assert_eq!(last_state(answered), "TASK_STATE_COMPLETED");
    assert!(answered.to_string().contains("answer: blue"), "{answered}");
    assert_eq!(events(direct)[0]["message"]["parts"][0]["text"], "hi", "a direct message passes as that");
    assert_eq!(state(&events(begun)[0]), "TASK_STATE_SUBMITTED");
    assert_eq!(state(&events(canceled)[0]), "TASK_STATE_CANCELED");
    assert_eq!(last_state(heard), "TASK_STATE_CANCELED", "the listener heard it end: {heard}");
    assert_eq!(again["error"]["class"], "TaskNotCancelableError");
    assert_eq!(late["error"]["class"], "UnsupportedOperationError");
    assert_eq!(none["error"]["class"], "TaskNotFoundError");
    assert_eq!(agent.logged("cancel").len(), 1, "the agent was told");
    let calls = agent.logged("call");
    assert!(calls.iter().all(|call| call["headers"]["a2a-version"] == "1.0"), "{calls:?}");
    assert!(
        calls.iter().any(|call| call["path"] == "/lf.a2a.v1.A2AService/SendStreamingMessage"),
        "{calls:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_task_is_the_same_over_every_binding() {
    let agent = Agent::grpc("worker");
    let broker = one(&agent).await;
    let mut params = message("a", &json!({ "chunks": ["x"] }));
    params["message"]["metadata"] =
        json!({ "https://example.com/ext": { "calls": 3, "share": 0.5, "none": null } });
    let sent = broker.rpc("/agents/worker", "SendMessage", params).await["result"]["task"].clone();
    let id = sent["id"].as_str().expect("a task");
    let by_path = wire::get(&format!("{}/tasks/{id}", broker.agent_url("worker"))).await.json();
    let steps = json!([{ "stub": "GetTask", "request": { "tenant": "worker", "id": id } }]);
    let by_grpc = grpc::probe(&broker.agent_url("worker"), &steps, None).await[0]["events"][0].clone();
    assert_eq!(sent, by_path);
    // Python shows every number as a fraction.
    assert_eq!(fractions(&sent), fractions(&by_grpc));
}

fn fractions(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(fractions).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.clone(), fractions(value))).collect())
        }
        other => other.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_is_missing_in_the_trailers() {
    let broker = Broker::start("");
    let (agent, other) = (Agent::grpc("worker"), Agent::grpc("other"));
    broker.add_agent("worker", agent.url(), &[]).await;
    broker.add_agent("other", other.url(), &[]).await;
    let url = broker.agent_url("worker");
    let script = json!({ "delay_ms": 60_000 }).to_string();
    let mut stream = wire::stream(&url, "SendStreamingMessage", wire::message("m", &script), None).await;
    while agent.logged("received").is_empty() {
        stream.next().await.expect("the task begins");
    }
    let grant = agent.logged("received")[0]["told"]["grant"].as_str().expect("a grant").to_owned();
    let mut request = to("other", wire::message("x", "{}"));
    request["message"]["metadata"] = json!({ EXTENSION: { "skill": "work" } });
    let bearer = json!({ "authorization": format!("Bearer {grant}") });
    let forged = json!({ "authorization": format!("Bearer {grant}x") });
    let nobody = to("nobody", wire::message("y", "{}"));
    let steps = json!([
        { "stub": "SendMessage", "request": request, "metadata": bearer },
        { "stub": "SendStreamingMessage", "request": request, "metadata": bearer },
        { "stub": "ListTasks", "metadata": forged },
        { "stub": "SendMessage", "request": { "message": { "role": "ROLE_USER" } } },
        { "stub": "SendMessage", "request": nobody },
        { "stub": "ListTasks", "metadata": { "a2a-version": "0.3" } },
        { "stub": "ListTasks", "request": { "pageSize": 1000 } },
    ]);
    let results = grpc::probe(&url, &steps, None).await;
    for refused in &results[..2] {
        let error = &refused["error"];
        assert_eq!(error["code"], "PERMISSION_DENIED", "{refused}");
        assert_eq!(error["details"][0]["type"], "ErrorInfo");
        assert_eq!(error["details"][0]["reason"], "CAPABILITY_EXCEEDED");
        assert_eq!(error["details"][0]["domain"], "bailiwick");
        assert_eq!(error["details"][0]["metadata"]["missing"], "a2a:skill/other/work");
    }
    assert_eq!(results[2]["error"]["code"], "UNAUTHENTICATED", "{}", results[2]);
    assert_eq!(results[3]["error"]["code"], "INVALID_ARGUMENT");
    assert_eq!(results[3]["error"]["details"][0]["fieldViolations"][0]["field"], "message.messageId");
    assert_eq!(results[4]["error"]["code"], "NOT_FOUND", "{}", results[4]);
    assert_eq!(results[5]["error"]["details"][0]["reason"], "VERSION_NOT_SUPPORTED");
    assert_eq!(results[6]["error"]["details"][0]["fieldViolations"][0]["field"], "pageSize");
    assert!(other.log().is_empty(), "the other agent heard nothing");
}

/// `root` speaks JSON-RPC; what is below it gRPC, to the broker and from it.
async fn mixed(config: &str) -> (Broker, BTreeMap<&'static str, Agent>) {
    let broker = Broker::start(config);
    let mut agents = BTreeMap::new();
    for (name, agent, caps) in [
        ("root", Agent::scripted("root"), &["a2a:skill/left/*", "a2a:skill/deep/*", "a2a:skill/slow/*"][..]),
        ("left", Agent::grpc("left"), &["a2a:skill/deep/*"]),
        ("deep", Agent::grpc("deep"), &[]),
        ("slow", Agent::grpc_polled("slow"), &[]),
    ] {
        broker.add_agent(name, agent.url(), caps).await;
        agents.insert(name, agent);
    }
    (broker, agents)
}

/// root → left (→ deep, by gRPC; and once more where it may not) and slow.
fn tree(delay_ms: u64) -> Value {
    let deep = json!({ "to": "deep", "grpc": true, "script": { "delay_ms": delay_ms, "chunks": ["d"] } });
    let barred = json!({ "to": "slow", "grpc": true, "skill": "work", "script": {} });
    json!({ "delegate": [
        { "to": "left", "script": { "delay_ms": delay_ms, "chunks": ["l"], "delegate": [deep, barred] } },
        { "to": "slow", "grpc": true, "script": { "delay_ms": delay_ms, "chunks": ["s"] } },
    ]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mixed_tree_completes_and_a_refusal_reaches_the_delegator() {
    let (broker, agents) = mixed("").await;
    let answer = broker.rpc("/agents/root", "SendMessage", message("m", &tree(50))).await;
    let task = &answer["result"]["task"];
    assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED", "{answer}");
    for piece in ["\"l", "d", "s"] {
        assert!(task["artifacts"].to_string().contains(piece), "{piece}: {task}");
    }
    let nodes = broker.tree(task["id"].as_str().unwrap()).await;
    assert_eq!(nodes.len(), 4, "{nodes:#?}");
    let refused = agents["left"].logged("refused");
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0]["error"].as_str().unwrap().contains("a2a:skill/slow/work"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_in_the_middle_asks_its_grpc_agents_and_sends_nothing_twice() {
    let (mut broker, agents) = mixed("[southbound]\nask_every = \"100ms\"\nabsent_after = \"5s\"\n").await;
    let mut params = message("m", &tree(1500));
    params["configuration"] = json!({ "returnImmediately": true });
    let begun = broker.rpc("/agents/root", "SendMessage", params).await;
    let id = begun["result"]["task"]["id"].as_str().expect("a task").to_owned();
    let heard = |name: &str| !agents[name].logged("received").is_empty();
    for _ in wait() {
        if heard("left") && heard("slow") {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    broker.crash();
    let mut end = Value::Null;
    for _ in wait() {
        end = broker.rpc("", "GetTask", json!({ "id": id })).await["result"].clone();
        if ["COMPLETED", "FAILED", "CANCELED"].iter().any(|end_state| state(&end).ends_with(end_state)) {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    assert_eq!(state(&end), "TASK_STATE_COMPLETED", "{end:#}");
    for (name, agent) in &agents {
        let received = agent.logged("received");
        assert_eq!(received.len(), 1, "{name} heard once: {received:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_cannot_be_reached_by_grpc_fails_the_task() {
    let mut agent = Agent::grpc("worker");
    let broker = Broker::start("[southbound]\nask_every = \"50ms\"\nabsent_after = \"500ms\"\n");
    broker.add_agent("worker", agent.url(), &[]).await;
    agent.kill();
    let steps = json!([{ "sdk": "send_message", "request": message("a", &json!({})) }]);
    let results = grpc::probe(&broker.agent_url("worker"), &steps, None).await;
    assert_eq!(last_state(&results[0]), "TASK_STATE_FAILED", "{results:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_on_both_sides_and_the_agents_own_credential_work_over_grpc_too() {
    let authority = Authority::new();
    let agent = Agent::grpc_tls("worker", &authority.sign("agent", &["127.0.0.1"]));
    let own = authority.sign("server", &["127.0.0.1"]);
    let config = format!(
        "[server.tls]\ncert = \"{}\"\nkey = \"{}\"\n[southbound]\nca_file = \"{}\"\n[[agents]]\nname = \"worker\"\nurl = \
         \"{}\"\nauth = {{ bearer = {{ env = \"WORKER_TOKEN\" }} }}\n",
        own.cert_file.display(),
        own.key_file.display(),
        authority.file().display(),
        agent.url()
    );
    let broker = Broker::start_with(&config, &[("WORKER_TOKEN", "workers-own")]);
    let url = format!("https://{}/agents/worker", broker.address());
    let steps = json!([{ "sdk": "send_message", "request": message("a", &json!({ "chunks": ["x"] })) }]);
    let results = grpc::probe(&url, &steps, Some(&authority.file())).await;
    assert_eq!(last_state(&results[0]), "TASK_STATE_COMPLETED", "{results:?}");
    let calls = agent.logged("call");
    assert!(!calls.is_empty());
    assert!(calls.iter().all(|call| call["headers"]["authorization"] == "Bearer workers-own"), "{calls:?}");
}
