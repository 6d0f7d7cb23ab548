//! The grant: a short-lived signed token that carries a task's scope to the agent working on it (JWT, RFC 9068
//! `at+jwt`, EdDSA). Minting and verifying take the time as an argument. Whether the task is still open is for the
//! broker to ask; a grant alone proves only what was once granted.

use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::scope::Scope;

/// `typ` of every grant.
const TOKEN_TYPE: &str = "at+jwt";
/// `type` of the authorization details (RFC 9396) that hold the scope.
const DETAILS_TYPE: &str = "a2a_capability";
/// DER of a PKCS #8 Ed25519 private key, up to the 32 bytes of the seed (RFC 8410).
const PKCS8_ED25519_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A signing key. Its text form never shows the secret.
pub struct GrantKey {
    id: String,
    public: [u8; 32],
    encoding: EncodingKey,
}

/// A key grants are verified with.
pub struct VerifyKey {
    id: String,
    decoding: DecodingKey,
}

/// What a grant says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The broker that minted it.
    pub issuer: String,
    /// The principal that owns the tree.
    pub subject: String,
    /// The agents it came through, nearest first; for audit only, never for a decision.
    pub actors: Option<Actor>,
    /// The agent that holds it.
    pub holder: String,
    /// Who it is for.
    pub audience: String,
    /// The derivation node.
    pub id: String,
    /// Seconds since the epoch.
    pub issued_at: u64,
    /// Valid from here on; seconds since the epoch.
    pub not_before: u64,
    /// Valid up to, not including; seconds since the epoch.
    pub expires: u64,
    /// The root task.
    pub root: String,
    /// The task.
    pub task: String,
    /// Its parent.
    pub parent: Option<String>,
    /// Hops from the root.
    pub depth: u32,
    /// What the holder may do.
    pub scope: Scope,
}

/// The chain of agents a delegation came through (the `act` claim of RFC 8693).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The nearest one.
    pub sub: String,
    /// Those before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Actor>>,
}

/// What a verifier insists on.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `aud`.
    pub audience: &'a str,
    /// Seconds since the epoch.
    pub now: u64,
}

/// Why a grant is no good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Not a token of this form.
    #[error("not a grant: {0}")]
    Malformed(String),
    /// Signed with a key nobody here knows.
    #[error("the grant names a key that is not known here")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the grant's signature does not verify")]
    BadSignature,
    /// Too late.
    #[error("the grant has expired")]
    Expired,
    /// Too early.
    #[error("the grant is not valid yet")]
    NotYetValid,
    /// For somebody else.
    #[error("the grant is for another audience")]
    WrongAudience,
    /// From somebody else.
    #[error("the grant is from another issuer")]
    WrongIssuer,
    /// It demands something that is not understood, or is of another kind.
    #[error("the grant is not supported: {0}")]
    Unsupported(String),
    /// Everything cannot be granted.
    #[error("an unbounded scope cannot be minted into a grant")]
    UnboundedScope,
}

impl GrantKey {
    /// The key of a 32-byte seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let public = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        let der = [PKCS8_ED25519_PREFIX.as_slice(), &seed].concat();
        let id = base64url(&public).chars().take(16).collect();
        Self { id, public, encoding: EncodingKey::from_ed_der(&der) }
    }

    /// Names the key in a token's header (`kid`).
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public half as a JSON Web Key (RFC 8037).
    pub fn public_jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
                "kid": self.id, "x": base64url(&self.public) })
    }

    /// The half that verifies.
    pub fn verify_key(&self) -> VerifyKey {
        VerifyKey { id: self.id.clone(), decoding: DecodingKey::from_ed_der(&self.public) }
    }
}

impl std::fmt::Debug for GrantKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GrantKey({})", self.id)
    }
}

fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |bits: u32| ALPHABET.get((bits & 63) as usize).copied().map_or('A', char::from);
    let mut text = String::with_capacity(bytes.len() * 4 / 3 + 2);
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).for_each(|index| text.push(digit(bits >> (18 - 6 * index))));
    }
    text
}

/// The claims as they stand in the token.
#[derive(Serialize, Deserialize)]
struct Wire {
    iss: String,
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    act: Option<Actor>,
    client_id: String,
    aud: String,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    txn: String,
    task: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    depth: u32,
    /// The scope once more as OAuth knows it, for readers that do not know the details.
    scope: String,
    authorization_details: Vec<Details>,
}

#[derive(Serialize, Deserialize)]
struct Details {
    #[serde(rename = "type")]
    kind: String,
    capabilities: Vec<String>,
}

/// Mints a grant. A scope that is everything is refused.
pub fn mint(key: &GrantKey, claims: &Claims) -> Result<String, GrantError> {
    if claims.scope.is_top() {
        return Err(GrantError::UnboundedScope);
    }
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(TOKEN_TYPE.to_owned());
    header.kid = Some(key.id.clone());
    let malformed = |error: jsonwebtoken::errors::Error| GrantError::Malformed(error.to_string());
    jsonwebtoken::encode(&header, &to_wire(claims), &key.encoding).map_err(malformed)
}

fn to_wire(claims: &Claims) -> Wire {
    let capabilities = claims.scope.texts();
    Wire {
        iss: claims.issuer.clone(),
        sub: claims.subject.clone(),
        act: claims.actors.clone(),
        client_id: claims.holder.clone(),
        aud: claims.audience.clone(),
        jti: claims.id.clone(),
        iat: claims.issued_at,
        nbf: claims.not_before,
        exp: claims.expires,
        txn: claims.root.clone(),
        task: claims.task.clone(),
        parent: claims.parent.clone(),
        depth: claims.depth,
        scope: capabilities.join(" "),
        authorization_details: vec![Details { kind: DETAILS_TYPE.to_owned(), capabilities }],
    }
}

/// Verifies a grant: header, signature, then claims, in this order. No leeway.
pub fn verify(token: &str, keys: &[VerifyKey], expected: &Expected<'_>) -> Result<Claims, GrantError> {
    let key = choose_key(token, keys)?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    // Times, issuer and audience are judged below: exactly, and by the caller's clock.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.set_required_spec_claims::<&str>(&[]);
    let wire =
        jsonwebtoken::decode::<Wire>(token, &key.decoding, &validation).map_err(|error| {
            match error.kind() {
                jsonwebtoken::errors::ErrorKind::InvalidSignature => GrantError::BadSignature,
                _ => GrantError::Malformed(error.to_string()),
            }
        })?;
    judge(wire.claims, expected)
}

fn choose_key<'k>(token: &str, keys: &'k [VerifyKey]) -> Result<&'k VerifyKey, GrantError> {
    let header =
        jsonwebtoken::decode_header(token).map_err(|error| GrantError::Malformed(error.to_string()))?;
    if header.alg != Algorithm::EdDSA {
        return Err(GrantError::Unsupported(format!("algorithm {:?}", header.alg)));
    }
    if !header.typ.as_deref().is_some_and(|typ| typ.eq_ignore_ascii_case(TOKEN_TYPE)) {
        return Err(GrantError::Unsupported(format!("a token type other than {TOKEN_TYPE}")));
    }
    if header.crit.is_some() || header.extras.inner().contains_key("crit") {
        return Err(GrantError::Unsupported("critical header parameters".to_owned()));
    }
    let named = header.kid.ok_or(GrantError::UnknownKey)?;
    keys.iter().find(|key| key.id == named).ok_or(GrantError::UnknownKey)
}

fn judge(wire: Wire, expected: &Expected<'_>) -> Result<Claims, GrantError> {
    if wire.iss != expected.issuer {
        return Err(GrantError::WrongIssuer);
    }
    if wire.aud != expected.audience {
        return Err(GrantError::WrongAudience);
    }
    if expected.now >= wire.exp {
        return Err(GrantError::Expired);
    }
    if expected.now < wire.nbf {
        return Err(GrantError::NotYetValid);
    }
    let [details] = wire.authorization_details.as_slice() else {
        return Err(GrantError::Malformed("expected one authorization_details object".to_owned()));
    };
    if details.kind != DETAILS_TYPE {
        return Err(GrantError::Unsupported(format!("authorization details of type {:?}", details.kind)));
    }
    let capabilities: Result<Vec<_>, _> = details.capabilities.iter().map(|text| text.parse()).collect();
    let scope = capabilities
        .map(Scope::of)
        .map_err(|error: crate::ParseError| GrantError::Malformed(error.to_string()))?;
    Ok(Claims {
        issuer: wire.iss,
        subject: wire.sub,
        actors: wire.act,
        holder: wire.client_id,
        audience: wire.aud,
        id: wire.jti,
        issued_at: wire.iat,
        not_before: wire.nbf,
        expires: wire.exp,
        root: wire.txn,
        task: wire.task,
        parent: wire.parent,
        depth: wire.depth,
        scope,
    })
}
