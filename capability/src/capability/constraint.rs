//! Constraints under a name. Those on an argument admit values of one type only, so two kinds on one name admit
//! nothing; those on time, hops and rate judge the circumstances of a request.

use std::collections::BTreeSet;
use std::fmt;

use super::pattern::{Pattern, is_segment};
use super::rate::Rates;
use super::{Arg, Request, text};

/// A bound under one name. No value of it admits nothing: that is refused when it would arise.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Constraint {
    /// One of these words.
    In(BTreeSet<String>),
    /// Any word but these.
    NotIn(BTreeSet<String>),
    /// An integer from `lo` to `hi`, both included. A ceiling is a range from 0.
    Range { lo: u64, hi: u64 },
    /// A path that fits.
    Path(Pattern),
    /// A host name that fits, labels outermost first.
    Host(Pattern),
    /// From this time on, in seconds since the epoch (`nbf`).
    NotBefore(u64),
    /// Up to, not including, this time (`exp`); never 0.
    Before(u64),
    /// May be passed on so often (`hops`).
    Hops(u8),
    /// May be used so often (`rate`).
    Rate(Rates),
}

impl Constraint {
    pub(crate) fn le(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::In(a), Self::In(b)) => a.is_subset(b),
            (Self::In(a), Self::NotIn(b)) => a.is_disjoint(b),
            (Self::NotIn(a), Self::NotIn(b)) => a.is_superset(b),
            (Self::Range { lo: a, hi: b }, Self::Range { lo: c, hi: d }) => a >= c && b <= d,
            (Self::Path(a), Self::Path(b)) | (Self::Host(a), Self::Host(b)) => a.le(b),
            (Self::NotBefore(a), Self::NotBefore(b)) => a >= b,
            (Self::Before(a), Self::Before(b)) => a <= b,
            (Self::Hops(a), Self::Hops(b)) => a <= b,
            (Self::Rate(a), Self::Rate(b)) => a.le(b),
            _ => false,
        }
    }

    /// What both admit; `None` if nothing.
    pub(crate) fn meet(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::In(a), Self::In(b)) => words(a.intersection(b)),
            (Self::In(a), Self::NotIn(b)) | (Self::NotIn(b), Self::In(a)) => words(a.difference(b)),
            (Self::NotIn(a), Self::NotIn(b)) => Some(Self::NotIn(a.union(b).cloned().collect())),
            (Self::Range { lo: a, hi: b }, Self::Range { lo: c, hi: d }) => {
                let (lo, hi) = (*a.max(c), *b.min(d));
                (lo <= hi).then_some(Self::Range { lo, hi })
            }
            (Self::Path(a), Self::Path(b)) => a.meet(b).map(Self::Path),
            (Self::Host(a), Self::Host(b)) => a.meet(b).map(Self::Host),
            (Self::NotBefore(a), Self::NotBefore(b)) => Some(Self::NotBefore(*a.max(b))),
            (Self::Before(a), Self::Before(b)) => Some(Self::Before(*a.min(b))),
            (Self::Hops(a), Self::Hops(b)) => Some(Self::Hops(*a.min(b))),
            (Self::Rate(a), Self::Rate(b)) => Some(Self::Rate(a.meet(b))),
            _ => None,
        }
    }

    /// Whether it admits a request: the argument of this name, or the circumstances.
    pub(crate) fn admits(&self, name: &str, request: &Request<'_>) -> bool {
        match self {
            Self::NotBefore(from) => request.time >= *from,
            Self::Before(end) => request.time < *end,
            Self::Hops(hops) => request.hop <= u32::from(*hops),
            Self::Rate(rates) => rates.admits(request.time, request.recent),
            _ => request.args.iter().any(|(given, value)| *given == name && self.admits_value(*value)),
        }
    }

    fn admits_value(&self, value: Arg<'_>) -> bool {
        match (self, value) {
            (Self::In(words), Arg::Text(word)) => words.contains(word),
            (Self::NotIn(words), Arg::Text(word)) => !words.contains(word),
            (Self::Range { lo, hi }, Arg::Int(value)) => (*lo..=*hi).contains(&value),
            (Self::Path(pattern), Arg::Path(path)) | (Self::Host(pattern), Arg::Host(path)) => {
                path.iter().all(|segment| is_segment(segment, false)) && pattern.admits(path)
            }
            _ => false,
        }
    }

    /// How many constraints it counts as.
    pub(super) fn size(&self) -> usize {
        if let Self::Rate(rates) = self { rates.len() } else { 1 }
    }

    pub(crate) fn write(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(words) => write_words(name, "=", words, f),
            Self::NotIn(words) => write_words(name, "!=", words, f),
            Self::Range { lo, hi } => {
                let number = |value| text::number(name, value);
                match (*lo, *hi) {
                    (0, hi) => write!(f, "{name}<={}", number(hi)),
                    (lo, u64::MAX) => write!(f, "{name}>={}", number(lo)),
                    (lo, hi) => write!(f, "{name}>={};{name}<={}", number(lo), number(hi)),
                }
            }
            Self::Path(pattern) => write!(f, "{name}~{pattern}"),
            Self::Host(pattern) => write!(f, "{name}~{}", text::host(pattern)),
            Self::NotBefore(from) => write!(f, "{name}>={from}"),
            Self::Before(end) => write!(f, "{name}<{end}"),
            Self::Hops(hops) => write!(f, "{name}<={hops}"),
            Self::Rate(rates) => write!(f, "{rates}"),
        }
    }
}

fn words<'a>(words: impl Iterator<Item = &'a String>) -> Option<Constraint> {
    let words: BTreeSet<String> = words.cloned().collect();
    (!words.is_empty()).then_some(Constraint::In(words))
}

fn write_words(
    name: &str,
    operator: &str,
    words: &BTreeSet<String>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "{name}{operator}")?;
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            f.write_str("|")?;
        }
        text::write_escaped(word, f)?;
    }
    Ok(())
}
