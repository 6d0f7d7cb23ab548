//! A backup, as it is made. It holds everything, the keys that sign grants too: for operators. A file that has no good end is
//! none, so that what goes wrong on the way needs no other sign.

use futures_util::StreamExt;
use protocol::A2aError;
use tokio_stream::wrappers::ReceiverStream;

use super::Call;
use super::exchange::Archive;
use crate::northbound::reply::{self, CutShort};

pub(super) fn stream(call: &Call<'_>) -> Result<Archive, A2aError> {
    let pieces = ReceiverStream::new(call.broker.backup(&call.caller)?);
    let pieces = pieces.map(|piece| piece.map_err(|_| CutShort));
    Ok(Archive(reply::streamed(pieces)))
}
