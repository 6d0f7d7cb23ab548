//! What an answer's headers say of keeping a document, and how to ask whether it has changed (RFC 9110 §13, RFC 9111).

use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::ports::fetch::{Caching, Validators};

/// Longest validator kept; a longer one is not worth the bytes.
const MAX_VALIDATOR_BYTES: usize = 1_024;

/// Reads what an answer says. `no-store` leaves nothing to ask with: the document is fetched in full each time.
pub(super) fn read(headers: &HeaderMap) -> Caching {
    let mut caching = Caching {
        validators: Validators {
            etag: validator(headers, &ETAG),
            last_modified: validator(headers, &LAST_MODIFIED),
        },
        max_age: None,
    };
    let mut must_ask = false;
    for directive in headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()) {
        for directive in directive.split(',').map(|directive| directive.trim().to_ascii_lowercase()) {
            match directive.split_once('=') {
                Some(("max-age", seconds)) => caching.max_age = whole_seconds(seconds),
                None if directive == "no-store" => {
                    caching.validators = Validators::default();
                    must_ask = true;
                }
                // `no-cache="set-cookie"` concerns a header, not the document.
                None if directive == "no-cache" => must_ask = true,
                _ => {}
            }
        }
    }
    let age = headers.get(AGE).and_then(|value| value.to_str().ok()).and_then(whole_seconds);
    caching.max_age = caching.max_age.map(|max_age| max_age.saturating_sub(age.unwrap_or_default()));
    if must_ask {
        caching.max_age = Some(Duration::ZERO);
    }
    caching
}

/// The headers that ask for a document only if it has changed. With a tag, the date is not needed; it is for caches
/// on the way that know no tags.
pub(super) fn conditions(known: &Validators) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    [(IF_NONE_MATCH, &known.etag), (IF_MODIFIED_SINCE, &known.last_modified)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, HeaderValue::from_str(value.as_deref()?).ok()?)))
}

fn validator(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    (!value.is_empty() && value.len() <= MAX_VALIDATOR_BYTES).then(|| value.to_owned())
}

/// A number of seconds; a number too large to hold is the largest one (RFC 9111 §1.2.2).
fn whole_seconds(text: &str) -> Option<Duration> {
    let digits = text.trim().trim_matches('"');
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(digits.parse().unwrap_or(u64::from(u32::MAX))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn an_answer_says_how_long_it_may_be_kept_and_what_to_ask_with() {
        let age = |lines: &[(&str, &str)]| read(&headers(lines)).max_age.map(|age| age.as_secs());
        for (control, expected) in [
            ("max-age=60", Some(60)),
            ("public, Max-Age=60", Some(60)),
            ("max-age=\"60\"", Some(60)),
            ("max-age=99999999999999999999", Some(u64::from(u32::MAX))),
            ("max-age=soon", None),
            ("max-age=-1", None),
            ("no-cache", Some(0)),
            ("max-age=60, no-cache", Some(0)),
            ("no-cache=\"set-cookie\", max-age=60", Some(60)),
            ("no-store", Some(0)),
            ("", None),
        ] {
            assert_eq!(age(&[("cache-control", control)]), expected, "{control}");
        }
        assert_eq!(age(&[]), None);
        assert_eq!(age(&[("cache-control", "public"), ("cache-control", "max-age=7")]), Some(7));
        assert_eq!(
            age(&[("cache-control", "max-age=60"), ("age", "45")]),
            Some(15),
            "spent in a cache on the way"
        );
        assert_eq!(age(&[("cache-control", "max-age=60"), ("age", "90")]), Some(0));
    }

    #[test]
    fn validators_go_back_as_they_came_and_no_store_keeps_none() {
        let tagged = headers(&[("etag", "W/\"a\""), ("last-modified", "Tue, 01 Jul 2025 00:00:00 GMT")]);
        let known = read(&tagged).validators;
        let asked: Vec<_> = conditions(&known).map(|(name, value)| (name.to_string(), value)).collect();
        assert_eq!(
            asked,
            [
                ("if-none-match".to_owned(), HeaderValue::from_static("W/\"a\"")),
                ("if-modified-since".to_owned(), HeaderValue::from_static("Tue, 01 Jul 2025 00:00:00 GMT")),
            ]
        );
        let kept = read(&headers(&[("etag", "\"a\""), ("cache-control", "no-store")])).validators;
        assert_eq!(conditions(&kept).count(), 0);
        let long = "x".repeat(MAX_VALIDATOR_BYTES + 1);
        assert_eq!(conditions(&read(&headers(&[("etag", &long)])).validators).count(), 0);
    }
}
