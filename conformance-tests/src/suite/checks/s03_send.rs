//! Sending a message, waiting for it or listening to it (spec §3.1.1, §3.1.2, §3.2.2).

use serde_json::json;

use crate::suite::bench::{Bench, id, kinds, message, state, task_of, texts};
use crate::suite::binding::Event;
use crate::suite::check::{Finding, checks, ensure, fail, shown, skip};
use crate::suite::operation::{AT_WORK, GET, INTERRUPTED, SEND, STREAM, TERMINAL, UNSUPPORTED_OPERATION};

checks! {
    Each send_answers_with_a_task_or_a_message;
    Each send_returns_at_once_when_asked_to;
    Each send_waits_for_the_end_by_default;
    Each send_waits_until_the_agent_asks;
    Each send_returns_every_artifact;
    Each a_message_to_an_ended_task_is_refused;
    Each a_streamed_message_to_an_ended_task_is_refused;
    Each streaming_opens_an_event_stream;
    Each a_stream_begins_with_the_task_or_is_one_message;
    Each a_stream_of_a_message_is_that_message_alone;
    Each a_stream_closes_when_its_task_ends;
    Each a_stream_tells_of_progress_before_the_end;
    Each every_way_to_end_ends_a_stream;
}

async fn send_answers_with_a_task_or_a_message(bench: &Bench) -> Finding {
    let result = bench.call(SEND, &message("hello")).await?;
    let members =
        ["task", "message"].into_iter().filter(|name| result[*name].is_object()).collect::<Vec<_>>();
    ensure!(members.len() == 1, "a result with {members:?}: {}", shown(&result));
    Ok(format!("a {}", members.join("")))
}

async fn send_returns_at_once_when_asked_to(bench: &Bench) -> Finding {
    let task = bench.at_work().await?;
    let seen = format!("{} while the agent works", state(&task));
    bench.end(&task).await;
    Ok(seen)
}

async fn send_waits_for_the_end_by_default(bench: &Bench) -> Finding {
    let task = bench.task(&bench.script(&json!({ "delay_ms": 300, "chunks": ["done"] }))?).await?;
    ensure!(TERMINAL.contains(&state(&task)), "a blocking call returned with {}", state(&task));
    Ok(state(&task).to_owned())
}

async fn send_waits_until_the_agent_asks(bench: &Bench) -> Finding {
    let mut seen = Vec::new();
    for script in
        [json!({ "delay_ms": 100, "ask": "which?" }), json!({ "delay_ms": 100, "ask_auth": "log in" })]
    {
        let task = bench.task(&bench.script(&script)?).await?;
        bench.end(&task).await;
        ensure!(INTERRUPTED.contains(&state(&task)), "a blocking call returned with {}", state(&task));
        seen.push(state(&task).to_owned());
    }
    Ok(seen.join(", "))
}

async fn send_returns_every_artifact(bench: &Bench) -> Finding {
    let chunks = ["one ", "two ", "three"];
    let task = bench.task(&bench.script(&json!({ "chunks": chunks }))?).await?;
    let text = texts(&task["artifacts"]).concat();
    ensure!(text == chunks.concat(), "artifacts with {text:?}: {}", shown(&task["artifacts"]));
    let later = bench.call(GET, &json!({ "id": task["id"] })).await?;
    ensure!(later["artifacts"] == task["artifacts"], "GetTask shows other artifacts: {}", shown(&later));
    Ok(format!("{text:?}"))
}

async fn a_message_to_an_ended_task_is_refused(bench: &Bench) -> Finding {
    let task = bench.finished().await?;
    let mut params = message("more");
    params["message"]["taskId"] = task["id"].clone();
    let fault = bench.refused(SEND, &params).await?;
    fault.must_be(UNSUPPORTED_OPERATION)?;
    Ok(fault.seen())
}

async fn a_streamed_message_to_an_ended_task_is_refused(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let task = bench.finished().await?;
    let mut params = message("more");
    params["message"]["taskId"] = task["id"].clone();
    let fault = bench.refused(STREAM, &params).await?;
    fault.must_be(UNSUPPORTED_OPERATION)?;
    Ok(fault.seen())
}

async fn streaming_opens_an_event_stream(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let events = bench.open(STREAM, &message("hello")).await?.rest().await?;
    ensure!(!events.is_empty(), "an empty stream");
    Ok(format!("a stream of {} events", events.len()))
}

async fn a_stream_begins_with_the_task_or_is_one_message(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let events = bench.open(STREAM, &message("hello")).await?.rest().await?;
    match events.first().and_then(|event| event.member()) {
        Some("task") => {
            let again = events.iter().any(|event| event.member() == Some("message"));
            ensure!(!again, "a Message within the stream of a task: {}", kinds(&events));
        }
        Some("message") => ensure!(events.len() == 1, "more after a Message: {}", kinds(&events)),
        _ => return fail(format!("the stream began with {}", kinds(&events))),
    }
    Ok(kinds(&events))
}

async fn a_stream_of_a_message_is_that_message_alone(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let params = bench.script(&json!({ "message": "hi" }))?;
    let events = bench.open(STREAM, &params).await?.rest().await?;
    let alone = events.len() == 1 && events[0].member() == Some("message");
    ensure!(alone, "the stream of a direct answer was {}", kinds(&events));
    Ok("one message, then the end".into())
}

async fn a_stream_closes_when_its_task_ends(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let events = bench.open(STREAM, &message("hello")).await?.rest().await?;
    if events.first().and_then(|event| event.member()) == Some("message") {
        return skip("the agent answers with a Message, not with a task");
    }
    let Some(at) = events.iter().position(Event::is_terminal) else {
        let waits = events.last().is_some_and(Event::is_interrupted);
        ensure!(waits, "the stream closed before the end: {}", kinds(&events));
        return skip("a plain message led to a question");
    };
    let after = &events[at + 1..];
    ensure!(
        after.iter().all(|event| event.member() == Some("task")),
        "events after the end: {}",
        kinds(&events)
    );
    Ok(kinds(&events))
}

async fn a_stream_tells_of_progress_before_the_end(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let params = bench.script(&json!({ "delay_ms": 60_000, "chunks": ["late"] }))?;
    let mut stream = bench.open(STREAM, &params).await?;
    let Some(first) = stream.next().await? else { return fail("an empty stream") };
    let task = first.json["task"].clone();
    bench.end(&task).await;
    let state = first.state().unwrap_or("no state");
    ensure!(AT_WORK.contains(&state), "the first event of a long task showed {state}");
    Ok(format!("{state} while the agent works"))
}

async fn every_way_to_end_ends_a_stream(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let mut seen = Vec::new();
    for (end, expected) in [("completed", TERMINAL[0]), ("failed", TERMINAL[1]), ("rejected", TERMINAL[3])] {
        let params = bench.script(&json!({ "chunks": ["a"], "end": end }))?;
        let events = bench.open(STREAM, &params).await?.rest().await?;
        let last = events.last().and_then(|event| event.state()).unwrap_or("no state").to_owned();
        ensure!(last == expected, "told to be {end}, the stream ended with {last}: {}", kinds(&events));
        seen.push(last);
    }
    let task = bench.at_work().await?;
    let stream = bench.open(crate::suite::operation::SUBSCRIBE, &json!({ "id": id(&task)? })).await?;
    bench.end(&task).await;
    let events = stream.rest().await?;
    let last = events.last().and_then(|event| event.state()).unwrap_or("no state");
    ensure!(last == TERMINAL[2], "canceled, the stream ended with {last}");
    seen.push(last.to_owned());
    let direct = bench.call(SEND, &bench.script(&json!({ "message": "hi" }))?).await?;
    ensure!(task_of(&direct).is_err(), "told to answer directly, the agent made a task");
    Ok(seen.join(", "))
}
