//! Whole numbers as they come: SDKs on Protobuf keep metadata in a `Struct`, whose numbers are all floating.

use serde::Deserialize;
use serde_json::{Number, Value};

/// Up to here every whole number has a floating one of its own: 2^53.
const MAX_EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

/// A whole number, also as `3.0`.
pub fn whole<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(from)? else { return Ok(None) };
    let read = number.as_u64().or_else(|| u64::try_from(as_whole(&number)?).ok());
    read.map(Some).ok_or_else(|| serde::de::Error::custom(format!("expected a whole number, found {number}")))
}

/// The integer a number is, be it written as `3.0`.
pub(crate) fn as_whole(number: &Number) -> Option<i64> {
    if let Some(whole) = number.as_i64() {
        return Some(whole);
    }
    let (float, text) = (number.as_f64()?, number.to_string());
    text.strip_suffix(".0").filter(|_| float.abs() <= MAX_EXACT_FLOAT)?.parse().ok()
}

/// JSON with every `3.0` as `3`.
pub(crate) fn with_whole_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(as_whole(&number).map_or(number, Number::from)),
        Value::Array(items) => Value::Array(items.into_iter().map(with_whole_numbers).collect()),
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| (name, with_whole_numbers(value)));
            Value::Object(members.collect())
        }
        other => other,
    }
}
