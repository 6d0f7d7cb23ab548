//! Fetching agents' cards.

use std::time::Duration;

use async_trait::async_trait;
use protocol::AgentCard;

use crate::ports::downstream::{Discovery, FetchedCard};

/// Where a card is found below an agent's base URL (spec §8.2).
const WELL_KNOWN_PATH: &str = "/.well-known/agent-card.json";
/// Largest card read.
const MAX_CARD_BYTES: u64 = 1024 * 1024;

/// Fetches cards over HTTP. Redirects are not followed: the operator names the agent, nobody else.
pub struct CardFetcher {
    http: reqwest::Client,
}

impl CardFetcher {
    /// A fetcher that waits this long for a card.
    pub fn new(timeout: Duration) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { http })
    }

    async fn fetch(&self, url: &str) -> Result<bytes::Bytes, String> {
        let answer = self.http.get(url).send().await.map_err(|error| describe(&error))?;
        if !answer.status().is_success() {
            return Err(format!("it answered HTTP {}", answer.status()));
        }
        if answer.content_length().is_some_and(|length| length > MAX_CARD_BYTES) {
            return Err(format!("the card is larger than {MAX_CARD_BYTES} bytes"));
        }
        let mut answer = answer;
        let mut card = bytes::BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| describe(&error))? {
            card.extend_from_slice(&chunk);
            if card.len() as u64 > MAX_CARD_BYTES {
                return Err(format!("the card is larger than {MAX_CARD_BYTES} bytes"));
            }
        }
        Ok(card.freeze())
    }
}

#[async_trait]
impl Discovery for CardFetcher {
    async fn fetch_card(&self, url: &str) -> Result<FetchedCard, String> {
        let base = url.trim_end_matches('/');
        let is_card = std::path::Path::new(base).extension().is_some_and(|extension| extension == "json");
        let url = if is_card { base.to_owned() } else { format!("{base}{WELL_KNOWN_PATH}") };
        let failed = |reason: String| {
            format!("no card at {url}: {reason}; check the URL and that the agent is running")
        };
        let original = self.fetch(&url).await.map_err(failed)?;
        let card: AgentCard = serde_json::from_slice(&original)
            .map_err(|error| failed(format!("expected an A2A 1.0 agent card: {error}")))?;
        Ok(FetchedCard { card, original, url })
    }
}

fn describe(error: &reqwest::Error) -> String {
    use std::error::Error;
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
