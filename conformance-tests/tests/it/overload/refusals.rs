//! Every bound, reached with a tiny limit: whoever comes next is refused on each binding with the right code, a reason
//! and a time to try again; what was refused has done nothing; and whoever watches over the broker is answered.

use std::time::Duration;

use conformance_tests::suite::operation::{GET, Operation, SEND, STREAM};
use conformance_tests::{Agent, Broker, Gates, until, wire};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::call::{BINDINGS, Binding, Kind, call};
/// A bound and who reaches it.
struct Bound {
    config: &'static str,
    /// Calls that are in hand meanwhile, each held at the gate.
    held: usize,
    /// Whether they wait for their answer.
    blocking: bool,
    operation: Operation,
    kind: Kind,
    reason: &'static str,
}

const BOUNDS: [Bound; 5] = [
    Bound {
        config: "[limits]\nmax_open_tasks = 1\n",
        held: 1,
        blocking: false,
        operation: SEND,
        kind: Kind::Exhausted,
        reason: "TOO_MANY_TASKS",
    },
    Bound {
        config: "[limits]\nmax_waiting = 1\n",
        held: 2,
        blocking: false,
        operation: SEND,
        kind: Kind::Exhausted,
        reason: "AGENT_BUSY",
    },
    Bound {
        config: "[server]\nmax_streams = 1\n",
        held: 1,
        blocking: true,
        operation: STREAM,
        kind: Kind::Exhausted,
        reason: "TOO_MANY_STREAMS",
    },
    Bound {
        config: "[server]\nmax_requests = 1\n",
        held: 1,
        blocking: true,
        operation: SEND,
        kind: Kind::Unavailable,
        reason: "TOO_MANY_REQUESTS",
    },
    Bound {
        config: "[server]\nmax_connections = 1\n",
        held: 1,
        blocking: true,
        operation: SEND,
        kind: Kind::Unavailable,
        reason: "TOO_MANY_CONNECTIONS",
    },
];

async fn worker(config: &str) -> (Broker, Agent, Gates) {
    let (broker, agent, gates) = (Broker::start(config), Agent::scripted("worker"), Gates::start().await);
    // Its registration comes with a limit, so that some wait.
    let body = json!({ "name": "worker", "url": agent.url(), "max_concurrent": 1 });
    let added = wire::post(&format!("{}/api/v1/agents", broker.url()), &body, None).await;
    assert_eq!(added.status, 201, "{}", added.text);
    (broker, agent, gates)
}

fn send(id: &str, text: &str, at_once: bool) -> Value {
    let mut params = wire::message(id, text);
    params["configuration"] = json!({ "returnImmediately": at_once });
    params
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_when_a_bound_is_reached_is_told_why_and_when_to_come_back() {
    for bound in BOUNDS {
        let (broker, agent, gates) = worker(bound.config).await;
        let waiting = json!({ "gate": gates.wait("all"), "chunks": ["done"] }).to_string();
        let mut held = JoinSet::new();
        for number in 0..bound.held {
            let params = send(&format!("held{number}"), &waiting, !bound.blocking);
            let (url, method) = (broker.agent_url("worker"), bound.operation.method);
            let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
            let sent = async move { wire::post(&url, &body, None).await.text };
            if bound.blocking {
                held.spawn(sent);
            } else {
                let sent = sent.await;
                assert!(sent.contains("TASK_STATE_"), "{sent}");
            }
        }
        until("the agent is at work", async || !agent.logged("received").is_empty()).await;

        for binding in BINDINGS {
            let params = send(&format!("refused{binding:?}"), "hello", bound.operation == SEND);
            let refused = call(&broker, binding, Some("worker"), bound.operation, &params).await;
            let refusal = refused.expect_err(bound.reason);
            refusal.assert_is(binding, bound.kind, bound.reason);
        }
        let watch = wire::get(&format!("{}/healthz", broker.url())).await;
        assert_eq!(watch.status, 200, "{}: {}", bound.reason, watch.text);

        gates.open("all").await;
        for answer in held.join_all().await {
            assert!(answer.contains("TASK_STATE_COMPLETED"), "{}: {answer}", bound.reason);
        }
        until("who waited is served", async || agent.logged("received").len() >= bound.held).await;
        assert_eq!(agent.logged("received").len(), bound.held, "{}: nothing else was sent", bound.reason);
        for binding in BINDINGS {
            // The same message again, now that there is room.
            let params = send(&format!("refused{binding:?}"), "hello", false);
            let mut answer = call(&broker, binding, Some("worker"), SEND, &params).await;
            while let Err(refusal) = answer {
                refusal.assert_is(binding, bound.kind, bound.reason);
                tokio::time::sleep(Duration::from_millis(50)).await;
                answer = call(&broker, binding, Some("worker"), SEND, &params).await;
            }
            assert!(answer.unwrap().to_string().contains("TASK_STATE_COMPLETED"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_there_is_no_memory_for_is_refused() {
    let (broker, _agent, _gates) =
        worker("[server]\nbody_limit = \"16KiB\"\nmax_body_memory = \"64KiB\"\n").await;
    let script = json!({ "many": [10, 10_000] }).to_string();
    let task =
        call(&broker, Binding::JsonRpc, Some("worker"), SEND, &send("m", &script, true)).await.unwrap();
    let task = json!({ "id": task["task"]["id"] });
    let brief = json!({ "id": task["id"], "historyLength": 0 });
    until("its end", async || {
        let url = format!("{}/tasks?pageSize=1", broker.url());
        wire::get(&url).await.text.contains("TASK_STATE_COMPLETED")
    })
    .await;
    for binding in BINDINGS {
        let refused = call(&broker, binding, None, GET, &brief).await.expect_err("a large answer");
        refused.assert_is(binding, Kind::Unavailable, "TOO_MANY_BYTES");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_the_disk_does_not_keep_up_with_are_refused_and_done_once_when_sent_again() {
    const CALLERS: usize = 48;
    let broker = Broker::start("[store]\nqueue = 1\nbatch = 1\n");
    let agent = Agent::scripted("worker");
    broker.add_agent("worker", agent.url(), &[]).await;
    let mut refused = [0; BINDINGS.len()];
    for round in 0..100 {
        let calls = (0..CALLERS).map(|number| {
            let binding = BINDINGS[number % BINDINGS.len()];
            let (broker, id) = (&broker, format!("r{round}n{number}"));
            async move {
                let params = send(&id, "hello", true);
                let mut refusals = 0;
                loop {
                    match call(broker, binding, Some("worker"), SEND, &params).await {
                        Ok(_) => return (number % BINDINGS.len(), refusals),
                        Err(refusal) => refusal.assert_is(binding, Kind::Unavailable, "STORE_BUSY"),
                    }
                    refusals += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        });
        for (binding, times) in all(calls).await {
            refused[binding] += times;
        }
        let sent = (round + 1) * CALLERS;
        until("each is done", async || agent.logged("received").len() >= sent).await;
        assert_eq!(agent.logged("received").len(), sent, "each once");
        if refused.iter().all(|times| *times > 0) {
            eprintln!("refused by the store, and accepted later: {refused:?} on {BINDINGS:?}");
            return;
        }
    }
    panic!("the disk kept up with everything: {refused:?}");
}

/// Runs futures together, on this task.
async fn all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, done) in &mut running {
            if done.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *done = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(_, done)| done).collect()
}
