//! `[selection.reranker]` and `[selection.embeddings]`: further stages of choosing, by models somewhere else. A stage
//! without an URL is off.

use serde::{Deserialize, Serialize};

use super::Span;
use super::secret::SecretRef;
use crate::address::{Destination, GivenBy};
use crate::ranking::Bounds;
use crate::service::RerankOptions;

section! { RerankerConfig {
    url: String = String::new(),
    model: String = String::new(),
    key_env: String = String::new(),
    key_file: String = String::new(),
    timeout: Span = Span::seconds(2),
    top: usize = 10,
    weight: f32 = 0.6,
    ask_below: f32 = 1.0,
    calls_per_minute: u64 = 60,
    tokens_per_day: u64 = 2_000_000,
    pause: Span = Span::seconds(30),
}}

impl RerankerConfig {
    /// Whether there is one.
    pub fn is_on(&self) -> bool {
        !self.url.is_empty()
    }

    /// How far it is listened to.
    pub(super) fn options(&self) -> RerankOptions {
        RerankOptions { top: self.top, weight: self.weight, ask_below: self.ask_below }
    }

    /// Bounds on it.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            timeout: self.timeout.0,
            calls_per_minute: self.calls_per_minute,
            tokens_per_day: self.tokens_per_day,
            pause: self.pause.0,
        }
    }

    /// Where its key is.
    pub fn key(&self) -> Option<SecretRef> {
        key(&self.key_env, &self.key_file)
    }

    /// What is wrong with a value; what is said of its key does not repeat it.
    pub(super) fn problem(&self) -> Option<String> {
        let most = broker_selection::reranking::MAX_SHOWN;
        let problem = if !(2..=most).contains(&self.top) {
            Some(format!("top: expected 2 to {most}, found {}", self.top))
        } else if !(self.weight > 0.0 && self.weight <= 1.0) {
            Some(format!("weight: expected a number above 0 and at most 1, found {}", self.weight))
        } else if !(0.0..=1.0).contains(&self.ask_below) {
            Some(format!("ask_below: expected a number from 0 to 1, found {}", self.ask_below))
        } else {
            endpoint_problem(&self.url, &self.model, [&self.key_env, &self.key_file], self.timeout)
        };
        problem.map(|problem| format!("selection.reranker.{problem}"))
    }
}

section! { EmbeddingsConfig {
    url: String = String::new(),
    model: String = String::new(),
    dimensions: usize = 0,
    shorten: bool = false,
    key_env: String = String::new(),
    key_file: String = String::new(),
    timeout: Span = Span::seconds(1),
    calls_per_minute: u64 = 600,
    tokens_per_day: u64 = 5_000_000,
    pause: Span = Span::seconds(30),
}}

impl EmbeddingsConfig {
    /// Whether there is one.
    pub fn is_on(&self) -> bool {
        !self.url.is_empty()
    }

    /// Bounds on it.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            timeout: self.timeout.0,
            calls_per_minute: self.calls_per_minute,
            tokens_per_day: self.tokens_per_day,
            pause: self.pause.0,
        }
    }

    /// Where its key is.
    pub fn key(&self) -> Option<SecretRef> {
        key(&self.key_env, &self.key_file)
    }

    /// What is wrong with a value; what is said of its key does not repeat it.
    pub(super) fn problem(&self) -> Option<String> {
        let most = broker_selection::remote::MAX_DIMENSIONS;
        let problem = if self.is_on() && !(1..=most).contains(&self.dimensions) {
            Some(format!(
                "dimensions: expected how many numbers the model's vectors have, 1 to {most}, found {}; of longer ones an \
                 endpoint may give the beginning (selection.embeddings.shorten)",
                self.dimensions
            ))
        } else {
            endpoint_problem(&self.url, &self.model, [&self.key_env, &self.key_file], self.timeout)
        };
        problem.map(|problem| format!("selection.embeddings.{problem}"))
    }
}

fn key(env: &str, file: &str) -> Option<SecretRef> {
    if env.is_empty() {
        (!file.is_empty()).then(|| SecretRef::File(file.into()))
    } else {
        Some(SecretRef::Env(env.to_owned()))
    }
}

/// What is wrong with the keys every stage has.
fn endpoint_problem(url: &str, model: &str, [env, file]: [&str; 2], timeout: Span) -> Option<String> {
    if url.is_empty() {
        return None;
    }
    if let Err(refused) = Destination::judge(url, &GivenBy::Operator) {
        return Some(format!("url: {refused}; such as \"http://127.0.0.1:8000/v1\""));
    }
    if model.is_empty() {
        return Some("model: expected the name of a model the endpoint at url serves".to_owned());
    }
    if !env.is_empty() && !file.is_empty() {
        return Some("key_env: expected either key_env or key_file, found both".to_owned());
    }
    if !env.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Some(
            "key_env: expected the name of an environment variable (letters, digits, _); the key itself does not belong \
             here, so put it there and change it if others could read it"
                .to_owned(),
        );
    }
    timeout.0.is_zero().then(|| "timeout: expected a time longer than 0s".to_owned())
}
