//! Scopes: what a task holds. "All" and "nothing" are different constructors; a scope that must be read from outside
//! can never be "all".

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::capability::{Capability, ParseError, Request};

/// Most capabilities a scope may be given.
pub const MAX_CAPABILITIES: usize = 32;
/// Most capabilities a meet may produce; past that it is refused.
pub const MAX_CAPABILITIES_AFTER_MEET: usize = 64;

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

/// A meet would produce more capabilities than a scope may hold. Nothing is cut silently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the scopes meet in {found} capabilities, more than the {MAX_CAPABILITIES_AFTER_MEET} a scope may hold"
)]
pub struct LimitExceeded {
    /// How many it would be.
    pub found: usize,
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

    /// Parses canonical texts.
    pub fn parse<I, S>(texts: I) -> Result<Self, ScopeError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let parse = |text: S| {
            let text = text.as_ref();
            text.parse().map_err(|error| ScopeError::Capability { text: text.to_owned(), error })
        };
        let capabilities: Vec<Capability> = texts.into_iter().map(parse).collect::<Result<_, _>>()?;
        match capabilities.len() {
            0..=MAX_CAPABILITIES => Ok(Self::of(capabilities)),
            found => Err(ScopeError::TooMany { found }),
        }
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

    /// Its canonical texts; none for the top, so ask [`Self::is_top`] first.
    pub fn texts(&self) -> Vec<String> {
        self.iter().map(ToString::to_string).collect()
    }

    /// Whether every capability here has one above it there. Sound for `admits`; not complete for unions.
    pub fn le(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (_, Extent::All) => true,
            (Extent::All, Extent::Only(_)) => false,
            (Extent::Only(_), Extent::Only(_)) => self.iter().all(|capability| other.covers(capability)),
        }
    }

    /// Whether a capability lies below one of these.
    pub fn covers(&self, capability: &Capability) -> bool {
        self.is_top() || self.iter().any(|ours| capability.le(ours))
    }

    /// What both admit: the maximal pairwise meets.
    pub fn meet(&self, other: &Self) -> Result<Self, LimitExceeded> {
        match (&self.0, &other.0) {
            (Extent::All, _) => Ok(other.clone()),
            (_, Extent::All) => Ok(self.clone()),
            (Extent::Only(ours), Extent::Only(theirs)) => {
                let meets = ours.iter().flat_map(|a| theirs.iter().filter_map(|b| a.meet(b)));
                let meets = maximal(meets.collect());
                match meets.len() {
                    0..=MAX_CAPABILITIES_AFTER_MEET => Ok(Self(Extent::Only(meets))),
                    found => Err(LimitExceeded { found }),
                }
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

    /// Whether it admits a request.
    pub fn admits(&self, request: &Request<'_>) -> bool {
        self.is_top() || self.iter().any(|capability| capability.admits(request))
    }
}

/// Sorted, and without what lies below another.
fn maximal(mut capabilities: Vec<Capability>) -> Vec<Capability> {
    capabilities.sort();
    capabilities.dedup();
    let below =
        |one: &Capability, others: &[Capability]| others.iter().any(|other| one != other && one.le(other));
    let keep: Vec<bool> = capabilities.iter().map(|one| !below(one, &capabilities)).collect();
    let mut keep = keep.into_iter();
    capabilities.retain(|_| keep.next().unwrap_or(true));
    capabilities
}

/// The stored form: a list of texts, or the word `top`.
impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_top() { serializer.serialize_str("top") } else { self.texts().serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Stored {
            Word(String),
            Texts(Vec<String>),
        }
        use serde::de::Error;
        match Stored::deserialize(deserializer)? {
            Stored::Word(word) if word == "top" => Ok(Self::top()),
            Stored::Word(word) => Err(Error::custom(format!("expected \"top\" or texts, found {word:?}"))),
            Stored::Texts(texts) => {
                let parsed: Result<Vec<Capability>, _> = texts.iter().map(|text| text.parse()).collect();
                parsed.map(Self::of).map_err(Error::custom)
            }
        }
    }
}
