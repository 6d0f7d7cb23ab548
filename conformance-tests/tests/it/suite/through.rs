//! The same agent judged directly and through the broker: what it does right is right through the broker too, and
//! the broker fails no MUST, open or with principals, on any binding.

use std::collections::BTreeMap;

use conformance_tests::suite::binding::Kind;
use conformance_tests::suite::report::{Report, Verdict};
use conformance_tests::suite::requirement::Level;
use conformance_tests::suite::server::Subject;
use conformance_tests::suite::{self, Order};
use conformance_tests::{Agent, Broker, key_digest, wire};
use serde_json::json;

async fn judged(subject: Subject) -> Report {
    suite::judge(Order { subject, kinds: Kind::ALL.to_vec(), only: String::new() }).await.unwrap()
}

fn at(url: String) -> Subject {
    Subject { url, scripted: true, ..Subject::default() }
}

/// What came of every check on every binding.
fn verdicts(report: &Report) -> BTreeMap<(&'static str, Option<&'static str>), Verdict> {
    let outcomes = report.judged.iter().flat_map(|judged| &judged.outcomes);
    outcomes
        .map(|outcome| ((outcome.check, outcome.binding.map(Kind::name)), outcome.verdict.clone()))
        .collect()
}

fn no_must_failed(report: &Report) {
    let failures: Vec<String> = report
        .failures(Level::Must)
        .map(|judged| format!("{}: {}", judged.requirement.id, judged.verdict().seen()))
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(report.exit_code(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_does_right_is_right_through_the_broker() {
    let agent = Agent::for_the_suite("worker");
    let broker = Broker::start("");
    broker.add_agent("worker", agent.url(), &[]).await;
    let direct = judged(at(agent.url().to_owned())).await;
    let through = judged(at(broker.agent_url("worker"))).await;
    no_must_failed(&through);
    let through = verdicts(&through);
    for (check, verdict) in verdicts(&direct) {
        if let Verdict::Pass(seen) = verdict {
            match &through[&check] {
                Verdict::Pass(_) => {}
                Verdict::Skip(why) => {
                    let declared = why.contains("the card does") || why == "the server also serves 0.3";
                    assert!(declared, "{check:?} is skipped: {why}");
                }
                Verdict::Fail(instead) => panic!("{check:?}: directly {seen}; through the broker {instead}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_with_principals_shows_nobody_anothers_tasks() {
    let principal = |name: &str, role: &str| {
        format!(
            "[[principals]]\nname = \"{name}\"\nrole = \"{role}\"\nkey_sha256 = \"{}\"\n",
            key_digest(name)
        )
    };
    let config = ["user", "other"].map(|name| principal(name, "user")).concat()
        + &principal("root", "operator")
        + "[push]\nallow_loopback = true\n";
    let broker = Broker::start(&config);
    let agent = Agent::for_the_suite("worker");
    let body = json!({ "name": "worker", "url": agent.url(), "caps": [] });
    let added = wire::post(&format!("{}/api/v1/agents", broker.url()), &body, Some("root")).await;
    assert_eq!(added.status, 201, "{}", added.text);
    let (token, other_token) = (Some("user".to_owned()), Some("other".to_owned()));
    let report = judged(Subject { token, other_token, ..at(broker.agent_url("worker")) }).await;
    no_must_failed(&report);
    let verdicts = verdicts(&report);
    for check in [
        "calls_without_credentials_are_refused",
        "calls_with_wrong_credentials_are_refused",
        "others_do_not_list_a_task",
        "others_do_not_find_a_task",
    ] {
        for kind in Kind::ALL {
            let verdict = &verdicts[&(check, Some(kind.name()))];
            assert!(matches!(verdict, Verdict::Pass(_)), "{check} on {}: {verdict:?}", kind.name());
        }
    }
}

/// What gRPC cannot say, a check must not ask of it: a check that is skipped for that would never be seen to pass.
#[tokio::test(flavor = "multi_thread")]
async fn no_check_asks_of_protobuf_what_it_cannot_say() {
    let agent = Agent::for_the_suite("worker");
    let order = Order { subject: at(agent.url().to_owned()), kinds: vec![Kind::Grpc], only: String::new() };
    for ((check, _), verdict) in verdicts(&suite::judge(order).await.unwrap()) {
        assert!(!verdict.seen().contains("protobuf has no way"), "{check}: {}", verdict.seen());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_streaming_says_so_through_the_broker_or_is_streamed_by_it() {
    let agent = Agent::polled("worker");
    let broker = Broker::start("");
    broker.add_agent("worker", agent.url(), &[]).await;
    no_must_failed(&judged(at(broker.agent_url("worker"))).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_written_in_three_forms_and_a_server_without_a_card_is_not_judged() {
    let agent = Agent::for_the_suite("worker");
    let subject = at(agent.url().to_owned());
    let order =
        |subject: Subject, only: &str| Order { subject, kinds: Kind::ALL.to_vec(), only: only.into() };
    let report = suite::judge(order(subject.clone(), "8.6")).await.unwrap();
    let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(json["requirements"].as_array().unwrap().len(), report.judged.len());
    let fails =
        json["requirements"].as_array().unwrap().iter().find(|entry| entry["id"] == "8.6.1-1").unwrap();
    assert_eq!((&fails["verdict"], &fails["level"]), (&json!("fail"), &json!("SHOULD")), "{fails}");
    assert!(report.text().contains("FAIL  SHOULD  8.6.1-1"), "{}", report.text());
    let junit = report.junit();
    assert!(junit.contains("failures=\"0\"") && junit.contains("not met: no Cache-Control"), "{junit}");
    assert_eq!(report.exit_code(), 0, "a SHOULD that is not met is no failure");

    let nowhere = Subject { url: format!("{}/nobody", agent.url()), ..subject.clone() };
    assert!(suite::judge(order(nowhere, "")).await.err().unwrap().contains("HTTP 404"));
    assert!(suite::judge(order(subject, "99.9")).await.err().unwrap().contains("99.9"));
}
