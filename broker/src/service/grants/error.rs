//! Errors of the token endpoints, in OAuth's words (RFC 6749 §5.2, RFC 8693, RFC 8707, RFC 9449).

use protocol::{A2aError, ErrorKind};

/// `error` of an OAuth error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OAuthCode {
    /// A parameter is missing, unknown or there twice.
    InvalidRequest,
    /// The caller's own credential is bad.
    InvalidClient,
    /// The grant is bad, expired, revoked or not for the broker.
    InvalidGrant,
    /// More is asked for than the grant holds.
    InvalidScope,
    /// The resource cannot be granted for.
    InvalidTarget,
    /// Not a token exchange.
    UnsupportedGrantType,
    /// A token that is not revoked here.
    UnsupportedTokenType,
    /// The proof is bad.
    InvalidDpopProof,
    /// Ours; may work in a moment.
    TemporarilyUnavailable,
}

impl OAuthCode {
    /// As it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}

/// What a token endpoint refuses with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthError {
    /// What is wrong.
    pub code: OAuthCode,
    /// For people: what was expected, and the next step.
    pub description: String,
}

impl OAuthError {
    /// An error with a sentence.
    pub fn new(code: OAuthCode, description: impl Into<String>) -> Self {
        Self { code, description: description.into() }
    }
}

impl From<A2aError> for OAuthError {
    fn from(error: A2aError) -> Self {
        let code = match error.kind {
            ErrorKind::Unauthenticated => OAuthCode::InvalidClient,
            ErrorKind::Unavailable | ErrorKind::OutcomeUnknown | ErrorKind::Internal => {
                OAuthCode::TemporarilyUnavailable
            }
            _ => OAuthCode::InvalidRequest,
        };
        Self::new(code, error.message)
    }
}
