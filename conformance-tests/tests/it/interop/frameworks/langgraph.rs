//! A graph of LangGraph behind the broker: what its nodes do is seen as it happens, and what it asks is asked.

use conformance_tests::{Agent, Broker, Framework, wire};
use serde_json::json;

use super::{answer, text, until_state};

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_asks_through_the_broker_outlives_it_and_streams_what_its_nodes_do() {
    let mut broker = Broker::start("");
    let writer = Agent::framework_example(Framework::LangGraph, "langgraph_writer.py", &[]);
    broker.add_agent("writer", writer.url(), &[]).await;
    let url = broker.agent_url("writer");
    let asked = wire::stream(&url, "SendStreamingMessage", wire::message("a", "the sea"), None).await;
    let asked = asked.rest().await;
    let (first, last) = (&asked[0].json, &asked[asked.len() - 1].json);
    let task = first.pointer("/task/id").and_then(|id| id.as_str()).expect("a task").to_owned();
    assert_eq!(
        last.pointer("/statusUpdate/status/state"),
        Some(&json!("TASK_STATE_INPUT_REQUIRED")),
        "{last}"
    );
    assert!(last.to_string().contains("For whom is it?"), "{last}");

    broker.crash();
    let answered =
        wire::stream(&url, "SendStreamingMessage", answer(&task, "sailors"), None).await.rest().await;
    let seen: Vec<String> = answered.iter().map(|event| event.json.to_string()).collect();
    let at = |what: &str| seen.iter().position(|event| event.contains(what));
    let (asks, end) = (at("done: ask"), at("done: write"));
    assert!(asks.is_some() && asks < at("\"All\"") && at("\"All\"") < at("\"sailors.\""), "{seen:#?}");
    assert!(at("\"sailors.\"") < end && end < at("COMPLETED"), "{seen:#?}");
    let done = until_state(&broker, "writer", &task, "COMPLETED").await;
    assert_eq!(text(&done), "All about the sea, for sailors.");
}
