//! What can go wrong, as the document says it: one shape for all errors, and a response for each status.

use std::collections::BTreeMap;

use protocol::ErrorKind;
use protocol::binding::http_json::MEDIA_TYPE;
use serde_json::{Map, Value, json};

use crate::northbound::api::route::Endpoint;

/// The name of the schema of errors.
pub(super) const SCHEMA: &str = "Error";

/// What can go wrong wherever something is asked for.
const ANYWHERE: [ErrorKind; 6] = [
    ErrorKind::InvalidParams,
    ErrorKind::Unauthenticated,
    ErrorKind::PermissionDenied,
    ErrorKind::ResourceExhausted,
    ErrorKind::Internal,
    ErrorKind::Unavailable,
];
/// And where a body is read.
const WITH_A_BODY: [ErrorKind; 2] = [ErrorKind::RequestTimeout, ErrorKind::PayloadTooLarge];

/// A response for each status: the row of the error table that stands for it, its name, and what it says.
const RESPONSES: [(ErrorKind, &str, &str); 11] = [
    (
        ErrorKind::InvalidParams,
        "Invalid",
        "The request cannot be read, or cannot be done as things stand; the message says why.",
    ),
    (ErrorKind::Unauthenticated, "Unauthenticated", "There is no credential, or it is no good."),
    (ErrorKind::PermissionDenied, "Forbidden", "The caller is known, and may not do this."),
    (ErrorKind::NotFound, "NotFound", "What is named does not exist, or not for this caller."),
    (ErrorKind::RequestTimeout, "Late", "The body did not arrive in time."),
    (ErrorKind::MessageIdReused, "Conflict", "Something else stands in the way."),
    (ErrorKind::PayloadTooLarge, "TooLarge", "The body is larger than server.body_limit."),
    (
        ErrorKind::ResourceExhausted,
        "Exhausted",
        "As much as there may be is in use; Retry-After says when to try again.",
    ),
    (ErrorKind::Internal, "Failed", "The broker failed, or an agent did; the message says which."),
    (ErrorKind::BadGateway, "Unreachable", "An agent could not be reached."),
    (ErrorKind::Unavailable, "Unavailable", "Not now; Retry-After says when to try again."),
];

/// References to what can go wrong at an endpoint, by status.
pub(super) fn of(endpoint: Endpoint, reads_body: bool) -> BTreeMap<String, Value> {
    let body = WITH_A_BODY.into_iter().filter(|_| reads_body);
    let kinds = endpoint.failures().iter().copied().chain(ANYWHERE).chain(body);
    let reference = |kind: ErrorKind| {
        let same = |(row, ..): &&(ErrorKind, &str, &str)| row.http_status() == kind.http_status();
        let (_, name, _) = RESPONSES.iter().find(same)?;
        let reference = json!({ "$ref": format!("#/components/responses/{name}") });
        Some((kind.http_status().to_string(), reference))
    };
    kinds.filter_map(reference).collect()
}

/// All of them.
pub(super) fn responses() -> Value {
    let schema = json!({ "$ref": format!("#/components/schemas/{SCHEMA}") });
    let responses = RESPONSES.into_iter().map(|(kind, name, about)| {
        let headers: Map<String, Value> = header(kind)
            .map(|(header, about)| {
                (header.to_owned(), json!({ "description": about, "schema": { "type": "string" } }))
            })
            .into_iter()
            .collect();
        let content = json!({ MEDIA_TYPE: { "schema": schema } });
        let response = json!({ "description": about, "headers": headers, "content": content });
        (name.to_owned(), response)
    });
    Value::Object(responses.collect())
}

fn header(kind: ErrorKind) -> Option<(&'static str, &'static str)> {
    match kind {
        ErrorKind::Unauthenticated => Some(("WWW-Authenticate", "How to authenticate.")),
        ErrorKind::ResourceExhausted | ErrorKind::Unavailable => {
            Some(("Retry-After", "When to try again, in seconds, where that can be said."))
        }
        _ => None,
    }
}

/// What every error looks like (A2A, section 11.6).
pub(super) fn schema() -> Value {
    let statuses: std::collections::BTreeSet<_> =
        ErrorKind::ALL.iter().map(|kind| kind.grpc_status()).collect();
    let error = json!({
        "type": "object",
        "required": ["code", "status", "message", "details"],
        "properties": {
            "code": { "type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status." },
            "status": { "type": "string", "enum": statuses, "description": "The same in the words of google.rpc.Code." },
            "message": { "type": "string", "description": "For people: what was expected, and what to do." },
            "details": {
                "type": "array",
                "description": "For programs: ErrorInfo, BadRequest and RetryInfo of google.rpc.",
                "items": {
                    "type": "object",
                    "required": ["@type"],
                    "properties": { "@type": { "type": "string" } },
                },
            },
        },
    });
    json!({ "type": "object", "required": ["error"], "properties": { "error": error } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_an_endpoint_says_can_go_wrong_has_a_response() {
        for endpoint in Endpoint::ALL {
            let described = of(*endpoint, true);
            for kind in endpoint.failures() {
                assert!(described.contains_key(&kind.http_status().to_string()), "{endpoint:?}: {kind:?}");
            }
        }
        let statuses: std::collections::BTreeSet<_> =
            RESPONSES.iter().map(|(kind, ..)| kind.http_status()).collect();
        assert_eq!(statuses.len(), RESPONSES.len());
    }
}
