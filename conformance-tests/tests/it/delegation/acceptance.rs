//! What a delegator accepts is checked before anybody sees it: with real agents, over the wire.

use conformance_tests::{Agent, Broker, Gates, until, wire};
use serde_json::{Value, json};

const EXTENSION: &str = "urn:bailiwick:ext:delegation:v1";
/// No long waits between attempts; and a check may take as long as a busy machine needs for it.
const QUICK: &str = "[limits]\nbackoff = \"10ms\"\n[acceptance]\ntimeout = \"30s\"\n";

/// A message with wishes of the extension, and one part beside the script.
fn wishing(id: &str, script: &Value, wish: &Value) -> Value {
    let mut params = wire::message(id, &script.to_string());
    params["message"]["parts"].as_array_mut().expect("parts").push(json!({ "text": "please" }));
    params["message"]["metadata"] = json!({ EXTENSION: wish });
    params
}

async fn fleet<const N: usize>(names: [&str; N]) -> (Broker, [Agent; N]) {
    let broker = Broker::start(QUICK);
    let agents = names.map(Agent::scripted);
    for (name, agent) in names.iter().zip(&agents) {
        broker.add_agent(name, agent.url(), &["a2a:skill/**"]).await;
    }
    (broker, agents)
}

async fn send(broker: &Broker, id: &str, script: &Value, wish: &Value) -> Value {
    let sent = broker.rpc("/agents/worker", "SendMessage", wishing(id, script, wish)).await;
    sent["result"]["task"].clone()
}

fn state(task: &Value) -> &str {
    task["status"]["state"].as_str().unwrap_or_default().trim_start_matches("TASK_STATE_")
}

fn acceptance(task: &Value) -> &Value {
    &task["metadata"][EXTENSION]["acceptance"]
}

/// A rubric that the scripted judge does what it says of.
fn rubric(script: &Value) -> String {
    script.to_string()
}

fn judging(answer: &str) -> Value {
    json!({ "judge": { "agent": "judge", "rubric": rubric(&json!({ "chunks": [answer] })) } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_passes_fails_with_its_reason_or_is_unverified() {
    let (broker, _agents) = fleet(["worker"]).await;
    let json_result = json!({ "chunks": ["{\"total\": ", "3}"] });
    let schema = |kind: &str| json!({ "schema": { "properties": { "total": { "type": kind } } } });
    let table = [
        (json!({ "chunks": ["well"] }), json!({ "expression": "text == 'well'" }), "COMPLETED", "passed"),
        (json!({ "chunks": ["well"] }), json!({ "expression": "text == 'ill'" }), "FAILED", "failed"),
        (json!({ "chunks": ["well"] }), json!({ "expression": "data[0].x" }), "COMPLETED", "unverified"),
        (json_result.clone(), schema("integer"), "COMPLETED", "passed"),
        (json_result.clone(), schema("string"), "FAILED", "failed"),
        (json!({ "chunks": ["well"] }), schema("string"), "COMPLETED", "unverified"),
        (
            json!({ "chunks": ["well"] }),
            json!({ "artifacts": [{ "name": "result" }] }),
            "COMPLETED",
            "passed",
        ),
        (json!({ "chunks": ["well"] }), json!({ "max_bytes": 3 }), "FAILED", "failed"),
        (json!({ "chunks": ["well"] }), json!({ "output_modes": ["image/*"] }), "FAILED", "failed"),
    ];
    for (index, (script, accept, end, verdict)) in table.into_iter().enumerate() {
        let task = send(&broker, &format!("m{index}"), &script, &json!({ "accept": accept })).await;
        assert_eq!((state(&task), &acceptance(&task)["verdict"]), (end, &json!(verdict)), "{task}");
        if end == "FAILED" {
            assert!(task["artifacts"].as_array().is_none_or(Vec::is_empty), "it is not shown: {task}");
            let reason = &acceptance(&task)["checks"][0]["reason"];
            let said = task["status"]["message"]["parts"][0]["text"].as_str().unwrap_or_default();
            assert!(said.contains(reason.as_str().unwrap()), "{task}");
            assert_eq!(task["metadata"][EXTENSION]["attempts"][0]["state"], "unaccepted");
        } else {
            assert!(task["artifacts"].to_string().contains("result"), "{task}");
        }
    }
    let refused = wishing("x", &json!({}), &json!({ "accept": { "expression": "text +" } }));
    let refused = broker.rpc("/agents/worker", "SendMessage", refused).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    assert!(refused.to_string().contains(".accept.expression"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_answer_is_checked_as_well() {
    let (broker, _agents) = fleet(["worker"]).await;
    let script = json!({ "message": "hi" });
    for (id, expression, accepted) in [("a", "text == 'hi'", true), ("b", "text == 'ho'", false)] {
        let wish = json!({ "accept": { "expression": expression } });
        let sent = broker.rpc("/agents/worker", "SendMessage", wishing(id, &script, &wish)).await;
        let direct = &sent["result"]["message"]["parts"][0]["text"];
        assert_eq!(direct == &json!("hi"), accepted, "{sent}");
        assert_eq!(state(&sent["result"]["task"]) == "FAILED", !accepted, "{sent}");
        assert!(accepted || !sent["result"]["task"]["status"].to_string().contains("\"hi\""), "{sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_attempt_is_told_why_the_last_was_not_accepted() {
    let (broker, [worker]) = fleet(["worker"]).await;
    // It shows what it was sent beside its script; the reason comes with the second attempt.
    let script = json!({ "echo": true });
    let wish = json!({ "accept": { "expression": "text.contains('was not accepted')" },
        "retry": { "idempotent": true, "max_attempts": 2 } });
    let task = send(&broker, "m", &script, &wish).await;
    assert_eq!((state(&task), &acceptance(&task)["verdict"]), ("COMPLETED", &json!("passed")), "{task}");
    assert_eq!(worker.logged("received").len(), 2);
    let attempts = &broker.tree(task["id"].as_str().unwrap()).await[0]["attempts"];
    assert_eq!(attempts[0]["state"], "unaccepted");
    assert!(attempts[0]["reason"].as_str().unwrap().contains("it is not so that"), "{attempts}");
    assert_eq!(task["artifacts"].as_array().map(Vec::len), Some(1), "what was not accepted is gone: {task}");

    let other = json!({ "accept": wish["accept"] });
    let task = send(&broker, "n", &script, &other).await;
    assert_eq!(state(&task), "FAILED", "not twice unless that is harmless: {task}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_delegate_does_what_the_first_did_not_do_well() {
    let (broker, [worker, other]) = fleet(["worker", "other"]).await;
    let wish =
        json!({ "accept": { "expression": "text == 'by other'" }, "retry": { "fallback": ["other"] } });
    let task = send(&broker, "m", &json!({ "chunks": ["by {agent}"] }), &wish).await;
    assert_eq!((state(&task), &acceptance(&task)["verdict"]), ("COMPLETED", &json!("passed")), "{task}");
    assert!(!task.to_string().contains("by worker"), "{task}");
    assert_eq!((worker.logged("received").len(), other.logged("received").len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delegate_is_told_what_is_expected_and_nothing_of_the_judge() {
    let (broker, [worker, judge]) = fleet(["worker", "judge"]).await;
    let mut accept = judging(r#"{"verdict": "pass", "reasons": []}"#);
    accept["expression"] = json!("text != ''");
    accept["citations"] = json!({ "sources": [{ "id": "s1", "text": "the sky is blue" }] });
    let wish =
        json!({ "accept": accept, "goal": "know it", "constraints": ["be brief"], "expected": "a line" });
    let task = send(&broker, "m", &json!({ "chunks": ["blue [s1]"] }), &wish).await;
    assert_eq!((state(&task), &acceptance(&task)["verdict"]), ("COMPLETED", &json!("passed")), "{task}");
    let told = &worker.logged("received")[0]["told"];
    assert_eq!((&told["goal"], &told["constraints"]), (&json!("know it"), &json!(["be brief"])));
    let criteria = json!({ "expression": "text != ''", "citations": { "sources": ["s1"], "min": 1.0 } });
    assert_eq!((&told["expected"], &told["criteria"]), (&json!("a line"), &criteria));
    assert!(!task["history"].to_string().contains("rubric"), "nor can it read that in its history: {task}");
    assert!(!told.to_string().contains("judge"), "{told}");
    let asked = &judge.logged("received")[0];
    assert!(asked["told"]["scope"].as_array().is_none_or(Vec::is_empty), "{asked}");
    assert!(asked["told"]["goal"].is_null() && asked["told"]["expected"].is_null(), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_judge_passes_fails_or_leaves_it_open() {
    let (broker, _agents) = fleet(["worker", "judge"]).await;
    let table = [
        (judging(r#"{"verdict": "pass", "reasons": []}"#), "COMPLETED", "passed", ""),
        (judging(r#"{"verdict": "fail", "reasons": ["it is rude"]}"#), "FAILED", "failed", "it is rude"),
        (judging("looks good"), "COMPLETED", "unverified", "did not answer as it was asked to"),
        (json!({ "judge": { "agent": "nobody", "rubric": "x" } }), "COMPLETED", "unverified", "nobody"),
        (json!({ "judge": { "agent": "worker", "rubric": "x" } }), "COMPLETED", "unverified", "worker"),
    ];
    for (index, (accept, end, verdict, reason)) in table.into_iter().enumerate() {
        let task =
            send(&broker, &format!("m{index}"), &json!({ "chunks": ["well"] }), &json!({ "accept": accept }))
                .await;
        assert_eq!((state(&task), &acceptance(&task)["verdict"]), (end, &json!(verdict)), "{task}");
        assert!(acceptance(&task)["checks"].to_string().contains(reason), "{task}");
        let tree = broker.tree(task["id"].as_str().unwrap()).await;
        assert_eq!(tree.len(), if index < 3 { 2 } else { 1 }, "who was asked is seen in the tree: {tree:?}");
    }
}

/// Also across kill -9 while the judge is at it: it is asked once, and what it says counts.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_shown_before_it_is_accepted_and_a_crash_changes_nothing() {
    let (mut broker, [worker, judge]) = fleet(["worker", "judge"]).await;
    let gates = Gates::start().await;
    // A judge that is known to answer with tasks.
    broker.rpc("/agents/judge", "SendMessage", wire::message("warm", "{}")).await;
    let script = json!({ "gate": gates.wait("judge"), "chunks": ["{\"verdict\": \"pass\"}"] });
    let accept = json!({ "judge": { "agent": "judge", "rubric": rubric(&script) } });
    let params = wishing("m", &json!({ "chunks": ["secret ", "result"] }), &json!({ "accept": accept }));
    let mut stream = wire::stream(&broker.agent_url("worker"), "SendStreamingMessage", params, None).await;
    let first = stream.next().await.expect("the task").json.clone();
    let task = first.pointer("/task/id").and_then(Value::as_str).expect("its id").to_owned();
    until("the judge is at it", async || judge.logged("received").len() == 2).await;
    let shown =
        async |broker: &Broker| broker.rpc("", "GetTask", json!({ "id": task })).await["result"].clone();
    let before = shown(&broker).await;
    assert_eq!(state(&before), "WORKING", "{before}");
    assert!(!before["artifacts"].to_string().contains("secret"), "{before}");
    broker.crash();
    let early = stream.rest().await;
    assert!(!early.iter().any(|event| event.json.to_string().contains("secret ")), "{early:#?}");
    assert_eq!(state(&shown(&broker).await), "WORKING");
    gates.open("judge").await;
    until("the end", async || state(&shown(&broker).await) == "COMPLETED").await;
    let after = shown(&broker).await;
    assert_eq!(acceptance(&after)["verdict"], "passed", "{after}");
    assert!(after["artifacts"].to_string().contains("secret "), "{after}");
    assert_eq!((worker.logged("received").len(), judge.logged("received").len()), (1, 2), "each once");
    let events =
        wire::stream(&broker.url(), "SubscribeToTask", json!({ "id": task }), Some(0)).await.rest().await;
    let pieces = events.iter().filter(|event| event.json.pointer("/artifactUpdate").is_some());
    assert_eq!(pieces.count(), 2, "in the pieces it came in");
    let last = events.last().expect("an end").json.to_string();
    assert!(last.contains("acceptance") && last.contains("TASK_STATE_COMPLETED"), "{last}");
}
