//! The web console in a real browser, and the part of the operator API that it looks through.

mod crowd;
mod large;
mod live;
mod reading;
mod watching;

use std::collections::BTreeMap;
use std::path::PathBuf;

use conformance_tests::{Agent, Broker, Gates, Page, key_digest, missing_browser, wire};
use serde_json::{Value, json};

/// Everything the policy of these tests needs: who asks, who operates.
fn principals() -> String {
    let one = |name: &str, role: &str| {
        format!(
            "[[principals]]\nname = \"{name}\"\nrole = \"{role}\"\nkey_sha256 = \"{}\"\n",
            key_digest(name)
        )
    };
    [one("alice", "user"), one("bob", "user"), one("root", "operator")].concat()
}

/// Says that there is no browser to look with; whether so.
fn skipped(what: &str) -> bool {
    if let Some(reason) = missing_browser() {
        eprintln!("skipped: {what}: {reason}");
        return true;
    }
    false
}

/// A broker and scripted agents that it knows, each with what it may hold.
struct Stage {
    broker: Broker,
    agents: BTreeMap<&'static str, Agent>,
    gates: Gates,
}

impl Stage {
    async fn start(config: &str, agents: &[(&'static str, &[&str])], key: Option<&str>) -> Self {
        let broker = Broker::start(config);
        let mut known = BTreeMap::new();
        for (name, caps) in agents {
            let agent = Agent::scripted(name);
            let body = json!({ "name": name, "url": agent.url(), "caps": caps });
            let added = wire::post(&format!("{}/api/v1/agents", broker.url()), &body, key).await;
            assert_eq!(added.status, 201, "{}", added.text);
            known.insert(*name, agent);
        }
        Self { broker, agents: known, gates: Gates::start().await }
    }

    fn console(&self, place: &str) -> String {
        format!("{}/console{place}", self.broker.url())
    }

    /// Where a script waits.
    fn wait(&self, gate: &str) -> String {
        self.gates.wait(gate)
    }

    async fn open(&self, gate: &str) {
        self.gates.open(gate).await;
    }

    /// Sends a script to an agent and does not wait for what comes of it; the task.
    async fn send(&self, agent: &str, script: &Value, key: Option<&str>) -> String {
        self.send_with(agent, script, &json!([]), key).await
    }

    /// The same with further parts.
    async fn send_with(&self, agent: &str, script: &Value, parts: &Value, key: Option<&str>) -> String {
        let mut params = wire::message(&uuid::Uuid::now_v7().to_string(), &script.to_string());
        params["message"]["parts"].as_array_mut().unwrap().extend(parts.as_array().unwrap().clone());
        params["configuration"] = json!({ "returnImmediately": true });
        let sent = self.broker.rpc_as(key, &format!("/agents/{agent}"), "SendMessage", params).await;
        sent["result"]["task"]["id"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned()
    }
}

/// Keeps a picture for whoever wants to look, if `BAILIWICK_PICTURES` names a folder.
async fn picture(page: &Page<'_>, name: &str) {
    if let Ok(folder) = std::env::var("BAILIWICK_PICTURES") {
        let bytes = page.picture().await;
        std::fs::write(PathBuf::from(folder).join(format!("{name}.png")), bytes)
            .expect("a folder to write to");
    }
}
