//! Bodies of answers. A whole one leaves in pieces, each only when the caller has room for it, and is counted among what
//! is on its way ([`super::memory`]): who asks for much and takes nothing costs little.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Frame, SizeHint};

use super::memory::{Memory, NoMemory, Waiting};
use super::places::InHand;

/// Most that leaves at a time, bytes. What is smaller is not counted: it is on its way at once.
const PIECE_BYTES: usize = 16 * 1024;

/// An answer that cannot be given to its end: who reads it sees it break off, and not end.
#[derive(Debug, thiserror::Error)]
#[error("the answer is cut short")]
pub(super) struct CutShort;

impl From<NoMemory> for CutShort {
    fn from(_: NoMemory) -> Self {
        Self
    }
}

/// A body, and the request it answers, which is in hand until this is dropped.
pub(super) struct Body {
    content: Content,
    in_hand: Option<InHand>,
}

enum Content {
    /// Whole; then its trailers.
    Whole(Rest, Option<HeaderMap>),
    /// A stream.
    Streamed(UnsyncBoxBody<Bytes, CutShort>),
}

/// What of a whole body has not left.
struct Rest {
    left: usize,
    bytes: Held,
}

enum Held {
    Free(Bytes),
    Counted(Waiting<Bytes>),
}

impl Body {
    /// A whole body.
    pub(super) fn whole(bytes: Bytes, trailers: Option<HeaderMap>) -> Self {
        Content::Whole(Rest { left: bytes.len(), bytes: Held::Free(bytes) }, trailers).into()
    }

    /// A body whose pieces are made one by one, as the caller takes them.
    pub(super) fn streamed(body: UnsyncBoxBody<Bytes, CutShort>) -> Self {
        Content::Streamed(body).into()
    }

    /// The same, counted among what is on its way.
    pub(super) fn counted(self, memory: &Arc<Memory>) -> Result<Self, NoMemory> {
        let Self { content, in_hand } = self;
        let content = match content {
            Content::Whole(Rest { left, bytes: Held::Free(bytes) }, trailers) if left > PIECE_BYTES => {
                let bytes = Held::Counted(memory.hold(bytes, left)?);
                Content::Whole(Rest { left, bytes }, trailers)
            }
            content => content,
        };
        Ok(Self { content, in_hand })
    }

    /// Keeps a request in hand until this is gone.
    pub(super) fn keep(&mut self, in_hand: InHand) {
        self.in_hand = Some(in_hand);
    }
}

impl From<Content> for Body {
    fn from(content: Content) -> Self {
        Self { content, in_hand: None }
    }
}

impl Rest {
    fn next(&mut self) -> Result<Bytes, NoMemory> {
        let size = self.left.min(PIECE_BYTES);
        self.left -= size;
        match &mut self.bytes {
            Held::Free(bytes) => Ok(bytes.split_to(size)),
            // Copied: a piece would keep the whole in memory.
            Held::Counted(waiting) => waiting.with(|bytes| Bytes::copy_from_slice(&bytes.split_to(size))),
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        match &mut self.get_mut().content {
            Content::Whole(rest, trailers) if rest.left == 0 => {
                Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
            }
            Content::Whole(rest, _) => {
                Poll::Ready(Some(rest.next().map(Frame::data).map_err(CutShort::from)))
            }
            Content::Streamed(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(rest, trailers) => rest.left == 0 && trailers.is_none(),
            Content::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(rest, _) => SizeHint::with_exact(rest.left as u64),
            Content::Streamed(body) => body.size_hint(),
        }
    }
}
