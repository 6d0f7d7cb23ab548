//! Which members of a message's JSON say something (spec §5.7): what protobuf cannot tell from absence is left out, so that
//! the same message has the same members whoever wrote it.

use serde_json::value::RawValue;

use crate::fields::strip_position;
use crate::schema::{Field, Kind, Label, MAX_DEPTH, SCHEMA, deeper};
use crate::{Fields, Invalid};

/// What becomes of members that the schema does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    Kept,
    LeftOut,
}

/// A message without members that are unset or have their default value, save required and `optional` ones.
pub(crate) fn without_defaults(
    message: &str,
    raw: &RawValue,
    unknown: Unknown,
) -> Result<Box<RawValue>, Invalid> {
    object(SCHEMA.message(message).unwrap_or_default(), raw, unknown, MAX_DEPTH)
}

fn object(
    fields: &[Field],
    raw: &RawValue,
    unknown: Unknown,
    levels: usize,
) -> Result<Box<RawValue>, Invalid> {
    let levels = deeper(levels)?;
    let mut kept = Fields::default();
    for (name, value) in Fields::read(raw)?.iter() {
        let value = match fields.iter().find(|field| field.name == name) {
            None => (unknown == Unknown::Kept).then(|| value.to_owned()),
            Some(field) if says_nothing(field, value) => None,
            Some(field) => {
                Some(member(field, value, unknown, levels).map_err(|invalid| invalid.within(name))?)
            }
        };
        if let Some(value) = value {
            kept.push(name, value);
        }
    }
    kept.into_raw()
}

fn member(field: &Field, raw: &RawValue, unknown: Unknown, levels: usize) -> Result<Box<RawValue>, Invalid> {
    let Kind::Message(name) = field.kind else { return Ok(raw.to_owned()) };
    let fields = SCHEMA.message(name).unwrap_or_default();
    match field.label {
        Label::Repeated => {
            let items: Vec<&RawValue> = read(raw)?;
            let levels = deeper(levels)?;
            let items: Result<Vec<_>, _> =
                items.into_iter().map(|item| object(fields, item, unknown, levels)).collect();
            write(&items?)
        }
        Label::Map => {
            let levels = deeper(levels)?;
            let mut values = Fields::default();
            for (key, value) in Fields::read(raw)?.iter() {
                let value = object(fields, value, unknown, levels).map_err(|invalid| invalid.within(key))?;
                values.push(key, value);
            }
            values.into_raw()
        }
        Label::Plain | Label::Optional | Label::OneOf => object(fields, raw, unknown, levels),
    }
}

/// Whether a member is what an absent one would be read as.
fn says_nothing(field: &Field, raw: &RawValue) -> bool {
    let text = raw.get();
    let is_default = match (field.label, field.kind) {
        _ if text == "null" => return true,
        (Label::Repeated, _) => read::<Vec<&RawValue>>(raw).is_ok_and(|items| items.is_empty()),
        (Label::Map, _) => Fields::read(raw).is_ok_and(|members| members.is_empty()),
        (Label::Plain, Kind::Text | Kind::Bytes) => text == "\"\"",
        (Label::Plain, Kind::Bool) => text == "false",
        (Label::Plain, Kind::Int32) => matches!(text, "0" | "\"0\""),
        (Label::Plain, Kind::Enum(_)) => text == "0" || text.ends_with("_UNSPECIFIED\""),
        // Presence: of `optional` and of one of several fields, and of what is a message itself.
        (Label::Optional | Label::OneOf | Label::Plain, _) => false,
    };
    is_default && !field.is_required
}

fn read<'r, T: serde::Deserialize<'r>>(raw: &'r RawValue) -> Result<T, Invalid> {
    serde_json::from_str(raw.get()).map_err(|error| Invalid::new(strip_position(&error)))
}

fn write(value: &impl serde::Serialize) -> Result<Box<RawValue>, Invalid> {
    serde_json::value::to_raw_value(value).map_err(|error| Invalid::new(strip_position(&error)))
}
