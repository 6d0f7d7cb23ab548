//! Events: in order, to every stream, each stream on its own (spec §3.5.2).

use serde_json::{Value, json};

use crate::suite::bench::{Bench, id, kinds, state, texts};
use crate::suite::binding::Event;
use crate::suite::check::{Finding, checks, ensure, shown};
use crate::suite::operation::{STREAM, SUBSCRIBE, TERMINAL};
use crate::suite::shape;
use crate::suite::webhook::Gate;

checks! {
    Each events_come_in_the_order_they_were_made;
    Each every_stream_of_a_task_gets_the_same_events;
    Each closing_a_stream_leaves_the_others_alone;
    Each a_task_outlives_its_stream;
    Each events_have_the_shape_of_a_stream_response;
}

/// The text of the artifacts that events put together: `append` adds to an artifact, anything else replaces it.
fn assembled(events: &[Event]) -> String {
    let mut artifacts: Vec<(String, String)> = Vec::new();
    let mut take = |artifact: &Value, append: bool| {
        let text = texts(&json!([artifact])).concat();
        let key = artifact["artifactId"].to_string();
        match artifacts.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) if append => known.push_str(&text),
            Some((_, known)) => *known = text,
            None => artifacts.push((key, text)),
        }
    };
    for event in events {
        for artifact in shape::list(&event.json["task"]["artifacts"]) {
            take(artifact, false);
        }
        if let Some(update) = event.json.get("artifactUpdate") {
            take(&update["artifact"], update["append"] == true);
        }
    }
    artifacts.into_iter().map(|(_, text)| text).collect()
}

async fn events_come_in_the_order_they_were_made(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let chunks: Vec<String> = (0..20).map(|number| format!("{number},")).collect();
    let params = bench.script(&json!({ "chunks": chunks }))?;
    let events = bench.open(STREAM, &params).await?.rest().await?;
    let text = assembled(&events);
    ensure!(text == chunks.concat(), "twenty pieces came as {text}");
    Ok("twenty pieces in order".into())
}

async fn every_stream_of_a_task_gets_the_same_events(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let chunks = ["a", "b", "c", "d"];
    let gate = Gate::closed().await?;
    let mut params = bench.script(&json!({ "gate": gate.url, "chunks": chunks, "pace_ms": 20 }))?;
    params["configuration"] = json!({ "returnImmediately": true });
    let task = bench.task(&params).await?;
    let subscribe = json!({ "id": id(&task)? });
    let (mut one, mut two) =
        (bench.open(SUBSCRIBE, &subscribe).await?, bench.open(SUBSCRIBE, &subscribe).await?);
    // Both must be listening before the agent goes on.
    one.next().await?;
    two.next().await?;
    gate.open();
    let (one, two) = tokio::join!(one.rest(), two.rest());
    let (one, two) = (one?, two?);
    ensure!(assembled(&one) == chunks.concat(), "one stream brought {}", kinds(&one));
    let updates = |events: &[Event]| -> Vec<Value> {
        let of_work = |event: &&Event| event.json.get("artifactUpdate").is_some() || event.is_terminal();
        events.iter().filter(of_work).map(|event| event.json.clone()).collect()
    };
    ensure!(updates(&one) == updates(&two), "one brought {}, the other {}", kinds(&one), kinds(&two));
    Ok(format!("twice {}", kinds(&one)))
}

async fn closing_a_stream_leaves_the_others_alone(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let gate = Gate::closed().await?;
    let mut params = bench.script(&json!({ "gate": gate.url, "chunks": ["a", "b"] }))?;
    params["configuration"] = json!({ "returnImmediately": true });
    let task = bench.task(&params).await?;
    let subscribe = json!({ "id": id(&task)? });
    let (mut one, mut two) =
        (bench.open(SUBSCRIBE, &subscribe).await?, bench.open(SUBSCRIBE, &subscribe).await?);
    one.next().await?;
    two.next().await?;
    drop(one);
    gate.open();
    let events = two.rest().await?;
    ensure!(assembled(&events) == "ab", "after the other was closed, {}", kinds(&events));
    Ok(kinds(&events))
}

async fn a_task_outlives_its_stream(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let gate = Gate::closed().await?;
    let params = bench.script(&json!({ "gate": gate.url, "chunks": ["a"] }))?;
    let mut stream = bench.open(STREAM, &params).await?;
    let first = stream.until("the task's id", |event| event.task_id().is_some()).await?;
    let task = first.last().and_then(Event::task_id).unwrap_or_default().to_owned();
    drop(stream);
    gate.open();
    let settled = bench.settled(&task).await?;
    ensure!(state(&settled) == TERMINAL[0], "its stream closed, the task became {}", state(&settled));
    Ok("completed without it".into())
}

async fn events_have_the_shape_of_a_stream_response(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let events = bench.open(STREAM, &crate::suite::bench::message("hello")).await?.rest().await?;
    for event in &events {
        let wrong = shape::event(&event.json);
        ensure!(wrong.is_empty(), "{} in {}", wrong.join("; "), shown(&event.json));
    }
    let ids: Vec<&str> = events.iter().filter_map(Event::task_id).collect();
    ensure!(ids.windows(2).all(|pair| pair[0] == pair[1]), "events of several tasks: {ids:?}");
    Ok(format!("{} events", events.len()))
}
