//! `[push]`: how events are pushed to receivers that callers name.

use serde::{Deserialize, Serialize};

use super::Span;
use crate::service::PushOptions;

section! { PushConfig {
    max_configs: u32 = 16,
    timeout: Span = Span::seconds(15),
    backoff: Span = Span::seconds(1),
    max_backoff: Span = Span::seconds(5 * 60),
    give_up: Span = Span::seconds(24 * 3_600),
    per_host: usize = 4,
    at_once: usize = 64,
    allow_loopback: bool = false,
}}

impl PushConfig {
    /// How events are pushed; `at_home` where callers are on this machine anyway.
    pub(super) fn options(&self, at_home: bool) -> PushOptions {
        PushOptions {
            loopback: self.allow_loopback || at_home,
            backoff: self.backoff.0,
            max_backoff: self.max_backoff.0,
            give_up: self.give_up.0,
            per_host: self.per_host,
            at_once: self.at_once,
        }
    }
}
