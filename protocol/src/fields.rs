//! Raw JSON objects, and how typed objects are read from them and written back.
//!
//! serde's `flatten` cannot hold raw values, so an object is read shallowly into its `Members`; a type takes those it
//! knows and keeps the rest as [`Fields`]. The macro `wire_object!` is the one place where that is written.

mod members;

use std::collections::HashSet;

use serde::de::DeserializeOwned;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

pub(crate) use self::members::Members;
use self::members::read_members;
use crate::json::{check_numbers, check_texts};

/// A JSON object whose member values are kept as the bytes they were, in order.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(String, Box<RawValue>)>);

/// Why a value is not what the data model asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{problem}", path, if path.is_empty() { "" } else { ": " })]
pub struct Invalid {
    /// Where, as `message.parts[1]`; empty for the value as a whole.
    pub path: String,
    /// What was expected and what was found.
    pub problem: String,
}

impl Invalid {
    /// A problem of the value as a whole.
    pub fn new(problem: impl Into<String>) -> Self {
        Self { path: String::new(), problem: problem.into() }
    }

    /// The same problem, seen from the object that has the value as a member.
    #[must_use]
    pub fn within(mut self, member: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{member}{separator}{}", self.path);
        self
    }
}

impl Fields {
    /// Reads an object; anything else, or a member named twice, is an error.
    pub fn read(raw: &RawValue) -> Result<Self, Invalid> {
        serde_json::from_str(raw.get()).map_err(|error| Invalid::new(strip_position(&error)))
    }

    /// The raw value of a member.
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a member out.
    pub fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(index).1)
    }

    /// Sets a member, in place if it is there.
    pub fn set(&mut self, name: &str, value: &impl Serialize) -> Result<(), serde_json::Error> {
        self.put(name, serde_json::value::to_raw_value(value)?);
        Ok(())
    }

    /// Sets a member to a value that is JSON already, in place if it is there.
    pub(crate) fn put(&mut self, name: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Adds a member that is known not to be there. Nothing is searched: where an object is made member by member,
    /// looking for each among those before it would let one of a few megabytes cost minutes.
    pub(crate) fn push(&mut self, name: impl Into<String>, value: Box<RawValue>) {
        self.0.push((name.into(), value));
    }

    /// Adds those members of another object that this one lacks.
    pub(crate) fn add_missing(&mut self, other: Self) {
        let known: HashSet<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        let missing: Vec<_> =
            other.0.into_iter().filter(|(name, _)| !known.contains(name.as_str())).collect();
        self.0.extend(missing);
    }

    /// The object as raw JSON.
    pub(crate) fn into_raw(self) -> Result<Box<RawValue>, Invalid> {
        serde_json::value::to_raw_value(&self).map_err(|error| Invalid::new(strip_position(&error)))
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), &**value))
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(a, b)| a.0 == b.0 && a.1.get() == b.1.get())
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_members(deserializer).map(Self)
    }
}

/// A `google.protobuf.Struct` of an A2A object, its values kept raw (spec §3.2.5).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(Fields);

impl Metadata {
    /// The raw value under a key.
    pub fn get(&self, key: &str) -> Option<&RawValue> {
        self.0.get(key)
    }

    /// The value under a key as a type, if it is there and fits.
    pub fn get_as<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_str(self.get(key)?.get()).ok()
    }

    /// Sets the value under a key.
    pub fn set(&mut self, key: &str, value: &impl Serialize) -> Result<(), serde_json::Error> {
        self.0.set(key, value)
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &str) {
        self.0.take(key);
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A type that can stand as a member of an object.
pub(crate) trait Member: Sized + Serialize {
    /// Reads the member; `None` when it is absent or `null`.
    fn read(raw: Option<&RawValue>) -> Result<Self, Invalid>;

    /// Whether it is left out when written (unset fields are omitted in ProtoJSON).
    fn is_unset(&self) -> bool {
        false
    }
}

/// Writes a member unless it is unset.
pub(crate) fn write_member<M: SerializeMap>(
    map: &mut M,
    name: &str,
    member: &impl Member,
) -> Result<(), M::Error> {
    if member.is_unset() { Ok(()) } else { map.serialize_entry(name, member) }
}

/// What a required member must not be.
fn missing() -> Invalid {
    Invalid::new("required, but missing")
}

fn scalar<T: DeserializeOwned>(raw: &RawValue, expected: &str) -> Result<T, Invalid> {
    serde_json::from_str(raw.get())
        .map_err(|_| Invalid::new(format!("expected {expected}, found {}", excerpt(raw.get()))))
}

/// The beginning of a value, for messages.
pub(crate) fn excerpt(text: &str) -> String {
    /// Longest excerpt shown, in characters.
    const EXCERPT_CHARS: usize = 40;
    beginning(text, EXCERPT_CHARS)
}

/// A text, or its first so many characters and a sign that there were more: what others say is repeated to people only
/// so far.
pub fn beginning(text: &str, chars: usize) -> String {
    let mut beginning: String = text.chars().take(chars).collect();
    if beginning.len() < text.len() {
        beginning.push('…');
    }
    beginning
}

/// serde_json's message without "at line 1 column n": positions within a raw member mislead.
pub(crate) fn strip_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

impl Member for String {
    fn read(raw: Option<&RawValue>) -> Result<Self, Invalid> {
        scalar(raw.ok_or_else(missing)?, "a string")
    }
}

impl Member for Option<String> {
    /// The empty string is proto3's unset.
    fn read(raw: Option<&RawValue>) -> Result<Self, Invalid> {
        let text: Option<String> = raw.map(|raw| scalar(raw, "a string")).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    fn is_unset(&self) -> bool {
        self.is_none()
    }
}

impl Member for bool {
    fn read(raw: Option<&RawValue>) -> Result<Self, Invalid> {
        raw.map_or(Ok(false), |raw| scalar(raw, "true or false"))
    }

    fn is_unset(&self) -> bool {
        !self
    }
}

impl Member for Option<bool> {
    fn read(raw: Option<&RawValue>) -> Result<Self, Invalid> {
        raw.map(|raw| scalar(raw, "true or false")).transpose()
    }

    fn is_unset(&self) -> bool {
        self.is_none()
    }
}

impl Member for Option<u32> {
    /// ProtoJSON writes 32-bit integers as numbers and reads numeric strings too. The proto's are signed: what is
    /// beyond them cannot be said over gRPC, nor to an agent that speaks it.
    fn read(raw: Option<&RawValue>) -> Result<Self, Invalid> {
        let Some(raw) = raw else { return Ok(None) };
        let number = raw.get().trim_matches('"').parse::<u32>().ok();
        number.filter(|number| i32::try_from(*number).is_ok()).map(Some).ok_or_else(|| {
            Invalid::new(format!("expected an integer from 0 to {}, found {}", i32::MAX, excerpt(raw.get())))
        })
    }

    fn is_unset(&self) -> bool {
        self.is_none()
    }
}

impl Member for Option<Box<RawValue>> {
    fn read(raw: Option<&RawValue>) -> Result<Self, Invalid> {
        Ok(raw.map(ToOwned::to_owned))
    }

    fn is_unset(&self) -> bool {
        self.is_none()
    }
}

impl Member for Metadata {
    /// Its values stay the bytes they were, so they are judged here: protobuf could not say half a character or a number
    /// beyond all bounds.
    fn read(raw: Option<&RawValue>) -> Result<Self, Invalid> {
        if let Some(raw) = raw {
            check_texts(raw.get())?;
            check_numbers(raw.get())?;
        }
        Ok(Self(raw.map(Fields::read).transpose()?.unwrap_or_default()))
    }

    fn is_unset(&self) -> bool {
        self.is_empty()
    }
}

impl Member for Fields {
    fn read(raw: Option<&RawValue>) -> Result<Self, Invalid> {
        Ok(raw.map(Self::read).transpose()?.unwrap_or_default())
    }

    fn is_unset(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Member> Member for Option<Box<T>> {
    fn read(raw: Option<&RawValue>) -> Result<Self, Invalid> {
        raw.map(|raw| T::read(Some(raw)).map(Box::new)).transpose()
    }

    fn is_unset(&self) -> bool {
        self.is_none()
    }
}

impl<T: Member> Member for Vec<T> {
    fn read(raw: Option<&RawValue>) -> Result<Self, Invalid> {
        let Some(raw) = raw else { return Ok(Self::new()) };
        let items: Vec<&RawValue> = serde_json::from_str(raw.get())
            .map_err(|_| Invalid::new(format!("expected an array, found {}", excerpt(raw.get()))))?;
        let read = |(index, item)| {
            T::read(Some(item)).map_err(|invalid: Invalid| invalid.within(&format!("[{index}]")))
        };
        items.into_iter().enumerate().map(read).collect()
    }

    fn is_unset(&self) -> bool {
        self.is_empty()
    }
}

/// Declares an A2A object: a struct, its members' wire names, and both directions. Unknown members are kept in
/// `unknown` and written back after the known ones.
macro_rules! wire_object {
    ($(#[$doc:meta])* pub struct $name:ident {
        $($(#[$member_doc:meta])* $member:ident: $type:ty = $wire:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[$member_doc])* pub $member: $type,)*
            /// Members this version does not know, kept as they came.
            pub unknown: $crate::Fields,
        }

        impl $name {
            /// Reads the object; the error says which member is not what it should be.
            pub fn from_fields(fields: &$crate::Fields) -> Result<Self, $crate::Invalid> {
                Self::from_members(fields.into())
            }

            fn from_members(mut members: $crate::fields::Members<'_>) -> Result<Self, $crate::Invalid> {
                Ok(Self {
                    $($member: members.take($wire)?,)*
                    unknown: members.into_fields(),
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(None)?;
                $($crate::fields::write_member(&mut map, $wire, &self.$member)?;)*
                for (name, value) in self.unknown.iter() {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let fields = <$crate::Fields as serde::Deserialize>::deserialize(deserializer)?;
                Self::from_fields(&fields).map_err(serde::de::Error::custom)
            }
        }

        impl $crate::fields::Member for $name {
            fn read(raw: Option<&serde_json::value::RawValue>) -> Result<Self, $crate::Invalid> {
                let raw = raw.ok_or_else(|| $crate::Invalid::new("required, but missing"))?;
                Self::from_members($crate::fields::Members::read(raw)?)
            }
        }
    };
}
pub(crate) use wire_object;

/// Declares an enum whose wire form is a fixed text per variant.
macro_rules! wire_enum {
    ($(#[$doc:meta])* pub enum $name:ident, $what:literal {
        $($(#[$variant_doc:meta])* $variant:ident = $wire:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, schemars::JsonSchema)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $wire)] $variant,)*
        }

        impl $name {
            /// Every value, in the proto's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The wire form: the proto's name.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $wire,)*
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::Invalid;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or_else(|| {
                    let expected: Vec<&str> = Self::ALL.iter().map(|value| value.as_str()).collect();
                    $crate::Invalid::new(format!(
                        concat!("expected ", $what, " (one of {}), found \"{}\""),
                        expected.join(", "),
                        $crate::fields::excerpt(text)
                    ))
                })
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl $crate::fields::Member for $name {
            fn read(raw: Option<&serde_json::value::RawValue>) -> Result<Self, $crate::Invalid> {
                let raw = raw.ok_or_else(|| $crate::Invalid::new("required, but missing"))?;
                let text: String = serde_json::from_str(raw.get()).map_err(|_| {
                    $crate::Invalid::new(format!(
                        concat!("expected ", $what, ", found {}"),
                        $crate::fields::excerpt(raw.get())
                    ))
                })?;
                text.parse()
            }
        }
    };
}
pub(crate) use wire_enum;
