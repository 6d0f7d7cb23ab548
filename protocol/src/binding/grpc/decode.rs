//! Protobuf to ProtoJSON, along the schema. Text is written as it is read: a tree of values in between would take a
//! hundred times the room of the message that a caller sent.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Number;

use super::wire::{Reader, Wire};
use crate::schema::{Field, Kind, Label, MAX_DEPTH, SCHEMA, deeper};
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
        let Some(at) = arrived.iter().position(|(field, _)| field.number == number) else { continue };
        if arrived.get(at).is_some_and(|(field, _)| field.label == Label::OneOf)
            && let Some(before) = chosen.replace(at).filter(|before| *before != at)
            && let Some((field, wires)) = arrived.get_mut(before)
        {
            // The last of them counts and begins anew; the one before is looked at as others do, and forgotten.
            write_field(&mut String::new(), field, wires, levels)
                .map_err(|invalid| invalid.within(&field.name))?;
            wires.clear();
        }
        if let Some((_, wires)) = arrived.get_mut(at) {
            wires.push(wire);
        }
    }
    out.push('{');
    for (field, wires) in arrived {
        let Some(last) = wires.last() else { continue };
        let is_unset = field.label == Label::Plain && is_default(field.kind, *last);
        let mut scratch = String::new();
        let out = if is_unset { &mut scratch } else { &mut *out };
        write_name(out, &field.name);
        write_field(out, field, &wires, levels).map_err(|invalid| invalid.within(&field.name))?;
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
        // A message may be sent in pieces; put together they are the message.
        (_, pieces) if is_message(field.kind) => {
            write_value(out, field.kind, Wire::Bytes(&put_together(pieces)?), levels)
        }
        // Of anything else the last counts; the others are looked at all the same.
        (_, pieces) => {
            let mut last = String::new();
            for piece in pieces {
                last.clear();
                write_value(&mut last, field.kind, *piece, levels)?;
            }
            out.push_str(&last);
            Ok(())
        }
    }
}

fn is_message(kind: Kind) -> bool {
    matches!(kind, Kind::Struct | Kind::Value | Kind::Timestamp | Kind::Duration | Kind::Message(_))
}

/// The pieces of a message as one, each of which must be whole fields.
fn put_together(pieces: &[Wire<'_>]) -> Result<Vec<u8>, Invalid> {
    let mut whole = Vec::new();
    for piece in pieces {
        let (bytes, mut fields) = (within(*piece)?, Reader::new(within(*piece)?));
        while fields.field()?.is_some() {}
        whole.extend_from_slice(bytes);
    }
    Ok(whole)
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
        (Kind::Duration, Wire::Bytes(bytes)) => write_text(out, &duration(bytes)?),
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
        let (mut key, mut value, mut entry) = ("", Wire::Bytes(&[]), Reader::new(within(*wire)?));
        while let Some((number, wire)) = entry.field()? {
            match number {
                1 => key = text(within(wire)?)?,
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

/// A `google.protobuf.Value`, which is any JSON; one that holds nothing is null. As everywhere, the last kind counts.
fn write_any(out: &mut String, bytes: &[u8], levels: usize) -> Result<(), Invalid> {
    let (levels, mut fields) = (deeper(levels)?, Reader::new(bytes));
    let (mut chosen, mut pieces) = (NULL, Vec::new());
    while let Some((number, wire)) = fields.field()? {
        if !(NULL..=LIST).contains(&number) {
            continue;
        }
        if number != chosen {
            write_kind(&mut String::new(), chosen, &pieces, levels)?;
            (chosen, pieces) = (number, Vec::new());
        }
        pieces.push(wire);
    }
    write_kind(out, chosen, &pieces, levels)
}

/// The kinds of a value, by their numbers.
const NULL: u32 = 1;
const NUMBER: u32 = 2;
const TEXT: u32 = 3;
const BOOL: u32 = 4;
const STRUCT: u32 = 5;
const LIST: u32 = 6;

/// A value of one kind: of a plain one the last piece, of an object or a list all of them put together.
fn write_kind(out: &mut String, kind: u32, pieces: &[Wire<'_>], levels: usize) -> Result<(), Invalid> {
    match kind {
        STRUCT => return write_struct(out, &put_together(pieces)?, levels),
        LIST => {
            let (levels, whole) = (deeper(levels)?, put_together(pieces)?);
            return write_list(out, all(&whole, 1)?.into_iter(), |out, item| {
                write_any(out, within(item)?, levels)
            });
        }
        _ => {}
    }
    let mut value = "null".to_owned();
    for piece in pieces {
        value = match (kind, piece) {
            (NULL, Wire::Varint(_)) => "null".to_owned(),
            (NUMBER, Wire::Fixed64(bits)) => number(f64::from_bits(*bits))?,
            (TEXT, Wire::Bytes(bytes)) => quoted(text(bytes)?),
            (BOOL, Wire::Varint(flag)) => (*flag != 0).to_string(),
            _ => return Err(Invalid::new("not a protobuf message: a value of one kind arrived as another")),
        };
    }
    out.push_str(&value);
    Ok(())
}

/// What is in a message, or in a text.
fn within(wire: Wire<'_>) -> Result<&[u8], Invalid> {
    match wire {
        Wire::Bytes(bytes) => Ok(bytes),
        _ => Err(Invalid::new("not a protobuf message: expected a message, a text or bytes")),
    }
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

/// A `google.protobuf.Duration`. Both of its numbers have the sign of the whole.
fn duration(bytes: &[u8]) -> Result<String, Invalid> {
    let (seconds, nanos) = seconds_and_nanos(bytes)?;
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let fraction = if nanos == 0 { String::new() } else { format!(".{:09}", nanos.unsigned_abs()) };
    Ok(format!("{sign}{}{fraction}s", seconds.unsigned_abs()))
}

fn seconds_and_nanos(bytes: &[u8]) -> Result<(i64, i64), Invalid> {
    let (mut seconds, mut nanos, mut fields) = (0, 0, Reader::new(bytes));
    while let Some((number, wire)) = fields.field()? {
        match (number, wire) {
            (1, Wire::Varint(value)) => seconds = value.cast_signed(),
            (2, Wire::Varint(value)) => nanos = i64::from(int32(value)),
            (1 | 2, _) => {
                let problem =
                    "not a protobuf message: a number of a time or duration arrived as something else";
                return Err(Invalid::new(problem));
            }
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
    out.push_str(&quoted(text));
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
