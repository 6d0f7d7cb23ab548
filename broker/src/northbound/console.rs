//! The web console: a handful of files that are part of the program, so that it works where there is no network. They
//! hold nothing secret and nothing of this broker; what they show they ask the operator API for, as whoever looks.

use std::sync::LazyLock;

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::cards::names;
use super::reply::{self, Body, not_found};

/// Nothing is loaded, run, framed or sent anywhere but from and to this broker. Pictures of artifacts are the exception
/// that needs none: they come as `data:` or `blob:`, made of what the API answered.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What no page is served without.
const HEADERS: [(http::HeaderName, &str); 4] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    // Asked for each time and seldom sent: a new broker's console is never run with an old one's files.
    (CACHE_CONTROL, "no-cache"),
];

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// The page itself; the others are named by it or by each other.
const PAGE: &str = "index.html";

macro_rules! files {
    ($($name:literal: $media_type:ident,)*) => {
        [$((
            $name,
            $media_type,
            include_bytes!(concat!("../../console/", $name)).as_slice(),
        ),)*]
    };
}

/// A file: its name, its media type, its bytes.
type File = (&'static str, &'static str, &'static [u8]);

const FILES: [File; 26] = files! {
    "index.html": HTML,
    "icon.svg": PICTURE,
    "base.css": STYLE,
    "parts.css": STYLE,
    "tree.css": STYLE,
    "main.js": SCRIPT,
    "api.js": SCRIPT,
    "feed.js": SCRIPT,
    "dom.js": SCRIPT,
    "format.js": SCRIPT,
    "appearance.js": SCRIPT,
    "parts.js": SCRIPT,
    "sign_in.js": SCRIPT,
    "trees.js": SCRIPT,
    "tree.js": SCRIPT,
    "forest.js": SCRIPT,
    "layout.js": SCRIPT,
    "drawing.js": SCRIPT,
    "outline.js": SCRIPT,
    "details.js": SCRIPT,
    "content.js": SCRIPT,
    "log.js": SCRIPT,
    "refusals.js": SCRIPT,
    "quotas.js": SCRIPT,
    "agents.js": SCRIPT,
    "approvals.js": SCRIPT,
};

/// The files with their tags.
static TAGGED: LazyLock<Vec<(File, String)>> = LazyLock::new(|| {
    FILES.into_iter().map(|file| (file, format!("\"{:x}\"", Sha256::digest(file.2)))).collect()
});

/// Serves a file of the console; the page for no name. `path` is the request's own.
pub(super) fn serve(name: &str, path: &str, headers: &HeaderMap) -> Response<Body> {
    if name.is_empty() && path.ends_with('/') {
        // The page names its files relative to where it is, so that it may be served below any path.
        let mut response = reply::answer(StatusCode::PERMANENT_REDIRECT, HTML, reply::whole(""));
        response.headers_mut().insert(LOCATION, HeaderValue::from_static("../console"));
        return response;
    }
    let name = if name.is_empty() { PAGE } else { name };
    let Some(((_, media_type, bytes), tag)) = TAGGED.iter().find(|((known, ..), _)| *known == name) else {
        return not_found();
    };
    let known = reply::header(headers, IF_NONE_MATCH);
    let is_fresh = known.is_some_and(|tags| tags.split(',').any(|known| names(known.trim(), tag)));
    let (status, bytes) =
        if is_fresh { (StatusCode::NOT_MODIFIED, [].as_slice()) } else { (StatusCode::OK, *bytes) };
    let mut response = reply::answer(status, media_type, reply::whole(bytes));
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_of_the_console_is_served_and_names_only_files_that_are() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/console")).unwrap();
        let there: BTreeSet<String> =
            folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let served: BTreeSet<String> = FILES.iter().map(|(name, ..)| (*name).to_owned()).collect();
        assert_eq!(there, served);
        for (name, _, bytes) in FILES {
            let text = std::str::from_utf8(bytes).unwrap();
            assert!(text.lines().count() <= 300, "{name} is usually two things");
            let imports = text.lines().filter_map(|line| line.split_once(" from \"./")?.1.split('"').next());
            let links = text.lines().filter_map(|line| line.split_once("=\"console/")?.1.split('"').next());
            for other in imports.chain(links) {
                assert!(served.contains(other), "{name} names {other}");
            }
        }
    }

    #[test]
    fn nothing_in_the_console_writes_markup_or_code_from_text() {
        for (name, _, bytes) in FILES {
            let text = std::str::from_utf8(bytes).unwrap();
            let unsafe_ways = [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                "style=",
            ];
            for way in unsafe_ways {
                assert!(!text.contains(way), "{name} has {way}");
            }
            let elsewhere = text.replace("http://www.w3.org/", "");
            assert!(!elsewhere.contains("://"), "{name} leads elsewhere");
        }
    }
}
