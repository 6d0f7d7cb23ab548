//! What a request presents as proof of identity. `Authorization` decides where it is present, else an API key's
//! header, else the connection's client certificate; what cannot be read is a bad credential, not none.

use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, HeaderValue};

use crate::service::{ClientCertificate, Credential};

/// Where an API key may stand instead of `Authorization` (the A2A scheme `apiKey`).
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The one credential a request is judged by.
pub(super) fn presented(
    headers: &HeaderMap,
    certificate: Option<&Arc<ClientCertificate>>,
) -> Option<Credential> {
    if let Some(value) = only(headers, &AUTHORIZATION) {
        return Some(value.map_or_else(Credential::Unreadable, authorization));
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

fn authorization(value: &HeaderValue) -> Credential {
    let text = value.to_str().unwrap_or_default();
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => {
            Credential::Bearer(token.trim().to_owned())
        }
        _ => Credential::Unreadable("expected Authorization: Bearer <API key, token or grant>"),
    }
}

/// A header's value; two of one name would leave open which one counts.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Result<&'h HeaderValue, &'static str>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    Some(if values.next().is_none() { Ok(first) } else { Err("a credential's header stands twice") })
}
