//! A scope as `authorization_details` (RFC 9396). In a grant the capabilities stand there as their canonical texts,
//! which is what tools read; who asks for a grant may write them as objects too.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::scope::{DETAILS_TYPE, MAX_CAPABILITIES_AFTER_MEET, Scope};

/// Details that hold a scope, as grants do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Details {
    #[serde(rename = "type")]
    kind: String,
    capabilities: Vec<String>,
}

/// Why details are no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("authorization_details: {0}")]
pub struct DetailsError(String);

/// Reads the value of an `authorization_details` parameter: a JSON array of one object of type `a2a_capability`.
pub fn read_details(json: &str) -> Result<Scope, DetailsError> {
    let details: Vec<Value> = super::json::read(json.as_bytes()).map_err(DetailsError)?;
    let [details] = details.as_slice() else { return Err(not_one()) };
    Scope::from_json(details).map_err(|error| DetailsError(error.to_string()))
}

/// A scope as the value of an `authorization_details` member. The top has no such form: nothing is written of it.
pub fn write_details(scope: &Scope) -> Value {
    serde_json::to_value(write(scope)).unwrap_or_default()
}

pub(super) fn write(scope: &Scope) -> Vec<Details> {
    vec![Details { kind: DETAILS_TYPE.to_owned(), capabilities: scope.texts() }]
}

/// A meet may hold more capabilities than anyone may ask for.
pub(super) fn read(details: &[Details]) -> Result<Scope, DetailsError> {
    let [details] = details else { return Err(not_one()) };
    if details.kind != DETAILS_TYPE {
        return Err(DetailsError(format!("expected type {DETAILS_TYPE}, found {:?}", details.kind)));
    }
    let found = details.capabilities.len();
    if found > MAX_CAPABILITIES_AFTER_MEET {
        return Err(DetailsError(format!(
            "expected at most {MAX_CAPABILITIES_AFTER_MEET} capabilities, found {found}"
        )));
    }
    let parsed: Result<Vec<_>, _> = details.capabilities.iter().map(|text| text.parse()).collect();
    parsed.map(Scope::of).map_err(|error: crate::ParseError| DetailsError(error.to_string()))
}

fn not_one() -> DetailsError {
    DetailsError(format!("expected one object, of type {DETAILS_TYPE}"))
}
