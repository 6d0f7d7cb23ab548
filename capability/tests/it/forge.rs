//! Tokens of our own making: any header, any payload, really signed, so that a refusal is never the signature's.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use capability::{Claims, Expected, GrantKey, KeySet, Possession, Scope};
use jsonwebtoken::EncodingKey;
use p256::ecdsa::signature::Signer;

pub(crate) const NOW: u64 = 1_000_000;
pub(crate) const BROKER: &str = "https://broker";

/// What signs.
#[derive(Clone, Copy)]
pub(crate) enum Secret<'a> {
    Ed25519([u8; 32]),
    P256([u8; 32]),
    Hmac(&'a [u8]),
    Nothing,
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn forge(secret: Secret<'_>, header: &str, payload: &str) -> String {
    seal(secret, &format!("{}.{}", encode(header), encode(payload)))
}

/// Signs what is already encoded, well or not.
pub(crate) fn seal(secret: Secret<'_>, message: &str) -> String {
    let signature = match secret {
        Secret::Ed25519(seed) => {
            encode(ed25519_dalek::SigningKey::from_bytes(&seed).sign(message.as_bytes()).to_bytes())
        }
        Secret::P256(secret) => {
            let key = p256::ecdsa::SigningKey::from_slice(&secret).unwrap();
            let signature: p256::ecdsa::Signature = key.sign(message.as_bytes());
            encode(signature.to_bytes())
        }
        Secret::Hmac(secret) => jsonwebtoken::crypto::sign(
            message.as_bytes(),
            &EncodingKey::from_secret(secret),
            jsonwebtoken::Algorithm::HS256,
        )
        .unwrap(),
        Secret::Nothing => String::new(),
    };
    format!("{message}.{signature}")
}

/// What the broker itself insists on.
pub(crate) fn expected(now: u64) -> Expected<'static> {
    Expected { issuer: BROKER, audience: BROKER, now, possession: Possession::Bearer }
}

pub(crate) fn claims() -> Claims {
    Claims {
        issuer: BROKER.to_owned(),
        subject: "alice".to_owned(),
        actors: Some(capability::Actor { sub: "a".to_owned(), act: None }),
        holder: "b".to_owned(),
        audience: BROKER.to_owned(),
        id: "g1".to_owned(),
        issued_at: NOW,
        not_before: NOW,
        expires: NOW + 900,
        root: "t1".to_owned(),
        task: "t2".to_owned(),
        parent: Some("t1".to_owned()),
        depth: 1,
        scope: Scope::parse(["mcp:tool/fetch", "mcp:tool/search{calls<=5}"]).unwrap(),
        confirmation: None,
    }
}

/// The payload of a minted grant, as text to be changed.
pub(crate) fn payload(key: &GrantKey) -> String {
    let token = capability::mint(key, &claims()).unwrap();
    let part = token.split('.').nth(1).unwrap();
    String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

pub(crate) fn keys(key: &GrantKey) -> KeySet {
    key.verify_key().into()
}
