//! One capability: an atom of authority. It denotes the set of requests it admits: a resource pattern and
//! constraints on named arguments, on the time, on how far it may be passed on and how often it may be used, all of
//! which must hold.

mod constraint;
mod json;
mod pattern;
mod rate;
mod text;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub(crate) use self::constraint::Constraint;
pub use self::json::JsonError;
use self::pattern::is_segment;
pub(crate) use self::pattern::{Pattern, Segment};
pub(crate) use self::rate::Rates;
pub(crate) use self::text::MAX_TEXT_BYTES;
pub use self::text::{ParseError, money, parse_money};
use crate::ledger::{Ceilings, Unit};

/// Most constraints one capability may have; each rate counts as one.
pub const MAX_CONSTRAINTS: usize = 16;
/// Most often a capability may say it can be passed on.
pub const MAX_HOPS: u8 = 8;

/// Names of constraints with a meaning of their own.
pub(crate) const NOT_BEFORE: &str = "nbf";
pub(crate) const BEFORE: &str = "exp";
pub(crate) const HOPS: &str = "hops";
pub(crate) const RATE: &str = "rate";

/// An atom of authority, such as `a2a:skill/researcher/summarize` or `mcp:tool/search{calls<=20}`.
///
/// Equal sets of requests have equal texts, so `==`, hashing and ordering are by value. "Nothing" is not a capability:
/// a meet that admits nothing is `None`. Copies share their content.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Capability(Arc<Atom>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Atom {
    space: String,
    kind: String,
    resource: Pattern,
    constraints: Constraints,
}

/// Constraints by name, sorted, each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Constraints(Vec<(String, Constraint)>);

/// Something an agent wants to do, and the circumstances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// `a2a`, `mcp`, …
    pub space: &'a str,
    /// `skill`, `tool`, …
    pub kind: &'a str,
    /// Segments of the resource, decoded.
    pub path: &'a [&'a str],
    /// Named arguments.
    pub args: &'a [(&'a str, Arg<'a>)],
    /// Now, in seconds since the epoch.
    pub time: u64,
    /// How often the capability must be passed on before this use: 0 for its holder.
    pub hop: u32,
    /// When it was used before, in seconds since the epoch, in any order.
    pub recent: &'a [u64],
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

/// What keeps a capability from admitting a request, the least lasting first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bar {
    /// A rate: it will again after so many seconds.
    Rate { retry_after: u64 },
    /// Too little is left of a ceiling.
    Ceiling { unit: Unit },
    /// Anything else.
    Final,
}

impl Capability {
    fn new(space: String, kind: String, resource: Pattern, constraints: Constraints) -> Self {
        Self(Arc::new(Atom { space, kind, resource, constraints }))
    }

    /// The capability to invoke a skill of an agent; any characters may stand in either name.
    pub fn invoke(agent: &str, skill: &str) -> Self {
        Self::of_skill(Pattern::literal([agent, skill]))
    }

    /// The capability to invoke every skill of an agent.
    pub fn invoke_any(agent: &str) -> Self {
        Self::of_skill(Pattern::literal([agent]).with_any_segment())
    }

    fn of_skill(resource: Pattern) -> Self {
        Self::new("a2a".into(), "skill".into(), resource, Constraints::default())
    }

    /// Its space, such as `a2a` or `mcp`.
    pub fn space(&self) -> &str {
        &self.0.space
    }

    /// Its kind, such as `skill` or `tool`.
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// Whether both speak of the same kind of thing.
    pub(crate) fn is_akin(&self, other: &Self) -> bool {
        self.family() == other.family()
    }

    /// What scopes are indexed by.
    pub(crate) fn family(&self) -> (&str, &str) {
        (&self.0.space, &self.0.kind)
    }

    pub(crate) fn resource(&self) -> &Pattern {
        &self.0.resource
    }

    /// The same for another resource.
    pub(crate) fn with_resource(&self, resource: Pattern) -> Self {
        Self::new(self.space().to_owned(), self.kind().to_owned(), resource, self.constraints().clone())
    }

    pub(crate) fn constraints(&self) -> &Constraints {
        &self.0.constraints
    }

    /// How many constraints it has.
    pub(crate) fn size(&self) -> usize {
        self.0.constraints.iter().map(|(_, constraint)| constraint.size()).sum()
    }

    /// Whether everything this admits, `other` admits too (⊑). Linear in their size.
    pub fn is_within(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.is_akin(other)
                && self.0.resource.le(&other.0.resource)
                && self.0.constraints.le(&other.0.constraints))
    }

    /// What both admit; `None` if that is nothing.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Option<Self> {
        if !self.is_akin(other) {
            return None;
        }
        let resource = self.0.resource.meet(&other.0.resource)?;
        let constraints = self.0.constraints.meet(&other.0.constraints)?;
        Some(Self::new(self.0.space.clone(), self.0.kind.clone(), resource, constraints))
    }

    /// Whether it admits a request. A constrained argument must be present.
    pub fn admits(&self, request: &Request<'_>) -> bool {
        let is_skill = self.family() == ("a2a", "skill");
        let segment = |(position, text): (usize, &&str)| is_segment(text, is_skill && position == 1);
        self.family() == (request.space, request.kind)
            && request.path.iter().enumerate().all(segment)
            && self.0.resource.admits(request.path)
            && self.0.constraints.iter().all(|(name, constraint)| constraint.admits(name, request))
    }

    /// What keeps it from admitting a request that its resource fits; `None` if nothing does.
    pub(crate) fn bar(&self, request: &Request<'_>) -> Option<Bar> {
        let barring =
            self.0.constraints.iter().filter(|(name, constraint)| !constraint.admits(name, request));
        barring
            .map(|(name, constraint)| match (constraint, Unit::named(name)) {
                (Constraint::Rate(rates), _) => {
                    Bar::Rate { retry_after: rates.wait(request.time, request.recent).unwrap_or(1) }
                }
                (_, Some(unit)) => Bar::Ceiling { unit },
                _ => Bar::Final,
            })
            .max()
    }

    /// Its rates, if it has any.
    pub(crate) fn rates(&self) -> Option<&Rates> {
        match self.0.constraints.get(RATE) {
            Some(Constraint::Rate(rates)) => Some(rates),
            _ => None,
        }
    }

    /// Its ceilings.
    pub fn ceilings(&self) -> Ceilings {
        let mut ceilings = Ceilings::default();
        for unit in Unit::ALL {
            if let Some(Constraint::Range { hi, .. }) = self.0.constraints.get(unit.name()) {
                ceilings.set(unit, Some(*hi));
            }
        }
        ceilings
    }

    /// The same with its ceilings lowered to these.
    #[must_use]
    pub fn lowered(&self, left: &Ceilings) -> Self {
        let lower = |capability: Self, unit: Unit| match (capability.ceilings().get(unit), left.get(unit)) {
            (Some(own), Some(left)) if left < own => {
                capability.with(unit.name(), Some(Constraint::Range { lo: 0, hi: left }))
            }
            _ => capability,
        };
        Unit::ALL.into_iter().fold(self.clone(), lower)
    }

    /// Whether holding this is enough for what is required, at a time. Quantities the requirement does not state are
    /// asked for in no particular amount; something must be left of them.
    pub(crate) fn satisfies(&self, required: &Self, now: u64) -> bool {
        let enough = |(name, ours): (&str, &Constraint)| match (required.0.constraints.get(name), ours) {
            (Some(theirs), _) => theirs.le(ours),
            (None, Constraint::NotBefore(from)) => now >= *from,
            (None, Constraint::Before(end)) => now < *end,
            (None, Constraint::Hops(_) | Constraint::Rate(_)) => true,
            (None, Constraint::Range { hi, .. }) => Unit::named(name).is_some() && *hi > 0,
            (None, _) => false,
        };
        self.is_akin(required)
            && required.0.resource.le(&self.0.resource)
            && self.0.constraints.iter().all(enough)
    }

    /// What a delegate gets of it: one hop less; `None` if it may not be passed on.
    pub(crate) fn passed_on(&self) -> Option<Self> {
        match self.0.constraints.get(HOPS) {
            None => Some(self.clone()),
            Some(Constraint::Hops(0)) => None,
            Some(Constraint::Hops(hops)) => Some(self.with(HOPS, Some(Constraint::Hops(hops - 1)))),
            Some(_) => None,
        }
    }

    /// The same for its holder alone: to be used, and not passed on.
    #[must_use]
    pub fn for_holder_alone(&self) -> Self {
        self.with(HOPS, Some(Constraint::Hops(0)))
    }

    /// The same with another constraint of that name, or none.
    pub(crate) fn with(&self, name: &str, constraint: Option<Constraint>) -> Self {
        let mut atom = (*self.0).clone();
        atom.constraints.remove(name);
        if let Some(constraint) = constraint {
            atom.constraints.insert(name.to_owned(), constraint);
        }
        Self(Arc::new(atom))
    }
}

impl Constraints {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Constraint)> {
        self.0.iter().map(|(name, constraint)| (name.as_str(), constraint))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Constraint> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, constraint)| constraint)
    }

    fn remove(&mut self, name: &str) -> Option<Constraint> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(index).1)
    }

    /// Adds a constraint under a name that has none.
    fn insert(&mut self, name: String, constraint: Constraint) {
        let index = self.0.partition_point(|(known, _)| *known < name);
        self.0.insert(index, (name, constraint));
    }

    /// Each of theirs is matched by a tighter one here. Both are sorted, so one walk finds all.
    fn le(&self, other: &Self) -> bool {
        let mut ours = self.iter();
        other.iter().all(|(name, theirs)| {
            ours.find(|(known, _)| *known >= name)
                .is_some_and(|(known, mine)| known == name && mine.le(theirs))
        })
    }

    /// Those of both; `None` if together they admit nothing.
    fn meet(&self, other: &Self) -> Option<Self> {
        let mut met = self.clone();
        for (name, theirs) in other.iter() {
            let narrowed = match met.remove(name) {
                Some(ours) => ours.meet(theirs)?,
                None => theirs.clone(),
            };
            met.insert(name.to_owned(), narrowed);
        }
        met.window_is_open().then_some(met)
    }

    /// Whether some time is left between `nbf` and `exp`.
    fn window_is_open(&self) -> bool {
        match (self.get(NOT_BEFORE), self.get(BEFORE)) {
            (Some(Constraint::NotBefore(from)), Some(Constraint::Before(end))) => from < end,
            _ => true,
        }
    }
}

impl fmt::Display for Capability {
    /// The canonical text, a legal OAuth scope-token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}{}", self.0.space, self.0.kind, self.0.resource)?;
        for (index, (name, constraint)) in self.0.constraints.iter().enumerate() {
            f.write_str(if index == 0 { "{" } else { ";" })?;
            constraint.write(name, f)?;
        }
        if self.0.constraints.0.is_empty() { Ok(()) } else { f.write_str("}") }
    }
}

impl FromStr for Capability {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text::parse(text)
    }
}
