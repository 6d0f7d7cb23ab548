//! The broker's own task identity. Agents' task ids are opaque text; ours are UUIDv7, minted by the caller.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A task of this broker (UUIDv7, so ids sort by creation time). Text form: hyphenated lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub Uuid);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl JsonSchema for TaskId {
    fn schema_name() -> Cow<'static, str> {
        "TaskId".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "uuid" })
    }
}

impl FromStr for TaskId {
    type Err = uuid::Error;

    /// Accepts only the canonical text form, so that one task has exactly one name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = Uuid::try_parse(text)?;
        if id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text {
            Ok(Self(id))
        } else {
            Uuid::try_parse("").map(Self)
        }
    }
}
