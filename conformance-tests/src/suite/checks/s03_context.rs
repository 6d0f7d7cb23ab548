//! Turns of one conversation: contexts, task ids, questions and answers (spec §3.4).

use serde_json::json;

use crate::suite::bench::{Bench, id, message, new_id, state, texts};
use crate::suite::check::{Finding, checks, ensure, shown, skip};
use crate::suite::operation::{SEND, STREAM, TASK_NOT_FOUND};

checks! {
    Each a_context_is_made_and_told;
    Each a_context_given_by_the_client_is_kept_or_refused;
    Each task_ids_are_made_by_the_server;
    Each an_unknown_task_id_in_a_message_is_not_found;
    Each a_context_that_is_not_the_tasks_is_refused;
    Each the_context_is_inferred_from_the_task;
    Each an_answer_continues_its_task;
    Each a_task_that_asks_for_authorization_takes_messages;
    Each referenced_tasks_are_accepted;
}

async fn a_context_is_made_and_told(bench: &Bench) -> Finding {
    let result = bench.call(SEND, &message("hello")).await?;
    let answer = if result["task"].is_object() { &result["task"] } else { &result["message"] };
    let context = answer["contextId"].as_str().unwrap_or_default();
    ensure!(!context.is_empty(), "an answer without contextId: {}", shown(answer));
    Ok(format!("contextId {context}"))
}

async fn a_context_given_by_the_client_is_kept_or_refused(bench: &Bench) -> Finding {
    let mut params = message("hello");
    let context = new_id();
    params["message"]["contextId"] = json!(context);
    match bench.binding.call(SEND, &params, &bench.manner()).await? {
        Err(fault) => Ok(format!("refused: {}", fault.seen())),
        Ok(result) => {
            let answer = if result["task"].is_object() { &result["task"] } else { &result["message"] };
            ensure!(answer["contextId"] == context, "{context} was given, {} came back", answer["contextId"]);
            Ok("kept".into())
        }
    }
}

async fn task_ids_are_made_by_the_server(bench: &Bench) -> Finding {
    let (one, two) = (bench.finished().await?, bench.finished().await?);
    ensure!(id(&one)? != id(&two)?, "two tasks have the id {}", one["id"]);
    Ok("each task its own id".into())
}

async fn an_unknown_task_id_in_a_message_is_not_found(bench: &Bench) -> Finding {
    let mut params = message("hello");
    params["message"]["taskId"] = json!(new_id());
    let fault = bench.refused(SEND, &params).await?;
    fault.must_be(TASK_NOT_FOUND)?;
    if bench.server.can("streaming") {
        bench.refused(STREAM, &params).await?.must_be(TASK_NOT_FOUND)?;
    }
    Ok(fault.seen())
}

async fn a_context_that_is_not_the_tasks_is_refused(bench: &Bench) -> Finding {
    let asking = bench.task(&bench.script(&json!({ "ask": "which?" }))?).await?;
    let mut params = message("blue");
    params["message"]["taskId"] = json!(id(&asking)?);
    params["message"]["contextId"] = json!(new_id());
    let refused = bench.refused(SEND, &params).await;
    bench.end(&asking).await;
    let fault = refused?;
    fault.must_blame_the_caller()?;
    Ok(fault.seen())
}

async fn the_context_is_inferred_from_the_task(bench: &Bench) -> Finding {
    let asking = bench.task(&bench.script(&json!({ "ask": "which?" }))?).await?;
    let mut params = message("blue");
    params["message"]["taskId"] = json!(id(&asking)?);
    let answered = bench.task(&params).await?;
    let same = answered["contextId"] == asking["contextId"];
    ensure!(same, "the task's context is {}, now {}", asking["contextId"], answered["contextId"]);
    Ok("the task's own".into())
}

async fn an_answer_continues_its_task(bench: &Bench) -> Finding {
    let asking = bench.task(&bench.script(&json!({ "ask": "which?" }))?).await?;
    ensure!(state(&asking) == "TASK_STATE_INPUT_REQUIRED", "told to ask, the task is {}", state(&asking));
    let question = asking["status"]["message"]["parts"][0]["text"].as_str().unwrap_or_default();
    ensure!(question == "which?", "the question is missing: {}", shown(&asking["status"]));
    let mut params = message("blue");
    params["message"]["taskId"] = asking["id"].clone();
    params["message"]["contextId"] = asking["contextId"].clone();
    let answered = bench.task(&params).await?;
    ensure!(answered["id"] == asking["id"], "the answer made another task: {}", shown(&answered));
    ensure!(state(&answered) == "TASK_STATE_COMPLETED", "answered, the task is {}", state(&answered));
    let text = texts(&answered["artifacts"]).concat();
    ensure!(text.contains("blue"), "the agent did not hear the answer: {text:?}");
    Ok(text)
}

async fn a_task_that_asks_for_authorization_takes_messages(bench: &Bench) -> Finding {
    let asking = bench.task(&bench.script(&json!({ "ask_auth": "log in" }))?).await?;
    ensure!(state(&asking) == "TASK_STATE_AUTH_REQUIRED", "told to, the task is {}", state(&asking));
    let why = asking["status"]["message"]["parts"][0]["text"].as_str().unwrap_or_default();
    ensure!(why == "log in", "the status does not say what for: {}", shown(&asking["status"]));
    let mut params = message("done");
    params["message"]["taskId"] = json!(id(&asking)?);
    let answered = bench.task(&params).await?;
    Ok(format!("then {}", state(&answered)))
}

async fn referenced_tasks_are_accepted(bench: &Bench) -> Finding {
    let task = bench.finished().await?;
    let mut params = message("hello");
    params["message"]["referenceTaskIds"] = json!([id(&task)?]);
    let second = bench.task(&params).await?;
    if second["id"] == task["id"] {
        return skip("the agent answers every message with the same task");
    }
    Ok(state(&second).to_owned())
}
