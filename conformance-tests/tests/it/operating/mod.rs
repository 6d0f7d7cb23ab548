//! What whoever runs a broker does with it: reads its configuration again, says who may use how much, starts a newer one on
//! what an older one left behind.

mod older_journal;
mod quotas;
mod reload;

use conformance_tests::Broker;
use conformance_tests::wire::{self, Answer};
use serde_json::Value;

/// Asks the operator API.
async fn api(broker: &Broker, key: Option<&str>, path: &str) -> Answer {
    let bearer = key.map(|key| format!("Bearer {key}"));
    let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
    wire::request("GET", &format!("{}/api/v1/{path}", broker.url()), &headers, Vec::new()).await
}

/// The quota of one, as an operator sees it.
async fn quota_of(broker: &Broker, key: Option<&str>, kind: &str, name: &str) -> Value {
    let all = api(broker, key, "quotas").await.json();
    let is_meant = |quota: &&Value| quota["kind"] == kind && quota["name"] == name;
    all["quotas"].as_array().and_then(|all| all.iter().find(is_meant)).cloned().unwrap_or_default()
}
