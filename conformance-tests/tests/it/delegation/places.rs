//! Places at agents that work on so many tasks at a time: whoever has one gives it back, however it comes to lose it, and
//! nobody waits for somebody who is gone.

use conformance_tests::{Agent, Broker, Gates, key_digest, until, wire};
use serde_json::{Value, json};

const EXTENSION: &str = "urn:bailiwick:ext:delegation:v1";

fn at_once(id: &str, script: &Value) -> Value {
    let mut params = wire::message(id, &script.to_string());
    params["configuration"] = json!({ "returnImmediately": true });
    params
}

async fn register(broker: &Broker, name: &str, url: &str, caps: &[&str], key: Option<&str>) {
    let body = json!({ "name": name, "url": url, "caps": caps, "max_concurrent": 1 });
    let answer = wire::post(&format!("{}/api/v1/agents", broker.url()), &body, key).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

/// How many tasks keep an agent busy, and how many wait for it.
async fn load(broker: &Broker, name: &str, key: Option<&str>) -> (u64, u64) {
    let bearer = format!("Bearer {}", key.unwrap_or_default());
    let headers = key.map(|_| ("authorization", bearer.as_str()));
    let url = format!("{}/api/v1/agents/{name}", broker.url());
    let view = wire::request("GET", &url, headers.as_slice(), Vec::new()).await.json();
    (view["busy"].as_u64().expect("a number"), view["waiting"].as_u64().expect("a number"))
}

fn principal(name: &str, role: &str) -> String {
    let key = key_digest(name);
    format!("[[principals]]\nname = \"{name}\"\nrole = \"{role}\"\nkey_sha256 = \"{key}\"\n")
}

async fn state(broker: &Broker, task: &Value) -> String {
    let got = broker.rpc("", "GetTask", json!({ "id": task })).await;
    got["result"]["status"]["state"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_handed_over_gives_its_place_back_and_one_that_is_not_keeps_it() {
    let broker = Broker::start("");
    let (first, second) = (Agent::scripted("first"), Agent::scripted("second"));
    let (third, gates) = (Agent::scripted("third"), Gates::start().await);
    register(&broker, "first", first.url(), &["a2a:skill/second/*"], None).await;
    register(&broker, "second", second.url(), &[], None).await;
    register(&broker, "third", third.url(), &[], None).await;
    let gate = |name: &str| json!({ "gate": gates.wait(name), "chunks": ["done"] });
    let sent = broker.rpc("/agents/first", "SendMessage", at_once("m", &gate("first"))).await;
    let task = sent["result"]["task"]["id"].clone();
    until("the first at work", async || !first.logged("received").is_empty()).await;
    let grant = first.logged("received")[0]["told"]["grant"].as_str().unwrap().to_owned();
    let hand_over = async |id: &str, to: &str| {
        let mut params = wire::message(id, &gate(to).to_string());
        params["message"]["metadata"] = json!({ EXTENSION: { "mode": "handoff" } });
        broker.rpc_as(Some(&grant), &format!("/agents/{to}"), "SendMessage", params).await
    };

    let refused = hand_over("r", "third").await;
    assert_eq!(refused["error"]["code"], -31403, "{refused}");
    assert_eq!(load(&broker, "third", None).await, (0, 0), "it has nothing of this");
    assert_eq!(load(&broker, "first", None).await, (1, 0), "it works on it all the same");
    let next = json!({ "chunks": ["next"] });
    let sent = broker.rpc("/agents/first", "SendMessage", at_once("n", &next)).await;
    let next = sent["result"]["task"]["id"].clone();
    assert_eq!(load(&broker, "first", None).await, (1, 1));

    let handed = hand_over("h", "second").await;
    assert!(handed["result"]["task"].is_object(), "{handed}");
    assert_eq!(load(&broker, "second", None).await, (1, 0));
    until("the next at the first", async || state(&broker, &next).await == "TASK_STATE_COMPLETED").await;
    assert_eq!(load(&broker, "first", None).await, (0, 0));
    until("the second at work", async || !second.logged("received").is_empty()).await;
    gates.open("second").await;
    until("the end", async || state(&broker, &task).await == "TASK_STATE_COMPLETED").await;
    assert_eq!(load(&broker, "second", None).await, (0, 0));
    gates.open("first").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_waits_no_longer_and_who_asks_for_much_keeps_nobody_else_out() {
    let principals =
        principal("greedy", "user") + &principal("modest", "user") + &principal("root", "operator");
    let broker = Broker::start(&format!("{principals}[limits]\nmax_waiting = 3\n"));
    let (agent, gates) = (Agent::scripted("worker"), Gates::start().await);
    register(&broker, "worker", agent.url(), &[], Some("root")).await;
    let script = json!({ "gate": gates.wait("open"), "chunks": ["done"] });
    let say = async |who: &str, id: &str| {
        broker.rpc_as(Some(who), "/agents/worker", "SendMessage", at_once(id, &script)).await
    };
    say("greedy", "m").await;
    until("work", async || !agent.logged("received").is_empty()).await;
    for number in 0..20 {
        let sent = say("greedy", &format!("c{number}")).await;
        let task = &sent["result"]["task"]["id"];
        let canceled = broker.rpc_as(Some("greedy"), "", "CancelTask", json!({ "id": task })).await;
        assert_eq!(canceled["result"]["status"]["state"], "TASK_STATE_CANCELED", "{sent} {canceled}");
    }
    assert_eq!(load(&broker, "worker", Some("root")).await, (1, 0), "nobody waits");

    for number in 0..3 {
        let sent = say("greedy", &format!("w{number}")).await;
        assert!(sent["result"]["task"].is_object(), "{sent}");
    }
    let full = say("greedy", "one too many").await;
    assert_eq!(full["error"]["data"][0]["reason"], "AGENT_BUSY", "{full}");
    let other = say("modest", "m").await;
    assert!(other["result"]["task"].is_object(), "{other}");
    assert_eq!(load(&broker, "worker", Some("root")).await, (1, 4));
    gates.open("open").await;
    until("everybody's turn", async || agent.logged("ended").len() == 5).await;
    until("rest", async || load(&broker, "worker", Some("root")).await == (0, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_lets_nobody_in_where_somebody_is_at_work() {
    let principals =
        principal("greedy", "user") + &principal("modest", "user") + &principal("root", "operator");
    let mut broker = Broker::start(&principals);
    let (agent, gates) = (Agent::scripted("worker"), Gates::start().await);
    register(&broker, "worker", agent.url(), &[], Some("root")).await;
    for (number, who) in ["greedy", "greedy", "greedy", "modest"].into_iter().enumerate() {
        let script = json!({ "gate": gates.wait(number), "chunks": ["done"] });
        broker
            .rpc_as(Some(who), "/agents/worker", "SendMessage", at_once(&format!("m{number}"), &script))
            .await;
    }
    // The third is older than the fourth, which is let in before it: principals take turns.
    for (number, received) in [(0, 2), (1, 3)] {
        gates.open(number).await;
        until("the next", async || agent.logged("received").len() == received).await;
    }
    for _ in 0..2 {
        broker.crash();
        // Who is at work is known before anybody is let in; who waits is told anew meanwhile.
        assert_eq!(load(&broker, "worker", Some("root")).await.0, 1, "as before");
        until("the other waits again", async || load(&broker, "worker", Some("root")).await == (1, 1)).await;
        assert_eq!(agent.logged("received").len(), 3, "nobody is let in");
    }
    for number in [3, 2] {
        gates.open(number).await;
    }
    until("everybody's turn", async || agent.logged("ended").len() == 4).await;
    until("rest", async || load(&broker, "worker", Some("root")).await == (0, 0)).await;
}
