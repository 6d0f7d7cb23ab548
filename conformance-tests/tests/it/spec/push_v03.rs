//! What receivers of A2A 0.3 are posted (0.3 §9.5): the task, as it stood at each event, in 0.3's words; however the
//! configuration came, and beside receivers of 1.0.

use conformance_tests::{Agent, Broker, Posted, Receiver, Reply, wire};
use serde_json::{Value, json};

use super::push::VERSION;

const ASKING: &str = r#"{ "ask": "colour?", "chunks": ["a", "b"] }"#;

fn config(receiver: &Receiver, path: &str) -> Value {
    let authentication = json!({ "schemes": ["Bearer", "Basic"], "credentials": "cred" });
    json!({ "id": path, "url": receiver.url(path), "token": "tok", "authentication": authentication })
}

/// Calls as clients of 0.3 do, without a version.
async fn call(broker: &Broker, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let url = broker.agent_url("worker");
    let headers = [("Content-Type", "application/json")];
    let answer = wire::request("POST", &url, &headers, body.to_string().into_bytes()).await.json();
    assert!(answer["result"].is_object(), "{method}: {answer}");
    answer["result"].clone()
}

fn message(id: &str, text: &str, task: Option<&str>) -> Value {
    let parts = json!([{ "kind": "text", "text": text }]);
    json!({ "kind": "message", "messageId": id, "role": "user", "parts": parts, "taskId": task })
}

fn of<'p>(posted: &'p [Posted], path: &str) -> Vec<&'p Posted> {
    let line = format!("POST {path} ");
    posted.iter().filter(|posted| posted.status == 200 && posted.head.starts_with(&line)).collect()
}

fn is_over(posted: &Posted) -> bool {
    posted.json["status"]["state"] == "completed"
        || posted.json["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_registered_in_0_3_get_the_task_as_it_stood_at_each_event() {
    let mut broker = Broker::start("[push]\nbackoff = \"50ms\"\nmax_backoff = \"200ms\"\n");
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    // Nothing is taken until the task is over: what is told then is still what was.
    let receiver = Receiver::answering(|_| Reply::of(500)).await;

    let configuration = json!({ "blocking": true, "pushNotificationConfig": config(&receiver, "/sent") });
    let params = json!({ "message": message("m", ASKING, None), "configuration": configuration });
    let asked = call(&broker, "message/send", params).await;
    let task = asked["id"].as_str().expect("a task").to_owned();
    let set = json!({ "taskId": task, "pushNotificationConfig": config(&receiver, "/set") });
    call(&broker, "tasks/pushNotificationConfig/set", set).await;
    // As the official SDK of 0.3 writes it.
    let posted = json!({ "pushNotificationConfig": config(&receiver, "/posted") });
    let posted = json!({ "parent": format!("tasks/{task}"), "config": posted });
    let url = format!("{}/v1/tasks/{task}/pushNotificationConfigs", broker.agent_url("worker"));
    let json_body = [("Content-Type", "application/json")];
    let made = wire::request("POST", &url, &json_body, posted.to_string().into_bytes()).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let url = format!("{}/tasks/{task}/pushNotificationConfigs", broker.agent_url("worker"));
    let new = json!({ "id": "new", "url": receiver.url("/new") }).to_string().into_bytes();
    let made = wire::request("POST", &url, &[VERSION, json_body[0]], new).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let first = call(&broker, "tasks/pushNotificationConfig/get", json!({ "id": task })).await;
    assert_eq!(first["pushNotificationConfig"]["id"], "/posted", "none is named, so the first: {first}");
    let by_name = json!({ "id": task, "pushNotificationConfigId": "/set" });
    let by_name = call(&broker, "tasks/pushNotificationConfig/get", by_name).await;
    assert_eq!(by_name["pushNotificationConfig"]["id"], "/set", "{by_name}");
    let answer =
        json!({ "message": message("n", "blue", Some(&task)), "configuration": { "blocking": true } });
    let done = call(&broker, "message/send", answer).await;
    assert_eq!(done["status"]["state"], "completed", "{done}");
    broker.crash();
    receiver.behave(|_| Reply::of(200));
    let all = ["/sent", "/set", "/posted", "/new"];
    let all_are_over = |posted: &[Posted]| all.iter().all(|path| of(posted, path).into_iter().any(is_over));
    receiver.until("the end, everywhere", all_are_over).await;

    let posted = receiver.posted();
    for posted in ["/sent", "/set", "/posted"].iter().flat_map(|path| of(&posted, path)) {
        assert_eq!(posted.header("content-type"), Some("application/json"));
        assert_eq!(posted.header("a2a-version"), Some("0.3"));
        assert_eq!(posted.header("authorization"), Some("Bearer cred"));
        assert_eq!(posted.header("x-a2a-notification-token"), Some("tok"));
        assert_eq!((&posted.json["kind"], &posted.json["id"]), (&json!("task"), &json!(task)));
    }
    let states = |path| -> Vec<Value> {
        let mut states: Vec<Value> =
            of(&posted, path).iter().map(|posted| posted.json["status"]["state"].clone()).collect();
        states.dedup();
        states
    };
    assert_eq!(states("/sent"), ["working", "input-required", "working", "completed"]);
    assert_eq!((states("/set"), states("/posted")), (states("/sent")[2..].to_vec(), states("/set")));
    let asking =
        of(&posted, "/sent").into_iter().find(|posted| posted.json["status"]["state"] == "input-required");
    let asking = &asking.expect("the question").json;
    assert_eq!(asking["history"].as_array().map(Vec::len), Some(1), "the answer was not given yet: {asking}");
    let last = of(&posted, "/sent").into_iter().find(|posted| is_over(posted)).expect("the end");
    assert_eq!(
        last.json,
        call(&broker, "tasks/get", json!({ "id": task })).await,
        "the last is the task as it is"
    );
    for posted in of(&posted, "/new") {
        assert_eq!(posted.header("a2a-version"), Some("1.0"));
        assert!(posted.json["kind"].is_null() && posted.json.as_object().is_some_and(|only| only.len() == 1));
    }
    let names = |path| -> Vec<Option<&str>> {
        of(&posted, path).iter().map(|posted| posted.header("idempotency-key")).collect()
    };
    assert_eq!(names("/set"), names("/new"), "the same events, whatever is told of them");
}
