//! Extensions (spec §3.3.4, §14.2.2): what a caller wants to use reaches the agent, and an agent that insists on one is not
//! bothered by callers that do not know it.

use conformance_tests::{Agent, Broker, wire};
use serde_json::{Value, json};

use super::s08_card_life::card;

const TIMES: &str = "https://example.org/ext/times/v1";
const CITES: &str = "https://example.org/ext/cites/v1";
const OURS: &str = "urn:bailiwick:ext:delegation:v1";

/// Sends a message with an A2A-Extensions header, on JSON-RPC.
async fn send(broker: &Broker, id: &str, header: Option<(&str, &str)>) -> Value {
    let body =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": wire::message(id, "go") });
    let mut headers = vec![("Content-Type", "application/json"), ("A2A-Version", "1.0")];
    headers.extend(header);
    let url = broker.agent_url("picky");
    wire::request("POST", &url, &headers, body.to_string().into_bytes()).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_wants_to_use_reaches_the_agent_and_what_it_insists_on_is_asked_for_first() {
    let mut picky = card("picky", &["read"]);
    picky["capabilities"] = json!({ "extensions": [
        { "uri": TIMES, "required": true }, { "uri": CITES, "required": false }] });
    let agent = Agent::changing(&picky, "max-age=3600");
    let broker = Broker::start("");
    broker.add_agent("picky", agent.url(), &[]).await;
    let fronted =
        wire::get(&format!("{}/.well-known/agent-card.json", broker.agent_url("picky"))).await.json();
    let listed = fronted["capabilities"]["extensions"].as_array().unwrap().clone();
    assert!(listed.iter().any(|known| known["uri"] == TIMES && known["required"] == true), "{listed:?}");

    for (id, header) in [("m1", None), ("m2", Some(("A2A-Extensions", CITES)))] {
        let refused = send(&broker, id, header).await;
        assert_eq!(refused["error"]["code"], -32008, "{refused}");
        assert!(refused["error"]["message"].as_str().unwrap().contains(TIMES), "it is named: {refused}");
    }
    assert!(agent.logged("call").is_empty(), "the agent was not bothered");

    let both = format!("{CITES} , {TIMES},{CITES}");
    let done = send(&broker, "m3", Some(("a2a-extensions", &both))).await;
    assert_eq!(done["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{done}");
    let calls = agent.logged("call");
    let sent = calls.iter().find(|call| call["method"] == "SendMessage").expect("it was sent");
    let told: Vec<&str> = sent["extensions"].as_str().unwrap().split(',').collect();
    assert_eq!(told, [OURS, CITES, TIMES], "each once");
}
