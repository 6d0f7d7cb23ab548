//! A result as an expression sees it. Numbers without a fraction are `int`, others `double`: JSON does not tell them apart,
//! and SDKs on Protobuf write all of them as floating.

use std::collections::HashMap;
use std::sync::Arc;

use cel::Value;
use cel::objects::{Key, Map};
use serde_json::Value as JsonValue;

use crate::numbers::as_whole;
use crate::produced::{Json, Piece, View};

/// `artifacts`: a list of `{artifact_id, name, text, data, bytes, media_types}`.
pub(super) fn artifacts(view: &View) -> Result<Value, String> {
    let artifacts: Result<Vec<Value>, String> = view.artifacts().map(artifact).collect();
    Ok(list(artifacts?))
}

fn artifact(piece: &Piece) -> Result<Value, String> {
    let media_types = piece.parts.iter().map(|part| text(part.media_type.as_deref().unwrap_or_default()));
    Ok(map([
        ("artifact_id", text(piece.artifact_id.as_deref().unwrap_or_default())),
        ("name", text(piece.name.as_deref().unwrap_or_default())),
        ("text", text(&piece.text())),
        ("data", data(piece.json())?),
        ("bytes", Value::Int(i64::try_from(piece.bytes()).unwrap_or(i64::MAX))),
        ("media_types", list(media_types.collect())),
    ]))
}

/// `data`: a list of all JSON values.
pub(super) fn data(found: Vec<Json>) -> Result<Value, String> {
    let read = found.into_iter().map(|json| match json {
        Json::Read(value) => Ok(of(&value)),
        Json::Broken(problem) => Err(format!("a part says it is JSON and is not: {problem}")),
        Json::TooDeep => Err("JSON in the result is nested too deep".to_owned()),
    });
    Ok(list(read.collect::<Result<_, String>>()?))
}

fn of(value: &JsonValue) -> Value {
    match value {
        JsonValue::Null => Value::Null,
        JsonValue::Bool(value) => Value::Bool(*value),
        JsonValue::Number(number) => match (as_whole(number), number.as_u64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(large)) => Value::UInt(large),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        JsonValue::String(value) => text(value),
        JsonValue::Array(items) => list(items.iter().map(of).collect()),
        JsonValue::Object(members) => map(members.iter().map(|(name, value)| (name.as_str(), of(value)))),
    }
}

fn text(text: &str) -> Value {
    Value::String(Arc::new(text.to_owned()))
}

fn list(items: Vec<Value>) -> Value {
    Value::List(Arc::new(items))
}

fn map<'m>(members: impl IntoIterator<Item = (&'m str, Value)>) -> Value {
    let members = members.into_iter().map(|(name, value)| (Key::String(Arc::new(name.to_owned())), value));
    Value::Map(Map { map: Arc::new(members.collect::<HashMap<Key, Value>>()) })
}
