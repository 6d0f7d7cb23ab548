//! Parts: the content of messages and artifacts, kept byte for byte (spec §4.1.6).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::fields::Member;
use crate::{Fields, Invalid};

/// The members of which a part has exactly one.
const CONTENT: [&str; 4] = ["text", "raw", "url", "data"];

/// One part, checked to be an object with exactly one content member.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Part(Box<RawValue>);

impl Part {
    /// A text part.
    pub fn text(text: &str) -> Self {
        #[derive(Serialize)]
        struct Text<'a> {
            text: &'a str,
        }
        Self::of(&Text { text })
    }

    /// A part of structured data.
    pub fn data(data: &serde_json::Value) -> Self {
        #[derive(Serialize)]
        struct Data<'a> {
            data: &'a serde_json::Value,
        }
        Self::of(&Data { data })
    }

    fn of(part: &impl Serialize) -> Self {
        // Text and JSON values always serialise; an empty text part stands in for the impossible.
        Self(serde_json::value::to_raw_value(part).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }

    /// The text, if it is a text part.
    pub fn as_text(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Text {
            text: String,
        }
        serde_json::from_str::<Text>(self.0.get()).ok().map(|part| part.text)
    }

    /// The part as it came.
    pub fn raw(&self) -> &RawValue {
        &self.0
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Member for Part {
    fn read(raw: Option<&RawValue>) -> Result<Self, Invalid> {
        let raw = raw.ok_or_else(|| Invalid::new("expected a part, found null"))?;
        let fields = Fields::read(raw)?;
        let contents: Vec<&str> = CONTENT
            .into_iter()
            .filter(|member| {
                fields.get(member).is_some_and(|value| *member == "data" || value.get() != "null")
            })
            .collect();
        match contents.as_slice() {
            ["data"] => Ok(Self(raw.to_owned())),
            [member] => match fields.get(member) {
                Some(value) if value.get().starts_with('"') => Ok(Self(raw.to_owned())),
                _ => Err(Invalid::new("expected a string").within(member)),
            },
            _ => Err(Invalid::new("expected exactly one of text, raw, url, data")),
        }
    }
}

impl<'de> Deserialize<'de> for Part {
    /// From JSON text alone: a part is kept as it stands there.
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(from)?;
        Self::read(Some(raw)).map_err(serde::de::Error::custom)
    }
}
