//! Service parameters: protocol version and extensions, as HTTP headers (spec §3.2.6, §3.6).

use serde::{Deserialize, Serialize};

use crate::error::{A2aError, ErrorKind};
use crate::v03;

/// The header (or query parameter) that names the protocol version.
pub const VERSION_HEADER: &str = "A2A-Version";
/// The header that names the extensions in use.
pub const EXTENSIONS_HEADER: &str = "A2A-Extensions";
/// The version spoken here.
pub const PROTOCOL_VERSION: &str = "1.0";

/// A version of the protocol that is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Version {
    /// 1.0.
    #[default]
    #[serde(rename = "1.0")]
    V1,
    /// 0.3, translated at the edge (see [`crate::v03`]).
    #[serde(rename = "0.3")]
    V03,
}

impl Version {
    /// As the header and cards name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => PROTOCOL_VERSION,
            Self::V03 => v03::PROTOCOL_VERSION,
        }
    }

    /// The version a request asks for, by header or query; none means 0.3 (spec §3.6.2).
    pub fn asked(header: Option<&str>, query: Option<&str>) -> Result<Self, A2aError> {
        let asked = header.or(query).map(str::trim).filter(|version| !version.is_empty()).unwrap_or("0.3");
        Self::read(asked).ok_or_else(|| {
            let message = format!(
                "A2A version {asked} is not supported; send the header {VERSION_HEADER}: {PROTOCOL_VERSION}"
            );
            A2aError::new(ErrorKind::VersionNotSupported, message)
        })
    }

    /// Reads `Major.Minor`, whatever its patch.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split('.');
        let version = match (numbers.next(), numbers.next()) {
            (Some("1"), Some("0")) => Self::V1,
            (Some("0"), Some("3")) => Self::V03,
            _ => return None,
        };
        let patch = numbers.next().is_none_or(|patch| patch.bytes().all(|byte| byte.is_ascii_digit()));
        (patch && numbers.next().is_none()).then_some(version)
    }
}

/// Accepts 1.0 and its patches, for what is named as in 1.0; 0.3 has other names.
pub fn check_version(header: Option<&str>, query: Option<&str>) -> Result<(), A2aError> {
    if Version::asked(header, query)? == Version::V1 {
        return Ok(());
    }
    let message = format!(
        "this is an operation of A2A 1.0, and the request asks for 0.3 (as one without a version does); send the \
         header {VERSION_HEADER}: {PROTOCOL_VERSION}, or call it as in 0.3: message/send, /v1/message:send and so on"
    );
    Err(A2aError::new(ErrorKind::VersionNotSupported, message))
}
