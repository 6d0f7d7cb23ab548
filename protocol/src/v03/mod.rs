//! A2A 0.3 at the edge: its requests, answers, errors and cards, translated to those of 1.0 and back. No I/O, and no
//! second data model: what comes out of here is 1.0's JSON, read by 1.0's types. What neither version names passes.
//!
//! 0.3's JSON-RPC tells objects apart by `kind`; its HTTP+JSON is protobuf's JSON of 0.3's `a2a.proto`. Both are read
//! everywhere, each is written where it belongs.

mod card;
mod error;
mod part;
mod push;
mod shape;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use card::{add_to_card, read_card};
pub use error::{error_from_http, error_to_http};

use crate::fields::excerpt;
use crate::{A2aError, Fields, Invalid, Operation, TaskState, invalid_params};
use shape::{ARTIFACT_UPDATE, MESSAGE, STATUS_UPDATE, Shape, TASK, Way, to_raw};

/// The version a 0.3 client may name.
pub const PROTOCOL_VERSION: &str = "0.3";
/// The header in which 0.3 names extensions.
pub const EXTENSIONS_HEADER: &str = "X-A2A-Extensions";
/// Where 0.3's HTTP+JSON begins, below an interface's URL.
pub const PATH_PREFIX: &str = "/v1";

/// Where the extended card is, below [`PATH_PREFIX`].
const CARD_PATH: &str = "/card";

/// How a binding of 0.3 writes objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// With `kind`, states in kebab-case, bare results.
    JsonRpc,
    /// As protobuf's JSON.
    HttpJson,
}

/// 0.3's names of the operations (0.3 §3.5.6); 0.3's JSON-RPC has no list of tasks.
const METHODS: [(Operation, &str); 10] = [
    (Operation::SendMessage, "message/send"),
    (Operation::SendStreamingMessage, "message/stream"),
    (Operation::GetTask, "tasks/get"),
    (Operation::CancelTask, "tasks/cancel"),
    (Operation::SubscribeToTask, "tasks/resubscribe"),
    (Operation::CreateTaskPushNotificationConfig, "tasks/pushNotificationConfig/set"),
    (Operation::GetTaskPushNotificationConfig, "tasks/pushNotificationConfig/get"),
    (Operation::ListTaskPushNotificationConfigs, "tasks/pushNotificationConfig/list"),
    (Operation::DeleteTaskPushNotificationConfig, "tasks/pushNotificationConfig/delete"),
    (Operation::GetExtendedAgentCard, "agent/getAuthenticatedExtendedCard"),
];

/// The operation of a JSON-RPC method of 0.3.
pub fn operation_of(method: &str) -> Option<Operation> {
    METHODS.iter().find(|(_, name)| *name == method).map(|(operation, _)| *operation)
}

/// The JSON-RPC method of an operation, where 0.3 has it.
pub fn method_of(operation: Operation) -> Option<&'static str> {
    METHODS.iter().find(|(known, _)| *known == operation).map(|(_, name)| *name)
}

/// The path in 1.0 of a path in 0.3's HTTP+JSON; `None` where it is none.
pub fn path_in_v1(path: &str) -> Option<&str> {
    let path = path.strip_prefix(PATH_PREFIX).filter(|rest| rest.starts_with('/'))?;
    Some(if path == CARD_PATH { Operation::GetExtendedAgentCard.route().1 } else { path })
}

/// The path in 0.3's HTTP+JSON of an operation's path in 1.0.
pub fn path_of(operation: Operation, path: &str) -> String {
    let path = if operation == Operation::GetExtendedAgentCard { CARD_PATH } else { path };
    format!("{PATH_PREFIX}{path}")
}

/// An operation's parameters, as 1.0 has them. Errors name the members of 0.3.
pub fn read_request(
    operation: Operation,
    params: &RawValue,
    dialect: Dialect,
) -> Result<Box<RawValue>, A2aError> {
    let read = match operation {
        Operation::SendMessage | Operation::SendStreamingMessage => read_send(params, dialect),
        Operation::GetTask => read_get(params),
        Operation::CreateTaskPushNotificationConfig => push::task_config(params, Way::ToV1),
        // The path of HTTP+JSON names its members as 1.0 does.
        _ if dialect == Dialect::HttpJson => Ok(params.to_owned()),
        Operation::GetTaskPushNotificationConfig
        | Operation::ListTaskPushNotificationConfigs
        | Operation::DeleteTaskPushNotificationConfig => push::reference(params, Way::ToV1),
        _ => Ok(params.to_owned()),
    };
    read.map_err(|invalid| {
        let problem = invalid.to_string();
        invalid_params(vec![(invalid.path, problem)])
    })
}

/// An operation's parameters, from those of 1.0.
pub fn write_request(
    operation: Operation,
    params: &RawValue,
    dialect: Dialect,
) -> Result<Box<RawValue>, Invalid> {
    let way = Way::ToV03(dialect);
    match operation {
        Operation::SendMessage | Operation::SendStreamingMessage => SEND.raw(params, way),
        Operation::CreateTaskPushNotificationConfig => push::task_config(params, way),
        Operation::GetTaskPushNotificationConfig
        | Operation::ListTaskPushNotificationConfigs
        | Operation::DeleteTaskPushNotificationConfig => push::reference(params, way),
        _ => {
            let mut params = Fields::read(params)?;
            params.take("tenant");
            params.into_raw()
        }
    }
}

/// An operation's answer, or an event of its stream, as 1.0 has it.
pub fn read_answer(operation: Operation, answer: &RawValue) -> Result<Box<RawValue>, Invalid> {
    match operation {
        Operation::SendMessage | Operation::SendStreamingMessage | Operation::SubscribeToTask => {
            read_payload(answer)
        }
        Operation::GetTask | Operation::CancelTask => TASK.raw(answer, Way::ToV1),
        Operation::CreateTaskPushNotificationConfig | Operation::GetTaskPushNotificationConfig => {
            push::task_config(answer, Way::ToV1)
        }
        Operation::ListTaskPushNotificationConfigs => push::list(answer, Way::ToV1),
        _ => Ok(answer.to_owned()),
    }
}

/// An operation's answer, or an event of its stream, from that of 1.0.
pub fn write_answer(
    operation: Operation,
    answer: &RawValue,
    dialect: Dialect,
) -> Result<Box<RawValue>, Invalid> {
    let way = Way::ToV03(dialect);
    match operation {
        Operation::SendMessage | Operation::SendStreamingMessage | Operation::SubscribeToTask => {
            write_payload(operation, answer, dialect)
        }
        Operation::GetTask | Operation::CancelTask => TASK.raw(answer, way),
        Operation::ListTasks => tasks(answer, way),
        Operation::CreateTaskPushNotificationConfig | Operation::GetTaskPushNotificationConfig => {
            push::task_config(answer, way)
        }
        Operation::ListTaskPushNotificationConfigs => push::list(answer, way),
        Operation::DeleteTaskPushNotificationConfig if dialect == Dialect::JsonRpc => {
            Ok(RawValue::NULL.to_owned())
        }
        Operation::DeleteTaskPushNotificationConfig => Ok(answer.to_owned()),
        Operation::GetExtendedAgentCard => card::write(answer),
    }
}

static SEND: Shape = Shape {
    kind: None,
    members: &[
        shape::Member {
            v1: "message",
            kinded: "message",
            proto: "message",
            translate: |raw, way| MESSAGE.raw(raw, way),
        },
        shape::Member {
            v1: "configuration",
            kinded: "configuration",
            proto: "configuration",
            translate: configuration,
        },
    ],
    required: &[],
    not_in_proto: &[],
};

static CONFIGURATION: Shape = Shape {
    kind: None,
    members: &[shape::Member {
        v1: "taskPushNotificationConfig",
        kinded: "pushNotificationConfig",
        proto: "pushNotification",
        translate: push::config,
    }],
    required: &[],
    not_in_proto: &[],
};

/// 0.3 says whether to wait, 1.0 whether not to.
fn configuration(raw: &RawValue, way: Way) -> Result<Box<RawValue>, Invalid> {
    let (from, to) =
        if way == Way::ToV1 { ("blocking", "returnImmediately") } else { ("returnImmediately", "blocking") };
    let mut fields = CONFIGURATION.translate(raw, way)?;
    let given = fields.take(from).filter(|raw| raw.get() != "null");
    let given: Option<bool> = given
        .map(|raw| {
            serde_json::from_str(raw.get()).map_err(|_| Invalid::new("expected true or false").within(from))
        })
        .transpose()?;
    // In 0.3 zero is no limit, in 1.0 it is nothing at all.
    if way == Way::ToV1 && fields.get("historyLength").is_some_and(|raw| raw.get() == "0") {
        fields.take("historyLength");
    }
    match (way, given) {
        (Way::ToV1, None) => {}
        (_, given) => fields.put(to, to_raw(&!given.unwrap_or(false))?),
    }
    fields.into_raw()
}

fn read_send(params: &RawValue, dialect: Dialect) -> Result<Box<RawValue>, Invalid> {
    let given = Fields::read(params)?;
    let is_proto = dialect == Dialect::HttpJson
        && given
            .get("message")
            .and_then(|raw| Fields::read(raw).ok())
            .is_some_and(|m| m.get("content").is_some());
    let waits = given
        .get("configuration")
        .and_then(|raw| Fields::read(raw).ok())
        .is_some_and(|configuration| configuration.get("blocking").is_some());
    let mut request = SEND.translate(params, Way::ToV1)?;
    // 0.3 has no tenants; what stands there is not meant as one.
    request.take("tenant");
    if is_proto && !waits {
        // Protobuf leaves out what is false, so here silence says not to wait.
        let raw = request.take("configuration").filter(|raw| raw.get() != "null");
        let mut configuration = raw.map_or_else(|| Ok(Fields::default()), |raw| Fields::read(&raw))?;
        configuration.put("returnImmediately", to_raw(&true)?);
        request.put("configuration", configuration.into_raw()?);
    }
    request.into_raw()
}

fn read_get(params: &RawValue) -> Result<Box<RawValue>, Invalid> {
    let mut fields = Fields::read(params)?;
    if fields.get("historyLength").is_some_and(|raw| raw.get().trim_matches('"') == "0") {
        fields.take("historyLength");
    }
    fields.into_raw()
}

fn tasks(page: &RawValue, way: Way) -> Result<Box<RawValue>, Invalid> {
    let mut page = Fields::read(page)?;
    if let Some(tasks) = page.take("tasks") {
        page.put("tasks", shape::each(&tasks, way, |raw, way| TASK.raw(raw, way))?);
    }
    page.into_raw()
}

/// What a message may be answered with, and what streams are made of: `kind` in 0.3's JSON-RPC, the member's name in
/// its HTTP+JSON and in 1.0.
fn payloads() -> [(&'static str, &'static str, &'static Shape); 4] {
    [
        ("task", "task", &TASK),
        ("message", "message", &MESSAGE),
        ("status-update", "statusUpdate", &STATUS_UPDATE),
        ("artifact-update", "artifactUpdate", &ARTIFACT_UPDATE),
    ]
}

fn read_payload(answer: &RawValue) -> Result<Box<RawValue>, Invalid> {
    let fields = Fields::read(answer)?;
    let expected = || Invalid::new("expected \"kind\": task, message, status-update or artifact-update");
    let (name, shape, object) = if let Some(kind) = fields.get("kind") {
        let kind = shape::read_text(kind).map_err(|invalid| invalid.within("kind"))?;
        let payload = payloads().into_iter().find(|(known, ..)| *known == kind);
        let (_, name, shape) = payload.ok_or_else(|| {
            let problem = format!("{}, found \"{}\"", expected(), excerpt(&kind));
            Invalid::new(problem)
        })?;
        (name, shape, answer)
    } else {
        let named = |(_, name, shape)| fields.get(name).map(|object| (name, shape, object));
        payloads().into_iter().find_map(named).ok_or_else(expected)?
    };
    let mut object = shape.translate(object, Way::ToV1)?;
    if name == "statusUpdate" {
        // 1.0 derives it from the state.
        object.take("final");
    }
    let mut payload = Fields::default();
    payload.put(name, object.into_raw()?);
    payload.into_raw()
}

fn write_payload(
    operation: Operation,
    answer: &RawValue,
    dialect: Dialect,
) -> Result<Box<RawValue>, Invalid> {
    let fields = Fields::read(answer)?;
    let named = |(_, name, shape): (_, &'static str, &'static Shape)| {
        fields.get(name).map(|object| (name, shape, object))
    };
    let (name, shape, object) = payloads()
        .into_iter()
        .find_map(named)
        .ok_or_else(|| Invalid::new("expected one of task, message, statusUpdate, artifactUpdate"))?;
    let mut translated = shape.translate(object, Way::ToV03(dialect))?;
    if name == "statusUpdate" {
        translated.put("final", to_raw(&is_final(operation, object)?)?);
    }
    if dialect == Dialect::JsonRpc {
        return translated.into_raw();
    }
    let mut payload = Fields::default();
    payload.put(name, translated.into_raw()?);
    payload.into_raw()
}

/// Whether a stream ends with this event: the task is over, or it asks whoever sent the message (0.3 §7.2.2).
fn is_final(operation: Operation, update: &RawValue) -> Result<bool, Invalid> {
    #[derive(Deserialize)]
    struct Update {
        status: Status,
    }
    #[derive(Deserialize)]
    struct Status {
        state: TaskState,
    }
    let update: Update = serde_json::from_str(update.get())
        .map_err(|error| Invalid::new(crate::fields::strip_position(&error)))?;
    let state = update.status.state;
    Ok(state.is_terminal() || (state.is_interrupted() && operation == Operation::SendStreamingMessage))
}
