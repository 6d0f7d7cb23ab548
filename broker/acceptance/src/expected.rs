//! What a delegate is told of what is accepted, so that it knows what is expected of it: all that it can see to by itself,
//! and nothing of the judge, who is not to be addressed in the result.

use serde::Serialize;
use serde_json::Value;

use crate::criteria::{Acceptance, ArtifactWish};
use crate::specification::Specification;

/// What is expected of a result.
#[derive(Debug, Serialize)]
pub struct Expected<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
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

impl<'a> Expected<'a> {
    /// What a specification says about the result, if it says anything a delegate can see to.
    pub fn of(specification: &'a Specification) -> Option<Self> {
        let (text, accept) = (specification.expected.as_deref(), specification.accept.as_ref());
        let nothing = Acceptance::default();
        if text.is_none() && accept.is_none_or(|accept| is_only_judged(accept, &nothing)) {
            return None;
        }
        let cited = |accept: &'a Acceptance| {
            let citations = accept.citations.as_ref()?;
            let sources = citations.sources.iter().map(|source| source.id.as_str()).collect();
            Some(Cited { sources, min: citations.least() })
        };
        Some(Self {
            text,
            output_modes: accept.map_or(&[], |accept| &accept.output_modes),
            max_bytes: accept.and_then(|accept| accept.max_bytes),
            artifacts: accept.map_or(&[], |accept| &accept.artifacts),
            schema: accept.and_then(|accept| accept.schema.as_ref()),
            citations: accept.and_then(cited),
            expression: accept.and_then(|accept| accept.expression.as_deref()),
        })
    }
}

fn is_only_judged(accept: &Acceptance, nothing: &Acceptance) -> bool {
    Acceptance { judge: None, ..accept.clone() } == *nothing
}
