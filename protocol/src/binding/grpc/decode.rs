//! Protobuf to ProtoJSON, along the schema. Text is written as it is read: a tree of values in between would take a
//! hundred times the room of the message that a caller sent.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Number;

use super::schema::{Field, Kind, Label, SCHEMA};
use super::wire::{Reader, Wire};
use super::{MAX_DEPTH, deeper};
use crate::{Invalid, Timestamp};

/// Whole numbers up to here are exact as floating-point numbers, and are written without a fraction.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;
const MILLIS_PER_SECOND: i64 = 1_000;
const NANOS_PER_MILLI: i64 = 1_000_000;
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Reads a message as ProtoJSON. Fields the schema does not know are passed over.
pub(super) fn decode(message: &str, bytes: &[u8]) -> Result<String, Invalid> {
    let mut out = String::with_capacity(bytes.len());
    write_message(&mut out, SCHEMA.message(message).unwrap_or_default(), bytes, MAX_DEPTH)?;
    Ok(out)
}

fn write_message(out: &mut String, fields: &[Field], bytes: &[u8], levels: usize) -> Result<(), Invalid> {
    let (levels, mut reader) = (deeper(levels)?, Reader::new(bytes));
    let mut arrived: Vec<(&Field, Vec<Wire<'_>>)> = fields.iter().map(|field| (field, Vec::new())).collect();
    let mut chosen = None;
    while let Some((number, wire)) = reader.field()? {
        let Some((field, wires)) = arrived.iter_mut().find(|(field, _)| field.number == number) else {
            continue;
        };
        wires.push(wire);
        if field.label == Label::OneOf {
            // The last of them counts.
            chosen = Some(number);
        }
    }
    out.push('{');
    for (field, wires) in arrived {
        let Some(last) = wires.last() else { continue };
        let is_unset = match field.label {
            Label::OneOf => chosen != Some(field.number),
            Label::Plain => is_default(field.kind, *last),
            _ => false,
        };
        if !is_unset {
            write_name(out, &field.name);
            write_field(out, field, &wires, levels).map_err(|invalid| invalid.within(&field.name))?;
        }
    }
    out.push('}');
    Ok(())
}

/// Absence and default are the same for a plain field that is no message.
fn is_default(kind: Kind, wire: Wire<'_>) -> bool {
    match wire {
        Wire::Bytes(bytes) => matches!(kind, Kind::Text | Kind::Bytes) && bytes.is_empty(),
        Wire::Varint(number) => number == 0,
        _ => false,
    }
}

fn write_field(out: &mut String, field: &Field, wires: &[Wire<'_>], levels: usize) -> Result<(), Invalid> {
    match (field.label, wires) {
        (Label::Repeated, items) => {
            write_list(out, items.iter().copied(), |out, item| write_value(out, field.kind, item, levels))
        }
        (Label::Map, entries) => write_entries(out, field.kind, entries, levels),
        (_, [one]) => write_value(out, field.kind, *one, levels),
        // A message may be sent in pieces; put together they are the message. Of anything else the last counts.
        (_, pieces) => {
            let is_whole = matches!(field.kind, Kind::Text | Kind::Bytes);
            let whole: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes()).copied().collect();
            match pieces.last() {
                Some(Wire::Bytes(_)) if !is_whole => {
                    write_value(out, field.kind, Wire::Bytes(&whole), levels)
                }
                Some(last) => write_value(out, field.kind, *last, levels),
                None => Ok(()),
            }
        }
    }
}

fn write_value(out: &mut String, kind: Kind, wire: Wire<'_>, levels: usize) -> Result<(), Invalid> {
    match (kind, wire) {
        (Kind::Text, Wire::Bytes(bytes)) => write_text(out, text(bytes)?),
        (Kind::Bytes, Wire::Bytes(bytes)) => write_text(out, &BASE64.encode(bytes)),
        (Kind::Bool, Wire::Varint(flag)) => out.push_str(if flag == 0 { "false" } else { "true" }),
        (Kind::Int32, Wire::Varint(number)) => out.push_str(&int32(number).to_string()),
        (Kind::Struct, Wire::Bytes(bytes)) => write_struct(out, bytes, levels)?,
        (Kind::Value, Wire::Bytes(bytes)) => write_any(out, bytes, levels)?,
        (Kind::Timestamp, Wire::Bytes(bytes)) => write_text(out, &timestamp(bytes)?),
        // No finer durations are written, and nobody here reads them.
        (Kind::Duration, Wire::Bytes(bytes)) => write_text(out, &format!("{}s", seconds_and_nanos(bytes)?.0)),
        (Kind::Enum(name), Wire::Varint(number)) => {
            let values = SCHEMA.enumeration(name).unwrap_or_default();
            match values.iter().find(|(known, _)| *known == int32(number)) {
                Some((_, name)) => write_text(out, name),
                // A value of a later version stays the number it is; the types refuse it by that.
                None => out.push_str(&int32(number).to_string()),
            }
        }
        (Kind::Message(name), Wire::Bytes(bytes)) => {
            write_message(out, SCHEMA.message(name).unwrap_or_default(), bytes, levels)?;
        }
        _ => {
            let problem = format!("not a protobuf message: a field of {kind:?} arrived as something else");
            return Err(Invalid::new(problem));
        }
    }
    Ok(())
}

/// The 32 low bits, as all implementations take them.
#[allow(clippy::cast_possible_truncation, reason = "protobuf's own rule for numbers that are too long")]
fn int32(number: u64) -> i32 {
    number as i32
}

fn write_list<T>(
    out: &mut String,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut String, T) -> Result<(), Invalid>,
) -> Result<(), Invalid> {
    out.push('[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item).map_err(|invalid| invalid.within(&format!("[{index}]")))?;
    }
    out.push(']');
    Ok(())
}

/// A map: messages of a key (1) and a value (2). Of one key the last counts.
fn write_entries(out: &mut String, kind: Kind, wires: &[Wire<'_>], levels: usize) -> Result<(), Invalid> {
    let levels = deeper(levels)?;
    let mut entries = BTreeMap::new();
    for wire in wires {
        let (mut key, mut value, mut entry) = ("", Wire::Bytes(&[]), Reader::new(wire.bytes()));
        while let Some((number, wire)) = entry.field()? {
            match number {
                1 => key = text(wire.bytes())?,
                2 => value = wire,
                _ => {}
            }
        }
        entries.insert(key, value);
    }
    out.push('{');
    for (key, value) in entries {
        write_name(out, key);
        write_value(out, kind, value, levels).map_err(|invalid| invalid.within(key))?;
    }
    out.push('}');
    Ok(())
}

/// A `google.protobuf.Struct`: one map (1).
fn write_struct(out: &mut String, bytes: &[u8], levels: usize) -> Result<(), Invalid> {
    write_entries(out, Kind::Value, &all(bytes, 1)?, deeper(levels)?)
}

/// A `google.protobuf.Value`, which is any JSON; one that holds nothing is null.
fn write_any(out: &mut String, bytes: &[u8], levels: usize) -> Result<(), Invalid> {
    let (levels, mut fields, mut last) = (deeper(levels)?, Reader::new(bytes), None);
    while let Some(field) = fields.field()? {
        last = Some(field);
    }
    match last {
        Some((2, Wire::Fixed64(bits))) => out.push_str(&number(f64::from_bits(bits))?),
        Some((3, Wire::Bytes(bytes))) => write_text(out, text(bytes)?),
        Some((4, Wire::Varint(flag))) => out.push_str(if flag == 0 { "false" } else { "true" }),
        Some((5, Wire::Bytes(bytes))) => write_struct(out, bytes, levels)?,
        Some((6, Wire::Bytes(bytes))) => {
            let (levels, items) = (deeper(levels)?, all(bytes, 1)?);
            write_list(out, items.iter(), |out, item| write_any(out, item.bytes(), levels))?;
        }
        _ => out.push_str("null"),
    }
    Ok(())
}

/// All fields of one number.
fn all(bytes: &[u8], wanted: u32) -> Result<Vec<Wire<'_>>, Invalid> {
    let (mut fields, mut found) = (Reader::new(bytes), Vec::new());
    while let Some((number, wire)) = fields.field()? {
        if number == wanted {
            found.push(wire);
        }
    }
    Ok(found)
}

#[allow(clippy::cast_possible_truncation, reason = "only whole numbers within range are converted")]
fn number(value: f64) -> Result<String, Invalid> {
    if value.fract() == 0.0 && value.abs() <= LARGEST_EXACT {
        return Ok((value as i64).to_string());
    }
    let number = Number::from_f64(value).map(|number| number.to_string());
    number.ok_or_else(|| Invalid::new("JSON has no infinite numbers and no NaN"))
}

/// A `google.protobuf.Timestamp`, to the millisecond.
fn timestamp(bytes: &[u8]) -> Result<String, Invalid> {
    let (seconds, nanos) = seconds_and_nanos(bytes)?;
    let millis = Some(nanos)
        .filter(|nanos| (0..NANOS_PER_SECOND).contains(nanos))
        .and_then(|nanos| seconds.checked_mul(MILLIS_PER_SECOND)?.checked_add(nanos / NANOS_PER_MILLI))
        .filter(|millis| Timestamp::from_millis(*millis).as_millis() == *millis);
    let wrong = || Invalid::new(format!("expected a time of the years 0 to 9999, found {seconds} s"));
    Ok(Timestamp::from_millis(millis.ok_or_else(wrong)?).to_string())
}

fn seconds_and_nanos(bytes: &[u8]) -> Result<(i64, i64), Invalid> {
    let (mut seconds, mut nanos, mut fields) = (0, 0, Reader::new(bytes));
    while let Some((number, wire)) = fields.field()? {
        match (number, wire) {
            (1, Wire::Varint(value)) => seconds = value.cast_signed(),
            (2, Wire::Varint(value)) => nanos = value.cast_signed(),
            _ => {}
        }
    }
    Ok((seconds, nanos))
}

fn text(bytes: &[u8]) -> Result<&str, Invalid> {
    std::str::from_utf8(bytes).map_err(|_| Invalid::new("not a protobuf message: a text is not UTF-8"))
}

/// A member's name, after a comma where it is not the first.
fn write_name(out: &mut String, name: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    write_text(out, name);
    out.push(':');
}

fn write_text(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}
