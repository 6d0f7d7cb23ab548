//! What others must not see, and what must not do harm (spec §13).

use serde_json::json;

use crate::suite::bench::{Bench, id, message, new_id};
use crate::suite::check::{Finding, Stop, checks, ensure, shown, skip};
use crate::suite::http::Manner;
use crate::suite::operation::{CANCEL, CONTENT_TYPE_NOT_SUPPORTED, GET, LIST, SEND, TASK_NOT_FOUND};
use crate::suite::server::bearer;
use crate::suite::shape::list;

checks! {
    Each others_do_not_list_a_task;
    Each others_do_not_find_a_task;
    Each media_types_the_card_does_not_name_are_refused;
    Each a_body_of_many_megabytes_is_refused;
    Json deep_nesting_is_refused;
    Server transport_is_encrypted;
    Server transport_security_is_enforced_strictly;
}

/// Larger than any message should be, in bytes.
const HUGE: usize = 32 << 20;
/// Deeper than any message should be.
const DEEP: usize = 20_000;

fn somebody_else(bench: &Bench) -> Result<Manner, Stop> {
    match &bench.server.subject.other_token {
        Some(token) => Ok(Manner::plain(Some(bearer(token)))),
        None => skip("needs the credentials of somebody else (--other-token)"),
    }
}

async fn others_do_not_list_a_task(bench: &Bench) -> Finding {
    let other = somebody_else(bench)?;
    let task = bench.finished().await?;
    for params in [json!({}), json!({ "contextId": task["contextId"] })] {
        let page = bench.call_as(LIST, &params, &other).await?;
        let seen = list(&page["tasks"]).iter().any(|listed| listed["id"] == task["id"]);
        ensure!(!seen, "somebody else lists the task: {}", shown(&page));
    }
    Ok("not listed".into())
}

async fn others_do_not_find_a_task(bench: &Bench) -> Finding {
    let other = somebody_else(bench)?;
    let task = bench.finished().await?;
    for operation in [GET, CANCEL] {
        let theirs = bench.refused_as(operation, &json!({ "id": id(&task)? }), &other).await?;
        let absent = bench.refused_as(operation, &json!({ "id": new_id() }), &other).await?;
        theirs.must_be(TASK_NOT_FOUND)?;
        let same = (theirs.status, theirs.code()) == (absent.status, absent.code());
        ensure!(same, "{} tells a task of others from none: {}", operation.method, theirs.seen());
    }
    let mut params = message("mine now");
    params["message"]["taskId"] = json!(id(&task)?);
    bench.refused_as(SEND, &params, &other).await?.must_be(TASK_NOT_FOUND)?;
    Ok("as if it did not exist".into())
}

async fn media_types_the_card_does_not_name_are_refused(bench: &Bench) -> Finding {
    let modes = list(&bench.server.card["defaultInputModes"]);
    if modes.iter().any(|mode| mode.as_str().is_some_and(|mode| mode.contains('*'))) {
        return skip("the card takes every media type");
    }
    let mut params = message("hello");
    let part = json!({ "raw": "AAEC", "mediaType": "application/x-conformance-unknown", "filename": "x" });
    params["message"]["parts"] = json!([part]);
    let fault = bench.refused(SEND, &params).await?;
    fault.must_be(CONTENT_TYPE_NOT_SUPPORTED)?;
    Ok(fault.seen())
}

async fn a_body_of_many_megabytes_is_refused(bench: &Bench) -> Finding {
    let params = message(&"x".repeat(HUGE));
    // A server may well stop reading and close: that is a refusal too.
    let seen = match bench.binding.call(SEND, &params, &bench.manner()).await {
        Ok(Ok(_)) => return Err(Stop::Fail(format!("a message of {} MiB was taken", HUGE >> 20))),
        Ok(Err(fault)) => fault.seen(),
        Err(_) => "the connection was closed".into(),
    };
    bench.refused(GET, &json!({ "id": new_id() })).await?.must_be(TASK_NOT_FOUND)?;
    Ok(seen)
}

async fn deep_nesting_is_refused(bench: &Bench) -> Finding {
    let deep = format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP));
    let nested =
        |body: &[u8]| String::from_utf8_lossy(body).replace("\"conformance-deep\"", &deep).into_bytes();
    let mut params = message("hello");
    params["message"]["metadata"] = json!({ "deep": "conformance-deep" });
    let seen = match bench.raw(SEND, &params, |body| nested(&body)).await {
        Ok(reply) => {
            let outcome = bench.binding.outcome(SEND, &reply);
            ensure!(reply.status < 500, "HTTP {} for JSON {DEEP} deep", reply.status);
            match outcome {
                Ok(Err(fault)) => {
                    fault.must_blame_the_caller()?;
                    fault.seen()
                }
                _ => "taken".into(),
            }
        }
        Err(_) => "the connection was closed".into(),
    };
    bench.refused(GET, &json!({ "id": new_id() })).await?.must_be(TASK_NOT_FOUND)?;
    Ok(seen)
}

/// Whether a URL stays on this machine, where nothing needs to be encrypted.
fn is_local(url: &str) -> bool {
    ["//127.", "//localhost", "//[::1]"].iter().any(|host| url.contains(host))
}

async fn transport_is_encrypted(bench: &Bench) -> Finding {
    for binding in &bench.server.bindings {
        if is_local(&binding.url) {
            return skip("the server is on this machine: no production deployment");
        }
        ensure!(binding.url.starts_with("https://"), "{} at {}", binding.kind.name(), binding.url);
    }
    Ok("https".into())
}

async fn transport_security_is_enforced_strictly(bench: &Bench) -> Finding {
    if !bench.server.card_url.starts_with("https://") {
        return skip("the server is not judged over https");
    }
    match bench.server.card_reply.header("strict-transport-security") {
        Some(value) => Ok(value.to_owned()),
        None => Err(Stop::Fail("no Strict-Transport-Security".into())),
    }
}
