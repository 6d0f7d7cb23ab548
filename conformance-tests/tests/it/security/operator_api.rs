//! Who may do what by the operator API: every endpoint of the served document, asked by everybody, about a task of the owner's
//! and an agent that is there; the expected answers stand in `operator_api.golden`. An endpoint that is not in it fails here.

use std::fmt::Write as _;
use std::path::Path;

use conformance_tests::wire;
use conformance_tests::{Agent, Broker, is_embedded, key_digest};
use serde_json::{Value, json};

const CALLERS: [&str; 6] = ["owner", "same-account", "other-account", "delegate", "operator", "anonymous"];
const AGENT: &str = "worker";

struct House {
    broker: Broker,
    task: String,
    grant: String,
    _agent: Agent,
}

fn key(caller: &str) -> String {
    format!("key-of-{caller}-0123456789")
}

impl House {
    async fn build() -> Self {
        let agent = Agent::scripted(AGENT);
        let principal = |caller: &str, account: &str, role: &str| {
            let digest = key_digest(&key(caller));
            format!(
                "[[principals]]\nname = \"{caller}\"\naccount = \"{account}\"\nrole = \"{role}\"\nkey_sha256 = \"{digest}\"\n"
            )
        };
        let account = |name: &str| format!("[[accounts]]\nname = \"{name}\"\npolicy = [\"a2a:skill/**\"]\n");
        let config = [
            account("acme"),
            account("other"),
            principal("owner", "acme", "user"),
            principal("same-account", "acme", "user"),
            principal("other-account", "other", "user"),
            principal("operator", "acme", "operator"),
            format!("[[agents]]\nname = \"{AGENT}\"\nurl = \"{}\"\ncaps = [\"a2a:skill/**\"]\n", agent.url()),
        ];
        let broker = Broker::start(&config.concat());
        let mut message = wire::message("work", &json!({ "delay_ms": 600_000 }).to_string());
        message["configuration"] = json!({ "returnImmediately": true });
        let sent = broker.rpc_as(Some(&key("owner")), "/agents/worker", "SendMessage", message).await;
        let task = sent["result"]["task"]["id"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned();
        conformance_tests::until("the agent to be told", async || !agent.logged("received").is_empty()).await;
        let grant = agent.logged("received")[0]["told"]["grant"].as_str().expect("a grant").to_owned();
        Self { broker, task, grant, _agent: agent }
    }

    fn credential(&self, caller: &str) -> Option<String> {
        match caller {
            "anonymous" => None,
            "delegate" => Some(self.grant.clone()),
            principal => Some(key(principal)),
        }
    }

    /// Asks for what one path and method of the document stand for; what came of it in a word.
    async fn verdict(&self, method: &str, path: &str, operation: &Value, caller: &str) -> String {
        let path = path.replace("{name}", AGENT).replace("{id}", &self.task).replace("{task}", &self.task);
        let url = format!("{}/api/v1{}", self.broker.url(), path.replace("{config}", "none"));
        let body = operation.get("requestBody").map(|_| body(operation));
        let answer = wire::first(method, &url, self.credential(caller).as_deref(), body.as_ref()).await;
        let reason = serde_json::from_str(&answer.text).ok().and_then(|json: Value| {
            let error = json.get("error")?;
            let details = error["details"].as_array()?;
            let reason = details.iter().find_map(|detail| detail["reason"].as_str());
            Some(reason.or(error["status"].as_str())?.to_owned())
        });
        // Whoever may take a backup is told where it is taken, where that is not here.
        let is_elsewhere =
            |reason: &String| reason == "BACKED_UP_ELSEWHERE" && !is_embedded("taking a backup");
        let reason = reason.map(|reason| if is_elsewhere(&reason) { "ok".to_owned() } else { reason });
        reason
            .unwrap_or_else(|| if answer.status < 300 { "ok".to_owned() } else { answer.status.to_string() })
    }
}

/// Something that can be read, and changes nothing that the next question is about.
fn body(operation: &Value) -> Value {
    match operation["operationId"].as_str().expect("an id") {
        "registerAgent" => json!({ "name": "another", "url": "http://127.0.0.1:9" }),
        "resolveTask" => json!({ "as": "ask" }),
        "select" => json!({ "text": "do something" }),
        "advise" => json!({ "goal": "go on", "samples": [{ "text": "one way" }] }),
        _ => json!({}),
    }
}

/// Those after which nothing is as it was; asked last.
const LAST: [&str; 2] = ["removeAgent", "revokeTask"];

#[tokio::test(flavor = "multi_thread")]
async fn who_may_do_what_by_the_operator_api() {
    let house = House::build().await;
    let document = {
        let bearer = format!("Bearer {}", key("operator"));
        let url = format!("{}/api/v1/openapi.json", house.broker.url());
        wire::request("GET", &url, &[("Authorization", &bearer)], Vec::new()).await.json()
    };
    let paths = document["paths"].as_object().expect("paths");
    let mut all: Vec<(&str, &str, &Value)> = Vec::new();
    for (path, methods) in paths {
        all.extend(
            methods
                .as_object()
                .expect("methods")
                .iter()
                .map(|(method, operation)| (path.as_str(), method.as_str(), operation)),
        );
    }
    all.sort_by_key(|(.., operation)| LAST.iter().position(|last| operation["operationId"] == *last));
    let mut golden = format!("endpoint | {}\n", CALLERS.join(" | "));
    for (path, method, operation) in all {
        let method = method.to_uppercase();
        let mut row = CALLERS.map(|caller| (caller, String::new()));
        // Who may do it comes after those who may not.
        for caller in ["anonymous", "other-account", "same-account", "delegate", "owner", "operator"] {
            let verdict = house.verdict(&method, path, operation, caller).await;
            row.iter_mut().filter(|(of, _)| *of == caller).for_each(|(_, word)| word.clone_from(&verdict));
        }
        let words: Vec<String> = row.into_iter().map(|(_, word)| word).collect();
        writeln!(golden, "{method} {path} | {}", words.join(" | ")).expect("a String takes all");
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/security/operator_api.golden");
    if std::env::var_os("BAILIWICK_BLESS").is_some() {
        std::fs::write(&file, &golden).expect("written");
    }
    let expected = std::fs::read_to_string(&file).expect("the golden file");
    let missing: Vec<_> = golden.lines().filter(|line| !expected.lines().any(|then| then == *line)).collect();
    assert!(golden == expected, "new or other than expected: {missing:#?}");
}
