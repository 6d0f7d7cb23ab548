//! Answers of the floors: one piece, or events one by one, the first of which leaves before the second is there.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};

#[derive(Default)]
pub struct Pieces {
    pieces: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    /// Whether there is a pause, in which what there is so far leaves, before the next piece.
    pause: bool,
}

impl Pieces {
    pub fn one(piece: Bytes) -> Self {
        Self { pieces: VecDeque::from([piece]), ..Self::default() }
    }

    pub fn events(events: impl IntoIterator<Item = Bytes>, trailers: Option<HeaderMap>) -> Self {
        Self { pieces: events.into_iter().collect(), trailers, pause: false }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.pause {
            self.pause = false;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = self.pieces.pop_front();
        self.pause = !self.pieces.is_empty();
        let frame = piece.map(Frame::data).or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.pieces.len() {
            0 => SizeHint::with_exact(0),
            1 if self.trailers.is_none() => SizeHint::with_exact(self.pieces[0].len() as u64),
            _ => SizeHint::default(),
        }
    }
}
