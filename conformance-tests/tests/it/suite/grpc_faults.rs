//! Faults of gRPC, as `faults.rs` and `wire_faults.rs` have those of the JSON bindings.

use conformance_tests::suite::binding::Kind;
use conformance_tests::{Agent, Broker, key_digest, wire};
use serde_json::{Value, json};

use super::faults::{fails_with_and_not_without, remove};
use super::grpc_proxy::{Answer, Call, Fault, NONE, spoiled};

const INVALID_ARGUMENT: u8 = 3;
const NOT_FOUND: u8 = 5;
const UNIMPLEMENTED: u8 = 12;
const INTERNAL: u8 = 13;

/// A fault in what the server reads.
fn reads(request: fn(&mut Call)) -> Fault {
    Fault { request, ..NONE }
}

/// A fault in what the server says.
fn says(answer: fn(&Call, &mut Answer)) -> Fault {
    Fault { answer, ..NONE }
}

/// A fault in the card.
fn declares(card: fn(&mut Value)) -> Fault {
    Fault { card, ..NONE }
}

async fn each_is_found(faults: &[(&str, Fault)]) {
    let agent = Agent::for_the_suite("worker");
    for (check, fault) in faults {
        let (good, bad) = (spoiled(agent.url(), NONE).await, spoiled(agent.url(), *fault).await);
        fails_with_and_not_without(Kind::Grpc, check, &good, &bad).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_service_and_its_metadata_are_found() {
    let faults = [
        (
            "answers_are_grpc",
            says(|_, answer| {
                answer.headers.insert("content-type", "application/json".parse().unwrap());
            }),
        ),
        (
            "every_method_of_the_service_is_served",
            says(|call, answer| {
                if call.is("ListTasks") {
                    answer.end_with(UNIMPLEMENTED);
                }
            }),
        ),
        (
            "an_unknown_method_is_unimplemented",
            says(|call, answer| {
                if call.is("NoSuchMethod") {
                    answer.end_with(NOT_FOUND);
                }
            }),
        ),
        (
            "required_extensions_are_read_from_metadata",
            declares(|card| {
                card["capabilities"]["extensions"] = json!([{ "uri": "urn:example:x", "required": true }]);
            }),
        ),
        (
            "deleting_is_answered_with_nothing",
            says(|call, answer| {
                if call.is("DeleteTaskPushNotificationConfig") {
                    answer.messages = vec![b"\x0a\x01x".to_vec()];
                }
            }),
        ),
        (
            "unknown_fields_are_ignored",
            says(|call, answer| {
                if call.message.ends_with(b"new") {
                    answer.messages.clear();
                    answer.end_with(INVALID_ARGUMENT);
                }
            }),
        ),
        (
            "broken_messages_are_refused",
            says(|call, answer| {
                if call.message == [2, 0] {
                    answer.end_with(0);
                }
            }),
        ),
        (
            "messages_nested_deeply_do_no_harm",
            says(|call, answer| {
                if call.is("GetTask") {
                    answer.end_with(14);
                }
            }),
        ),
    ];
    each_is_found(&faults).await;
}

/// The SDK's own server looks at no version over gRPC (1.3.0), and the broker before it does.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ignores_the_version_is_found() {
    let agent = Agent::for_the_suite("worker");
    // The faults are judged with a token, which the broker must know.
    let hash = key_digest("one");
    let config = format!("[[principals]]\nname = \"one\"\nrole = \"operator\"\nkey_sha256 = \"{hash}\"\n");
    let broker = Broker::start(&config);
    let body = json!({ "name": "worker", "url": agent.url(), "caps": [] });
    let added = wire::post(&format!("{}/api/v1/agents", broker.url()), &body, Some("one")).await;
    assert_eq!(added.status, 201, "{}", added.text);
    let (good, bad) = (broker.agent_url("worker"), agent.url());
    for check in ["the_version_is_read_from_metadata", "an_unsupported_version_is_refused_on_every_operation"]
    {
        fails_with_and_not_without(Kind::Grpc, check, &good, bad).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_statuses_and_their_details_are_found() {
    let faults = [
        (
            "an_unknown_task_is_not_found",
            says(|_, answer| {
                if answer.ends_with(NOT_FOUND) {
                    answer.end_with(INTERNAL);
                }
            }),
        ),
        ("errors_are_a_status_with_details", says(|_, answer| answer.mismatch_details())),
        ("grpc_errors_carry_an_error_info", says(|_, answer| answer.drop_details())),
        (
            "an_error_of_a_stream_is_its_status",
            says(|call, answer| {
                if call.is("SendStreamingMessage") {
                    answer.end_with(INTERNAL);
                }
            }),
        ),
    ];
    each_is_found(&faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_messages_and_streams_are_found() {
    let faults = [
        (
            "enums_are_the_names_of_the_proto",
            says(|call, answer| {
                if call.is("GetTask") {
                    answer.change(call, |task| task["status"]["state"] = json!(42));
                }
            }),
        ),
        (
            "required_members_are_there",
            says(|call, answer| {
                if call.is("GetTask") {
                    answer.change(call, |task| remove(task, "id"));
                }
            }),
        ),
        (
            "the_context_filter_holds",
            reads(|call| {
                if call.is("ListTasks") {
                    call.change(|json| remove(json, "contextId"));
                }
            }),
        ),
        ("streams_end_with_their_status", says(|_, answer| answer.trailers.clear())),
        (
            "a_stream_closes_when_its_task_ends",
            says(|_, answer| {
                if let [_, second, ..] = answer.messages.as_slice() {
                    answer.messages.push(second.clone());
                }
            }),
        ),
        (
            "events_have_the_shape_of_a_stream_response",
            says(|call, answer| {
                if call.is("SendStreamingMessage") {
                    answer.messages.push(Vec::new());
                }
            }),
        ),
    ];
    each_is_found(&faults).await;
}
