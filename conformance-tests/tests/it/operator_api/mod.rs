//! The operator API as its own document describes it: valid, true under thousands of calls, and complete about how the broker
//! does and is configured.

mod document;
mod state;

use conformance_tests::wire::{self, Answer};
use conformance_tests::{Agent, Broker, key_digest, until};
use serde_json::{Value, json};

/// What the operator and a user prove themselves with.
const OPERATOR: &str = "key-of-olga-0123456789";
const USER: &str = "key-of-alice-0123456789";
/// Has no tasks.
const OTHER: &str = "the-key-of-another-user";

/// A broker that knows an operator and a user, with two agents and a few trees: one that is over, one that is at work, one
/// that was refused.
struct House {
    broker: Broker,
    agents: [Agent; 2],
    working: String,
}

impl House {
    async fn build(more: &str) -> Self {
        let agents = [Agent::scripted("delegator"), Agent::scripted("worker")];
        let principal = |name: &str, role: &str, key: &str| {
            let digest = key_digest(key);
            format!("[[principals]]\nname = \"{name}\"\nrole = \"{role}\"\nkey_sha256 = \"{digest}\"\n")
        };
        let agent = |name: &str, agent: &Agent, caps: &str| {
            format!("[[agents]]\nname = \"{name}\"\nurl = \"{}\"\ncaps = [{caps}]\n", agent.url())
        };
        let config = [
            more.to_owned(),
            principal("olga", "operator", OPERATOR),
            principal("alice", "user", USER),
            principal("bob", "user", OTHER),
            agent("delegator", &agents[0], "\"a2a:skill/worker/*\""),
            agent("worker", &agents[1], ""),
        ];
        let broker = Broker::start(&config.concat());
        let order = json!({ "delegate": [{ "to": "worker", "script": {} }, { "to": "delegator", "script": {}, "refused": true }] });
        let over = broker
            .rpc_as(Some(USER), "/agents/delegator", "SendMessage", wire::message("over", &order.to_string()))
            .await;
        assert!(over["result"]["task"]["id"].is_string(), "{over}");
        let mut slow = wire::message("slow", &json!({ "delay_ms": 600_000 }).to_string());
        slow["configuration"] = json!({ "returnImmediately": true });
        let slow = broker.rpc_as(Some(USER), "/agents/worker", "SendMessage", slow).await;
        let working = slow["result"]["task"]["id"].as_str().unwrap_or_else(|| panic!("{slow}")).to_owned();
        let house = Self { broker, agents, working };
        until("the slow task at work", async || {
            let tasks = house.get("/tasks?state=TASK_STATE_WORKING").await.json();
            tasks["tasks"]
                .as_array()
                .is_some_and(|tasks| tasks.iter().any(|task| task["task"] == house.working.as_str()))
        })
        .await;
        house
    }

    /// Asks the operator API, as the operator.
    async fn get(&self, path: &str) -> Answer {
        self.get_as(OPERATOR, path).await
    }

    async fn get_as(&self, key: &str, path: &str) -> Answer {
        let authorization = format!("Bearer {key}");
        wire::request(
            "GET",
            &format!("{}/api/v1{path}", self.broker.url()),
            &[("Authorization", &authorization)],
            Vec::new(),
        )
        .await
    }

    /// The document of the API.
    async fn document(&self) -> Value {
        let answer = self.get("/openapi.json").await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("application/json")),
            "{}",
            answer.text
        );
        answer.json()
    }
}
