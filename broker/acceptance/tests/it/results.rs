//! Results to be checked, and how they come out.

use broker_acceptance::{Acceptance, Outcome, Produced, Verdict, judge};
use protocol::{Artifact, Message};
use serde_json::{Value, json};

/// Artifacts as `[{artifactId, name, parts}]`.
pub(crate) fn artifacts(artifacts: &Value) -> Produced {
    let artifacts: Vec<Artifact> = serde_json::from_str(&artifacts.to_string()).unwrap();
    Produced { artifacts, message: None }
}

/// One artifact with these parts.
pub(crate) fn parts(parts: &Value) -> Produced {
    artifacts(&json!([{ "artifactId": "1", "name": "result", "parts": parts }]))
}

/// One artifact of text.
pub(crate) fn text(text: &str) -> Produced {
    parts(&json!([{ "text": text }]))
}

/// One artifact of data.
pub(crate) fn data(data: &Value) -> Produced {
    parts(&json!([{ "data": data }]))
}

/// A closing message and nothing else.
pub(crate) fn message(text: &str) -> Produced {
    Produced { artifacts: Vec::new(), message: Some(Message::agent_text("m", text)) }
}

/// Criteria as they come.
pub(crate) fn read(accept: &Value) -> Result<Acceptance, String> {
    let raw = serde_json::value::to_raw_value(accept).unwrap();
    Acceptance::read(&raw).map_err(|wrong| format!("{}: {}", wrong.member, wrong.problem))
}

pub(crate) fn verdict(accept: &Value, result: &Produced) -> Verdict {
    judge(&read(accept).unwrap(), result)
}

/// What all checks come to.
pub(crate) fn outcome(accept: &Value, result: &Produced) -> Outcome {
    verdict(accept, result).outcome
}
