//! Quotas: who has used up what it may is refused with the time to come back; others are served; and what was used is seen.

use conformance_tests::{Agent, Broker, Gates, key_digest, until, wire};
use serde_json::{Value, json};

use super::{api, quota_of};

const EXTENSION: &str = "urn:bailiwick:ext:delegation:v1";
const ADMIN: &str = "an-operators-own-key";

/// Three people, two of whom share an account, and an operator.
fn people() -> String {
    let person = |name: &str, more: &str| {
        let digest = key_digest(&key_of(name));
        format!("[[principals]]\nname = \"{name}\"\nkey_sha256 = \"{digest}\"\n{more}\n")
    };
    let operator = format!(
        "[[principals]]\nname = \"admin\"\nrole = \"operator\"\nkey_sha256 = \"{}\"\n",
        key_digest(ADMIN)
    );
    let account = "[[accounts]]\nname = \"acme\"\npolicy = [\"a2a:skill/**\"]\n";
    let ours = "account = \"acme\"";
    [operator, person("alice", ours), person("bob", ours), person("carol", ""), account.to_owned()].concat()
}

fn key_of(name: &str) -> String {
    format!("the-secret-key-of-{name}")
}

async fn start(quotas: &str) -> (Broker, Agent) {
    let broker = Broker::start(&format!("{}{quotas}", people()));
    let agent = Agent::scripted("worker");
    let body = json!({ "name": "worker", "url": agent.url() });
    let added = wire::post(&format!("{}/api/v1/agents", broker.url()), &body, Some(ADMIN)).await;
    assert_eq!(added.status, 201, "{}", added.text);
    (broker, agent)
}

async fn send(broker: &Broker, who: &str, id: &str, script: &Value, wishes: Option<Value>) -> Value {
    let mut params = wire::message(id, &script.to_string());
    if let Some(wishes) = wishes {
        params["message"]["metadata"] = json!({ EXTENSION: wishes });
    }
    broker.rpc_as(Some(&key_of(who)), "/agents/worker", "SendMessage", params).await
}

#[track_caller]
fn assert_done(answer: &Value) {
    assert_eq!(answer["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{answer}");
}

/// The seconds after which it may be tried again.
#[track_caller]
fn assert_refused(answer: &Value, reason: &str, subject: &str, bound: &str) -> u64 {
    assert_eq!(answer["error"]["code"], -31429, "{answer}");
    let info = &answer["error"]["data"][0];
    assert_eq!(info["reason"], reason, "{answer}");
    assert_eq!((&info["metadata"]["subject"], &info["metadata"]["bound"]), (&json!(subject), &json!(bound)));
    let delay = answer["error"]["data"][1]["retryDelay"].as_str().unwrap_or_default();
    delay.trim_end_matches('s').parse().unwrap_or_else(|_| panic!("a time to come back: {answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_by_each_principal_and_by_an_account_together() {
    let (broker, agent) = start(
        // As few as can be: the more there are, the sooner another one may come.
        "[[quotas]]\nof = \"principal:alice\"\nmessages_per_minute = 1\n\
         [[quotas]]\nof = \"account:acme\"\nmessages_per_minute = 2\n",
    )
    .await;
    let hello = json!({ "chunks": ["hello"] });
    assert_done(&send(&broker, "alice", "a1", &hello, None).await);
    let refused = send(&broker, "alice", "a2", &hello, None).await;
    let seconds = assert_refused(&refused, "QUOTA_EXCEEDED", "principal alice", "messages_per_minute");
    assert!((1..=60).contains(&seconds), "{seconds}");
    // The same over HTTP, where it is a header.
    let url = format!("{}/message:send", broker.agent_url("worker"));
    let over_http = wire::post(&url, &wire::message("a3", "{}"), Some(&key_of("alice"))).await;
    assert_eq!(over_http.status, 429, "{}", over_http.text);
    assert!(over_http.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok()));

    assert_done(&send(&broker, "bob", "b1", &hello, None).await);
    let together = send(&broker, "bob", "b2", &hello, None).await;
    assert_refused(&together, "QUOTA_EXCEEDED", "account acme", "messages_per_minute");
    for id in ["c1", "c2", "c3", "c4"] {
        assert_done(&send(&broker, "carol", id, &hello, None).await);
    }
    // What was done already is told again, however much was used since.
    assert_done(&send(&broker, "alice", "a1", &hello, None).await);
    assert_eq!(agent.logged("received").len(), 6, "what is refused is not sent");

    let seen = quota_of(&broker, Some(ADMIN), "principal", "alice").await;
    assert_eq!(seen["bounds"]["messages_per_minute"]["limit"], 1, "{seen}");
    assert_eq!(seen["refused"], 2, "{seen}");
    let hers = api(&broker, Some(&key_of("alice")), "quotas").await.json();
    let names: Vec<_> = hers["quotas"].as_array().unwrap().iter().map(|quota| &quota["name"]).collect();
    assert_eq!(names, ["alice", "acme"], "nobody else is her business");
    let metrics = wire::request(
        "GET",
        &format!("{}/metrics", broker.url()),
        &[("Authorization", &format!("Bearer {ADMIN}"))],
        Vec::new(),
    )
    .await
    .text;
    for line in [
        "bailiwick_quota_refusals_total{kind=\"principal\",bound=\"messages_per_minute\"} 2",
        "bailiwick_quota_refusals_total{kind=\"account\",bound=\"messages_per_minute\"} 1",
        "bailiwick_quota_used_ratio{kind=\"account\",name=\"acme\",bound=\"messages_per_minute\"} ",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let shown = broker.command(&["--key", ADMIN, "quota"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("principal alice  refused 2 times"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_given_as_many_open_tasks_as_it_may_have_by_whomever() {
    let (broker, agent) = start("[[quotas]]\nof = \"agent:*\"\nopen_tasks = 1\n").await;
    let gates = Gates::start().await;
    let waiting = json!({ "gate": gates.wait("all"), "chunks": ["done"] });
    let mut params = wire::message("held", &waiting.to_string());
    params["configuration"] = json!({ "returnImmediately": true });
    let held = broker.rpc_as(Some(&key_of("alice")), "/agents/worker", "SendMessage", params).await;
    let task = held["result"]["task"]["id"].as_str().expect("a task").to_owned();
    until("the agent is at work", async || !agent.logged("received").is_empty()).await;
    let refused = send(&broker, "carol", "c1", &json!({}), None).await;
    assert_refused(&refused, "TOO_MANY_TASKS", "agent worker", "open_tasks");
    gates.open("all").await;
    let get = json!({ "id": task });
    until("its end", async || {
        let shown = broker.rpc_as(Some(&key_of("alice")), "/agents/worker", "GetTask", get.clone()).await;
        shown["result"]["status"]["state"] == "TASK_STATE_COMPLETED"
    })
    .await;
    assert_done(&send(&broker, "carol", "c2", &json!({ "chunks": ["now"] }), None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_uses_up_an_agent_that_does_not_reach_it_or_with_a_budget_it_does_not_use() {
    let narrow = "[[principals]]\nname = \"dave\"\nscope = [\"a2a:skill/other/*\"]\n";
    let narrow = format!("{narrow}key_sha256 = \"{}\"\n", key_digest(&key_of("dave")));
    let quota = "[[quotas]]\nof = \"agent:worker\"\nmessages_per_minute = 2\ntokens_per_day = 1000\n";
    let (broker, agent) = start(&format!("{narrow}{quota}")).await;
    for number in 0..5 {
        let refused = send(&broker, "dave", &format!("d{number}"), &json!({}), None).await;
        assert_eq!(refused["error"]["code"], -31403, "{refused}");
    }
    let large = json!({ "budget": { "tokens": 1_000_000 } });
    assert_done(&send(&broker, "alice", "a1", &json!({ "chunks": ["done"] }), Some(large)).await);
    assert_done(&send(&broker, "carol", "c1", &json!({ "chunks": ["done"] }), None).await);
    let refused = send(&broker, "carol", "c2", &json!({}), None).await;
    assert_refused(&refused, "QUOTA_EXCEEDED", "agent worker", "messages_per_minute");
    let seen = quota_of(&broker, Some(ADMIN), "agent", "worker").await;
    assert_eq!(seen["bounds"]["tokens_per_day"]["used"], 0, "{seen}");
    assert_eq!(agent.logged("received").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_wait_are_counted_until_they_are_answered() {
    let (broker, agent) = start("[[quotas]]\nof = \"principal:*\"\ncalls_at_once = 1\n").await;
    let gates = Gates::start().await;
    let waiting = json!({ "gate": gates.wait("all"), "chunks": ["done"] });
    let key = key_of("alice");
    let url = broker.agent_url("worker");
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "SendMessage",
                       "params": wire::message("held", &waiting.to_string()) });
    let held = tokio::spawn(async move { wire::post(&url, &body, Some(&key)).await.json() });
    until("the agent is at work", async || !agent.logged("received").is_empty()).await;
    let refused = send(&broker, "alice", "a2", &json!({}), None).await;
    assert_refused(&refused, "QUOTA_EXCEEDED", "principal alice", "calls_at_once");
    assert_done(&send(&broker, "bob", "b1", &json!({ "chunks": ["another one's"] }), None).await);
    gates.open("all").await;
    assert_done(&held.await.unwrap());
    assert_done(&send(&broker, "alice", "a2", &json!({ "chunks": ["now"] }), None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_days_budget_is_held_for_open_trees_and_outlives_a_restart() {
    let (mut broker, agent) = start("[[quotas]]\nof = \"account:acme\"\ntokens_per_day = 1000\n").await;
    let costs = |tokens: u64| json!({ "chunks": ["done"], "cost": { "tokens": tokens } });
    // Who asks for nothing gets a share, and gives back what it does not use.
    assert_done(&send(&broker, "alice", "a1", &costs(300), None).await);
    let told = agent.logged("received")[0]["told"]["budget"]["tokens"].as_f64();
    assert_eq!(told, Some(500.0), "half of what there was");
    let seen = quota_of(&broker, Some(ADMIN), "account", "acme").await;
    assert_eq!(seen["bounds"]["tokens_per_day"], json!({ "limit": 1000, "used": 300 }), "{seen}");

    let too_much = send(&broker, "bob", "b1", &costs(1), Some(json!({ "budget": { "tokens": 701 } }))).await;
    let seconds = assert_refused(&too_much, "QUOTA_EXCEEDED", "account acme", "tokens_per_day");
    assert!(seconds >= 1);
    assert_done(&send(&broker, "bob", "b2", &costs(700), Some(json!({ "budget": { "tokens": 700 } }))).await);
    let seen = quota_of(&broker, Some(ADMIN), "account", "acme").await;
    assert_eq!(seen["bounds"]["tokens_per_day"]["used"], 1000, "{seen}");

    broker.terminate();
    broker.ended().await;
    broker.restart();
    let refused = send(&broker, "alice", "a2", &costs(1), None).await;
    assert_refused(&refused, "QUOTA_EXCEEDED", "account acme", "tokens_per_day");
    assert_done(&send(&broker, "carol", "c1", &costs(5_000), None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_open_trees_hold_is_told_anew_after_a_crash() {
    let (mut broker, agent) =
        start("[[quotas]]\nof = \"principal:alice\"\ntokens_per_day = 1000\nopen_tasks = 1\n").await;
    let asks = json!({ "ask": "which one?" });
    let asked = send(&broker, "alice", "a1", &asks, Some(json!({ "budget": { "tokens": 900 } }))).await;
    assert_eq!(asked["result"]["task"]["status"]["state"], "TASK_STATE_INPUT_REQUIRED", "{asked}");
    broker.crash();
    let seen = quota_of(&broker, Some(ADMIN), "principal", "alice").await;
    assert_eq!(seen["bounds"]["tokens_per_day"]["held"], 900, "{seen}");
    assert_eq!(seen["bounds"]["open_tasks"], json!({ "limit": 1, "used": 1 }), "{seen}");
    let agents = quota_of(&broker, Some(ADMIN), "agent", "worker").await;
    assert_eq!(agents["bounds"]["open_tasks"]["used"], 1, "{agents}");
    let refused = send(&broker, "alice", "a2", &json!({}), None).await;
    assert_refused(&refused, "TOO_MANY_TASKS", "principal alice", "open_tasks");
    assert_eq!(agent.logged("received").len(), 1);
}

#[test]
fn a_quota_of_nobody_or_of_nothing_is_told_at_start() {
    let check = |quota: &str| {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("bailiwick.toml");
        std::fs::write(&file, quota).unwrap();
        let output =
            conformance_tests::command(&["config", "check", "--config"]).arg(&file).output().unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for (quota, says) in [
        ("[[quotas]]\nof = \"alice\"\n", "expected \"principal:NAME\""),
        ("[[quotas]]\nof = \"account:nobody\"\n", "there is no [[accounts]] entry of that name"),
        ("[[quotas]]\nof = \"agent:a\"\ncalls_at_once = 1\n", "max_concurrent"),
        ("[[quotas]]\nof = \"agent:a\"\nusd_per_day = \"lots\"\n", "expected an amount such as \"12.50\""),
        ("[[quotas]]\nof = \"agent:a\"\n[[quotas]]\nof = \"agent:a\"\n", "stands twice"),
    ] {
        let said = check(quota);
        assert!(said.contains(says), "{quota}: {said}");
    }
}
