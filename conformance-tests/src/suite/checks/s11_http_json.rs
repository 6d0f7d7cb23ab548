//! HTTP+JSON: paths, methods, content types, queries, and errors as `google.rpc.Status` (spec §11).

use serde_json::{Value, json};

use super::s03_errors;
use crate::suite::bench::{Bench, id, message, new_id, state};
use crate::suite::binding::Kind;
use crate::suite::check::{Finding, Stop, checks, ensure, shown};
use crate::suite::http::Reply;
use crate::suite::operation::{GET, LIST, Operation, SEND, STREAM, SUBSCRIBE, TASK_NOT_FOUND};
use crate::suite::shape::list;

checks! {
    HttpJson answers_are_application_a2a_json;
    HttpJson requests_may_be_application_json;
    HttpJson errors_are_a_google_rpc_status;
    HttpJson http_errors_carry_an_error_info;
    HttpJson broken_json_is_a_bad_request;
    HttpJson queries_are_camel_case_and_decoded;
    HttpJson a_slash_at_the_end_of_a_path_changes_nothing;
    HttpJson subscribing_is_served_on_the_task;
    HttpJson streamed_events_are_bare;
    HttpJson unknown_paths_are_not_found;
    HttpJson an_undeclared_tenant_is_not_served_as_another;
    HttpJson service_parameters_know_no_case;
}

async fn at(bench: &Bench, verb: &str, path: &str, body: &str) -> Result<Reply, Stop> {
    let url = format!("{}{path}", bench.binding.url);
    let content_type = (verb == "POST").then(|| Kind::HttpJson.media_type());
    let (manner, body) = (bench.manner(), body.as_bytes().to_vec());
    bench.binding.http.exchange(verb, &url, content_type, &manner, body).await
}

async fn answers_are_application_a2a_json(bench: &Bench) -> Finding {
    for (operation, params) in [(SEND, message("hello")), (LIST, json!({})), (GET, json!({ "id": new_id() }))]
    {
        let reply = bench.binding.exchange(operation, &params, &bench.manner()).await?;
        let media = reply.media_type();
        ensure!(
            media == "application/a2a+json",
            "{} answers HTTP {} with {media}",
            operation.method,
            reply.status
        );
    }
    Ok("application/a2a+json, errors too".into())
}

async fn requests_may_be_application_json(bench: &Bench) -> Finding {
    let manner = bench.manner().header("content-type", "application/json");
    bench.call_as(SEND, &message("hello"), &manner).await?;
    Ok("served".into())
}

async fn errors_are_a_google_rpc_status(bench: &Bench) -> Finding {
    let fault = bench.refused(GET, &json!({ "id": new_id() })).await?;
    ensure!(
        fault.error["code"] == fault.status,
        "HTTP {} with error.code {}",
        fault.status,
        fault.error["code"]
    );
    ensure!(fault.error["status"] == "NOT_FOUND", "error.status is {}", fault.error["status"]);
    let text = fault.error["message"].as_str().unwrap_or_default();
    ensure!(!text.is_empty(), "no error.message: {}", fault.seen());
    ensure!(fault.error["details"].is_array(), "error.details is {}", shown(&fault.error["details"]));
    Ok(fault.seen())
}

async fn http_errors_carry_an_error_info(bench: &Bench) -> Finding {
    s03_errors::every_specified_error_carries_info(bench).await
}

async fn broken_json_is_a_bad_request(bench: &Bench) -> Finding {
    for body in ["{", "[]", "\"hello\"", "null"] {
        let reply = at(bench, "POST", "/message:send", body).await?;
        ensure!(reply.status == 400, "{body} is answered with HTTP {}: {}", reply.status, shown(&reply.text));
    }
    Ok("HTTP 400".into())
}

async fn queries_are_camel_case_and_decoded(bench: &Bench) -> Finding {
    let task = bench.finished().await?;
    let context = task["contextId"].as_str().unwrap_or_default();
    // Every character escaped: a server that compares without decoding finds nothing.
    let escaped = context.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
    let path =
        format!("/tasks?contextId={escaped}&pageSize=5&includeArtifacts=false&status={}", state(&task));
    let page = at(bench, "GET", &path, "").await?.json()?;
    let alone = list(&page["tasks"]).len() == 1 && page["tasks"][0]["id"] == task["id"];
    ensure!(alone, "{path} lists {}", shown(&page));
    Ok("contextId, pageSize, includeArtifacts, status".into())
}

async fn a_slash_at_the_end_of_a_path_changes_nothing(bench: &Bench) -> Finding {
    let task = bench.finished().await?;
    let path = format!("/tasks/{}/", id(&task)?);
    let reply = at(bench, "GET", &path, "").await?;
    ensure!(reply.status == 200, "GET {path}: HTTP {}", reply.status);
    Ok("served".into())
}

async fn subscribing_is_served_on_the_task(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let mut served = Vec::new();
    for verb in ["POST", "GET"] {
        let operation = Operation { verb, ..SUBSCRIBE };
        let opened = bench.binding.open(operation, &json!({ "id": new_id() }), &bench.manner()).await?;
        if opened.is_err_and(|fault| fault.must_be(TASK_NOT_FOUND).is_ok()) {
            served.push(verb);
        }
    }
    // The text says POST and the proto GET: a server that serves either follows one of them.
    ensure!(!served.is_empty(), "neither POST nor GET /tasks/{{id}}:subscribe says that a task is not found");
    Ok(served.join(", "))
}

async fn streamed_events_are_bare(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let events = bench.open(STREAM, &message("hello")).await?.rest().await?;
    for event in &events {
        ensure!(event.data.get("jsonrpc").is_none(), "an event in an envelope: {}", shown(&event.data));
        ensure!(event.member().is_some(), "an event that is no StreamResponse: {}", shown(&event.data));
    }
    Ok(format!("{} events", events.len()))
}

async fn unknown_paths_are_not_found(bench: &Bench) -> Finding {
    let reply = at(bench, "GET", "/conformance/no/such/path", "").await?;
    ensure!(reply.status == 404, "an unknown path: HTTP {}", reply.status);
    let wrong = at(bench, "DELETE", "/tasks", "").await?;
    ensure!(wrong.status == 405 || wrong.status == 404, "DELETE /tasks: HTTP {}", wrong.status);
    Ok("404".into())
}

async fn an_undeclared_tenant_is_not_served_as_another(bench: &Bench) -> Finding {
    let task = bench.finished().await?;
    let path = format!("/conformance-no-such-tenant/tasks/{}", id(&task)?);
    let reply = at(bench, "GET", &path, "").await?;
    let same = reply.json().is_ok_and(|json: Value| json["id"] == task["id"]);
    ensure!(!same, "a tenant nobody declared shows the task");
    Ok(format!("HTTP {}", reply.status))
}

async fn service_parameters_know_no_case(bench: &Bench) -> Finding {
    let manner = bench.manner().version(None).header("a2a-version", "1.0");
    let fault = bench.refused_as(GET, &json!({ "id": new_id() }), &manner).await?;
    fault.must_be(TASK_NOT_FOUND)?;
    Ok("a2a-version is A2A-Version".into())
}
