//! One tree whose nodes are on four different SDKs and speak to the broker over different bindings: each delegates with
//! the grant it was given, and knows nothing of what the others are.

use conformance_tests::{Agent, Broker, missing_node, wire};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn one_tree_may_hold_agents_of_every_sdk() {
    if let Some(reason) = missing_node() {
        eprintln!("skipped: one_tree_may_hold_agents_of_every_sdk: {reason}");
        return;
    }
    let broker = Broker::start("");
    let agents = [
        (
            "coordinator",
            Agent::scripted_js("coordinator", &[]),
            "/rest",
            vec!["a2a:skill/old/*", "a2a:skill/rust/*", "a2a:skill/leaf/*"],
        ),
        ("old", Agent::scripted_v03("old", &["--each"]), "/jsonrpc", vec!["a2a:skill/leaf/*"]),
        ("rust", Agent::scripted_rust("rust"), "/grpc", vec![]),
        ("leaf", Agent::each("leaf"), "/grpc", vec![]),
    ];
    for (name, agent, path, caps) in &agents {
        broker.add_agent(name, &format!("{}{path}", agent.url()), caps).await;
    }
    let leaf = json!({ "to": "leaf", "script": { "chunks": ["d"] } });
    let old = json!({ "to": "old", "script": { "chunks": ["b"], "delegate": [leaf] } });
    let rust = json!({ "to": "rust", "script": { "chunks": ["c"] } });
    let script = json!({ "chunks": ["a"], "delegate": [old, rust] }).to_string();
    let answer = broker.rpc("/agents/coordinator", "SendMessage", wire::message("m", &script)).await;
    let task = &answer["result"]["task"];
    assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED", "{answer}");
    let parts = task["artifacts"][0]["parts"].as_array().unwrap();
    let text: String = parts.iter().filter_map(|part| part["text"].as_str()).collect();
    assert_eq!(text, "abdc", "{task}");
    let nodes = broker.tree(task["id"].as_str().unwrap()).await;
    assert_eq!(nodes.len(), 4, "{nodes:#?}");
    for (name, agent, _, _) in &agents {
        let received = agent.logged("received");
        assert_eq!(received.len(), 1, "{name}: {received:?}");
        let told = &received[0]["told"];
        assert!(told["grant"].is_string(), "{name} was told {told}");
        assert_eq!(told["parent"].is_string(), *name != "coordinator", "{name} was told {told}");
    }
}
