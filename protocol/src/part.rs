//! Parts: the content of messages and artifacts, kept byte for byte (spec §4.1.6).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Invalid;
use crate::fields::{Member, Members, excerpt};
use crate::json::{check_numbers, check_texts, is_base64};

/// The members of which a part has exactly one.
const CONTENT: [&str; 4] = ["text", "raw", "url", "data"];
/// What else the specification names and makes a text.
const TEXTS: [&str; 2] = ["filename", "mediaType"];

/// One part, checked to be an object with exactly one content member, and to say nothing that another binding could
/// not say. It is checked where it stands: parts are most of what passes, and nothing of them is decoded for it.
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
        let members = Members::read(raw)?;
        check_texts(raw.get())?;
        check_content(&members)?;
        check_rest(&members)?;
        Ok(Self(raw.to_owned()))
    }
}

/// A part has one content, of its kind.
fn check_content(part: &Members<'_>) -> Result<(), Invalid> {
    let is_set = |member: &&str| part.get(member).is_some_and(|raw| *member == "data" || raw.get() != "null");
    let mut set = CONTENT.into_iter().filter(is_set);
    let (Some(member), None) = (set.next(), set.next()) else {
        return Err(Invalid::new("expected exactly one of text, raw, url, data"));
    };
    let Some(content) = part.get(member) else { return Ok(()) };
    let checked = match member {
        "data" => check_numbers(content.get()),
        "raw" => check_base64(content),
        _ => check_is_text(content),
    };
    checked.map_err(|invalid| invalid.within(member))
}

fn check_rest(part: &Members<'_>) -> Result<(), Invalid> {
    let set = |member| part.get(member).filter(|raw| raw.get() != "null");
    for member in TEXTS {
        set(member).map_or(Ok(()), check_is_text).map_err(|invalid| invalid.within(member))?;
    }
    let Some(metadata) = set("metadata") else { return Ok(()) };
    let is_object = metadata.get().starts_with('{');
    let checked =
        if is_object { check_numbers(metadata.get()) } else { Err(expected("an object", metadata)) };
    checked.map_err(|invalid| invalid.within("metadata"))
}

fn check_is_text(raw: &RawValue) -> Result<(), Invalid> {
    if raw.get().starts_with('"') { Ok(()) } else { Err(expected("a string", raw)) }
}

fn check_base64(raw: &RawValue) -> Result<(), Invalid> {
    check_is_text(raw)?;
    let text = raw.get().trim_matches('"');
    // Some writers escape its `/` or its `+`; only theirs has to be read to be judged.
    let is_base64 = if text.contains('\\') {
        serde_json::from_str::<String>(raw.get()).is_ok_and(|text| is_base64(&text))
    } else {
        is_base64(text)
    };
    if is_base64 { Ok(()) } else { Err(expected("base64", raw)) }
}

fn expected(what: &str, found: &RawValue) -> Invalid {
    Invalid::new(format!("expected {what}, found {}", excerpt(found.get())))
}

impl<'de> Deserialize<'de> for Part {
    /// From JSON text alone: a part is kept as it stands there.
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(from)?;
        Self::read(Some(raw)).map_err(serde::de::Error::custom)
    }
}
