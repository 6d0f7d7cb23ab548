//! What a request presents as proof of identity. `Authorization` decides where it is present, else an API key's
//! header, else the connection's client certificate; what cannot be read is a bad credential, not none.

use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use crate::service::{ClientCertificate, Credential, SentProof};

/// Where an API key may stand instead of `Authorization` (the A2A scheme `apiKey`).
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Where a DPoP proof stands.
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// The one credential a request is judged by.
pub(super) fn presented(head: &Parts, certificate: Option<&Arc<ClientCertificate>>) -> Option<Credential> {
    let headers = &head.headers;
    if let Some(value) = only(headers, &AUTHORIZATION) {
        return Some(value.map_or_else(Credential::Unreadable, |value| authorization(value, head)));
    }
    if let Some(value) = only(headers, &API_KEY) {
        return Some(match value.map(HeaderValue::to_str) {
            Ok(Ok(key)) => Credential::ApiKey(key.to_owned()),
            Ok(Err(_)) => Credential::Unreadable("the API key holds characters that no key holds"),
            Err(why) => Credential::Unreadable(why),
        });
    }
    certificate.map(|certificate| Credential::Certificate(Arc::clone(certificate)))
}

fn authorization(value: &HeaderValue, head: &Parts) -> Credential {
    let (scheme, token) = value.to_str().unwrap_or_default().split_once(' ').unwrap_or_default();
    let (is, token) = (|known: &str| scheme.eq_ignore_ascii_case(known), token.trim());
    if is("bearer") && !token.is_empty() {
        return Credential::Bearer(token.to_owned());
    }
    match sent_proof(head) {
        Some(proof) if is("dpop") => Credential::Dpop { grant: token.to_owned(), proof },
        None if is("dpop") => Credential::Unreadable("expected a DPoP proof beside Authorization: DPoP"),
        _ => Credential::Unreadable("expected Authorization: Bearer <API key, token or grant>"),
    }
}

/// The DPoP proof of a request (RFC 9449). Several, or one that cannot be read, are a bad one.
pub(super) fn sent_proof(head: &Parts) -> Option<SentProof> {
    let proof = only(&head.headers, &DPOP)?.ok().and_then(|value| value.to_str().ok());
    let (method, path) = (head.method.to_string(), head.uri.path().to_owned());
    Some(SentProof { proof: proof.unwrap_or_default().to_owned(), method, path })
}

/// A header's value; two of one name would leave open which one counts.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Result<&'h HeaderValue, &'static str>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    Some(if values.next().is_none() { Ok(first) } else { Err("a credential's header stands twice") })
}
