//! The suite fails what it should: one faulty server a check, at least one for each file of checks. Each check is
//! run before the same server without the fault too, where it must not fail.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use conformance_tests::Agent;
use conformance_tests::suite::binding::Kind;
use conformance_tests::suite::report::{Report, Verdict};
use conformance_tests::suite::server::Subject;
use conformance_tests::suite::{self, Order};
use serde_json::{Value, json};

use super::proxy::{Answer, Call, Fault, NONE, spoiled};

async fn judged(url: &str, kind: Kind, check: &str) -> Report {
    let subject = Subject {
        url: url.to_owned(),
        token: Some("one".into()),
        other_token: Some("another".into()),
        scripted: true,
    };
    suite::judge(Order { subject, kinds: vec![kind], only: check.to_owned() }).await.unwrap()
}

fn verdict(report: &Report, check: &str) -> Verdict {
    let mut outcomes = report.judged.iter().flat_map(|judged| &judged.outcomes);
    outcomes
        .find(|outcome| outcome.check == check)
        .unwrap_or_else(|| panic!("{check} did not run"))
        .verdict
        .clone()
}

/// Every row: the fault makes the check fail, and without the fault it does not.
pub(super) async fn each_is_found(kind: Kind, faults: &[(&str, Fault)]) {
    let agent = Agent::for_the_suite("worker");
    for (check, fault) in faults {
        let (good, bad) = (spoiled(agent.url(), NONE).await, spoiled(agent.url(), *fault).await);
        fails_with_and_not_without(kind, check, &good, &bad).await;
    }
}

/// A check fails the bad server, and not the good one.
pub(super) async fn fails_with_and_not_without(kind: Kind, check: &str, good: &str, bad: &str) {
    let found = verdict(&judged(good, kind, check).await, check);
    assert!(!matches!(found, Verdict::Fail(_)), "{check} fails a server without the fault: {found:?}");
    let report = judged(bad, kind, check).await;
    let found = verdict(&report, check);
    assert!(matches!(found, Verdict::Fail(_)), "{check} does not see the fault: {found:?}");
    let must = report.judged.iter().any(|judged| judged.requirement.level.name() == "MUST");
    assert_eq!(report.exit_code(), u8::from(must), "{check}");
}

/// A fault in the card.
macro_rules! card {
    ($change:expr) => {
        Fault {
            answer: |call, answer| {
                if call.is_card() {
                    let change: fn(&mut Value) = $change;
                    answer.change(change);
                }
            },
            ..NONE
        }
    };
}

/// A fault in what the server reads.
pub(super) fn reads(request: fn(&mut Call)) -> Fault {
    Fault { request, ..NONE }
}

/// A fault in what the server says.
pub(super) fn says(answer: fn(&Call, &mut Answer)) -> Fault {
    Fault { answer, ..NONE }
}

pub(super) fn remove(object: &mut Value, member: &str) {
    object.as_object_mut().unwrap().remove(member);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_cards_are_found() {
    let faults = [
        ("the_card_has_what_it_must", card!(|card| remove(card, "version"))),
        ("the_card_is_named_in_camel_case", card!(|card| card["default_input_modes"] = json!([]))),
        (
            "the_card_names_versions_without_a_patch",
            card!(|card| {
                card["supportedInterfaces"][0]["protocolVersion"] = json!("1.0.0");
            }),
        ),
        (
            "interfaces_are_declared_with_absolute_urls",
            card!(|card| {
                let more = json!({ "url": "/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0" });
                card["supportedInterfaces"].as_array_mut().unwrap().push(more);
            }),
        ),
        (
            "skills_have_ids_of_their_own",
            card!(|card| {
                let skill = card["skills"][0].clone();
                card["skills"].as_array_mut().unwrap().push(skill);
            }),
        ),
        (
            "signatures_name_algorithm_and_key",
            card!(|card| {
                let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","typ":"JOSE"}"#);
                card["signatures"] = json!([{ "protected": header, "signature": "AAAA" }]);
            }),
        ),
        (
            "the_card_has_an_entity_tag",
            says(|_, answer| {
                answer.headers.remove("etag");
            }),
        ),
        (
            "calls_without_credentials_are_refused",
            card!(|card| {
                card["securityRequirements"] = json!([{ "schemes": { "key": { "list": [] } } }]);
            }),
        ),
        (
            "a_required_extension_is_required",
            card!(|card| {
                card["capabilities"]["extensions"] = json!([{ "uri": "urn:example:x", "required": true }]);
            }),
        ),
        (
            "without_push_it_is_not_supported",
            card!(|card| remove(&mut card["capabilities"], "pushNotifications")),
        ),
        (
            "the_extended_card_demands_credentials",
            Fault {
                answer: |call, answer| {
                    if call.is_card() {
                        answer.change(|card| card["capabilities"]["extendedAgentCard"] = json!(true));
                    }
                    if call.is("GetExtendedAgentCard") {
                        answer.text =
                            json!({ "jsonrpc": "2.0", "id": "conformance", "result": {} }).to_string();
                    }
                },
                ..NONE
            },
        ),
    ];
    each_is_found(Kind::JsonRpc, &faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_operations_are_found() {
    let faults = [
        (
            "send_waits_for_the_end_by_default",
            reads(|call| {
                if call.is("SendMessage") {
                    call.params().unwrap()["configuration"] = json!({ "returnImmediately": true });
                }
            }),
        ),
        (
            "an_ended_task_cannot_be_canceled",
            says(|call, answer| {
                if call.is("CancelTask") {
                    answer.text = json!({ "jsonrpc": "2.0", "id": "conformance", "result": {} }).to_string();
                }
            }),
        ),
    ];
    each_is_found(Kind::JsonRpc, &faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_listings_are_found() {
    let faults = [
        (
            "listed_tasks_leave_artifacts_out",
            reads(|call| {
                if call.is("ListTasks") {
                    call.params().unwrap()["includeArtifacts"] = json!(true);
                }
            }),
        ),
        (
            "the_next_page_token_is_always_there",
            says(|call, answer| {
                if call.is("ListTasks") {
                    answer.change(|json| remove(&mut json["result"], "nextPageToken"));
                }
            }),
        ),
        (
            "tasks_are_listed_newest_first",
            says(|call, answer| {
                if call.is("ListTasks") {
                    answer.change(|json| json["result"]["tasks"].as_array_mut().unwrap().reverse());
                }
            }),
        ),
        (
            "the_context_filter_holds",
            reads(|call| {
                if call.is("ListTasks") {
                    remove(call.params().unwrap(), "contextId");
                }
            }),
        ),
        (
            "history_is_no_longer_than_asked",
            reads(|call| {
                if call.is("GetTask") {
                    remove(call.params().unwrap(), "historyLength");
                }
            }),
        ),
    ];
    each_is_found(Kind::JsonRpc, &faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_conversations_and_notifications_are_found() {
    let faults = [
        (
            "an_unknown_task_id_in_a_message_is_not_found",
            reads(|call| {
                if let Some(params) = call.params().filter(|params| params["message"].is_object()) {
                    remove(&mut params["message"], "taskId");
                }
            }),
        ),
        (
            "a_context_that_is_not_the_tasks_is_refused",
            reads(|call| {
                if let Some(params) = call.params().filter(|params| params["message"].is_object()) {
                    remove(&mut params["message"], "contextId");
                }
            }),
        ),
        (
            "an_unsupported_version_is_refused_on_every_operation",
            reads(|call| {
                call.headers.insert("a2a-version", "1.0".parse().unwrap());
            }),
        ),
        (
            "every_push_configuration_is_listed",
            says(|call, answer| {
                if call.is("ListTaskPushNotificationConfigs") {
                    answer.change(|json| json["result"] = json!({ "configs": [] }));
                }
            }),
        ),
        (
            "notifications_carry_the_given_credentials",
            reads(|call| {
                if call.is("SendMessage") {
                    remove(
                        &mut call.params().unwrap()["configuration"]["taskPushNotificationConfig"],
                        "authentication",
                    );
                }
            }),
        ),
        (
            "webhooks_in_private_networks_are_refused",
            reads(|call| {
                if call.is("CreateTaskPushNotificationConfig") {
                    call.params().unwrap()["url"] = json!("http://127.0.0.1/");
                }
            }),
        ),
    ];
    each_is_found(Kind::JsonRpc, &faults).await;
}

/// The agent knows nobody, so that everybody sees everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_shows_everything_to_everybody_is_found() {
    let agent = Agent::for_the_suite("worker");
    for check in ["others_do_not_find_a_task", "others_do_not_list_a_task"] {
        let found = verdict(&judged(agent.url(), Kind::JsonRpc, check).await, check);
        assert!(matches!(found, Verdict::Fail(_)), "{check}: {found:?}");
    }
}
