//! What the specification asks of a server, as `requirements.toml` traces it: each requirement with the checks that
//! judge it, or the reason why none does.

use serde::Deserialize;

/// The traced specification.
const TRACE: &str = include_str!("../../requirements.toml");

/// How binding a requirement is (RFC 2119).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// A server that does otherwise does not conform.
    Must,
    /// A server may do otherwise with good reason.
    Should,
    /// Offered by some.
    May,
}

impl Level {
    /// As the specification writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
        }
    }
}

/// A requirement.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Section and number: `3.1.2-4`.
    pub id: String,
    /// How binding it is.
    pub level: Level,
    /// What it asks, in short.
    pub text: String,
    /// How many keywords of its section it stands for; 0 where the text asks by a table or a proto comment.
    #[serde(default = "one")]
    pub keywords: usize,
    /// The checks that judge it.
    #[serde(default)]
    pub checks: Vec<String>,
    /// Why it cannot be seen from outside.
    pub untestable: Option<String>,
    /// It binds clients, not servers.
    #[serde(default)]
    pub client: bool,
    /// It binds authors of documents, bindings, extensions or SDKs, not a running server; who.
    pub document: Option<String>,
}

fn one() -> usize {
    1
}

/// A section that binds somebody.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Its number.
    pub id: String,
    /// Its title.
    pub title: String,
    /// How often the keywords MUST, SHALL, REQUIRED, SHOULD and RECOMMENDED stand in it.
    pub keywords: usize,
    /// Its requirements.
    pub requirements: Vec<Requirement>,
}

/// The trace of a specification.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// Which specification.
    pub specification: String,
    /// Its sections that bind somebody, in order.
    #[serde(rename = "section")]
    pub sections: Vec<Section>,
}

impl Trace {
    /// The trace the suite was built with.
    pub fn read() -> Result<Self, String> {
        toml::from_str(TRACE).map_err(|error| format!("requirements.toml: {error}"))
    }

    /// Every requirement, in order.
    pub fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        self.sections.iter().flat_map(|section| &section.requirements)
    }
}
