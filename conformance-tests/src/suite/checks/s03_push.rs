//! Push notifications: configured, delivered, taken away again (spec §3.1.7 to §3.1.10, §4.3.3, §13.2).

use serde_json::{Value, json};

use crate::suite::bench::{Bench, id, message, new_id, task_of};
use crate::suite::binding::Fault;
use crate::suite::check::{Finding, Stop, checks, ensure, fail, shown, skip};
use crate::suite::operation::{
    CREATE_PUSH, DELETE_PUSH, GET_PUSH, LIST_PUSH, SEND, TASK_NOT_FOUND, TERMINAL,
};
use crate::suite::shape::{self, list};
use crate::suite::webhook::{Gate, Webhook};

checks! {
    Each a_push_configuration_can_be_made_and_read;
    Each an_unknown_push_configuration_is_not_found;
    Each every_push_configuration_is_listed;
    Each a_push_configuration_can_be_deleted_twice;
    Each push_for_an_unknown_task_is_not_found;
    Each notifications_are_delivered;
    Each notifications_carry_the_given_credentials;
    Each a_deleted_push_configuration_is_not_notified;
    Each webhooks_in_private_networks_are_refused;
}

const SECRET: &str = "conformance-secret";

/// A task to configure push for: one at work if the agent follows scripts, else one that has ended.
async fn subject(bench: &Bench) -> Result<Value, Stop> {
    bench.needs("pushNotifications")?;
    if bench.server.subject.scripted { bench.at_work().await } else { bench.finished().await }
}

fn configuration(task: &str, config: &str, url: &str) -> Value {
    let authentication = json!({ "scheme": "Bearer", "credentials": SECRET });
    json!({ "taskId": task, "id": config, "url": url, "authentication": authentication })
}

/// Skips where a server takes no webhook on the suite's machine: it is right to, and nothing more can be seen.
fn unless_this_machine_is_refused(answer: Result<Value, Fault>, operation: &str) -> Finding<Value> {
    match answer {
        Ok(result) => Ok(result),
        Err(fault) if fault.is_about_parameters() => {
            skip(format!("the server takes no webhook on this machine: {}", fault.seen()))
        }
        Err(fault) => fail(format!("{operation} was refused: {}", fault.seen())),
    }
}

/// Creates a push configuration.
async fn create(bench: &Bench, configuration: &Value) -> Finding<Value> {
    let answer = bench.binding.call(CREATE_PUSH, configuration, &bench.manner()).await?;
    unless_this_machine_is_refused(answer, CREATE_PUSH.method)
}

async fn a_push_configuration_can_be_made_and_read(bench: &Bench) -> Finding {
    let task = subject(bench).await?;
    let webhook = Webhook::listen().await?;
    let made = create(bench, &configuration(&id(&task)?, &new_id(), &webhook.url)).await?;
    ensure!(made["id"].as_str().is_some_and(|id| !id.is_empty()), "made without an id: {}", shown(&made));
    let read = bench.call(GET_PUSH, &json!({ "taskId": id(&task)?, "id": made["id"] })).await?;
    bench.end(&task).await;
    for member in ["id", "taskId", "url"] {
        ensure!(read[member] == made[member], "{member} was {} and is {}", made[member], read[member]);
    }
    ensure!(read["url"] == webhook.url, "the URL is {}", read["url"]);
    Ok(format!("id {}", made["id"]))
}

async fn an_unknown_push_configuration_is_not_found(bench: &Bench) -> Finding {
    let task = subject(bench).await?;
    let fault = bench.refused(GET_PUSH, &json!({ "taskId": id(&task)?, "id": new_id() })).await;
    bench.end(&task).await;
    let fault = fault?;
    fault.must_be(TASK_NOT_FOUND)?;
    Ok(fault.seen())
}

async fn every_push_configuration_is_listed(bench: &Bench) -> Finding {
    let task = subject(bench).await?;
    let webhook = Webhook::listen().await?;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let made = create(bench, &configuration(&id(&task)?, &new_id(), &webhook.url)).await?;
        ids.push(made["id"].clone());
    }
    let listed = bench.call(LIST_PUSH, &json!({ "taskId": id(&task)? })).await?;
    bench.end(&task).await;
    for made in &ids {
        let found = list(&listed["configs"]).iter().any(|config| config["id"] == *made);
        ensure!(found, "{made} is not listed: {}", shown(&listed));
    }
    Ok(format!("{} configurations", ids.len()))
}

async fn a_push_configuration_can_be_deleted_twice(bench: &Bench) -> Finding {
    let task = subject(bench).await?;
    let webhook = Webhook::listen().await?;
    let made = create(bench, &configuration(&id(&task)?, &new_id(), &webhook.url)).await?;
    let params = json!({ "taskId": id(&task)?, "id": made["id"] });
    bench.call(DELETE_PUSH, &params).await?;
    let second = bench.call(DELETE_PUSH, &params).await;
    let gone = bench.refused(GET_PUSH, &params).await;
    bench.end(&task).await;
    if let Err(Stop::Fail(seen)) = second {
        return fail(format!("the second deletion was not as the first: {seen}"));
    }
    gone?;
    Ok("twice, with the same effect".into())
}

async fn push_for_an_unknown_task_is_not_found(bench: &Bench) -> Finding {
    bench.needs("pushNotifications")?;
    let listed = bench.refused(LIST_PUSH, &json!({ "taskId": new_id() })).await?;
    listed.must_be(TASK_NOT_FOUND)?;
    let webhook = Webhook::listen().await?;
    let configuration = configuration(&new_id(), &new_id(), &webhook.url);
    let fault = match bench.binding.call(CREATE_PUSH, &configuration, &bench.manner()).await? {
        Err(fault) if fault.must_be(TASK_NOT_FOUND).is_ok() => fault,
        answer => {
            let made = unless_this_machine_is_refused(answer, CREATE_PUSH.method)?;
            return fail(format!("made for a task nobody has: {}", shown(&made)));
        }
    };
    Ok(fault.seen())
}

/// Sends a message whose task is to be pushed to a webhook.
async fn pushed(bench: &Bench, webhook: &Webhook) -> Result<Value, Stop> {
    bench.needs("pushNotifications")?;
    let mut params = message("hello");
    let authentication = json!({ "scheme": "Bearer", "credentials": SECRET });
    params["configuration"] = json!({
        "returnImmediately": true,
        "taskPushNotificationConfig": { "url": webhook.url, "authentication": authentication },
    });
    let answer = bench.binding.call(SEND, &params, &bench.manner()).await?;
    task_of(&unless_this_machine_is_refused(answer, SEND.method)?)
}

async fn notifications_are_delivered(bench: &Bench) -> Finding {
    let mut webhook = Webhook::listen().await?;
    let task = pushed(bench, &webhook).await?;
    let mut count = 0;
    loop {
        let notification = webhook.next().await?;
        count += 1;
        let wrong = shape::event(&notification.json);
        ensure!(wrong.is_empty(), "a payload that is no StreamResponse: {}", wrong.join("; "));
        let media = &notification.content_type;
        ensure!(media.starts_with("application/"), "a payload of the type {media:?}");
        let state = state_of(&notification.json);
        if state.is_some_and(|state| TERMINAL.contains(&state)) {
            return Ok(format!(
                "{count} notifications, the last of {} being {}",
                task["id"],
                state.unwrap_or("")
            ));
        }
    }
}

/// The state a notification tells of, if it does.
fn state_of(notification: &Value) -> Option<&str> {
    let paths = ["/task/status/state", "/statusUpdate/status/state"];
    paths.iter().find_map(|path| notification.pointer(path)).and_then(Value::as_str)
}

async fn notifications_carry_the_given_credentials(bench: &Bench) -> Finding {
    let mut webhook = Webhook::listen().await?;
    pushed(bench, &webhook).await?;
    let notification = webhook.next().await?;
    let good = notification.authorization == format!("Bearer {SECRET}");
    ensure!(good, "Authorization was {:?}, not the Bearer given", notification.authorization);
    Ok("Authorization: Bearer …".into())
}

async fn a_deleted_push_configuration_is_not_notified(bench: &Bench) -> Finding {
    bench.needs("pushNotifications")?;
    let (mut deleted, mut kept) = (Webhook::listen().await?, Webhook::listen().await?);
    let gate = Gate::closed().await?;
    let mut params = bench.script(&json!({ "gate": gate.url, "chunks": ["a"] }))?;
    params["configuration"] = json!({ "returnImmediately": true });
    let task = id(&bench.task(&params).await?)?;
    // What happens before the deletion is notified rightly; from here to the gate, nothing happens.
    bench.working(&task).await?;
    let made = create(bench, &configuration(&task, &new_id(), &deleted.url)).await?;
    create(bench, &configuration(&task, &new_id(), &kept.url)).await?;
    bench.call(DELETE_PUSH, &json!({ "taskId": task, "id": made["id"] })).await?;
    gate.open();
    kept.next().await?;
    bench.settled(&task).await?;
    while let Some(late) = deleted.arrived() {
        // A word of the agent's that was still on its way when it was deleted says nothing of what is behind the gate.
        let is_over = state_of(&late.json).is_some_and(|state| TERMINAL.contains(&state));
        let is_result =
            late.json.get("artifactUpdate").is_some() || late.json.pointer("/task/artifacts/0").is_some();
        ensure!(!is_over && !is_result, "a deleted configuration was notified");
    }
    Ok("only the one that was kept".into())
}

async fn webhooks_in_private_networks_are_refused(bench: &Bench) -> Finding {
    let task = at_rest(bench).await?;
    let mut seen = String::new();
    for url in ["http://169.254.0.1/conformance", "http://10.255.255.1/conformance", "file:///conformance"] {
        let config = configuration(&id(&task)?, &new_id(), url);
        let refused = bench.refused(CREATE_PUSH, &config).await;
        if refused.is_err() {
            let made = json!({ "taskId": id(&task)?, "id": config["id"] });
            if bench.binding.call(DELETE_PUSH, &made, &bench.manner()).await?.is_ok() {
                bench.end(&task).await;
            }
            return fail(format!("a webhook at {url} was accepted"));
        }
        seen = refused?.seen();
    }
    bench.end(&task).await;
    Ok(seen)
}

/// A task of which nothing is to be told: it waits for an answer, or has ended. A server that takes a webhook for it
/// has no reason to call it.
async fn at_rest(bench: &Bench) -> Result<Value, Stop> {
    bench.needs("pushNotifications")?;
    if bench.server.subject.scripted {
        return bench.task(&bench.script(&json!({ "ask": "what now?" }))?).await;
    }
    bench.finished().await
}
