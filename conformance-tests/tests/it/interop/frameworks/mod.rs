//! The examples on frameworks that people have, unmodified: each is one file of `examples/`, run as its guide says
//! (`docs/bring_your_agents.md`), before a broker that is killed where the guide says what happens then.

mod adk;
mod javascript;
mod langgraph;
mod swarm;

use std::process::Command;

use conformance_tests::{Broker, until, wire};
use serde_json::{Value, json};

/// Sends a text to an agent and does not wait for what comes of it; the task.
async fn begin(broker: &Broker, agent: &str, params: Value) -> String {
    let mut params = params;
    params["configuration"] = json!({ "returnImmediately": true });
    let begun = broker.rpc(&format!("/agents/{agent}"), "SendMessage", params).await;
    begun["result"]["task"]["id"].as_str().unwrap_or_else(|| panic!("{begun}")).to_owned()
}

/// A task, as whoever began it at an agent sees it there.
async fn task_at(broker: &Broker, agent: &str, id: &str) -> Value {
    let answer = broker.rpc(&format!("/agents/{agent}"), "GetTask", json!({ "id": id })).await;
    answer["result"].clone()
}

/// Waits until it is in a state; the task then.
async fn until_state(broker: &Broker, agent: &str, id: &str, state: &str) -> Value {
    let wanted = format!("TASK_STATE_{state}");
    until(state, async || task_at(broker, agent, id).await["status"]["state"] == wanted).await;
    task_at(broker, agent, id).await
}

/// The text of a task's artifacts.
fn text(task: &Value) -> String {
    let artifacts = task["artifacts"].as_array().cloned().unwrap_or_default();
    let parts = artifacts.iter().filter_map(|artifact| artifact["parts"].as_array()).flatten();
    parts.filter_map(|part| part["text"].as_str()).collect()
}

/// The answer to what a task asked.
fn answer(task: &str, text: &str) -> Value {
    let mut params = wire::message(&format!("answer to {task}"), text);
    params["message"]["taskId"] = json!(task);
    params
}

/// What a program prints that has to succeed.
async fn printed(mut command: Command) -> String {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");
    printed
}
