//! Whether an agent does its work is learned from messages, never from its card: probes, and the health that real
//! traffic tells.

use std::time::{Duration, Instant};

use conformance_tests::{Agent, Broker, wire};
use serde_json::{Value, json};

use super::s08_card_life::{card, shown};

/// Longer than an agent takes that answers.
const PATIENT: &str = "[southbound]\nprobe_timeout = \"15s\"\n";
/// For one that does not.
const IMPATIENT: &str = "[southbound]\nprobe_timeout = \"1s\"\n";

async fn probe(broker: &Broker, name: &str) -> Value {
    wire::post(&format!("{}/api/v1/agents/{name}/probe", broker.url()), &json!({}), None).await.json()
}

async fn health(broker: &Broker, name: &str) -> Value {
    shown(broker, name, |_| true).await["health"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_says_what_an_agent_does_with_a_real_message() {
    let (patient, impatient) = (Broker::start(PATIENT), Broker::start(IMPATIENT));
    let agent = Agent::changing(&card("a", &["read"]), "max-age=3600");
    for broker in [&patient, &impatient] {
        broker.add_agent("changing", agent.url(), &[]).await;
        let known = health(broker, "changing").await;
        assert_eq!(known["state"], "unknown", "its card says nothing of its health");
    }
    for (manners, outcome, state, said) in [
        ("work", "answered", "healthy", "null"),
        ("talk", "answered", "healthy", "pong"),
        ("hang", "timed_out", "failing", "no answer within 1000 ms"),
        ("refuse", "refused", "healthy", "only music, please"),
        ("fail", "errored", "failing", "out of order"),
        ("babble", "invalid", "failing", "expected"),
        ("drop", "broken", "failing", ""),
    ] {
        agent.change_manners(manners);
        let broker = if manners == "hang" { &impatient } else { &patient };
        let probed = probe(broker, "changing").await;
        assert_eq!(probed["outcome"], outcome, "{manners}: {probed}");
        assert!(probed["said"].to_string().contains(said), "{manners}: {probed}");
        assert_eq!((&probed["binding"], &probed["version"]), (&json!("JSONRPC"), &json!("1.0")));
        assert!(probed["latency_ms"].is_u64(), "{probed}");
        let known = health(broker, "changing").await;
        assert_eq!(known["state"], state, "{manners}: {known}");
    }
    let sent = agent.logged("call");
    let sent: Vec<&Value> = sent.iter().filter(|call| call["method"] == "SendMessage").collect();
    for call in &sent {
        let message = &call["message"];
        assert!(message["messageId"].as_str().is_some_and(|id| id.starts_with("probe.")), "{message}");
        assert_eq!(
            (&message["contextId"], &message["parts"][0]["text"]),
            (&message["messageId"], &json!("ping"))
        );
        assert!(message.get("metadata").is_none(), "no grant, no tree: {message}");
    }
    assert_eq!(sent.len(), 7);
    for broker in [&patient, &impatient] {
        let tasks = broker.rpc("", "ListTasks", json!({})).await;
        assert_eq!(tasks["result"]["totalSize"], 0, "{tasks}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_probe_leaves_open_is_cancelled_and_that_is_said() {
    let broker = Broker::start(PATIENT);
    let agent = Agent::changing(&card("a", &["read"]), "max-age=3600");
    broker.add_agent("changing", agent.url(), &[]).await;
    for (manners, over) in [("linger", true), ("stuck", false)] {
        agent.change_manners(manners);
        let probed = probe(&broker, "changing").await;
        assert_eq!(probed["answer"], json!({ "kind": "task", "id": "t1", "state": "TASK_STATE_WORKING" }));
        assert_eq!(probed["cleaned_up"]["over"], over, "{probed}");
    }
    let cancelled = agent.logged("call").iter().filter(|call| call["method"] == "CancelTask").count();
    assert_eq!(cancelled, 2);
    agent.change_manners("linger");
    let said = broker.command(&["agent", "probe", "changing", "--message", "are you there?"]);
    assert!(said.status.success(), "{said:?}");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("answered with a task, WORKING") && said.contains("cancelled; it says"), "{said}");
    assert_eq!(
        agent.logged("call").iter().rev().find(|call| call["method"] == "SendMessage").unwrap()["message"]["parts"]
            [0]["text"],
        "are you there?"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_is_fine_does_not_make_a_dead_agent_healthy() {
    let broker = Broker::start("[limits]\nattempts = 1\n[southbound]\ncard_min_refresh = \"100ms\"\n");
    // The card is served; nothing listens where it says that the agent is.
    let mut dead = card("dead", &["read"]);
    dead["supportedInterfaces"][0]["url"] = "http://127.0.0.1:9".into();
    let agent = Agent::changing(&dead, "max-age=0");
    broker.add_agent("dead", agent.url(), &[]).await;
    broker.rpc("/agents/dead", "SendMessage", wire::message("a", "go")).await;
    let known = health(&broker, "dead").await;
    assert_eq!((&known["state"], &known["failures"]), (&json!("failing"), &json!(1)), "{known}");
    let asked = agent.logged("card").len();
    let began = Instant::now();
    while agent.logged("card").len() < asked + 2 {
        assert!(began.elapsed() < Duration::from_mins(1), "the card is asked for");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(health(&broker, "dead").await["state"], "failing", "its card was just served");
    let said = broker.command(&["agent", "probe", "dead"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stdout).contains("could not be reached"), "{said:?}");
    let listed = broker.command(&["agent", "list"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("health: failing since"), "{listed:?}");

    dead["supportedInterfaces"][0]["url"] = "{url}".into();
    agent.change_card(&dead);
    shown(&broker, "dead", |view| view["drift"].to_string().contains("interfaces changed")).await;
    broker.rpc("/agents/dead", "SendMessage", wire::message("b", "go")).await;
    assert_eq!(health(&broker, "dead").await["state"], "healthy", "one answer is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_probed_by_themselves_only_where_the_configuration_says_so() {
    let broker = Broker::start("[southbound]\nprobe_every = \"1s\"\n");
    let agent = Agent::changing(&card("a", &["read"]), "max-age=3600");
    broker.add_agent("changing", agent.url(), &[]).await;
    shown(&broker, "changing", |view| view["health"]["state"] == "healthy").await;
    agent.change_manners("drop");
    shown(&broker, "changing", |view| view["health"]["state"] == "failing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_on_the_official_sdks_of_both_versions_can_be_probed() {
    let broker = Broker::start("");
    for (name, agent, spoken) in [
        ("new", Agent::scripted("new"), "JSONRPC 1.0"),
        ("rest", Agent::rest("rest"), "HTTP+JSON 1.0"),
        ("rpc", Agent::grpc_polled("rpc"), "GRPC 1.0"),
        ("old", Agent::scripted_v03("old", &[]), "JSONRPC 0.3"),
        ("old-polled", Agent::scripted_v03("old-polled", &["--rest", "--no-streaming"]), "HTTP+JSON 0.3"),
    ] {
        broker.add_agent(name, agent.url(), &[]).await;
        let probed = probe(&broker, name).await;
        assert_eq!(
            (&probed["outcome"], &probed["answer"]["kind"]),
            (&json!("answered"), &json!("task")),
            "{probed}"
        );
        let said = format!("{} {}", probed["binding"].as_str().unwrap(), probed["version"].as_str().unwrap());
        assert_eq!(said, spoken);
        let open = probed["answer"]["state"] != "TASK_STATE_COMPLETED";
        assert_eq!(probed["cleaned_up"]["over"] == true, open, "what is open is cleaned up: {probed}");
    }
}
