//! `[traces]`: where spans go.

use serde::{Deserialize, Serialize};

use super::Span;
use crate::southbound::otlp::Collector;

section! { TracesConfig {
    endpoint: String = String::new(),
    interval: Span = Span::seconds(5),
    timeout: Span = Span::seconds(10),
}}

impl TracesConfig {
    /// The collector, if there is one.
    pub fn collector(&self) -> Option<Collector> {
        let (url, interval, timeout) = (self.endpoint.clone(), self.interval.0, self.timeout.0);
        (!url.is_empty()).then_some(Collector { url, interval, timeout })
    }

    /// What is wrong with a value.
    pub(super) fn problem(&self) -> Option<String> {
        if self.interval.0.is_zero() || self.timeout.0.is_zero() {
            return Some("traces.interval, traces.timeout: expected more than no time".to_owned());
        }
        let is_url = |url: &url::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        let is_fine =
            self.endpoint.is_empty() || self.endpoint.parse::<url::Url>().is_ok_and(|url| is_url(&url));
        (!is_fine).then(|| {
            format!(
                "traces.endpoint: expected an OTLP/HTTP URL like http://127.0.0.1:4318/v1/traces, found {:?}",
                self.endpoint
            )
        })
    }
}
