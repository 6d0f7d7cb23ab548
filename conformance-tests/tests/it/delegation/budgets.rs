//! What may be used up, over the wire: told to agents, held in escrow, reported back, refused with 429.

use conformance_tests::{Agent, Broker, Gates, until, wire};
use serde_json::{Value, json};

use super::tree::Fleet;

const EXTENSION: &str = "urn:bailiwick:ext:delegation:v1";

fn message(id: &str, script: &Value, wishes: &Value) -> Value {
    let mut params = wire::message(id, &script.to_string());
    params["message"]["metadata"] = json!({ EXTENSION: wishes });
    params
}

#[tokio::test(flavor = "multi_thread")]
async fn children_share_their_parents_budget_and_return_what_they_do_not_use() {
    let fleet = Fleet::start("").await;
    let child = |to: &str, usd: &str, cost: &str| json!({ "to": to, "budget": { "usd": usd }, "script": { "cost": { "usd": cost } } });
    // Two fit side by side; what they return is not enough for the one that asks for more than there ever was.
    let orders =
        [child("left", "2.00", "0.50"), child("right", "3.00", "0.25"), child("deep", "5.01", "0.00")];
    let script = json!({ "delegate": orders, "cost": { "usd": "0.10" } });
    let params = message("m", &script, &json!({ "budget": { "usd": "5.00", "fanout": 4 } }));
    let answer = fleet.broker.rpc("/agents/coordinator", "SendMessage", params).await;
    let task = &answer["result"]["task"];
    assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED", "{answer}");

    let told = |agent: &str| fleet.agents[agent].logged("received")[0]["told"]["budget"]["usd"].clone();
    assert_eq!([told("coordinator"), told("left"), told("right")], ["5.00", "2.00", "3.00"]);
    assert!(fleet.agents["deep"].log().is_empty(), "what is refused is not sent");
    let refused = fleet.agents["coordinator"].logged("refused");
    assert_eq!(refused.len(), 1, "{refused:?}");
    let error = refused[0]["error"].as_str().unwrap();
    assert!(error.contains("-31429") && error.contains("budget"), "{error}");

    let tree = fleet.broker.tree(task["id"].as_str().unwrap()).await;
    let costs: Vec<&str> = tree.iter().filter_map(|task| task["cost"]["usd"].as_str()).collect();
    assert_eq!(costs.len(), 3, "{tree:#?}");
    assert!(costs.contains(&"0.10") && costs.contains(&"0.50") && costs.contains(&"0.25"), "{costs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_rate_is_429_with_the_time_to_come_back_on_both_bindings() {
    let (broker, gates) = (Broker::start(""), Gates::start().await);
    let (coordinator, worker) = (Agent::scripted("coordinator"), Agent::scripted("worker"));
    broker.add_agent("coordinator", coordinator.url(), &["a2a:skill/worker/*{rate<=1/3600s}"]).await;
    broker.add_agent("worker", worker.url(), &[]).await;
    let script = json!({ "gate": gates.wait("it") });
    let url = broker.agent_url("coordinator");
    let mut stream =
        wire::stream(&url, "SendStreamingMessage", wire::message("m", &script.to_string()), None).await;
    until("it is at work", async || !coordinator.logged("received").is_empty()).await;
    let told = coordinator.logged("received")[0]["told"].clone();
    let grant = told["grant"].as_str().expect("a grant");
    let done = broker.rpc_as(Some(grant), "/agents/worker", "SendMessage", wire::message("a", "{}")).await;
    assert_eq!(done["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{done}");

    let refused = broker.rpc_as(Some(grant), "/agents/worker", "SendMessage", wire::message("b", "{}")).await;
    assert_eq!(refused["error"]["code"], -31429, "{refused}");
    assert_eq!(refused["error"]["data"][0]["reason"], "RATE_EXCEEDED", "{refused}");
    let url = format!("{}/message:send", broker.agent_url("worker"));
    let refused = wire::post(&url, &wire::message("c", "{}"), Some(grant)).await;
    assert_eq!(refused.status, 429, "{}", refused.text);
    let seconds: u64 = refused.header("retry-after").expect("Retry-After").parse().expect("seconds");
    assert!((3_000..=3_600).contains(&seconds), "{seconds}");
    gates.open("it").await;
    while stream.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_cannot_be_read_is_refused_by_name() {
    let fleet = Fleet::start("").await;
    for budget in
        [json!({ "usd": 2 }), json!({ "usd": "2" }), json!({ "euros": "2.00" }), json!({ "calls": -1 })]
    {
        let params = message("m", &json!({}), &json!({ "budget": budget }));
        let answer = fleet.broker.rpc("/agents/right", "SendMessage", params).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        let description = &answer["error"]["data"][0]["fieldViolations"][0]["description"];
        assert!(description.as_str().unwrap().contains(".budget: expected {usd"), "{answer}");
    }
    assert!(fleet.agents["right"].log().is_empty());
}
