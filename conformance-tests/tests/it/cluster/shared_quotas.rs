//! A quota is one, however many brokers there are: what is used at one counts at the others, and what was used for good still
//! does when its broker is gone.

use conformance_tests::{Agent, until, wire};
use private_postgres::Server;
use serde_json::{Value, json};

use super::{Cluster, SHORT_LEASE, begin, ended, rpc};

/// So often brokers tell each other until what was written before is sure to count: the first time they may have begun to ask
/// before it was, the second time they hear it, and the third time begins once that is taken in.
const EXCHANGES: usize = 3;

/// What one broker says of a bound of the quota of whoever asks without a credential.
async fn used(cluster: &Cluster, broker: usize, bound: &str) -> u64 {
    let answer = wire::get(&format!("{}/api/v1/quotas", cluster.brokers[broker].url())).await.json();
    let all = answer["quotas"].as_array().unwrap_or_else(|| panic!("quotas: {answer}"));
    let own = all.iter().find(|quota| quota["kind"] == "principal" && quota["name"] == "anonymous");
    own.and_then(|quota| quota["bounds"][bound]["used"].as_u64()).unwrap_or_default()
}

async fn until_all_say(cluster: &Cluster, bound: &str, right: impl Fn(u64) -> bool) {
    for broker in 0..cluster.brokers.len() {
        until("all brokers count the same", async || right(used(cluster, broker, bound).await)).await;
    }
}

/// Waits until all brokers that are there have heard what the database says now.
async fn until_all_have_heard(cluster: &Cluster) {
    let server = Server::shared().expect("it is there");
    let ask = |question: &str| server.run(&cluster.database, question).expect("an answer").trim().to_owned();
    for _ in 0..EXCHANGES {
        let now = ask("SELECT clock_timestamp()");
        let told = format!(
            "SELECT coalesce(min(at) > '{now}', false) FROM usage JOIN brokers ON id = broker WHERE NOT gone"
        );
        until("all brokers tell each other", async || ask(&told) == "t").await;
    }
}

#[track_caller]
fn assert_refused(answer: &Value, bound: &str) {
    assert_eq!(answer["error"]["code"], -31429, "{answer}");
    assert_eq!(answer["error"]["data"][0]["metadata"]["bound"], bound, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_used_at_one_broker_counts_at_the_others() {
    let quota = "[[quotas]]\nof = \"principal:anonymous\"\nopen_tasks = 2\nmessages_per_minute = 6\n";
    let Some(cluster) = Cluster::start(quota).await else { return };
    let agent = Agent::scripted("worker");
    cluster.add_agent(&agent, "worker", &[]).await;
    let url = |number: usize| cluster.brokers[number].agent_url("worker");
    let long = json!({ "delay_ms": 60_000 });
    let tasks = [begin(&url(0), "one", &long).await, begin(&url(1), "two", &long).await];
    until_all_say(&cluster, "open_tasks", |open| open == 2).await;
    for number in 0..cluster.brokers.len() {
        let refused = rpc(&url(number), "SendMessage", wire::message("three", "{}")).await;
        assert_refused(&refused, "open_tasks");
    }
    for task in &tasks {
        let cancelled = rpc(&url(2), "CancelTask", json!({ "id": task })).await;
        assert_eq!(cancelled["result"]["status"]["state"], "TASK_STATE_CANCELED", "{cancelled}");
    }
    until_all_say(&cluster, "open_tasks", |open| open == 0).await;

    // Two of the minute's six have been used, one at each of two brokers; the third broker's callers have the rest.
    let hello = json!({ "chunks": ["hello"] });
    let mut done = 0;
    while used(&cluster, 2, "messages_per_minute").await < 6 {
        let task = begin(&url(2), &format!("more{done}"), &hello).await;
        assert_eq!(ended(&url(2), &task).await["status"]["state"], "TASK_STATE_COMPLETED");
        done += 1;
        assert!(done <= 6, "it is counted");
    }
    until_all_say(&cluster, "messages_per_minute", |messages| messages >= 5).await;
    // One may have come back meanwhile, ten seconds apart.
    let refused = async |id: &str| rpc(&url(0), "SendMessage", wire::message(id, &hello.to_string())).await;
    let answers = [refused("r1").await, refused("r2").await, refused("r3").await, refused("r4").await];
    let last = answers.iter().rfind(|answer| answer["error"].is_object());
    assert_refused(last.unwrap_or_else(|| panic!("{answers:?}")), "messages_per_minute");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_broker_had_used_of_the_day_is_still_used() {
    let quota = "[[quotas]]\nof = \"principal:anonymous\"\nbytes_per_day = \"1KiB\"\n";
    let Some(mut cluster) = Cluster::start_with(quota, SHORT_LEASE).await else { return };
    let agent = Agent::scripted("worker");
    cluster.add_agent(&agent, "worker", &[]).await;
    let url = |cluster: &Cluster, number: usize| cluster.brokers[number].agent_url("worker");
    let task = begin(&url(&cluster, 0), "much", &json!({ "chunks": ["much ".repeat(400)] })).await;
    ended(&url(&cluster, 0), &task).await;
    until_all_say(&cluster, "bytes_per_day", |bytes| bytes >= 2_000).await;
    cluster.brokers.remove(0);
    cluster.until_gone(1).await;
    // What it had used they hear from now on as of one that is gone.
    until_all_have_heard(&cluster).await;
    for number in 0..cluster.brokers.len() {
        let refused = rpc(&url(&cluster, number), "SendMessage", wire::message("more", "{}")).await;
        assert_refused(&refused, "bytes_per_day");
    }
    // Whoever starts later hears of it, too.
    let began = used(&cluster, 0, "bytes_per_day").await;
    cluster.brokers[0].crash();
    assert!(used(&cluster, 0, "bytes_per_day").await >= began);
    assert_refused(
        &rpc(&url(&cluster, 0), "SendMessage", wire::message("again", "{}")).await,
        "bytes_per_day",
    );
}
