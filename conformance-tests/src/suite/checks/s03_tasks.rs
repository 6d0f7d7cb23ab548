//! Reading, cancelling and subscribing to tasks (spec §3.1.3, §3.1.5, §3.1.6, §3.3.1).

use serde_json::json;

use crate::suite::bench::{Bench, id, kinds, state};
use crate::suite::check::{Finding, checks, ensure, fail, shown};
use crate::suite::operation::{
    CANCEL, GET, SUBSCRIBE, TASK_NOT_CANCELABLE, TASK_NOT_FOUND, TERMINAL, UNSUPPORTED_OPERATION,
};
use crate::suite::webhook::Gate;

checks! {
    Each a_task_can_be_read_after_it_was_sent;
    Each an_ended_task_cannot_be_canceled;
    Each a_task_at_work_can_be_canceled;
    Each a_second_cancel_does_no_harm;
    Each subscribing_begins_with_the_task;
    Each subscribing_ends_with_the_task;
    Each subscribing_to_an_ended_task_is_refused;
}

async fn a_task_can_be_read_after_it_was_sent(bench: &Bench) -> Finding {
    let sent = bench.finished().await?;
    let read = bench.call(GET, &json!({ "id": id(&sent)? })).await?;
    for member in ["id", "contextId", "status", "artifacts"] {
        let same = read[member] == sent[member];
        ensure!(same, "{member} was {} and is {}", shown(&sent[member]), shown(&read[member]));
    }
    let again = bench.call(GET, &json!({ "id": id(&sent)? })).await?;
    ensure!(again == read, "reading twice gave two answers: {}", shown(&again));
    Ok(state(&read).to_owned())
}

async fn an_ended_task_cannot_be_canceled(bench: &Bench) -> Finding {
    let task = bench.finished().await?;
    let fault = bench.refused(CANCEL, &json!({ "id": id(&task)? })).await?;
    fault.must_be(TASK_NOT_CANCELABLE)?;
    Ok(fault.seen())
}

async fn a_task_at_work_can_be_canceled(bench: &Bench) -> Finding {
    let task = bench.at_work().await?;
    let canceled = bench.call(CANCEL, &json!({ "id": id(&task)? })).await?;
    ensure!(canceled["id"] == task["id"], "the answer is not the task: {}", shown(&canceled));
    let settled = bench.settled(&id(&task)?).await?;
    ensure!(state(&settled) == "TASK_STATE_CANCELED", "a canceled task is {}", state(&settled));
    Ok(format!("{} in the answer", state(&canceled)))
}

async fn a_second_cancel_does_no_harm(bench: &Bench) -> Finding {
    let task = bench.at_work().await?;
    let params = json!({ "id": id(&task)? });
    bench.call(CANCEL, &params).await?;
    bench.settled(&id(&task)?).await?;
    let second = match bench.binding.call(CANCEL, &params, &bench.manner()).await? {
        Ok(task) => state(&task).to_owned(),
        Err(fault) => {
            fault.must_be(TASK_NOT_CANCELABLE).or_else(|_| fault.must_be(TASK_NOT_FOUND))?;
            fault.seen()
        }
    };
    let after = bench.get(&id(&task)?).await?;
    ensure!(state(&after) == "TASK_STATE_CANCELED", "canceled twice, the task is {}", state(&after));
    Ok(format!("the second time: {second}"))
}

async fn subscribing_begins_with_the_task(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let task = bench.at_work().await?;
    let mut stream = bench.open(SUBSCRIBE, &json!({ "id": id(&task)? })).await?;
    let first = stream.next().await?;
    bench.end(&task).await;
    let Some(first) = first else { return fail("an empty stream") };
    ensure!(first.member() == Some("task"), "the first event was {}", shown(&first.json));
    ensure!(first.json["task"]["id"] == task["id"], "the first event is of another task");
    Ok(format!("the task, {}", first.state().unwrap_or("no state")))
}

async fn subscribing_ends_with_the_task(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let gate = Gate::closed().await?;
    let mut params = bench.script(&json!({ "gate": gate.url, "chunks": ["a", "b"] }))?;
    params["configuration"] = json!({ "returnImmediately": true });
    let task = bench.task(&params).await?;
    let stream = bench.open(SUBSCRIBE, &json!({ "id": id(&task)? })).await?;
    gate.open();
    let events = stream.rest().await?;
    let last = events.last().and_then(|event| event.state()).unwrap_or("no state");
    ensure!(TERMINAL.contains(&last), "the stream ended with {}", kinds(&events));
    Ok(kinds(&events))
}

async fn subscribing_to_an_ended_task_is_refused(bench: &Bench) -> Finding {
    bench.needs_streaming()?;
    let task = bench.finished().await?;
    let fault = bench.refused(SUBSCRIBE, &json!({ "id": id(&task)? })).await?;
    fault.must_be(UNSUPPORTED_OPERATION)?;
    Ok(fault.seen())
}
