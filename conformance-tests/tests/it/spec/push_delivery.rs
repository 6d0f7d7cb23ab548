//! Delivery of push notifications (spec §4.3.3): what a subscriber sees, in order, at least once, whatever becomes of
//! the receiver and of the broker.

use std::time::{Duration, Instant};

use conformance_tests::{Agent, Broker, Posted, Receiver, Reply, wire};
use serde_json::{Value, json};

/// Quick enough for tests.
const QUICK: &str = "[push]\nbackoff = \"50ms\"\nmax_backoff = \"200ms\"\n";

/// A broker with a worker that streams.
async fn world(config: &str) -> (Broker, Agent) {
    let broker = Broker::start(config);
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    (broker, agent)
}

/// Begins a task that makes so many chunks at a pace, its events pushed to these URLs; its id.
async fn begin(broker: &Broker, id: &str, (chunks, pace_ms): (usize, u64), config: Value) -> String {
    let chunks: Vec<String> = (0..chunks).map(|number| format!("{number} ")).collect();
    let mut params = wire::message(id, &json!({ "chunks": chunks, "pace_ms": pace_ms }).to_string());
    params["configuration"] = json!({ "returnImmediately": true, "taskPushNotificationConfig": config });
    let sent = broker.rpc("/agents/worker", "SendMessage", params).await;
    sent["result"]["task"]["id"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned()
}

/// What a subscriber who missed nothing saw.
async fn seen(broker: &Broker, task: &str) -> Vec<wire::Event> {
    wire::stream(&broker.url(), "SubscribeToTask", json!({ "id": task }), Some(0)).await.rest().await
}

async fn subscriber(broker: &Broker, task: &str) -> Vec<Value> {
    seen(broker, task).await.into_iter().map(|event| event.json).collect()
}

fn events(posted: &[Posted]) -> Vec<Value> {
    posted.iter().map(|posted| posted.json.clone()).collect()
}

/// Without repeats of the event before.
fn once(posted: &[Posted]) -> Vec<Value> {
    let mut posted = posted.to_vec();
    posted.dedup_by_key(|posted| posted.header("idempotency-key").expect("each event is named").to_owned());
    events(&posted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_gets_what_a_subscriber_sees_with_its_credentials() {
    let (broker, _agent) = world("").await;
    let receiver = Receiver::start().await;
    let config = json!({
        "url": receiver.url("/hook?x=1"),
        "token": "tok",
        "authentication": { "scheme": "Bearer", "credentials": "cred" },
    });
    let task = begin(&broker, "m", (5, 0), config).await;
    receiver.until_end().await;
    let posted = receiver.posted();
    assert_eq!(events(&posted), subscriber(&broker, &task).await);
    assert!(posted.len() >= 7, "WORKING, five pieces and the end: {posted:#?}");
    for posted in &posted {
        assert!(posted.head.starts_with("POST /hook?x=1 HTTP/1.1"), "{}", posted.head);
        assert_eq!(posted.header("content-type"), Some("application/a2a+json"));
        assert_eq!(posted.header("authorization"), Some("Bearer cred"));
        assert_eq!(posted.header("x-a2a-notification-token"), Some("tok"));
        assert_eq!(posted.header("a2a-version"), Some("1.0"));
        assert_eq!(posted.json.as_object().expect("an object").len(), 1, "exactly one member");
    }
    let ids: Vec<_> = posted.iter().map(|posted| posted.header("idempotency-key").expect("a name")).collect();
    let mut distinct = ids.clone();
    distinct.dedup();
    assert_eq!(ids, distinct, "each event has a name of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_receivers_of_a_task_and_of_its_further_turns_each_get_everything_from_their_beginning_on() {
    let (broker, _agent) = world("").await;
    let (first, second, third) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let mut params = wire::message("m", &json!({ "ask": "colour?" }).to_string());
    params["configuration"] =
        json!({ "taskPushNotificationConfig": { "id": "first", "url": first.url("/") } });
    let sent = broker.rpc("/agents/worker", "SendMessage", params).await;
    let task = sent["result"]["task"]["id"].as_str().expect("a task").to_owned();
    let config = json!({ "taskId": task, "id": "second", "url": second.url("/") });
    broker.rpc("", "CreateTaskPushNotificationConfig", config).await;
    let deleted = json!({ "taskId": task, "id": "gone", "url": "http://127.0.0.1:9/" });
    broker.rpc("", "CreateTaskPushNotificationConfig", deleted).await;
    broker.rpc("", "DeleteTaskPushNotificationConfig", json!({ "taskId": task, "id": "gone" })).await;
    let mut answer = wire::message("n", "blue");
    answer["message"]["taskId"] = json!(task);
    answer["configuration"] =
        json!({ "taskPushNotificationConfig": { "id": "third", "url": third.url("/") } });
    broker.rpc("/agents/worker", "SendMessage", answer).await;
    for receiver in [&first, &second, &third] {
        receiver.until_end().await;
    }
    let all = subscriber(&broker, &task).await;
    assert_eq!(events(&first.posted()), all);
    let later = events(&second.posted());
    assert!(later.len() < all.len() && all.ends_with(&later), "{later:#?}");
    assert_eq!(events(&third.posted()), later);
    assert!(
        later[0].to_string().contains("WORKING"),
        "the answer itself is the first they hear of: {later:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_sent_again_and_nothing_overtakes_it() {
    let (broker, _agent) = world(QUICK).await;
    let mut asked = 0;
    // Refusals of every kind, a redirect among them; each event passes at its third try.
    let elsewhere = Receiver::start().await;
    let location = format!("location: {}\r\n", elsewhere.url("/"));
    let receiver = Receiver::answering(move |_| {
        asked += 1;
        match asked % 6 {
            1 => Reply::of(500),
            2 => Reply { status: 307, headers: location.clone(), ..Reply::default() },
            4 => Reply::of(401),
            5 => Reply { status: 503, headers: "retry-after: 0\r\n".to_owned(), ..Reply::default() },
            _ => Reply::of(204),
        }
    })
    .await;
    let task = begin(&broker, "m", (3, 10), json!({ "url": receiver.url("/") })).await;
    let all = end_of(&broker, &task).await;
    receiver
        .until("everything", |posted| {
            posted.iter().filter(|posted| posted.status == 204).count() == all.len()
        })
        .await;
    assert_eq!(events(&receiver.taken()), all, "each once, in order");
    assert_eq!(once(&receiver.posted()), all, "nothing was tried before what came before it had arrived");
    assert!(elsewhere.posted().is_empty(), "redirects are not followed");
}

/// Waits for the end of a task; all its events.
async fn end_of(broker: &Broker, task: &str) -> Vec<Value> {
    loop {
        let shown = broker.rpc("", "GetTask", json!({ "id": task })).await;
        if shown["result"]["status"]["state"] == "TASK_STATE_COMPLETED" {
            return subscriber(broker, task).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_honoured() {
    let (broker, _agent) = world(QUICK).await;
    let mut times: Vec<Instant> = Vec::new();
    let (sender, waited) = std::sync::mpsc::channel();
    let receiver = Receiver::answering(move |_| {
        times.push(Instant::now());
        if let [first, second] = times.as_slice() {
            sender.send(*second - *first).expect("the test waits");
        }
        if times.len() == 1 {
            Reply { status: 429, headers: "retry-after: 2\r\n".to_owned(), ..Reply::default() }
        } else {
            Reply::of(200)
        }
    })
    .await;
    begin(&broker, "m", (1, 0), json!({ "url": receiver.url("/") })).await;
    receiver.until_end().await;
    let waited = waited.recv().expect("a second try");
    assert!(waited >= Duration::from_secs(2), "not before the receiver said: {waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_gone_gets_everything_when_it_is_back_across_a_crash() {
    let (mut broker, _agent) = world(QUICK).await;
    let mut receiver = Receiver::start().await;
    let task = begin(&broker, "m", (20, 10), json!({ "url": receiver.url("/") })).await;
    receiver.until("some events", |posted| posted.len() > 3).await;
    receiver.vanish().await;
    let all = end_of(&broker, &task).await;
    broker.crash();
    receiver.come_back().await;
    receiver.until_end().await;
    assert_eq!(once(&receiver.taken()), all, "everything, in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_between_events_loses_none_and_reorders_none() {
    let (mut broker, _agent) = world(&format!("{QUICK}[southbound]\nask_every = \"50ms\"\n")).await;
    let receiver = Receiver::start().await;
    let task = begin(&broker, "m", (60, 30), json!({ "url": receiver.url("/") })).await;
    for kill_at in [2, 9, 17, 30] {
        // Where the agent's own stream broke off, pieces arrive together; there may be fewer events than chunks.
        let is_there = |posted: &[Posted]| posted.len() >= kill_at || ends(posted);
        receiver.until("some events", is_there).await;
        broker.crash();
    }
    receiver.until_end().await;
    end_of(&broker, &task).await;
    assert_in_order(&receiver.posted(), &seen(&broker, &task).await);
}

fn ends(posted: &[Posted]) -> bool {
    posted.iter().any(|posted| posted.json.to_string().contains("TASK_STATE_COMPLETED"))
}

/// At least once, in order: an event may be repeated, none is skipped.
fn assert_in_order(posted: &[Posted], all: &[wire::Event]) {
    let mut next = 0;
    for posted in posted {
        let name = posted.header("idempotency-key").expect("each event is named").trim_matches('"');
        let number = name.rsplit(':').next().and_then(|number| number.parse().ok());
        let at =
            all.iter().position(|event| event.id == number).unwrap_or_else(|| panic!("unknown: {posted:#?}"));
        assert_eq!(all[at].json, posted.json);
        assert!(at <= next, "event {at} came before event {next}");
        next = next.max(at + 1);
    }
    assert_eq!(next, all.len(), "some never came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_given_up_is_a_dead_letter_until_an_operator_takes_it_up_again() {
    let (mut broker, _agent) = world(&format!("{QUICK}give_up = \"400ms\"\n")).await;
    let receiver = Receiver::answering(|_| Reply::of(500)).await;
    let config = json!({
        "id": "my config",
        "url": receiver.url("/hook?key=s3cret"),
        "authentication": { "scheme": "Bearer", "credentials": "s3cret" },
    });
    let task = begin(&broker, "m", (2, 0), config).await;
    let all = end_of(&broker, &task).await;
    let letters = dead_letters(&broker).await;
    assert_eq!((&letters[0]["task"], &letters[0]["config"]), (&json!(task), &json!("my config")));
    assert_eq!(
        (&letters[0]["url"], &letters[0]["reason"]),
        (&json!(receiver.url("/hook")), &json!("HTTP 500 Internal Server Error"))
    );
    assert!(!letters.to_string().contains("s3cret"), "{letters}");
    let listed = broker.command(&["push", "list"]);
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(text.contains(&task) && text.contains("my config") && text.contains("HTTP 500"), "{text}");

    broker.crash();
    assert_eq!(dead_letters(&broker).await, letters, "it is remembered");
    receiver.behave(|_| Reply::of(200));
    let tried = receiver.posted().len();
    let retried = broker.command(&["push", "retry", &task, "my config"]);
    assert!(retried.status.success(), "{retried:?}");
    receiver.until_end().await;
    assert_eq!(events(&receiver.taken()), all);
    assert!(receiver.posted().len() >= tried, "nothing was tried between");
    let none = wire::get(&format!("{}/api/v1/push/dead-letters", broker.url())).await.json();
    assert_eq!(none, json!({ "deadLetters": [] }));
    let again = broker.command(&["push", "retry", &task, "my config"]);
    assert!(!again.status.success(), "there is nothing to retry");
}

async fn dead_letters(broker: &Broker) -> Value {
    loop {
        let letters = wire::get(&format!("{}/api/v1/push/dead-letters", broker.url())).await.json();
        if letters["deadLetters"].as_array().is_some_and(|letters| !letters.is_empty()) {
            return letters["deadLetters"].clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_setting_of_the_same_id_takes_over_what_the_old_one_could_not_deliver() {
    let (broker, _agent) = world(&format!("{QUICK}give_up = \"300ms\"\n")).await;
    let (old, new) = (Receiver::answering(|_| Reply::of(410)).await, Receiver::start().await);
    let task = begin(&broker, "m", (3, 0), json!({ "id": "c", "url": old.url("/") })).await;
    dead_letters(&broker).await;
    assert_eq!(old.posted().len(), 1, "410 Gone is final at once");
    let config = json!({ "taskId": task, "id": "c", "url": new.url("/") });
    let made = broker.rpc("", "CreateTaskPushNotificationConfig", config).await;
    assert_eq!(made["result"]["id"], "c", "{made}");
    new.until_end().await;
    assert_eq!(events(&new.taken()), subscriber(&broker, &task).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_hang_hold_up_only_their_own_host() {
    let (broker, _agent) = world("[push]\nper_host = 2\nat_once = 3\ntimeout = \"60s\"\n").await;
    let stuck = Receiver::answering(|_| Reply::of(0)).await;
    let hanging = format!("http://localhost:{}/", stuck.port());
    for number in 0..6 {
        begin(&broker, &format!("h{number}"), (1, 0), json!({ "url": hanging })).await;
    }
    stuck.until("both places of the host are taken", |posted| posted.len() == 2).await;
    let receiver = Receiver::start().await;
    let task = begin(&broker, "m", (5, 0), json!({ "url": receiver.url("/") })).await;
    receiver.until_end().await;
    assert_eq!(events(&receiver.posted()), subscriber(&broker, &task).await);
    assert_eq!(stuck.posted().len(), 2, "no more than push.per_host at a time");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_receivers_are_in_no_log_and_no_answer() {
    let env = [("BAILIWICK_LOG_LEVEL", "trace")];
    let broker = Broker::start_with(&format!("{QUICK}give_up = \"1s\"\n"), &env);
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    let (good, bad) = (Receiver::start().await, Receiver::answering(|_| Reply::of(403)).await);
    let config = |receiver: &Receiver| {
        json!({
            "url": receiver.url("/hook"),
            "token": "tok-s3cret",
            "authentication": { "scheme": "Basic", "credentials": "cred-s3cret" },
        })
    };
    let taken = begin(&broker, "good", (2, 0), config(&good)).await;
    let refused = begin(&broker, "bad", (2, 0), config(&bad)).await;
    good.until_end().await;
    let mut answers = dead_letters(&broker).await.to_string();
    assert_eq!(good.posted()[0].header("authorization"), Some("Basic cred-s3cret"));
    for task in [&taken, &refused] {
        answers.push_str(&broker.rpc("", "GetTask", json!({ "id": task })).await.to_string());
        let listed = broker.rpc("", "ListTaskPushNotificationConfigs", json!({ "taskId": task })).await;
        assert_eq!(listed["result"]["configs"][0]["authentication"], json!({ "scheme": "Basic" }));
        answers.push_str(&listed.to_string());
        answers.push_str(&wire::get(&format!("{}/api/v1/tasks/{task}/tree", broker.url())).await.text);
    }
    answers.push_str(&wire::get(&format!("{}/api/v1/audit", broker.url())).await.text);
    let log = broker.log();
    assert!(log.contains("given up") && log.len() > 10_000, "everything is logged: {log}");
    assert!(!answers.contains("s3cret"), "{answers}");
    assert!(
        !log.contains("s3cret"),
        "{}",
        log.lines().find(|line| line.contains("s3cret")).unwrap_or_default()
    );
    let seen: String = agent.log().iter().map(Value::to_string).collect();
    assert!(!seen.contains("s3cret"), "the agent is told nothing of it");
}
