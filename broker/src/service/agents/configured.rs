//! The agents of the configuration: registered at start and whenever it is read again, beside those that were added while
//! the broker ran.

use std::sync::Arc;

use broker_core::audit::By;
use futures_util::future::join_all;
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
        match self.configure_agents(configured).await.into_iter().next() {
            Some((_, failure)) => Err(failure),
            None => Ok(()),
        }
    }

    /// Registers the agents of the configuration, and forgets those that stand there no longer. Those for which that failed.
    pub(in crate::service) async fn configure_agents(
        &self,
        configured: Vec<NewAgent>,
    ) -> Vec<(String, A2aError)> {
        let mut failed = Vec::new();
        for agent in self.registry.all() {
            let still_configured = configured.iter().any(|new| new.name == agent.name);
            if agent.source == Source::Config
                && !still_configured
                && let Err(failure) = self.forget(&agent.name, By::Configuration).await
            {
                failed.push((agent.name.clone(), failure));
            }
        }
        let configure = async |new: NewAgent| {
            let name = new.name.clone();
            self.configure_agent(new).await.err().map(|failure| (name, failure))
        };
        // Together, since each may have to be asked for its card.
        failed.extend(join_all(configured.into_iter().map(configure)).await.into_iter().flatten());
        failed
    }

    async fn configure_agent(&self, new: NewAgent) -> Result<(), A2aError> {
        let caps = check(&new)?;
        let agent = Agent::registered(new, caps, Source::Config);
        let known = self.registry.get(&agent.name).filter(|known| known.url == agent.url);
        // A card that is known is used, and looked at again soon: what is new in it may have to wait for an operator.
        let is_known = known.is_some_and(|known| known.resolved.is_some());
        let fetched = if is_known { None } else { self.with_first_card(&agent).await };

        let turn = self.registry.changing.lock().await;
        let before = self.registry.get(&agent.name);
        let moved = before.as_ref().is_some_and(|before| before.url != agent.url);
        let (agent, is_news) = match before.filter(|before| before.url == agent.url) {
            Some(before) if before.is_configured_as(&agent) => return Ok(()),
            Some(before) => {
                let is_news = !agent.is_registered_as(&before);
                let mut agent = if before.resolved.is_some() { agent } else { fetched.unwrap_or(agent) };
                if agent.resolved.is_none() {
                    agent.follow(&before);
                }
                (agent, is_news)
            }
            None => (fetched.unwrap_or(agent), true),
        };
        let event = is_news.then(|| agent.registration(By::Configuration));
        let name = agent.name.clone();
        self.registry.put(agent, event, &turn).await?;
        if moved {
            self.health.forget(&name);
            self.hooks.forget(&name);
        }
        Ok(())
    }

    /// The agent with its card, if that can be fetched and is good.
    async fn with_first_card(&self, agent: &Agent) -> Option<Agent> {
        let card = match self.registry.discovery.fetch_card(&agent.url).await {
            Ok(card) => card,
            Err(reason) => {
                tracing::warn!(
                    agent = agent.name,
                    reason,
                    "the agent's card will be fetched when it is needed"
                );
                return None;
            }
        };
        match agent.clone().with_card(card, self.clock.now()) {
            Ok(known) => Some(self.registry.with_extended_card(known).await),
            // One bad card is no reason for nobody to be served; this agent is not, until it has a good one.
            Err(refused) => {
                tracing::warn!(
                    agent = agent.name,
                    reason = refused.message,
                    "the agent's card is refused; nothing is sent to it until a good one is fetched"
                );
                None
            }
        }
    }
}
