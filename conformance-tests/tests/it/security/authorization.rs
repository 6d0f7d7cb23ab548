//! The golden authorization matrix: who may do what with whose task. Every operation, asked by everybody, of a live, a
//! finished and an absent task, on both JSON bindings; the expected answers stand in `authorization.golden`.

use std::fmt::Write as _;
use std::path::Path;

use conformance_tests::wire::{self, Answer, OPERATIONS};
use conformance_tests::{Agent, Broker, jwt, key_digest};
use serde_json::{Value, json};

/// Those that use up the task they are allowed on.
const CHANGING: [&str; 3] = ["SendMessage", "SendStreamingMessage", "CancelTask"];
const CALLERS: [&str; 7] =
    ["owner", "same-account", "other-account", "delegate", "revoked-delegate", "operator", "anonymous"];
const STATES: [&str; 3] = ["live", "finished", "absent"];
const ABSENT: &str = "019a0000-0000-7000-8000-000000000000";
/// Each changing operation, by each who may, on each binding, gets a live child of its own; one is for the rest.
const LIVE_CHILDREN: usize = 20;
const AGENT: &str = "worker";

/// A tree whose delegator is at work: live children, and a finished one.
struct Tree {
    grant: String,
    live: Vec<String>,
    finished: String,
}

struct House {
    broker: Broker,
    tree: Tree,
    revoked: Tree,
    _agents: [Agent; 2],
}

fn key(caller: &str) -> String {
    format!("key-of-{caller}-0123456789")
}

impl House {
    async fn build() -> Self {
        let agents = [Agent::scripted("delegator"), Agent::scripted(AGENT)];
        let principal = |caller: &str, account: &str, role: &str| {
            let digest = key_digest(&key(caller));
            format!(
                "[[principals]]\nname = \"{caller}\"\naccount = \"{account}\"\nrole = \"{role}\"\nkey_sha256 = \"{digest}\"\n"
            )
        };
        let agent = |name: &str, agent: &Agent, caps: &str| {
            format!("[[agents]]\nname = \"{name}\"\nurl = \"{}\"\ncaps = [{caps}]\n", agent.url())
        };
        let account = |name: &str| format!("[[accounts]]\nname = \"{name}\"\npolicy = [\"a2a:skill/**\"]\n");
        let config = [
            account("acme"),
            account("other"),
            principal("owner", "acme", "user"),
            principal("same-account", "acme", "user"),
            principal("other-account", "other", "user"),
            principal("operator", "acme", "operator"),
            agent("delegator", &agents[0], "\"a2a:skill/worker/*\""),
            agent(AGENT, &agents[1], ""),
        ];
        let broker = Broker::start(&config.concat());
        let tree = Tree::grow(&broker, &agents[0], "one").await;
        let revoked = Tree::grow(&broker, &agents[0], "two").await;
        let root = jwt::part(&revoked.grant, 1)["task"].as_str().expect("a task").to_owned();
        let url = format!("{}/api/v1/tasks/{root}/revoke", broker.url());
        let answer = wire::post(&url, &json!({}), Some(&key("operator"))).await;
        assert!(answer.status < 300, "{}", answer.text);
        Self { broker, tree, revoked, _agents: agents }
    }

    fn credential(&self, caller: &str) -> Option<String> {
        match caller {
            "anonymous" => None,
            "delegate" => Some(self.tree.grant.clone()),
            "revoked-delegate" => Some(self.revoked.grant.clone()),
            principal => Some(key(principal)),
        }
    }

    /// The task asked about. What an allowed operation would use up is used once.
    fn target(&mut self, caller: &str, operation: &str, state: &str) -> String {
        let tree = if caller == "revoked-delegate" { &mut self.revoked } else { &mut self.tree };
        let may_change = ["owner", "delegate", "operator"].contains(&caller);
        match state {
            "live" if may_change && CHANGING.contains(&operation) => tree.live.pop().expect("a live child"),
            "live" => tree.live[0].clone(),
            "finished" => tree.finished.clone(),
            _ => ABSENT.to_owned(),
        }
    }
}

impl Tree {
    async fn grow(broker: &Broker, delegator: &Agent, id: &str) -> Self {
        let mut orders = vec![json!({ "to": AGENT, "script": {} })];
        orders.extend((0..LIVE_CHILDREN).map(|_| json!({ "to": AGENT, "script": { "delay_ms": 600_000 } })));
        let mut params = wire::message(id, &json!({ "delegate": orders }).to_string());
        params["configuration"] = json!({ "returnImmediately": true });
        let answer = broker.rpc_as(Some(&key("owner")), "/agents/delegator", "SendMessage", params).await;
        let root = answer["result"]["task"]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        loop {
            let url = format!("{}/api/v1/tasks/{root}/tree", broker.url());
            let bearer = format!("Bearer {}", key("operator"));
            let answer = wire::request("GET", &url, &[("Authorization", &bearer)], Vec::new()).await;
            let tasks = answer.json()["tasks"].as_array().cloned().unwrap_or_default();
            let of = |state: &str| -> Vec<String> {
                let children = tasks.iter().filter(|task| task["agent"] == AGENT && task["state"] == state);
                children.map(|task| task["task"].as_str().expect("an id").to_owned()).collect()
            };
            let (live, finished) = (of("TASK_STATE_WORKING"), of("TASK_STATE_COMPLETED"));
            if let (LIVE_CHILDREN, [finished]) = (live.len(), finished.as_slice()) {
                let received = delegator.logged("received");
                let told =
                    received.iter().map(|line| &line["told"]).find(|told| told["task"] == root.as_str());
                let grant =
                    told.expect("the delegator was told")["grant"].as_str().expect("a grant").to_owned();
                return Self { grant, live, finished: finished.clone() };
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

struct Question<'a> {
    operation: &'a str,
    task: &'a str,
    /// Makes message ids unique.
    number: usize,
}

impl Question<'_> {
    fn params(&self) -> Value {
        match self.operation {
            "SendMessage" | "SendStreamingMessage" => {
                let mut params = wire::message(&format!("matrix-{}", self.number), "go on");
                params["message"]["taskId"] = self.task.into();
                params["configuration"] = json!({ "returnImmediately": true });
                params
            }
            "ListTasks" => json!({ "pageSize": 100 }),
            "CreateTaskPushNotificationConfig" => {
                json!({ "taskId": self.task, "id": "c", "url": "https://example.com/hook" })
            }
            "GetTaskPushNotificationConfig" | "DeleteTaskPushNotificationConfig" => {
                json!({ "taskId": self.task, "id": "c" })
            }
            "ListTaskPushNotificationConfigs" => json!({ "taskId": self.task }),
            "GetExtendedAgentCard" => json!({}),
            _ => json!({ "id": self.task }),
        }
    }

    async fn by_jsonrpc(&self, broker: &Broker, credential: Option<&str>) -> Answer {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": self.operation, "params": self.params() });
        let url = broker.agent_url(AGENT);
        wire::first("POST", &url, credential, Some(&body)).await
    }

    async fn by_http_json(&self, broker: &Broker, credential: Option<&str>) -> Answer {
        let task = self.task;
        let configs = format!("/tasks/{task}/pushNotificationConfigs");
        let (method, path) = match self.operation {
            "SendMessage" => ("POST", "/message:send".to_owned()),
            "SendStreamingMessage" => ("POST", "/message:stream".to_owned()),
            "GetTask" => ("GET", format!("/tasks/{task}")),
            "ListTasks" => ("GET", "/tasks?pageSize=100".to_owned()),
            "CancelTask" => ("POST", format!("/tasks/{task}:cancel")),
            "SubscribeToTask" => ("GET", format!("/tasks/{task}:subscribe")),
            "CreateTaskPushNotificationConfig" => ("POST", configs),
            "GetTaskPushNotificationConfig" => ("GET", format!("{configs}/c")),
            "ListTaskPushNotificationConfigs" => ("GET", configs),
            "DeleteTaskPushNotificationConfig" => ("DELETE", format!("{configs}/c")),
            _ => ("GET", "/extendedAgentCard".to_owned()),
        };
        let body = (method == "POST").then(|| self.params());
        wire::first(method, &format!("{}{path}", broker.agent_url(AGENT)), credential, body.as_ref()).await
    }

    /// The answer in a word: `ok`, or the reason of the refusal.
    fn verdict(&self, answer: &Answer) -> String {
        if answer.text.is_empty() {
            return "ok".to_owned();
        }
        let json = answer.json();
        let error = json.get("error");
        match error {
            None if self.operation == "ListTasks" => {
                let page = json.get("result").unwrap_or(&json);
                let tasks = page["tasks"].as_array().expect("a page");
                if tasks.iter().any(|task| task["id"] == self.task) {
                    "ok".to_owned()
                } else {
                    "not listed".to_owned()
                }
            }
            None => "ok".to_owned(),
            Some(error) => {
                let details = error.get("data").or(error.get("details"));
                let reason = details.and_then(|details| details[0]["reason"].as_str());
                reason.map_or_else(|| error["code"].to_string(), ToOwned::to_owned)
            }
        }
    }
}

/// Unauthenticated calls have no reason of their own, only a code.
fn same_word(verdict: &str) -> &str {
    match verdict {
        "-31401" | "401" => "unauthenticated",
        word => word,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_do_what_with_whose_task() {
    let mut house = House::build().await;
    let mut golden = String::from("operation | caller | live | finished | absent\n");
    let mut number = 0;
    for operation in OPERATIONS {
        for caller in CALLERS {
            let mut row = Vec::new();
            let mut absent_or_foreign = Vec::new();
            for state in STATES {
                let mut words = Vec::new();
                for binding in ["jsonrpc", "http+json"] {
                    number += 1;
                    let task = house.target(caller, operation, state);
                    let question = Question { operation, task: &task, number };
                    let credential = house.credential(caller);
                    let answer = match binding {
                        "jsonrpc" => question.by_jsonrpc(&house.broker, credential.as_deref()).await,
                        _ => question.by_http_json(&house.broker, credential.as_deref()).await,
                    };
                    words.push(same_word(&question.verdict(&answer)).to_owned());
                    absent_or_foreign.push((binding, answer.status, answer.text.replace(&task, "ID")));
                }
                assert_eq!(
                    words[0], words[1],
                    "{operation} by {caller} of a {state} task differs between bindings"
                );
                row.push(words.swap_remove(0));
            }
            if ["same-account", "other-account"].contains(&caller) {
                for binding in ["jsonrpc", "http+json"] {
                    let bytes: Vec<_> = absent_or_foreign.iter().filter(|(of, ..)| *of == binding).collect();
                    assert!(
                        bytes.windows(2).all(|pair| pair[0] == pair[1]),
                        "{operation} by {caller}: foreign and absent must be the same bytes: {bytes:#?}"
                    );
                }
            }
            writeln!(golden, "{operation} | {caller} | {}", row.join(" | ")).expect("a String takes all");
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/security/authorization.golden");
    if std::env::var_os("BAILIWICK_BLESS").is_some() {
        std::fs::write(&file, &golden).expect("written");
    }
    let expected = std::fs::read_to_string(&file).expect("the golden file");
    let differing: Vec<_> = golden.lines().zip(expected.lines()).filter(|(now, then)| now != then).collect();
    assert!(golden == expected, "(now, expected): {differing:#?}");
}

#[test]
fn no_operation_is_missing_from_the_matrix() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/src/operation.rs");
    let source = std::fs::read_to_string(table).expect("the broker's table of operations");
    let rows =
        source.split("operation_table! {").nth(1).expect("the table").split("\n}").next().expect("its end");
    let names: Vec<&str> = rows.split('"').skip(1).step_by(2).filter(|text| is_method(text)).collect();
    assert_eq!(
        names, OPERATIONS,
        "an operation the broker serves is not in the matrix, or the other way round"
    );
}

fn is_method(text: &str) -> bool {
    text.starts_with(char::is_uppercase) && text.contains(char::is_lowercase)
}
