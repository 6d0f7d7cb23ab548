//! ProtoJSON to protobuf, along the schema. It fails where a value does not fit its field; members that no field has
//! are left out. Values are looked into only as deep as their field demands, straight from the text.

use std::collections::BTreeMap;

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::wire::{put_bytes, put_double, put_varint};
use crate::fields::{excerpt, strip_position};
use crate::schema::{Field, Kind, Label, MAX_DEPTH, SCHEMA, deeper};
use crate::{Invalid, Timestamp};

const MILLIS_PER_SECOND: i64 = 1_000;
const NANOS_PER_MILLI: i64 = 1_000_000;

/// ProtoJSON is read with padding or without, and the bits that are left over say nothing: whatever passes for base64 on
/// the other bindings ([`crate::json::is_base64`]) is read here.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Writes ProtoJSON as a message. `null` is a message without fields.
pub(super) fn encode(message: &str, json: &str) -> Result<Vec<u8>, Invalid> {
    let raw: &RawValue =
        serde_json::from_str(json).map_err(|error| Invalid::new(format!("not JSON: {error}")))?;
    message_of(SCHEMA.message(message).unwrap_or_default(), raw, MAX_DEPTH)
}

fn message_of(fields: &[Field], raw: &RawValue, levels: usize) -> Result<Vec<u8>, Invalid> {
    let (levels, mut out) = (deeper(levels)?, Vec::new());
    if is_null(raw) {
        return Ok(out);
    }
    let members = members(raw)?;
    for field in fields {
        let Some(raw) = members.get(&field.name) else { continue };
        put_field(&mut out, field, raw, levels).map_err(|invalid| invalid.within(&field.name))?;
    }
    Ok(out)
}

fn put_field(out: &mut Vec<u8>, field: &Field, raw: &RawValue, levels: usize) -> Result<(), Invalid> {
    match field.label {
        // `null` is unset, except as a value of its own.
        _ if is_null(raw) && field.kind != Kind::Value => Ok(()),
        Label::Repeated => items(raw)?.into_iter().enumerate().try_for_each(|(index, item)| {
            put_value(out, field.number, field.kind, item, levels)
                .map_err(|invalid| invalid.within(&format!("[{index}]")))
        }),
        Label::Map => put_entries(out, field.number, field.kind, raw, levels),
        // Absence and default are the same here.
        Label::Plain if matches!(raw.get(), "\"\"" | "false" | "0") => Ok(()),
        _ => put_value(out, field.number, field.kind, raw, levels),
    }
}

/// A map: messages of a key (1) and a value (2).
fn put_entries(
    out: &mut Vec<u8>,
    number: u32,
    kind: Kind,
    raw: &RawValue,
    levels: usize,
) -> Result<(), Invalid> {
    let levels = deeper(levels)?;
    for (key, raw) in members(raw)? {
        let mut entry = Vec::new();
        put_bytes(&mut entry, 1, key.as_bytes());
        put_value(&mut entry, 2, kind, raw, levels).map_err(|invalid| invalid.within(&key))?;
        put_bytes(out, number, &entry);
    }
    Ok(())
}

fn put_value(
    out: &mut Vec<u8>,
    number: u32,
    kind: Kind,
    raw: &RawValue,
    levels: usize,
) -> Result<(), Invalid> {
    let bytes = match kind {
        Kind::Bool => {
            put_varint(out, number, u64::from(read::<bool>(raw, "true or false")?));
            return Ok(());
        }
        Kind::Int32 => {
            put_varint(out, number, signed(read::<i32>(raw, "an integer of 32 bits")?));
            return Ok(());
        }
        Kind::Enum(name) => {
            let text: String = read(raw, name)?;
            let values = SCHEMA.enumeration(name).unwrap_or_default();
            let found = values.iter().find(|(_, known)| *known == text);
            put_varint(out, number, signed(found.ok_or_else(|| expected(name, raw))?.0));
            return Ok(());
        }
        Kind::Text => read::<String>(raw, "a string")?.into_bytes(),
        Kind::Bytes => bytes_of(&read::<String>(raw, "base64")?).ok_or_else(|| expected("base64", raw))?,
        Kind::Struct => struct_of(raw, levels)?,
        Kind::Value => any_of(raw, levels)?,
        Kind::Timestamp => {
            let millis = read::<String>(raw, "a time")?.parse::<Timestamp>()?.as_millis();
            let nanos = millis.rem_euclid(MILLIS_PER_SECOND) * NANOS_PER_MILLI;
            seconds_and_nanos(millis.div_euclid(MILLIS_PER_SECOND), nanos)
        }
        Kind::Duration => {
            const EXPECTED: &str = "a duration in seconds, such as 5s";
            let text: String = read(raw, EXPECTED)?;
            let seconds = text.strip_suffix('s').and_then(|seconds| seconds.parse().ok());
            seconds_and_nanos(seconds.ok_or_else(|| expected(EXPECTED, raw))?, 0)
        }
        Kind::Message(name) => message_of(SCHEMA.message(name).unwrap_or_default(), raw, levels)?,
    };
    put_bytes(out, number, &bytes);
    Ok(())
}

/// A `google.protobuf.Struct`: one map (1).
fn struct_of(raw: &RawValue, levels: usize) -> Result<Vec<u8>, Invalid> {
    let mut out = Vec::new();
    put_entries(&mut out, 1, Kind::Value, raw, deeper(levels)?)?;
    Ok(out)
}

/// A `google.protobuf.Value`, which is any JSON.
fn any_of(raw: &RawValue, levels: usize) -> Result<Vec<u8>, Invalid> {
    let (levels, mut out) = (deeper(levels)?, Vec::new());
    match raw.get().as_bytes().first() {
        Some(b'n') => put_varint(&mut out, 1, 0),
        Some(b'"') => put_bytes(&mut out, 3, read::<String>(raw, "a string")?.as_bytes()),
        Some(b't') => put_varint(&mut out, 4, 1),
        Some(b'f') => put_varint(&mut out, 4, 0),
        Some(b'{') => put_bytes(&mut out, 5, &struct_of(raw, levels)?),
        Some(b'[') => {
            let (levels, mut list) = (deeper(levels)?, Vec::new());
            for item in items(raw)? {
                put_bytes(&mut list, 1, &any_of(item, levels)?);
            }
            put_bytes(&mut out, 6, &list);
        }
        _ => {
            // serde_json's own reading is off by a bit now and then.
            let number: Option<f64> = raw.get().parse().ok().filter(|number: &f64| number.is_finite());
            put_double(&mut out, 2, number.ok_or_else(|| expected("a number that fits 64 bits", raw))?);
        }
    }
    Ok(out)
}

/// Either alphabet (ProtoJSON).
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    LENIENT.decode(text.replace('-', "+").replace('_', "/")).ok()
}

fn seconds_and_nanos(seconds: i64, nanos: i64) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, value) in [(1, seconds), (2, nanos)].into_iter().filter(|(_, value)| *value != 0) {
        put_varint(&mut out, number, value.cast_unsigned());
    }
    out
}

/// Negative numbers take all 64 bits.
fn signed(number: i32) -> u64 {
    i64::from(number).cast_unsigned()
}

fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

fn members(raw: &RawValue) -> Result<BTreeMap<String, &RawValue>, Invalid> {
    shallow(raw, '{', "an object")
}

fn items(raw: &RawValue) -> Result<Vec<&RawValue>, Invalid> {
    shallow(raw, '[', "an array")
}

fn shallow<'r, T: serde::Deserialize<'r>>(raw: &'r RawValue, first: char, what: &str) -> Result<T, Invalid> {
    if !raw.get().starts_with(first) {
        return Err(expected(what, raw));
    }
    serde_json::from_str(raw.get()).map_err(|error| Invalid::new(strip_position(&error)))
}

fn read<T: DeserializeOwned>(raw: &RawValue, what: &str) -> Result<T, Invalid> {
    serde_json::from_str(raw.get()).map_err(|_| expected(what, raw))
}

fn expected(what: &str, found: &RawValue) -> Invalid {
    Invalid::new(format!("expected {what}, found {}", excerpt(found.get())))
}
