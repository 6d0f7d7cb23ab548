//! Secrets by reference: an environment variable or a file, read when the secret is needed and kept nowhere.

use std::borrow::Cow;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::io::AsyncReadExt;

/// Environment variables that a registration over the API may name begin so; the configuration may name any.
pub const API_ENV_PREFIX: &str = "BAILIWICK_AGENT_";
/// Largest secret read from a file, in bytes.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Where a secret is: `{ env = "NAME" }` or `{ file = "path" }`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// In this environment variable of the broker.
    Env(String),
    /// The content of this file without white space around it; read each time, so that it may be rotated.
    File(PathBuf),
    /// Something else was written, perhaps the secret itself. It is not kept, nor repeated in an error;
    /// [`SecretRef::check`] refuses it.
    Unusable,
}

/// A secret. It shows itself to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, to be sent to whom it is meant for.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl SecretRef {
    /// Whether it is a reference at all.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Env(name) if name.is_empty() => Err("env: expected the name of a variable".to_owned()),
            Self::File(path) if path.as_os_str().is_empty() => Err("file: expected a path".to_owned()),
            Self::Env(_) | Self::File(_) => Ok(()),
            Self::Unusable => {
                Err("expected { env = \"VARIABLE\" } or { file = \"path\" }; the secret itself does \
                                   not belong here, so put it there and change it if others could read it"
                    .to_owned())
            }
        }
    }

    /// The reference as far as somebody may make it who can call the API but not write the configuration: it must
    /// not turn the broker's other secrets into credentials for an agent. Relative paths are below `secret_dir`.
    pub fn confined(self, secret_dir: Option<&Path>) -> Result<Self, String> {
        self.check()?;
        match self {
            Self::Env(name) if !name.starts_with(API_ENV_PREFIX) => Err(format!(
                "env: expected a variable that begins with {API_ENV_PREFIX}; others can be named in the \
                 configuration's [[agents]] only"
            )),
            Self::File(path) => {
                let dir = secret_dir.ok_or(
                    "file: southbound.secret_dir is not set, so files can be named in the configuration's \
                     [[agents]] only",
                )?;
                let whole = dir.join(&path);
                let climbs = path.components().any(|part| part == Component::ParentDir);
                if climbs || !whole.starts_with(dir) {
                    return Err(format!(
                        "file: expected a file below {} (southbound.secret_dir)",
                        dir.display()
                    ));
                }
                Ok(Self::File(whole))
            }
            other => Ok(other),
        }
    }

    /// Reads the secret. Errors name the place, never the content.
    pub async fn read(&self) -> Result<Secret, String> {
        self.check()?;
        let secret = match self {
            Self::Env(name) => std::env::var(name).map_err(|_| format!("the variable {name} is not set"))?,
            Self::File(path) => read_file(path)
                .await
                .map_err(|error| format!("the secret file {}: {error}", path.display()))?,
            Self::Unusable => String::new(),
        };
        let secret = secret.trim();
        if secret.is_empty() { Err(format!("{self} is empty")) } else { Ok(Secret(secret.to_owned())) }
    }
}

async fn read_file(path: &Path) -> std::io::Result<String> {
    let mut secret = String::new();
    let file = tokio::fs::File::open(path).await?;
    let length = file.take(MAX_SECRET_BYTES + 1).read_to_string(&mut secret).await?;
    if length as u64 > MAX_SECRET_BYTES {
        return Err(std::io::Error::other(format!("expected at most {MAX_SECRET_BYTES} bytes")));
    }
    Ok(secret)
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Unusable => f.write_str("nothing"),
        }
    }
}

impl JsonSchema for SecretRef {
    fn schema_name() -> Cow<'static, str> {
        "SecretRef".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let place = |what: &str| json_schema!({ "type": "string", "minLength": 1, "description": what });
        json_schema!({
            "description": "Where a secret is: exactly one of the two. The secret itself is refused.",
            "type": "object",
            "properties": {
                "env": place("An environment variable of the broker, BAILIWICK_AGENT_…"),
                "file": place("A file below southbound.secret_dir"),
            },
            "oneOf": [{ "required": ["env"] }, { "required": ["file"] }],
        })
    }
}

impl Serialize for SecretRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([match self {
            Self::Env(name) => ("env", name.clone()),
            Self::File(path) => ("file", path.display().to_string()),
            Self::Unusable => ("unusable", String::new()),
        }])
    }
}

/// Takes any value: an error of the parser would repeat what was written, and that may be the secret.
impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

struct Anything;

/// A string where one is expected, and nothing where something else stands.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Text(String),
    Other(IgnoredAny),
}

impl<'de> Visitor<'de> for Anything {
    type Value = SecretRef;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ env = \"VARIABLE\" } or { file = \"path\" }")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretRef, A::Error> {
        let mut found = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            found.push(match (key.as_str(), map.next_value::<Text>()?) {
                ("env", Text::Text(name)) => SecretRef::Env(name),
                ("file", Text::Text(path)) => SecretRef::File(path.into()),
                _ => SecretRef::Unusable,
            });
        }
        match found.pop() {
            Some(reference) if found.is_empty() => Ok(reference),
            _ => Ok(SecretRef::Unusable),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<SecretRef, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(SecretRef::Unusable)
    }

    fn visit_str<E>(self, _: &str) -> Result<SecretRef, E> {
        Ok(SecretRef::Unusable)
    }

    fn visit_bool<E>(self, _: bool) -> Result<SecretRef, E> {
        Ok(SecretRef::Unusable)
    }

    fn visit_i64<E>(self, _: i64) -> Result<SecretRef, E> {
        Ok(SecretRef::Unusable)
    }

    fn visit_u64<E>(self, _: u64) -> Result<SecretRef, E> {
        Ok(SecretRef::Unusable)
    }

    fn visit_f64<E>(self, _: f64) -> Result<SecretRef, E> {
        Ok(SecretRef::Unusable)
    }

    fn visit_unit<E>(self) -> Result<SecretRef, E> {
        Ok(SecretRef::Unusable)
    }
}
