//! The audit log as JSON lines, byte for byte as it was sealed. The last page ends with the head line; without one there is
//! more.

use protocol::A2aError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Call;
use super::exchange::JsonLines;

/// Entries on a page when the caller says nothing.
const DEFAULT_LIMIT: usize = 1_000;

/// Which entries to show.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Wanted {
    /// Those after entry number so many; without it from the first on.
    after: Option<u64>,
    /// At most so many, 1,000 if nothing is said; of very many fewer are shown.
    limit: Option<usize>,
}

pub(super) async fn page(call: &Call<'_>, wanted: Wanted) -> Result<JsonLines, A2aError> {
    let (after, limit) = (wanted.after.unwrap_or(0), wanted.limit.unwrap_or(DEFAULT_LIMIT));
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
    Ok(JsonLines(body.into()))
}
