//! JSON-RPC: one URL, the method in the body (spec §9).

use serde_json::{Value, json};

use super::{Binding, Fault, Kind, Wire};
use crate::suite::check::{Stop, fail, shown};
use crate::suite::http::Reply;
use crate::suite::operation::Operation;

/// The id of every request the suite sends unless a check is about ids.
pub(super) const ID: &str = "conformance";

pub(super) fn wire(binding: &Binding, operation: Operation, params: &Value) -> Wire {
    let mut params = params.clone();
    if let (Some(tenant), Some(members)) = (&binding.tenant, params.as_object_mut()) {
        members.entry("tenant").or_insert_with(|| json!(tenant));
    }
    let body = json!({ "jsonrpc": "2.0", "id": ID, "method": operation.method, "params": params });
    Wire { verb: "POST", url: binding.url.clone(), body: Some(body.to_string().into_bytes()) }
}

pub(super) fn outcome(reply: &Reply) -> Result<Result<Value, Fault>, Stop> {
    let refused = reply.status == 401 || reply.status == 403;
    let json = match reply.json() {
        Ok(json) => json,
        Err(_) if refused => Value::Null,
        Err(stop) => return Err(stop),
    };
    if json.get("error").is_some_and(|error| !error.is_null()) || refused {
        return Ok(Err(Fault {
            kind: Kind::JsonRpc,
            status: reply.status,
            error: json["error"].clone(),
            text: reply.text.clone(),
            challenge: reply.header("www-authenticate").map(str::to_owned),
        }));
    }
    match json.get("result") {
        Some(result) => Ok(Ok(result.clone())),
        None => fail(format!("HTTP {} with neither result nor error: {}", reply.status, shown(&reply.text))),
    }
}
