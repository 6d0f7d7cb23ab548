//! Service parameters: protocol version and extensions, as HTTP headers (spec §3.2.6, §3.6).

use crate::error::{A2aError, ErrorKind};

/// The header (or query parameter) that names the protocol version.
pub const VERSION_HEADER: &str = "A2A-Version";
/// The header that names the extensions in use.
pub const EXTENSIONS_HEADER: &str = "A2A-Extensions";
/// The version spoken here.
pub const PROTOCOL_VERSION: &str = "1.0";

/// Accepts `1.0` and its patches. Empty or absent means 0.3 (spec §3.6.2), which is not spoken here.
pub fn check_version(header: Option<&str>, query: Option<&str>) -> Result<(), A2aError> {
    let asked = header.or(query).map(str::trim).filter(|version| !version.is_empty()).unwrap_or("0.3");
    if is_v1(asked) {
        return Ok(());
    }
    let message = format!(
        "A2A version {asked} is not supported; send the header {VERSION_HEADER}: {PROTOCOL_VERSION} \
         (an absent header means 0.3)"
    );
    Err(A2aError::new(ErrorKind::VersionNotSupported, message))
}

/// Whether a version is 1.0, whatever its patch.
pub(crate) fn is_v1(version: &str) -> bool {
    let mut numbers = version.split('.');
    (numbers.next(), numbers.next()) == (Some("1"), Some("0"))
        && numbers.next().is_none_or(|patch| patch.bytes().all(|byte| byte.is_ascii_digit()))
        && numbers.next().is_none()
}
