//! What is told of the broker's work to whoever looks at traces: a task once it has ended, and a delegation that was refused.

use broker_core::audit::Event;
use broker_core::journal::{Fact, Record};
use broker_core::{Refused, Timestamp, Tree};

use super::Broker;

impl Broker {
    /// Tells of the tasks that these records end.
    pub(super) fn trace_records(&self, tree: &Tree, records: &[Record]) {
        let Some(traces) = &self.traces else { return };
        let ended = records.iter().filter(|record| matches!(record.fact, Fact::Ended(_)));
        for span in ended.flat_map(|record| tree.spans_of(record.task)) {
            traces.record(span);
        }
    }

    /// Tells of a delegation that was refused.
    pub(super) fn trace_refused(&self, tree: &Tree, refused: &Refused, now: Timestamp) {
        let Some(traces) = &self.traces else { return };
        if let Some(Event::Delegation(delegation)) = refused.audit.as_deref()
            && let Some(span) = tree.span_of_refusal(delegation, now)
        {
            traces.record(span);
        }
    }
}
