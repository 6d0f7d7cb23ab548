//! `[[principals]]`: who may call, and what they prove it with. Keys stand here as digests only.

use std::path::PathBuf;

use capability::Scope;
use serde::{Deserialize, Serialize};

use super::shown::HIDDEN;
use crate::service::{CertificateName, Principal, Proof, Role, is_agent_name};

/// Shortest API key taken from a variable or a file, bytes; an empty variable is a mistake, not a key.
const MIN_KEY_BYTES: usize = 16;
/// Somebody who may call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "documented in config.default.toml")]
pub struct PrincipalConfig {
    pub name: String,
    #[serde(default)]
    pub role: RoleConfig,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    #[serde(default, skip_serializing_if = "OneOrMany::is_empty")]
    pub key_sha256: OneOrMany,
    #[serde(default, skip_serializing_if = "OneOrMany::is_empty")]
    pub key_env: OneOrMany,
    #[serde(default, skip_serializing_if = "OneOrMany::is_empty")]
    pub key_file: OneOrMany,
    #[serde(default, skip_serializing_if = "OneOrMany::is_empty")]
    pub cert_sha256: OneOrMany,
    #[serde(default, skip_serializing_if = "OneOrMany::is_empty")]
    pub cert_san: OneOrMany,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<SubjectConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Vec<String>>,
}

/// A subject an issuer vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "documented in config.default.toml")]
pub struct SubjectConfig {
    pub issuer: String,
    pub subject: String,
}

/// What a principal may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "documented in config.default.toml")]
pub enum RoleConfig {
    #[default]
    User,
    Operator,
    Agent,
    Broker,
}

/// A text, or several: a key and the one that replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Texts")]
pub struct OneOrMany(pub Vec<String>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl From<Texts> for OneOrMany {
    fn from(texts: Texts) -> Self {
        match texts {
            Texts::One(text) => Self(vec![text]),
            Texts::Many(texts) => Self(texts),
        }
    }
}

impl OneOrMany {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl PrincipalConfig {
    /// The same, fit to be shown.
    pub(super) fn hide_keys(&mut self) {
        self.key_sha256.0.fill(HIDDEN.to_owned());
    }

    /// Where its keys are.
    pub(super) fn key_files(&self) -> impl Iterator<Item = PathBuf> {
        self.key_file.iter().map(PathBuf::from)
    }

    /// Whether it can be proved by a certificate.
    pub(super) fn has_certificate(&self) -> bool {
        !(self.cert_sha256.is_empty() && self.cert_san.is_empty())
    }

    pub(super) fn resolve(&self) -> Result<Principal, String> {
        if !is_agent_name(&self.name) {
            return Err("name: expected [a-z0-9][a-z0-9-]{0,62}".to_owned());
        }
        let role = match (self.role, &self.agent, &self.broker) {
            (RoleConfig::User, None, None) => Role::User,
            (RoleConfig::Operator, None, None) => Role::Operator,
            (RoleConfig::Agent, Some(agent), None) => Role::Agent(agent.clone()),
            (RoleConfig::Broker, None, Some(broker)) => Role::Broker(broker.clone()),
            (RoleConfig::Agent, None, _) => {
                return Err("role agent: expected `agent`, the agent it is".to_owned());
            }
            (RoleConfig::Broker, _, None) => {
                return Err("role broker: expected `broker`, which of [[brokers]] it is".to_owned());
            }
            (RoleConfig::Agent, _, Some(_)) | (RoleConfig::User | RoleConfig::Operator, None, Some(_)) => {
                return Err("broker: only for role broker".to_owned());
            }
            (_, Some(_), _) => return Err("agent: only for role agent".to_owned()),
        };
        let scope = match (&self.scope, &role) {
            (Some(texts), _) => Scope::parse(texts).map_err(|error| format!("scope: {error}"))?,
            // An agent's key opens no root scope unless it is given one.
            (None, Role::Agent(_)) => Scope::empty(),
            (None, Role::Broker(_)) => {
                return Err("role broker: expected `scope`, the most its trees may hold here".to_owned());
            }
            (None, _) => Scope::top(),
        };
        Ok(Principal { name: self.name.clone(), role, scope, proofs: self.proofs()? })
    }

    fn proofs(&self) -> Result<Vec<Proof>, String> {
        let digests = self.key_sha256.iter().map(|hex| read_digest("key_sha256", hex).map(Proof::Key));
        let variables = self.key_env.iter().map(key_of_variable);
        let files = self.key_file.iter().map(key_of_file);
        let certificates =
            self.cert_sha256.iter().map(|hex| read_digest("cert_sha256", hex).map(Proof::Certificate));
        let names = self.cert_san.iter().map(|text| Ok(Proof::Name(certificate_name(text)?)));
        let subject = self.jwt.iter().map(|jwt| {
            if jwt.subject.is_empty() {
                return Err("jwt.subject: expected a subject".to_owned());
            }
            Ok(Proof::Subject { issuer: jwt.issuer.clone(), subject: jwt.subject.clone() })
        });
        let all = digests.chain(variables).chain(files).chain(certificates).chain(names).chain(subject);
        let all: Vec<Proof> = all.collect::<Result<_, _>>()?;
        if all.is_empty() {
            return Err(
                "expected at least one of key_sha256, key_env, key_file, cert_sha256, cert_san, jwt; \
                        `bailiwick key new` makes a key"
                    .to_owned(),
            );
        }
        Ok(all)
    }
}

fn key_of_variable(name: &str) -> Result<Proof, String> {
    let key = std::env::var(name).map_err(|_| format!("key_env: the variable {name} is not set"))?;
    proof_of_key(&format!("key_env: the variable {name}"), &key)
}

fn key_of_file(path: &str) -> Result<Proof, String> {
    let path = PathBuf::from(path);
    let origin = format!("key_file {}", path.display());
    let key = std::fs::read_to_string(&path).map_err(|error| format!("{origin}: {error}"))?;
    proof_of_key(&origin, &key)
}

fn proof_of_key(origin: &str, key: &str) -> Result<Proof, String> {
    let key = key.trim();
    if key.len() < MIN_KEY_BYTES {
        return Err(format!(
            "{origin}: expected a key of at least {MIN_KEY_BYTES} bytes; try `bailiwick key new`"
        ));
    }
    Ok(Proof::of_key(key))
}

/// A text with a scheme is a URI; anything else is a DNS name, in the lower case certificates use.
fn certificate_name(text: &str) -> Result<CertificateName, String> {
    if text.contains("://") {
        return Ok(CertificateName::Uri(text.to_owned()));
    }
    let is_host =
        !text.is_empty() && text.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '.' | '-' | '*'));
    if is_host {
        Ok(CertificateName::Dns(text.to_owned()))
    } else {
        Err(format!(
            "cert_san {text:?}: expected a URI such as spiffe://domain/path, or a DNS name in lower case"
        ))
    }
}

fn read_digest(key: &str, hex: &str) -> Result<[u8; 32], String> {
    read_hex(hex).ok_or_else(|| format!("{key}: expected 64 hexadecimal digits"))
}

fn read_hex(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}
