//! Reading a push configuration as a caller sends it: its URL judged, its secrets fit to stand in a header.

use broker_core::journal::PushConfig;
use protocol::{A2aError, AuthenticationInfo, Secret, TaskPushNotificationConfig, Version};

use crate::address::{Destination, GivenBy};
use crate::service::error;

/// Longest URL, bytes.
const MAX_URL_BYTES: usize = 2_048;
/// Longest id, bytes.
const MAX_ID_BYTES: usize = 128;
/// Longest scheme, bytes.
const MAX_SCHEME_BYTES: usize = 64;
/// Longest token or credentials, bytes.
const MAX_SECRET_BYTES: usize = 4_096;

/// Checks a configuration that came in a version; `new_id` names one that has no name.
pub(super) fn config(
    sent: TaskPushNotificationConfig,
    version: Version,
    given_by: &GivenBy,
    new_id: impl FnOnce() -> String,
) -> Result<PushConfig, A2aError> {
    if sent.url.len() > MAX_URL_BYTES {
        return Err(error::invalid("url", &format!("expected at most {MAX_URL_BYTES} bytes")));
    }
    let to = Destination::judge(&sent.url, given_by);
    let to = to.map_err(|refused| error::invalid("url", &refused.to_string()))?;
    let id = sent.id.unwrap_or_else(new_id);
    if id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) {
        let problem = format!("expected at most {MAX_ID_BYTES} bytes without control characters");
        return Err(error::invalid("id", &problem));
    }
    let token = sent.token.map(|token| secret("token", token)).transpose()?;
    let (scheme, credentials) = match sent.authentication {
        None => (None, None),
        Some(info) => {
            let AuthenticationInfo { scheme, credentials, .. } = *info;
            if !is_scheme(&scheme) {
                let problem = "expected the name of an HTTP authentication scheme, such as Bearer";
                return Err(error::invalid("authentication.scheme", problem));
            }
            let credentials =
                credentials.map(|secret_| secret("authentication.credentials", secret_)).transpose()?;
            (Some(scheme), credentials)
        }
    };
    Ok(PushConfig { id, url: to.url().to_owned(), token, scheme, credentials, version })
}

/// A token of RFC 9110 §5.6.2.
fn is_scheme(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=MAX_SCHEME_BYTES).contains(&text.len()) && text.bytes().all(is_token)
}

/// What can stand in a header; what it is instead is not repeated.
fn secret(field: &str, secret: Secret) -> Result<Secret, A2aError> {
    let text = secret.reveal();
    let fits = text.len() <= MAX_SECRET_BYTES
        && text.trim() == text
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if fits {
        return Ok(secret);
    }
    let problem = format!("expected at most {MAX_SECRET_BYTES} printable ASCII characters, for a header");
    Err(error::invalid(field, &problem))
}
