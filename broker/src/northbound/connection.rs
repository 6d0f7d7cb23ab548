//! A connection that may not be held for nothing: one that never says what it speaks, or that takes no byte of what it
//! is answered, is closed. Hyper bounds the head of an HTTP/1.1 request, but not the wait for the bytes by which the
//! two versions of HTTP are told apart, and nothing that is written.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::places::Place;

/// What HTTP/2 begins with (RFC 9113 §3.4). What begins otherwise is HTTP/1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes to a caller and from it, each way bounded in time.
pub(super) struct Connection<S> {
    stream: S,
    /// While what arrived could still become either version: how much that is, and when it ends.
    opening: Option<Opening>,
    write_timeout: Duration,
    /// Runs while the caller takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    place: Arc<Place>,
}

struct Opening {
    arrived: usize,
    deadline: Pin<Box<Sleep>>,
}

impl<S> Connection<S> {
    /// A connection that must begin within one time, and must take what it is answered within the other.
    pub(super) fn new(
        stream: S,
        header_timeout: Duration,
        write_timeout: Duration,
        place: Arc<Place>,
    ) -> Self {
        let opening = Opening { arrived: 0, deadline: Box::pin(sleep(header_timeout)) };
        Self { stream, opening: Some(opening), write_timeout, stalled: None, place }
    }

    /// What has come of a write: as it is, or that its time is up.
    fn written<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            if self.stalled.take().is_some() {
                self.place.set_stalled(false);
            }
            return outcome;
        }
        let stalled = self.stalled.get_or_insert_with(|| {
            self.place.set_stalled(true);
            Box::pin(sleep_until(Instant::now() + self.write_timeout))
        });
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(timed_out("nothing of the answer was taken within server.write_timeout")))
    }
}

impl Opening {
    /// Whether the version is still open after these bytes.
    fn goes_on_with(&mut self, bytes: &[u8]) -> bool {
        let expected = PREFACE.get(self.arrived..).unwrap_or_default();
        self.arrived += bytes.len();
        bytes.len() < expected.len() && expected.starts_with(bytes)
    }
}

fn timed_out(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut this.stream).poll_read(context, buffer);
        let Some(opening) = &mut this.opening else { return outcome };
        if outcome.is_pending() {
            ready!(opening.deadline.as_mut().poll(context));
            return Poll::Ready(Err(timed_out("no request began within server.header_timeout")));
        }
        if !opening.goes_on_with(buffer.filled().get(before..).unwrap_or_default()) {
            this.opening = None;
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.written(context, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(context, pieces);
        this.written(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_flush(context);
        this.written(context, outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_shutdown(context);
        this.written(context, outcome)
    }
}
