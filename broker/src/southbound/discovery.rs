//! Fetching agents' cards.

use std::sync::Arc;

use async_trait::async_trait;
use protocol::v03::read_card;

use crate::address::GivenBy;
use crate::ports::downstream::{Discovery, FetchedCard, Refetched};
use crate::ports::fetch::{Fetch, Fetched, Validators};

/// Where a card is found below an agent's base URL (spec §8.2).
const WELL_KNOWN_PATH: &str = "/.well-known/agent-card.json";
/// Largest card read.
pub(super) const MAX_CARD_BYTES: usize = 1024 * 1024;

/// Fetches the cards of the agents an operator registered.
pub struct CardFetcher {
    web: Arc<dyn Fetch>,
}

impl CardFetcher {
    /// A fetcher by way of `web`.
    pub fn new(web: Arc<dyn Fetch>) -> Self {
        Self { web }
    }
}

#[async_trait]
impl Discovery for CardFetcher {
    async fn fetch_card(&self, url: &str) -> Result<FetchedCard, String> {
        let (found, url) = self.fetch(url, &Validators::default()).await?;
        match found {
            Refetched::Changed(card) => Ok(*card),
            Refetched::Unchanged(_) => Err(format!("no card at {url}: nobody asked whether it has changed")),
        }
    }

    async fn refetch_card(&self, url: &str, known: &Validators) -> Result<Refetched, String> {
        self.fetch(url, known).await.map(|(found, _)| found)
    }
}

impl CardFetcher {
    /// What is found where an agent's card should be, and where that is.
    async fn fetch(&self, url: &str, known: &Validators) -> Result<(Refetched, String), String> {
        let base = url.trim_end_matches('/');
        let is_card = std::path::Path::new(base).extension().is_some_and(|extension| extension == "json");
        let url = if is_card { base.to_owned() } else { format!("{base}{WELL_KNOWN_PATH}") };
        let failed = |reason: String| {
            format!("no card at {url}: {reason}; check the URL and that the agent is running")
        };
        let fetched = self.web.get_if_changed(&url, &GivenBy::Operator, MAX_CARD_BYTES, known).await;
        let Fetched { body, caching } = fetched.map_err(failed)?;
        let Some(original) = body else { return Ok((Refetched::Unchanged(caching), url)) };
        let card = read_card(&original)
            .map_err(|error| failed(format!("expected an agent card of A2A 1.0 or 0.3: {error}")))?;
        Ok((Refetched::Changed(Box::new(FetchedCard { card, original, url: url.clone(), caching })), url))
    }
}
