//! The server under test: its card, and the interfaces the card declares.

use serde_json::Value;

use super::binding::{Binding, Kind};
use super::check::Stop;
use super::http::{Http, Manner, Reply, Speech};

/// Where a card is found below a server's URL (spec §8.2).
pub const CARD_PATH: &str = "/.well-known/agent-card.json";

/// What the suite is told about the server.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// Its URL, or its card's.
    pub url: String,
    /// A bearer token to call with.
    pub token: Option<String>,
    /// The token of somebody else, who must see nothing of the first one's tasks.
    pub other_token: Option<String>,
    /// Whether its agent does what messages tell it (`agents/scripted.py`).
    pub scripted: bool,
}

/// A server whose card could be read.
pub struct Server {
    /// What the suite was told.
    pub subject: Subject,
    /// Where its card is.
    pub card_url: String,
    /// The answer that brought the card.
    pub card_reply: Reply,
    /// The card.
    pub card: Value,
    /// Its interfaces the suite can speak to, one a binding, in the card's order.
    pub bindings: Vec<Binding>,
    /// The client.
    pub http: Http,
}

impl Server {
    /// Reads the card. Errors say why the server cannot be judged at all.
    pub async fn discover(subject: Subject, wanted: &[Kind]) -> Result<Self, String> {
        let base = subject.url.trim_end_matches('/').trim_end_matches(CARD_PATH).to_owned();
        let card_url = format!("{base}{CARD_PATH}");
        let http = Http::new(Speech::One)?;
        let told = |stop: Stop| match stop {
            Stop::Fail(why) | Stop::Skip(why) => format!("the card at {card_url} could not be read: {why}"),
        };
        let manner = Manner::plain(subject.token.as_deref().map(bearer));
        let card_reply = http.exchange("GET", &card_url, None, &manner, Vec::new()).await.map_err(told)?;
        if card_reply.status != 200 {
            return Err(format!("the card at {card_url} could not be read: HTTP {}", card_reply.status));
        }
        let card = card_reply.json().map_err(told)?;
        let bindings: Vec<Binding> = interfaces(&card, &card_url, wanted, &http)?;
        if bindings.is_empty() {
            return Err(format!(
                "the card at {card_url} declares no interface of version 1 the suite was told to judge: {}",
                card["supportedInterfaces"]
            ));
        }
        Ok(Self { subject, card_url, card_reply, card, bindings, http })
    }

    /// Whether the card declares a capability.
    pub fn can(&self, capability: &str) -> bool {
        self.card["capabilities"][capability] == true
    }

    /// Whether the card demands credentials.
    pub fn demands_credentials(&self) -> bool {
        self.card["securityRequirements"].as_array().is_some_and(|list| !list.is_empty())
    }
}

/// `Authorization` with a bearer token.
pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn interfaces(card: &Value, card_url: &str, wanted: &[Kind], http: &Http) -> Result<Vec<Binding>, String> {
    let mut found: Vec<Binding> = Vec::new();
    let over_http2 = Http::new(Speech::Two)?;
    for interface in card["supportedInterfaces"].as_array().into_iter().flatten() {
        let version = interface["protocolVersion"].as_str().unwrap_or_default();
        let kind = wanted.iter().find(|kind| interface["protocolBinding"] == kind.name());
        let (Some(kind), Some(url)) = (kind, interface["url"].as_str()) else { continue };
        if (version == "1" || version.starts_with("1.")) && !found.iter().any(|known| known.kind == *kind) {
            found.push(Binding {
                kind: *kind,
                url: kind.url(url, card_url),
                tenant: interface["tenant"].as_str().filter(|tenant| !tenant.is_empty()).map(str::to_owned),
                http: if *kind == Kind::Grpc { over_http2.clone() } else { http.clone() },
            });
        }
    }
    Ok(found)
}
