//! The forms of a scope: canonical texts, an `authorization_details` object (RFC 9396), and what the journal keeps.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::{MAX_CAPABILITIES, Scope, ScopeError};
use crate::capability::{Capability, MAX_TEXT_BYTES};

/// `type` of the authorization details that hold a scope.
pub const DETAILS_TYPE: &str = "a2a_capability";

impl Scope {
    /// Parses canonical texts, at most [`MAX_CAPABILITIES`] of them.
    pub fn parse<I, S>(texts: I) -> Result<Self, ScopeError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let mut bytes = 0;
        let parse = |text: S| {
            let text = text.as_ref();
            bytes += text.len();
            text.parse().map_err(|error| ScopeError::Capability { text: text.to_owned(), error })
        };
        let capabilities: Vec<Capability> = texts.into_iter().map(parse).collect::<Result<_, _>>()?;
        if capabilities.len() > MAX_CAPABILITIES {
            return Err(ScopeError::TooMany { found: capabilities.len() });
        }
        if bytes > MAX_TEXT_BYTES {
            Err(ScopeError::TooLong { found: bytes })
        } else {
            Ok(Self::of(capabilities))
        }
    }

    /// Its canonical texts; none for the top, so ask [`Self::is_top`] first.
    pub fn texts(&self) -> Vec<String> {
        self.iter().map(ToString::to_string).collect()
    }

    /// The JSON form: one `authorization_details` object. None for the top, which cannot be written.
    pub fn to_json(&self) -> Option<Value> {
        let capabilities: Vec<Value> = self.iter().map(Capability::to_json).collect();
        (!self.is_top()).then(|| json!({ "type": DETAILS_TYPE, "capabilities": capabilities }))
    }

    /// Reads the JSON form; a capability may also stand there as its canonical text, as it does in grants.
    pub fn from_json(details: &Value) -> Result<Self, ScopeError> {
        let wrong = |member: &str, expected: &str| {
            let (member, expected) = (member.to_owned(), expected.to_owned());
            ScopeError::Json(crate::JsonError { member, expected })
        };
        if details.get("type").and_then(Value::as_str) != Some(DETAILS_TYPE) {
            return Err(wrong("type", DETAILS_TYPE));
        }
        let elements = details.get("capabilities").and_then(Value::as_array);
        let elements = elements.ok_or_else(|| wrong("capabilities", "a list"))?;
        if elements.len() > MAX_CAPABILITIES {
            return Err(ScopeError::TooMany { found: elements.len() });
        }
        let read = |element: &Value| match element {
            Value::String(text) => {
                text.parse().map_err(|error| ScopeError::Capability { text: text.clone(), error })
            }
            _ => Ok(Capability::from_json(element)?),
        };
        elements.iter().map(read).collect::<Result<Vec<_>, _>>().map(Self::of)
    }
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
