//! Streams that are taken up again (spec §3.1.6, §3.5.2): after any event what followed it, without hole or repeat, and
//! an honest error where what followed is not known.

use conformance_tests::grpc::{Connection, SERVICE, field, frame};
use conformance_tests::{Agent, Broker, wire};
use serde_json::{Value, json};

const OUT_OF_RANGE: u32 = 11;
/// More than the broker reads of its journal at a time.
const CHUNKS: usize = 100;

async fn worker() -> (Broker, Agent) {
    let broker = Broker::start("");
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    (broker, agent)
}

/// The events of a task that has ended, as the stream of its message had them.
async fn finished(broker: &Broker) -> (String, Vec<wire::Event>) {
    let script = json!({ "many": [CHUNKS, 10] }).to_string();
    let url = broker.agent_url("worker");
    let events =
        wire::stream(&url, "SendStreamingMessage", wire::message("m", &script), None).await.rest().await;
    let task = events[0].json["task"]["id"].as_str().expect("a task").to_owned();
    assert_eq!(events.last().unwrap().state(), Some("TASK_STATE_COMPLETED"));
    assert!(events.len() > CHUNKS);
    (task, events)
}

async fn subscribe(broker: &Broker, task: &str, after: u64) -> Vec<wire::Event> {
    wire::stream(&broker.url(), "SubscribeToTask", json!({ "id": task }), Some(after)).await.rest().await
}

fn shown(events: &[wire::Event]) -> Vec<(Option<u64>, Value)> {
    events.iter().map(|event| (event.id, event.json.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_over_tells_what_was_missed_and_ends() {
    let (mut broker, _agent) = worker().await;
    let (task, events) = finished(&broker).await;
    for missed in [events.len() - 1, CHUNKS / 2, 1, 0] {
        let seen = events.len() - missed;
        let after = events[seen - 1].id.expect("every event of a task has an id");
        assert_eq!(shown(&subscribe(&broker, &task, after).await), shown(&events[seen..]), "after {after}");
    }
    broker.crash();
    let after = events[0].id.unwrap();
    assert_eq!(shown(&subscribe(&broker, &task, after).await), shown(&events[1..]), "after a crash");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_the_task_does_not_have_is_a_gap_on_every_binding() {
    let (broker, _agent) = worker().await;
    let (over, events) = finished(&broker).await;
    let asking = broker
        .rpc("/agents/worker", "SendMessage", wire::message("q", &json!({ "ask": "?" }).to_string()))
        .await["result"]["task"]["id"]
        .as_str()
        .expect("a task")
        .to_owned();
    let newest = events.last().unwrap().id.unwrap();
    for (task, after) in [(&over, newest + 1), (&over, u64::MAX), (&asking, 1_000)] {
        let after = after.to_string();
        let headers =
            [("Content-Type", "application/json"), ("A2A-Version", "1.0"), ("Last-Event-ID", after.as_str())];
        let body =
            json!({ "jsonrpc": "2.0", "id": 1, "method": "SubscribeToTask", "params": { "id": task } });
        let rpc = wire::request("POST", &broker.url(), &headers, body.to_string().into_bytes()).await;
        let error = &rpc.json()["error"];
        assert_eq!((rpc.status, &error["code"]), (200, &json!(-31410)), "{error}");
        assert_eq!(
            (&error["data"][0]["reason"], &error["data"][0]["domain"]),
            (&json!("EVENT_GAP"), &json!("bailiwick"))
        );
        let last: u64 = error["data"][0]["metadata"]["last"].as_str().unwrap().parse().unwrap();
        assert!(if *task == over { last == newest } else { (1..1_000).contains(&last) }, "{error}");
        assert!(error["message"].as_str().unwrap().contains("without Last-Event-ID"), "{error}");

        let rest =
            wire::request("GET", &format!("{}/tasks/{task}:subscribe", broker.url()), &headers, Vec::new())
                .await;
        let error = &rest.json()["error"];
        assert_eq!((rest.status, &error["status"]), (410, &json!("OUT_OF_RANGE")), "{error}");
        assert_eq!(error["details"][0]["reason"], "EVENT_GAP");

        let mut connection = Connection::open(broker.address()).await;
        let path = format!("{SERVICE}/SubscribeToTask");
        let ask = frame(&field(2, task.as_bytes()));
        let answer = connection.call(&path, &[("last-event-id", &after)], ask).await;
        assert_eq!(answer.code(), Some(OUT_OF_RANGE), "{answer:?}");
        // The newest itself is no gap: what follows it is known, and on the one task it is nothing.
        if *task == over {
            assert!(subscribe(&broker, task, last).await.is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_id_of_an_event_is_refused_and_not_taken_for_none() {
    let (broker, _agent) = worker().await;
    let (task, _) = finished(&broker).await;
    let url = format!("{}/tasks/{task}:subscribe", broker.url());
    for id in ["-1", "+1", "1.0", "0x1", "one", "18446744073709551616", "\u{e9}"] {
        let answer =
            wire::request("GET", &url, &[("A2A-Version", "1.0"), ("Last-Event-ID", id)], Vec::new()).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["status"]),
            (400, &json!("INVALID_ARGUMENT")),
            "{id}"
        );
        assert!(answer.text.contains("Last-Event-ID"), "{}", answer.text);
    }
    let twice = [("A2A-Version", "1.0"), ("Last-Event-ID", "1"), ("Last-Event-ID", "2")];
    assert_eq!(wire::request("GET", &url, &twice, Vec::new()).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_sent_again_begins_with_the_task_whatever_was_seen() {
    let (broker, _agent) = worker().await;
    let (task, events) = finished(&broker).await;
    let script = json!({ "many": [CHUNKS, 10] }).to_string();
    let url = broker.agent_url("worker");
    let params = wire::message("m", &script);
    let again = wire::stream(&url, "SendStreamingMessage", params, events[3].id).await.rest().await;
    assert_eq!(again.len(), 1, "{again:?}");
    assert_eq!(again[0].json["task"]["id"], task);
    assert_eq!((again[0].state(), again[0].id), (Some("TASK_STATE_COMPLETED"), events.last().unwrap().id));
}
