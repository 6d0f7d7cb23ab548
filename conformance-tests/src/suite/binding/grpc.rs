//! gRPC: one message in a frame over HTTP/2, the outcome in trailers (spec §10).

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};

use super::{Binding, Fault, Kind, Wire};
use crate::suite::check::{Stop, ensure, fail, shown, skip};
use crate::suite::http::Reply;
use crate::suite::operation::Operation;
use crate::suite::protobuf::{self, SERVICE};

/// The media type; a suffix names the codec.
pub(super) const MEDIA_TYPE: &str = "application/grpc";
/// Before each message: a flag, and the length in four bytes.
const PREFIX: usize = 5;

/// Names of the codes, each at its number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The name of a code.
pub fn code_name(code: Option<i64>) -> String {
    let known = code.and_then(|code| usize::try_from(code).ok()).and_then(|code| CODES.get(code));
    known.map_or_else(|| format!("code {code:?}"), |name| (*name).to_owned())
}

/// A card's gRPC interface as a URL: `host:port` is as secure as the card that names it.
pub(super) fn url(interface: &str, card_url: &str) -> String {
    let bare = interface.trim_start_matches("dns:///").trim_end_matches('/');
    if let Some(rest) = bare.strip_prefix("grpcs://") {
        return format!("https://{rest}");
    }
    if let Some(rest) = bare.strip_prefix("grpc://") {
        return format!("http://{rest}");
    }
    if bare.contains("://") {
        return bare.to_owned();
    }
    let scheme = if card_url.starts_with("https://") { "https" } else { "http" };
    format!("{scheme}://{bare}")
}

pub(super) fn wire(binding: &Binding, operation: Operation, params: &Value) -> Result<Wire, Stop> {
    let mut params = params.clone();
    if let (Some(tenant), Some(members)) = (&binding.tenant, params.as_object_mut())
        && protobuf::names_tenant(operation)
    {
        members.entry("tenant").or_insert_with(|| json!(tenant));
    }
    let message = protobuf::request(operation, &params)
        .or_else(|why| skip(format!("protobuf has no way to say {}: {why}", shown(&params))))?;
    let url = format!("{}/{SERVICE}/{}", binding.url, operation.method);
    Ok(Wire { verb: "POST", url, body: Some(frame(&message)) })
}

/// A message in its frame.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], &length[..], message].concat()
}

/// The first whole message of a buffer, taken out of it.
pub fn next_message(buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Stop> {
    let Some(prefix) = buffer.first_chunk::<PREFIX>() else { return Ok(None) };
    let [flag, length @ ..] = *prefix;
    ensure!(flag == 0, "a message with the flag {flag}, though the call offered no compression");
    let end = PREFIX + u32::from_be_bytes(length) as usize;
    if buffer.len() < end {
        return Ok(None);
    }
    let message = buffer.drain(..end).skip(PREFIX).collect();
    Ok(Some(message))
}

pub(super) fn outcome(operation: Operation, reply: &Reply) -> Result<Result<Value, Fault>, Stop> {
    if let Some(fault) = fault(reply)? {
        return Ok(Err(fault));
    }
    let mut buffer = reply.body.clone();
    let mut messages = Vec::new();
    while let Some(message) = next_message(&mut buffer)? {
        messages.push(message);
    }
    ensure!(buffer.is_empty(), "{} bytes after the last message", buffer.len());
    let [message] = messages.as_slice() else {
        return fail(format!("OK with {} messages where one is due", messages.len()));
    };
    event(operation, message).map(Ok)
}

/// A message of an answer as JSON.
pub(super) fn event(operation: Operation, message: &[u8]) -> Result<Value, Stop> {
    protobuf::response(operation, message).or_else(fail)
}

/// How a call ended, from its head or its trailers; none where it went well.
pub(super) fn fault(reply: &Reply) -> Result<Option<Fault>, Stop> {
    let Some(code) = reply.ending("grpc-status") else {
        // What stands between may speak for a server that was not reached, as gRPC maps it.
        let code = match reply.status {
            401 => 16,
            403 => 7,
            404 => 12,
            status => {
                return fail(format!("HTTP {status} without a grpc-status: {}", shown(&reply.text)));
            }
        };
        let error = json!({ "code": code, "message": reply.text, "details": [] });
        return Ok(Some(faulty(reply, error)));
    };
    let Ok(code) = code.parse::<i64>() else {
        return fail(format!("a grpc-status that is no number: {code}"));
    };
    if code == 0 {
        return Ok(None);
    }
    let mut error =
        json!({ "code": code, "message": unescaped(reply.ending("grpc-message").unwrap_or_default()) });
    if let Some(details) = reply.ending("grpc-status-details-bin") {
        let bytes = STANDARD_NO_PAD.decode(details.trim_end_matches('='));
        let status = bytes.map_err(|error| error.to_string()).and_then(|bytes| protobuf::status(&bytes));
        match status {
            Ok(status) => {
                error["details"] = status["details"].clone();
                error["status"] = json!({ "code": status["code"], "message": status["message"] });
            }
            Err(why) => error["details"] = json!(format!("unreadable: {why}")),
        }
    }
    Ok(Some(faulty(reply, error)))
}

fn faulty(reply: &Reply, error: Value) -> Fault {
    Fault {
        kind: Kind::Grpc,
        status: reply.status,
        text: error.to_string(),
        error,
        challenge: reply.ending("www-authenticate").map(str::to_owned),
    }
}

/// `%XX` undone.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.first_chunk::<2>().and_then(|digits| std::str::from_utf8(digits).ok());
        let meant = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(byte) = meant.filter(|_| *first == b'%') {
            bytes.push(byte);
            rest = after.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
