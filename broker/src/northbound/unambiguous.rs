//! A request's head means one thing or is refused. Where a header that decides something stands twice with different
//! values, whoever stood in between may have judged by the other one.

use http::Version;
use http::header::{CONTENT_ENCODING, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use protocol::binding::grpc::TIMEOUT_HEADER;
use protocol::{A2aError, ErrorKind, VERSION_HEADER};

use super::operations::LAST_EVENT_ID;

/// Headers of which one value decides. Credentials are judged where they are read.
const DECISIVE: [&str; 5] = ["host", "content-type", VERSION_HEADER, LAST_EVENT_ID, TIMEOUT_HEADER];

/// Refuses a head that can be read in two ways, and a body in an encoding nobody here reads.
pub(super) fn check(head: &Parts) -> Result<(), A2aError> {
    let refused = |message: String| Err(A2aError::new(ErrorKind::InvalidRequest, message));
    // Mostly none stands twice at all.
    let decisive = if head.headers.len() > head.headers.keys_len() { DECISIVE.as_slice() } else { &[] };
    for name in decisive {
        let mut values = head.headers.get_all(*name).iter();
        let first = values.next();
        if values.any(|value| Some(value) != first) {
            return refused(format!("the header {name} stands twice with different values; send one"));
        }
    }
    if head.version == Version::HTTP_11 && !head.headers.contains_key(HOST) {
        return refused("expected a Host header (RFC 9112, section 3.2)".to_owned());
    }
    let mut transfer = head.headers.get_all(TRANSFER_ENCODING).iter();
    if transfer.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return refused("expected no Transfer-Encoding but chunked".to_owned());
    }
    match head.headers.get(CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            refused("a body with Content-Encoding is not read; send it as it is".to_owned())
        }
        _ => Ok(()),
    }
}
