//! Resource patterns: segments that are literal, `lit*` or `*`, and an optional final `/**`.

use std::fmt;

use super::text;

/// A pattern over segments. `rest` admits zero or more further ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Pattern {
    pub(crate) segments: Vec<Segment>,
    pub(crate) rest: bool,
}

/// One segment of a pattern, decoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Segment {
    /// Exactly this.
    Literal(String),
    /// This and whatever begins with it; never empty.
    Prefix(String),
    /// Any one segment.
    Any,
}

impl Segment {
    fn meet(&self, other: &Self) -> Option<Self> {
        let narrower = match (self, other) {
            (Self::Any, narrower) | (narrower, Self::Any) => narrower,
            (Self::Literal(a), Self::Literal(b)) if a == b => self,
            (Self::Literal(text), Self::Prefix(prefix)) if text.starts_with(prefix) => self,
            (Self::Prefix(prefix), Self::Literal(text)) if text.starts_with(prefix) => other,
            (Self::Prefix(a), Self::Prefix(b)) if a.starts_with(b) => self,
            (Self::Prefix(a), Self::Prefix(b)) if b.starts_with(a) => other,
            _ => return None,
        };
        Some(narrower.clone())
    }

    fn le(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Any) => true,
            (Self::Literal(a), Self::Literal(b)) => a == b,
            (Self::Literal(text) | Self::Prefix(text), Self::Prefix(prefix)) => text.starts_with(&**prefix),
            _ => false,
        }
    }

    pub(crate) fn admits(&self, segment: &str) -> bool {
        match self {
            Self::Literal(text) => segment == text,
            Self::Prefix(prefix) => segment.starts_with(prefix),
            Self::Any => true,
        }
    }
}

impl Pattern {
    pub(crate) fn literal<const N: usize>(segments: [&str; N]) -> Self {
        let segments = segments.into_iter().map(|text| Segment::Literal(text.to_owned())).collect();
        Self { segments, rest: false }
    }

    pub(crate) fn with_any_segment(mut self) -> Self {
        self.segments.push(Segment::Any);
        self
    }

    /// The narrower of the two, segment by segment; `None` if nothing matches both.
    pub(crate) fn meet(&self, other: &Self) -> Option<Self> {
        let (short, long) =
            if self.segments.len() <= other.segments.len() { (self, other) } else { (other, self) };
        if short.segments.len() < long.segments.len() && !short.rest {
            return None;
        }
        let mut segments: Vec<Segment> =
            short.segments.iter().zip(&long.segments).map(|(a, b)| a.meet(b)).collect::<Option<_>>()?;
        segments.extend(long.segments.iter().skip(short.segments.len()).cloned());
        Some(Self { segments, rest: short.rest && long.rest })
    }

    /// Whether all that fits this fits `other`.
    pub(crate) fn le(&self, other: &Self) -> bool {
        let lengths_fit = if other.rest {
            self.segments.len() >= other.segments.len()
        } else {
            !self.rest && self.segments.len() == other.segments.len()
        };
        lengths_fit && self.segments.iter().zip(&other.segments).all(|(ours, theirs)| ours.le(theirs))
    }

    /// Whether a path fits. Its segments must be such as a pattern could have (see [`is_segment`]).
    pub(crate) fn admits(&self, path: &[&str]) -> bool {
        let fits =
            if self.rest { path.len() >= self.segments.len() } else { path.len() == self.segments.len() };
        fits && self.segments.iter().zip(path).all(|(pattern, segment)| pattern.admits(segment))
    }
}

/// Whether a text can be a segment: something, that does not lead elsewhere, and holds no further segment unless `slash`.
pub(crate) fn is_segment(text: &str, slash: bool) -> bool {
    !matches!(text, "" | "." | "..") && (slash || !text.contains('/'))
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            write!(f, "/{segment}")?;
        }
        if self.rest { f.write_str("/**") } else { Ok(()) }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(literal) => text::write_escaped(literal, f),
            Self::Prefix(prefix) => {
                text::write_escaped(prefix, f)?;
                f.write_str("*")
            }
            Self::Any => f.write_str("*"),
        }
    }
}
