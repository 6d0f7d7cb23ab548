//! The objects of 0.3 and of 1.0, side by side: each shape is one table, read in both directions. What a table does
//! not name is the same in both versions, or unknown, and passes as the bytes it is.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::Dialect;
use super::part;
use crate::fields::{excerpt, strip_position};
use crate::{Fields, Invalid, Timestamp};

/// Which way an object is translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From either dialect of 0.3.
    ToV1,
    /// Into a dialect of 0.3.
    ToV03(Dialect),
}

type Translate = fn(&RawValue, Way) -> Result<Box<RawValue>, Invalid>;

/// A member that differs between the versions, in its name or in what it holds.
pub(super) struct Member {
    pub(super) v1: &'static str,
    /// Its name in 0.3's JSON-RPC.
    pub(super) kinded: &'static str,
    /// Its name in 0.3's HTTP+JSON.
    pub(super) proto: &'static str,
    pub(super) translate: Translate,
}

/// An object of both versions.
pub(super) struct Shape {
    /// Its `kind` in 0.3's JSON-RPC.
    pub(super) kind: Option<&'static str>,
    pub(super) members: &'static [Member],
    /// What 0.3 demands where 1.0 leaves out what is empty.
    pub(super) required: &'static [(&'static str, &'static str)],
    /// Members of 1.0 that 0.3's protobuf lacks; its readers refuse the whole message for them.
    pub(super) not_in_proto: &'static [&'static str],
}

const fn same(name: &'static str, translate: Translate) -> Member {
    Member { v1: name, kinded: name, proto: name, translate }
}

pub(super) static MESSAGE: Shape = Shape {
    kind: Some("message"),
    members: &[
        same("role", |raw, way| word(raw, way, &ROLES, "a role")),
        Member { v1: "parts", kinded: "parts", proto: "content", translate: parts },
    ],
    required: &[("parts", "[]")],
    not_in_proto: &["referenceTaskIds"],
};

static STATUS: Shape = Shape {
    kind: None,
    members: &[
        same("state", |raw, way| word(raw, way, &STATES, "a task state")),
        same("message", |raw, way| MESSAGE.raw(raw, way)),
        same("timestamp", timestamp),
    ],
    required: &[],
    not_in_proto: &[],
};

static ARTIFACT: Shape =
    Shape { kind: None, members: &[same("parts", parts)], required: &[("parts", "[]")], not_in_proto: &[] };

pub(super) static TASK: Shape = Shape {
    kind: Some("task"),
    members: &[
        same("status", |raw, way| STATUS.raw(raw, way)),
        same("artifacts", |raw, way| each(raw, way, |raw, way| ARTIFACT.raw(raw, way))),
        same("history", |raw, way| each(raw, way, |raw, way| MESSAGE.raw(raw, way))),
    ],
    required: &[("contextId", "\"\"")],
    not_in_proto: &[],
};

pub(super) static STATUS_UPDATE: Shape = Shape {
    kind: Some("status-update"),
    members: &[same("status", |raw, way| STATUS.raw(raw, way))],
    required: &[("contextId", "\"\"")],
    not_in_proto: &[],
};

pub(super) static ARTIFACT_UPDATE: Shape = Shape {
    kind: Some("artifact-update"),
    members: &[same("artifact", |raw, way| ARTIFACT.raw(raw, way))],
    required: &[("contextId", "\"\"")],
    not_in_proto: &[],
};

/// 1.0, 0.3's JSON-RPC, 0.3's HTTP+JSON.
type Words = [[&'static str; 3]];

const ROLES: [[&str; 3]; 2] = [["ROLE_USER", "user", "ROLE_USER"], ["ROLE_AGENT", "agent", "ROLE_AGENT"]];

const STATES: [[&str; 3]; 8] = [
    ["TASK_STATE_SUBMITTED", "submitted", "TASK_STATE_SUBMITTED"],
    ["TASK_STATE_WORKING", "working", "TASK_STATE_WORKING"],
    ["TASK_STATE_COMPLETED", "completed", "TASK_STATE_COMPLETED"],
    ["TASK_STATE_FAILED", "failed", "TASK_STATE_FAILED"],
    ["TASK_STATE_CANCELED", "canceled", "TASK_STATE_CANCELLED"],
    ["TASK_STATE_INPUT_REQUIRED", "input-required", "TASK_STATE_INPUT_REQUIRED"],
    ["TASK_STATE_REJECTED", "rejected", "TASK_STATE_REJECTED"],
    ["TASK_STATE_AUTH_REQUIRED", "auth-required", "TASK_STATE_AUTH_REQUIRED"],
];

impl Shape {
    /// The object in the other version.
    pub(super) fn translate(&self, raw: &RawValue, way: Way) -> Result<Fields, Invalid> {
        let mut fields = Fields::read(raw)?;
        if way == Way::ToV1 {
            self.take_kind(&mut fields)?;
        }
        let mut translated = Fields::default();
        if let (Way::ToV03(Dialect::JsonRpc), Some(kind)) = (way, self.kind) {
            translated.push("kind", to_raw(&kind)?);
        }
        for (name, value) in fields.iter() {
            let member = self.members.iter().find(|member| member.is_named(name, way));
            let Some(member) = member else {
                if self.passes(name, way) {
                    translated.push(name, value.to_owned());
                }
                continue;
            };
            let other = member.name(way);
            if translated.get(other).is_some() {
                return Err(Invalid::new("given twice").within(name));
            }
            // An absent value is absent in both versions.
            let value =
                if value.get() == "null" { Ok(value.to_owned()) } else { (member.translate)(value, way) };
            translated.push(other, value.map_err(|invalid| invalid.within(name))?);
        }
        if way == Way::ToV03(Dialect::JsonRpc) {
            for (name, empty) in self.required {
                if translated.get(name).is_none() {
                    translated.put(name, literal(empty)?);
                }
            }
        }
        Ok(translated)
    }

    /// Whether a member that the table does not name has a place in the other version. One that means something else
    /// there has none, so no name is given twice.
    fn passes(&self, name: &str, way: Way) -> bool {
        let Way::ToV03(dialect) = way else { return true };
        let is_refused = dialect == Dialect::HttpJson && self.not_in_proto.contains(&name);
        let is_kind = name == "kind" && self.kind.is_some();
        !is_refused && !is_kind && !self.members.iter().any(|member| member.name(way) == name)
    }

    /// The same as raw JSON.
    pub(super) fn raw(&self, raw: &RawValue, way: Way) -> Result<Box<RawValue>, Invalid> {
        self.translate(raw, way)?.into_raw()
    }

    fn take_kind(&self, fields: &mut Fields) -> Result<(), Invalid> {
        let Some(expected) = self.kind else { return Ok(()) };
        match fields.take("kind") {
            Some(kind) if read_text(&kind)? != expected => {
                let problem = format!("expected \"{expected}\", found {}", excerpt(kind.get()));
                Err(Invalid::new(problem).within("kind"))
            }
            _ => Ok(()),
        }
    }
}

impl Member {
    fn is_named(&self, name: &str, way: Way) -> bool {
        name == self.v1 || (way == Way::ToV1 && (name == self.kinded || name == self.proto))
    }

    fn name(&self, way: Way) -> &'static str {
        match way {
            Way::ToV1 => self.v1,
            Way::ToV03(Dialect::JsonRpc) => self.kinded,
            Way::ToV03(Dialect::HttpJson) => self.proto,
        }
    }
}

/// Every item of a list.
pub(super) fn each(raw: &RawValue, way: Way, translate: Translate) -> Result<Box<RawValue>, Invalid> {
    let items: Vec<&RawValue> = serde_json::from_str(raw.get())
        .map_err(|_| Invalid::new(format!("expected an array, found {}", excerpt(raw.get()))))?;
    let translated: Result<Vec<_>, Invalid> = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| translate(item, way).map_err(|invalid| invalid.within(&format!("[{index}]"))))
        .collect();
    to_raw(&translated?)
}

fn parts(raw: &RawValue, way: Way) -> Result<Box<RawValue>, Invalid> {
    each(raw, way, part::translate)
}

fn word(raw: &RawValue, way: Way, words: &Words, what: &str) -> Result<Box<RawValue>, Invalid> {
    let text = read_text(raw)?;
    let Some([v1, kinded, proto]) = words.iter().find(|row| row.contains(&text.as_str())) else {
        let expected: Vec<&str> = words.iter().map(|[_, kinded, _]| *kinded).collect();
        let problem =
            format!("expected {what} (one of {}), found \"{}\"", expected.join(", "), excerpt(&text));
        return Err(Invalid::new(problem));
    };
    to_raw(match way {
        Way::ToV1 => v1,
        Way::ToV03(Dialect::JsonRpc) => kinded,
        Way::ToV03(Dialect::HttpJson) => proto,
    })
}

/// 0.3 only recommends a form of time; many agents leave out the zone and mean UTC.
fn timestamp(raw: &RawValue, way: Way) -> Result<Box<RawValue>, Invalid> {
    if way == Way::ToV1 {
        let text = read_text(raw)?;
        let zoned = format!("{text}Z");
        if text.parse::<Timestamp>().is_err() && zoned.parse::<Timestamp>().is_ok() {
            return to_raw(&zoned);
        }
    }
    Ok(raw.to_owned())
}

/// A string.
pub(super) fn read_text(raw: &RawValue) -> Result<String, Invalid> {
    serde_json::from_str(raw.get())
        .map_err(|_| Invalid::new(format!("expected a string, found {}", excerpt(raw.get()))))
}

/// A value as raw JSON.
pub(super) fn to_raw(value: &(impl Serialize + ?Sized)) -> Result<Box<RawValue>, Invalid> {
    to_raw_value(value).map_err(|error| Invalid::new(strip_position(&error)))
}

fn literal(json: &str) -> Result<Box<RawValue>, Invalid> {
    RawValue::from_string(json.to_owned()).map_err(|error| Invalid::new(strip_position(&error)))
}
