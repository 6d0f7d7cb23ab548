//! `GET /api/v1/audit?after=N&limit=M`: the audit log as JSON lines, byte for byte as it was sealed. The last page ends
//! with the head line; without one there is more.

use http::{Response, StatusCode};
use protocol::A2aError;

use super::operations::Context;
use super::reply::{self, Body, method_not_allowed};
use crate::service::Credential;

const JSON_LINES: &str = "application/jsonl";
/// Entries on a page when the caller says nothing.
const DEFAULT_LIMIT: u64 = 1_000;

pub(super) async fn serve(
    context: &Context,
    method: &str,
    credential: Option<&Credential>,
    query: &str,
) -> Response<Body> {
    if method != "GET" {
        return method_not_allowed("GET");
    }
    page(context, credential, query).await.unwrap_or_else(|error| reply::error(&error))
}

async fn page(
    context: &Context,
    credential: Option<&Credential>,
    query: &str,
) -> Result<Response<Body>, A2aError> {
    let broker = &context.broker;
    let caller = broker.authenticate(credential).await?;
    let after = number(query, "after", 0)?;
    let limit = number(query, "limit", DEFAULT_LIMIT)?;
    let page = broker.audit_page(&caller, after, usize::try_from(limit).unwrap_or(usize::MAX)).await?;
    let mut body = Vec::new();
    for line in &page.lines {
        body.extend_from_slice(line);
        body.push(b'\n');
    }
    if let Some(head) = page.head {
        body.extend_from_slice(head.line().as_bytes());
        body.push(b'\n');
    }
    Ok(reply::answer(StatusCode::OK, JSON_LINES, reply::whole(body)))
}

fn number(query: &str, name: &str, default: u64) -> Result<u64, A2aError> {
    let Some(text) = reply::query_parameter(query, name) else { return Ok(default) };
    text.parse().map_err(|_| {
        let problem = format!("expected a whole number, such as {name}=100, found {text:?}");
        protocol::invalid_params(vec![(name.to_owned(), problem)])
    })
}
