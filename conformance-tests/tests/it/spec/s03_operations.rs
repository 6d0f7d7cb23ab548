//! Operations on both bindings (spec §3.1, §3.2): they agree, and do what they are named for.

use conformance_tests::{Agent, Broker, wire};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn both_bindings_give_the_same_answers() {
    let broker = Broker::start("");
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    let base = broker.agent_url("worker");

    let sent = wire::post(&format!("{base}/message:send"), &wire::message("a", "one"), None).await;
    assert_eq!(sent.header("content-type"), Some("application/a2a+json"));
    let task = sent.json()["task"].clone();
    assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED");
    assert_eq!(task["artifacts"][0]["parts"][0]["text"], "one");
    assert_eq!(task["history"][0]["messageId"], "a", "the caller's own message id");
    let id = task["id"].as_str().unwrap();

    let by_rpc = broker.rpc("/agents/worker", "GetTask", json!({ "id": id })).await["result"].clone();
    let by_path = wire::get(&format!("{base}/tasks/{id}")).await.json();
    assert_eq!(by_rpc, by_path);
    let by_tenant = wire::get(&format!("{}/worker/tasks/{id}/", broker.url())).await.json();
    assert_eq!(by_rpc, by_tenant, "the tenant segment and a trailing slash change nothing");
    let shorter = wire::get(&format!("{base}/tasks/{id}?historyLength=0")).await.json();
    assert!(shorter.get("history").is_none());

    let stream = wire::request(
        "POST",
        &format!("{base}/message:stream"),
        &[("Content-Type", "application/a2a+json"), ("A2A-Version", "1.0")],
        wire::message("b", "two").to_string().into_bytes(),
    )
    .await;
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert!(stream.text.contains("data: {\"task\":"), "{}", stream.text);
    assert!(
        stream.text.trim_end().lines().last().unwrap().contains("TASK_STATE_COMPLETED"),
        "{}",
        stream.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn list_tasks_pages_through_everything_newest_first() {
    let broker = Broker::start("");
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    for number in 0..7 {
        let mut params = wire::message(&format!("m{number}"), "x");
        params["message"]["contextId"] = json!(format!("c{}", number % 2));
        let sent = broker.rpc("/agents/worker", "SendMessage", params).await;
        assert_eq!(
            sent["result"]["task"]["contextId"],
            format!("c{}", number % 2),
            "the caller's context: {sent}"
        );
    }
    let (mut token, mut seen, mut times) = (String::new(), Vec::new(), Vec::new());
    loop {
        let page =
            broker.rpc("", "ListTasks", json!({ "pageSize": 3, "pageToken": token })).await["result"].clone();
        assert_eq!((page["totalSize"].as_u64(), page["pageSize"].as_u64()), (Some(7), Some(3)));
        for task in page["tasks"].as_array().unwrap() {
            assert!(task.get("artifacts").is_none(), "artifacts are left out unless asked for");
            seen.push(task["id"].clone());
            times.push(task["status"]["timestamp"].as_str().unwrap().to_owned());
        }
        token = page["nextPageToken"].as_str().expect("always present").to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), 7);
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    let in_context = broker.rpc("/agents/worker", "ListTasks", json!({ "contextId": "c1" })).await;
    assert_eq!(in_context["result"]["totalSize"], 3, "{in_context}");
    let with = broker.rpc("", "ListTasks", json!({ "pageSize": 1, "includeArtifacts": true })).await;
    assert!(with["result"]["tasks"][0]["artifacts"].is_array());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_large_tasks_ends_early_and_what_follows_is_on_the_next_one() {
    let broker = Broker::start("");
    let agent = Agent::changing(&super::s08_card_life::card("quick", &[]), "max-age=3600");
    broker.add_agent("worker", agent.url(), &[]).await;
    let large = "x".repeat(3 << 20);
    for number in 0..8 {
        let sent =
            broker.rpc("/agents/worker", "SendMessage", wire::message(&format!("m{number}"), &large)).await;
        assert_eq!(sent["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED");
    }
    let (mut token, mut sizes, mut seen) = (String::new(), Vec::new(), std::collections::BTreeSet::new());
    while sizes.is_empty() || !token.is_empty() {
        let page =
            broker.rpc("", "ListTasks", json!({ "pageSize": 100, "pageToken": token })).await["result"]
                .clone();
        assert_eq!(page["totalSize"], 8);
        let tasks = page["tasks"].as_array().unwrap();
        sizes.push(tasks.len());
        seen.extend(tasks.iter().map(|task| task["id"].as_str().unwrap().to_owned()));
        page["nextPageToken"].as_str().expect("always present").clone_into(&mut token);
    }
    assert_eq!((seen.len(), sizes.iter().sum::<usize>()), (8, 8), "each is shown once: {sizes:?}");
    assert!(sizes.iter().all(|size| *size < 8), "no answer holds all of them: {sizes:?}");
    let light = broker.rpc("", "ListTasks", json!({ "pageSize": 100, "historyLength": 0 })).await;
    assert_eq!(light["result"]["tasks"].as_array().unwrap().len(), 8, "what is left out does not count");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_does_not_know_passes_through() {
    let broker = Broker::start("");
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    let mut params = wire::message("a", "one");
    params["message"]["futureField"] = json!({ "deep": [1, 2.50, "ü"] });
    params["message"]["parts"][0]["futurePart"] = json!(true);
    params["message"]["metadata"] = json!({ "https://example.com/ext": { "keep": 1 } });
    let sent = broker.rpc("/agents/worker", "SendMessage", params.clone()).await;
    let said = &sent["result"]["task"]["history"][0];
    for member in ["futureField", "parts", "metadata"] {
        assert_eq!(said[member], params["message"][member], "{member}");
    }
    let subscribed = broker.rpc("", "SubscribeToTask", json!({ "id": sent["result"]["task"]["id"] })).await;
    assert_eq!(subscribed["error"]["code"], -32004, "nothing to hear of a finished task: {subscribed}");
    let null: Value = broker.rpc("", "ListTasks", json!({ "status": null, "pageToken": null })).await;
    assert!(null["result"]["tasks"].is_array(), "null is unset");
}
