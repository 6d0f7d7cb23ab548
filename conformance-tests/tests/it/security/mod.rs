//! Who is let in, and who is not.

mod adversary;
pub(crate) mod api_keys;
mod authorization;
mod certificates;
mod http2;
mod operator_api;
mod sockets;
mod stalled_readers;
mod tokens;

use conformance_tests::wire::{self, Answer};
use serde_json::{Value, json};

/// The same call at each door: both bindings and the operator API.
async fn knock(broker: &str, headers: &[(&str, &str)]) -> [Answer; 3] {
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {} }).to_string();
    let mut all = vec![("A2A-Version", "1.0"), ("Content-Type", "application/json")];
    all.extend(headers);
    [
        wire::request("POST", broker, &all, list.into_bytes()).await,
        wire::request("GET", &format!("{broker}/tasks"), &all, Vec::new()).await,
        wire::request("GET", &format!("{broker}/api/v1/agents"), &all, Vec::new()).await,
    ]
}

/// Every door opens.
async fn assert_let_in(broker: &str, headers: &[(&str, &str)], what: &str) {
    for answer in knock(broker, headers).await {
        assert_eq!(answer.status, 200, "{what}: {}", answer.text);
        let error = serde_json::from_str::<Value>(&answer.text).unwrap().get("error").cloned();
        assert_eq!(error, None, "{what}");
    }
}

/// Every door stays shut, and says so in its own way; `invalid` tells a bad credential from none.
async fn assert_shut_out(broker: &str, headers: &[(&str, &str)], invalid: bool, what: &str) {
    let answers = knock(broker, headers).await;
    for answer in &answers {
        assert_eq!(answer.status, 401, "{what}: {}", answer.text);
        let challenge = answer.header("www-authenticate").expect("a challenge");
        assert!(challenge.starts_with("Bearer realm=\"bailiwick\""), "{challenge}");
        assert_eq!(challenge.contains("error=\"invalid_token\""), invalid, "{what}: {challenge}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let reason = if invalid { "CREDENTIAL_INVALID" } else { "CREDENTIAL_REQUIRED" };
    let [jsonrpc, rest, api] = answers.map(|answer| answer.json());
    assert_eq!(jsonrpc["error"]["code"], -31401, "{what}");
    assert_eq!(jsonrpc["error"]["data"][0]["reason"], reason, "{what}");
    assert_eq!(jsonrpc["id"], 1);
    for answer in [rest, api] {
        assert_eq!(answer["error"]["status"], "UNAUTHENTICATED", "{what}");
        assert_eq!(answer["error"]["details"][0]["reason"], reason, "{what}");
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}
