//! Who meets whom over what: SDKs, bindings, features.

use std::fmt;
use std::sync::OnceLock;

use conformance_tests::{Agent, Player, missing_node};

/// An official SDK, as client and as agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sdk {
    Python,
    PythonV03,
    JavaScript,
    Rust,
}

/// A binding of A2A.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Binding {
    JsonRpc,
    HttpJson,
    Grpc,
}

/// An SDK over a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    pub(super) sdk: Sdk,
    pub(super) binding: Binding,
}

/// What a client does with an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Feature {
    Send,
    Stream,
    Poll,
    Subscribe,
    Cancel,
    Ask,
    Push,
}

/// What is judged: a client, an agent, a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    pub(super) client: Way,
    pub(super) agent: Way,
    pub(super) feature: Feature,
}

/// Every SDK over every binding it has. What cannot run here is left out, aloud.
pub(super) fn ways() -> Vec<Way> {
    let here = |sdk: &Sdk| *sdk != Sdk::JavaScript || missing_node().is_none();
    let ways = Sdk::ALL.into_iter().filter(here).flat_map(|sdk| {
        let over = move |binding| Way { sdk, binding };
        Binding::ALL.into_iter().map(over).filter(|way| way.exists())
    });
    if let Some(reason) = missing_node() {
        eprintln!("skipped: @a2a-js/sdk in the matrix, as client and as agent: {reason}");
    }
    ways.collect()
}

pub(super) fn are_all_here() -> bool {
    missing_node().is_none()
}

impl Sdk {
    pub(super) const ALL: [Self; 4] = [Self::Python, Self::PythonV03, Self::JavaScript, Self::Rust];

    /// A programmable agent on it, with all its bindings.
    pub(super) fn agent(self) -> Agent {
        match self {
            Self::Python => Agent::each("python"),
            Self::PythonV03 => Agent::scripted_v03("python-v03", &["--each"]),
            Self::JavaScript => Agent::scripted_js("javascript", &[]),
            Self::Rust => Agent::scripted_rust("rust"),
        }
    }

    pub(super) fn player(self) -> Player {
        match self {
            Self::Python => Player::V1,
            Self::PythonV03 => Player::V03,
            Self::JavaScript => Player::JavaScript,
            Self::Rust => Player::Rust,
        }
    }

    fn short(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::PythonV03 => "python-v03",
            Self::JavaScript => "javascript",
            Self::Rust => "rust",
        }
    }

    /// Its packages and their versions, from the files that pin them.
    pub(super) fn title(self) -> String {
        static TITLES: OnceLock<[String; 4]> = OnceLock::new();
        let titles = TITLES.get_or_init(|| {
            let python = |requirements: &str| after(requirements, "a2a-sdk[", "==", "\n");
            let crates = include_str!("../../../../../Cargo.lock");
            let of_crate = |name: &str| after(crates, &format!("name = \"{name}\"\n"), "version = \"", "\"");
            [
                format!("Python `a2a-sdk` {}", python(include_str!("../../../../agents/requirements.txt"))),
                format!(
                    "Python `a2a-sdk` {}",
                    python(include_str!("../../../../agents/requirements-v03.txt"))
                ),
                format!(
                    "JavaScript `@a2a-js/sdk` {}",
                    after(include_str!("../../../../agents/js/package.json"), "@a2a-js/sdk\"", ": \"", "\"")
                ),
                format!(
                    "Rust `a2a-client-lf` {}, `a2a-server-lf` {}, `a2a-grpc` {}",
                    of_crate("a2a-client-lf"),
                    of_crate("a2a-server-lf"),
                    of_crate("a2a-grpc")
                ),
            ]
        });
        titles[self as usize].clone()
    }
}

/// What stands between two marks, after a place.
fn after(text: &str, place: &str, from: &str, to: &str) -> String {
    let rest = &text[text.find(place).unwrap_or_else(|| panic!("{place} is pinned")) + place.len()..];
    let rest = &rest[rest.find(from).expect("a version") + from.len()..];
    rest[..rest.find(to).expect("the version's end")].to_owned()
}

impl Binding {
    pub(super) const ALL: [Self; 3] = [Self::JsonRpc, Self::HttpJson, Self::Grpc];

    /// As cards name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::JsonRpc => "JSONRPC",
            Self::HttpJson => "HTTP+JSON",
            Self::Grpc => "GRPC",
        }
    }

    /// Below an agent's URL, where its card names this binding only.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::JsonRpc => "jsonrpc",
            Self::HttpJson => "rest",
            Self::Grpc => "grpc",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::JsonRpc => "JSON-RPC",
            Self::HttpJson => "HTTP+JSON",
            Self::Grpc => "gRPC",
        }
    }
}

impl Way {
    /// Whether both sides have it; see [`super::limits::MISSING_BINDING`].
    pub(super) fn exists(self) -> bool {
        (self.sdk, self.binding) != super::limits::MISSING_BINDING
    }

    /// A name for an agent, and for a path.
    pub(super) fn slug(self) -> String {
        format!("{}-{}", self.sdk.short(), self.binding.path())
    }
}

impl Feature {
    pub(super) const ALL: [Self; 7] =
        [Self::Send, Self::Stream, Self::Poll, Self::Subscribe, Self::Cancel, Self::Ask, Self::Push];

    /// The round that shows it.
    pub(super) fn round(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Stream => "stream",
            Self::Poll => "poll",
            Self::Subscribe => "subscribe",
            Self::Cancel => "cancel",
            Self::Ask => "ask",
            Self::Push => "push",
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}: {}", self.client.slug(), self.agent.slug(), self.feature.round())
    }
}
