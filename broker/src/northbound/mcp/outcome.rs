//! What comes of a call, as a tool's result: artifacts as content, what failed and why as an error that a model can read, and
//! what it can do next.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use protocol::{A2aError, Artifact, ErrorDetail, Message, Part, Task, TaskState};
use rmcp::model::{CallToolResult, ContentBlock, JsonObject, MetaObject, Resource, ResourceContents};
use serde::Deserialize;
use serde_json::{Value, json};

use super::arguments::DELEGATION;
use super::tools;

/// Most bytes of parts in one result: hosts bound an event of a stream, the official Python client at 1 MiB.
const MAX_RESULT_BYTES: usize = 512 * 1024;
/// What a block takes besides its content, bytes, about.
const BLOCK_BYTES: usize = 32;

/// A part's content.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Content {
    text: Option<String>,
    raw: Option<String>,
    url: Option<String>,
    data: Option<Value>,
    filename: Option<String>,
    media_type: Option<String>,
}

/// A result in the making.
#[derive(Default)]
struct Draft {
    content: Vec<ContentBlock>,
    data: Vec<Value>,
    bytes: usize,
}

/// A task that is over or asks.
pub(super) fn of_task(task: &Task) -> CallToolResult {
    let state = task.status.state;
    let mut draft = Draft::default();
    let said = task.status.message.as_deref();
    let failed = state.is_terminal() && state != TaskState::Completed;
    if failed {
        let reason = said.map(Message::joined_text).filter(|reason| !reason.is_empty());
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        draft.say(format!("The task is {}{reason}", in_words(state)));
    }
    for (at, artifact) in task.artifacts.iter().enumerate() {
        draft.add_artifact(&task.id, at, artifact);
    }
    if let Some(said) = said.filter(|_| !failed) {
        said.parts
            .iter()
            .for_each(|part| draft.add(part, &format!("urn:uuid:{}#status", task.id), "message"));
    }
    if !state.is_terminal() {
        draft.say(next_step(task));
    }
    let mut result =
        if failed { CallToolResult::error(draft.content) } else { CallToolResult::success(draft.content) };
    result.structured_content = structured(draft.data);
    let told = json!({ "task": task.id, "context_id": task.context_id, "state": state });
    result.with_meta(Some(meta(told)))
}

/// An answer that is no task.
pub(super) fn of_message(message: &Message) -> CallToolResult {
    let mut draft = Draft::default();
    message.parts.iter().for_each(|part| draft.add(part, "urn:bailiwick:message", "message"));
    let mut result = CallToolResult::success(draft.content);
    result.structured_content = structured(draft.data);
    result
}

/// A refusal, or what else went wrong; of a task that is there, if one is.
pub(super) fn of_error(error: &A2aError, task: Option<&str>) -> CallToolResult {
    let mut said = error.message.clone();
    let mut told = JsonObject::new();
    for detail in &error.details {
        match detail {
            ErrorDetail::ErrorInfo { reason, metadata, .. } => {
                told.insert("reason".to_owned(), reason.as_str().into());
                if let Some(missing) = metadata.get("missing") {
                    let _ = write!(
                        said,
                        "\nMissing: {missing}. Use a tool that tools/list names, or have whoever runs the broker \
                         give you this capability."
                    );
                    told.insert("missing".to_owned(), missing.split(' ').collect());
                }
            }
            ErrorDetail::BadRequest { field_violations } => {
                for (field, problem) in
                    field_violations.iter().filter(|(_, problem)| !error.message.contains(problem))
                {
                    let _ = write!(said, "\n{field}: {problem}");
                }
            }
            ErrorDetail::RetryInfo { seconds } => {
                let _ = write!(said, "\nTry again in {seconds} s.");
                told.insert("retry_after_seconds".to_owned(), (*seconds).into());
            }
        }
    }
    if let Some(task) = task {
        let _ = write!(said, "\nThe task goes on: {task}. {} finds it.", tools::TASK);
        told.insert("task".to_owned(), task.into());
    }
    CallToolResult::error(vec![ContentBlock::text(said)]).with_meta(Some(meta(Value::Object(told))))
}

/// Arguments that no task comes of.
pub(super) fn misfit(problem: &str) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(format!("{problem}; see the tool's inputSchema"))])
}

/// A call that ends while its task goes on.
pub(super) fn broken_off(task: &str) -> CallToolResult {
    let said = format!(
        "The broker is shutting down. The task goes on once it is back: call {} with task_id {task:?} for its result.",
        tools::TASK
    );
    let told = json!({ "task": task });
    CallToolResult::error(vec![ContentBlock::text(said)]).with_meta(Some(meta(told)))
}

/// A state, for people.
pub(super) fn in_words(state: TaskState) -> String {
    state.as_str().trim_start_matches("TASK_STATE_").to_ascii_lowercase().replace('_', " ")
}

fn next_step(task: &Task) -> String {
    let id = &task.id;
    match task.status.state {
        TaskState::InputRequired => {
            format!(
                "The task asks this and waits. To answer, call this tool again with task_id {id:?} and the answer as message."
            )
        }
        TaskState::AuthRequired => format!(
            "The task waits for an authorization, which has to be given outside this conversation. Then call {} with \
             task_id {id:?}.",
            tools::TASK
        ),
        state => format!(
            "The task is {}; call {} with task_id {id:?} to go on waiting.",
            in_words(state),
            tools::TASK
        ),
    }
}

fn meta(told: Value) -> MetaObject {
    let mut meta = MetaObject::new();
    meta.insert(DELEGATION.to_owned(), told);
    meta
}

/// One object stands for itself; whatever else there is has to be put into one.
fn structured(mut data: Vec<Value>) -> Option<Value> {
    match data.as_slice() {
        [] => None,
        [Value::Object(_)] => data.pop(),
        _ => Some(json!({ "data": data })),
    }
}

impl Draft {
    fn say(&mut self, text: impl Into<String>) {
        self.content.push(ContentBlock::text(text));
    }

    fn add_artifact(&mut self, task: &str, at: usize, artifact: &Artifact) {
        let name = artifact.name.as_ref().unwrap_or(&artifact.artifact_id);
        for (nth, part) in artifact.parts.iter().enumerate() {
            self.add(part, &format!("urn:uuid:{task}#{at}.{nth}"), name);
        }
    }

    fn add(&mut self, part: &Part, uri: &str, name: &str) {
        let bytes = part.raw().get().len() + BLOCK_BYTES;
        if self.bytes.saturating_add(bytes) > MAX_RESULT_BYTES {
            let said = format!(
                "[{bytes} bytes of {name} are left out, since a result has room for {MAX_RESULT_BYTES}; read the task with \
                 GetTask over A2A]"
            );
            return self.say(said);
        }
        self.bytes += bytes;
        let Ok(content) = serde_json::from_str::<Content>(part.raw().get()) else { return };
        let media_type = content.media_type.unwrap_or_else(|| "application/octet-stream".to_owned());
        if let Some(text) = content.text {
            self.say(text);
        } else if let Some(raw) = content.raw {
            self.content.push(file(&raw, uri, media_type));
        } else if let Some(url) = content.url {
            let link = Resource::new(url, content.filename.as_deref().unwrap_or(name));
            self.content.push(ContentBlock::resource_link(link.with_mime_type(media_type)));
        } else if let Some(data) = content.data {
            // Twice, for hosts that read text alone.
            self.bytes += bytes;
            self.say(data.to_string());
            self.data.push(data);
        }
    }
}

fn file(raw: &str, uri: &str, media_type: String) -> ContentBlock {
    // A2A takes either alphabet, with its padding or without; MCP one.
    let bare = raw.trim_end_matches('=');
    let bytes = STANDARD_NO_PAD.decode(bare).or_else(|_| URL_SAFE_NO_PAD.decode(bare));
    let data = bytes.map_or_else(|_| raw.to_owned(), |bytes| STANDARD.encode(bytes));
    match media_type.split('/').next() {
        Some("image") => ContentBlock::image(data, media_type),
        Some("audio") => ContentBlock::audio(data, media_type),
        _ => ContentBlock::resource(ResourceContents::blob(data, uri).with_mime_type(media_type)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use protocol::ErrorKind;

    use super::*;

    fn result(task: &Value) -> Value {
        let task: Task = serde_json::from_str(&task.to_string()).unwrap();
        serde_json::to_value(of_task(&task)).unwrap()
    }

    #[test]
    fn every_kind_of_part_becomes_content() {
        let parts = json!([
            { "text": "words" },
            { "data": { "n": 1 } },
            { "raw": "-_8", "mediaType": "image/png" },
            { "raw": "aGk=", "mediaType": "text/csv", "filename": "t.csv" },
            { "url": "https://x.example/r", "mediaType": "text/html", "filename": "r" },
        ]);
        let task = json!({ "id": "t", "contextId": "c", "status": { "state": "TASK_STATE_COMPLETED" },
            "artifacts": [{ "artifactId": "a", "parts": parts }] });
        let result = result(&task);
        let content = result["content"].as_array().unwrap();
        let kinds: Vec<&str> = content.iter().map(|block| block["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["text", "text", "image", "resource", "resource_link"]);
        assert_eq!(result["structuredContent"], json!({ "n": 1 }));
        assert_eq!(content[2]["data"], "+/8=", "in the alphabet of MCP");
        assert_eq!(content[3]["resource"]["mimeType"], "text/csv");
        assert_eq!(content[4]["uri"], "https://x.example/r");
        assert_eq!(result["isError"], false);
        assert_eq!(
            result["_meta"][DELEGATION],
            json!({ "task": "t", "context_id": "c", "state": "TASK_STATE_COMPLETED" })
        );
    }

    #[test]
    fn what_failed_says_why_and_what_asks_says_how_to_answer() {
        for (state, is_error, expected) in [
            ("FAILED", true, "failed: the reason"),
            ("REJECTED", true, "rejected: the reason"),
            ("CANCELED", true, "canceled: the reason"),
            ("INPUT_REQUIRED", false, "task_id \"t\""),
            ("AUTH_REQUIRED", false, "authorization"),
        ] {
            let said = json!({ "messageId": "m", "role": "ROLE_AGENT", "parts": [{ "text": "the reason" }] });
            let status = json!({ "state": format!("TASK_STATE_{state}"), "message": said });
            let result = result(&json!({ "id": "t", "contextId": "c", "status": status }));
            let text = result["content"].to_string().replace('\\', "");
            assert_eq!(result["isError"], is_error, "{state}");
            assert!(text.contains(expected) && text.contains("the reason"), "{state}: {text}");
        }
    }

    #[test]
    fn a_result_stays_small_enough_for_a_host_and_says_what_is_left_out() {
        let text = "x".repeat(MAX_RESULT_BYTES / 2);
        let parts = json!([{ "text": text }, { "text": text }, { "text": "last" }]);
        let status = json!({ "state": "TASK_STATE_COMPLETED" });
        let artifacts = json!([{ "artifactId": "big", "parts": parts }]);
        let result =
            result(&json!({ "id": "t", "contextId": "c", "status": status, "artifacts": artifacts }));
        assert!(result.to_string().len() < MAX_RESULT_BYTES + 2_000);
        let content = result["content"].as_array().unwrap();
        assert!(content[1]["text"].as_str().unwrap().contains("of big are left out"));
        assert_eq!(content[2]["text"], "last");
    }

    #[test]
    fn a_refusal_names_what_is_missing_and_the_next_step() {
        let missing = BTreeMap::from([("missing".to_owned(), "a2a:skill/x/y mcp:tool/z".to_owned())]);
        let refused = A2aError::new(ErrorKind::PermissionDenied, "no").with_info(
            "bailiwick",
            "CAPABILITY_EXCEEDED",
            missing,
        );
        let result = serde_json::to_value(of_error(&refused, None)).unwrap();
        assert_eq!(result["isError"], true);
        let told = &result["_meta"][DELEGATION];
        assert_eq!(
            *told,
            json!({ "reason": "CAPABILITY_EXCEEDED", "missing": ["a2a:skill/x/y", "mcp:tool/z"] })
        );
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.contains("Missing: a2a:skill/x/y mcp:tool/z") && text.contains("tools/list"), "{text}");
    }
}
