//! Push configurations: 1.0 keeps them flat, 0.3 nests them below the task they belong to.

use serde_json::value::RawValue;

use super::Dialect;
use super::shape::{Member, Shape, Way, each, read_text, to_raw};
use crate::{Fields, Invalid};

/// The configuration itself, as both versions have it in `message/send`.
static CONFIG: Shape = Shape {
    kind: None,
    members: &[Member {
        v1: "authentication",
        kinded: "authentication",
        proto: "authentication",
        translate: authentication,
    }],
    required: &[],
    not_in_proto: &["taskId", "tenant"],
};

pub(super) fn config(raw: &RawValue, way: Way) -> Result<Box<RawValue>, Invalid> {
    CONFIG.raw(raw, way)
}

/// 0.3 lists schemes in order of preference, 1.0 names one: the first.
fn authentication(raw: &RawValue, way: Way) -> Result<Box<RawValue>, Invalid> {
    let mut fields = Fields::read(raw)?;
    if way == Way::ToV1 {
        if let Some(schemes) = fields.take("schemes") {
            let schemes: Vec<String> = serde_json::from_str(schemes.get())
                .map_err(|_| Invalid::new("expected an array of strings").within("schemes"))?;
            if let Some(first) = schemes.first() {
                fields.put("scheme", to_raw(first)?);
            }
        }
    } else {
        let scheme = fields.take("scheme");
        fields.put("schemes", to_raw(&scheme.iter().collect::<Vec<_>>())?);
    }
    fields.into_raw()
}

/// `TaskPushNotificationConfig` of a request or an answer.
pub(super) fn task_config(raw: &RawValue, way: Way) -> Result<Box<RawValue>, Invalid> {
    match way {
        Way::ToV1 => to_v1(raw),
        Way::ToV03(dialect) => to_v03(raw, dialect),
    }
}

fn to_v1(raw: &RawValue) -> Result<Box<RawValue>, Invalid> {
    let mut fields = Fields::read(raw)?;
    // HTTP+JSON wraps once more: {parent, configId, config: {name, pushNotificationConfig}}. The task that the path names
    // stands beside all that, and decides.
    if let Some(inner) = fields.take("config") {
        let (parent, in_path) = (fields.take("parent"), fields.take("taskId"));
        fields = Fields::read(&inner).map_err(|invalid| invalid.within("config"))?;
        if let Some(task) = in_path {
            fields.put("taskId", task);
        }
        if fields.get("name").is_none()
            && let Some(parent) = parent
        {
            fields.put("name", parent);
        }
    }
    let nested = fields
        .take("pushNotificationConfig")
        .ok_or_else(|| Invalid::new("required, but missing").within("pushNotificationConfig"))?;
    let flat = CONFIG.translate(&nested, Way::ToV1);
    let mut flat = flat.map_err(|invalid| invalid.within("pushNotificationConfig"))?;
    if let Some(task) = fields.take("taskId") {
        flat.put("taskId", task);
    } else if let Some(name) = fields.take("name") {
        flat.put("taskId", to_raw(task_of(&read_text(&name).map_err(|invalid| invalid.within("name"))?))?);
    }
    flat.add_missing(fields);
    flat.into_raw()
}

/// The id in `tasks/{id}` and in `tasks/{id}/pushNotificationConfigs/{id}`.
fn task_of(name: &str) -> &str {
    name.strip_prefix("tasks/").and_then(|rest| rest.split('/').next()).unwrap_or(name)
}

fn to_v03(raw: &RawValue, dialect: Dialect) -> Result<Box<RawValue>, Invalid> {
    let mut flat = CONFIG.translate(raw, Way::ToV03(dialect))?;
    let task = Fields::read(raw)?.take("taskId");
    flat.take("taskId");
    flat.take("tenant");
    let mut fields = Fields::default();
    match (dialect, task) {
        (_, None) => {}
        (Dialect::JsonRpc, Some(task)) => fields.put("taskId", task),
        (Dialect::HttpJson, Some(task)) => {
            let id = flat.get("id").map(read_text).transpose()?.unwrap_or_default();
            let name = format!("tasks/{}/pushNotificationConfigs/{id}", read_text(&task)?);
            fields.put("name", to_raw(&name)?);
        }
    }
    fields.put("pushNotificationConfig", flat.into_raw()?);
    fields.into_raw()
}

/// A list: bare in 0.3's JSON-RPC, a page elsewhere.
pub(super) fn list(raw: &RawValue, way: Way) -> Result<Box<RawValue>, Invalid> {
    if raw.get().starts_with('[') {
        let mut page = Fields::default();
        page.put("configs", each(raw, way, task_config)?);
        return page.into_raw();
    }
    let mut page = Fields::read(raw)?;
    let configs = page.take("configs").map_or_else(|| to_raw(&[(); 0]), Ok)?;
    let configs = each(&configs, way, task_config).map_err(|invalid| invalid.within("configs"))?;
    if way == Way::ToV03(Dialect::JsonRpc) {
        return Ok(configs);
    }
    page.put("configs", configs);
    page.into_raw()
}

/// Which configuration: 0.3 calls the task `id`.
pub(super) fn reference(raw: &RawValue, way: Way) -> Result<Box<RawValue>, Invalid> {
    const NAMES: [(&str, &str); 2] = [("taskId", "id"), ("id", "pushNotificationConfigId")];
    let mut fields = Fields::read(raw)?;
    let renamed: Vec<_> = NAMES
        .iter()
        .map(|(v1, v03)| if way == Way::ToV1 { (*v03, *v1) } else { (*v1, *v03) })
        .map(|(from, to)| (to, fields.take(from)))
        .collect();
    for (to, value) in renamed {
        if let Some(value) = value {
            fields.put(to, value);
        }
    }
    fields.into_raw()
}
