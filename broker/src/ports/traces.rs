//! Where the spans of traces go. Nobody waits for them, and what cannot be delivered is lost: traces are for looking, and
//! the journal is the truth.

use broker_core::delegation::spans::Span;

/// Takes spans.
pub trait Traces: Send + Sync + 'static {
    /// Takes a span, or drops it where too many wait.
    fn record(&self, span: Span);

    /// Sends what waits. Call at the end, where waiting is allowed.
    fn close(&self);
}
