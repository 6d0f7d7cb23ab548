//! Which addresses may be dialled, by who gave the URL: the one place that decides it, pure. What it judges is what
//! is dialled: an URL becomes a [`Destination`] here or nowhere, and the address a name resolves to goes through
//! [`Reach::admits`] at the moment of connecting, so that a name cannot mean one address when judged and another
//! when dialled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Who gave an URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenBy {
    /// The configuration, or an operator's registration: private addresses too.
    Operator,
    /// An agent's card: the host the operator registered, on any port, or public addresses.
    Card {
        /// Host of the registered URL, as [`host`] tells it.
        registered_host: String,
    },
    /// A caller: public addresses, and loopback where the broker says so.
    Caller {
        /// Whether this machine itself may be named.
        loopback: bool,
    },
}

/// How far a connection may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Anywhere an agent or a service can live, this machine and private networks among it.
    Anywhere,
    /// Public addresses.
    Public,
    /// Public addresses and this machine.
    PublicOrLoopback,
}

/// An URL that may be dialled, and how far the connection may go. Made only by [`Destination::judge`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    url: Url,
    reach: Reach,
}

/// Why an URL or an address is not dialled; a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

impl Destination {
    /// Judges an URL as the WHATWG parser understands it, so that other spellings of an address are that address.
    /// Names are judged again by what they resolve to.
    pub fn judge(url: &str, given_by: &GivenBy) -> Result<Self, Refused> {
        // What may hold a password is not repeated.
        let shown = if url.contains('@') { "the URL".to_owned() } else { format!("{url:?}") };
        let refused = |problem: &str| Refused(format!("{shown}: {problem}"));
        let mut parsed =
            Url::parse(url).map_err(|error| refused(&format!("expected an http or https URL: {error}")))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(refused("expected an http or https URL"));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(refused("user information in an URL is not used; configure the credential instead"));
        }
        parsed.set_fragment(None);
        let named = host(&parsed).ok_or_else(|| refused("expected a host"))?;
        let reach = match given_by {
            GivenBy::Operator => Reach::Anywhere,
            GivenBy::Card { registered_host } if *registered_host == named => Reach::Anywhere,
            GivenBy::Card { .. } | GivenBy::Caller { loopback: false } => Reach::Public,
            GivenBy::Caller { loopback: true } => Reach::PublicOrLoopback,
        };
        let judged = match parsed.host() {
            Some(Host::Ipv4(address)) => reach.admits(address.into()),
            Some(Host::Ipv6(address)) => reach.admits(address.into()),
            _ if is_localhost(&named) => reach.admits(Ipv4Addr::LOCALHOST.into()),
            _ => Ok(()),
        };
        judged.map_err(|why| refused(&why.0))?;
        Ok(Self { url: parsed, reach })
    }

    /// The URL in its normal form.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Its host, as [`host`] tells it.
    pub fn host(&self) -> String {
        host(&self.url).unwrap_or_default()
    }

    /// Whether what is sent there can be read on its way: no TLS, and not this machine.
    pub fn is_clear_text(&self) -> bool {
        self.url.scheme() == "http" && !self.is_this_machine()
    }

    /// Whether it names this machine as such.
    pub fn is_this_machine(&self) -> bool {
        match self.url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            _ => is_localhost(&self.host()),
        }
    }

    /// How far a connection for it may go.
    pub fn reach(&self) -> Reach {
        self.reach
    }
}

impl Reach {
    /// Judges an address that is about to be connected to.
    pub fn admits(self, address: IpAddr) -> Result<(), Refused> {
        let (class, name) = classify(address);
        let rule = match (self, class) {
            (_, Class::Public)
            | (Self::Anywhere, Class::Private | Class::Loopback)
            | (Self::PublicOrLoopback, Class::Loopback) => return Ok(()),
            (_, Class::Never) => "no agent or service can be there",
            (Self::Public, _) => {
                "what a card or a caller names must be public (a card may also name its registered host); an \
                 operator can register the URL itself"
            }
            (Self::PublicOrLoopback, Class::Private) => "what a caller names must be public or this machine",
        };
        Err(Refused(format!("{address} is not dialled: it is {name}, and {rule}")))
    }
}

/// The host of an URL as it is compared: normalised, without a trailing dot.
pub fn host(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    let host = host.strip_suffix('.').unwrap_or(host);
    (!host.is_empty()).then(|| host.to_owned())
}

/// Names that mean this machine whatever a resolver says (RFC 6761 §6.3).
fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Public,
    Loopback,
    /// Somebody's own network, or addresses for examples and measurements.
    Private,
    /// Nothing an agent or a service could be reached at, or what only the machine's host should answer.
    Never,
}

/// Where clouds tell a machine its credentials. Some are link-local anyway, some look like any other address.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// (first address, bits of the prefix, what it is), after IANA's registry of special-purpose addresses.
const IPV4: [(Ipv4Addr, u32, Class, &str); 16] = [
    (Ipv4Addr::UNSPECIFIED, 8, Class::Never, "where servers listen, not an address (use 127.0.0.1)"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Class::Private, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Class::Private, "shared by carriers"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Class::Loopback, "this machine"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Class::Never, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Class::Private, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Class::Never, "for protocols"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Class::Private, "for documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Class::Never, "a 6to4 relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Class::Private, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Class::Private, "for benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Class::Private, "for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Class::Private, "for documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Class::Never, "multicast"),
    (Ipv4Addr::BROADCAST, 32, Class::Never, "broadcast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Class::Never, "reserved"),
];

/// The same for IPv6, by its first bits. The first row that fits counts; what fits none is unassigned.
const IPV6: [(u128, u32, Class, &str); 16] = [
    (0, 128, Class::Never, "where servers listen, not an address (use [::1])"),
    (1, 128, Class::Loopback, "this machine"),
    (0, 96, Class::Never, "an IPv4-compatible address"),
    (0x0064_ff9b_0001 << 80, 48, Class::Private, "translated within a network"),
    (0x0100 << 112, 64, Class::Never, "discarded"),
    (0x2001_0000 << 96, 32, Class::Never, "a Teredo tunnel"),
    (0x2001_0002 << 96, 48, Class::Private, "for benchmarks"),
    (0x2001_0000 << 96, 23, Class::Never, "for protocols"),
    (0x2001_0db8 << 96, 32, Class::Private, "for documentation"),
    (0x2002 << 112, 16, Class::Never, "a 6to4 tunnel"),
    (0x3fff << 112, 20, Class::Private, "for documentation"),
    (0x2000 << 112, 3, Class::Public, "public"),
    (0xfc00 << 112, 7, Class::Private, "unique local"),
    (0xfe80 << 112, 10, Class::Never, "link-local"),
    (0xfec0 << 112, 10, Class::Private, "site-local"),
    (0xff00 << 112, 8, Class::Never, "multicast"),
];

/// The well-known prefix of NAT64 (RFC 6052): such an address leads to the IPv4 address in its last 32 bits.
const NAT64_PREFIX: u128 = 0x0064_ff9b << 96;

fn classify(address: IpAddr) -> (Class, &'static str) {
    // An IPv4-mapped address is connected to as the IPv4 address.
    let address = address.to_canonical();
    if METADATA.contains(&address) {
        return (Class::Never, "a cloud's metadata service");
    }
    match address {
        IpAddr::V4(address) => {
            let differs = |first: &Ipv4Addr| address.to_bits() ^ first.to_bits();
            let row = IPV4.iter().find(|(first, prefix, ..)| differs(first).leading_zeros() >= *prefix);
            row.map_or((Class::Public, "public"), |(_, _, class, name)| (*class, name))
        }
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            if bits >> 32 == NAT64_PREFIX >> 32 {
                let [.., a, b, c, d] = address.octets();
                return classify(Ipv4Addr::new(a, b, c, d).into());
            }
            let row = IPV6.iter().find(|(first, prefix, ..)| (bits ^ first).leading_zeros() >= *prefix);
            row.map_or((Class::Never, "unassigned"), |(_, _, class, name)| (*class, name))
        }
    }
}
