//! Agents that break the protocol, or die: each has a defined end and a message that says what happened.

use conformance_tests::{Agent, Broker, until, wire};
use serde_json::{Value, json};

/// More patience than an agent needs that answers, and quick about the rest.
const PATIENT: &str = "[limits]\nsilence = \"15s\"\ncancel = \"15s\"\nunknown_hold = \"15s\"\nbackoff = \"50ms\"\n\
                       [southbound]\ngive_up = \"15s\"\nask_every = \"50ms\"\n";
/// Short patience, so that silence and loss show within a test.
const IMPATIENT: &str = "[limits]\nsilence = \"1s\"\ncancel = \"1s\"\nunknown_hold = \"1s\"\nbackoff = \"50ms\"\n\
                         [southbound]\ngive_up = \"1s\"\nask_every = \"50ms\"\n";

fn shown(answer: &Value) -> (&str, String) {
    let status = &answer["result"]["task"]["status"];
    let text = status["message"]["parts"].as_array().into_iter().flatten();
    let text: Vec<&str> = text.filter_map(|part| part["text"].as_str()).collect();
    (status["state"].as_str().unwrap_or_default(), text.join(" "))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_misbehave_has_its_end_and_its_explanation() {
    let (patient, impatient) = (Broker::start(PATIENT), Broker::start(IMPATIENT));
    let table = [
        ("garbage", "TASK_STATE_FAILED", "broke the protocol"),
        ("http500", "TASK_STATE_FAILED", "HTTP 500"),
        ("refuse", "TASK_STATE_REJECTED", "only music, please"),
        ("wrong-types", "TASK_STATE_FAILED", "broke the protocol"),
        ("hang", "TASK_STATE_FAILED", "silent for 1 s"),
        ("huge-event", "TASK_STATE_FAILED", "larger than 1048576 bytes"),
        ("close-mid-stream", "TASK_STATE_COMPLETED", ""),
        ("second-terminal", "TASK_STATE_COMPLETED", ""),
    ];
    for (mode, state, explanation) in table {
        let agent = Agent::misbehaving(mode);
        let broker = if mode == "hang" { &impatient } else { &patient };
        broker.add_agent(mode, agent.url(), &[]).await;
        let answer = broker.rpc(&format!("/agents/{mode}"), "SendMessage", wire::message(mode, "go")).await;
        let (found, text) = shown(&answer);
        assert_eq!(found, state, "{mode}: {answer}");
        assert!(text.contains(explanation), "{mode}: {text}");
        assert!(explanation.is_empty() || text.contains(mode), "{mode}: the agent is named: {text}");
    }
    let recovered = patient
        .rpc("", "ListTasks", json!({ "includeArtifacts": true, "status": "TASK_STATE_COMPLETED" }))
        .await;
    assert!(
        recovered.to_string().contains("late but done"),
        "what a broken stream left behind was fetched: {recovered}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_a_subscription_shows_in_the_task_and_again_behind_it_is_in_the_result_once() {
    let broker = Broker::start(PATIENT);
    let agent = Agent::misbehaving("say-twice");
    broker.add_agent("twice", agent.url(), &[]).await;
    let answer = broker.rpc("/agents/twice", "SendMessage", wire::message("m", "go")).await;
    let (state, _) = shown(&answer);
    assert_eq!(state, "TASK_STATE_COMPLETED", "{answer}");
    let parts = answer["result"]["task"]["artifacts"][0]["parts"].as_array().unwrap();
    let texts: Vec<_> = parts.iter().map(|part| &part["text"]).collect();
    assert_eq!(texts, ["late but done", "!"], "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_in_the_middle_leaves_an_unknown_outcome_and_one_never_there_is_retried() {
    let broker = Broker::start(&IMPATIENT.replace("silence = \"1s\"", "silence = \"30s\""));
    let mut agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    let long = json!({ "delay_ms": 60_000 }).to_string();
    let mut stream =
        wire::stream(&broker.agent_url("worker"), "SendStreamingMessage", wire::message("a", &long), None)
            .await;
    stream.next().await.expect("the task");
    until("the agent is at work", async || !agent.logged("received").is_empty()).await;
    agent.kill();
    let events = stream.rest().await;
    let end = events.last().expect("an end");
    assert_eq!(end.state(), Some("TASK_STATE_FAILED"), "{events:#?}");
    assert!(end.json.to_string().contains("the outcome is unknown"), "{end:?}");

    // Nobody listens there any more: the message was certainly never sent, so it is tried again, and then not.
    let answer = broker.rpc("/agents/worker", "SendMessage", wire::message("b", "hello")).await;
    let (state, text) = shown(&answer);
    assert_eq!(state, "TASK_STATE_FAILED", "{answer}");
    assert!(text.contains("could not be reached"), "{text}");
    let tree = broker.tree(answer["result"]["task"]["id"].as_str().unwrap()).await;
    let attempts: Vec<&str> =
        tree[0]["attempts"].as_array().unwrap().iter().filter_map(|one| one["state"].as_str()).collect();
    assert_eq!(attempts, ["never_sent"; 3]);
}
