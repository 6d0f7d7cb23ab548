//! The agents of the configuration: registered at start and whenever it is read again, beside those that were added while
//! the broker ran.

use std::sync::Arc;

use broker_core::audit::By;
use protocol::A2aError;

use super::{Agent, Document, NewAgent, Source, check};
use crate::service::{Broker, error};

impl Broker {
    /// Brings back stored registrations, then those of the configuration, which win. Call once, before
    /// [`Self::resume`]. An agent that does not answer yet is asked for its card when it is needed.
    pub async fn load_agents(&self, configured: Vec<NewAgent>) -> Result<(), A2aError> {
        let stored = self.store.agents().await.map_err(|failure| error::store(&failure))?;
        for (name, bytes) in stored {
            let document: Document =
                serde_json::from_slice(&bytes).map_err(|damage| error::damaged(&damage))?;
            let agent = Agent::restored(name, document)?;
            self.registry.insert(Arc::new(agent));
        }
        self.configure_agents(configured).await
    }

    /// Registers the agents of the configuration, and forgets those that stand there no longer.
    pub(in crate::service) async fn configure_agents(
        &self,
        configured: Vec<NewAgent>,
    ) -> Result<(), A2aError> {
        for agent in self.registry.all() {
            let still_configured = configured.iter().any(|new| new.name == agent.name);
            if agent.source == Source::Config && !still_configured {
                self.forget(&agent.name, By::Configuration).await?;
            }
        }
        for new in configured {
            self.configure_agent(new).await?;
        }
        Ok(())
    }

    async fn configure_agent(&self, new: NewAgent) -> Result<(), A2aError> {
        let caps = check(&new)?;
        let before = self.registry.get(&new.name).filter(|agent| agent.url == new.url);
        let mut agent = Agent::registered(new, caps, Source::Config);
        let is_news = before.as_ref().is_none_or(|before| !agent.is_registered_as(before));
        if let Some(before) = before {
            agent.follow(&before);
        }
        // A card that is known is used, and looked at again soon: what is new in it may have to wait for an operator.
        if agent.resolved.is_none() {
            match self.registry.discovery.fetch_card(&agent.url).await {
                Ok(card) => match agent.clone().with_card(card, self.clock.now()) {
                    Ok(known) => agent = self.registry.with_extended_card(known).await,
                    // One bad card is no reason for nobody to be served; this agent is not, until it has a good one.
                    Err(refused) => tracing::warn!(
                        agent = agent.name,
                        reason = refused.message,
                        "the agent's card is refused; nothing is sent to it until a good one is fetched"
                    ),
                },
                Err(reason) => {
                    tracing::warn!(
                        agent = agent.name,
                        reason,
                        "the agent's card will be fetched when it is needed"
                    );
                }
            }
        }
        let event = is_news.then(|| agent.registration(By::Configuration));
        let turn = self.registry.changing.lock().await;
        self.registry.put(agent, event, &turn).await.map(drop)
    }
}
