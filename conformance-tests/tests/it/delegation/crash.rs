//! kill -9 of the broker in the middle of a running tree: what a client was told of exists, the tree completes,
//! nothing ends twice, nothing is dispatched twice. Judged from the agents' and clients' own logs.

use std::collections::BTreeMap;
use std::time::Duration;

use conformance_tests::wire;
use serde_json::{Value, json};

use super::tree::{Fleet, script};

/// Moments after the start of a tree at which the broker is killed, in milliseconds: from before the first dispatch
/// is answered to after the last child. The tree takes about a second.
const MOMENTS: [u64; 10] = [3, 17, 60, 130, 210, 330, 420, 510, 640, 850];

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_at_any_moment_finishes_the_tree() {
    let mut fleet = Fleet::start("[southbound]\nask_every = \"100ms\"\nabsent_after = \"5s\"\n").await;
    // Agents are known to answer with tasks before the first crash.
    let warm = fleet
        .broker
        .rpc("/agents/coordinator", "SendMessage", wire::message("warm", &script(0).to_string()))
        .await;
    assert_eq!(warm["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED");

    let mut told = Vec::new();
    for moment in MOMENTS {
        let mut params = wire::message(&format!("m{moment}"), &script(200).to_string());
        params["configuration"] = json!({ "returnImmediately": true });
        let begun = fleet.broker.rpc("/agents/coordinator", "SendMessage", params).await;
        told.push(begun["result"]["task"]["id"].as_str().expect("a task").to_owned());
        tokio::time::sleep(Duration::from_millis(moment)).await;
        fleet.broker.crash();
    }
    for task in &told {
        let end = finished(&fleet, task).await;
        assert_eq!(end["status"]["state"], "TASK_STATE_COMPLETED", "{end:#}");
        let text = end["artifacts"].to_string();
        for piece in ["l1", "l2", "d", "r"] {
            assert!(text.contains(piece), "{task}: the merged result holds {piece}: {text}");
        }
        let tree = fleet.broker.tree(task).await;
        assert_eq!(tree.len(), 4, "{tree:#?}");
        assert!(tree.iter().all(|summary| summary["state"] == "TASK_STATE_COMPLETED"), "{tree:#?}");
        let events = replay(&fleet, task).await;
        let ends =
            events.iter().filter(|event| event.state().is_some_and(|state| state.ends_with("COMPLETED")));
        assert_eq!(ends.count(), 1, "{task}: one terminal event");
    }
    for (name, agent) in &fleet.agents {
        let mut heard: BTreeMap<String, u32> = BTreeMap::new();
        for received in agent.logged("received") {
            *heard.entry(received["task"].to_string()).or_default() += 1;
        }
        assert_eq!(heard.len(), MOMENTS.len() + 1, "{name} worked on every tree");
        assert!(heard.values().all(|times| *times == 1), "{name} heard something twice: {heard:?}");
    }
}

async fn finished(fleet: &Fleet, task: &str) -> Value {
    for _ in 0..600 {
        let answer = fleet.broker.rpc("", "GetTask", json!({ "id": task })).await;
        let state = answer["result"]["status"]["state"]
            .as_str()
            .unwrap_or_else(|| panic!("{task} is lost: {answer}"));
        if ["COMPLETED", "FAILED", "CANCELED", "REJECTED"].iter().any(|end| state.ends_with(end)) {
            return answer["result"].clone();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{task} did not end within a minute: {:#?}", fleet.broker.tree(task).await);
}

/// All events of a task that is over, from its journal.
async fn replay(fleet: &Fleet, task: &str) -> Vec<wire::Event> {
    wire::stream(&fleet.broker.url(), "SubscribeToTask", json!({ "id": task }), Some(0)).await.rest().await
}
