//! Bad input on both bindings (spec §3.3.2, §5.4, §9.5, §11.6): the error the specification names, and no harm done.

use conformance_tests::{Agent, Broker, wire};
use serde_json::{Value, json};

const JSON: [(&str, &str); 2] = [("Content-Type", "application/json"), ("A2A-Version", "1.0")];

async fn worker() -> (Broker, Agent) {
    let broker = Broker::start("");
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    (broker, agent)
}

fn call(method: &str, params: &Value) -> Vec<u8> {
    json!({ "jsonrpc": "2.0", "id": "i", "method": method, "params": params }).to_string().into_bytes()
}

fn bad_messages() -> Vec<(&'static str, Value)> {
    let message = |member: &str, value: Value| {
        let mut params = wire::message("m", "x");
        params["message"][member] = value;
        params
    };
    vec![
        ("no message", json!({})),
        ("message of a wrong type", json!({ "message": 7 })),
        ("no messageId", message("messageId", Value::Null)),
        ("empty messageId", message("messageId", json!(""))),
        ("no role", message("role", Value::Null)),
        ("unknown role", message("role", json!("user"))),
        ("no parts", message("parts", json!([]))),
        ("parts of a wrong type", message("parts", json!("x"))),
        ("a part without content", message("parts", json!([{ "filename": "x" }]))),
        ("a part with two contents", message("parts", json!([{ "text": "x", "url": "y" }]))),
        ("metadata of a wrong type", message("metadata", json!([]))),
        (
            "a scope that is none",
            message("metadata", json!({ "urn:bailiwick:ext:delegation:v1": { "scope": ["nonsense"] } })),
        ),
        (
            "a reserved wish",
            message("metadata", json!({ "urn:bailiwick:ext:delegation:v1": { "quorum": 2 } })),
        ),
        (
            "negative history",
            json!({ "message": wire::message("m", "x")["message"], "configuration": { "historyLength": -1 } }),
        ),
        (
            "a tenant that is not here",
            json!({ "message": wire::message("m", "x")["message"], "tenant": "other" }),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn json_rpc_answers_bad_input_with_the_code_the_specification_names() {
    let (broker, agent) = worker().await;
    let url = broker.agent_url("worker");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"SendMessage\",\"params\":{deep}}}");
    let raw: Vec<(&str, Vec<u8>, i64)> = vec![
        ("broken JSON", b"{\"jsonrpc\": \"2.0\",".to_vec(), -32700),
        ("not UTF-8", b"{\"a\": \"\xff\"}".to_vec(), -32700),
        ("nothing", Vec::new(), -32700),
        ("deep nesting", nested.into_bytes(), -32700),
        ("a batch", b"[]".to_vec(), -32600),
        ("no version", b"{\"id\":1,\"method\":\"GetTask\"}".to_vec(), -32600),
        ("an id of a wrong type", b"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"GetTask\"}".to_vec(), -32600),
        ("a method of a wrong type", b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}".to_vec(), -32600),
        (
            "a method named twice",
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"GetTask\",\"method\":\"GetTask\"}".to_vec(),
            -32600,
        ),
        ("an unknown method", call("tasks/get", &json!({})), -32601),
        ("params of a wrong type", call("GetTask", &json!([1])), -32602),
        ("no task id", call("GetTask", &json!({})), -32602),
        ("a task id of a wrong type", call("GetTask", &json!({ "id": 7 })), -32602),
        ("an unknown task", call("GetTask", &json!({ "id": "nope" })), -32001),
        ("an unknown task to cancel", call("CancelTask", &json!({ "id": "nope" })), -32001),
        ("a bad page token", call("ListTasks", &json!({ "pageToken": "x".repeat(10_000) })), -32602),
        ("a page too large", call("ListTasks", &json!({ "pageSize": 101 })), -32602),
        ("an empty page", call("ListTasks", &json!({ "pageSize": 0 })), -32602),
        ("an unknown state", call("ListTasks", &json!({ "status": "working" })), -32602),
        (
            "configurations of no task",
            call("ListTaskPushNotificationConfigs", &json!({ "taskId": "x" })),
            -32001,
        ),
        ("an extended card", call("GetExtendedAgentCard", &json!({})), -32004),
        ("a body too large", vec![b' '; 5 << 20], -32600),
    ];
    let messages =
        bad_messages().into_iter().map(|(what, params)| (what, call("SendMessage", &params), -32602));
    for (what, body, code) in raw.into_iter().chain(messages) {
        let answer = wire::request("POST", &url, &JSON, body).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text);
        let error = &answer.json()["error"];
        assert_eq!(error["code"], code, "{what}: {error}");
        assert!(!error["message"].as_str().unwrap().is_empty(), "{what}");
        assert!(error["data"].is_array(), "{what}: {error}");
    }
    assert!(agent.log().is_empty(), "no agent heard of it");
    still_well(&broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_json_answers_bad_input_with_the_status_the_specification_names() {
    let (broker, agent) = worker().await;
    let base = broker.agent_url("worker");
    let send = "/message:send";
    let table: Vec<(&str, &str, &str, Vec<u8>, u16)> = vec![
        ("broken JSON", "POST", send, b"{".to_vec(), 400),
        ("not an object", "POST", send, b"[]".to_vec(), 400),
        ("an unknown path", "GET", "/nothing", Vec::new(), 404),
        ("a wrong method", "DELETE", "/tasks", Vec::new(), 405),
        ("an unknown task", "GET", "/tasks/nope", Vec::new(), 404),
        ("a page too large", "GET", "/tasks?pageSize=101", Vec::new(), 400),
        ("a bad page token", "GET", "/tasks?pageToken=%00%ff", Vec::new(), 400),
        ("a parameter given twice", "GET", "/tasks?pageSize=1&pageSize=2", Vec::new(), 400),
        ("a negative history", "GET", "/tasks/nope?historyLength=-1", Vec::new(), 400),
        ("a body too large", "POST", send, vec![b' '; 5 << 20], 413),
        ("configurations of no task", "GET", "/tasks/x/pushNotificationConfigs", Vec::new(), 404),
        ("a cancellation that is no JSON", "POST", "/tasks/nope:cancel", b"{nonsense".to_vec(), 400),
        (
            "a cancellation at another tenant",
            "POST",
            "/tasks/nope:cancel",
            b"{\"tenant\":\"other\"}".to_vec(),
            400,
        ),
        ("a cancellation of no task", "POST", "/tasks/nope:cancel", b"{}".to_vec(), 404),
        ("a cancellation without a body", "POST", "/tasks/nope:cancel", Vec::new(), 404),
    ];
    let messages = bad_messages()
        .into_iter()
        .map(|(what, params)| (what, "POST", send, params.to_string().into_bytes(), 400));
    for (what, method, path, body, status) in table.into_iter().chain(messages) {
        let answer = wire::request(method, &format!("{base}{path}"), &JSON, body).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        let error = &answer.json()["error"];
        assert_eq!(error["code"], status, "{what}: {error}");
        assert!(error["status"].is_string() && error["details"].is_array(), "{what}: {error}");
        assert_eq!(answer.header("content-type"), Some("application/a2a+json"), "{what}");
    }
    let unknown = wire::get(&format!("{base}/tasks/nope")).await.json();
    assert_eq!(unknown["error"]["details"][0]["reason"], "TASK_NOT_FOUND");
    assert_eq!(unknown["error"]["details"][0]["domain"], "a2a-protocol.org");
    assert!(agent.log().is_empty());
    still_well(&broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_content_types_are_enforced_on_both_bindings() {
    let (broker, _agent) = worker().await;
    let url = broker.agent_url("worker");
    let body = call("GetTask", &json!({ "id": "nope" }));
    for version in ["0.3", "2.0", "1", "one", "1.1"] {
        let headers = [("Content-Type", "application/json"), ("A2A-Version", version)];
        let rpc = wire::request("POST", &url, &headers, body.clone()).await;
        assert_eq!(rpc.json()["error"]["code"], -32009, "{version}");
        let rest = wire::request("GET", &format!("{url}/tasks/nope"), &headers, Vec::new()).await;
        assert_eq!(
            (rest.status, &rest.json()["error"]["details"][0]["reason"]),
            (400, &json!("VERSION_NOT_SUPPORTED"))
        );
    }
    let without = wire::request("POST", &url, &JSON[..1], body.clone()).await;
    assert_eq!(without.json()["error"]["code"], -32009, "no version means 0.3");
    let in_query = wire::request("POST", &format!("{url}?A2A-Version=1.0.3"), &JSON[..1], body.clone()).await;
    assert_eq!(in_query.json()["error"]["code"], -32001, "the query may name it, a patch does not matter");

    let headers = [("Content-Type", "text/plain"), ("A2A-Version", "1.0")];
    let rpc = wire::request("POST", &url, &headers, body).await;
    assert_eq!(rpc.json()["error"]["code"], -32005);
    let rest = wire::request("POST", &format!("{url}/message:send"), &headers, b"{}".to_vec()).await;
    assert_eq!(
        (rest.status, &rest.json()["error"]["details"][0]["reason"]),
        (400, &json!("CONTENT_TYPE_NOT_SUPPORTED"))
    );
}

/// The process lives, serves, and has not grown by what it refused.
async fn still_well(broker: &Broker) {
    let before = broker.resident_kilobytes();
    let url = broker.agent_url("worker");
    for round in 0..200 {
        let body = vec![b'['; 1 << 16];
        let answer = wire::request("POST", &url, &JSON, body).await;
        assert_eq!(answer.json()["error"]["code"], -32700, "round {round}");
    }
    let after = broker.resident_kilobytes();
    assert!(after < before + 20_000, "grew from {before} to {after} kB");
    let well = broker.rpc("/agents/worker", "SendMessage", wire::message("well", "hello")).await;
    assert_eq!(well["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{well}");
    for nonsense in [
        "GET / HTTP/1.1\r\n\r\n",
        "\r\n\r\n",
        "POST / HTTP/9.9\r\n\r\n",
        "\x16\x03\x01",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxxxxx",
    ] {
        wire::raw(broker.address(), nonsense.as_bytes()).await;
    }
    assert_eq!(wire::get(&format!("{}/healthz", broker.url())).await.status, 200);
}
