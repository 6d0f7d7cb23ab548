//! What a delegate is told of what is accepted, so that it knows what is expected of it: all that it can see to by itself,
//! and nothing of the judge, who is not to be addressed in the result.

use serde::Serialize;
use serde_json::Value;

use crate::criteria::{Acceptance, ArtifactWish};
use crate::specification::Specification;

/// What a result is checked against.
#[derive(Debug, Serialize)]
pub struct Criteria<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    output_modes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
    #[serde(skip_serializing_if = "<[ArtifactWish]>::is_empty")]
    artifacts: &'a [ArtifactWish],
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    citations: Option<Cited<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expression: Option<&'a str>,
}

/// The sources that may be cited, and how many of them have to be.
#[derive(Debug, Serialize)]
struct Cited<'a> {
    sources: Vec<&'a str>,
    min: u64,
}

impl<'a> Criteria<'a> {
    /// What a specification says about the result, if it says anything a delegate can see to.
    pub fn of(specification: &'a Specification) -> Option<Self> {
        let accept = specification.accept.as_ref().filter(|accept| !is_only_judged(accept))?;
        let citations = accept.citations.as_ref().map(|citations| Cited {
            sources: citations.sources.iter().map(|source| source.id.as_str()).collect(),
            min: citations.least(),
        });
        Some(Self {
            output_modes: &accept.output_modes,
            max_bytes: accept.max_bytes,
            artifacts: &accept.artifacts,
            schema: accept.schema.as_ref(),
            citations,
            expression: accept.expression.as_deref(),
        })
    }
}

fn is_only_judged(accept: &Acceptance) -> bool {
    Acceptance { judge: None, ..accept.clone() } == Acceptance::default()
}
