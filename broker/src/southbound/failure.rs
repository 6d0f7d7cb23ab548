//! What an agent's answer, or the lack of one, means for the attempt. The one place that judges it.

use broker_core::delegation::input::Failure;
use http::StatusCode;
use protocol::{A2aError, ErrorDetail, ErrorKind, Invalid};

use crate::ports::downstream::AskError;

/// Longest text of an agent repeated to people, in characters.
const QUOTE_CHARS: usize = 500;

/// An answer that is an error, from any binding.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// No connection, so the agent has seen nothing.
    #[error("{0}")]
    Connect(String),
    /// The request cannot be said in the agent's binding.
    #[error("the request cannot be written as the agent's binding wants it: {0}")]
    Inexpressible(Invalid),
    /// The connection broke after the request was on its way.
    #[error("{0}")]
    Transport(String),
    /// No answer in time.
    #[error("{0}")]
    Timeout(String),
    /// An A2A error, or an HTTP status that says as much.
    #[error("{}", .0.message)]
    Answered(A2aError),
    /// A plain HTTP status with no A2A error in it.
    #[error("HTTP {0}")]
    Status(StatusCode),
    /// Something that is not A2A.
    #[error("{0}")]
    Garbage(String),
}

impl Trouble {
    /// What it means for a message that was being sent.
    pub(super) fn of_send(self) -> Failure {
        match self {
            Self::Connect(reason) => Failure::NeverSent(reason),
            Self::Transport(reason) | Self::Timeout(reason) => Failure::Broken(reason),
            Self::Inexpressible(_) => Failure::Refused(self.to_string()),
            Self::Garbage(reason) => Failure::Invalid(quote(&reason)),
            Self::Status(status) => of_status(status),
            Self::Answered(error) => match error.kind {
                ErrorKind::Internal | ErrorKind::InvalidAgentResponse => {
                    Failure::Errored(quote(&error.message))
                }
                ErrorKind::Unavailable | ErrorKind::ResourceExhausted => busy(&error),
                _ => Failure::Refused(quote(&error.message)),
            },
        }
    }

    /// What it means for a question.
    pub(super) fn of_ask(self) -> AskError {
        match self {
            Self::Connect(reason) | Self::Transport(reason) | Self::Timeout(reason) => {
                AskError::Unreachable(reason)
            }
            Self::Inexpressible(_) => AskError::Unsupported(self.to_string()),
            Self::Garbage(reason) => AskError::Invalid(quote(&reason)),
            Self::Status(status) if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                AskError::Unreachable(format!("HTTP {status}"))
            }
            Self::Status(status) => AskError::Unsupported(format!("HTTP {status}")),
            Self::Answered(error) => match error.kind {
                ErrorKind::TaskNotFound => AskError::NotFound(quote(&error.message)),
                ErrorKind::Internal | ErrorKind::Unavailable | ErrorKind::ResourceExhausted => {
                    AskError::Unreachable(quote(&error.message))
                }
                _ => AskError::Unsupported(quote(&error.message)),
            },
        }
    }
}

fn of_status(status: StatusCode) -> Failure {
    match status {
        // It says that it did not take the message, so nothing was done.
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            Failure::Busy { reason: format!("HTTP {status}"), retry_after_ms: None }
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Refused(format!(
            "HTTP {status}: the agent does not accept the broker's credential, or misses one; see `auth` of [[agents]] \
             and `agent add --auth`"
        )),
        status if status.is_server_error() => Failure::Errored(format!("HTTP {status}")),
        status => Failure::Refused(format!("HTTP {status}")),
    }
}

/// The agent says that it cannot take the message now, and perhaps when it can.
fn busy(error: &A2aError) -> Failure {
    let seconds = error.details.iter().find_map(|detail| match detail {
        ErrorDetail::RetryInfo { seconds } => i64::try_from(*seconds).ok(),
        _ => None,
    });
    let retry_after_ms = seconds.map(|seconds| seconds.saturating_mul(1_000));
    Failure::Busy { reason: quote(&error.message), retry_after_ms }
}

/// The beginning of what an agent said.
pub(super) fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTE_CHARS).collect();
    if quoted.len() < text.len() {
        quoted.push('…');
    }
    quoted
}
