//! What can be told by counting and hashing.

use broker_acceptance::Outcome::{Failed, Passed, Unverified};
use serde_json::{Value, json};

use super::results::{artifacts, data, message, outcome, parts, text, verdict};

/// SHA-256 of `abc`.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn output_modes_hold_for_every_part() {
    let modes = |modes: Value| json!({ "output_modes": modes });
    assert_eq!(outcome(&modes(json!(["text/plain"])), &text("x")), Passed);
    assert_eq!(outcome(&modes(json!(["Text/*"])), &message("x")), Passed);
    assert_eq!(outcome(&modes(json!(["text/plain"])), &data(&json!(1))), Failed);
    assert_eq!(outcome(&modes(json!(["application/json"])), &data(&json!(null))), Passed);
    let html = parts(&json!([{ "text": "x" }, { "text": "<p>", "mediaType": "text/html; charset=utf-8" }]));
    assert_eq!(outcome(&modes(json!(["text/plain"])), &html), Failed);
    assert_eq!(outcome(&modes(json!(["text/plain", "text/html"])), &html), Passed);
    let unknown = parts(&json!([{ "raw": "AAEC" }]));
    assert_eq!(outcome(&modes(json!(["image/png"])), &unknown), Unverified);
    assert_eq!(outcome(&modes(json!(["*/*"])), &unknown), Passed);
    assert_eq!(outcome(&modes(json!(["*/*"])), &artifacts(&json!([]))), Failed, "nothing is no result");
}

#[test]
fn sizes_count_what_parts_hold() {
    let most = |bytes: u64| json!({ "max_bytes": bytes });
    let result = parts(&json!([{ "text": "äb" }, { "raw": "AAEC" }, { "data": [1, 2] }]));
    assert_eq!(outcome(&most(11), &result), Passed);
    assert_eq!(outcome(&most(10), &result), Failed);
}

#[test]
fn required_artifacts_are_there_as_often_and_as_they_should_be() {
    let two = artifacts(&json!([
        { "artifactId": "a", "name": "report", "parts": [{ "text": "abc" }] },
        { "artifactId": "b", "name": "report", "parts": [{ "text": "a" }, { "raw": "YmM" }] },
    ]));
    let wish = |wish: Value| json!({ "artifacts": [wish] });
    assert_eq!(outcome(&wish(json!({ "name": "report", "min": 2, "sha256": ABC })), &two), Passed);
    assert_eq!(outcome(&wish(json!({ "name": "report", "min": 3 })), &two), Failed);
    assert_eq!(outcome(&wish(json!({ "artifact_id": "b", "media_type": "text/*" })), &two), Unverified);
    assert_eq!(outcome(&wish(json!({ "artifact_id": "a", "media_type": "text/*" })), &two), Passed);
    assert_eq!(outcome(&wish(json!({ "name": "report", "max_bytes": 2 })), &two), Failed);
    assert_eq!(outcome(&wish(json!({ "name": "report", "sha256": "0".repeat(64) })), &two), Failed);
    assert_eq!(outcome(&wish(json!({ "name": "other" })), &two), Failed);
    assert_eq!(outcome(&wish(json!({ "name": "other", "min": 0 })), &two), Passed);
    assert_eq!(
        outcome(&wish(json!({ "sha256": ABC })), &data(&json!("abc"))),
        Unverified,
        "data has no digest"
    );
    assert_eq!(outcome(&wish(json!({})), &message("abc")), Failed, "a message is no artifact");
    // Whatever else there is does not count.
    let mixed = artifacts(&json!([
        { "artifactId": "a", "parts": [{ "text": "abc" }] },
        { "artifactId": "b", "parts": [{ "raw": "AAEC", "mediaType": "image/png" }] },
    ]));
    let both =
        json!({ "artifacts": [{ "media_type": "image/png" }, { "media_type": "text/*", "sha256": ABC }] });
    assert_eq!(outcome(&both, &mixed), Passed);
    assert_eq!(outcome(&wish(json!({ "media_type": "image/png", "min": 2 })), &mixed), Failed);
}

#[test]
fn receipts_come_first_and_every_reason_is_given() {
    let accept = json!({ "expression": "false", "max_bytes": 1, "schema": true });
    let verdict = verdict(&accept, &text("ab"));
    let checks: Vec<String> = verdict.checks.iter().map(|check| format!("{:?}", check.check)).collect();
    assert_eq!(checks, ["Size", "Schema", "Expression"]);
    assert_eq!(verdict.outcome, Failed);
    let reason = verdict.reason();
    assert!(reason.contains("2 bytes") && reason.contains("not so that false"), "{reason}");
    assert!(!reason.contains("no JSON"), "only what failed is the reason: {reason}");
}
