//! HTTP+JSON: the operation in path and HTTP method, parameters in path, query or body (spec §11).

use std::fmt::Write;

use serde_json::Value;

use super::{Binding, Fault, Kind, Wire};
use crate::suite::check::Stop;
use crate::suite::http::Reply;
use crate::suite::operation::Operation;

pub(super) fn wire(binding: &Binding, operation: Operation, params: &Value) -> Wire {
    let mut rest = params.as_object().cloned().unwrap_or_default();
    let mut path = operation.path.to_owned();
    for name in ["taskId", "id"] {
        let placeholder = format!("{{{name}}}");
        if path.contains(&placeholder) {
            let value = rest.remove(name).unwrap_or_default();
            path = path.replace(&placeholder, &encoded(&text(&value)));
        }
    }
    let tenant = binding.tenant.as_ref().map(|tenant| format!("/{}", encoded(tenant))).unwrap_or_default();
    let mut url = format!("{}{tenant}{path}", binding.url);
    if operation.verb == "POST" {
        return Wire { verb: operation.verb, url, body: Some(Value::Object(rest).to_string().into_bytes()) };
    }
    let query: Vec<String> =
        rest.iter().map(|(name, value)| format!("{name}={}", encoded(&text(value)))).collect();
    if !query.is_empty() {
        url = format!("{url}?{}", query.join("&"));
    }
    Wire { verb: operation.verb, url, body: None }
}

pub(super) fn outcome(reply: &Reply) -> Result<Result<Value, Fault>, Stop> {
    if (200..300).contains(&reply.status) {
        let empty = reply.text.trim().is_empty();
        return if empty { Ok(Ok(Value::Null)) } else { reply.json().map(Ok) };
    }
    let json = reply.json().unwrap_or_default();
    Ok(Err(Fault {
        kind: Kind::HttpJson,
        status: reply.status,
        error: json["error"].clone(),
        text: reply.text.clone(),
        challenge: reply.header("www-authenticate").map(str::to_owned),
    }))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Everything but unreserved characters as %XX (RFC 3986).
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
