//! Two brokers with stores of their own, each an agent's host to the other: one tree across both, no wider and no deeper
//! than it would be at one.

use std::collections::BTreeMap;

use conformance_tests::{Agent, Broker, Posted, Receiver, key_digest, until, wire};
use serde_json::{Value, json};

use super::telemetry::{CALLER, hex, spans};

const EXTENSION: &str = "urn:bailiwick:ext:delegation:v1";
const OPERATOR: &str = "the-operators-key-0001";
const USER: &str = "the-users-key-00000001";
const NEAR: &str = "the-near-brokers-key-1";
const FAR: &str = "the-far-brokers-key-01";

/// Near: coordinator and sum. Far: worker, deep and other. Each knows some of the other's.
struct Two {
    near: Broker,
    far: Broker,
    agents: BTreeMap<&'static str, Agent>,
}

/// Who may call a broker: an operator, a user, and the other broker.
fn principals(other: &str, its_key: &str) -> String {
    let principal = |name: &str, role: &str, key: &str| {
        format!(
            "[[principals]]\nname = \"{name}\"\nrole = \"{role}\"\nkey_sha256 = \"{}\"\n",
            key_digest(key)
        )
    };
    let mut all = principal("olga", "operator", OPERATOR) + &principal("alice", "user", USER);
    if !its_key.is_empty() {
        let of = format!("broker = \"{other}\"\nscope = [\"a2a:skill/**\", \"mcp:tool/**\"]\n");
        all = all + &principal(other, "broker", its_key) + &of;
    }
    all
}

fn agent(name: &str, url: &str, caps: &[&str], of: Option<&str>) -> String {
    let caps = serde_json::to_string(caps).expect("texts");
    let of = of.map(|broker| {
        format!("broker = \"{broker}\"\nauth = {{ bearer = {{ env = \"BAILIWICK_AGENT_KEY\" }} }}\n")
    });
    format!("[[agents]]\nname = \"{name}\"\nurl = \"{url}\"\ncaps = {caps}\n{}", of.unwrap_or_default())
}

impl Two {
    /// With more of a configuration for both.
    async fn start(more: &str) -> Self {
        let mut agents: BTreeMap<&'static str, Agent> =
            ["coordinator", "sum", "worker"].map(|name| (name, Agent::scripted(name))).into();
        agents.extend(["deep", "other"].map(|name| (name, Agent::scripted_rust(name))));
        let start = |key: &str| {
            Broker::start_with(&(more.to_owned() + &principals("", "")), &[("BAILIWICK_AGENT_KEY", key)])
        };
        let (near, far) = (start(NEAR), start(FAR));
        let url = |name: &str| agents[name].url();
        let of_rust = |name: &str| format!("{}/jsonrpc", url(name));
        let other = |broker: &Broker, name: &str| {
            format!("[[brokers]]\nname = \"{name}\"\nurl = \"{}\"\n", broker.url())
        };
        near.configure(
            &[
                more.to_owned(),
                principals("far", FAR),
                other(&far, "far"),
                agent(
                    "coordinator",
                    url("coordinator"),
                    &[
                        "a2a:skill/far-worker/*",
                        "a2a:skill/sum/*",
                        "a2a:skill/far-deep/*",
                        "mcp:tool/search{calls<=5}",
                    ],
                    None,
                ),
                agent(
                    "sum",
                    url("sum"),
                    &["a2a:skill/far-deep/*", "a2a:skill/far-worker/*", "a2a:skill/coordinator/*"],
                    None,
                ),
                agent(
                    "far-worker",
                    &far.agent_url("worker"),
                    &["a2a:skill/sum/*", "a2a:skill/far-deep/*", "mcp:tool/search"],
                    Some("far"),
                ),
                agent("far-deep", &far.agent_url("deep"), &[], Some("far")),
            ]
            .concat(),
        );
        far.configure(
            &[
                more.to_owned(),
                principals("near", NEAR),
                other(&near, "near"),
                agent(
                    "worker",
                    url("worker"),
                    &["a2a:skill/near-sum/*", "a2a:skill/deep/*", "a2a:skill/other/*", "mcp:tool/**"],
                    None,
                ),
                agent("deep", &of_rust("deep"), &[], None),
                agent("other", &of_rust("other"), &[], None),
                agent(
                    "near-sum",
                    &near.agent_url("sum"),
                    &["a2a:skill/deep/*", "a2a:skill/worker/*"],
                    Some("near"),
                ),
            ]
            .concat(),
        );
        for (broker, last) in [(&near, "far-deep"), (&far, "near-sum")] {
            broker.hang_up();
            let path = format!("{}/api/v1/agents/{last}", broker.url());
            until("it has read its configuration", async || {
                let found = wire::request(
                    "GET",
                    &path,
                    &[("Authorization", &format!("Bearer {OPERATOR}"))],
                    Vec::new(),
                )
                .await;
                found.status == 200 && found.json()["description"] != Value::Null
            })
            .await;
        }
        // Both are there by now, and have each other's cards.
        Self { near, far, agents }
    }

    /// What a user gets that has the near coordinator do something.
    async fn ask(&self, id: &str, script: &Value) -> Value {
        let answer = self
            .near
            .rpc_as(Some(USER), "/agents/coordinator", "SendMessage", wire::message(id, &script.to_string()))
            .await;
        answer["result"]["task"].clone()
    }

    /// The tasks of a broker, newest first, as its operator sees them.
    async fn tasks(broker: &Broker) -> Vec<Value> {
        let answer = broker.rpc_as(Some(OPERATOR), "", "ListTasks", json!({})).await;
        let ids: Vec<String> = answer["result"]["tasks"]
            .as_array()
            .unwrap_or_else(|| panic!("{answer}"))
            .iter()
            .map(|task| task["id"].as_str().expect("an id").to_owned())
            .collect();
        let mut tasks = Vec::new();
        for id in ids {
            let found = broker.rpc_as(Some(OPERATOR), "", "GetTask", json!({ "id": id })).await;
            tasks.push(found["result"].clone());
        }
        tasks
    }

    fn refusals(&self, agent: &str) -> Vec<String> {
        let refused = self.agents[agent].logged("refused");
        refused.iter().map(|line| line["error"].as_str().expect("an error").to_owned()).collect()
    }
}

/// A user's call from within a trace.
async fn traced(url: &str, call: &Value) -> Value {
    let key = format!("Bearer {USER}");
    let headers = [
        ("A2A-Version", "1.0"),
        ("Content-Type", "application/json"),
        ("traceparent", CALLER),
        ("Authorization", key.as_str()),
    ];
    wire::request("POST", url, &headers, call.to_string().into_bytes()).await.json()
}

fn hop(to: &str, script: &Value) -> Value {
    json!({ "delegate": [{ "to": to, "skill": "work", "script": script }] })
}

/// Hop by hop, the last one works.
fn through(agents: &[&str], last: Value) -> Value {
    agents.iter().rev().fold(last, |script, to| hop(to, &script))
}

fn said(task: &Value) -> &Value {
    &task["metadata"][EXTENSION]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_of_four_hops_across_both_has_one_trace_and_says_at_each_where_it_comes_from() {
    let collector = Receiver::start().await;
    let url = collector.url("/v1/traces");
    let two = Two::start(&format!("[traces]\nendpoint = \"{url}\"\ninterval = \"100ms\"\n")).await;
    let mut sum = hop("far-deep", &json!({ "chunks": ["d"] }));
    sum["cost"] = json!({ "usd": "0.10" });
    let script = through(&["far-worker", "near-sum"], sum);
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": wire::message("m", &script.to_string()) });
    let answer = traced(&two.near.agent_url("coordinator"), &call).await;
    let task = &answer["result"]["task"];
    assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED", "{answer}");
    assert!(
        task["artifacts"].to_string().contains("\"d\""),
        "what the last one made comes to the first: {task}"
    );
    let named = |posted: &[Posted]| {
        let all = spans(posted).into_iter().filter(|span| hex(&span.trace_id) == CALLER[3..35]);
        all.map(|span| span.name).filter(|name| name.starts_with("invoke_agent")).collect::<Vec<_>>()
    };
    // Each delegation between them is one of the near side, and the root of a tree at the far one.
    collector.until("every hop is in the caller's trace", |posted| named(posted).len() >= 7).await;
    for hop in ["coordinator", "far-worker", "worker", "near-sum", "sum", "far-deep", "deep"] {
        let name = format!("invoke_agent {hop}");
        assert_eq!(named(&collector.posted()).iter().filter(|known| **known == name).count(), 1, "{name}");
    }

    let far = Two::tasks(&two.far).await;
    let of = |tasks: &[Value], agent: &str| {
        tasks
            .iter()
            .map(said)
            .find(|said| said["agent"] == agent)
            .cloned()
            .unwrap_or_else(|| panic!("{agent}: {tasks:#?}"))
    };
    let worker = of(&far, "worker");
    assert_eq!(worker["depth"], 1, "{worker}");
    let upstream = &worker["upstream"];
    assert_eq!(upstream["broker"], two.near.url(), "{worker}");
    assert_eq!((&upstream["owner"], &upstream["lineage"]), (&Value::Null, &Value::Null), "{worker}");
    assert_eq!(upstream["root"], task["id"], "{worker}");
    assert_eq!(
        worker["scope"],
        json!(["a2a:skill/deep/*", "a2a:skill/near-sum/*", "mcp:tool/search{calls<=5}"]),
        "near's word in far's names"
    );
    let deep = of(&far, "deep");
    assert_eq!(deep["depth"], 3, "{deep}");
    let near = Two::tasks(&two.near).await;
    let sum = of(&near, "sum");
    assert_eq!((&sum["depth"], &sum["upstream"]["broker"]), (&json!(2), &json!(two.far.url())), "{sum}");
    assert_eq!(sum["scope"], json!(["a2a:skill/far-deep/*"]), "{sum}");
    let first = of(&near, "far-worker");
    assert_eq!(first["cost"]["usd"], "0.10", "what it cost anywhere below is known here: {first}");

    one_cancel_ends_what_is_done_at_both(&two).await;
}

async fn one_cancel_ends_what_is_done_at_both(two: &Two) {
    let heard = two.agents["deep"].logged("received").len();
    let script = through(&["far-worker", "near-sum", "far-deep"], json!({ "delay_ms": 600_000 }));
    let mut params = wire::message("to-cancel", &script.to_string());
    params["configuration"] = json!({ "returnImmediately": true });
    let begun = two.near.rpc_as(Some(USER), "/agents/coordinator", "SendMessage", params).await;
    let id = begun["result"]["task"]["id"].as_str().expect("a task").to_owned();
    until("the last one is at work", async || two.agents["deep"].logged("received").len() > heard).await;
    let canceled = two.near.rpc_as(Some(USER), "", "CancelTask", json!({ "id": id })).await;
    assert_eq!(canceled["result"]["status"]["state"], "TASK_STATE_CANCELED", "{canceled}");
    for (broker, number) in [(&two.near, 4), (&two.far, 3)] {
        until("every task of it is canceled, at both", async || {
            let tasks = Two::tasks(broker).await;
            let canceled =
                tasks.iter().filter(|task| task["status"]["state"] == "TASK_STATE_CANCELED").count();
            let open = tasks.iter().any(|task| task["status"]["state"] == "TASK_STATE_WORKING");
            canceled == number && !open
        })
        .await;
    }
    until("the last one heard of it", async || !two.agents["deep"].logged("cancel").is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_far_side_refuses_what_the_near_side_does_not_hold() {
    let two = Two::start("").await;
    // Far's operator lets its worker ask `other`; near has granted nobody that.
    let task = two.ask("m", &through(&["far-worker"], json!({ "delegate": [{ "to": "other", "skill": "work", "script": {}, "refused": true }], "chunks": ["went on"] }))).await;
    assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED", "{task}");
    let refused = two.refusals("worker");
    assert!(refused[0].contains("-31403") && refused[0].contains("a2a:skill/other/work"), "{refused:?}");
    assert!(two.agents["other"].logged("received").is_empty(), "it heard of nothing");
    // Nor does asking in a grant's own words help: what near holds of the tool is five calls.
    let wide = json!({ "delegate": [{ "to": "deep", "skill": "work", "scope": ["mcp:tool/search{calls<=6}"], "script": {}, "refused": true }] });
    two.ask("m2", &through(&["far-worker"], wide)).await;
    let refused = two.refusals("worker");
    assert!(refused[1].contains("mcp:tool/search{calls<=6}"), "{refused:?}");

    what_is_revoked_here_opens_nothing_there(&two).await;
    a_broker_is_believed_by_its_grant_alone(&two).await;
    what_is_revoked_while_the_other_is_away_it_hears_once_it_is_back(two).await;
}

/// Has the worker at the far broker begin something long, in the name of a task here: that task, and the worker's grant.
async fn begin_far_work(two: &Two, message_id: &str) -> (String, String) {
    let heard = two.agents["worker"].logged("received").len();
    let script = through(&["far-worker"], json!({ "delay_ms": 600_000 }));
    let mut params = wire::message(message_id, &script.to_string());
    params["configuration"] = json!({ "returnImmediately": true });
    let begun = two.near.rpc_as(Some(USER), "/agents/coordinator", "SendMessage", params).await;
    let id = begun["result"]["task"]["id"].as_str().expect("a task").to_owned();
    until("the worker is at work", async || two.agents["worker"].logged("received").len() > heard).await;
    let received = two.agents["worker"].logged("received");
    (id, received[heard]["told"]["grant"].as_str().expect("a grant").to_owned())
}

async fn revoke(two: &Two, task: &str) {
    let url = format!("{}/api/v1/tasks/{task}/revoke", two.near.url());
    let revoked = wire::post(&url, &json!({}), Some(USER)).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text);
}

async fn what_is_revoked_here_opens_nothing_there(two: &Two) {
    let (id, grant) = begin_far_work(two, "to-revoke").await;
    let as_worker = async || two.far.rpc_as(Some(&grant), "", "ListTasks", json!({})).await;
    assert!(as_worker().await.get("result").is_some(), "the grant is good");
    revoke(two, &id).await;
    until("the grant at the other broker is dead", async || as_worker().await["error"]["code"] == -31401)
        .await;
}

async fn what_is_revoked_while_the_other_is_away_it_hears_once_it_is_back(mut two: Two) {
    let (id, grant) = begin_far_work(&two, "to-revoke-later").await;
    two.far.end();
    revoke(&two, &id).await;
    // Nor is it forgotten where the one that has to tell it dies.
    two.near.crash();
    two.far.restart();
    until("the other broker has heard of it", async || {
        two.far.rpc_as(Some(&grant), "", "ListTasks", json!({})).await["error"]["code"] == -31401
    })
    .await;
}

async fn a_broker_is_believed_by_its_grant_alone(two: &Two) {
    let with = |id: &str, grant: Value| {
        let mut message = wire::message(id, "{}");
        message["message"]["metadata"] = json!({ EXTENSION: { "grant": grant, "scope": ["mcp:tool/**"] } });
        message
    };
    // Its key proves who it is, and opens nothing.
    let key = Some(NEAR);
    let bare = two.far.rpc_as(key, "/agents/worker", "SendMessage", wire::message("m1", "{}")).await;
    assert_eq!(bare["error"]["code"], -31401, "{bare}");
    assert!(bare["error"]["message"].as_str().unwrap().contains("grant"), "{bare}");
    // A grant that near gave one of its own agents is none for far, whoever shows it.
    let own = two.agents["coordinator"].logged("received")[0]["told"]["grant"].clone();
    let refused = two.far.rpc_as(key, "/agents/worker", "SendMessage", with("m2", own.clone())).await;
    assert_eq!(refused["error"]["code"], -31401, "{refused}");
    let refused =
        two.far.rpc_as(own.as_str(), "/agents/worker", "SendMessage", with("m3", own.clone())).await;
    assert_eq!(refused["error"]["code"], -31401, "{refused}");
    // A user who says it is for another broker's task is a user.
    let as_user =
        two.far.rpc_as(Some(USER), "/agents/worker", "SendMessage", with("m4", json!("x.y.z"))).await;
    assert_eq!(said(&as_user["result"]["task"])["upstream"], Value::Null, "{as_user}");
    // What belongs to others is not there for it.
    let id = as_user["result"]["task"]["id"].clone();
    let found = two.far.rpc_as(key, "", "GetTask", json!({ "id": id })).await;
    assert_eq!(found["error"]["code"], -32001, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_given_what_he_is_at_work_on_however_often_it_crosses() {
    let two = Two::start("[limits]\nmax_depth = 2\n").await;
    // Around by way of the other broker, and back to an agent that is at work: of far, and of near.
    two.ask("m", &through(&["far-worker", "near-sum", "far-worker"], json!({ "chunks": ["never"] }))).await;
    two.ask("m2", &through(&["far-worker", "near-sum", "coordinator"], json!({ "chunks": ["never"] }))).await;
    let refused = two.refusals("sum");
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused.iter().all(|error| error.contains("-31403")), "{refused:?}");
    assert_eq!(two.agents["worker"].logged("received").len(), 2, "once for each message");
    it_is_no_deeper_than_it_may_be(&two).await;
    a_broker_that_is_killed_goes_on_with_what_the_other_does_for_it(two).await;
}

async fn it_is_no_deeper_than_it_may_be(two: &Two) {
    // Coordinator 0, worker 1, sum 2: what would stand at 3 is refused where it would stand.
    two.ask("m3", &through(&["far-worker", "near-sum", "far-deep"], json!({ "chunks": ["never"] }))).await;
    let refused = two.refusals("sum");
    assert!(refused.len() == 3 && refused[2].contains("-31403"), "{refused:?}");
    assert!(two.agents["deep"].logged("received").is_empty());
}

async fn a_broker_that_is_killed_goes_on_with_what_the_other_does_for_it(mut two: Two) {
    let heard = two.agents["worker"].logged("received").len();
    let script = through(&["far-worker"], json!({ "delay_ms": 2_000, "chunks": ["w"] }));
    let mut params = wire::message("to-outlive", &script.to_string());
    params["configuration"] = json!({ "returnImmediately": true });
    let begun = two.near.rpc_as(Some(USER), "/agents/coordinator", "SendMessage", params).await;
    let id = begun["result"]["task"]["id"].as_str().expect("a task").to_owned();
    until("the worker is at work", async || two.agents["worker"].logged("received").len() > heard).await;
    two.near.crash();
    let mut task = Value::Null;
    until("it is done", async || {
        task = two.near.rpc_as(Some(USER), "", "GetTask", json!({ "id": id })).await["result"].clone();
        task["status"]["state"] == "TASK_STATE_COMPLETED"
    })
    .await;
    assert!(task["artifacts"].to_string().contains("\"w\""), "{task}");
    assert_eq!(two.agents["worker"].logged("received").len(), heard + 1, "the other broker was asked once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_another_broker_is_registered_by_its_address_there() {
    let far = Broker::start("");
    let worker = Agent::scripted_rust("worker");
    far.add_agent("worker", &format!("{}/jsonrpc", worker.url()), &[]).await;
    let near = Broker::start(&format!("[[brokers]]\nname = \"far\"\nurl = \"{}\"\n", far.url()));
    let add = async |url: &str, broker: &str| {
        let new = json!({ "name": "far-worker", "url": url, "broker": broker });
        wire::post(&format!("{}/api/v1/agents", near.url()), &new, None).await
    };
    let elsewhere = add(&format!("{}/jsonrpc", worker.url()), "far").await;
    assert_eq!(elsewhere.status, 400, "{}", elsewhere.text);
    assert!(elsewhere.text.contains(&far.agent_url("NAME")), "it says what was expected: {}", elsewhere.text);
    let unknown = add(&far.agent_url("worker"), "third").await;
    assert!(unknown.status == 400 && unknown.text.contains("[[brokers]]"), "{}", unknown.text);
    let added = add(&far.agent_url("worker"), "far").await;
    assert_eq!((added.status, &added.json()["broker"]), (201, &json!("far")), "{}", added.text);
    // An open broker takes anybody's word, and so needs nobody's grant.
    let answer = near.rpc("/agents/far-worker", "SendMessage", wire::message("m", "{}")).await;
    assert_eq!(answer["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{answer}");
}
