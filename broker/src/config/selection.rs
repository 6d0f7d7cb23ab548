//! How delegates are chosen.

use serde::{Deserialize, Serialize};

use crate::service::SelectionOptions;

section! { SelectionConfig {
    threshold: f32 = 0.6,
    scope: f32 = 0.3,
    questions: usize = 3,
}}

impl SelectionConfig {
    /// As the service has it.
    pub fn options(&self) -> SelectionOptions {
        SelectionOptions { threshold: self.threshold, scope: self.scope, questions: self.questions }
    }
}
