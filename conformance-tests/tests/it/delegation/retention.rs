//! What is over for long is removed, and what a caller, a receiver and an operator see of that.

use std::time::{Duration, Instant};

use conformance_tests::wire::Trouble;
use conformance_tests::{Agent, Broker, Gates, Receiver, Reply, until, wire};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A task nobody ever made.
const NEVER_WAS: &str = "01890000-0000-7000-8000-000000000000";

fn keeping(rest: &str) -> String {
    format!("[store]\nkeep_finished = \"300ms\"\nsweep_every = \"20ms\"\n{rest}")
}

/// Begins a task and does not wait for it.
async fn begin(broker: &Broker, id: &str, script: Value, push: Option<String>) -> String {
    let mut params = wire::message(id, &script.to_string());
    params["configuration"] = json!({ "returnImmediately": true });
    if let Some(url) = push {
        params["configuration"]["taskPushNotificationConfig"] = json!({ "id": "hook", "url": url });
    }
    let sent = broker.rpc("/agents/worker", "SendMessage", params).await;
    sent["result"]["task"]["id"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned()
}

async fn is_there(broker: &Broker, task: &str) -> bool {
    broker.rpc("", "GetTask", json!({ "id": task })).await.get("result").is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_tree_is_gone_for_everybody_and_its_message_is_not_done_again() {
    let (agent, gates) = (Agent::scripted("worker"), Gates::start().await);
    let mut broker = Broker::start(&keeping("keep_message_ids = \"1h\"\n"));
    broker.add_agent("worker", agent.url(), &[]).await;
    let open = begin(&broker, "open", json!({ "gate": gates.wait("x") }), None).await;
    let message = wire::message("m", &json!({ "chunks": ["done"] }).to_string());
    let sent = broker.rpc("/agents/worker", "SendMessage", message.clone()).await;
    let task = sent["result"]["task"]["id"].as_str().unwrap().to_owned();
    until("its removal", async || !is_there(&broker, &task).await).await;

    for restarted in [false, true] {
        if restarted {
            broker.crash();
        }
        for method in ["GetTask", "CancelTask", "SubscribeToTask", "ListTaskPushNotificationConfigs"] {
            let about = |id: &str| json!({ "id": id, "taskId": id });
            let removed = broker.rpc("", method, about(&task)).await;
            assert_eq!(removed["error"]["code"], -32001, "{method}: {removed}");
            assert_eq!(removed["error"], broker.rpc("", method, about(NEVER_WAS)).await["error"], "{method}");
        }
        let resumed =
            wire::try_stream(&broker.url(), "SubscribeToTask", &json!({ "id": task }), Some(1)).await;
        assert!(
            matches!(&resumed, Err(Trouble::Refused(answer)) if answer["error"]["code"] == -32001),
            "{:?}",
            resumed.err()
        );
        let listed = broker.rpc("", "ListTasks", json!({})).await;
        let ids: Vec<&Value> =
            listed["result"]["tasks"].as_array().unwrap().iter().map(|task| &task["id"]).collect();
        assert_eq!((ids.as_slice(), &listed["result"]["totalSize"]), ([&json!(open)].as_slice(), &json!(1)));
        let again = broker.rpc("/agents/worker", "SendMessage", message.clone()).await;
        assert_eq!(again["error"]["code"], -32001, "{again}");
        let told = again.to_string();
        assert!(told.contains("TASK_REMOVED") && told.contains(&task), "{again}");
    }
    assert_eq!(agent.logged("received").len(), 2, "each message was done once");

    let file = TempDir::new().unwrap();
    let log = file.path().join("audit.jsonl");
    let log = log.to_str().unwrap();
    assert!(broker.command(&["audit", "export", "--out", log]).status.success());
    assert!(std::fs::read_to_string(log).unwrap().contains(&task), "the audit log is not cut");
    assert!(broker.command(&["audit", "verify", log]).status.success());

    gates.open("x").await;
    until("the end of what was open", async || !is_there(&broker, &open).await).await;
    let listed = broker.rpc("", "ListTasks", json!({})).await;
    assert_eq!((&listed["result"]["tasks"], &listed["result"]["totalSize"]), (&json!([]), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_forgotten_makes_a_new_task() {
    let (agent, broker) = (Agent::scripted("worker"), Broker::start(&keeping("keep_message_ids = \"0s\"\n")));
    broker.add_agent("worker", agent.url(), &[]).await;
    let message = wire::message("m", &json!({ "chunks": ["done"] }).to_string());
    let send = async || broker.rpc("/agents/worker", "SendMessage", message.clone()).await;
    let first = send().await["result"]["task"]["id"].clone();
    assert!(first.is_string());
    let mut last = Value::Null;
    until("another task", async || {
        last = send().await;
        last["result"]["task"]["id"] != first && last.get("error").is_none()
    })
    .await;
    assert_eq!(last["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_waits_for_its_receivers_and_goes_with_those_that_were_given_up() {
    let receiver = Receiver::answering(|_| Reply::of(500)).await;
    let agent = Agent::scripted("worker");
    let log = [("BAILIWICK_LOG_LEVEL", "info")];
    let quick = "[push]\nbackoff = \"20ms\"\nmax_backoff = \"50ms\"\ngive_up = \"3s\"\n";
    let broker = Broker::start_with(&keeping(quick), &log);
    broker.add_agent("worker", agent.url(), &[]).await;
    let began = Instant::now();
    let pushed = begin(&broker, "pushed", json!({ "chunks": ["x"] }), Some(receiver.url("/hook"))).await;
    let other = begin(&broker, "other", json!({ "chunks": ["x"] }), None).await;
    until("the removal of the other one", async || !is_there(&broker, &other).await).await;
    let letters = async || {
        let url = format!("{}/api/v1/push/dead-letters", broker.url());
        wire::get(&url).await.json()["deadLetters"].as_array().unwrap().len()
    };
    // Where that took long it may have been given up, and be gone, by now.
    let is_tried = is_there(&broker, &pushed).await;
    assert!(is_tried || began.elapsed() >= Duration::from_secs(3), "its receiver is still tried");
    until("its removal", async || !is_there(&broker, &pushed).await).await;
    assert_eq!(letters().await, 0, "there is nothing left to be sent");
    let said = broker.log();
    assert!(said.contains("a dead letter was removed with its tree") && said.contains(&pushed), "{said}");
    assert!(said.contains("what was over for long was removed"), "{said}");
}
