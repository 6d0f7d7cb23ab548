//! `[selection]`: how delegates are chosen.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::stages::{EmbeddingsConfig, RerankerConfig};
use crate::service::SelectionOptions;

section! { SelectionConfig {
    threshold: f32 = 0.6,
    scope: f32 = 0.3,
    questions: usize = 3,
    tier: Tier = Tier::Static,
    model: PathBuf = PathBuf::new(),
    embeddings: EmbeddingsConfig = EmbeddingsConfig::default(),
    reranker: RerankerConfig = RerankerConfig::default(),
}}

/// What turns texts into vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// The table that is part of the program.
    Static,
    /// A MiniLM sentence model, from a file.
    Minilm,
}

impl SelectionConfig {
    /// As the service has it.
    pub fn options(&self) -> SelectionOptions {
        SelectionOptions {
            threshold: self.threshold,
            scope: self.scope,
            questions: self.questions,
            rerank: self.reranker.options(),
        }
    }

    /// What is wrong with a value.
    pub(super) fn problem(&self) -> Option<String> {
        for (key, value) in [("threshold", self.threshold), ("scope", self.scope)] {
            if !(0.0..=1.0).contains(&value) {
                return Some(format!("selection.{key}: expected a number from 0 to 1, found {value}"));
            }
        }
        if self.tier == Tier::Minilm && self.model.as_os_str().is_empty() {
            let problem = "selection.model: expected the file of the model that selection.tier = \"minilm\" needs (docs/selection.md)";
            return Some(problem.to_owned());
        }
        self.embeddings.problem().or_else(|| self.reranker.problem())
    }
}
