//! The audit log as JSON lines, byte for byte as it was sealed: `?after=N&limit=M`. The last page ends with the head line;
//! without one there is more.

use http::StatusCode;

use super::{Answered, Call};
use crate::northbound::reply;

const JSON_LINES: &str = "application/jsonl";
/// Entries on a page when the caller says nothing.
const DEFAULT_LIMIT: u64 = 1_000;

pub(super) async fn page(call: &Call<'_>) -> Answered {
    let after = call.number("after")?.unwrap_or(0);
    let limit = call.number("limit")?.unwrap_or(DEFAULT_LIMIT);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = call.broker.audit_page(&call.caller, after, limit).await?;
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
