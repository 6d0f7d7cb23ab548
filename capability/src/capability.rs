//! One capability: an atom of authority. It denotes the set of requests it admits: a resource pattern and
//! constraints on named arguments, all of which must hold.

mod constraint;
mod pattern;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

pub(crate) use self::constraint::Constraint;
pub(crate) use self::pattern::Pattern;
pub use self::text::ParseError;

/// Most constraints one capability may have.
pub(crate) const MAX_CONSTRAINTS: usize = 16;

/// An atom of authority, such as `a2a:skill/researcher/summarize` or `mcp:tool/search{calls<=20}`.
///
/// Equal sets of requests have equal texts, so `==`, hashing and ordering are by value. "Nothing" is not a capability:
/// a meet that admits nothing is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Capability {
    pub(crate) space: String,
    pub(crate) kind: String,
    pub(crate) resource: Pattern,
    pub(crate) constraints: BTreeMap<String, Constraint>,
}

/// Something an agent wants to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// `a2a`, `mcp`, …
    pub space: &'a str,
    /// `skill`, `tool`, …
    pub kind: &'a str,
    /// Segments of the resource, decoded.
    pub path: &'a [&'a str],
    /// Named arguments.
    pub args: &'a [(&'a str, Arg<'a>)],
}

/// The value of an argument. A constraint admits only values of its own type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg<'a> {
    /// An integer; money in millionths.
    Int(u64),
    /// A word.
    Text(&'a str),
    /// Segments of a path.
    Path(&'a [&'a str]),
    /// Labels of a host name, outermost first (`com`, `example`, `www`).
    Host(&'a [&'a str]),
}

impl Capability {
    /// The capability to invoke a skill of an agent; any characters may stand in either name.
    pub fn invoke(agent: &str, skill: &str) -> Self {
        Self::of_skill(Pattern::literal([agent, skill]))
    }

    /// The capability to invoke every skill of an agent.
    pub fn invoke_any(agent: &str) -> Self {
        Self::of_skill(Pattern::literal([agent]).with_any_segment())
    }

    fn of_skill(resource: Pattern) -> Self {
        Self { space: "a2a".into(), kind: "skill".into(), resource, constraints: BTreeMap::new() }
    }

    /// Whether everything this admits, `other` admits too.
    pub fn le(&self, other: &Self) -> bool {
        self.space == other.space
            && self.kind == other.kind
            && self.resource.le(&other.resource)
            && other
                .constraints
                .iter()
                .all(|(name, theirs)| self.constraints.get(name).is_some_and(|ours| ours.le(theirs)))
    }

    /// What both admit; `None` if that is nothing, or needs more constraints than a capability may have.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Option<Self> {
        if self.space != other.space || self.kind != other.kind {
            return None;
        }
        let resource = self.resource.meet(&other.resource)?;
        let mut constraints = self.constraints.clone();
        for (name, theirs) in &other.constraints {
            let narrowed = match constraints.get(name) {
                Some(ours) => ours.meet(theirs)?,
                None => theirs.clone(),
            };
            constraints.insert(name.clone(), narrowed);
        }
        (constraints.len() <= MAX_CONSTRAINTS).then(|| Self {
            space: self.space.clone(),
            kind: self.kind.clone(),
            resource,
            constraints,
        })
    }

    /// Whether it admits a request. A constrained argument must be present.
    pub fn admits(&self, request: &Request<'_>) -> bool {
        self.space == request.space
            && self.kind == request.kind
            && self.resource.admits(request.path)
            && self.constraints.iter().all(|(name, constraint)| {
                request.args.iter().any(|(given, value)| given == name && constraint.admits(*value))
            })
    }
}

impl fmt::Display for Capability {
    /// The canonical text, a legal OAuth scope-token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}{}", self.space, self.kind, self.resource)?;
        let mut constraints = self.constraints.iter();
        if let Some((name, first)) = constraints.next() {
            f.write_str("{")?;
            first.write(name, f)?;
            for (name, constraint) in constraints {
                f.write_str(";")?;
                constraint.write(name, f)?;
            }
            f.write_str("}")?;
        }
        Ok(())
    }
}

impl FromStr for Capability {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text::parse(text)
    }
}
