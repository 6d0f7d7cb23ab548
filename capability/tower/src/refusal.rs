//! Refusals in the words of RFC 6750: a status, a challenge that says what to do about it, a body for people.

use std::fmt::Write;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};

/// Why a request is not let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It carries no grant.
    NoGrant,
    /// Its grant is no good, and why.
    BadGrant(String),
    /// It cannot be understood; what was expected.
    BadRequest(String),
    /// Its grant does not admit it; the capability that would.
    NotAdmitted(String),
}

impl Refusal {
    /// Its HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoGrant | Self::BadGrant(_) => StatusCode::UNAUTHORIZED,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NotAdmitted(_) => StatusCode::FORBIDDEN,
        }
    }

    /// The response. `audience` tells the caller for whom to have a grant made.
    pub(crate) fn into_response<B: From<String>>(self, audience: &str) -> Response<B> {
        let next = format!("exchange the task's grant at the broker's /token with resource={audience}");
        let (error, description, scope) = match &self {
            Self::NoGrant => (None, format!("send Authorization: Bearer GRANT; {next}"), None),
            Self::BadGrant(why) => (Some("invalid_token"), format!("{why}; {next}"), None),
            Self::BadRequest(why) => (Some("invalid_request"), why.clone(), None),
            Self::NotAdmitted(missing) => {
                let why = format!("the grant does not admit {missing} with these arguments");
                (Some("insufficient_scope"), why, Some(missing.clone()))
            }
        };
        let description = plain(&description);
        let mut challenge = format!("Bearer realm=\"{}\"", plain(audience));
        if let Some(error) = error {
            let _ = write!(challenge, ", error=\"{error}\", error_description=\"{description}\"");
        }
        if let Some(scope) = scope {
            let _ = write!(challenge, ", scope=\"{}\"", plain(&scope));
        }
        let body = format!(
            "{{\"error\":\"{}\",\"error_description\":\"{description}\"}}",
            error.unwrap_or("invalid_token")
        );
        let mut response = Response::new(B::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// The characters a quoted string of a challenge may hold without escapes (RFC 6750 §3).
fn plain(text: &str) -> String {
    let plain = |c: char| match c {
        '"' | '\\' => '\'',
        ' '..='~' => c,
        _ => '?',
    };
    text.chars().map(plain).collect()
}
