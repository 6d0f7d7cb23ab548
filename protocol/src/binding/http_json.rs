//! The HTTP+JSON binding (spec §11): paths to operations and back.

use std::borrow::Cow;

use crate::Operation;

/// The media type of requests and responses (spec §14.1).
pub const MEDIA_TYPE: &str = "application/a2a+json";

/// An operation found at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// What is asked.
    pub operation: Operation,
    /// The task in the path.
    pub task_id: Option<String>,
    /// The push configuration in the path.
    pub config_id: Option<String>,
}

/// The ids in a path, in order.
#[derive(Debug, Default)]
struct Ids {
    task: Option<String>,
    config: Option<String>,
}

/// Why a path is no operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmatched {
    /// There is nothing at this path.
    NotFound,
    /// There is, for this other method.
    MethodNotAllowed {
        /// The method that fits.
        allow: &'static str,
    },
}

/// Finds the operation at a path, its tenant segment already taken off. A trailing slash is tolerated.
pub fn match_path(method: &str, path: &str) -> Result<Matched, Unmatched> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut other_method = None;
    for &operation in Operation::ALL {
        let (expected, template) = operation.route();
        let Some(Ids { task, config }) = match_template(template, path) else { continue };
        if method == expected || (method == "POST" && operation == Operation::SubscribeToTask) {
            return Ok(Matched { operation, task_id: task, config_id: config });
        }
        other_method = Some(expected);
    }
    Err(other_method.map_or(Unmatched::NotFound, |allow| Unmatched::MethodNotAllowed { allow }))
}

/// What the path names, if it fits.
fn match_template(template: &str, path: &str) -> Option<Ids> {
    let Some((before, after)) = template.split_once("{id}") else {
        return (template == path).then(Ids::default);
    };
    let rest = path.strip_prefix(before)?;
    let (id, config) = match after.split_once("{configId}") {
        None => (rest.strip_suffix(after)?, None),
        Some((between, _)) => rest
            .split_once(between)
            .filter(|(_, config)| is_segment(config))
            .map(|(id, config)| (id, Some(config)))?,
    };
    // `/tasks/x:cancel` is not the task named "x:cancel".
    let is_verb = after.is_empty() && (id.ends_with(":cancel") || id.ends_with(":subscribe"));
    let decode = |id: &str| percent_decode(id).into_owned();
    (is_segment(id) && !is_verb).then(|| Ids { task: Some(decode(id)), config: config.map(decode) })
}

fn is_segment(text: &str) -> bool {
    !text.is_empty() && !text.contains('/')
}

/// The path of an operation of our own, below an interface's URL.
pub fn path_for(operation: Operation, task_id: &str) -> String {
    operation.route().1.replace("{id}", &percent_encode(task_id))
}

/// Decodes `%XX`; what is not an escape stays.
pub fn percent_decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        decoded.push(escape.unwrap_or(*first));
        rest = if escape.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Encodes everything but RFC 3986's unreserved characters.
pub fn percent_encode(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// The pairs of a query string, decoded.
pub fn query_pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode_query(name), decode_query(value))
    })
}

fn decode_query(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        percent_decode(&text.replace('+', " ")).into_owned().into()
    } else {
        percent_decode(text)
    }
}
