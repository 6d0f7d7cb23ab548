//! Keys: one algorithm each, decided when the key is made and never by what a token says of itself.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, Verifier};
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::json::Given;

/// DER of a PKCS #8 P-256 private key, up to its 32 bytes (RFC 5915, without the optional public key).
const PKCS8_P256_PREFIX: [u8; 35] = [
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
    0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04,
    0x20,
];
/// First byte of an uncompressed point (SEC 1).
const UNCOMPRESSED: u8 = 4;
const COORDINATE_BYTES: usize = 32;

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    #[default]
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// ECDSA on P-256 with SHA-256 (RFC 7518).
    #[serde(rename = "ES256")]
    Es256,
}

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Of a kind that is not supported; in a set such keys are skipped.
    #[error("the key is of a kind not supported here; expected OKP Ed25519 or EC P-256, for signatures")]
    Unsupported,
    /// It holds what must never be shown.
    #[error("the key holds a private part; publish the public part only and replace the key")]
    Private,
    /// Its parts make no key.
    #[error("not a key: {0}")]
    Malformed(String),
}

/// A signing key. Its text form never shows the secret.
#[derive(Clone)]
pub struct GrantKey {
    secret: Secret,
    verify: VerifyKey,
}

/// An Ed25519 key is kept with its public point, so that no signature has to find it anew.
#[derive(Clone)]
enum Secret {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    P256(EncodingKey),
}

/// A key signatures are verified with.
#[derive(Clone)]
pub struct VerifyKey {
    id: String,
    public: Public,
    /// ES256 only: an Ed25519 key is kept as the point it is, so that no check has to find it anew.
    decoding: Option<DecodingKey>,
}

#[derive(Clone, PartialEq, Eq)]
enum Public {
    Ed25519(ed25519_dalek::VerifyingKey),
    P256 { x: [u8; COORDINATE_BYTES], y: [u8; COORDINATE_BYTES] },
}

impl Algorithm {
    /// As tokens and keys name it (`alg`).
    pub fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        }
    }

    pub(super) fn jose(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
        }
    }
}

impl GrantKey {
    /// The Ed25519 key of a 32-byte seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let secret = ed25519_dalek::SigningKey::from_bytes(&seed);
        let verify = VerifyKey::of(None, Public::Ed25519(secret.verifying_key()));
        Self { secret: Secret::Ed25519(Box::new(secret)), verify }
    }

    /// The P-256 key of a 32-byte secret. Fails for the few secrets that are no scalar of the curve (1 in 2³²).
    pub fn es256(secret: [u8; 32]) -> Result<Self, KeyError> {
        let malformed = |_| KeyError::Malformed("the secret is no scalar of P-256; take another".to_owned());
        let signing = p256::ecdsa::SigningKey::from_slice(&secret).map_err(malformed)?;
        let point = signing.verifying_key().to_encoded_point(false);
        let coordinate = |bytes: Option<&p256::FieldBytes>| {
            bytes.map(|bytes| <[u8; COORDINATE_BYTES]>::from(*bytes)).unwrap_or_default()
        };
        let public = Public::P256 { x: coordinate(point.x()), y: coordinate(point.y()) };
        let secret = EncodingKey::from_ec_der(&[PKCS8_P256_PREFIX.as_slice(), &secret].concat());
        Ok(Self { secret: Secret::P256(secret), verify: VerifyKey::of(None, public) })
    }

    /// The key of a secret, for an algorithm.
    pub fn of(algorithm: Algorithm, secret: [u8; 32]) -> Result<Self, KeyError> {
        match algorithm {
            Algorithm::EdDsa => Ok(Self::from_seed(secret)),
            Algorithm::Es256 => Self::es256(secret),
        }
    }

    /// Names the key in a token's header (`kid`): its thumbprint.
    pub fn id(&self) -> &str {
        &self.verify.id
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        self.verify.algorithm()
    }

    /// The public half as a JSON Web Key (RFC 7517, RFC 8037).
    pub fn public_jwk(&self) -> Value {
        self.verify.jwk()
    }

    /// The half that verifies.
    pub fn verify_key(&self) -> VerifyKey {
        self.verify.clone()
    }

    /// Signs; the signature in base64url. Whoever signs other things than grants does so with keys of their own: one key,
    /// one purpose.
    pub fn sign(&self, message: &[u8]) -> Result<String, KeyError> {
        match &self.secret {
            Secret::Ed25519(key) => Ok(encode(key.sign(message).to_bytes())),
            Secret::P256(key) => jsonwebtoken::crypto::sign(message, key, self.algorithm().jose())
                .map_err(|error| KeyError::Malformed(error.to_string())),
        }
    }
}

/// A public key on the wire (RFC 7517).
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    x: Option<String>,
    y: Option<String>,
    #[serde(default)]
    d: Given,
    #[serde(default)]
    p: Given,
    #[serde(default)]
    k: Given,
}

impl Jwk {
    pub(super) fn id(&self) -> Option<&str> {
        self.kid.as_deref()
    }
}

impl VerifyKey {
    /// The key of a public JSON Web Key: OKP Ed25519 or EC P-256. Its id is `kid`, or else its thumbprint.
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        Jwk::deserialize(jwk).map_err(|error| KeyError::Malformed(error.to_string())).and_then(Self::read)
    }

    pub(super) fn read(jwk: Jwk) -> Result<Self, KeyError> {
        if [jwk.d, jwk.p, jwk.k].contains(&Given(true)) {
            return Err(KeyError::Private);
        }
        let verifies = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|one| one == "verify"));
        let public = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("OKP", Some("Ed25519")) if verifies => ed25519(&coordinate(jwk.x.as_deref(), "x")?)?,
            ("EC", Some("P-256")) if verifies => {
                p256_point(coordinate(jwk.x.as_deref(), "x")?, coordinate(jwk.y.as_deref(), "y")?)?
            }
            _ => return Err(KeyError::Unsupported),
        };
        let key = Self::of(jwk.kid, public);
        match jwk.alg {
            // RFC 9864 gives EdDSA on this curve a name of its own.
            Some(alg)
                if alg != key.algorithm().name()
                    && (alg.as_str(), key.algorithm()) != ("Ed25519", Algorithm::EdDsa) =>
            {
                Err(KeyError::Malformed(format!("its alg {alg:?} does not fit its type")))
            }
            _ => Ok(key),
        }
    }

    fn of(id: Option<String>, public: Public) -> Self {
        let decoding = match &public {
            Public::Ed25519(_) => None,
            Public::P256 { x, y } => {
                Some(DecodingKey::from_ec_der(&[&[UNCOMPRESSED], x.as_slice(), y].concat()))
            }
        };
        let id = id.unwrap_or_else(|| public.thumbprint());
        Self { id, public, decoding }
    }

    /// How tokens name it (`kid`).
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The one algorithm it verifies.
    pub fn algorithm(&self) -> Algorithm {
        match self.public {
            Public::Ed25519(_) => Algorithm::EdDsa,
            Public::P256 { .. } => Algorithm::Es256,
        }
    }

    /// Its SHA-256 thumbprint in base64url (RFC 7638); what `cnf.jkt` of a bound grant says.
    pub fn thumbprint(&self) -> String {
        self.public.thumbprint()
    }

    /// As a JSON Web Key.
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.public {
            Public::Ed25519(x) => json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(x.as_bytes()) }),
            Public::P256 { x, y } => json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) }),
        };
        if let Some(members) = jwk.as_object_mut() {
            members.insert("use".to_owned(), json!("sig"));
            members.insert("alg".to_owned(), json!(self.algorithm().name()));
            members.insert("kid".to_owned(), json!(self.id));
        }
        jwk
    }

    /// Whether a signature, in base64url, is this key's over a message.
    pub fn verifies(&self, signature: &str, message: &[u8]) -> bool {
        match (&self.public, &self.decoding) {
            (Public::Ed25519(point), _) => signature_bytes(signature).is_some_and(|signature| {
                point.verify(message, &ed25519_dalek::Signature::from_bytes(&signature)).is_ok()
            }),
            (Public::P256 { .. }, Some(key)) => {
                jsonwebtoken::crypto::verify(signature, message, key, self.algorithm().jose())
                    .unwrap_or(false)
            }
            (Public::P256 { .. }, None) => false,
        }
    }
}

impl std::fmt::Debug for GrantKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GrantKey({})", self.id())
    }
}

impl std::fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifyKey({} {})", self.algorithm().name(), self.id)
    }
}

impl PartialEq for VerifyKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.public == other.public
    }
}

impl Eq for VerifyKey {}

impl Public {
    /// The members RFC 7638 names, in its order.
    fn thumbprint(&self) -> String {
        let canonical = match self {
            Self::Ed25519(x) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(x.as_bytes())),
            Self::P256 { x, y } => {
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, encode(x), encode(y))
            }
        };
        encode(Sha256::digest(canonical))
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signature_bytes(text: &str) -> Option<[u8; ed25519_dalek::SIGNATURE_LENGTH]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

fn coordinate(text: Option<&str>, name: &str) -> Result<[u8; COORDINATE_BYTES], KeyError> {
    let bytes = text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        KeyError::Malformed(format!("{name}: expected {COORDINATE_BYTES} bytes in base64url without padding"))
    })
}

/// A point of the curve, and not one of the few under which a signature fits every message.
fn ed25519(x: &[u8; COORDINATE_BYTES]) -> Result<Public, KeyError> {
    let point = ed25519_dalek::VerifyingKey::from_bytes(x).ok().filter(|point| !point.is_weak());
    point.map(Public::Ed25519).ok_or_else(|| KeyError::Malformed("x is no point of Ed25519".to_owned()))
}

fn p256_point(x: [u8; COORDINATE_BYTES], y: [u8; COORDINATE_BYTES]) -> Result<Public, KeyError> {
    let point = [&[UNCOMPRESSED], x.as_slice(), &y].concat();
    p256::ecdsa::VerifyingKey::from_sec1_bytes(&point)
        .map(|_| Public::P256 { x, y })
        .map_err(|_| KeyError::Malformed("x and y are no point of P-256".to_owned()))
}
