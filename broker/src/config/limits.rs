//! `[limits]`: bounds on trees and time.

use broker_core::Limits;
use serde::{Deserialize, Serialize};

use super::{ByteSize, Span};

section! { LimitsConfig {
    max_depth: u32 = 8,
    max_fanout: u32 = 64,
    max_live_tasks: u32 = 1_024,
    max_tree_tasks: u32 = 4_096,
    max_task_size: ByteSize = ByteSize(64 << 20),
    deadline: Span = Span::seconds(24 * 3_600),
    hop_reserve: Span = Span::seconds(1),
    silence: Span = Span::seconds(30 * 60),
    cancel: Span = Span::seconds(10),
    attempts: u32 = 3,
    max_attempts: u32 = 10,
    max_handoffs: u32 = 32,
    backoff: Span = Span::millis(500),
    max_backoff: Span = Span::seconds(30),
    unknown_hold: Span = Span::seconds(10 * 60),
    budget_share: u32 = 50,
    max_late_facts: u32 = 8,
    max_open_tasks: u64 = 10_000,
    max_waiting: usize = 1_000,
}}

impl LimitsConfig {
    /// As trees have them; push notifications have a bound of their own.
    pub(super) fn limits(&self, max_push_configs: u32) -> Limits {
        Limits {
            max_depth: self.max_depth,
            max_fanout: self.max_fanout,
            max_live_tasks: self.max_live_tasks,
            max_tree_tasks: self.max_tree_tasks,
            max_handoffs: self.max_handoffs,
            max_task_bytes: self.max_task_size.0,
            default_deadline_ms: self.deadline.as_millis(),
            hop_reserve_ms: self.hop_reserve.as_millis(),
            silence_ms: self.silence.as_millis(),
            cancel_ms: self.cancel.as_millis(),
            default_max_attempts: self.attempts,
            max_attempts: self.max_attempts,
            backoff_ms: self.backoff.as_millis(),
            max_backoff_ms: self.max_backoff.as_millis(),
            unknown_hold_ms: self.unknown_hold.as_millis(),
            budget_share: self.budget_share,
            max_late_facts: self.max_late_facts,
            max_push_configs,
        }
    }
}
