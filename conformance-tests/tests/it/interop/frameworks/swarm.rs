//! Swarm's pattern: plain functions that return text, of which one gives the conversation away.

use conformance_tests::{Agent, Broker, Framework, wire};

use super::{answer, begin, text, until_state};

#[tokio::test(flavor = "multi_thread")]
async fn a_function_returns_what_a_delegate_made_and_a_refused_one_says_why() {
    let broker = Broker::start("");
    let (triage, orders) = (Agent::python_example("swarm.py"), Agent::scripted("orders"));
    broker.add_agent("triage", triage.url(), &["a2a:skill/orders/*"]).await;
    for name in ["orders", "refunds"] {
        broker.add_agent(name, orders.url(), &[]).await;
    }
    let task = begin(&broker, "triage", wire::message("a", "Where is my order?")).await;
    let done = until_state(&broker, "triage", &task, "COMPLETED").await;
    assert_eq!(text(&done), "I have looked into it: Where is my order?", "{done}");
    let tree = broker.tree(&task).await;
    assert_eq!(
        (tree.len(), &tree[1]["agent"], &tree[1]["parent"]),
        (2, &"orders".into(), &task.clone().into())
    );

    let task = begin(&broker, "triage", wire::message("b", "I want my money back")).await;
    let made = text(&until_state(&broker, "triage", &task, "COMPLETED").await);
    assert!(made.contains("Error") && made.contains("a2a:skill/refunds/*"), "the model hears it: {made}");
    assert_eq!(broker.tree(&task).await.len(), 1, "nobody else has it");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_handed_over_is_asked_and_answers_where_it_began() {
    let broker = Broker::start("");
    let triage = Agent::python_example("swarm.py");
    let refunds = Agent::framework_example(Framework::LangGraph, "langgraph_writer.py", &[]);
    broker.add_agent("triage", triage.url(), &["a2a:skill/refunds/*"]).await;
    broker.add_agent("refunds", refunds.url(), &[]).await;
    let task = begin(&broker, "triage", wire::message("a", "I want my money back")).await;
    until_state(&broker, "triage", &task, "INPUT_REQUIRED").await;
    let answered = broker.rpc("/agents/triage", "SendMessage", answer(&task, "customers")).await;
    assert_eq!(answered["result"]["task"]["id"], *task, "{answered}");
    let done = until_state(&broker, "triage", &task, "COMPLETED").await;
    assert_eq!(text(&done), "All about I want my money back, for customers.", "{done}");
    let tree = broker.tree(&task).await;
    assert_eq!((tree.len(), &tree[0]["agent"]), (1, &"refunds".into()), "the same task: {tree:?}");
}
