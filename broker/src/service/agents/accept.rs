//! An operator accepts a card that waits: what it claims more is then the agent's.

use protocol::{A2aError, ErrorKind};

use super::AgentView;
use crate::service::{Broker, Caller, audit, error};

/// What only an operator may do here.
const ACCEPT_CARD: &str = "accept an agent's card";

impl Broker {
    /// Has the card used that waits, or only if it is the one whose digest is named. For operators.
    pub async fn accept_card(
        &self,
        caller: &Caller,
        name: &str,
        card: Option<&str>,
    ) -> Result<AgentView, A2aError> {
        self.require_operator(caller, ACCEPT_CARD)?;
        let expected = || error::invalid("card", "expected the SHA-256 of the card that waits, in hex");
        let named = card.map(str::parse).transpose().map_err(|_| expected())?;
        let turn = self.registry.changing.lock().await;
        let agent = self.registry.get(name).ok_or_else(|| error::agent_not_found(name))?;
        let accepted = agent.accept(named, audit::by(caller), self.clock.now());
        let (agent, event) =
            accepted.map_err(|problem| A2aError::new(ErrorKind::UnsupportedOperation, problem))?;
        Ok(self.view(&*self.registry.put(agent, event, &turn).await?))
    }
}
