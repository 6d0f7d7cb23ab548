//! What an operator says about trying an agent's tasks again: for all its skills, and for single ones.

use std::collections::BTreeMap;

use broker_core::delegation::input::RetryWish;
use broker_core::journal::Fallback;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `retry` of an agent, as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryConfig {
    /// Attempts before another delegate is looked for, or the task fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Doing it twice is harmless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// Agents that may do it instead, in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Vec<String>>,
    /// The same for single skills, by id; goes before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skills: BTreeMap<String, SkillRetry>,
}

/// The same for one skill.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SkillRetry {
    /// Attempts before another delegate is looked for, or the task fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Doing it twice is harmless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// Agents that may do it instead, in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Vec<String>>,
}

/// The same as the core has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::service) struct RetryPolicy {
    pub(in crate::service) all: RetryWish,
    pub(in crate::service) skills: BTreeMap<String, RetryWish>,
}

impl RetryPolicy {
    pub(super) fn of(config: &RetryConfig) -> Self {
        let wish = |max_attempts, idempotent, fallback: &Option<Vec<String>>| RetryWish {
            max_attempts,
            idempotent,
            fallback: fallback.clone().map(Fallback::Agents),
        };
        let of_skill = |(id, skill): (&String, &SkillRetry)| {
            (id.clone(), wish(skill.max_attempts, skill.idempotent, &skill.fallback))
        };
        Self {
            all: wish(config.max_attempts, config.idempotent, &config.fallback),
            skills: config.skills.iter().map(of_skill).collect(),
        }
    }
}
