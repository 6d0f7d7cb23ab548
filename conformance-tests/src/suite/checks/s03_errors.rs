//! Errors: what is refused, as what, and with what information (spec §3.3.2, §3.3.4, §5.4).

use serde_json::{Value, json};

use crate::suite::bench::{Bench, id, message, new_id};
use crate::suite::binding::{Fault, Kind};
use crate::suite::check::{Finding, Stop, checks, ensure, shown, skip};
use crate::suite::operation::{
    CANCEL, CREATE_PUSH, DELETE_PUSH, EXTENDED_CARD, GET, GET_PUSH, LIST, LIST_PUSH,
    PUSH_NOTIFICATION_NOT_SUPPORTED, SEND, STREAM, SUBSCRIBE, TASK_NOT_FOUND, UNSUPPORTED_OPERATION,
};

checks! {
    Each an_unknown_task_is_not_found;
    Each an_unknown_task_to_subscribe_to_is_not_found;
    Each messages_without_required_members_are_refused;
    Json wrong_types_are_refused;
    Each unknown_enum_values_are_refused;
    Each errors_have_a_code_and_a_message;
    Each error_details_name_their_type;
    JsonRpc errors_of_the_specification_carry_an_error_info;
    Each validation_errors_say_which_parameter;
    Each validation_errors_use_well_known_details;
    Each without_streaming_it_is_an_unsupported_operation;
    Each without_push_it_is_not_supported;
    Each without_an_extended_card_it_is_an_unsupported_operation;
}

async fn an_unknown_task_is_not_found(bench: &Bench) -> Finding {
    let mut seen = String::new();
    for operation in [GET, CANCEL] {
        for task in [new_id(), "../card".into(), "0".into()] {
            let fault = bench.refused(operation, &json!({ "id": task })).await?;
            fault.must_be(TASK_NOT_FOUND)?;
            seen = fault.seen();
        }
    }
    Ok(seen)
}

async fn an_unknown_task_to_subscribe_to_is_not_found(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let fault = bench.refused(SUBSCRIBE, &json!({ "id": new_id() })).await?;
    fault.must_be(TASK_NOT_FOUND)?;
    Ok(fault.seen())
}

/// Parameters of SendMessage in which one member of the message is replaced; null takes it away.
fn message_with(member: &str, value: Value) -> Value {
    let mut params = message("hello");
    if let Some(members) = params["message"].as_object_mut() {
        members.insert(member.to_owned(), value);
        members.retain(|_, value| !value.is_null());
    }
    params
}

async fn messages_without_required_members_are_refused(bench: &Bench) -> Finding {
    let bad = [
        ("no message", json!({})),
        ("no messageId", message_with("messageId", Value::Null)),
        ("no role", message_with("role", Value::Null)),
        ("no parts", message_with("parts", Value::Null)),
        ("empty parts", message_with("parts", json!([]))),
    ];
    refused_all(bench, &bad).await
}

async fn wrong_types_are_refused(bench: &Bench) -> Finding {
    let bad = [
        ("a message that is a number", json!({ "message": 7 })),
        ("a messageId that is an object", message_with("messageId", json!({}))),
        ("parts that are a text", message_with("parts", json!("hello"))),
        ("a text that is a number", message_with("parts", json!([{ "text": 7 }]))),
        ("metadata that is a list", message_with("metadata", json!([1]))),
    ];
    refused_all(bench, &bad).await
}

async fn refused_all(bench: &Bench, bad: &[(&str, Value)]) -> Finding {
    for (what, params) in bad {
        let fault = match bench.refused(SEND, params).await {
            Err(Stop::Fail(seen)) => return Err(Stop::Fail(format!("{what}: {seen}"))),
            other => other?,
        };
        let judged = fault.must_be_invalid_params();
        let expected = fault.kind.invalid_params();
        ensure!(judged.is_ok(), "{what}: expected {expected}, and got {}", fault.seen());
    }
    Ok(bad.iter().map(|(what, _)| *what).collect::<Vec<_>>().join(", "))
}

async fn unknown_enum_values_are_refused(bench: &Bench) -> Finding {
    // Protobuf says names by their numbers.
    let (status, role) = match bench.binding.kind {
        Kind::JsonRpc | Kind::HttpJson => (json!("TASK_STATE_RUNNING"), json!("user")),
        Kind::Grpc => (json!(99), json!(99)),
    };
    let fault = match bench.refused(LIST, &json!({ "status": status })).await {
        Err(Stop::Fail(seen)) => return Err(Stop::Fail(format!("status {status}: {seen}"))),
        other => other?,
    };
    fault.must_be_invalid_params()?;
    bench.refused(SEND, &message_with("role", role)).await?.must_be_invalid_params()?;
    Ok(fault.seen())
}

/// The error of a page size that is none; where it is taken, another check says so.
async fn validation_fault(bench: &Bench) -> Result<Fault, Stop> {
    match bench.binding.call(LIST, &json!({ "pageSize": 1_000 }), &bench.manner()).await? {
        Err(fault) => Ok(fault),
        Ok(_) => skip("pageSize 1000 was not refused: no validation error to look at"),
    }
}

/// A few errors: one of the specification's, and one of validation where there is one.
async fn some_faults(bench: &Bench) -> Result<Vec<Fault>, Stop> {
    let mut faults = vec![bench.refused(GET, &json!({ "id": new_id() })).await?];
    faults.extend(validation_fault(bench).await.ok());
    Ok(faults)
}

async fn errors_have_a_code_and_a_message(bench: &Bench) -> Finding {
    for fault in some_faults(bench).await? {
        ensure!(fault.code().is_some(), "an error without a numeric code: {}", fault.seen());
        let text = fault.error["message"].as_str().unwrap_or_default();
        ensure!(!text.is_empty(), "an error without a message: {}", fault.seen());
    }
    Ok("code and message".into())
}

async fn error_details_name_their_type(bench: &Bench) -> Finding {
    let mut count = 0;
    for fault in some_faults(bench).await? {
        let details = fault.details();
        ensure!(details.is_array() || details.is_null(), "details that are no array: {}", fault.seen());
        for detail in details.as_array().into_iter().flatten() {
            ensure!(detail["@type"].is_string(), "a detail without @type: {}", shown(detail));
            count += 1;
        }
    }
    if count == 0 { skip("no error had details") } else { Ok(format!("{count} details with @type")) }
}

async fn errors_of_the_specification_carry_an_error_info(bench: &Bench) -> Finding {
    every_specified_error_carries_info(bench).await
}

/// A SHOULD of JSON-RPC; a MUST of HTTP+JSON and gRPC, where several errors share a status.
pub(super) async fn every_specified_error_carries_info(bench: &Bench) -> Finding {
    let not_found = bench.refused(GET, &json!({ "id": new_id() })).await?;
    not_found.must_carry_info(TASK_NOT_FOUND)?;
    if let Ok(task) = bench.finished().await {
        let mut params = message("more");
        params["message"]["taskId"] = json!(id(&task)?);
        bench.refused(SEND, &params).await?.must_carry_info(UNSUPPORTED_OPERATION)?;
    }
    if !bench.server.can("pushNotifications") {
        let fault = bench.refused(LIST_PUSH, &json!({ "taskId": new_id() })).await?;
        fault.must_carry_info(PUSH_NOTIFICATION_NOT_SUPPORTED)?;
    }
    Ok(not_found.seen())
}

async fn validation_errors_say_which_parameter(bench: &Bench) -> Finding {
    let fault = validation_fault(bench).await?;
    let text = fault.text.replace('_', "").to_lowercase();
    ensure!(text.contains("pagesize"), "the bad parameter, pageSize, is not named: {}", fault.seen());
    Ok(fault.seen())
}

async fn validation_errors_use_well_known_details(bench: &Bench) -> Finding {
    let fault = validation_fault(bench).await?;
    let known = fault.details().as_array().into_iter().flatten().any(|detail| {
        detail["@type"].as_str().is_some_and(|name| name.starts_with("type.googleapis.com/google.rpc."))
    });
    ensure!(known, "no google.rpc detail: {}", fault.seen());
    Ok(shown(fault.details()))
}

async fn without_streaming_it_is_an_unsupported_operation(bench: &Bench) -> Finding {
    bench.needs_none("streaming")?;
    let fault = bench.refused(STREAM, &message("hello")).await?;
    fault.must_be(UNSUPPORTED_OPERATION)?;
    let task = bench.finished().await?;
    bench.refused(SUBSCRIBE, &json!({ "id": id(&task)? })).await?.must_be(UNSUPPORTED_OPERATION)?;
    Ok(fault.seen())
}

async fn without_push_it_is_not_supported(bench: &Bench) -> Finding {
    bench.needs_none("pushNotifications")?;
    let task = match bench.finished().await {
        Ok(task) => id(&task)?,
        Err(_) => new_id(),
    };
    let mut seen = String::new();
    let create = json!({ "taskId": task, "url": "https://example.com/hook" });
    let one = json!({ "taskId": task, "id": "conformance" });
    let list = json!({ "taskId": task });
    for (operation, params) in
        [(CREATE_PUSH, &create), (GET_PUSH, &one), (LIST_PUSH, &list), (DELETE_PUSH, &one)]
    {
        let fault = bench.refused(operation, params).await?;
        fault.must_be(PUSH_NOTIFICATION_NOT_SUPPORTED)?;
        seen = fault.seen();
    }
    Ok(seen)
}

async fn without_an_extended_card_it_is_an_unsupported_operation(bench: &Bench) -> Finding {
    bench.needs_none("extendedAgentCard")?;
    let fault = bench.refused(EXTENDED_CARD, &json!({})).await?;
    fault.must_be(UNSUPPORTED_OPERATION)?;
    Ok(fault.seen())
}
