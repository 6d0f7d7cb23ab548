//! Constraints on a named argument. Each kind admits values of one type only, so two kinds on one name admit nothing.

use std::collections::BTreeSet;
use std::fmt;

use super::Arg;
use super::pattern::Pattern;
use super::text;

/// A bound on one argument. No value of it admits nothing: that is refused when it would arise.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Constraint {
    /// One of these words.
    In(BTreeSet<String>),
    /// Any word but these.
    NotIn(BTreeSet<String>),
    /// An integer from `lo` to `hi`, both included.
    Range { lo: u64, hi: u64 },
    /// A path that fits.
    Path(Pattern),
    /// A host name that fits, labels outermost first.
    Host(Pattern),
}

impl Constraint {
    pub(crate) fn le(&self, other: &Self) -> bool {
        self.meet(other).as_ref() == Some(self)
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
            _ => None,
        }
    }

    pub(crate) fn admits(&self, value: Arg<'_>) -> bool {
        match (self, value) {
            (Self::In(words), Arg::Text(word)) => words.contains(word),
            (Self::NotIn(words), Arg::Text(word)) => !words.contains(word),
            (Self::Range { lo, hi }, Arg::Int(value)) => (*lo..=*hi).contains(&value),
            (Self::Path(pattern), Arg::Path(path)) => pattern.admits(path),
            (Self::Host(pattern), Arg::Host(labels)) => pattern.admits(labels),
            _ => false,
        }
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
