//! Cards with caching headers and conditional requests (spec §8.6).

use std::time::{Duration, SystemTime};

use http::header::{CACHE_CONTROL, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::reply::{self, Body};
use crate::service::CardDocument;

/// How long a card may be kept without asking again.
const CACHE: &str = "public, max-age=300";

/// Whether a tag names this content. A copy that was only packed differently on its way is as good (RFC 9110 §13.1.2).
pub(super) fn names(tag: &str, etag: &str) -> bool {
    tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
}

/// Serves a card, or says that the caller's copy is still good.
pub(super) fn serve(card: CardDocument, headers: &HeaderMap) -> Response<Body> {
    let millis = u64::try_from(card.last_modified.as_millis()).unwrap_or(0);
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(millis / 1_000);
    let fresh = match reply::header(headers, IF_NONE_MATCH) {
        Some(tags) => tags.split(',').any(|tag| names(tag.trim(), &card.etag)),
        None => reply::header(headers, IF_MODIFIED_SINCE)
            .and_then(|since| httpdate::parse_http_date(since).ok())
            .is_some_and(|since| modified <= since),
    };
    let (status, body) = if fresh {
        (StatusCode::NOT_MODIFIED, reply::whole(""))
    } else {
        (StatusCode::OK, reply::whole(card.json))
    };
    let mut response = reply::answer(status, "application/json", body);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(CACHE));
    for (name, value) in [(ETAG, card.etag), (LAST_MODIFIED, httpdate::fmt_http_date(modified))] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}
