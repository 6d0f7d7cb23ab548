//! Protobuf: frames in any pieces, and every message against what the official generated types read of the same bytes.

use a2a_pb::protojson as official;
use prost::Message;
use protocol::binding::grpc::{
    Deframer, PREFIX_BYTES, frame, read_request, read_response, write_request, write_response,
};
use protocol::{Operation, Timestamp};
use serde_json::{Value, json};

use super::mutation::{MAX_INPUT, corpus, fuzz};

/// Messages of JSON from the other corpora, in protobuf.
fn encoded() -> Vec<Vec<u8>> {
    let mut all = corpus("protobuf");
    for json in corpus("answer") {
        all.extend(
            write_response(Operation::SubscribeToTask, &json)
                .ok()
                .map(|framed| framed[PREFIX_BYTES..].to_vec()),
        );
    }
    for json in corpus("jsonrpc") {
        let request: Option<Value> = serde_json::from_slice(&json).ok();
        let request =
            request.and_then(|request| write_request(Operation::SendMessage, &request["params"]).ok());
        all.extend(request.map(|framed| framed[PREFIX_BYTES..].to_vec()));
    }
    all
}

/// As protobuf has it: all numbers floating-point, times in one zone, nothing where there is nothing.
fn normal(value: &Value) -> Value {
    match value {
        // serde_json reads long fractions off by a bit now and then; and there is one zero.
        Value::Number(number) => json!(format!("{:.11e}", number.as_f64().unwrap_or_default() + 0.0)),
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (name.clone(), normal(value)));
            let unset = |value: &Value| {
                value.is_null() || *value == json!("") || *value == json!([]) || *value == json!({})
            };
            Value::Object(members.filter(|(_, value)| !unset(value)).collect())
        }
        Value::String(text) => text.parse::<Timestamp>().map_or_else(|_| value.clone(), |at| json!(at)),
        other => other.clone(),
    }
}

/// Whether anything in it is beyond what both sides can say: enum numbers of a later version, and floating-point
/// numbers that JSON does not have.
fn is_comparable(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(is_comparable),
        Value::Object(members) => members.iter().all(|(name, value)| {
            let is_enum = name == "state" || name == "role" || name == "status" && !value.is_object();
            (value.is_string() || !is_enum) && is_comparable(value)
        }),
        _ => true,
    }
}

/// What we read they read, and as the same.
fn agrees<M>(bytes: &[u8], ours: Result<Value, String>)
where
    M: Message + Default + serde::Serialize,
{
    let Ok(ours) = ours else { return };
    let theirs = M::decode(bytes).unwrap_or_else(|error| panic!("we read {ours}, they do not: {error}"));
    if !is_comparable(&ours) {
        return;
    }
    if let Ok(theirs) = serde_json::to_value(&theirs) {
        assert_eq!(normal(&ours), normal(&theirs));
    }
}

fn message(bytes: &[u8]) {
    let request = |operation| read_request::<Value>(operation, bytes).map_err(|error| error.message);
    let response =
        |operation| read_response::<Value>(operation, bytes).map_err(|invalid| invalid.to_string());
    for &operation in Operation::ALL {
        for read in [request(operation), response(operation)].into_iter().flatten() {
            let written = read.to_string().len();
            assert!(written <= 64 * bytes.len() + 256, "{written} bytes of JSON from {}", bytes.len());
        }
    }
    agrees::<official::SendMessageRequest>(bytes, request(Operation::SendMessage));
    agrees::<official::GetTaskRequest>(bytes, request(Operation::GetTask));
    agrees::<official::ListTasksRequest>(bytes, request(Operation::ListTasks));
    agrees::<official::TaskPushNotificationConfig>(
        bytes,
        request(Operation::CreateTaskPushNotificationConfig),
    );
    agrees::<official::StreamResponse>(bytes, response(Operation::SubscribeToTask));
    agrees::<official::Task>(bytes, response(Operation::GetTask));
    agrees::<official::AgentCard>(bytes, response(Operation::GetExtendedAgentCard));
}

/// However the bytes are cut, the messages are the same, and no more is kept than has arrived.
fn frames(input: &[u8]) {
    let read = |size: usize| {
        let (mut deframer, mut messages) = (Deframer::new(MAX_INPUT), Vec::new());
        for piece in input.chunks(size) {
            deframer.push(piece);
            loop {
                match deframer.next_message() {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(error) => return (messages, Some(error), false),
                }
            }
        }
        (messages, None, deframer.is_mid_message())
    };
    let whole = read(input.len().max(1));
    for size in [1, 2, 5, 6, 64] {
        assert_eq!(read(size), whole, "in pieces of {size}");
    }
    if let (messages, None, false) = whole {
        let framed: Vec<u8> = messages.iter().flat_map(|message| frame(message).unwrap()).collect();
        assert_eq!(framed, input);
    }
}

#[test]
fn any_bytes_as_a_message_in_protobuf() {
    fuzz(&encoded(), message);
}

#[test]
fn any_bytes_as_frames_in_any_pieces() {
    let framed: Vec<Vec<u8>> = encoded().iter().map(|message| frame(message).unwrap()).collect();
    let both: Vec<Vec<u8>> = framed.windows(2).map(<[Vec<u8>]>::concat).collect();
    fuzz(&[framed, both].concat(), frames);
}
