//! `bailiwick demo`: a broker and five agents on loopback ports, one tree, one refusal. Nothing is faked: the agents
//! are HTTP servers that speak A2A and reach each other through the broker only.
#![allow(clippy::print_stdout, reason = "printing is what a demonstration is for")]

mod agent;
mod story;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use protocol::{Message, Operation, SendMessageRequest, StreamResponse, Task, TaskState};
use serde_json::Value;

use crate::app::App;
use crate::cli::client::{BrokerClient, of_task};
use crate::cli::print;
use crate::config::{Config, ConfigError, Overrides};

/// The demonstration gives up after this long.
const TIME_LIMIT: Duration = Duration::from_mins(1);
/// How often the tree is looked at.
const REDRAW: Duration = Duration::from_millis(250);

/// Runs the demonstration; with `stay`, leaves everything running until interrupted.
pub async fn run(stay: bool) -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("bailiwick-demo-{}", uuid::Uuid::now_v7()));
    let result = play(&folder, stay).await;
    // The demonstration leaves nothing behind; what cannot be removed is in the temporary folder anyway.
    let _ = std::fs::remove_dir_all(&folder);
    result
}

async fn play(folder: &Path, stay: bool) -> Result<(), String> {
    let config = configure(folder, stay).map_err(|error| error.to_string())?;
    let app = App::start(config).await.map_err(|error| error.to_string())?;
    let url = app.url.clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(app.serve(async move { drop(stopped.await) }));
    println!("broker     {url}");

    let client = BrokerClient::to(&url);
    for member in story::cast() {
        let at = agent::start(member.name, member.part).await.map_err(|error| error.to_string())?;
        let new = serde_json::json!({ "name": member.name, "url": at, "caps": member.caps });
        client.api(http::Method::POST, "/api/v1/agents", Some(new)).await?;
        let caps = if member.caps.is_empty() { "nothing".to_owned() } else { member.caps.join(" ") };
        println!("{:<10} {at}  may: {caps}", member.name);
    }
    let told = tokio::time::timeout(TIME_LIMIT, tell(&client))
        .await
        .map_err(|_| format!("the demonstration did not end within {} s", TIME_LIMIT.as_secs()))?;
    let task = told?;
    next_steps(&url, &task, stay);
    if stay {
        let _ = tokio::signal::ctrl_c().await;
    }
    let _ = stop.send(());
    serving.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// The defaults. What stays is where commands look for a broker, if nobody else is there.
fn configure(folder: &Path, stay: bool) -> Result<Config, ConfigError> {
    let load = |listen| {
        let overrides = Overrides { listen, data: Some(folder.to_path_buf()) };
        Config::load(None, [], overrides)
    };
    let usual = load(None)?;
    if stay && TcpListener::bind(usual.server.listen).is_ok() {
        return Ok(usual);
    }
    load(Some(SocketAddr::from(([127, 0, 0, 1], 0))))
}

/// Sends the request and shows what comes of it; the root task's id.
async fn tell(client: &BrokerClient) -> Result<String, String> {
    println!("\nasking the editor: {:?}\n", story::REQUEST);
    let request =
        SendMessageRequest::new(Message::user_text(uuid::Uuid::now_v7().to_string(), story::REQUEST));
    let events = client.stream("/agents/editor", Operation::SendStreamingMessage, &request).await?;
    let mut events = pin!(events);
    let (mut task, mut drawn, mut end) = (String::new(), String::new(), None);
    let mut redraw = tokio::time::interval(REDRAW);
    loop {
        tokio::select! {
            event = events.next() => {
                let Some(event) = event.transpose()? else { break };
                if let StreamResponse::Task(begun) = &event {
                    task.clone_from(&begun.id);
                }
                if let StreamResponse::StatusUpdate(update) = &event {
                    end = Some(update.status.state);
                }
                println!("  · {}", print::event(&event).replace('\n', " "));
            }
            _ = redraw.tick(), if !task.is_empty() => draw(client, &task, &mut drawn).await?,
        }
    }
    draw(client, &task, &mut drawn).await?;
    match end {
        Some(TaskState::Completed) => {
            println!("\nthe tree has completed, although one agent over-reached:");
            for refusal in refusals(client, &task).await? {
                println!("  {refusal}");
            }
            Ok(task)
        }
        other => Err(format!("the tree should have completed, but ended as {other:?}")),
    }
}

/// What the agents of the tree said of refusals; there must be one.
async fn refusals(client: &BrokerClient, task: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for summary in subtree(client, task).await? {
        let (id, agent) =
            (summary.get("task"), summary.get("agent").and_then(Value::as_str).unwrap_or_default());
        let task: Task = client.call("", Operation::GetTask, &serde_json::json!({ "id": id })).await?;
        let said = task.history.iter().map(Message::joined_text).filter(|text| text.starts_with("refused"));
        found.extend(said.map(|text| format!("{agent} was {text}")));
    }
    if found.is_empty() {
        Err("the writer's attempt to publish should have been refused".to_owned())
    } else {
        Ok(found)
    }
}

async fn subtree(client: &BrokerClient, task: &str) -> Result<Vec<Value>, String> {
    let found = client.api(http::Method::GET, &of_task(task, "tree"), None).await?;
    Ok(found.get("tasks").and_then(Value::as_array).cloned().unwrap_or_default())
}

/// Draws the tree where it has changed.
async fn draw(client: &BrokerClient, task: &str, drawn: &mut String) -> Result<(), String> {
    let tree = print::tree(&subtree(client, task).await?);
    if tree != *drawn {
        println!("\n{tree}\n");
        *drawn = tree;
    }
    Ok(())
}

fn next_steps(url: &str, task: &str, stay: bool) {
    println!("\nnext steps");
    if stay {
        let usual = url == Config::default().public_url();
        let broker = if usual { String::new() } else { format!("--broker {url} ") };
        println!("  {url}/console#/tree/{task}");
        println!("  bailiwick {broker}task tree {task}");
        println!("  bailiwick {broker}send --agent editor --stream 'Another story'");
        println!("  Ctrl-C ends the demonstration");
    } else {
        println!(
            "  bailiwick demo --stay                        keep this running to look at it in the console"
        );
        println!("  bailiwick serve                              run a broker of your own");
        println!("  bailiwick agent add NAME URL --cap CAP       register an A2A agent with it");
        println!("  examples/python                              agents that delegate, in about five lines");
    }
}
