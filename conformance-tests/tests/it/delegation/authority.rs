//! Who may delegate what, and who may see what.

use conformance_tests::{Agent, Broker, Gates, key_digest, until, wire};
use serde_json::{Value, json};

use super::tree::Fleet;

const EXTENSION: &str = "urn:bailiwick:ext:delegation:v1";

#[tokio::test(flavor = "multi_thread")]
async fn over_reaching_is_refused_with_what_is_missing_and_the_parent_goes_on() {
    let fleet = Fleet::start("").await;
    // `right` holds nothing, so it may not have `deep` work for it; it then completes by itself.
    let script = json!({ "delegate": [ { "to": "right", "script":
        { "chunks": ["alone"], "delegate": [ { "to": "deep", "skill": "work", "script": {} } ] } } ] });
    let answer =
        fleet.broker.rpc("/agents/coordinator", "SendMessage", wire::message("m", &script.to_string())).await;
    let task = &answer["result"]["task"];
    assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED", "{answer}");
    let refused = fleet.agents["right"].logged("refused");
    assert_eq!(refused.len(), 1);
    assert!(refused[0]["error"].as_str().unwrap().contains("a2a:skill/deep/work"), "{refused:?}");
    assert_eq!(fleet.broker.tree(task["id"].as_str().unwrap()).await.len(), 2, "no child was made");
    assert!(fleet.agents["deep"].log().is_empty(), "the delegate heard nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_its_reason_on_both_bindings_and_a_dead_grant_opens_nothing() {
    let (fleet, gates) = (Fleet::start("").await, Gates::start().await);
    let hold = gates.wait("right");
    let script = json!({ "delegate": [ { "to": "right", "script": { "gate": hold } } ] }).to_string();
    let url = fleet.broker.agent_url("coordinator");
    let mut stream = wire::stream(&url, "SendStreamingMessage", wire::message("m", &script), None).await;
    until("the tree grows", async || !fleet.agents["right"].logged("received").is_empty()).await;
    let told = fleet.agents["right"].logged("received")[0]["told"].clone();
    let grant = told["grant"].as_str().expect("a grant").to_owned();

    let ask = |id: &str| {
        let mut params = wire::message(id, "{}");
        params["message"]["metadata"] = json!({ EXTENSION: { "skill": "work" } });
        params
    };
    let refusal = fleet.broker.rpc_as(Some(&grant), "/agents/deep", "SendMessage", ask("x")).await;
    assert_eq!(refusal["error"]["code"], -31403, "{refusal}");
    let info = &refusal["error"]["data"][0];
    assert_eq!(info["@type"], "type.googleapis.com/google.rpc.ErrorInfo");
    assert_eq!(info["reason"], "CAPABILITY_EXCEEDED");
    assert_eq!(info["domain"], "bailiwick");
    assert_eq!(info["metadata"]["missing"], "a2a:skill/deep/work");
    let unnamed =
        fleet.broker.rpc_as(Some(&grant), "/agents/deep", "SendMessage", wire::message("y", "{}")).await;
    assert_eq!(unnamed["error"]["data"][0]["metadata"]["missing"], "a2a:skill/deep/*");
    let answer =
        wire::post(&format!("{}/message:send", fleet.broker.agent_url("deep")), &ask("z"), Some(&grant))
            .await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.json()["error"]["details"][0]["metadata"]["missing"], "a2a:skill/deep/work");
    // The cycle guard comes after the capability gate, whose refusal it would otherwise reveal.
    let coordinator =
        fleet.agents["coordinator"].logged("received")[0]["told"]["grant"].as_str().unwrap().to_owned();
    let cycle = fleet
        .broker
        .rpc_as(Some(&coordinator), "/agents/coordinator", "SendMessage", wire::message("c", "{}"))
        .await;
    assert_eq!(cycle["error"]["data"][0]["reason"], "CAPABILITY_EXCEEDED", "{cycle}");

    gates.open("right").await;
    while stream.next().await.is_some() {}
    for path in ["/agents/deep", "/agents/right", ""] {
        let dead = fleet.broker.rpc_as(Some(&grant), path, "ListTasks", json!({})).await;
        assert_eq!(dead["error"]["code"], -31401, "a finished task's grant is no credential: {dead}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tampered_grants_and_claimed_lineage_are_worth_nothing() {
    let fleet = Fleet::start("").await;
    let script = json!({ "delay_ms": 60_000 }).to_string();
    let url = fleet.broker.agent_url("left");
    let stream = wire::stream(&url, "SendStreamingMessage", wire::message("m", &script), None).await;
    until("it is at work", async || !fleet.agents["left"].logged("received").is_empty()).await;
    let told = fleet.agents["left"].logged("received")[0]["told"].clone();
    let grant = told["grant"].as_str().unwrap();
    let (head, signature) = grant.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let flipped: String = signature.chars().rev().collect();
    for forged in [format!("{head}.{flipped}"), format!("{header}.e30.{signature}"), format!("{head}.")] {
        let answer =
            fleet.broker.rpc_as(Some(&forged), "/agents/deep", "SendMessage", wire::message("f", "{}")).await;
        assert_eq!(answer["error"]["code"], -31401, "{answer}");
    }
    // Saying to be a child makes no child: without a grant this is a root of its own.
    let mut claim = wire::message("claim", "{}");
    claim["message"]["metadata"] = json!({ EXTENSION: { "task": told["task"], "parent": told["task"], "root": told["root"], "depth": 3 } });
    let answer = fleet.broker.rpc("/agents/deep", "SendMessage", claim).await;
    let summary = &answer["result"]["task"]["metadata"][EXTENSION];
    assert_eq!(summary["depth"], 0, "{answer}");
    assert!(summary.get("parent").is_none());
    drop(stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_principals_task_is_indistinguishable_from_none() {
    let keys = ["alice", "bob"].map(|name| (name, format!("{name}-key")));
    let config: String = keys
        .iter()
        .map(|(name, key)| {
            format!("[[principals]]\nname = \"{name}\"\nkey_sha256 = \"{}\"\n", key_digest(key))
        })
        .collect::<Vec<_>>()
        .concat();
    let agent = Agent::scripted("worker");
    let config = format!("{config}[[agents]]\nname = \"worker\"\nurl = \"{}\"\n", agent.url());
    let broker = Broker::start(&config);

    let params = wire::message("m", "hello");
    let nobody = broker.rpc("/agents/worker", "SendMessage", params.clone()).await;
    assert_eq!(nobody["error"]["code"], -31401);
    let wrong = broker.rpc_as(Some("wrong"), "/agents/worker", "SendMessage", params.clone()).await;
    assert_eq!(wrong["error"]["code"], -31401);
    let alices = broker.rpc_as(Some("alice-key"), "/agents/worker", "SendMessage", params).await;
    let task = alices["result"]["task"]["id"].as_str().expect("alice's task").to_owned();

    for method in ["GetTask", "CancelTask", "SubscribeToTask"] {
        let foreign = broker.rpc_as(Some("bob-key"), "", method, json!({ "id": task })).await;
        let absent = json!({ "id": "01890000-0000-7000-8000-000000000000" });
        let absent = broker.rpc_as(Some("bob-key"), "", method, absent).await;
        assert_eq!(foreign, absent, "{method}: the same bytes");
        assert_eq!(foreign["error"]["code"], -32001);
    }
    let list = broker.rpc_as(Some("bob-key"), "", "ListTasks", json!({})).await;
    assert_eq!(list["result"]["totalSize"], 0);
    let mut turn = wire::message("turn", "x");
    turn["message"]["taskId"] = Value::String(task);
    let turn = broker.rpc_as(Some("bob-key"), "/agents/worker", "SendMessage", turn).await;
    assert_eq!(turn["error"]["code"], -32001);
    // A key that is no operator's changes no registry.
    let answer = wire::post(
        &format!("{}/api/v1/agents", broker.url()),
        &json!({ "name": "x", "url": "http://127.0.0.1:1" }),
        Some("bob-key"),
    )
    .await;
    assert_eq!(answer.status, 403);
}
