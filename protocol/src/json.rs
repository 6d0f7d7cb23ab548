//! What a JSON text has to be beyond its grammar, judged on the text itself and without recursion: no deeper than those
//! go who recurse, and such that protobuf can say it too, because what is accepted over one binding may be asked for
//! over another.

use serde::Serialize;

use crate::Invalid;
use crate::fields::excerpt;

/// Deepest nesting of arrays and objects read, in either direction.
pub const MAX_NESTING: usize = 128;
/// Room for most of what is written at once, in bytes, so that it is not moved again and again while it grows.
const USUAL_BYTES: usize = 1024;
/// A number of so many digits and no exponent is below what a 64-bit float can hold.
const SURELY_FINITE_DIGITS: usize = 308;

/// Writes a value as JSON text. For what is written with every message; [`serde_json::to_vec`] does the same.
pub fn to_json(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = Vec::with_capacity(USUAL_BYTES);
    serde_json::to_writer(&mut json, value)?;
    Ok(json)
}

/// Refuses what nests deeper than [`MAX_NESTING`]; raw values are skipped without recursion, so this is the bound.
pub fn check_nesting(json: &[u8]) -> Result<(), String> {
    let (mut depth, mut rest) = (0_usize, json);
    loop {
        rest = match rest {
            [] => return Ok(()),
            [b'"', text @ ..] => after_text(text),
            [b'{' | b'[', ..] if depth == MAX_NESTING => {
                return Err(format!("Invalid JSON payload: nested deeper than {MAX_NESTING} levels"));
            }
            [b'{' | b'[', after @ ..] => {
                depth += 1;
                after
            }
            [b'}' | b']', after @ ..] => {
                depth = depth.saturating_sub(1);
                after
            }
            [_, after @ ..] => after,
        };
    }
}

/// Refuses text that is not Unicode: half a surrogate pair, which only an escape can write.
pub(crate) fn check_texts(json: &str) -> Result<(), Invalid> {
    let mut rest = json;
    while let Some((_, escape)) = rest.split_once('\\') {
        let Some(hex) = escape.strip_prefix('u') else {
            rest = escape.get(1..).unwrap_or_default();
            continue;
        };
        let (unit, after) = code_unit(hex);
        let low = || after.strip_prefix("\\u").map(code_unit).filter(|(low, _)| is_low_surrogate(*low));
        rest = match unit {
            0xd800..=0xdbff => low().map(|(_, after)| after).ok_or_else(|| half_a_pair(hex))?,
            unit if is_low_surrogate(unit) => return Err(half_a_pair(hex)),
            _ => after,
        };
    }
    Ok(())
}

/// The unit that an escape writes, and what follows it.
fn code_unit(hex: &str) -> (u16, &str) {
    let (digits, after) = hex.split_at_checked(4).unwrap_or_default();
    (u16::from_str_radix(digits, 16).unwrap_or_default(), after)
}

fn is_low_surrogate(unit: u16) -> bool {
    (0xdc00..=0xdfff).contains(&unit)
}

fn half_a_pair(hex: &str) -> Invalid {
    let digits = hex.get(..4).unwrap_or_default();
    Invalid::new(format!("expected Unicode text, found half a surrogate pair, \\u{digits}"))
}

/// Refuses numbers that no 64-bit float comes near to.
pub(crate) fn check_numbers(json: &str) -> Result<(), Invalid> {
    let mut rest = json.as_bytes();
    loop {
        rest = match rest {
            [] => return Ok(()),
            [b'"', text @ ..] => after_text(text),
            [b'-' | b'0'..=b'9', ..] => after_number(rest)?,
            [_, after @ ..] => after,
        };
    }
}

/// What follows a text, whose opening quote is taken off.
fn after_text(mut text: &[u8]) -> &[u8] {
    while let Some(at) = memchr::memchr2(b'"', b'\\', text) {
        text = match text.get(at..) {
            Some([b'"', after @ ..]) => return after,
            Some([_, _, after @ ..]) => after,
            _ => &[],
        };
    }
    &[]
}

/// What follows a number, if it is one.
fn after_number(json: &[u8]) -> Result<&[u8], Invalid> {
    let is_of_number = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
    let end = json.iter().position(|byte| !is_of_number(byte)).unwrap_or(json.len());
    let (number, after) = json.split_at_checked(end).unwrap_or_default();
    let is_small = end <= SURELY_FINITE_DIGITS && !number.iter().any(|byte| matches!(byte, b'e' | b'E'));
    let number = std::str::from_utf8(number).unwrap_or_default();
    if is_small || number.parse().is_ok_and(f64::is_finite) {
        return Ok(after);
    }
    let problem = format!("expected a number that a 64-bit float can hold, found {}", excerpt(number));
    Err(Invalid::new(problem))
}

/// Whether a text is base64 as ProtoJSON reads it: of either alphabet, padded or not.
pub(crate) fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let (over, padding) = (digits.len() % 4, text.len() - digits.len());
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    over != 1 && padding <= (4 - over) % 4 && digits.bytes().all(is_digit)
}
