//! Configuration that is read again while the broker serves: who may call, who may use how much, the bounds of trees, the
//! agents of the configuration. Connections, streams and tasks go on.

use std::sync::{Arc, PoisonError};

use broker_core::Limits;

use super::{Broker, CallerSettings, NewAgent, QuotaTable};

/// What may change while the broker serves.
pub struct Reconfiguration {
    /// Who may call.
    pub callers: CallerSettings,
    /// Who may use how much.
    pub quotas: QuotaTable,
    /// Bounds on trees and time; those that are decided about from now on.
    pub limits: Limits,
    /// The agents of the configuration.
    pub agents: Vec<NewAgent>,
}

impl Broker {
    /// The bounds on trees and time.
    pub(super) fn limits(&self) -> Limits {
        *self.limits.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on under another configuration. An agent that cannot be stored stays as it was, and is told in the log.
    pub async fn reconfigure(self: &Arc<Self>, to: Reconfiguration) {
        self.replace_callers(to.callers);
        self.quotas.replace(to.quotas);
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = to.limits;
        for (agent, failure) in self.configure_agents(to.agents).await {
            tracing::error!(agent, %failure, "an agent of the configuration could not be changed");
        }
        // One may have a limit since now, and be at work for long.
        if let Err(failure) = self.take_up_places().await {
            tracing::warn!(%failure, "whom agents are busy with is not counted");
        }
    }
}
