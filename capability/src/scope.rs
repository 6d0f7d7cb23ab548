//! Scopes: what a task holds. "All" and "nothing" are different constructors; a scope that must be read from outside
//! can never be "all".

mod form;
mod renamed;

use crate::capability::{Capability, JsonError, MAX_CONSTRAINTS, MAX_TEXT_BYTES, ParseError, Request};
use crate::decision::{Invocation, rate_wait};

pub use self::form::DETAILS_TYPE;

/// Most capabilities a scope may be given.
pub const MAX_CAPABILITIES: usize = 32;
/// Most capabilities a meet may produce; past that it is refused.
pub const MAX_CAPABILITIES_AFTER_MEET: usize = 64;

/// Most pairwise meets that are compared with each other to find the maximal ones; past that a meet is refused, so that
/// its work is bounded whoever states the scopes.
const MAX_CANDIDATES: usize = 4 * MAX_CAPABILITIES_AFTER_MEET;

/// A finite antichain of capabilities, or everything. Canonical: equal scopes are equal values.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope(Extent);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Extent {
    /// Everything. Exists only inside the broker; never minted, never parsed.
    All,
    /// What these admit, sorted, none below another.
    Only(Vec<Capability>),
}

/// A meet would need more than a scope may hold. Nothing is cut silently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitExceeded {
    /// Too many capabilities, or so many candidates that they are not even compared.
    #[error(
        "the scopes meet in {found} capabilities or more, more than the {MAX_CAPABILITIES_AFTER_MEET} a scope may hold"
    )]
    Capabilities {
        /// How many it would be.
        found: usize,
    },
    /// Too many constraints in one of them.
    #[error(
        "the scopes meet in a capability of {found} constraints, more than the {MAX_CONSTRAINTS} one may have"
    )]
    Constraints {
        /// How many it would be.
        found: usize,
    },
}

/// Why texts are not a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// One of them is not a capability.
    #[error("capability `{text}`: {error}")]
    Capability {
        /// The text.
        text: String,
        /// What is wrong with it.
        error: ParseError,
    },
    /// There are too many.
    #[error("expected at most {MAX_CAPABILITIES} capabilities, found {found}")]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// Together they are too long.
    #[error("expected at most {MAX_TEXT_BYTES} bytes of capabilities, found {found}")]
    TooLong {
        /// How many bytes they take.
        found: usize,
    },
    /// The JSON form is not one.
    #[error("authorization_details: {0}")]
    Json(#[from] JsonError),
}

impl Scope {
    /// Everything: an operator's, or an open broker's root. Never leaves the broker.
    pub fn top() -> Self {
        Self(Extent::All)
    }

    /// Nothing.
    pub fn empty() -> Self {
        Self(Extent::Only(Vec::new()))
    }

    /// What these capabilities admit together.
    pub fn of(capabilities: impl IntoIterator<Item = Capability>) -> Self {
        Self(Extent::Only(maximal(capabilities.into_iter().collect())))
    }

    /// Whether it is everything.
    pub fn is_top(&self) -> bool {
        self.0 == Extent::All
    }

    /// Whether it is nothing.
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Extent::Only(capabilities) if capabilities.is_empty())
    }

    /// Its capabilities in canonical order; none for the top, so ask [`Self::is_top`] first.
    pub fn iter(&self) -> impl Iterator<Item = &Capability> {
        match &self.0 {
            Extent::All => [].iter(),
            Extent::Only(capabilities) => capabilities.iter(),
        }
    }

    /// Whether every capability here has one above it there. Sound for `admits`; not complete for unions.
    pub fn le(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (_, Extent::All) => true,
            (Extent::All, Extent::Only(_)) => false,
            (Extent::Only(_), Extent::Only(_)) => self.iter().all(|capability| other.covers(capability)),
        }
    }

    /// Whether any of its capabilities limits how often it is used.
    pub fn has_rates(&self) -> bool {
        self.iter().any(|capability| capability.rates().is_some())
    }

    /// The longest window of its rates, in seconds: what was done before that no longer counts. 0 without rates.
    pub fn longest_window(&self) -> u64 {
        self.iter()
            .filter_map(Capability::rates)
            .map(crate::capability::Rates::longest_window)
            .max()
            .unwrap_or(0)
    }

    /// Seconds until its rates admit one more delegation to a skill (or, with none named, to any of the agent's), given
    /// earlier ones; `None` if they do now. Whether anything else admits it is for [`crate::decide`] to say.
    pub fn rate_wait(
        &self,
        agent: &str,
        skill: Option<&str>,
        now: u64,
        recent: &[Invocation<'_>],
    ) -> Option<u64> {
        rate_wait(self, agent, skill, now, recent)
    }

    /// Whether a capability lies below one of these.
    pub fn covers(&self, capability: &Capability) -> bool {
        self.is_top() || self.iter().any(|ours| capability.is_within(ours))
    }

    /// What both admit: the maximal pairwise meets.
    pub fn meet(&self, other: &Self) -> Result<Self, LimitExceeded> {
        match (&self.0, &other.0) {
            (Extent::All, _) => Ok(other.clone()),
            (_, Extent::All) => Ok(self.clone()),
            (Extent::Only(ours), Extent::Only(theirs)) => {
                meet(ours, theirs).map(|met| Self(Extent::Only(met)))
            }
        }
    }

    /// What either admits: the maximal elements of the union.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        if self.is_top() || other.is_top() {
            return Self::top();
        }
        Self::of(self.iter().chain(other.iter()).cloned())
    }

    /// What a delegate can get of it: every capability with one hop less, without those that may not be passed on.
    #[must_use]
    pub fn passed_on(&self) -> Self {
        match &self.0 {
            Extent::All => Self::top(),
            // One hop less everywhere keeps the order and what lies below what.
            Extent::Only(ours) => Self(Extent::Only(ours.iter().filter_map(Capability::passed_on).collect())),
        }
    }

    /// Whether it admits a request.
    pub fn admits(&self, request: &Request<'_>) -> bool {
        self.is_top() || self.iter().any(|capability| capability.admits(request))
    }
}

/// The maximal pairwise meets. Both are sorted, so that what can meet at all stands together.
fn meet(ours: &[Capability], theirs: &[Capability]) -> Result<Vec<Capability>, LimitExceeded> {
    let mut met = Vec::new();
    for akin in ours.chunk_by(Capability::is_akin) {
        let Some(family) = akin.first().map(Capability::family) else { continue };
        let start = theirs.partition_point(|other| other.family() < family);
        let end = theirs.partition_point(|other| other.family() <= family);
        meet_akin(akin, theirs.get(start..end).unwrap_or_default(), &mut met);
    }
    if let Some(found) = met.iter().map(Capability::size).find(|size| *size > MAX_CONSTRAINTS) {
        return Err(LimitExceeded::Constraints { found });
    }
    let met = if met.len() > MAX_CANDIDATES { met } else { maximal(met) };
    match met.len() {
        0..=MAX_CAPABILITIES_AFTER_MEET => Ok(met),
        found => Err(LimitExceeded::Capabilities { found }),
    }
}

/// The meets of capabilities of one family. One that lies below another of the other side meets in itself, and no
/// other meet of it is maximal; that is the usual case, and spares the others.
fn meet_akin(ours: &[Capability], theirs: &[Capability], met: &mut Vec<Capability>) {
    let below = |one: &Capability, others: &[Capability]| others.iter().any(|other| one.is_within(other));
    let (inner, left): (Vec<&Capability>, Vec<&Capability>) = ours.iter().partition(|one| below(one, theirs));
    let (inner_too, right): (Vec<&Capability>, Vec<&Capability>) =
        theirs.iter().partition(|one| below(one, ours));
    met.extend(inner.into_iter().chain(inner_too).cloned());
    let room = (MAX_CANDIDATES + 1).saturating_sub(met.len());
    met.extend(left.iter().flat_map(|a| right.iter().filter_map(|b| a.meet(b))).take(room));
}

/// Sorted, and without what lies below another.
fn maximal(mut capabilities: Vec<Capability>) -> Vec<Capability> {
    capabilities.sort_unstable();
    capabilities.dedup();
    let below = |one: &Capability| capabilities.iter().any(|other| one != other && one.is_within(other));
    let keep: Vec<bool> = capabilities.iter().map(|one| !below(one)).collect();
    let mut keep = keep.into_iter();
    capabilities.retain(|_| keep.next().unwrap_or(true));
    capabilities
}
