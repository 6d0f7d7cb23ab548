//! A backup, as it is made. It holds everything, the keys that sign grants too: for operators. A file that has no good end is
//! none, so that what goes wrong on the way needs no other sign.

use futures_util::StreamExt;
use http::StatusCode;
use tokio_stream::wrappers::ReceiverStream;

use super::{Answered, Call};
use crate::northbound::reply::{self, CutShort};

const MEDIA_TYPE: &str = "application/octet-stream";

pub(super) fn stream(call: &Call<'_>) -> Answered {
    let pieces = ReceiverStream::new(call.broker.backup(&call.caller)?);
    let pieces = pieces.map(|piece| piece.map_err(|_| CutShort));
    let mut response = reply::answer(StatusCode::OK, MEDIA_TYPE, reply::streamed(pieces));
    reply::keep_private(&mut response);
    Ok(response)
}
