//! The chain: each entry is one line of JSON that ends with the SHA-256 of the rest of itself and names the hash of
//! the entry before it, so that nothing can be changed, taken out, put in or moved unnoticed.
//!
//! The hash is over bytes, not over meaning: no reader ever has to write an entry again to check it, and members a
//! reader does not know are covered like all others.

use std::fmt::{self, Write};
use std::str::FromStr;

use protocol::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::event::Event;

/// The entry format written by this build.
pub const ENTRY_VERSION: u16 = 1;
/// What stands between an entry and its hash.
const HASH_MEMBER: &str = ",\"hash\":\"";
/// What follows the hash.
const HASH_END: &str = "\"}";
/// Room for what a line says beside its event: a version, a number, a time and two hashes.
const PLACE_BYTES: usize = 256;
/// Hexadecimal digits of a hash.
const HASH_DIGITS: usize = 64;

/// A SHA-256. Text form: 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Hash(pub [u8; 32]);

/// Where a log ends: the number and the hash of its last entry. Text form: `N:HASH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Number of the last entry; 0 for an empty log.
    pub n: u64,
    /// Its hash; zero for an empty log.
    pub hash: Hash,
}

/// Why a text is no head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected N:HASH, an entry's number and its hash of 64 lower-case hexadecimal digits, found {0:?}")]
pub struct HeadError(String);

/// An entry on its way into the log, without its place there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    at: Timestamp,
    event: String,
}

impl Entry {
    /// An entry about something that happened at a time.
    pub fn new(at: Timestamp, event: &Event) -> Result<Self, serde_json::Error> {
        Ok(Self { at, event: serde_json::to_string(event)? })
    }
}

impl Head {
    /// Gives an entry the next place in the log; what is returned is its line, without a line end.
    pub fn seal(&mut self, entry: &Entry) -> String {
        let (n, prev) = (self.n + 1, self.hash);
        let Entry { at, event } = entry;
        let mut line = String::with_capacity(event.len() + PLACE_BYTES);
        // A text takes whatever is written into it.
        let _ = write!(
            line,
            "{{\"v\":{ENTRY_VERSION},\"n\":{n},\"at\":\"{at}\",\"prev\":\"{prev}\",\"event\":{event}"
        );
        *self = Self { n, hash: hash_of(line.as_bytes()) };
        let _ = write!(line, "{HASH_MEMBER}{}{HASH_END}", self.hash);
        line
    }

    /// The head of a log whose entry `n` is this line and the last: what the line says, unchecked. A log that was
    /// tampered with goes on from there, and [`super::Verifier`] finds the place.
    pub fn at(n: u64, line: &[u8]) -> Option<Self> {
        split(line).map(|(_, hash)| Self { n, hash })
    }

    /// The line that ends an export, without a line end.
    pub fn line(&self) -> String {
        format!("{{\"head\":{},\"hash\":\"{}\"}}", self.n, self.hash)
    }

    /// Reads the line that ends an export, byte for byte.
    pub(super) fn read_line(line: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Line {
            head: u64,
            hash: Hash,
        }
        let Line { head, hash } = serde_json::from_slice(line).ok()?;
        let head = Self { n: head, hash };
        (head.line().as_bytes() == line).then_some(head)
    }
}

/// An entry's line without its hash (and the brace that follows), and the hash it names.
pub(super) fn split(line: &[u8]) -> Option<(&[u8], Hash)> {
    let rest = line.strip_suffix(HASH_END.as_bytes())?;
    let (rest, hash) = rest.split_at_checked(rest.len().checked_sub(HASH_DIGITS)?)?;
    let hash = std::str::from_utf8(hash).ok()?.parse().ok()?;
    Some((rest.strip_suffix(HASH_MEMBER.as_bytes())?, hash))
}

/// The hash of an entry: SHA-256 of its object without the member `hash`.
pub(super) fn hash_of(body: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update(body).chain_update(b"}").finalize().into())
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nibbles = self.0.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        // Written in one piece: each entry of the log says two of them.
        let mut digits = [0; HASH_DIGITS];
        digits.iter_mut().zip(nibbles).for_each(|(digit, nibble)| {
            *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
        });
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Hash {
    type Err = HeadError;

    /// One hash has exactly one text.
    fn from_str(text: &str) -> Result<Self, HeadError> {
        let wrong = || HeadError(text.chars().take(2 * HASH_DIGITS).collect());
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != HASH_DIGITS || !text.bytes().all(is_digit) {
            return Err(wrong());
        }
        let mut hash = [0; 32];
        for (byte, at) in hash.iter_mut().zip((0..).step_by(2)) {
            let digits = text.get(at..at + 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(hash))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.n, self.hash)
    }
}

impl FromStr for Head {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        let wrong = || HeadError(text.chars().take(2 * HASH_DIGITS).collect());
        let (n, hash) = text.split_once(':').ok_or_else(wrong)?;
        Ok(Self { n: n.parse().map_err(|_| wrong())?, hash: hash.parse().map_err(|_| wrong())? })
    }
}
