//! Brokers that die, and one that only seemed to: the others finish what it had begun, once, and it writes nothing more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use conformance_tests::{Agent, Gates, until, wire};
use private_postgres::Server;
use serde_json::json;

use super::{BROKERS, Cluster, LEASE, SHORT_LEASE, begin, ended, rpc};
use crate::delegation::script;

const SOUTHBOUND: &str = "[southbound]\nask_every = \"100ms\"\nabsent_after = \"5s\"\n";

/// Coordinator, left, right and deep, as the tree of [`script`] wants them.
async fn fleet(cluster: &Cluster) -> BTreeMap<&'static str, Agent> {
    let mut agents = BTreeMap::new();
    let caps: [(&str, &[&str]); 4] = [
        ("coordinator", &["a2a:skill/left/*", "a2a:skill/right/*", "a2a:skill/deep/*"]),
        ("left", &["a2a:skill/deep/*"]),
        ("right", &[]),
        ("deep", &[]),
    ];
    for (name, caps) in caps {
        let agent = Agent::scripted(name);
        cluster.add_agent(&agent, name, caps).await;
        agents.insert(name, agent);
    }
    agents
}

/// Judges trees that are over by what clients, agents and the journal say of them.
async fn judge(cluster: &Cluster, agents: &BTreeMap<&str, Agent>, tasks: &[String]) {
    for task in tasks {
        let end = ended(&cluster.balancer.url(), task).await;
        assert_eq!(end["status"]["state"], "TASK_STATE_COMPLETED", "{end:#}");
        let text = end["artifacts"].to_string();
        for piece in ["l1", "l2", "d", "r"] {
            assert!(text.contains(piece), "{task}: the merged result holds {piece}: {text}");
        }
        let all =
            wire::stream(&cluster.balancer.url(), "SubscribeToTask", json!({ "id": task }), Some(0)).await;
        let all = all.rest().await;
        let is_end = |event: &&wire::Event| event.state().is_some_and(|state| state.ends_with("COMPLETED"));
        assert_eq!(all.iter().filter(is_end).count(), 1, "{task}: one terminal event");
    }
    for (name, agent) in agents {
        let mut heard: BTreeMap<String, u32> = BTreeMap::new();
        for received in agent.logged("received") {
            *heard.entry(received["task"].to_string()).or_default() += 1;
        }
        assert_eq!(heard.len(), tasks.len(), "{name} worked on every tree");
        assert!(heard.values().all(|times| *times == 1), "{name} heard something twice: {heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_broker_had_begun_is_finished_by_the_others_once() {
    let Some(mut cluster) = Cluster::start_with(SOUTHBOUND, SHORT_LEASE).await else { return };
    let agents = fleet(&cluster).await;
    let url = format!("{}/agents/coordinator", cluster.balancer.url());
    let mut tasks = vec![begin(&url, "warm", &script(0)).await];
    ended(&url, &tasks[0]).await;
    for number in 0..6 {
        tasks.push(begin(&url, &format!("m{number}"), &script(300)).await);
    }
    let victim = cluster.driver(&tasks[3]).await;
    cluster.brokers[victim].end();
    for task in &tasks {
        ended(&url, task).await;
    }
    judge(&cluster, &agents, &tasks).await;
    // It comes back to nothing of its own, and answers like the others.
    cluster.brokers[victim].restart();
    let again = &cluster.brokers[victim].url();
    assert_eq!(ended(again, &tasks[3]).await["status"]["state"], "TASK_STATE_COMPLETED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_was_taken_for_dead_writes_nothing_more() {
    let Some(mut cluster) = Cluster::start_with(SOUTHBOUND, SHORT_LEASE).await else { return };
    let agents = fleet(&cluster).await;
    let url = format!("{}/agents/coordinator", cluster.balancer.url());
    let mut tasks = vec![begin(&url, "warm", &script(0)).await];
    ended(&url, &tasks[0]).await;
    tasks.push(begin(&url, "m", &script(700)).await);
    let zombie = cluster.driver(&tasks[1]).await;
    cluster.brokers[zombie].pause();
    cluster.balancer.take_out(cluster.brokers[zombie].address());
    let other = cluster.brokers[(zombie + 1) % 3].url();
    let end = ended(&other, &tasks[1]).await;
    // A tree that was over before it was stopped says nothing of that.
    cluster.until_gone(1).await;
    cluster.brokers[zombie].unpause();
    let code = cluster.brokers[zombie].ended().await;
    assert_eq!(code, Some(1), "it finds out, and ends");
    assert_eq!(ended(&other, &tasks[1]).await, end, "nothing came after the end");
    judge(&cluster, &agents, &tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_in_good_order_leaves_its_tasks_to_the_others_at_once() {
    let Some(mut cluster) = Cluster::start(SOUTHBOUND).await else { return };
    let agents = fleet(&cluster).await;
    let url = format!("{}/agents/coordinator", cluster.balancer.url());
    let tasks = vec![begin(&url, "m", &script(600)).await];
    let leaving = cluster.driver(&tasks[0]).await;
    cluster.brokers[leaving].terminate();
    assert_eq!(cluster.brokers[leaving].ended().await, Some(0));
    until("another one drives it", async || {
        let others = cluster.brokers.iter().enumerate().filter(|(number, _)| *number != leaving);
        let mut answers = Vec::new();
        for (_, broker) in others {
            answers.push(wire::get(&format!("{}/readyz", broker.url())).await.status);
        }
        answers.iter().all(|status| *status == 200)
    })
    .await;
    judge(&cluster, &agents, &tasks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_ends_the_streams_it_hands_on_and_finishes_what_is_none() {
    let Some(mut cluster) = Cluster::start("").await else { return };
    let (agent, gates) = (Agent::scripted("worker"), Gates::start().await);
    cluster.add_agent(&agent, "worker", &[]).await;
    // Over while the leaving broker still waits for what is not finished.
    let script = json!({ "gate": gates.wait("m") });
    let task = begin(&cluster.brokers[0].agent_url("worker"), "m", &script).await;
    let other = cluster.brokers[1].agent_url("worker");
    let (message, url) = (wire::message("m", &script.to_string()), other.clone());
    let waiting = tokio::spawn(async move { rpc(&url, "SendMessage", message).await });
    // It is counted where the task is driven.
    until("the call waits", async || cluster.brokers[0].callers().await == 1).await;
    let mut stream = wire::stream(&other, "SubscribeToTask", json!({ "id": task }), None).await;
    let ends = |event: &wire::Event| event.state() == Some("TASK_STATE_COMPLETED");
    assert!(stream.next().await.is_some_and(|event| !ends(&event)));
    cluster.brokers[1].terminate();
    let rest = stream.rest().await;
    assert!(!rest.iter().any(ends), "the caller resumes it at another broker: {rest:?}");
    gates.open("m").await;
    let answer = waiting.await.expect("an answer");
    assert_eq!(answer["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{answer}");
    assert_eq!(cluster.brokers[1].ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_nothing_is_accepted_and_afterwards_all_goes_on() {
    let server = tokio::task::spawn_blocking(Server::start).await.expect("it does not panic");
    let mut server = match server {
        Ok(server) => server,
        Err(missing) => return eprintln!("skipped: PostgreSQL: {missing}"),
    };
    let mut cluster =
        Cluster::over(&server.database().expect("a new database"), SOUTHBOUND, LEASE, [0; BROKERS]).await;
    let agents = fleet(&cluster).await;
    let url = format!("{}/agents/coordinator", cluster.balancer.url());
    let mut tasks = vec![begin(&url, "warm", &script(0)).await];
    ended(&url, &tasks[0]).await;
    for number in 0..4 {
        tasks.push(begin(&url, &format!("m{number}"), &script(300)).await);
    }
    let server = tokio::task::spawn_blocking(move || {
        server.crash_and_restart().expect("it comes back");
        server
    });
    let server = server.await.expect("it does not panic");
    for task in &tasks {
        ended(&url, task).await;
    }
    judge(&cluster, &agents, &tasks).await;
    assert!(cluster.brokers.iter_mut().all(|broker| !broker.is_dead()), "nobody is taken for gone");
    drop((cluster, server));
}

/// As a new version, or another configuration, is rolled out.
#[tokio::test(flavor = "multi_thread")]
async fn all_are_replaced_one_after_the_other_under_load_and_no_task_notices() {
    let Some(mut cluster) = Cluster::start(SOUTHBOUND).await else { return };
    let agents = fleet(&cluster).await;
    let url = format!("{}/agents/coordinator", cluster.balancer.url());
    let load = Arc::new(Load::default());
    let asking = tokio::spawn(ask_until(url.clone(), Arc::clone(&load)));
    let next = format!("{}\n[limits]\nmax_depth = 6\n", cluster.config);
    for broker in &mut cluster.brokers {
        let before = load.begun.load(Ordering::Relaxed);
        until("tasks are under way", async || load.begun.load(Ordering::Relaxed) > before + 1).await;
        broker.configure(&next);
        broker.terminate();
        assert_eq!(broker.ended().await, Some(0));
        broker.restart();
        until("it serves", async || wire::get(&format!("{}/readyz", broker.url())).await.status == 200).await;
    }
    load.is_over.store(true, Ordering::Relaxed);
    let tasks = asking.await.expect("every message is taken in the end");
    for task in &tasks {
        ended(&url, task).await;
    }
    judge(&cluster, &agents, &tasks).await;
    for broker in &cluster.brokers {
        let config = wire::get(&format!("{}/api/v1/config", broker.url())).await.json();
        assert_eq!(config["limits"]["max_depth"], 6, "{config}");
    }
}

/// Between two messages.
const PACE: Duration = Duration::from_millis(200);
/// How often one is sent at most.
const TRIES: u32 = 100;

/// How many tasks were begun, and whether there are to be more.
#[derive(Default)]
struct Load {
    begun: AtomicUsize,
    is_over: AtomicBool,
}

/// Has one task after the other begun until it is over. What is not answered is asked again, as the same message.
async fn ask_until(url: String, load: Arc<Load>) -> Vec<String> {
    let (mut tasks, mut tries) = (Vec::new(), 0);
    while tries > 0 || !load.is_over.load(Ordering::Relaxed) {
        let mut params = wire::message(&format!("m{}", tasks.len()), &script(200).to_string());
        params["configuration"] = json!({ "returnImmediately": true });
        let answer = wire::try_rpc(&url, "SendMessage", &params).await.unwrap_or_default();
        let task = answer["task"]["id"].as_str().map(ToOwned::to_owned);
        tries = if task.is_some() { 0 } else { tries + 1 };
        assert!(tries < TRIES, "a message is never taken: {answer}");
        tasks.extend(task);
        load.begun.store(tasks.len(), Ordering::Relaxed);
        tokio::time::sleep(PACE).await;
    }
    tasks
}
