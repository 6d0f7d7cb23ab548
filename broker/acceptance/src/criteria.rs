//! What a delegator accepts: the member `accept` of the extension's object, read and bounded. What is not known is refused,
//! so that nobody relies on a check that is never made.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::citations::Citations;
use crate::expression;
use crate::judge::Judge;
use crate::numbers::{whole, with_whole_numbers};
use crate::produced::Piece;
use crate::schema;

/// Most bytes of all criteria together, as they come: they are stored with the task.
pub const MAX_ACCEPT_BYTES: usize = 256 * 1024;
/// Most media types.
const MAX_OUTPUT_MODES: usize = 32;
/// Most wishes for artifacts.
const MAX_ARTIFACTS: usize = 64;
/// Most artifacts that one of them can ask for.
const MAX_OF_ONE: u64 = 64;
/// Longest name, id or media type.
const MAX_NAME_BYTES: usize = 256;
/// Hex digits of a SHA-256.
const SHA256_DIGITS: usize = 64;

/// What a delegator accepts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// Media types its parts may have; `text/*` and `*/*` as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_modes: Vec<String>,
    /// Most bytes of all its parts together.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    pub max_bytes: Option<u64>,
    /// Artifacts that have to be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<ArtifactWish>,
    /// JSON Schema for all JSON in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// What it has to cite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub citations: Option<Citations>,
    /// A CEL expression over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// Another agent, which judges it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<Judge>,
}

/// An artifact that has to be there: any, if neither its name nor its id is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactWish {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_id: Option<String>,
    /// What all its parts have to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// How many of it; 1 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    pub min: Option<u64>,
    /// Most bytes of each.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    pub max_bytes: Option<u64>,
    /// SHA-256 of its text or bytes, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Why criteria cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// `.member`, or empty for the object as a whole.
    pub member: String,
    /// What is wrong and what was expected.
    pub problem: String,
}

impl Wrong {
    pub(crate) fn new(member: &str, problem: impl Into<String>) -> Self {
        Self { member: member.to_owned(), problem: problem.into() }
    }
}

impl Acceptance {
    /// Reads criteria and judges whether they can be applied.
    pub fn read(raw: &RawValue) -> Result<Self, Wrong> {
        let length = raw.get().len();
        if length > MAX_ACCEPT_BYTES {
            return Err(Wrong::new("", at_most(MAX_ACCEPT_BYTES, "bytes", length)));
        }
        let read: Self =
            serde_json::from_str(raw.get()).map_err(|error| Wrong::new("", error.to_string()))?;
        let accept = Self { schema: read.schema.map(with_whole_numbers), ..read };
        accept.check()?;
        Ok(accept)
    }

    fn check(&self) -> Result<(), Wrong> {
        if *self == Self::default() {
            let expected = "expected at least one of output_modes, max_bytes, artifacts, schema, citations, \
                            expression, judge";
            return Err(Wrong::new("", expected));
        }
        bounded(".output_modes", self.output_modes.len(), MAX_OUTPUT_MODES)?;
        self.output_modes.iter().try_for_each(|mode| media_type(".output_modes", mode))?;
        bounded(".artifacts", self.artifacts.len(), MAX_ARTIFACTS)?;
        for (index, wish) in self.artifacts.iter().enumerate() {
            wish.check()
                .map_err(|wrong| Wrong { member: format!(".artifacts[{index}]{}", wrong.member), ..wrong })?;
        }
        if let Some(schema) = &self.schema {
            schema::compile(schema).map_err(|problem| Wrong::new(".schema", problem))?;
        }
        self.citations.as_ref().map_or(Ok(()), Citations::check)?;
        if let Some(expression) = &self.expression {
            expression::compile(expression).map_err(|problem| Wrong::new(".expression", problem))?;
        }
        self.judge.as_ref().map_or(Ok(()), Judge::check)
    }
}

impl ArtifactWish {
    fn check(&self) -> Result<(), Wrong> {
        for (member, text) in [(".name", &self.name), (".artifact_id", &self.artifact_id)] {
            text.as_ref().map_or(Ok(()), |text| short(member, text))?;
        }
        self.media_type.as_ref().map_or(Ok(()), |text| media_type(".media_type", text))?;
        if self.min.is_some_and(|min| min > MAX_OF_ONE) {
            return Err(Wrong::new(".min", format!("expected at most {MAX_OF_ONE}")));
        }
        match &self.sha256 {
            Some(hex) if hex.len() != SHA256_DIGITS || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Err(Wrong::new(".sha256", format!("expected {SHA256_DIGITS} hex digits")))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn means(&self, piece: &Piece) -> bool {
        let agrees = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        agrees(&self.name, &piece.name) && agrees(&self.artifact_id, &piece.artifact_id)
    }

    pub(crate) fn words(&self) -> String {
        match (&self.name, &self.artifact_id) {
            (Some(name), _) => format!("artifact {name:?}"),
            (None, Some(id)) => format!("artifact {id:?} (artifact_id)"),
            (None, None) => "artifact of any name".to_owned(),
        }
    }
}

/// A list that is not longer than it may be.
pub(crate) fn bounded(member: &str, length: usize, most: usize) -> Result<(), Wrong> {
    if length <= most { Ok(()) } else { Err(Wrong::new(member, at_most(most, "of them", length))) }
}

/// A text that is neither empty nor too long.
pub(crate) fn sized(member: &str, text: &str, most: usize) -> Result<(), Wrong> {
    match text.len() {
        0 => Err(Wrong::new(member, "expected a text that is not empty")),
        length if length > most => Err(Wrong::new(member, at_most(most, "bytes", length))),
        _ => Ok(()),
    }
}

/// A name.
pub(crate) fn short(member: &str, text: &str) -> Result<(), Wrong> {
    sized(member, text, MAX_NAME_BYTES)
}

fn media_type(member: &str, text: &str) -> Result<(), Wrong> {
    short(member, text)?;
    if text.contains('/') {
        return Ok(());
    }
    Err(Wrong::new(member, format!("expected media types such as text/plain or text/*, found {text:?}")))
}

fn at_most(most: usize, what: &str, found: usize) -> String {
    format!("expected at most {most} {what}, found {found}")
}
