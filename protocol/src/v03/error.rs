//! Errors of 0.3's HTTP+JSON. Its specification asks for "a consistent JSON format" and leaves it at that: here it is
//! the error object of JSON-RPC, whose codes both versions share. Its official SDK says only `{"message": …}`.

use serde_json::Value;

use crate::{A2aError, ErrorKind};

/// What the statuses mean that the official 0.3 SDK answers with.
const STATUSES: [(u16, ErrorKind); 8] = [
    (400, ErrorKind::InvalidRequest),
    (404, ErrorKind::TaskNotFound),
    (409, ErrorKind::TaskNotCancelable),
    (415, ErrorKind::ContentTypeNotSupported),
    (422, ErrorKind::InvalidParams),
    (500, ErrorKind::Internal),
    (501, ErrorKind::UnsupportedOperation),
    (502, ErrorKind::InvalidAgentResponse),
];

/// The body of an error response.
pub fn error_to_http(error: &A2aError) -> Value {
    error.to_jsonrpc()
}

/// Reads an error response: by its code, or else by its status.
pub fn error_from_http(status: u16, body: &[u8]) -> A2aError {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = parsed.get("error").unwrap_or(&parsed);
    let message = error.get("message").and_then(Value::as_str).unwrap_or("no message");
    let by_code = error.get("code").and_then(Value::as_i64).filter(|code| *code < 0);
    if let Some(code) = by_code {
        return A2aError::from_jsonrpc(code, message, error.get("data"));
    }
    match STATUSES.iter().find(|(known, _)| *known == status) {
        Some((_, kind)) => A2aError::new(*kind, format!("{message} (HTTP {status})")),
        None => A2aError::from_http(status, body),
    }
}
