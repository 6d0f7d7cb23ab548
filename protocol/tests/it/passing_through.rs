//! What is not known is kept, and what nobody looks into stays the bytes it was.

use proptest::prelude::*;
use protocol::binding::grpc::write_request;
use protocol::{
    AgentCard, Message, Operation, SendMessageRequest, StreamResponse, Task, TaskState, Timestamp,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

fn round_trip<T: serde::de::DeserializeOwned + serde::Serialize>(value: &Value) -> Value {
    let text = value.to_string();
    let typed: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    serde_json::to_value(&typed).unwrap()
}

#[test]
fn unknown_members_survive_at_every_level() {
    let part = json!({ "text": "x", "new": [1] });
    let message = json!({ "messageId": "m", "role": "ROLE_USER", "parts": [part], "new": { "a": null } });
    let status = json!({ "state": "TASK_STATE_WORKING", "message": message, "timestamp": "2026-01-02T03:04:05.678Z", "new": 1 });
    let artifact = json!({ "artifactId": "a", "parts": [part], "new": "x" });
    let task = json!({ "id": "t", "contextId": "c", "status": status, "artifacts": [artifact], "history": [message], "new": true });
    assert_eq!(round_trip::<Message>(&message), message);
    assert_eq!(round_trip::<Task>(&task), task);
    for event in [
        json!({ "task": task }),
        json!({ "message": message }),
        json!({ "statusUpdate": { "taskId": "t", "contextId": "c", "status": status, "new": 1 } }),
        json!({ "artifactUpdate": { "taskId": "t", "contextId": "c", "artifact": artifact, "append": true, "lastChunk": true, "new": 1 } }),
    ] {
        assert_eq!(round_trip::<StreamResponse>(&event), event);
    }
    let card = json!({ "name": "n", "description": "d", "version": "1", "supportedInterfaces": [
        { "url": "u", "protocolBinding": "JSONRPC", "protocolVersion": "1.0", "new": 1 } ],
        "capabilities": { "streaming": true, "new": 1 }, "defaultInputModes": ["a"], "defaultOutputModes": ["b"],
        "skills": [ { "id": "s", "name": "n", "description": "d", "tags": ["t"], "new": 1 } ], "signatures": [{ "x": 1 }] });
    assert_eq!(round_trip::<AgentCard>(&card), card);
}

#[test]
fn raw_bytes_of_parts_and_metadata_are_kept() {
    let text = r#"{"messageId":"m","role":"ROLE_USER","parts":[{"data":{"n": 1.50, "big":123456789012345678901234567890}}],"metadata":{"k":{ "a" :1e3}}}"#;
    let message: Message = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&message).unwrap(), text);
}

#[test]
fn null_and_empty_are_unset() {
    let text = r#"{"messageId":"m","contextId":"","taskId":null,"role":"ROLE_USER","parts":[{"text":"x"}],"metadata":null,"extensions":null}"#;
    let message: Message = serde_json::from_str(text).unwrap();
    assert_eq!((message.context_id, message.task_id, message.extensions.len()), (None, None, 0));
}

#[test]
fn errors_name_the_member() {
    for (wrong, expected) in [
        (json!({ "message": { "messageId": 1 } }), "message.messageId: expected a string"),
        (json!({ "message": { "messageId": "m", "role": "USER" } }), "message.role: expected a role"),
        (
            json!({ "message": { "messageId": "m", "role": "ROLE_USER", "parts": [{ "text": "x" }, {}] } }),
            "message.parts[1]: expected exactly one of text, raw, url, data",
        ),
        (
            json!({ "message": { "messageId": "m", "role": "ROLE_USER", "parts": [{ "text": 1 }] } }),
            "message.parts[0].text: expected a string",
        ),
        (json!({ "configuration": {} }), "message: required, but missing"),
    ] {
        let error = serde_json::from_str::<SendMessageRequest>(&wrong.to_string()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(
        serde_json::from_str::<Message>(r#"{"messageId":"a","messageId":"b"}"#)
            .unwrap_err()
            .to_string()
            .contains("twice")
    );
}

/// A message with one part, as JSON.
fn message_with(part: &str) -> String {
    format!(r#"{{"messageId":"m","role":"ROLE_USER","parts":[{part}]}}"#)
}

#[test]
fn what_is_no_text_no_number_and_no_base64_is_refused() {
    for (part, expected) in [
        (r#"{"raw":"%%"}"#, "parts[0].raw: expected base64, found \"%%\""),
        (r#"{"raw":"A"}"#, "parts[0].raw: expected base64"),
        (r#"{"raw":"AAAA="}"#, "parts[0].raw: expected base64"),
        (r#"{"raw":{}}"#, "parts[0].raw: expected a string"),
        (r#"{"text":"a\ud800"}"#, "parts[0]: expected Unicode text, found half a surrogate pair, \\ud800"),
        (r#"{"text":"\udc00\ud800"}"#, "parts[0]: expected Unicode text"),
        (
            r#"{"data":{"a":[1,1e999]}}"#,
            "parts[0].data: expected a number that a 64-bit float can hold, found 1e999",
        ),
        (r#"{"data":{"\ud800":1}}"#, "parts[0]: expected Unicode text"),
        (r#"{"text":"a","filename":5}"#, "parts[0].filename: expected a string"),
        (r#"{"text":"a","metadata":{"a":-1e999}}"#, "parts[0].metadata: expected a number"),
        (r#"{"text":"a","metadata":[]}"#, "parts[0].metadata: expected an object"),
    ] {
        let error = serde_json::from_str::<Message>(&message_with(part)).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{part}: {error}");
    }
    for metadata in [r#"{"a":{"b":"\ud800"}}"#, r#"{"a":[1e999]}"#] {
        let message = format!(r#"{{"messageId":"m","role":"ROLE_USER","metadata":{metadata}}}"#);
        let error = serde_json::from_str::<Message>(&message).unwrap_err().to_string();
        assert!(error.starts_with("metadata: expected"), "{metadata}: {error}");
    }
}

fn fragments(of: &'static [&'static str], separator: &'static str) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(of), 0..8).prop_map(move |pieces| pieces.join(separator))
}

proptest! {
    /// What is accepted as JSON is asked for over gRPC, and what gRPC could say is accepted.
    #[test]
    fn what_json_accepts_grpc_can_say(
        raw in fragments(&["A", "b8", "+", "/", "-", "_", "=", "\\/", "\\u002B", "%", "\\n"], ""),
        text in fragments(&["\\ud83d", "\\uDE00", "\\\\", "u", "d8", "\\n", "ü", "\\u0000", "\\\""], ""),
        numbers in fragments(
            &["1", "-2.5e3", "1e308", "1E309", "-1e+999", "0.1e-400", "\"1e999\"", "\"\\\"1e999\"", "{\"a\":1e999}", "null"], ","),
        digits in 300_usize..320,
    ) {
        let long = "9".repeat(digits);
        for part in [
            format!(r#"{{"raw":"{raw}"}}"#),
            format!(r#"{{"text":"{text}"}}"#),
            format!(r#"{{"data":[{numbers}]}}"#),
            format!(r#"{{"text":"","metadata":{{"a":[{numbers}],"b":"{text}"}}}}"#),
            format!(r#"{{"data":{long}}}"#),
        ] {
            let message = message_with(&part);
            let accepted = serde_json::from_str::<Message>(&message).map(|_| ());
            let request = RawValue::from_string(format!(r#"{{"message":{message}}}"#)).unwrap();
            let said = write_request(Operation::SendMessage, &request).map(|_| ());
            prop_assert_eq!(accepted.is_ok(), said.is_ok(), "{}: {:?} {:?}", part, accepted, said);
        }
    }

    #[test]
    fn times_come_back_to_the_millisecond(millis in -60_000_000_000_000_i64..250_000_000_000_000) {
        let at = Timestamp::from_millis(millis);
        prop_assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
    }

    #[test]
    fn any_text_and_any_extra_member_survives(text in "\\PC{0,40}", name in "new[a-zA-Z]{1,8}", number in any::<i64>()) {
        let message = json!({ "messageId": "m", "role": "ROLE_AGENT", "parts": [{ "text": text }], &name: { "n": number, "t": text } });
        prop_assert_eq!(round_trip::<Message>(&message), message);
    }
}

#[test]
fn offsets_and_fractions_are_read() {
    let expected: Timestamp = "2026-01-02T03:04:05.600Z".parse().unwrap();
    for text in ["2026-01-02T03:04:05.6Z", "2026-01-02T04:04:05.6001+01:00"] {
        assert_eq!(text.parse::<Timestamp>().unwrap(), expected);
    }
    assert!("yesterday".parse::<Timestamp>().is_err());
    assert!(TaskState::ALL.iter().all(|state| state.as_str().parse::<TaskState>().unwrap() == *state));
    assert!("TASK_STATE_UNSPECIFIED".parse::<TaskState>().is_err());
}
