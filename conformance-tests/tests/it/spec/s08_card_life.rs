//! The life of a card (spec §8.6 as a client): kept fresh with conditional requests, and what claims more held until an
//! operator has looked at it.

use std::time::{Duration, Instant};

use conformance_tests::{Agent, Broker, key_digest, wire};
use serde_json::{Value, json};

/// Cards are looked at as often as they can be.
const EAGER: &str = "card_min_refresh = \"100ms\"\ncard_max_age = \"100ms\"\n";
/// Longest wait for something that has to happen.
const LIMIT: Duration = Duration::from_mins(1);

fn review() -> String {
    format!("[southbound]\n{EAGER}")
}

/// A card with these skills.
pub(super) fn card(description: &str, skills: &[&str]) -> Value {
    let skill = |id: &&str| json!({ "id": id, "name": id, "description": "Does it", "tags": ["test"] });
    json!({
        "name": "changing", "description": description, "version": "1",
        "supportedInterfaces": [{ "url": "{url}", "protocolBinding": "JSONRPC", "protocolVersion": "1.0" }],
        "capabilities": {},
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": skills.iter().map(skill).collect::<Vec<_>>(),
    })
}

/// The agent as the operator sees it, once it is as it should be.
pub(super) async fn shown(broker: &Broker, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let view = wire::get(&format!("{}/api/v1/agents/{name}", broker.url())).await.json();
        if is_so(&view) {
            return view;
        }
        assert!(began.elapsed() < LIMIT, "it never became so: {view:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn card_requests(agent: &Agent, are_enough: impl Fn(&[u64]) -> bool) -> Vec<u64> {
    let began = Instant::now();
    loop {
        let statuses: Vec<u64> =
            agent.logged("card").iter().filter_map(|line| line["status"].as_u64()).collect();
        if are_enough(&statuses) {
            return statuses;
        }
        assert!(began.elapsed() < LIMIT, "{statuses:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn skills(view: &Value) -> Vec<&str> {
    view["skills"].as_array().into_iter().flatten().filter_map(|skill| skill["id"].as_str()).collect()
}

fn drift(view: &Value) -> String {
    view["drift"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_card_is_not_sent_again_not_even_after_a_restart() {
    let mut broker = Broker::start(&review());
    let agent = Agent::changing(&card("one", &["read"]), "max-age=0");
    broker.add_agent("changing", agent.url(), &[]).await;
    let statuses = card_requests(&agent, |statuses| statuses.len() >= 4).await;
    assert_eq!(statuses[..4], [200, 304, 304, 304]);
    let before = agent.logged("card").len();
    broker.crash();
    let statuses = card_requests(&agent, |statuses| statuses.len() > before + 1).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_is_left_alone_for_as_long_as_its_agent_says() {
    let broker = Broker::start(&review());
    let long = Agent::changing(&card("long", &[]), "public, max-age=3600");
    let short = Agent::changing(&card("short", &[]), "no-cache");
    broker.add_agent("long", long.url(), &[]).await;
    broker.add_agent("short", short.url(), &[]).await;
    card_requests(&short, |statuses| statuses.len() >= 4).await;
    assert_eq!(long.logged("card").len(), 1, "it said for how long its card is good");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_harmless_is_used_at_once_and_an_agent_that_is_gone_keeps_its_card() {
    let broker = Broker::start(&review());
    let mut agent = Agent::changing(&card("one", &["read", "write"]), "max-age=0");
    broker.add_agent("changing", agent.url(), &[]).await;
    agent.change_card(&card("two", &["read"]));
    let view = shown(&broker, "changing", |view| view["description"] == "two").await;
    assert_eq!((skills(&view), &view["pending"]), (vec!["read"], &json!(false)));
    assert!(drift(&view).contains("applied: it no longer offers the skill \\\"write\\\""), "{view:#}");

    agent.change_card(&json!("no card"));
    let view = shown(&broker, "changing", |view| view["warnings"].is_array()).await;
    assert!(view["warnings"].to_string().contains("could not be refreshed"), "{view:#}");
    assert_eq!(view["description"], "two", "the last good one stays");
    agent.kill();
    let gone = |view: &Value| !view["warnings"].to_string().contains("expected an agent card");
    assert_eq!(skills(&shown(&broker, "changing", gone).await), ["read"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_claims_more_waits_for_an_operator_over_a_restart() {
    let mut broker = Broker::start(&review());
    let agent = Agent::changing(&card("one", &["read"]), "max-age=0");
    broker.add_agent("changing", agent.url(), &[]).await;
    agent.change_card(&card("two", &["read", "write"]));
    let is_pending = |view: &Value| view["pending"] == true;
    let view = shown(&broker, "changing", is_pending).await;
    assert_eq!((skills(&view), &view["description"]), (vec!["read"], &json!("one")), "the card in use stays");
    assert!(drift(&view).contains("held for review: it offers a new skill \\\"write\\\""), "{view:#}");
    let fronted = format!("{}/.well-known/agent-card.json", broker.agent_url("changing"));
    assert_eq!(skills(&wire::get(&fronted).await.json()), ["read"], "nor is it shown to callers");

    broker.crash();
    let view = shown(&broker, "changing", is_pending).await;
    assert_eq!(skills(&view), ["read"], "a restart accepts nothing");
    let said = broker.command(&["agent", "show", "changing"]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("agent accept changing --card") && said.contains("new skill"), "{said}");

    let wrong = broker.command(&["agent", "accept", "changing", "--card", &"0".repeat(64)]);
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("look at it again"), "{wrong:?}");
    let digest = view["pending_card"].as_str().expect("a digest");
    let accepted = broker.command(&["agent", "accept", "changing", "--card", digest]);
    assert!(accepted.status.success(), "{accepted:?}");
    let view = shown(&broker, "changing", |view| view["pending"] == false).await;
    assert_eq!(skills(&view), ["read", "write"]);
    assert_eq!(skills(&wire::get(&fronted).await.json()), ["read", "write"]);
    let again = broker.command(&["agent", "accept", "changing"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("no card of changing waits"), "{again:?}");

    broker.crash();
    let view = shown(&broker, "changing", |_| true).await;
    assert_eq!(skills(&view), ["read", "write"], "what was accepted is kept");
    let log = String::from_utf8(broker.command(&["audit", "export"]).stdout).expect("text");
    let outcomes: Vec<String> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|line| line["event"]["card_changed"].clone())
        .filter(Value::is_object)
        .map(|event| format!("{} {}", event["outcome"], event["by"]))
        .collect();
    assert_eq!(outcomes, ["\"held\" null", "\"accepted\" {\"principal\":\"anonymous\"}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_agent_does_not_get_more_by_a_restart_and_one_that_thinks_better_of_it_needs_nobody() {
    let agent = Agent::changing(&card("one", &["read"]), "max-age=0");
    let agents = format!("[[agents]]\nname = \"changing\"\nurl = \"{}\"\n", agent.url());
    let mut broker = Broker::start(&format!("{}{agents}", review()));
    shown(&broker, "changing", |view| view["description"] == "one").await;
    agent.change_card(&card("two", &["read", "write"]));
    broker.crash();
    let view = shown(&broker, "changing", |view| view["pending"] == true).await;
    assert_eq!(skills(&view), ["read"]);
    agent.change_card(&card("three", &["read"]));
    let view = shown(&broker, "changing", |view| view["pending"] == false).await;
    assert_eq!(view["description"], "three");
    assert!(drift(&view).contains("withdrawn by the agent: it offers a new skill"), "{view:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_operator_says_so_a_card_that_claims_more_is_used_at_once() {
    let broker = Broker::start(&format!("{}card_drift = \"accept\"\n", review()));
    let agent = Agent::changing(&card("one", &["read"]), "max-age=0");
    broker.add_agent("changing", agent.url(), &[]).await;
    agent.change_card(&card("two", &["read", "write"]));
    let view = shown(&broker, "changing", |view| skills(view).len() == 2).await;
    assert_eq!(view["pending"], false);
    assert!(drift(&view).contains("applied: it offers a new skill"), "{view:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_operator_accepts_cards_and_probes_agents() {
    let principal = |name: &str, role: &str| {
        let digest = key_digest(&format!("key-of-{name}"));
        format!("[[principals]]\nname = \"{name}\"\nrole = \"{role}\"\nkey_sha256 = \"{digest}\"\n")
    };
    let agent = Agent::changing(&card("one", &["read"]), "max-age=0");
    let agents = format!("[[agents]]\nname = \"changing\"\nurl = \"{}\"\n", agent.url());
    let broker = Broker::start(&[principal("alice", "user"), principal("olga", "operator"), agents].concat());
    for (act, allowed) in [("accept", 400), ("probe", 200)] {
        let url = format!("{}/api/v1/agents/changing/{act}", broker.url());
        assert_eq!(wire::post(&url, &json!({}), Some("key-of-alice")).await.status, 403, "{act}");
        assert_eq!(wire::post(&url, &json!({}), None).await.status, 401, "{act}");
        let answer = wire::post(&url, &json!({}), Some("key-of-olga")).await;
        assert_eq!(answer.status, allowed, "{act}: {}", answer.text);
    }
    assert_eq!(agent.logged("call").len(), 1, "those who may not probe cost nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_card_is_refused_keeps_nobody_else_from_being_served_and_is_used_once_it_has_a_good_one()
 {
    let mut bad = card("nowhere", &["read"]);
    bad["supportedInterfaces"] = json!([]);
    let (refused, good) = (Agent::changing(&bad, "max-age=0"), Agent::scripted("worker"));
    let agent = |name: &str, url: &str| format!("[[agents]]\nname = \"{name}\"\nurl = \"{url}\"\n");
    let config = review() + &agent("broken", refused.url()) + &agent("worker", good.url());
    let mut broker = Broker::start(&config);
    for restarted in [false, true] {
        if restarted {
            broker.crash();
        }
        let view = shown(&broker, "broken", |view| view["warnings"][0].is_string()).await;
        assert!(view["warnings"].to_string().contains("no good card"), "{view}");
        let script = json!({ "chunks": ["done"] }).to_string();
        let sent = broker.rpc("/agents/worker", "SendMessage", wire::message("m", &script)).await;
        assert_eq!(sent["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{sent}");
        let refused = broker.rpc("/agents/broken", "SendMessage", wire::message("x", "anything")).await;
        assert!(refused.get("error").is_some(), "{refused}");
    }
    refused.change_card(&card("somewhere", &["read"]));
    let view = shown(&broker, "broken", |view| view["description"] == "somewhere").await;
    assert_eq!((skills(&view), view.get("warnings")), (vec!["read"], None), "{view}");
}
