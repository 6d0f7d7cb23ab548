//! The keys an issuer publishes (JWK Set, RFC 7517), as far as they can verify its tokens.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;

use super::token::{Algorithm, Key};

/// Most keys of one issuer.
const MAX_KEYS: usize = 64;
/// Length of a coordinate or a key on P-256 and Curve25519, bytes.
const CURVE_BYTES: usize = 32;
/// Length of an RSA modulus, bytes: 2048 to 4096 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;

/// An issuer's keys by their ids.
#[derive(Default)]
pub(super) struct KeySet(HashMap<String, Key>);

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

/// The members of a JWK that matter here; private and symmetric parts are not read.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: String,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    key_ops: Option<Vec<String>>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

impl KeySet {
    /// Reads a set. Keys for other purposes, of other kinds and without an id are passed over, as is an id that
    /// stands for two keys.
    pub(super) fn read(json: &[u8]) -> Result<Self, String> {
        let document: Document =
            serde_json::from_slice(json).map_err(|error| format!("expected a JWK Set: {error}"))?;
        if document.keys.len() > MAX_KEYS {
            return Err(format!("expected at most {MAX_KEYS} keys"));
        }
        let mut keys: HashMap<String, Option<Key>> = HashMap::new();
        for jwk in document.keys {
            let Ok(jwk) = serde_json::from_value::<Jwk>(jwk) else { continue };
            let Some(key) = key(&jwk) else { continue };
            let twice = keys.contains_key(&jwk.kid);
            keys.insert(jwk.kid, (!twice).then_some(key));
        }
        Ok(Self(keys.into_iter().filter_map(|(id, key)| Some((id, key?))).collect()))
    }

    /// The key of an id.
    pub(super) fn get(&self, id: &str) -> Option<&Key> {
        self.0.get(id)
    }
}

/// The one algorithm a key is for follows from what it is; `alg`, where present, must agree.
fn key(jwk: &Jwk) -> Option<Key> {
    let for_signatures = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
        && jwk.key_ops.as_ref().is_none_or(|uses| uses.iter().any(|one| one == "verify"));
    if !for_signatures {
        return None;
    }
    let has_length = |text: &str| URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == CURVE_BYTES);
    let (algorithm, verifies) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("OKP", Some("Ed25519")) if has_length(&jwk.x) => {
            (Algorithm::EdDsa, DecodingKey::from_ed_components(&jwk.x).ok()?)
        }
        ("EC", Some("P-256")) if has_length(&jwk.x) && has_length(&jwk.y) => {
            (Algorithm::Es256, DecodingKey::from_ec_components(&jwk.x, &jwk.y).ok()?)
        }
        ("RSA", _) => {
            let modulus = URL_SAFE_NO_PAD.decode(&jwk.n).ok()?;
            let length = modulus.iter().skip_while(|byte| **byte == 0).count();
            if !RSA_BYTES.contains(&length) {
                return None;
            }
            (Algorithm::Rs256, DecodingKey::from_rsa_components(&jwk.n, &jwk.e).ok()?)
        }
        _ => return None,
    };
    let agrees = jwk.alg.as_deref().is_none_or(|name| Algorithm::named(name) == Some(algorithm));
    agrees.then_some(Key { algorithm, verifies })
}
