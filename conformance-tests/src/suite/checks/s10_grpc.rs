//! gRPC: the service, metadata, statuses with their details, and streams (spec §10).

use serde_json::json;

use super::s03_errors;
use crate::suite::bench::{Bench, id, message, new_id};
use crate::suite::binding::grpc::frame;
use crate::suite::check::{Finding, Stop, checks, ensure, fail, shown, skip};
use crate::suite::http::Reply;
use crate::suite::operation::{
    ALL, CANCEL, CREATE_PUSH, DELETE_PUSH, EXTENSION_SUPPORT_REQUIRED, GET, LIST, Operation, SEND, STREAM,
    TASK_NOT_FOUND, VERSION_NOT_SUPPORTED,
};
use crate::suite::protobuf::{self, field};
use crate::suite::shape::list;
use crate::suite::webhook::Webhook;

checks! {
    Grpc answers_are_grpc;
    Grpc every_method_of_the_service_is_served;
    Grpc an_unknown_method_is_unimplemented;
    Grpc the_version_is_read_from_metadata;
    Grpc required_extensions_are_read_from_metadata;
    Grpc errors_are_a_status_with_details;
    Grpc grpc_errors_carry_an_error_info;
    Grpc streams_end_with_their_status;
    Grpc an_error_of_a_stream_is_its_status;
    Grpc deleting_is_answered_with_nothing;
    Grpc unknown_fields_are_ignored;
    Grpc broken_messages_are_refused;
    Grpc messages_nested_deeply_do_no_harm;
}

/// The code of a method that is not there.
const UNIMPLEMENTED: i64 = 12;
/// Deeper than any message should be, and than any library reads.
const DEEP: usize = 5_000;

/// Sends a message in its frame; the answer as it came.
async fn post(bench: &Bench, method: &str, message: &[u8]) -> Result<Reply, Stop> {
    let url = format!("{}/{}/{method}", bench.binding.url, protobuf::SERVICE);
    let media_type = Some(bench.binding.kind.media_type());
    bench.binding.http.exchange("POST", &url, media_type, &bench.manner(), frame(message)).await
}

/// The status code of an answer.
fn code(reply: &Reply) -> Result<i64, Stop> {
    let Some(code) = reply.ending("grpc-status") else {
        return fail(format!("HTTP {} without a grpc-status: {}", reply.status, shown(&reply.text)));
    };
    code.parse().or_else(|_| fail(format!("a grpc-status that is no number: {code}")))
}

async fn answers_are_grpc(bench: &Bench) -> Finding {
    let unary = [(LIST, json!({}), 0), (GET, json!({ "id": new_id() }), TASK_NOT_FOUND.grpc)];
    for (operation, params, expected) in unary {
        let reply = bench.binding.exchange(operation, &params, &bench.manner()).await?;
        let (name, media) = (operation.method, reply.media_type());
        ensure!(reply.status == 200, "{name} answers HTTP {}", reply.status);
        let grpc = media == "application/grpc" || media.starts_with("application/grpc+");
        ensure!(grpc, "{name} answers with {media}");
        let code = code(&reply)?;
        ensure!(code == expected, "{name} ends with the status {code}, not {expected}");
        let late = reply.trailers.iter().any(|(name, _)| name == "grpc-status");
        ensure!(late || reply.body.is_empty(), "{name} has a message, and its status not in the trailers");
    }
    Ok("HTTP 200, application/grpc, the status at the end".into())
}

async fn every_method_of_the_service_is_served(bench: &Bench) -> Finding {
    for operation in ALL {
        let reply = post(bench, operation.method, &[]).await?;
        let code = code(&reply)?;
        ensure!(code != UNIMPLEMENTED, "{} is not implemented", operation.method);
    }
    Ok(format!("{} methods", ALL.len()))
}

async fn an_unknown_method_is_unimplemented(bench: &Bench) -> Finding {
    let reply = post(bench, "NoSuchMethod", &[]).await?;
    let code = code(&reply)?;
    ensure!(code == UNIMPLEMENTED, "a method nobody defined ends with the status {code}");
    Ok("UNIMPLEMENTED".into())
}

async fn the_version_is_read_from_metadata(bench: &Bench) -> Finding {
    let params = json!({ "id": new_id() });
    let other = bench.refused_as(GET, &params, &bench.manner().version(Some("99.0"))).await?;
    let refused = other.must_be(VERSION_NOT_SUPPORTED);
    ensure!(refused.is_ok(), "a2a-version 99.0 in the metadata was not looked at: {}", other.seen());
    let own = bench.refused(GET, &params).await?;
    own.must_be(TASK_NOT_FOUND)?;
    Ok(other.seen())
}

async fn required_extensions_are_read_from_metadata(bench: &Bench) -> Finding {
    let declared = list(&bench.server.card["capabilities"]["extensions"]);
    let required: Vec<&str> = declared
        .iter()
        .filter(|extension| extension["required"] == true)
        .filter_map(|extension| extension["uri"].as_str())
        .collect();
    if required.is_empty() {
        return skip("the card requires no extension");
    }
    let without = bench.refused(SEND, &message("hello")).await?;
    without.must_be(EXTENSION_SUPPORT_REQUIRED)?;
    let all = format!("urn:example:conformance, {}", required.join(", "));
    bench.call_as(SEND, &message("hello"), &bench.manner().header("a2a-extensions", &all)).await?;
    Ok(format!("with {all} served, without refused"))
}

async fn errors_are_a_status_with_details(bench: &Bench) -> Finding {
    let fault = bench.refused(GET, &json!({ "id": new_id() })).await?;
    let text = fault.error["message"].as_str().unwrap_or_default();
    ensure!(!text.is_empty(), "no grpc-message: {}", fault.seen());
    let details = fault.details();
    ensure!(details.is_array(), "grpc-status-details-bin holds {}", shown(details));
    let again = &fault.error["status"];
    ensure!(
        again["code"] == fault.error["code"],
        "the status is {}, and in the details {again}",
        fault.seen()
    );
    Ok(fault.seen())
}

async fn grpc_errors_carry_an_error_info(bench: &Bench) -> Finding {
    s03_errors::every_specified_error_carries_info(bench).await
}

async fn streams_end_with_their_status(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let mut stream = bench.open(STREAM, &message("hello")).await?;
    let mut count = 0;
    // A stream that ends without a status, or with another than OK, fails where it is read.
    while stream.next().await?.is_some() {
        count += 1;
    }
    ensure!(count > 0, "a stream with no event");
    Ok(format!("OK after {count} events"))
}

async fn an_error_of_a_stream_is_its_status(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let mut params = message("hello");
    params["message"]["taskId"] = json!(new_id());
    let fault = bench.refused(STREAM, &params).await?;
    fault.must_be(TASK_NOT_FOUND)?;
    fault.must_carry_info(TASK_NOT_FOUND)?;
    Ok(fault.seen())
}

async fn deleting_is_answered_with_nothing(bench: &Bench) -> Finding {
    bench.needs("pushNotifications")?;
    let task = bench.finished().await?;
    let webhook = Webhook::listen().await?;
    let config = json!({ "taskId": id(&task)?, "id": new_id(), "url": webhook.url });
    let made = bench.binding.call(CREATE_PUSH, &config, &bench.manner()).await?;
    let Ok(made) = made else { return skip("the server takes no webhook on this machine") };
    let params = json!({ "taskId": id(&task)?, "id": made["id"] });
    let reply = bench.binding.exchange(DELETE_PUSH, &params, &bench.manner()).await?;
    let code = code(&reply)?;
    ensure!(code == 0, "deleting ended with the status {code}");
    ensure!(reply.body == frame(&[]), "google.protobuf.Empty was {} bytes", reply.body.len());
    Ok("google.protobuf.Empty".into())
}

/// A field of a version yet to come: number 1000, with a text.
const LATER_FIELD: [u8; 6] = [0xc2, 0x3e, 3, b'n', b'e', b'w'];

async fn unknown_fields_are_ignored(bench: &Bench) -> Finding {
    let add = |body: Vec<u8>| {
        let message = body.get(5..).unwrap_or_default();
        frame(&[message, &LATER_FIELD[..]].concat())
    };
    for (operation, params) in [(SEND, message("hello")), (LIST, json!({}))] {
        let reply = bench.raw(operation, &params, add).await?;
        let answer = bench.binding.outcome(operation, &reply)?;
        if let Err(fault) = answer {
            return fail(format!("{} with field 1000 was refused: {}", operation.method, fault.seen()));
        }
    }
    Ok("served as without".into())
}

/// Refused, and the connection, or the server, lives on.
async fn refused(bench: &Bench, operation: Operation, what: &str, bytes: &[u8]) -> Result<i64, Stop> {
    let reply = post(bench, operation.method, bytes).await?;
    let code = code(&reply)?;
    ensure!(code != 0, "{what} was taken for a {} request", operation.method);
    bench.refused(GET, &json!({ "id": new_id() })).await?.must_be(TASK_NOT_FOUND)?;
    Ok(code)
}

async fn broken_messages_are_refused(bench: &Bench) -> Finding {
    let broken: [(&str, &[u8]); 4] = [
        ("a field cut short", &[0x12, 0x7f, b'x']),
        ("a text that is no UTF-8", &[0x12, 2, 0xff, 0xfe]),
        ("an endless number", &[0xff; 11]),
        ("field 0", &[2, 0]),
    ];
    let mut codes = Vec::new();
    for (what, bytes) in broken {
        for operation in [GET, CANCEL] {
            codes.push(refused(bench, operation, what, bytes).await?.to_string());
        }
    }
    codes.dedup();
    Ok(format!("statuses {}", codes.join(", ")))
}

async fn messages_nested_deeply_do_no_harm(bench: &Bench) -> Finding {
    // A data part, a list in a list in a list: Value.list_value, ListValue.values, each within the other.
    let deep = (0..DEEP).fold(vec![2 << 3 | 2, 0], |inner, _| field(6, &field(1, &inner)));
    let part = field(4, &deep);
    let text = [field(1, new_id().as_bytes()), vec![4 << 3, 1], field(5, &part)].concat();
    let seen = match post(bench, SEND.method, &field(2, &text)).await {
        Ok(reply) => format!("status {}", code(&reply)?),
        Err(_) => "the connection was closed".into(),
    };
    bench.refused(GET, &json!({ "id": new_id() })).await?.must_be(TASK_NOT_FOUND)?;
    Ok(seen)
}
