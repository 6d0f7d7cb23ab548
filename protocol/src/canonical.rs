//! JSON in the one form that can be signed (JCS, RFC 8785): members in the order of their names' UTF-16 units, numbers as
//! ECMAScript writes them, no white space. Read from the text itself, so that no number is rounded on the way but as the
//! form rounds it.

use std::fmt::Write;

use serde_json::value::RawValue;

use crate::fields::{excerpt, strip_position};
use crate::json::check_nesting;
use crate::{Fields, Invalid};

/// Up to here ECMAScript writes whole numbers out in full, as a power of ten.
const MAX_PLAIN_POWER: i32 = 21;
/// From here on it writes fractions in full, as a power of ten.
const MIN_PLAIN_POWER: i32 = -6;

/// Writes a value in its canonical form.
///
/// # Errors
/// A member named twice, a number no 64-bit float comes near to, text that is not Unicode, or too deep a nesting: such a
/// value has no canonical form.
pub fn canonicalize(json: &RawValue) -> Result<String, Invalid> {
    check_nesting(json.get().as_bytes()).map_err(Invalid::new)?;
    let mut out = String::with_capacity(json.get().len());
    write_value(&mut out, json)?;
    Ok(out)
}

fn write_value(out: &mut String, raw: &RawValue) -> Result<(), Invalid> {
    let text = raw.get().trim();
    match text.as_bytes().first() {
        Some(b'{') => write_object(out, &Fields::read(raw)?),
        Some(b'[') => {
            let items: Vec<&RawValue> = read(text)?;
            write_list(out, ('[', ']'), items, write_value)
        }
        Some(b'"') => write_text(out, &read::<String>(text)?),
        Some(b't' | b'f' | b'n') => {
            out.push_str(text);
            Ok(())
        }
        _ => write_number(out, text),
    }
}

fn write_object(out: &mut String, object: &Fields) -> Result<(), Invalid> {
    let mut members: Vec<_> = object.iter().collect();
    members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
    write_list(out, ('{', '}'), members, |out, (name, value)| {
        write_text(out, name)?;
        out.push(':');
        write_value(out, value).map_err(|invalid| invalid.within(name))
    })
}

fn write_list<T>(
    out: &mut String,
    (open, close): (char, char),
    items: Vec<T>,
    write: impl Fn(&mut String, T) -> Result<(), Invalid>,
) -> Result<(), Invalid> {
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item)?;
    }
    out.push(close);
    Ok(())
}

/// serde_json escapes exactly what RFC 8785 has escaped, in the same way.
fn write_text(out: &mut String, text: &str) -> Result<(), Invalid> {
    out.push_str(&serde_json::to_string(text).map_err(|error| Invalid::new(strip_position(&error)))?);
    Ok(())
}

/// `Number.prototype.toString` of ECMAScript.
fn write_number(out: &mut String, text: &str) -> Result<(), Invalid> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    let number = number.ok_or_else(|| {
        Invalid::new(format!("expected a number that a 64-bit float can hold, found {}", excerpt(text)))
    })?;
    if number == 0.0 {
        out.push('0');
        return Ok(());
    }
    if number < 0.0 {
        out.push('-');
    }
    let (digits, point) = shortest(number.abs())?;
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    if (count..=MAX_PLAIN_POWER).contains(&point) {
        let _ = write!(out, "{digits}{}", zeros(point - count));
    } else if (1..=MAX_PLAIN_POWER).contains(&point) {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
        let _ = write!(out, "{whole}.{fraction}");
    } else if (MIN_PLAIN_POWER + 1..=0).contains(&point) {
        let _ = write!(out, "0.{}{digits}", zeros(-point));
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let _ = write!(out, "{first}{dot}{rest}e{:+}", point - 1);
    }
    Ok(())
}

/// The fewest digits that lead back to a number, and the power of ten before them, as in 0.ddd × 10ⁿ. Of two that are
/// as near, serde_json takes the even one, as ECMAScript does; the standard library does not.
fn shortest(number: f64) -> Result<(String, i32), Invalid> {
    let written = serde_json::to_string(&number).map_err(|error| Invalid::new(strip_position(&error)))?;
    let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let leading = i32::try_from(all.len() - digits.len()).unwrap_or(0);
    let whole = i32::try_from(whole.len()).unwrap_or(0);
    let exponent: i32 = exponent.parse().unwrap_or(0);
    Ok((digits.trim_end_matches('0').to_owned(), whole - leading + exponent))
}

fn read<'t, T: serde::Deserialize<'t>>(text: &'t str) -> Result<T, Invalid> {
    serde_json::from_str(text).map_err(|error| Invalid::new(strip_position(&error)))
}
