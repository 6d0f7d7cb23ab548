//! Somebody who knows the ids of others' tasks and tries every operation on them: each must answer as it does for a task
//! that does not exist, byte for byte.

use std::sync::Arc;
use std::time::Duration;

use broker::service::{Broker, Caller, Credential, Target};
use broker_core::TaskId;
use protocol::{A2aError, ErrorKind, Message, SendMessageRequest};
use serde_json::{Value, json};

use super::sessions::PEOPLE;
use super::world::World;

/// Reads a request from its JSON.
fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// What an operation on a task answers, if it is an error.
async fn attempt(
    broker: &Arc<Broker>,
    caller: &Caller,
    operation: usize,
    id: TaskId,
) -> (&'static str, Option<A2aError>) {
    let target = Target::Any;
    let turn = || {
        let mut message = Message::user_text("pry", "let me in");
        message.task_id = Some(id.to_string());
        SendMessageRequest::new(message)
    };
    let named = json!({ "id": id });
    let push = json!({ "taskId": id, "id": "x", "url": "http://receiver.example/" });
    match operation {
        0 => ("GetTask", broker.get_task(caller, &target, read(named)).await.err()),
        1 => ("CancelTask", broker.cancel_task(caller, &target, read(named)).await.err()),
        2 => ("SubscribeToTask", broker.subscribe(caller, &target, read(named), Some(0)).await.err()),
        3 => ("SendMessage", broker.send(caller, &target, turn(), protocol::Version::V1.into()).await.err()),
        4 => (
            "SendStreamingMessage",
            broker.send_streaming(caller, &target, turn(), protocol::Version::V1.into()).await.err(),
        ),
        5 => {
            ("CreatePush", broker.create_push(caller, &target, read(push), protocol::Version::V1).await.err())
        }
        6 => ("GetPush", broker.get_push(caller, &target, read(push)).await.err()),
        7 => ("ListPush", broker.list_push(caller, &target, read(json!({ "taskId": id }))).await.err()),
        8 => ("DeletePush", broker.delete_push(caller, &target, read(push)).await.err()),
        _ => ("Tree", broker.tree(caller, &id.to_string()).await.err()),
    }
}

/// Tries one operation on a task that is not the caller's, and on one that is not there.
pub(crate) async fn is_hidden(world: &Arc<World>, broker: &Arc<Broker>, caller: &Caller, other: TaskId) {
    let operation = usize::try_from(world.lock().chance.below(10)).unwrap();
    let (what, of_other) = attempt(broker, caller, operation, other).await;
    let (_, of_none) = attempt(broker, caller, operation, TaskId(uuid::Uuid::from_u128(1))).await;
    let is_passing = |error: &Option<A2aError>| {
        error
            .as_ref()
            .is_some_and(|error| matches!(error.kind, ErrorKind::Unavailable | ErrorKind::OutcomeUnknown))
    };
    if !is_passing(&of_other) && !is_passing(&of_none) && format!("{of_other:?}") != format!("{of_none:?}") {
        world.broken("9", &format!("{what} of {other} answers {of_other:?}, of no task {of_none:?}"));
    }
}

/// A person who tries what is others', for as long as this broker lives.
pub(crate) async fn pry(world: Arc<World>) {
    loop {
        let wait = world.lock().chance.between(100, 3_000);
        tokio::time::sleep(Duration::from_millis(u64::try_from(wait).unwrap())).await;
        let (name, key) = *world.lock().chance.pick(&PEOPLE);
        let others: Vec<TaskId> = {
            let state = world.lock();
            state.mirror.tasks.iter().filter(|(_, life)| life.owner != name).map(|(id, _)| *id).collect()
        };
        let other = (!others.is_empty()).then(|| *world.lock().chance.pick(&others));
        let root = other.and_then(|other| world.lock().root_of(other));
        let Some((gate, broker)) = world.reach(root) else { continue };
        gate.hear(pry_once(&world, &broker, (name, key), other)).await;
    }
}

async fn pry_once(
    world: &Arc<World>,
    broker: &Arc<Broker>,
    (name, key): (&str, &str),
    other: Option<TaskId>,
) {
    let credential = Credential::Bearer(key.to_owned());
    let Ok(caller) = broker.authenticate(Some(&credential)).await else { return };
    if let Some(other) = other {
        is_hidden(world, broker, &caller, other).await;
    }
    let page = broker.list_tasks(&caller, &Target::Any, read(json!({ "pageSize": 100 }))).await;
    for task in page.map(|page| page.tasks).unwrap_or_default() {
        let id: TaskId = task.id.parse().unwrap();
        let owner = world.lock().mirror.tasks.get(&id).map(|life| life.owner.clone());
        if owner.as_deref() != Some(name) {
            world.broken("9", &format!("ListTasks of {name} shows {id} of {owner:?}"));
        }
    }
}
