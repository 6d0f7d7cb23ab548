//! Push notifications with the official SDK on either side: its client registers them at the broker, and its agent
//! pushes to the broker, which then polls only as a back-stop.

use std::process::Command;

use conformance_tests::{Agent, Broker, Gates, Receiver, agents_folder, interpreter, until, wire};
use serde_json::{Value, json};

use super::push::VERSION;

#[tokio::test(flavor = "multi_thread")]
async fn an_unmodified_client_registers_push_notifications_on_either_binding() {
    let broker = Broker::start("");
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    for binding in ["JSONRPC", "HTTP+JSON"] {
        let (receiver, gates) = (Receiver::start().await, Gates::start().await);
        let script = json!({ "gate": gates.wait("client"), "chunks": ["a", "b"] }).to_string();
        let mut client = Command::new(interpreter());
        client.arg(agents_folder().join("push_client.py"));
        client.args([&broker.agent_url("worker"), &script, &receiver.url(""), "--binding", binding]);
        let output =
            tokio::task::spawn_blocking(move || client.output()).await.expect("it runs").expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let seen: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(seen["made"]["id"], "second", "{seen:#}");
        assert_eq!(seen["made"], seen["got"]);
        assert_eq!(seen["listed"]["configs"].as_array().map(Vec::len), Some(2), "{seen:#}");
        assert_eq!(seen["left"]["configs"].as_array().map(Vec::len), Some(1), "{seen:#}");

        gates.open("client").await;
        receiver.until_end().await;
        let id = &seen["task"]["id"];
        let all =
            wire::stream(&broker.url(), "SubscribeToTask", json!({ "id": id }), Some(0)).await.rest().await;
        let mut posted = receiver.posted();
        posted.retain(|posted| posted.head.starts_with("POST /first "));
        let posted_events: Vec<&Value> = posted.iter().map(|posted| &posted.json).collect();
        assert_eq!(posted_events, all.iter().map(|event| &event.json).collect::<Vec<_>>());
        assert!(posted.iter().all(|posted| posted.header("authorization") == Some("Bearer cred")));
        assert!(posted.iter().all(|posted| posted.header("x-a2a-notification-token") == Some("tok")));
    }
}

/// Calls of GetTask an agent has seen are not told apart from others on its one endpoint, so all calls are counted.
fn calls(agent: &Agent) -> usize {
    agent.logged("call").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_pushes_is_heard_at_once_and_polled_only_as_a_back_stop() {
    // A poll would come too late for this test: what is heard is heard by push.
    let broker = Broker::start("[southbound]\npush_backstop = \"1h\"\n");
    let agent = Agent::pushing("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    let script = json!({ "delay_ms": 2_000, "chunks": ["a", "b"] }).to_string();
    let sent = broker.rpc("/agents/worker", "SendMessage", wire::message("m", &script)).await;
    let task = &sent["result"]["task"];
    assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED", "{sent:#}");
    let text: Vec<&Value> =
        task["artifacts"][0]["parts"].as_array().expect("parts").iter().map(|p| &p["text"]).collect();
    assert_eq!(text, ["a", "b"], "no piece twice");
    // One message, one look at once, and at most one look per push: task, WORKING, two pieces, COMPLETED.
    assert!(calls(&agent) <= 7, "{} calls", calls(&agent));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_pushes_is_still_heard_after_a_crash_and_through_questions() {
    let mut broker = Broker::start("[southbound]\npush_backstop = \"1h\"\nask_every = \"100ms\"\n");
    let (agent, gates) = (Agent::pushing("worker"), Gates::start().await);
    broker.add_agent("worker", agent.url(), &[]).await;
    // It ends a moment after the gate is open: not while the broker looks at it anyway.
    let script = json!({ "gate": gates.wait("crash"), "chunks": ["a"], "pace_ms": 500 }).to_string();
    let mut params = wire::message("m", &script);
    params["configuration"] = json!({ "returnImmediately": true });
    let sent = broker.rpc("/agents/worker", "SendMessage", params).await;
    let task = sent["result"]["task"]["id"].clone();
    while agent.logged("received").is_empty() {
        tokio::task::yield_now().await;
    }
    broker.end();
    let before = calls(&agent);
    broker.restart();
    let stream = wire::stream(&broker.url(), "SubscribeToTask", json!({ "id": task }), None).await;
    until("the broker finds it again", async || calls(&agent) > before).await;
    gates.open("crash").await;
    let end = stream.rest().await;
    assert_eq!(
        end.last().and_then(|event| event.state().map(ToOwned::to_owned)).as_deref(),
        Some("TASK_STATE_COMPLETED")
    );

    let asked = broker
        .rpc("/agents/worker", "SendMessage", wire::message("q", &json!({ "ask": "colour?" }).to_string()))
        .await;
    assert_eq!(asked["result"]["task"]["status"]["state"], "TASK_STATE_INPUT_REQUIRED", "{asked:#}");
    let mut answer = wire::message("a", "blue");
    answer["message"]["taskId"] = asked["result"]["task"]["id"].clone();
    let done = broker.rpc("/agents/worker", "SendMessage", answer).await;
    assert_eq!(done["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{done:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_pushes_the_back_stop_finds_what_became_of_a_task() {
    let broker = Broker::start("[southbound]\npush_backstop = \"300ms\"\n");
    let agent = Agent::pushing_nowhere("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    let script = json!({ "delay_ms": 600, "chunks": ["a"] }).to_string();
    let sent = broker.rpc("/agents/worker", "SendMessage", wire::message("m", &script)).await;
    assert_eq!(sent["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{sent:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_nobody_was_given_are_nothing_in_the_same_bytes() {
    let broker = Broker::start("");
    let agent = Agent::pushing("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    let body = json!({ "statusUpdate": { "taskId": "x", "status": { "state": "TASK_STATE_COMPLETED" } } })
        .to_string();
    let post = |path: String| {
        let (url, body) = (format!("{}{path}", broker.url()), body.clone().into_bytes());
        async move { wire::request("POST", &url, &[VERSION, ("Content-Type", "application/json")], body).await }
    };
    let nothing = post("/nothing/here".to_owned()).await;
    let old = {
        let sent = broker.rpc("/agents/worker", "SendMessage", wire::message("m", "x")).await;
        assert_eq!(sent["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{sent:#}");
        // The address the agent was given, from what it was told; its attempt is over.
        let given = agent.logged("hook");
        given[0]["path"].as_str().expect("a path").to_owned()
    };
    for path in ["/push/x", "/push/", "/push/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &old] {
        let refused = post(path.to_owned()).await;
        assert_eq!((refused.status, &refused.text), (404, &nothing.text), "{path}");
        assert_eq!(wire::get(&format!("{}{path}", broker.url())).await.status, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_repeated_pushes_change_nothing() {
    let broker = Broker::start("[southbound]\npush_backstop = \"1h\"\n");
    let (agent, gates) = (Agent::pushing("worker"), Gates::start().await);
    broker.add_agent("worker", agent.url(), &[]).await;
    let script = json!({ "gate": gates.wait("lies"), "chunks": ["a", "b"] }).to_string();
    let mut params = wire::message("m", &script);
    params["configuration"] = json!({ "returnImmediately": true });
    let sent = broker.rpc("/agents/worker", "SendMessage", params).await;
    let task = sent["result"]["task"]["id"].clone();
    let path = loop {
        match agent.logged("hook").first() {
            Some(given) => break given["path"].as_str().expect("a path").to_owned(),
            None => tokio::task::yield_now().await,
        }
    };
    let url = format!("{}{path}", broker.url());
    let post = |body: String| {
        wire::request("POST", &url, &[("Content-Type", "application/a2a+json")], body.into_bytes())
    };
    let garbage = post("{".to_owned()).await;
    assert_eq!(garbage.status, 400, "{}", garbage.text);
    // Somebody who saw the address says that the task is over, and makes a result up.
    let agents_task = agent.logged("hook")[0]["task"].clone();
    let forged = |update: Value| json!({ "statusUpdate": update }).to_string();
    let end =
        json!({ "taskId": agents_task, "contextId": "c", "status": { "state": "TASK_STATE_COMPLETED" } });
    for _ in 0..3 {
        let taken = post(forged(end.clone())).await;
        assert_eq!(taken.status, 204, "{}", taken.text);
    }
    let made_up = json!({ "artifactUpdate": { "taskId": agents_task, "contextId": "c",
        "artifact": { "artifactId": "evil", "parts": [{ "text": "evil" }] } } });
    assert_eq!(post(made_up.to_string()).await.status, 204);
    let stream = wire::stream(&broker.url(), "SubscribeToTask", json!({ "id": task }), None).await;
    gates.open("lies").await;
    let events = stream.rest().await;
    assert_eq!(
        events.last().and_then(|event| event.state().map(ToOwned::to_owned)).as_deref(),
        Some("TASK_STATE_COMPLETED")
    );
    let end = broker.rpc("", "GetTask", json!({ "id": task })).await;
    let text = end["result"]["artifacts"].to_string();
    assert!(text.contains("\"a\"") && text.contains("\"b\"") && !text.contains("evil"), "{text}");
}
