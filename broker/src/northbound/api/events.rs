//! What happens in trees, as it happens: an event stream whose events are hints. Each says that a task has changed, and
//! whoever shows it asks for the change. `event: reset` says that some were missed.

use async_stream::stream;
use bytes::Bytes;
use futures_util::StreamExt;
use protocol::A2aError;
use protocol::binding::sse;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Call;
use super::exchange::EventStream;
use crate::northbound::sse::paced;
use crate::service::News;

/// The first event: from here on all is told, so that who reads a tree now misses nothing.
const READY: &[u8] = b"retry: 2000\nevent: ready\ndata: {}\n\n";
/// Some events were missed.
const RESET: &[u8] = b"event: reset\ndata: {}\n\n";

/// What to tell.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Wanted {
    /// What happens in the tree of this task; without it, in all that the caller may see.
    #[schemars(extend("format" = "uuid"))]
    task: Option<String>,
}

pub(super) async fn stream(call: &Call<'_>, wanted: Wanted) -> Result<EventStream, A2aError> {
    let place = call.context.place_for_stream()?;
    let mut news = call.broker.happenings(&call.caller, wanted.task.as_deref()).await?;
    let pieces = stream! {
        let _place = place;
        yield Ok(Bytes::from_static(READY));
        while let Some(told) = news.next().await {
            match told {
                News::Missed => yield Ok(Bytes::from_static(RESET)),
                News::Happened(happening) => {
                    // It is plain data; were it not serialisable, the next event would be told all the same.
                    let Ok(json) = serde_json::to_vec(&happening) else { continue };
                    yield Ok(Bytes::from(sse::write_event(None, &[&json])));
                }
            }
        }
    };
    Ok(EventStream(paced(Box::pin(pieces), call.context)))
}
