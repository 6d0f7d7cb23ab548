//! Calls that a browser makes for a page of somebody else. Where the connection alone is enough to be let in (an open
//! broker on loopback, a client certificate), any page its user visits could act as that user, although it cannot read the
//! answer; browsers say where a call comes from, and such a call does nothing here.

use http::Method;
use http::request::Parts;
use protocol::{A2aError, ErrorKind};

use super::reply;
use super::route::Route;

/// Where a call comes from, in the words of browsers (Fetch Metadata).
const FETCH_SITE: &str = "sec-fetch-site";

/// Refuses what another site's page would have done here. The console is of this site; programs say nothing.
pub(super) fn check(route: &Route, head: &Parts) -> Result<(), A2aError> {
    // Who may call the tools from a page is said in the configuration (mcp.origins).
    let is_judged_there = matches!(route, Route::Mcp);
    let is_harmless = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS) || is_judged_there;
    match reply::header(&head.headers, FETCH_SITE) {
        Some("cross-site" | "same-site") if !is_harmless => {
            let message = "a page of another site may do nothing here; call from a program, or from this broker's console";
            Err(A2aError::new(ErrorKind::PermissionDenied, message))
        }
        _ => Ok(()),
    }
}
