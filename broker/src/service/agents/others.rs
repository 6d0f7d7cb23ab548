//! Registrations that another broker of the same store has changed: followed here, as they are stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use protocol::A2aError;

use super::Agent;
use crate::service::{Broker, error};

impl Broker {
    /// Follows what was changed of one agent.
    pub(in crate::service) async fn reload_agent(&self, name: &str) -> Result<(), A2aError> {
        let _turn = self.registry.changing.lock().await;
        let stored = self.store.agent(name).await.map_err(|failure| error::store(&failure))?;
        self.follow_registration(name, stored)
    }

    /// Follows whatever was changed of any.
    pub(in crate::service) async fn reload_agents(&self) -> Result<(), A2aError> {
        let _turn = self.registry.changing.lock().await;
        let stored = self.store.agents().await.map_err(|failure| error::store(&failure))?;
        let mut stored: BTreeMap<String, Bytes> = stored.into_iter().collect();
        for agent in self.registry.all() {
            self.follow_registration(&agent.name, stored.remove(&agent.name))?;
        }
        stored.into_iter().try_for_each(|(name, document)| self.follow_registration(&name, Some(document)))
    }

    fn follow_registration(&self, name: &str, stored: Option<Bytes>) -> Result<(), A2aError> {
        let Some(stored) = stored else {
            self.forget_here(name);
            return Ok(());
        };
        let document = serde_json::from_slice(&stored).map_err(|damage| error::damaged(&damage))?;
        let agent = Agent::restored(name.to_owned(), document)?;
        if self.registry.get(name).is_some_and(|known| known.url != agent.url) {
            self.health.forget(name);
            self.hooks.forget(name);
        }
        self.registry.insert(Arc::new(agent));
        Ok(())
    }
}
