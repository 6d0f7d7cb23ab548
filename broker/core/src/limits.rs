//! The bounds the core decides by. Each is a configuration key with a unit; the defaults stand here once.

use serde::{Deserialize, Serialize};

/// Milliseconds in a second.
const SECOND: i64 = 1_000;
/// Milliseconds in a minute.
const MINUTE: i64 = 60 * SECOND;

/// Bounds on trees, attempts and time (design §4, invariant 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Deepest task allowed, in hops from the root.
    pub max_depth: u32,
    /// Most children one task may ever have.
    pub max_fanout: u32,
    /// Most open tasks in one tree.
    pub max_live_tasks: u32,
    /// Most tasks one tree may ever have: all of them are looked at in each decision.
    pub max_tree_tasks: u32,
    /// Most bytes of messages and artifacts kept for one task.
    pub max_task_bytes: u64,
    /// Deadline of a task nobody gave one, milliseconds after it is accepted.
    pub default_deadline_ms: i64,
    /// How long before its delegator's deadline a delegation's is at the latest, or a tenth of the time left if that is
    /// less; milliseconds.
    pub hop_reserve_ms: i64,
    /// Silence of a working agent, without open children, after which its task fails; milliseconds.
    pub silence_ms: i64,
    /// How long one level of a cancellation waits for the agent's confirmation; milliseconds.
    pub cancel_ms: i64,
    /// Attempts when the request says nothing.
    pub default_max_attempts: u32,
    /// Most attempts a request may ask for.
    pub max_attempts: u32,
    /// Most times a task may be handed over.
    pub max_handoffs: u32,
    /// First wait before another attempt; doubles each time; milliseconds.
    pub backoff_ms: i64,
    /// Longest wait before another attempt; milliseconds.
    pub max_backoff_ms: i64,
    /// How long a task whose outcome is unknown waits for an operator before it fails; milliseconds.
    pub unknown_hold_ms: i64,
    /// Share of what is left that a delegation gets which asks for no budget of its own; percent.
    pub budget_share: u32,
    /// Most facts recorded about events that came too late.
    pub max_late_facts: u32,
    /// Most push configurations one task may have.
    pub max_push_configs: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_depth: 8,
            max_fanout: 64,
            max_live_tasks: 1_024,
            max_tree_tasks: 4_096,
            max_task_bytes: 64 * 1024 * 1024,
            default_deadline_ms: 24 * 60 * MINUTE,
            hop_reserve_ms: SECOND,
            silence_ms: 30 * MINUTE,
            cancel_ms: 10 * SECOND,
            default_max_attempts: 3,
            max_attempts: 10,
            max_handoffs: 32,
            backoff_ms: 500,
            max_backoff_ms: 30 * SECOND,
            unknown_hold_ms: 10 * MINUTE,
            budget_share: 50,
            max_late_facts: 8,
            max_push_configs: 16,
        }
    }
}

impl Limits {
    /// What a delegation gets of what is left when it does not say.
    pub(crate) fn share_of(&self, left: u64) -> u64 {
        let share = u128::from(left) * u128::from(self.budget_share.min(100)) / 100;
        u64::try_from(share).unwrap_or(left)
    }

    /// Wait before attempt `number` (2 is the first retry), in milliseconds: half of it, and up to as much again by
    /// `jitter`, so that those that failed together do not come back together.
    pub(crate) fn backoff(&self, number: u32, jitter: u16) -> i64 {
        let doublings = number.saturating_sub(2).min(20);
        let longest = self.backoff_ms.saturating_mul(1 << doublings).min(self.max_backoff_ms);
        let half = longest / 2;
        half + (longest - half) * i64::from(jitter) / i64::from(u16::MAX)
    }
}
