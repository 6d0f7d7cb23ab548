//! `bailiwick push`: receivers of push notifications that were given up, and taking them up again.

use clap::Subcommand;
use http::Method;
use protocol::binding::http_json::percent_encode;
use serde_json::{Value, json};

use super::commands::Session;

#[derive(Debug, Subcommand)]
pub(super) enum PushCommand {
    /// List the dead letters: receivers that took nothing for as long as `push.give_up` says.
    #[command(after_help = "Examples:\n  bailiwick push list\n  bailiwick push list --json")]
    List,
    /// Send a receiver what it did not get, now that it is back.
    #[command(after_help = "Example:\n  bailiwick push retry 0190… my-config")]
    Retry {
        /// The task.
        task: String,
        /// The id of its push configuration.
        config: String,
    },
}

pub(super) async fn execute(session: &Session, command: PushCommand) -> Result<(), String> {
    match command {
        PushCommand::List => {
            let letters = session.broker.api(Method::GET, "/api/v1/push/dead-letters", None).await?;
            session.show(&letters, || table(&letters))
        }
        PushCommand::Retry { task, config } => {
            let path = format!(
                "/api/v1/push/dead-letters/{}/{}/retry",
                percent_encode(&task),
                percent_encode(&config)
            );
            let answer = session.broker.api(Method::POST, &path, Some(json!({}))).await?;
            session.show(&answer, || format!("what {config} of {task} did not get is being sent"))
        }
    }
}

fn table(letters: &Value) -> String {
    let letters = letters.get("deadLetters").and_then(Value::as_array).cloned().unwrap_or_default();
    if letters.is_empty() {
        return "no dead letters".to_owned();
    }
    let text =
        |letter: &Value, name: &str| letter.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let line = |letter: &Value| {
        format!(
            "{}  {}  {}\n  failing since {}, given up {}: {}",
            text(letter, "task"),
            text(letter, "config"),
            text(letter, "url"),
            text(letter, "since"),
            text(letter, "dead"),
            text(letter, "reason")
        )
    };
    letters.iter().map(line).collect::<Vec<_>>().join("\n")
}
