//! Data: names, enums, timestamps, required members, all kinds of parts, and two bindings that agree
//! (spec §4.1, §5.1, §5.5 to §5.7).

use serde_json::{Value, json};

use crate::suite::bench::{Bench, id, message, new_id};
use crate::suite::binding::Event;
use crate::suite::check::{Finding, Stop, checks, ensure, shown, skip};
use crate::suite::operation::{GET, LIST, SEND, STREAM};
use crate::suite::shape::{self, list};

checks! {
    Json members_are_named_in_camel_case;
    Each enums_are_the_names_of_the_proto;
    Json timestamps_are_utc_with_z;
    Each timestamps_have_milliseconds;
    Each required_members_are_there;
    Json unknown_members_are_ignored;
    Json null_is_the_same_as_absent;
    Each every_kind_of_part_comes_back;
    Server bindings_agree_on_a_task;
    Server bindings_agree_on_errors;
}

/// One short conversation, as every operation shows it.
async fn conversation(bench: &Bench) -> Result<Vec<Value>, Stop> {
    let sent = bench.call(SEND, &message("hello")).await?;
    let mut seen = vec![sent.clone()];
    if let Some(task) = sent["task"]["id"].as_str() {
        seen.push(bench.get(task).await?);
        let params = json!({ "contextId": sent["task"]["contextId"], "includeArtifacts": true });
        seen.push(bench.call(LIST, &params).await?);
    }
    if bench.server.can("streaming") {
        let events = bench.open(STREAM, &message("hello")).await?.rest().await?;
        seen.extend(events.into_iter().map(|Event { json, .. }| json));
    }
    Ok(seen)
}

async fn members_are_named_in_camel_case(bench: &Bench) -> Finding {
    let answers = conversation(bench).await?;
    for answer in &answers {
        let wrong = shape::names(answer);
        ensure!(wrong.is_empty(), "{} in {}", wrong.join(", "), shown(answer));
    }
    Ok(format!("in {} answers", answers.len()))
}

async fn enums_are_the_names_of_the_proto(bench: &Bench) -> Finding {
    let answers = json!(conversation(bench).await?);
    let (mut states, mut roles) = (Vec::new(), Vec::new());
    shape::every(&answers, "state", &mut states);
    shape::every(&answers, "role", &mut roles);
    let named = |value: &&Value, prefix: &str| value.as_str().is_some_and(|name| name.starts_with(prefix));
    let wrong = states.iter().find(|state| !named(state, "TASK_STATE_"));
    let wrong = wrong.or(roles.iter().find(|role| !named(role, "ROLE_")));
    ensure!(wrong.is_none(), "{} is no name of the proto", wrong.unwrap_or(&&Value::Null));
    Ok(format!("{} states, {} roles", states.len(), roles.len()))
}

async fn timestamps(bench: &Bench) -> Result<Vec<String>, Stop> {
    let answers = json!(conversation(bench).await?);
    let mut found = Vec::new();
    shape::every(&answers, "timestamp", &mut found);
    if found.is_empty() {
        return skip("no answer had a timestamp");
    }
    Ok(found.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect())
}

async fn timestamps_are_utc_with_z(bench: &Bench) -> Finding {
    let times = timestamps(bench).await?;
    for time in &times {
        ensure!(shape::is_timestamp(time), "{time} is not ISO 8601 in UTC with Z");
    }
    Ok(times.last().cloned().unwrap_or_default())
}

async fn timestamps_have_milliseconds(bench: &Bench) -> Finding {
    let times = timestamps(bench).await?;
    // A time that falls on a full second may leave the fraction out.
    let with = times.iter().filter(|time| time.contains('.')).count();
    ensure!(with > 0, "none of {} timestamps has a fraction: {:?}", times.len(), times.first());
    let millis = |time: &&String| {
        let fraction = time.trim_end_matches('Z').split_once('.').map(|(_, fraction)| fraction.len());
        fraction.is_some_and(|digits| digits < 3)
    };
    ensure!(!times.iter().any(|time| millis(&time)), "less than milliseconds: {times:?}");
    Ok(times.last().cloned().unwrap_or_default())
}

async fn required_members_are_there(bench: &Bench) -> Finding {
    let answers = conversation(bench).await?;
    for answer in &answers {
        let wrong = if answer["tasks"].is_array() {
            list(&answer["tasks"]).iter().flat_map(shape::task).collect()
        } else if answer["id"].is_string() {
            shape::task(answer)
        } else {
            shape::event(answer)
        };
        ensure!(wrong.is_empty(), "{} in {}", wrong.join("; "), shown(answer));
    }
    Ok(format!("in {} answers", answers.len()))
}

async fn unknown_members_are_ignored(bench: &Bench) -> Finding {
    let mut params = message("hello");
    params["futureMember"] = json!({ "deep": [1, 2] });
    params["message"]["futureMember"] = json!(true);
    params["message"]["parts"][0]["futureMember"] = json!("x");
    let result = bench.call(SEND, &params).await?;
    Ok(format!("served: {}", shown(&result["task"]["status"]["state"])))
}

async fn null_is_the_same_as_absent(bench: &Bench) -> Finding {
    let mut params = message("hello");
    params["message"]["contextId"] = Value::Null;
    params["message"]["taskId"] = Value::Null;
    params["message"]["extensions"] = Value::Null;
    params["configuration"] = Value::Null;
    bench.call(SEND, &params).await?;
    Ok("null is unset".into())
}

async fn every_kind_of_part_comes_back(bench: &Bench) -> Finding {
    let parts = json!([
        { "text": "naïve 🙂 \u{0} \"quoted\"" },
        { "raw": "AAECAwQF/w==", "filename": "bytes.bin", "mediaType": "application/octet-stream" },
        { "url": "https://example.com/file.png?x=1&y=2", "mediaType": "image/png" },
        { "data": { "deep": [1, 2.5, null, true, { "empty": {} }] }, "mediaType": "application/json" },
        { "data": [1, "two"] },
        { "data": "just text" },
        { "text": "annotated", "metadata": { "https://example.com/x": { "keep": [1] } } },
    ]);
    let mut params = bench.script(&json!({ "echo": true }))?;
    for part in list(&parts) {
        if let Some(sent) = params["message"]["parts"].as_array_mut() {
            sent.push(part.clone());
        }
    }
    let task = bench.task(&params).await?;
    let echoed = list(&task["artifacts"][0]["parts"]);
    ensure!(
        echoed.len() == list(&parts).len(),
        "of {} parts, {} came back",
        list(&parts).len(),
        echoed.len()
    );
    for (sent, came) in list(&parts).iter().zip(echoed) {
        ensure!(same(sent, came), "{} came back as {}", shown(sent), shown(came));
    }
    Ok(format!("{} parts, unchanged", echoed.len()))
}

/// Whether two values are the same where numbers are compared by value: a Struct knows no integers.
fn same(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Number(one), Value::Number(two)) => one.as_f64() == two.as_f64(),
        (Value::Array(one), Value::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same(one, two))
        }
        (Value::Object(one), Value::Object(two)) => {
            one.len() == two.len()
                && one.iter().all(|(name, value)| two.get(name).is_some_and(|other| same(value, other)))
        }
        _ => one == two,
    }
}

/// The same server on each of its bindings.
fn everywhere(bench: &Bench) -> Result<Vec<Bench>, Stop> {
    let server = &bench.server;
    let all = server.bindings.iter();
    let all: Vec<Bench> =
        all.map(|binding| Bench { server: server.clone(), binding: binding.clone() }).collect();
    if all.len() < 2 { skip("the server is judged on one binding only") } else { Ok(all) }
}

async fn bindings_agree_on_a_task(bench: &Bench) -> Finding {
    let all = everywhere(bench)?;
    let task = all[0].finished().await?;
    let mut shown_as = Vec::new();
    for bench in &all {
        let page = bench.call(LIST, &json!({ "contextId": task["contextId"] })).await?;
        shown_as.push((bench.get(&id(&task)?).await?, page));
    }
    if !all.iter().all(|bench| bench.binding.kind.is_json()) {
        // To protobuf, what is empty and what is absent are one.
        shown_as = shown_as.iter().map(|(task, page)| (without_empty(task), without_empty(page))).collect();
    }
    for other in &shown_as[1..] {
        let agrees = same(&other.0, &shown_as[0].0) && same(&other.1, &shown_as[0].1);
        ensure!(agrees, "one shows {}, another {}", shown(&shown_as[0].0), shown(&other.0));
    }
    Ok(format!("the same on {} bindings", all.len()))
}

/// The same without members that are empty.
fn without_empty(value: &Value) -> Value {
    let is_empty = |value: &Value| {
        let nothing = [json!(null), json!(""), json!(false), json!([]), json!({})];
        nothing.contains(value) || value.as_f64() == Some(0.0)
    };
    match value {
        Value::Object(members) => {
            let kept = members.iter().map(|(name, member)| (name.clone(), without_empty(member)));
            Value::Object(kept.filter(|(_, member)| !is_empty(member)).collect())
        }
        Value::Array(entries) => entries.iter().map(without_empty).collect(),
        other => other.clone(),
    }
}

async fn bindings_agree_on_errors(bench: &Bench) -> Finding {
    let all = everywhere(bench)?;
    let mut reasons = Vec::new();
    for bench in &all {
        let fault = bench.refused(GET, &json!({ "id": new_id() })).await?;
        fault.must_be(crate::suite::operation::TASK_NOT_FOUND)?;
        reasons.push(fault.info().map(|info| info["reason"].clone()));
    }
    ensure!(reasons.windows(2).all(|pair| pair[0] == pair[1]), "the same error has the reasons {reasons:?}");
    Ok("the same error".into())
}
