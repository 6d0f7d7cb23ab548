//! Where a task stands in a distributed trace, as W3C Trace Context writes it (`traceparent`). One trace per tree: the
//! caller's if it is in one, else the tree's own. All ids follow from the tasks', so that they are the same after a crash.

use std::fmt;
use std::str::FromStr;

use protocol::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::TaskId;
use crate::delegation::input::AttemptId;

/// The header it travels in.
pub const TRACE_HEADER: &str = "traceparent";
/// The flag that says that the trace is recorded.
const SAMPLED: u8 = 1;
/// An odd number without a pattern (2^64 divided by the golden ratio): tells attempts of a task apart.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A span of a trace: whoever is asked from within it goes on from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; never 0.
    pub trace: u128,
    /// The span; never 0.
    pub span: u64,
    /// Whether it is recorded.
    pub sampled: bool,
}

impl TraceParent {
    /// The span of a tree's root, where its caller is in no trace.
    pub(crate) fn of_root(root: TaskId) -> Self {
        Self { trace: root.0.as_u128().max(1), span: span_of_task(root), sampled: true }
    }

    /// Another span of the same trace.
    pub(crate) fn with_span(self, span: u64) -> Self {
        Self { span, ..self }
    }
}

/// The span of a task: the random half of its id.
pub(crate) fn span_of_task(task: TaskId) -> u64 {
    task.0.as_u64_pair().1.max(1)
}

/// The span of an attempt at it.
pub(crate) fn span_of_attempt(attempt: AttemptId) -> u64 {
    (span_of_task(attempt.task) ^ u64::from(attempt.number).wrapping_mul(SPREAD)).max(1)
}

/// The span of a delegation that was refused, which may be one of several of a task.
pub(crate) fn span_of_refusal(task: TaskId, agent: &str, at: Timestamp) -> u64 {
    let mix = |span: u64, next: u64| (span ^ next).wrapping_mul(SPREAD).rotate_left(29);
    let of_agent = agent.bytes().map(u64::from).fold(at.as_millis().cast_unsigned(), mix);
    mix(span_of_task(task), of_agent).max(1)
}

/// What is no `traceparent` (W3C Trace Context, section 3.2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a traceparent: 00-<32 hexadecimal digits>-<16>-<2>, the first two not all zeros")]
pub struct NoTraceParent;

impl FromStr for TraceParent {
    type Err = NoTraceParent;

    /// Later versions may have more members behind those of the first.
    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        let mut members = text.split('-');
        let mut next = |digits: usize| {
            let member = members.next().filter(|member| member.len() == digits).ok_or(NoTraceParent)?;
            let is_lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            if !member.bytes().all(is_lower_hex) {
                return Err(NoTraceParent);
            }
            u128::from_str_radix(member, 16).map_err(|_| NoTraceParent)
        };
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let has_more = members.next().is_some();
        let span = u64::try_from(span).map_err(|_| NoTraceParent)?;
        if trace == 0 || span == 0 || version == 0xff || (version == 0 && has_more) {
            return Err(NoTraceParent);
        }
        Ok(Self { trace, span, sampled: flags & u128::from(SAMPLED) != 0 })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled) * SAMPLED)
    }
}

impl Serialize for TraceParent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceParent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again(trace in 1_u128.., span in 1_u64.., sampled: bool) {
            let parent = TraceParent { trace, span, sampled };
            prop_assert_eq!(parent.to_string().parse(), Ok(parent));
        }

        #[test]
        fn nothing_else_is_read(text in "[0-9a-fA-F-]{0,60}|.{0,60}") {
            if let Ok(read) = text.parse::<TraceParent>() {
                let known = text.get(2..52).is_some_and(|known| read.to_string().get(2..52) == Some(known));
                prop_assert!(known, "{}", text);
            }
        }
    }

    #[test]
    fn the_examples_of_the_standard() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(text.parse::<TraceParent>().map(|read| read.to_string()), Ok(text.to_owned()));
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what-comes";
        assert!(later.parse::<TraceParent>().is_ok_and(|read| !read.sampled));
        for wrong in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(wrong.parse::<TraceParent>(), Err(NoTraceParent), "{wrong}");
        }
    }
}
