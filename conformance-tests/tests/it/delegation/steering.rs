//! Callers that cancel, answer, repeat themselves or hang up.

use conformance_tests::{Agent, Broker, until, wire};
use serde_json::{Value, json};

use super::tree::{Fleet, script};

#[tokio::test(flavor = "multi_thread")]
async fn cancel_takes_the_whole_tree_down() {
    let fleet = Fleet::start("").await;
    let slow = json!({ "delegate": [ { "to": "left", "script": { "delegate": [ { "to": "deep", "script": { "delay_ms": 20_000 } } ] } },
        { "to": "right", "script": { "delay_ms": 20_000 } } ] });
    let mut params = wire::message("m", &slow.to_string());
    params["configuration"] = json!({ "returnImmediately": true });
    let begun = fleet.broker.rpc("/agents/coordinator", "SendMessage", params).await;
    let task = begun["result"]["task"]["id"].as_str().expect("a task").to_owned();
    until("the tree", async || fleet.broker.tree(&task).await.len() == 4).await;
    until("work at the leaf", async || !fleet.agents["deep"].logged("received").is_empty()).await;

    let canceled = fleet.broker.rpc("", "CancelTask", json!({ "id": task })).await;
    assert_eq!(canceled["result"]["status"]["state"], "TASK_STATE_CANCELED", "{canceled}");
    for summary in fleet.broker.tree(&task).await {
        assert_eq!(summary["state"], "TASK_STATE_CANCELED", "{summary}");
        assert_eq!(summary["attempts"][0]["state"], "canceled", "the agent confirmed it: {summary}");
    }
    let again = fleet.broker.rpc("", "CancelTask", json!({ "id": task })).await;
    assert_eq!(again["error"]["code"], -32002, "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_on_the_same_task() {
    let broker = Broker::start("");
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    let asked = broker
        .rpc("/agents/worker", "SendMessage", wire::message("q", &json!({ "ask": "colour?" }).to_string()))
        .await;
    let task = &asked["result"]["task"];
    assert_eq!(task["status"]["state"], "TASK_STATE_INPUT_REQUIRED", "{asked}");
    assert_eq!(task["status"]["message"]["parts"][0]["text"], "colour?");

    let mut answer = wire::message("a", "blue");
    answer["message"]["taskId"] = task["id"].clone();
    let mut wrong = answer.clone();
    wrong["message"]["messageId"] = json!("w");
    wrong["message"]["contextId"] = json!("another");
    let wrong = broker.rpc("/agents/worker", "SendMessage", wrong).await;
    assert_eq!(wrong["error"]["code"], -32602, "a context that is not the task's: {wrong}");

    let done = broker.rpc("/agents/worker", "SendMessage", answer.clone()).await;
    assert_eq!(done["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{done}");
    assert_eq!(done["result"]["task"]["id"], task["id"]);
    assert_eq!(done["result"]["task"]["artifacts"][0]["parts"][0]["text"], "answer: blue");
    answer["message"]["messageId"] = json!("late");
    let late = broker.rpc("/agents/worker", "SendMessage", answer).await;
    assert_eq!(late["error"]["code"], -32004, "nothing follows the end: {late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_message_is_the_same_task_and_another_under_its_id_is_refused() {
    let broker = Broker::start("");
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    let params = wire::message("same", "hello");
    let calls = (0..8).map(|_| broker.rpc("/agents/worker", "SendMessage", params.clone()));
    let answers: Vec<Value> = futures(calls).await;
    for answer in &answers {
        assert_eq!(answer["result"]["task"]["id"], answers[0]["result"]["task"]["id"], "{answer}");
    }
    assert_eq!(agent.logged("received").len(), 1, "the agent heard it once");
    let other = broker.rpc("/agents/worker", "SendMessage", wire::message("same", "other")).await;
    assert_eq!(other["error"]["code"], -32602);
    assert_eq!(other["error"]["data"][0]["reason"], "MESSAGE_ID_REUSED");
}

/// Runs calls at the same time.
async fn futures(calls: impl Iterator<Item = impl Future<Output = Value>>) -> Vec<Value> {
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    let mut answers = vec![None; calls.len()];
    std::future::poll_fn(|context| {
        for (call, answer) in calls.iter_mut().zip(&mut answers).filter(|(_, answer)| answer.is_none()) {
            if let std::task::Poll::Ready(value) = call.as_mut().poll(context) {
                *answer = Some(value);
            }
        }
        if answers.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    answers.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hangs_up_loses_nothing() {
    let fleet = Fleet::start("").await;
    let url = fleet.broker.agent_url("coordinator");
    let mut stream =
        wire::stream(&url, "SendStreamingMessage", wire::message("m", &script(200).to_string()), None).await;
    let opening = stream.next().await.expect("the stream begins");
    let seen = stream.next().await.expect("and goes on").id.expect("with ids");
    let task = opening.json["task"]["id"].as_str().unwrap().to_owned();
    drop(stream);

    let resumed = wire::stream(&url, "SubscribeToTask", json!({ "id": task }), Some(seen)).await.rest().await;
    let ids: Vec<u64> = resumed.iter().filter_map(|event| event.id).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "in order, without repeat: {ids:?}");
    assert!(ids[0] > seen, "after what was seen");
    assert_eq!(resumed.last().unwrap().state(), Some("TASK_STATE_COMPLETED"));
    let task = fleet.broker.rpc("", "GetTask", json!({ "id": task })).await;
    assert_eq!(task["result"]["status"]["state"], "TASK_STATE_COMPLETED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_the_task_and_what_is_below_it() {
    // Else what is below it would end a little earlier, and the coordinator could still make something of that.
    let fleet = Fleet::start("[limits]\nhop_reserve = \"0s\"\n").await;
    let slow = json!({ "delegate": [ { "to": "right", "script": { "delay_ms": 60_000 } } ] });
    // On a slow machine it may be past before anything is below it: then it gets longer.
    for seconds in [2, 8, 32] {
        let mut params = wire::message(&format!("m{seconds}"), &slow.to_string());
        params["message"]["metadata"] =
            json!({ "urn:bailiwick:ext:delegation:v1": { "deadline": in_seconds(seconds) } });
        let answer = fleet.broker.rpc("/agents/coordinator", "SendMessage", params).await;
        let Some(task) = answer["result"].get("task") else {
            assert!(answer["error"].to_string().contains("has already passed"), "{answer}");
            continue;
        };
        assert_eq!(task["status"]["state"], "TASK_STATE_FAILED", "{answer}");
        assert!(task["status"]["message"].to_string().contains("deadline"), "{answer}");
        let tree = fleet.broker.tree(task["id"].as_str().unwrap()).await;
        if let Some(child) = tree.get(1) {
            assert_eq!(child["state"], "TASK_STATE_CANCELED", "{tree:#?}");
            return;
        }
    }
    panic!("nothing was delegated before the deadline");
}

/// A time in the future, as timestamps are written.
fn in_seconds(seconds: u32) -> String {
    let date = std::process::Command::new("date")
        .args(["-u", "-d", &format!("+{seconds} seconds"), "+%Y-%m-%dT%H:%M:%S.%3NZ"])
        .output()
        .unwrap();
    String::from_utf8(date.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_over_http_json_is_sent_to_asked_and_canceled_like_any_other() {
    let mut broker = Broker::start("");
    let agent = Agent::rest("rest");
    broker.add_agent("rest", agent.url(), &[]).await;
    let script = json!({ "delay_ms": 50, "chunks": ["x", "y"] }).to_string();
    let done = broker.rpc("/agents/rest", "SendMessage", wire::message("a", &script)).await;
    assert_eq!(done["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{done}");
    assert_eq!(done["result"]["task"]["artifacts"][0]["parts"].as_array().unwrap().len(), 2, "{done}");

    let long = json!({ "delay_ms": 20_000 }).to_string();
    let mut params = wire::message("b", &long);
    params["configuration"] = json!({ "returnImmediately": true });
    let begun = broker.rpc("/agents/rest", "SendMessage", params).await;
    let task = begun["result"]["task"]["id"].as_str().expect("a task").to_owned();
    until("work", async || agent.logged("received").len() == 2).await;
    // After a crash the broker finds the task again, by its list or by its id, and still can cancel it.
    broker.crash();
    let canceled = broker.rpc("", "CancelTask", json!({ "id": task })).await;
    assert_eq!(canceled["result"]["status"]["state"], "TASK_STATE_CANCELED", "{canceled}");
    assert_eq!(broker.tree(&task).await[0]["attempts"][0]["state"], "canceled");
    assert_eq!(agent.logged("received").len(), 2, "nothing was sent again");
}
