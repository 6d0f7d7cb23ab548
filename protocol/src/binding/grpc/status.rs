//! How a call ended: a code, a sentence, and the details as `google.rpc.Status`, in trailers (spec §10.6).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, STANDARD_NO_PAD};
use serde_json::{Value, json};

use super::decode::decode;
use super::encode::encode;
use crate::binding::http_json::percent_decode;
use crate::error::A2aError;

/// The trailer with the code.
pub const STATUS_TRAILER: &str = "grpc-status";
/// The trailer with the sentence, percent-encoded.
pub const MESSAGE_TRAILER: &str = "grpc-message";
/// The trailer with the details, base64.
pub const DETAILS_TRAILER: &str = "grpc-status-details-bin";
/// The code of a call that went well.
pub const OK: u8 = 0;

/// Longest sentence sent, characters; clients refuse long trailers (8 KiB with the official ones).
const MAX_MESSAGE_CHARS: usize = 512;
/// Largest details sent, bytes, before base64; those that do not fit stay out.
const MAX_DETAILS_BYTES: usize = 4 * 1024;
const TYPE_PREFIX: &str = "type.googleapis.com/google.rpc.";

/// The trailers that say what went wrong.
pub fn write_status(error: &A2aError) -> Vec<(&'static str, String)> {
    let code = error.kind.grpc_code();
    let sentence: String = error.message.chars().take(MAX_MESSAGE_CHARS).collect();
    let mut trailers =
        vec![(STATUS_TRAILER, code.to_string()), (MESSAGE_TRAILER, encode_sentence(&sentence))];
    let mut room = MAX_DETAILS_BYTES;
    let mut details = Vec::new();
    for (type_url, value) in error.wire_details().iter().filter_map(pack) {
        if let Some(left) = room.checked_sub(type_url.len() + value.len()) {
            room = left;
            details.push(json!({ "typeUrl": type_url, "value": BASE64.encode(value) }));
        }
    }
    if !details.is_empty() {
        let status = json!({ "code": code, "message": sentence, "details": details });
        if let Ok(status) = encode("Status", &status.to_string()) {
            trailers.push((DETAILS_TRAILER, STANDARD_NO_PAD.encode(status)));
        }
    }
    trailers
}

/// Reads how a call ended; `None` when it went well. `details` is the trailer as it came.
pub fn read_status(code: &str, sentence: Option<&str>, details: Option<&str>) -> Option<A2aError> {
    /// What codes nobody has defined read as, as gRPC demands it.
    const UNKNOWN: u8 = 2;
    let code = code.parse().unwrap_or(UNKNOWN);
    if code == OK {
        return None;
    }
    let status = details
        .and_then(|text| STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok())
        .and_then(|bytes| read("Status", &bytes))
        .unwrap_or_default();
    let details = status.get("details").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let details: Vec<Value> = details.iter().filter_map(unpack).collect();
    let sentence = percent_decode(sentence.unwrap_or("no message"));
    Some(A2aError::from_grpc(code, &sentence, &details))
}

fn read(message: &str, bytes: &[u8]) -> Option<Value> {
    serde_json::from_str(&decode(message, bytes).ok()?).ok()
}

/// A detail as the type and the fields of an `Any`.
fn pack(detail: &Value) -> Option<(String, Vec<u8>)> {
    let type_url = detail.get("@type")?.as_str()?;
    Some((type_url.to_owned(), encode(type_url.strip_prefix(TYPE_PREFIX)?, &detail.to_string()).ok()?))
}

fn unpack(any: &Value) -> Option<Value> {
    let type_url = any.get("typeUrl")?.as_str()?;
    let value = any.get("value").and_then(Value::as_str).unwrap_or_default();
    let mut detail = read(type_url.strip_prefix(TYPE_PREFIX)?, &BASE64.decode(value).ok()?)?;
    detail.as_object_mut()?.insert("@type".to_owned(), type_url.into());
    Some(detail)
}

/// Percent-encodes what is not printable ASCII, and the sign itself.
fn encode_sentence(sentence: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(sentence.len());
    for byte in sentence.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
