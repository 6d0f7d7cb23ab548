//! An object's members, on their way into a type.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Fields, Invalid, Member, strip_position};

/// The members of a JSON object where they stand in its text, in order: what a type is read from. What the type keeps is
/// copied from there, and not once for each object around it.
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads an object; anything else, or a member named twice, is an error.
    pub(crate) fn read(raw: &'a RawValue) -> Result<Self, Invalid> {
        // A `Cow` is borrowed by serde only where it is told to.
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
        impl AsRef<str> for Name<'_> {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        let members = read_members(&mut serde_json::Deserializer::from_str(raw.get()));
        let members = members.map_err(|error: serde_json::Error| Invalid::new(strip_position(&error)))?;
        Ok(Self(members.into_iter().map(|(Name(name), value)| (name, value)).collect()))
    }

    /// The raw value of a member.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Takes a known member out, and reads it.
    pub(crate) fn take<T: Member>(&mut self, name: &str) -> Result<T, Invalid> {
        let index = self.0.iter().position(|(known, _)| known == name);
        let raw = index.map(|index| self.0.remove(index).1).filter(|raw| raw.get() != "null");
        T::read(raw).map_err(|invalid| invalid.within(name))
    }

    /// What is left.
    pub(crate) fn into_fields(self) -> Fields {
        Fields(self.0.into_iter().map(|(name, value)| (name.into_owned(), value.to_owned())).collect())
    }
}

impl<'a> From<&'a Fields> for Members<'a> {
    fn from(fields: &'a Fields) -> Self {
        Self(fields.iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect())
    }
}

/// Reads an object's members, none of which may be named twice.
pub(super) fn read_members<'de, D: Deserializer<'de>, N, V>(deserializer: D) -> Result<Vec<(N, V)>, D::Error>
where
    N: Deserialize<'de> + AsRef<str>,
    V: Deserialize<'de>,
{
    deserializer.deserialize_map(MembersVisitor(PhantomData))
}

struct MembersVisitor<N, V>(PhantomData<(N, V)>);

impl<'de, N: Deserialize<'de> + AsRef<str>, V: Deserialize<'de>> Visitor<'de> for MembersVisitor<N, V> {
    type Value = Vec<(N, V)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(USUAL_MEMBERS);
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        match repeated_name(&members) {
            None => Ok(members),
            Some(name) => Err(serde::de::Error::custom(format!("member `{name}` appears twice"))),
        }
    }
}

/// Members for which there is room at first; hardly an object of A2A has more.
const USUAL_MEMBERS: usize = 8;

/// A name that two members have. Many are sorted first: comparing each with each would let one object of a few megabytes
/// cost minutes.
fn repeated_name<N: AsRef<str>, V>(members: &[(N, V)]) -> Option<&str> {
    let names = || members.iter().map(|(name, _)| name.as_ref());
    if members.len() <= USUAL_MEMBERS {
        return names().enumerate().find_map(|(at, name)| names().take(at).find(|before| *before == name));
    }
    let mut names: Vec<&str> = names().collect();
    names.sort_unstable();
    names.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(*one),
        _ => None,
    })
}
