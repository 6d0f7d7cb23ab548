//! JSON: requests and answers of JSON-RPC, messages, tasks and events, cards of both versions, and 0.3 translated both
//! ways.

use protocol::binding::jsonrpc::{read_request, read_response};
use protocol::v03::{self, Dialect};
use protocol::{
    AgentCard, CancelTaskRequest, GetTaskRequest, ListTasksRequest, Operation, SendMessageRequest,
    SendMessageResponse, StreamResponse, Task, TaskPushNotificationConfig, Timestamp, read_params,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::mutation::{corpus, fuzz};

/// How much longer than its input what is written may be: an error repeats an excerpt, 0.3 wraps what it holds.
const GROWTH: usize = 16;
const GROWTH_BYTES: usize = 2_048;

fn bounded(what: &str, written: usize, input: &[u8]) {
    assert!(written <= GROWTH * input.len() + GROWTH_BYTES, "{what} of {written} bytes for {}", input.len());
}

/// Absence and these are the same to protobuf, and so to us.
fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Number(_) => false,
    }
}

/// Numbers may come as text, times in any zone and with any fraction.
fn same(before: &Value, after: &Value) -> bool {
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let number = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    before == after
        || (time(before).is_some() && time(before) == time(after))
        || (after.is_number() && number(before).parse::<u64>().ok() == after.as_u64())
}

/// Nothing of substance is lost.
fn assert_kept(before: &Value, after: &Value, at: &str) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, value) in before {
                match after.get(name) {
                    Some(kept) => assert_kept(value, kept, &format!("{at}.{name}")),
                    None => assert!(is_unset(value), "{at}.{name} is lost: {value}"),
                }
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            assert_eq!(before.len(), after.len(), "{at}");
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                assert_kept(before, after, &format!("{at}[{index}]"));
            }
        }
        (before, after) => assert!(same(before, after), "{at}: {before} became {after}"),
    }
}

/// Reads as a type: what is read is written as the same, and holds all there was.
fn there_and_back<T>(input: &[u8])
where
    T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug,
{
    match serde_json::from_slice::<T>(input) {
        Err(error) => bounded("an error", error.to_string().len(), input),
        Ok(typed) => {
            let written = serde_json::to_string(&typed).unwrap();
            bounded("an object", written.len(), input);
            let again: T =
                serde_json::from_str(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
            assert_eq!(again, typed, "{written}");
            assert_eq!(serde_json::to_string(&again).unwrap(), written);
            // What is too large a number for a tree of values is kept as it is written, which was compared above.
            if let (Ok(before), Ok(after)) = (serde_json::from_slice(input), serde_json::from_str(&written)) {
                assert_kept(&before, &after, "$");
            }
        }
    }
}

fn rpc_request(input: &[u8]) {
    match read_request(input) {
        Err(rejected) => {
            bounded("an error", rejected.error.message.len(), input);
            let id = rejected.id.as_json();
            // A number may be larger than any type here; it is given back as it came.
            assert!(!id.starts_with('"') || serde_json::from_str::<String>(id).is_ok(), "{id}");
        }
        Ok(request) => {
            let params = request.params.as_deref().map_or("{}", RawValue::get);
            let method = match request.version {
                protocol::Version::V1 => request.operation.method(),
                protocol::Version::V03 => v03::method_of(request.operation).unwrap(),
            };
            let id = request.id.as_json();
            assert!(!id.starts_with('"') || serde_json::from_str::<String>(id).is_ok(), "{id}");
            let written = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
            let again =
                read_request(written.as_bytes()).unwrap_or_else(|rejected| panic!("{rejected:?}: {written}"));
            assert_eq!(
                (again.operation, again.version, again.id.as_json()),
                (request.operation, request.version, id)
            );
            if let Err(error) = read_params::<SendMessageRequest>(request.params.as_deref()) {
                bounded("an error", error.to_jsonrpc().to_string().len(), input);
            }
            there_and_back::<SendMessageRequest>(params.as_bytes());
            there_and_back::<GetTaskRequest>(params.as_bytes());
            there_and_back::<ListTasksRequest>(params.as_bytes());
            there_and_back::<CancelTaskRequest>(params.as_bytes());
            there_and_back::<TaskPushNotificationConfig>(params.as_bytes());
        }
    }
}

/// What says which of four an event is carries nothing else: the broker tells its own events, made of what it keeps.
fn without_others(input: &[u8]) -> Vec<u8> {
    let known = ["task", "message", "statusUpdate", "artifactUpdate"];
    let members: Result<std::collections::BTreeMap<String, Box<RawValue>>, _> = serde_json::from_slice(input);
    let Ok(mut members) = members else { return input.to_vec() };
    members.retain(|name, _| known.contains(&name.as_str()));
    serde_json::to_vec(&members).unwrap()
}

fn answer(input: &[u8]) {
    let _ = read_response::<StreamResponse>(input);
    let _ = read_response::<Task>(input);
    there_and_back::<Task>(input);
    let _ = serde_json::from_slice::<StreamResponse>(input);
    there_and_back::<StreamResponse>(&without_others(input));
    there_and_back::<SendMessageResponse>(&without_others(input));
    let _ = protocol::A2aError::from_http(400, input);
    let _ = v03::error_from_http(400, input);
}

fn card(input: &[u8]) {
    there_and_back::<AgentCard>(input);
    match v03::read_card(input) {
        Err(invalid) => bounded("an error", invalid.to_string().len(), input),
        Ok(card) => {
            let written = serde_json::to_vec(&card).unwrap();
            bounded("a card", written.len(), input);
            // One that names no interface, but a url, is one of 0.3.
            if card.supported_interfaces.is_empty() {
                return;
            }
            assert_eq!(v03::read_card(&written).as_ref(), Ok(&card), "a card of 1.0 is read as it is");
            let mut both = card.clone();
            // What the two versions would say in different ways cannot always be said in both.
            if v03::add_to_card(&mut both).is_ok() {
                let both = v03::read_card(&serde_json::to_vec(&both).unwrap())
                    .expect("a card of both is one of 1.0");
                assert_eq!(both.supported_interfaces, card.supported_interfaces);
                assert_eq!((both.name, both.capabilities), (card.name, card.capabilities));
            }
        }
    }
}

/// Everything of 0.3 both ways: what 0.3 says reads as 1.0, is written as 0.3, and reads as the same again.
fn translated(input: &[u8]) {
    let Ok(raw) = serde_json::from_slice::<&RawValue>(input) else { return };
    if protocol::check_nesting(input).is_err() {
        return;
    }
    for &operation in Operation::ALL {
        for dialect in [Dialect::JsonRpc, Dialect::HttpJson] {
            if let Ok(new) = v03::read_request(operation, raw, dialect) {
                bounded("a request", new.get().len(), input);
                let _ = v03::write_request(operation, &new, dialect);
            }
            if let Ok(old) = v03::write_request(operation, raw, dialect) {
                bounded("a request", old.get().len(), input);
            }
            if let Ok(old) = v03::write_answer(operation, raw, dialect) {
                bounded("an answer", old.get().len(), input);
            }
            let Ok(new) = v03::read_answer(operation, raw) else { continue };
            bounded("an answer", new.get().len(), input);
            if operation == Operation::SubscribeToTask {
                event_there_and_back(&new, dialect);
            }
        }
    }
}

/// An event that the types of 1.0 accept can be said in 0.3, and reads as the same again.
fn event_there_and_back(new: &RawValue, dialect: Dialect) {
    let Ok(event) = serde_json::from_str::<StreamResponse>(new.get()) else { return };
    let written = serde_json::value::to_raw_value(&event).unwrap();
    let old = v03::write_answer(Operation::SubscribeToTask, &written, dialect);
    let old = old.unwrap_or_else(|invalid| panic!("{invalid}: {written}"));
    let again = v03::read_answer(Operation::SubscribeToTask, &old);
    let again = again.unwrap_or_else(|invalid| panic!("{invalid}: {old}"));
    let again: StreamResponse = serde_json::from_str(again.get())
        .unwrap_or_else(|error| panic!("{error}: {written} as {old} as {again}"));
    let kind = |event: &StreamResponse| std::mem::discriminant(event);
    assert_eq!(kind(&again), kind(&event), "{written} as {old}");
}

#[test]
fn any_bytes_as_a_json_rpc_request() {
    fuzz(&corpus("jsonrpc"), rpc_request);
}

#[test]
fn any_bytes_as_an_answer_or_an_event() {
    fuzz(&corpus("answer"), answer);
}

#[test]
fn any_bytes_as_a_card_of_either_version() {
    fuzz(&corpus("card"), card);
}

#[test]
fn any_json_as_a2a_0_3_both_ways() {
    let all = ["jsonrpc", "answer", "v03"].into_iter().flat_map(corpus).collect::<Vec<_>>();
    fuzz(&all, translated);
}
