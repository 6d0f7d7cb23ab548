//! Tokens by hand: what one says, and one that says anything, signed with a key of the test's own.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// base64url without padding.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A part of a token, decoded: 0 the header, 1 the claims.
pub fn part(token: &str, index: usize) -> Value {
    let text = token.split('.').nth(index).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("base64url")).expect("JSON")
}

/// An Ed25519 key of the test's own.
pub struct Key(SigningKey);

impl Key {
    /// The key of a number.
    pub fn of(number: u8) -> Self {
        Self(SigningKey::from_bytes(&[number; 32]))
    }

    /// The public half as a JSON Web Key.
    pub fn jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(self.0.verifying_key()) })
    }

    /// Signs whatever it is.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// The same for what need not be JSON.
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = encode(self.0.sign(message.as_bytes()).to_bytes());
        format!("{message}.{signature}")
    }

    /// A DPoP proof (RFC 9449) for one POST, with a token or without.
    pub fn proof(&self, url: &str, token: Option<&str>, id: &str) -> String {
        let header = json!({ "alg": "EdDSA", "typ": "dpop+jwt", "jwk": self.jwk() });
        let mut claims = json!({ "jti": id, "htm": "POST", "htu": url, "iat": now() });
        if let Some(token) = token {
            claims["ath"] = json!(encode(Sha256::digest(token)));
        }
        self.sign(&header, &claims)
    }
}

/// Seconds since the epoch.
pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    since.expect("a clock past 1970").as_secs()
}
