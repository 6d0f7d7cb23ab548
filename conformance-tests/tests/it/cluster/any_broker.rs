//! Whatever is asked of whichever broker: the answer is the same.

use conformance_tests::{Agent, Gates, until, wire};
use serde_json::json;

use super::{BROKERS, Cluster, begin, ended, rpc};

#[tokio::test(flavor = "multi_thread")]
async fn any_broker_answers_any_operation_for_any_task() {
    let Some(cluster) = Cluster::start("").await else { return };
    let (agent, gates) = (Agent::scripted("worker"), Gates::start().await);
    cluster.add_agent(&agent, "worker", &[]).await;
    let url = |number: usize| cluster.brokers[number % BROKERS].agent_url("worker");
    for number in 0..BROKERS {
        let gate = gates.wait(number);
        let script = json!({ "gate": gate, "chunks": ["a", "b", "c"], "pace_ms": 50 });
        let (id, other, third) = (format!("m{number}"), number + 1, number + 2);
        let task = begin(&url(number), &id, &script).await;
        let got = rpc(&url(other), "GetTask", json!({ "id": task })).await;
        assert_eq!(got["result"]["id"], task.as_str(), "{got}");
        assert_eq!(
            begin(&url(third), &id, &script).await,
            task,
            "the same message is the same task anywhere"
        );
        let events = wire::stream(&url(third), "SubscribeToTask", json!({ "id": task }), None).await;
        let here = wire::stream(&url(number), "SubscribeToTask", json!({ "id": task }), None).await;
        gates.open(number).await;
        let (events, here) = tokio::join!(events.rest(), here.rest());
        let ids = |events: &[wire::Event]| events.iter().filter_map(|event| event.id).collect::<Vec<_>>();
        let (there, here) = (ids(&events), ids(&here));
        assert!(there.is_sorted() && here.is_sorted() && there.last() == here.last(), "{there:?} {here:?}");
        assert_eq!(events.last().and_then(wire::Event::state), Some("TASK_STATE_COMPLETED"), "{events:?}");
        // A subscriber that lost its broker goes on at another one, where it was.
        let first = there[there.len() / 2];
        let params = json!({ "id": task });
        let rest = wire::stream(&url(other), "SubscribeToTask", params, Some(first)).await.rest().await;
        assert_eq!(ids(&rest), there.iter().copied().filter(|id| *id > first).collect::<Vec<_>>());
        for broker in &cluster.brokers {
            let listed = broker.rpc("", "ListTasks", json!({})).await;
            assert_eq!(listed["result"]["totalSize"], number + 1, "{listed}");
            assert_eq!(broker.tree(&task).await.len(), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_cancelled_answered_and_watched_from_any_broker() {
    let Some(cluster) = Cluster::start("").await else { return };
    let agent = Agent::scripted("worker");
    cluster.add_agent(&agent, "worker", &[]).await;
    let url = |number: usize| cluster.brokers[number].agent_url("worker");
    let task = begin(&url(0), "long", &json!({ "delay_ms": 60_000 })).await;
    let cancelled = rpc(&url(1), "CancelTask", json!({ "id": task })).await;
    assert_eq!(cancelled["result"]["status"]["state"], "TASK_STATE_CANCELED", "{cancelled}");

    let task = begin(&url(1), "asks", &json!({ "ask": "colour?" })).await;
    until("it asks", async || {
        let got = rpc(&url(2), "GetTask", json!({ "id": task })).await;
        got["result"]["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    })
    .await;
    let mut answer = wire::message("answer", "blue");
    answer["message"]["taskId"] = json!(task);
    let answered = rpc(&url(0), "SendMessage", answer).await;
    assert_eq!(answered["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{answered}");
    assert!(ended(&url(1), &task).await["artifacts"].to_string().contains("blue"));

    // Nor is a backup begun that would break off.
    let backup =
        wire::request("POST", &format!("{}/api/v1/backup", cluster.brokers[0].url()), &[], Vec::new()).await;
    assert!(backup.status == 400 && backup.text.contains("pg_dump"), "{}", backup.text);

    let missing = rpc(&url(2), "GetTask", json!({ "id": "01890000-0000-7000-8000-000000000000" })).await;
    assert_eq!(missing["error"]["code"], -32001, "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_brokers_sign_with_the_same_keys_and_forget_the_same_agents() {
    let Some(cluster) = Cluster::start("").await else { return };
    let keys = async |number: usize| {
        wire::get(&format!("{}/.well-known/jwks.json", cluster.brokers[number].url())).await.text
    };
    let first = keys(0).await;
    for number in 1..BROKERS {
        assert_eq!(keys(number).await, first, "whoever was first made them");
    }
    let rotated = cluster.brokers[1].command(&["grant", "rotate", "--compromised"]);
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    let second = keys(1).await;
    assert_ne!(second, first);
    for number in 0..BROKERS {
        until("each broker has the new keys", async || keys(number).await == second).await;
    }
    let agent = Agent::scripted("worker");
    cluster.add_agent(&agent, "worker", &[]).await;
    let url = |number: usize| format!("{}/api/v1/agents/worker", cluster.brokers[number].url());
    let removed = wire::request("DELETE", &url(2), &[], Vec::new()).await;
    assert_eq!(removed.status, 204, "{}", removed.text);
    for number in 0..BROKERS {
        until("each broker forgets it", async || wire::get(&url(number)).await.status == 404).await;
    }
}
