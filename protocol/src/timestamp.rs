//! Points in time as the wire writes them (spec §5.6.1): `2026-01-02T03:04:05.678Z`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Invalid;
use crate::fields::{Member, excerpt};

/// Milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// 9999-12-31T23:59:59.999Z, the last time RFC 3339 can write.
const LATEST_MILLIS: i64 = 253_402_300_799_999;
/// 0000-01-01T00:00:00Z.
const EARLIEST_MILLIS: i64 = -62_167_219_200_000;
const NANOS_PER_MILLI: i128 = 1_000_000;
const MILLIS_PER_SECOND: i64 = 1_000;
/// How long its text is.
const TEXT_BYTES: usize = 24;

impl Timestamp {
    /// From milliseconds since the epoch, held within what RFC 3339 can write.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(EARLIEST_MILLIS, LATEST_MILLIS))
    }

    /// Milliseconds since the epoch.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// Later (or earlier) by some milliseconds, held within range.
    #[must_use]
    pub fn add_millis(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// Its text. Every record and every answer holds some, so it is put together digit by digit.
    fn text(self) -> Option<[u8; TEXT_BYTES]> {
        let seconds = self.0.div_euclid(MILLIS_PER_SECOND);
        let at = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
        let millis = u32::try_from(self.0.rem_euclid(MILLIS_PER_SECOND)).ok()?;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let numbers = [
            (0..4, u32::try_from(at.year()).ok()?),
            (5..7, u32::from(u8::from(at.month()))),
            (8..10, u32::from(at.day())),
            (11..13, u32::from(at.hour())),
            (14..16, u32::from(at.minute())),
            (17..19, u32::from(at.second())),
            (20..23, millis),
        ];
        for (place, mut number) in numbers {
            for digit in text.get_mut(place)?.iter_mut().rev() {
                *digit += u8::try_from(number % 10).ok()?;
                number /= 10;
            }
        }
        Some(text)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text().ok_or(fmt::Error)?;
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Timestamp {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
            Invalid::new(format!(
                "expected a time as RFC 3339, such as 2026-01-02T03:04:05.678Z, found \"{}\"",
                excerpt(text)
            ))
        })?;
        let millis = at.unix_timestamp_nanos().div_euclid(NANOS_PER_MILLI);
        Ok(Self::from_millis(i64::try_from(millis).unwrap_or(LATEST_MILLIS)))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.text().ok_or_else(|| S::Error::custom("not a time RFC 3339 can write"))?;
        serializer.serialize_str(std::str::from_utf8(&text).map_err(S::Error::custom)?)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Member for Option<Timestamp> {
    fn read(raw: Option<&RawValue>) -> Result<Self, Invalid> {
        let text = <Option<String> as Member>::read(raw)?;
        text.map(|text| text.parse()).transpose()
    }

    fn is_unset(&self) -> bool {
        self.is_none()
    }
}
