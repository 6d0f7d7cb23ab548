//! The examples on the official JavaScript SDK.

use conformance_tests::{Agent, Broker, javascript_example, missing_node};
use serde_json::json;

use super::printed;

#[tokio::test(flavor = "multi_thread")]
async fn the_javascript_coordinator_has_a_javascript_and_a_python_specialist_work_for_it() {
    if let Some(reason) = missing_node() {
        eprintln!("skipped: the JavaScript examples: {reason}");
        return;
    }
    let broker = Broker::start("");
    let agents = [
        ("left", Agent::javascript_example("specialist.mjs"), vec![]),
        ("right", Agent::python_example("specialist.py"), vec![]),
        (
            "coordinator",
            Agent::javascript_example("coordinator.mjs"),
            vec!["a2a:skill/left/*", "a2a:skill/right/*"],
        ),
    ];
    for (name, agent, caps) in &agents {
        broker.add_agent(name, agent.url(), caps).await;
    }
    let mut client = javascript_example("client.mjs");
    client.args([&broker.agent_url("coordinator"), "one two three four five six"]);
    let printed = printed(client).await;
    let (_, made) = printed.split_once("artifact:").expect("an artifact");
    assert_eq!(made.matches("one two three four five").count(), 2, "{printed}");
    assert!(printed.trim_end().ends_with("TASK_STATE_COMPLETED"), "{printed}");
    let listed = broker.rpc("/agents/coordinator", "ListTasks", json!({})).await;
    let root = &listed["result"]["tasks"][0]["id"];
    let tree = broker.tree(root.as_str().unwrap()).await;
    assert_eq!(tree.len(), 3, "{tree:#?}");
    assert!(tree[1..].iter().all(|node| node["parent"] == *root), "{tree:#?}");
}
