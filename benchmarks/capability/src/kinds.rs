//! The shared kinds, described once and apart from `capability`, so that what is compared has no code in common.

use std::collections::{BTreeMap, BTreeSet};

use capability::{Arg, Request, Scope};

/// One capability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Atom {
    /// `space:kind`.
    pub action: &'static str,
    /// What it is about.
    pub resource: Segments,
    /// What its arguments must be.
    pub bounds: BTreeMap<&'static str, Bound>,
}

/// A pattern over segments; `rest` is a final `/**`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    pub segments: Vec<Segment>,
    pub rest: bool,
}

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    Literal(String),
    Prefix(String),
    Any,
}

/// A bound on one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    /// From, and up to and including; `None` is without an end. At least one end is set.
    Range(Option<u64>, Option<u64>),
    Path(Segments),
    /// Labels outermost first; only the last may be `Any`, and none is a prefix.
    Host(Segments),
    /// From this second on.
    From(u64),
    /// Up to this second, not including it.
    Before(u64),
}

/// What somebody wants to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub action: &'static str,
    pub path: Vec<String>,
    pub args: BTreeMap<&'static str, Given>,
    /// When, in seconds since the epoch.
    pub time: u64,
}

/// The value of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    Int(u64),
    Text(String),
    Path(Vec<String>),
    Host(Vec<String>),
}

impl Atom {
    /// The text of `capability`.
    pub fn text(&self) -> String {
        let bounds: Vec<String> = self.bounds.iter().map(|(name, bound)| bound.text(name)).collect();
        let constraints = if bounds.is_empty() { String::new() } else { format!("{{{}}}", bounds.join(";")) };
        format!("{}{}{constraints}", self.action, self.resource.text())
    }

    /// Whether an enum here lies under a not-in there: the one narrowing tenuo has no rule for.
    pub fn enum_under_not_in(&self, other: &Self) -> bool {
        self.bounds.iter().any(|(name, bound)| {
            matches!((bound, other.bounds.get(name)), (Bound::In(_), Some(Bound::NotIn(_))))
        })
    }
}

/// The scope of these atoms.
pub fn scope(atoms: &[Atom]) -> Scope {
    Scope::parse(atoms.iter().map(Atom::text)).unwrap_or_else(|error| panic!("{error}: {atoms:?}"))
}

impl Segments {
    fn text(&self) -> String {
        let segments: String = self.segments.iter().map(|segment| format!("/{}", segment.text())).collect();
        segments + if self.rest { "/**" } else { "" }
    }

    fn host_text(&self) -> String {
        let labels: Vec<String> = self.segments.iter().rev().map(Segment::text).collect();
        format!("{}{}", if self.rest { "**." } else { "" }, labels.join("."))
    }
}

impl Segment {
    fn text(&self) -> String {
        match self {
            Self::Literal(text) => text.clone(),
            Self::Prefix(prefix) => format!("{prefix}*"),
            Self::Any => "*".to_owned(),
        }
    }
}

impl Bound {
    fn text(&self, name: &str) -> String {
        let words = |words: &BTreeSet<String>| words.iter().cloned().collect::<Vec<_>>().join("|");
        match self {
            Self::In(known) => format!("{name}={}", words(known)),
            Self::NotIn(known) => format!("{name}!={}", words(known)),
            Self::Range(lo, hi) => {
                let lo = lo.map(|lo| format!("{name}>={}", number(name, lo)));
                let hi = hi.map(|hi| format!("{name}<={}", number(name, hi)));
                lo.into_iter().chain(hi).collect::<Vec<_>>().join(";")
            }
            Self::Path(path) => format!("{name}~{}", path.text()),
            Self::Host(host) => format!("{name}~{}", host.host_text()),
            Self::From(time) => format!("{name}>={time}"),
            Self::Before(time) => format!("{name}<{time}"),
        }
    }
}

/// Money is counted in millionths and written with 2 to 6 decimals.
fn number(name: &str, value: u64) -> String {
    if name != "usd" {
        return value.to_string();
    }
    let (mut decimals, mut rest) = (6, value % 1_000_000);
    while decimals > 2 && rest % 10 == 0 {
        rest /= 10;
        decimals -= 1;
    }
    format!("{}.{rest:0decimals$}", value / 1_000_000)
}

impl Wish {
    /// Whether `capability` admits it.
    pub fn admitted_by(&self, scope: &Scope) -> bool {
        fn slices(parts: &[String]) -> Vec<&str> {
            parts.iter().map(String::as_str).collect()
        }
        let path = slices(&self.path);
        let parts: Vec<Vec<&str>> = self
            .args
            .values()
            .map(|given| match given {
                Given::Path(parts) | Given::Host(parts) => slices(parts),
                Given::Int(_) | Given::Text(_) => Vec::new(),
            })
            .collect();
        let args: Vec<(&str, Arg<'_>)> = self
            .args
            .iter()
            .zip(&parts)
            .map(|((name, given), parts)| {
                let arg = match given {
                    Given::Int(value) => Arg::Int(*value),
                    Given::Text(word) => Arg::Text(word),
                    Given::Path(_) => Arg::Path(parts),
                    Given::Host(_) => Arg::Host(parts),
                };
                (*name, arg)
            })
            .collect();
        let (space, kind) = self.action.split_once(':').unwrap_or_default();
        let Self { time, .. } = *self;
        scope.admits(&Request { space, kind, path: &path, args: &args, time, hop: 0, recent: &[] })
    }
}
