//! Points in time as the wire writes them (spec §5.6.1): `2026-01-02T03:04:05.678Z`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
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
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.0) * NANOS_PER_MILLI;
        let at = OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(|_| fmt::Error)?;
        let (date, hour, minute, second) = (at.date(), at.hour(), at.minute(), at.second());
        let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
        let millis = at.millisecond();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
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
        serializer.collect_str(self)
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
