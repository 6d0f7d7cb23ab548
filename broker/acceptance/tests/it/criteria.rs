//! Criteria are read strictly, bounded, and come back from the journal as they were.

use broker_acceptance::{Acceptance, Criteria, MAX_ACCEPT_BYTES, Specification};
use serde_json::{Value, json};

use super::results::read;

#[test]
fn what_is_not_known_or_not_possible_is_refused_with_what_was_expected() {
    let table = [
        (json!({}), "at least one of"),
        (json!({ "modes": ["text/plain"] }), "unknown field `modes`"),
        (json!({ "judge": { "agent": "j", "rubric": "r", "model": "x" } }), "unknown field `model`"),
        (json!({ "artifacts": [{ "title": "x" }] }), "unknown field `title`"),
        (json!({ "output_modes": ["text"] }), "media types such as text/plain"),
        (json!({ "output_modes": vec!["a/b"; 33] }), "at most 32"),
        (json!({ "artifacts": [{ "sha256": "abc" }] }), ".artifacts[0].sha256: expected 64 hex digits"),
        (json!({ "artifacts": [{ "min": 65 }] }), ".artifacts[0].min"),
        (json!({ "max_bytes": 1.5 }), "whole number"),
        (json!({ "judge": { "agent": "j", "rubric": "" } }), ".judge.rubric"),
        (
            json!({ "judge": { "agent": "j", "rubric": "r".repeat(9_000) } }),
            ".judge.rubric: expected at most",
        ),
        (json!({ "citations": { "sources": [] } }), ".citations.min"),
        (json!({ "citations": { "sources": [{ "id": "a" }, { "id": "a" }] } }), "each once"),
        (json!({ "citations": { "sources": [{ "id": "a b" }] } }), "letters, digits"),
        (json!({ "expression": "text +" }), ".expression: not a CEL expression"),
        (json!({ "schema": { "type": 3 } }), ".schema: not a JSON Schema"),
        (
            json!({ "citations": { "sources": [{ "id": "a", "text": "x".repeat(MAX_ACCEPT_BYTES) }] } }),
            "bytes",
        ),
    ];
    for (accept, expected) in table {
        let refused = read(&accept).expect_err(expected);
        assert!(refused.contains(expected), "{refused:?} does not say {expected:?}");
    }
}

/// Whatever makes metadata a Protobuf `Struct` writes every number as floating.
#[test]
fn numbers_may_be_floating() {
    let text = r#"{"max_bytes": 10.0, "artifacts": [{"min": 2.0}], "schema": {"minLength": 3.0}}"#;
    let accept: Value = serde_json::from_str(text).unwrap();
    let accept = read(&accept).unwrap();
    assert_eq!((accept.max_bytes, accept.artifacts[0].min), (Some(10), Some(2)));
    assert_eq!(accept.schema, Some(json!({ "minLength": 3 })));
}

#[test]
fn criteria_come_back_from_the_journal_as_they_were() {
    let accept = read(&all()).unwrap();
    let stored = serde_json::to_string(&accept).unwrap();
    assert_eq!(serde_json::from_str::<Acceptance>(&stored).unwrap(), accept);
}

#[test]
fn a_delegate_is_told_what_it_can_see_to_and_nothing_of_the_judge() {
    let accept = Some(read(&all()).unwrap());
    let said = Specification { accept, ..Specification::default() };
    let told = serde_json::to_value(Criteria::of(&said)).unwrap();
    let members: Vec<&str> = told.as_object().unwrap().keys().map(String::as_str).collect();
    let all = ["artifacts", "citations", "expression", "max_bytes", "output_modes", "schema"];
    assert_eq!(members, all);
    assert_eq!(told["citations"], json!({ "sources": ["s1"], "min": 1 }), "not what the sources say");
    let only_judged = read(&json!({ "judge": { "agent": "j", "rubric": "be kind" } })).unwrap();
    let said = Specification { accept: Some(only_judged), ..Specification::default() };
    assert!(Criteria::of(&said).is_none());
}

fn all() -> Value {
    json!({
        "output_modes": ["text/*"],
        "max_bytes": 100,
        "artifacts": [{ "name": "result", "media_type": "text/plain", "min": 1, "max_bytes": 50 }],
        "schema": { "type": "object" },
        "citations": { "sources": [{ "id": "s1", "text": "secret", "uri": "http://x.test" }] },
        "expression": "text != ''",
        "judge": { "agent": "j", "skill": "s", "rubric": "be kind" },
    })
}
