//! A foreign JSON Web Token, read strictly and verified by the key its issuer named (RFC 7515, 7519; RFC 8725).
//! Pure: keys and the time are arguments. The broker's own grants are not read here.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

/// Longest token read, bytes.
const MAX_TOKEN_BYTES: usize = 16 * 1_024;
/// Longest subject, bytes.
const MAX_SUBJECT_BYTES: usize = 255;
/// `typ` of tokens that are meant to be shown to a service like this one; others (logout, DPoP, …) are not.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// A signature algorithm. All are asymmetric; `none` and the HMAC family do not exist here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
}

impl Algorithm {
    /// As `alg` spells it.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "EdDSA" => Some(Self::EdDsa),
            "ES256" => Some(Self::Es256),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }

    fn of_library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
        }
    }
}

/// A key of an issuer: it verifies one algorithm and no other.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) verifies: DecodingKey,
}

/// Why a token is no good; a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    #[error("the token is not a signed JWT: {0}")]
    Malformed(String),
    #[error("the token is not supported: {0}")]
    Unsupported(String),
    #[error("the token names a key its issuer does not publish")]
    UnknownKey,
    #[error("the token's signature does not verify")]
    BadSignature,
    #[error("the token is from another issuer")]
    WrongIssuer,
    #[error("the token is for another audience")]
    WrongAudience,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token was issued too long ago")]
    TooOld,
    #[error("the token's claim {0}: {1}")]
    Claim(String, &'static str),
}

/// A token whose signature has not been looked at yet.
pub(super) struct Token<'t> {
    header: Members,
    claims: Members,
    signed: &'t str,
    signature: &'t str,
}

/// What an issuer's tokens must say. Times are in seconds.
pub(super) struct Expected<'e> {
    pub(super) issuer: &'e str,
    pub(super) audience: &'e str,
    pub(super) leeway: u64,
    pub(super) max_age: u64,
    pub(super) now: u64,
}

/// Claims that were signed by the right key and hold now.
pub(super) struct Verified(Members);

impl<'t> Token<'t> {
    /// Takes a token apart. A member that stands twice, in header or claims, is refused: readers differ in which
    /// one they believe.
    pub(super) fn read(text: &'t str) -> Result<Self, TokenError> {
        let malformed = |problem: &str| TokenError::Malformed(problem.to_owned());
        if text.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed(format!("it is longer than {MAX_TOKEN_BYTES} bytes")));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or_else(|| malformed("expected three parts"))?;
        let (header, claims) = signed.split_once('.').ok_or_else(|| malformed("expected three parts"))?;
        let object = |part: &str| -> Result<Members, TokenError> {
            let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed("a part is not base64url"))?;
            serde_json::from_slice(&json).map_err(|error| TokenError::Malformed(error.to_string()))
        };
        Ok(Self { header: object(header)?, claims: object(claims)?, signed, signature })
    }

    /// Who the token says it is from: good for nothing but choosing whom to ask.
    pub(super) fn claimed_issuer(&self) -> Option<&str> {
        self.claims.text("iss")
    }

    /// The algorithm and the id of the key, where both are acceptable. Keys that come with the token (`jwk`, `jku`,
    /// `x5u`, `x5c`) are not looked at.
    pub(super) fn header(&self, allowed: &[Algorithm]) -> Result<(Algorithm, &str), TokenError> {
        let unsupported = |problem: String| TokenError::Unsupported(problem);
        if self.header.get("crit").is_some() {
            return Err(unsupported("it has critical header parameters".to_owned()));
        }
        if let Some(typ) = self.header.get("typ") {
            let known = typ.as_str().is_some_and(|typ| TYPES.contains(&typ.to_ascii_lowercase().as_str()));
            if !known {
                return Err(unsupported(format!("type {typ}")));
            }
        }
        let algorithm = self.header.text("alg").and_then(Algorithm::named);
        let algorithm = algorithm.filter(|algorithm| allowed.contains(algorithm)).ok_or_else(|| {
            unsupported("its algorithm is not one the issuer is configured with".to_owned())
        })?;
        let key = self.header.text("kid").ok_or(TokenError::UnknownKey)?;
        Ok((algorithm, key))
    }

    /// Verifies the signature first, then judges the claims.
    pub(super) fn verify(
        self,
        algorithm: Algorithm,
        key: &Key,
        expected: &Expected<'_>,
    ) -> Result<Verified, TokenError> {
        if key.algorithm != algorithm {
            return Err(TokenError::Unsupported("its key is for another algorithm".to_owned()));
        }
        let algorithm = algorithm.of_library();
        let fits =
            jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), &key.verifies, algorithm);
        if !fits.unwrap_or(false) {
            return Err(TokenError::BadSignature);
        }
        judge(&self.claims, expected)?;
        Ok(Verified(self.claims))
    }
}

fn judge(claims: &Members, expected: &Expected<'_>) -> Result<(), TokenError> {
    let Expected { issuer, audience, leeway, max_age, now } = *expected;
    if claims.text("iss") != Some(issuer) {
        return Err(TokenError::WrongIssuer);
    }
    let for_us = match claims.get("aud") {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(audience)),
        _ => false,
    };
    if !for_us {
        return Err(TokenError::WrongAudience);
    }
    let expires = claims.time("exp")?.ok_or_else(|| claim("exp", "expected, but absent"))?;
    if now >= expires.saturating_add(leeway) {
        return Err(TokenError::Expired);
    }
    if claims.time("nbf")?.is_some_and(|from| now.saturating_add(leeway) < from) {
        return Err(TokenError::NotYetValid);
    }
    let issued = claims.time("iat")?.ok_or_else(|| claim("iat", "expected, but absent"))?;
    if now.saturating_add(leeway) < issued {
        return Err(TokenError::NotYetValid);
    }
    if now.saturating_sub(issued) > max_age.saturating_add(leeway) {
        return Err(TokenError::TooOld);
    }
    // Whoever bound the token to a key of its holder did not mean it to be worth anything alone.
    if claims.get("cnf").is_some() {
        return Err(TokenError::Unsupported(
            "it is bound to a key, and proofs of foreign keys are not checked".to_owned(),
        ));
    }
    Ok(())
}

impl Verified {
    /// The subject, as a claim names it.
    pub(super) fn subject(&self, name: &str) -> Result<&str, TokenError> {
        let text = self.0.text(name).ok_or_else(|| claim(name, "expected a string"))?;
        if text.is_empty() || text.len() > MAX_SUBJECT_BYTES || text.chars().any(char::is_control) {
            return Err(claim(name, "expected 1 to 255 bytes without control characters"));
        }
        Ok(text)
    }

    /// Whether a claim is a value, or a list in which it stands.
    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        match self.0.get(name) {
            Some(Value::String(one)) => one == value,
            Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(value)),
            _ => false,
        }
    }
}

fn claim(name: &str, problem: &'static str) -> TokenError {
    TokenError::Claim(name.to_owned(), problem)
}

/// A JSON object in which no member stands twice.
struct Members(BTreeMap<String, Value>);

impl Members {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// A NumericDate. A fraction is cut off; what is negative or no number is refused.
    fn time(&self, name: &str) -> Result<Option<u64>, TokenError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
        let cut = |at: f64| (0.0..9e15).contains(&at).then_some(at as u64);
        let seconds = value.as_u64().or_else(|| value.as_f64().and_then(cut));
        seconds.map(Some).ok_or_else(|| claim(name, "expected seconds since 1970"))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Strict;
        impl<'de> Visitor<'de> for Strict {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member stands twice"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Strict)
    }
}
