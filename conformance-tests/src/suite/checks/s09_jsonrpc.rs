//! JSON-RPC: the envelope, ids, and the codes of what is no proper request (spec §9, JSON-RPC 2.0).

use serde_json::{Value, json};

use crate::suite::bench::{Bench, message, new_id};
use crate::suite::check::{Finding, Stop, checks, ensure, shown};
use crate::suite::http::Reply;
use crate::suite::operation::{GET, STREAM};

checks! {
    JsonRpc answers_are_json_rpc_2_0;
    JsonRpc ids_come_back_as_they_were;
    JsonRpc answers_are_application_json;
    JsonRpc streamed_events_are_responses_with_the_requests_id;
    JsonRpc broken_json_is_a_parse_error;
    JsonRpc what_is_no_request_is_an_invalid_request;
    JsonRpc an_unknown_method_is_not_found;
    JsonRpc params_of_a_wrong_type_are_invalid;
    JsonRpc an_error_without_a_readable_id_has_the_id_null;
    JsonRpc a_slash_at_the_end_changes_nothing;
    JsonRpc header_names_know_no_case;
}

async fn post(bench: &Bench, body: &str) -> Result<Reply, Stop> {
    let (url, bytes) = (&bench.binding.url, body.as_bytes().to_vec());
    bench.binding.http.exchange("POST", url, Some("application/json"), &bench.manner(), bytes).await
}

fn get(request: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": request, "method": "GetTask", "params": { "id": "nobody" } }).to_string()
}

async fn answers_are_json_rpc_2_0(bench: &Bench) -> Finding {
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {} }).to_string();
    for body in [list, get(&json!(1))] {
        let json = post(bench, &body).await?.json()?;
        ensure!(json["jsonrpc"] == "2.0", "jsonrpc is {}: {}", json["jsonrpc"], shown(&json));
        let one = json.get("result").is_some() != json.get("error").is_some_and(|error| !error.is_null());
        ensure!(one, "not exactly one of result and error: {}", shown(&json));
    }
    Ok("result or error, jsonrpc 2.0".into())
}

async fn ids_come_back_as_they_were(bench: &Bench) -> Finding {
    for sent in [json!(7), json!("seven"), json!("007"), json!(9_007_199_254_740_991_i64), json!("")] {
        let json = post(bench, &get(&sent)).await?.json()?;
        ensure!(json["id"] == sent, "the id {sent} came back as {}", json["id"]);
    }
    Ok("numbers and texts".into())
}

async fn answers_are_application_json(bench: &Bench) -> Finding {
    let reply = post(bench, &get(&json!(1))).await?;
    ensure!(reply.media_type() == "application/json", "the answer's type is {}", reply.media_type());
    Ok(reply.media_type().to_owned())
}

async fn streamed_events_are_responses_with_the_requests_id(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let events = bench.open(STREAM, &message("hello")).await?.rest().await?;
    for event in &events {
        ensure!(event.data["jsonrpc"] == "2.0", "an event that is no JSON-RPC: {}", shown(&event.data));
        ensure!(event.data["id"] == "conformance", "an event with the id {}", event.data["id"]);
    }
    Ok(format!("{} events", events.len()))
}

async fn code(bench: &Bench, body: &str, expected: i64) -> Finding {
    let reply = post(bench, body).await?;
    let json = reply.json()?;
    let shown_body = shown(body);
    ensure!(
        json["error"]["code"] == expected,
        "{shown_body}: expected {expected}, got {}",
        shown(&reply.text)
    );
    Ok(shown(&json["error"]))
}

async fn broken_json_is_a_parse_error(bench: &Bench) -> Finding {
    code(bench, "", -32700).await?;
    code(bench, "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\":", -32700).await
}

async fn what_is_no_request_is_an_invalid_request(bench: &Bench) -> Finding {
    code(bench, "{}", -32600).await?;
    code(bench, "[]", -32600).await?;
    code(bench, "\"hello\"", -32600).await?;
    code(bench, r#"{"jsonrpc": "1.0", "id": 1, "method": "GetTask", "params": {"id": "x"}}"#, -32600).await?;
    code(bench, r#"{"jsonrpc": "2.0", "id": 1, "method": 7, "params": {}}"#, -32600).await
}

async fn an_unknown_method_is_not_found(bench: &Bench) -> Finding {
    for method in ["NoSuchMethod", "getTask", ""] {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": {} }).to_string();
        let expected = if method.is_empty() { None } else { Some(-32601) };
        if let Some(expected) = expected {
            code(bench, &body, expected).await?;
        }
    }
    Ok("-32601".into())
}

async fn params_of_a_wrong_type_are_invalid(bench: &Bench) -> Finding {
    for params in [json!({ "id": 7 }), json!({ "id": {} }), json!({})] {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": params });
        code(bench, &body.to_string(), -32602).await?;
    }
    Ok("-32602".into())
}

async fn an_error_without_a_readable_id_has_the_id_null(bench: &Bench) -> Finding {
    let json = post(bench, "{\"jsonrpc\":").await?.json()?;
    let null = json.as_object().is_some_and(|members| members.get("id").is_some_and(Value::is_null));
    ensure!(null, "the id of a parse error is {}: {}", json["id"], shown(&json));
    Ok("id null".into())
}

async fn a_slash_at_the_end_changes_nothing(bench: &Bench) -> Finding {
    let mut binding = bench.binding.clone();
    binding.url.push('/');
    let there = Bench { server: bench.server.clone(), binding };
    let fault = there.refused(GET, &json!({ "id": new_id() })).await?;
    fault.must_be(crate::suite::operation::TASK_NOT_FOUND)?;
    Ok(fault.seen())
}

async fn header_names_know_no_case(bench: &Bench) -> Finding {
    let manner = bench.manner().version(None).header("a2a-version", "1.0");
    let fault = bench.refused_as(GET, &json!({ "id": new_id() }), &manner).await?;
    fault.must_be(crate::suite::operation::TASK_NOT_FOUND)?;
    Ok("a2a-version is A2A-Version".into())
}
