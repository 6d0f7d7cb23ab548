//! What an agent card's signature is over, and what a signature says of itself (spec §8.4). Keys and trust are elsewhere.
//!
//! The specification has one form of the content; what signs and verifies in the field has several, so a signature is
//! known together with the form it is over, and a card is worth what that form holds (`docs/decisions/0011`).

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::canonical::canonicalize;
use crate::fields::{strip_position, wire_object};
use crate::json::check_nesting;
use crate::presence::{Unknown, without_defaults};
use crate::{Fields, Invalid};

/// The message a card is.
const CARD: &str = "AgentCard";
/// The member that holds signatures, and is never signed itself.
const SIGNATURES: &str = "signatures";
/// What a card of 1.0 has and one of 0.3 lacks.
const INTERFACES: &str = "supportedInterfaces";
/// `typ` of the protected header (spec §8.4.2).
const TYPE: &str = "JOSE";

wire_object! {
    /// One signature of a card: a JWS without its payload (RFC 7515, appendix F).
    pub struct CardSignature {
        /// The protected header in base64url.
        protected: String = "protected",
        /// The signature in base64url.
        signature: String = "signature",
    }
}

/// A form of the content, of those that are signed and verified in the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedForm {
    /// All of the card as it was sent.
    AsSent,
    /// All of the card without default values: the specification's form, read by who keeps unknown members.
    Whole,
    /// What 1.0 names of the card, without default values: the specification's form, read into 1.0's data model.
    Named,
    /// The same without anything empty, at any depth, whether it is required or not: the form of the official SDKs.
    WithoutEmpty,
    /// The same with what is not ASCII escaped: that of the official Python SDK before 1.3.
    WithoutEmptyAscii,
}

/// What the protected header of a signature says.
#[derive(Debug, Clone, Deserialize)]
pub struct ProtectedHeader {
    /// The algorithm.
    pub alg: String,
    /// The key.
    #[serde(default)]
    pub kid: Option<String>,
}

impl SignedForm {
    /// From the one that holds most of the card to the ones that hold least.
    pub const ALL: [Self; 5] =
        [Self::AsSent, Self::Whole, Self::Named, Self::WithoutEmpty, Self::WithoutEmptyAscii];

    /// Those a card of ours is signed in, so that everyone who verifies one of them can.
    pub const WRITTEN: [Self; 3] = [Self::WithoutEmpty, Self::Named, Self::Whole];

    /// The content in this form, canonical. `None` for a card of 0.3 in a form that leaves out what it is made of.
    pub fn content(self, card: &RawValue) -> Result<Option<String>, Invalid> {
        let unsigned = without_signatures(card)?;
        if self.has_only_named() && !is_of_v1(&unsigned) {
            return Ok(None);
        }
        let unsigned = unsigned.into_raw()?;
        let content = match self {
            Self::AsSent => unsigned,
            Self::Whole => without_defaults(CARD, &unsigned, Unknown::Kept)?,
            Self::Named => without_defaults(CARD, &unsigned, Unknown::LeftOut)?,
            Self::WithoutEmpty | Self::WithoutEmptyAscii => {
                let named = without_defaults(CARD, &unsigned, Unknown::LeftOut)?;
                without_empty(&named)?.unwrap_or_else(|| RawValue::NULL.to_owned())
            }
        };
        let content = canonicalize(&content)?;
        Ok(Some(if self == Self::WithoutEmptyAscii { ascii(&content) } else { content }))
    }

    /// What of a card a signature in this form vouches for, as a card. What is empty is left in: the forms without it
    /// cannot tell it from what is absent.
    pub fn vouched(self, card: &RawValue) -> Result<String, Invalid> {
        let form = if self.has_only_named() { Self::Named } else { self };
        form.content(card).map(Option::unwrap_or_default)
    }

    fn has_only_named(self) -> bool {
        matches!(self, Self::Named | Self::WithoutEmpty | Self::WithoutEmptyAscii)
    }
}

impl CardSignature {
    /// The signatures a card carries.
    pub fn of_card(card: &RawValue) -> Result<Vec<Self>, Invalid> {
        let Some(raw) = Fields::read(card)?.take(SIGNATURES).filter(|raw| raw.get() != "null") else {
            return Ok(Vec::new());
        };
        let wrong = |error: serde_json::Error| Invalid::new(strip_position(&error)).within(SIGNATURES);
        serde_json::from_str(raw.get()).map_err(wrong)
    }

    /// Reads the protected header, or says why the signature counts for nothing.
    pub fn header(&self) -> Result<ProtectedHeader, String> {
        let unreadable = || "its protected header is not base64url of a JSON object".to_owned();
        let bytes = URL_SAFE_NO_PAD.decode(&self.protected).map_err(|_| unreadable())?;
        // Read twice: an object that names a member twice has no one meaning.
        let members: Fields = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
        if members.get("crit").is_some() {
            return Err("its header has crit, and nothing critical is understood here".to_owned());
        }
        serde_json::from_slice(&bytes).map_err(|_| {
            "its protected header has no alg, or members that are not what they should be".to_owned()
        })
    }

    /// The bytes that are signed.
    pub fn signing_input(protected: &str, content: &str) -> String {
        format!("{protected}.{}", URL_SAFE_NO_PAD.encode(content))
    }
}

/// The protected header of a signature of ours, in base64url.
pub fn write_protected(alg: &str, kid: &str, jku: &str) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Written<'a> {
        alg: &'a str,
        jku: &'a str,
        kid: &'a str,
        typ: &'a str,
    }
    serde_json::to_vec(&Written { alg, jku, kid, typ: TYPE }).map(|json| URL_SAFE_NO_PAD.encode(json))
}

/// The card with these signatures, and no others.
pub fn with_signatures(card: &RawValue, signatures: &[CardSignature]) -> Result<Box<RawValue>, Invalid> {
    let mut card = without_signatures(card)?;
    let signatures = serde_json::value::to_raw_value(signatures);
    card.put(SIGNATURES, signatures.map_err(|error| Invalid::new(strip_position(&error)))?);
    card.into_raw()
}

fn without_signatures(card: &RawValue) -> Result<Fields, Invalid> {
    check_nesting(card.get().as_bytes()).map_err(Invalid::new)?;
    let mut card = Fields::read(card)?;
    card.take(SIGNATURES);
    Ok(card)
}

fn is_of_v1(card: &Fields) -> bool {
    card.get(INTERFACES).is_some_and(|raw| raw.get() != "null")
}

/// A value without nulls and empty texts, lists and objects; none if nothing is left.
fn without_empty(raw: &RawValue) -> Result<Option<Box<RawValue>>, Invalid> {
    let wrong = |error: serde_json::Error| Invalid::new(strip_position(&error));
    match raw.get().as_bytes().first() {
        Some(b'{') => {
            let mut kept = Fields::default();
            for (name, value) in Fields::read(raw)?.iter() {
                if let Some(value) = without_empty(value)? {
                    kept.push(name, value);
                }
            }
            if kept.is_empty() { Ok(None) } else { kept.into_raw().map(Some) }
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(wrong)?;
            let kept: Result<Vec<_>, _> =
                items.into_iter().filter_map(|item| without_empty(item).transpose()).collect();
            let kept = kept?;
            if kept.is_empty() {
                Ok(None)
            } else {
                serde_json::value::to_raw_value(&kept).map(Some).map_err(wrong)
            }
        }
        _ if matches!(raw.get(), "null" | "\"\"") => Ok(None),
        _ => Ok(Some(raw.to_owned())),
    }
}

/// JSON with everything escaped that is not printable ASCII.
fn ascii(json: &str) -> String {
    let mut units = [0; 2];
    json.chars().fold(String::with_capacity(json.len()), |mut out, c| {
        if matches!(c, ' '..='~') {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
        out
    })
}
