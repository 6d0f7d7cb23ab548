//! Faults of streams, data, envelopes and HTTP+JSON, as `faults.rs` has those of cards and operations.

use conformance_tests::suite::binding::Kind;

use super::faults::{each_is_found, reads, remove, says};

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_streams_are_found() {
    let faults = [
        (
            "a_stream_begins_with_the_task_or_is_one_message",
            says(|_, answer| {
                answer.change_events(|events| drop(events.remove(0)));
            }),
        ),
        (
            "a_stream_closes_when_its_task_ends",
            says(|_, answer| {
                answer.change_events(|events| events.push(events[1].clone()));
            }),
        ),
        (
            "a_stream_of_a_message_is_that_message_alone",
            says(|_, answer| {
                answer.change_events(|events| events.push(events[0].clone()));
            }),
        ),
        (
            "events_come_in_the_order_they_were_made",
            says(|_, answer| {
                answer.change_events(|events| events.swap(4, 5));
            }),
        ),
        (
            "events_have_the_shape_of_a_stream_response",
            says(|_, answer| {
                answer.change_events(|events| {
                    events[0] =
                        events[0].replace("\"contextId\"", "\"context\"").replace("\"id\":", "\"key\":");
                });
            }),
        ),
        (
            "streamed_events_are_responses_with_the_requests_id",
            says(|_, answer| {
                answer.change_events(|events| events[1] = events[1].replace("\"conformance\"", "null"));
            }),
        ),
    ];
    each_is_found(Kind::JsonRpc, &faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_data_and_envelopes_are_found() {
    let faults = [
        (
            "members_are_named_in_camel_case",
            says(|call, answer| {
                if !call.is_card() {
                    answer.text = answer.text.replace("\"contextId\"", "\"context_id\"");
                }
            }),
        ),
        (
            "enums_are_the_names_of_the_proto",
            says(|_, answer| {
                answer.text = answer.text.replace("TASK_STATE_COMPLETED", "completed");
            }),
        ),
        (
            "timestamps_are_utc_with_z",
            says(|_, answer| {
                answer.text = answer.text.replace("Z\"}", "+00:00\"}").replace("Z\",", "+00:00\",");
            }),
        ),
        (
            "every_kind_of_part_comes_back",
            reads(|call| {
                if let Some(params) = call.params().filter(|params| params["message"].is_object()) {
                    for part in params["message"]["parts"].as_array_mut().unwrap() {
                        remove(part, "metadata");
                    }
                }
            }),
        ),
        (
            "an_unknown_task_is_not_found",
            says(|_, answer| answer.text = answer.text.replace("-32001", "-32603")),
        ),
        (
            "error_details_name_their_type",
            says(|_, answer| {
                answer.text = answer.text.replace("\"@type\"", "\"type\"");
            }),
        ),
        (
            "ids_come_back_as_they_were",
            says(|_, answer| {
                answer.text = answer.text.replace("\"id\":7", "\"id\":\"7\"");
            }),
        ),
        (
            "answers_are_application_json",
            says(|_, answer| {
                answer.headers.insert("content-type", "text/plain".parse().unwrap());
            }),
        ),
        (
            "answers_are_json_rpc_2_0",
            says(|_, answer| answer.text = answer.text.replace("\"2.0\"", "\"1.0\"")),
        ),
        (
            "broken_json_is_a_parse_error",
            says(|_, answer| answer.text = answer.text.replace("-32700", "-32600")),
        ),
    ];
    each_is_found(Kind::JsonRpc, &faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_http_json_are_found() {
    let faults = [
        (
            "errors_are_a_google_rpc_status",
            says(|_, answer| {
                answer.change(|json| {
                    if json["error"].is_object() {
                        *json = json["error"].clone();
                    }
                });
            }),
        ),
        (
            "http_errors_carry_an_error_info",
            says(|_, answer| {
                answer.text = answer.text.replace("\"TASK_NOT_FOUND\"", "\"TaskNotFoundError\"");
            }),
        ),
        (
            "an_unknown_task_is_not_found",
            says(|_, answer| {
                if answer.status == 404 {
                    answer.status = 400;
                }
            }),
        ),
        (
            "queries_are_camel_case_and_decoded",
            reads(|call| call.path = call.path.replace("contextId=", "context=")),
        ),
        (
            "streamed_events_are_bare",
            says(|_, answer| {
                answer.change_events(|events| {
                    for event in events {
                        *event = event.replace("data: ", "data: {\"jsonrpc\":\"2.0\",\"result\":") + "}";
                    }
                });
            }),
        ),
    ];
    each_is_found(Kind::HttpJson, &faults).await;
}
