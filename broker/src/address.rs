//! Which URLs may be dialled, by who gave them. Pure.

use url::{Host, Url};

/// Who gave an URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenBy {
    /// The configuration, or an operator's registration: private addresses too.
    Operator,
    /// A document found at what the operator named: the host the operator named, or others by name and with TLS.
    Card {
        /// Host of the URL the operator named, as [`host`] tells it.
        registered_host: String,
    },
}

/// An URL that may be dialled. Made only by [`Destination::judge`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination(Url);

/// Why an URL is not dialled; a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

impl Destination {
    /// Judges an URL.
    pub fn judge(url: &str, given_by: &GivenBy) -> Result<Self, Refused> {
        let refused = |problem: &str| Refused(format!("{url:?}: {problem}"));
        let parsed =
            Url::parse(url).map_err(|error| refused(&format!("expected an http or https URL: {error}")))?;
        let named = host(&parsed).ok_or_else(|| refused("expected a host"))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(refused("expected an http or https URL"));
        }
        if let GivenBy::Card { registered_host } = given_by {
            let is_name = matches!(parsed.host(), Some(Host::Domain(_))) && !is_localhost(&named);
            if *registered_host != named && !(is_name && parsed.scheme() == "https") {
                return Err(refused(
                    "expected the host that was configured, or another by name and with https",
                ));
            }
        }
        Ok(Self(parsed))
    }

    /// The URL in its normal form.
    pub fn url(&self) -> &str {
        self.0.as_str()
    }

    /// Its host, as [`host`] tells it.
    pub fn host(&self) -> String {
        host(&self.0).unwrap_or_default()
    }

    /// Whether what is sent there can be read on its way: no TLS, and not this machine.
    pub fn is_clear_text(&self) -> bool {
        let stays = match self.0.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            _ => is_localhost(&self.host()),
        };
        self.0.scheme() == "http" && !stays
    }
}

/// The host of an URL as it is compared: normalised, without a trailing dot.
pub fn host(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    let host = host.strip_suffix('.').unwrap_or(host);
    (!host.is_empty()).then(|| host.to_owned())
}

fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}
