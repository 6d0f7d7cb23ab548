//! What is sent to a delegate is what its delegator chose: the parts of the message, and artifacts by reference.

use conformance_tests::wire;
use serde_json::{Value, json};

use super::grants::grant_of;
use super::tree::Fleet;

const EXTENSION: &str = "urn:bailiwick:ext:delegation:v1";

fn giving(id: &str, script: &Value, wish: &Value) -> Value {
    let mut params = wire::message(id, &script.to_string());
    params["message"]["metadata"] = json!({ EXTENSION: wish });
    params
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_given_along_by_reference_reaches_the_delegate_and_stays_in_no_history() {
    let fleet = Fleet::start("").await;
    let broker = &fleet.broker;
    let (grant, own, _stream) = grant_of(broker, &fleet.agents["coordinator"], "coordinator").await;
    let delegate = async |to: &str, params: Value| {
        broker.rpc_as(Some(&grant), &format!("/agents/{to}"), "SendMessage", params).await
    };
    let wish = json!({ "skill": "work" });
    let made = delegate("left", giving("l", &json!({ "chunks": ["forty-", "two"] }), &wish)).await;
    let made = &made["result"]["task"];
    let artifact = &made["artifacts"][0]["artifactId"];

    let wish = json!({ "skill": "work", "context": [{ "task": made["id"], "artifact_id": artifact }], "goal": "double it" });
    let done = delegate("right", giving("r", &json!({ "echo": true }), &wish)).await;
    let done = &done["result"]["task"];
    let parts = done["artifacts"][0]["parts"].as_array().expect("what it was sent beside its script");
    let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
    assert_eq!(texts, ["forty-", "two"], "{done}");
    let told = &fleet.agents["right"].logged("received")[0]["told"];
    assert_eq!(told["goal"], "double it");
    let given = &told["given"][0];
    assert_eq!((&given["task"], &given["artifact_id"]), (&made["id"], artifact), "{told}");
    assert_eq!((&given["first_part"], &given["parts"]), (&json!(1.0), &json!(2.0)), "{told}");
    assert_eq!(done["history"][0]["parts"].as_array().map(Vec::len), Some(1), "{done}");

    let before = broker.tree(&own).await.len();
    for (task, artifact, why) in [
        (&made["id"], "other", "no artifact of that id"),
        (&json!("019a0000-0000-7000-8000-000000000000"), "x", "or a task below it"),
    ] {
        let wish = json!({ "skill": "work", "context": [{ "task": task, "artifact_id": artifact }] });
        let refused = delegate("right", giving(artifact, &json!({}), &wish)).await;
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
        assert!(refused["error"]["message"].as_str().unwrap().contains(why), "{refused}");
    }
    assert_eq!(broker.tree(&own).await.len(), before, "no task came of it");
}
