//! Configuration that is read again while the broker serves: who may call, who may use how much, the bounds of trees, the
//! agents of the configuration. Connections, streams and tasks go on.

use std::sync::PoisonError;

use broker_core::Limits;
use protocol::A2aError;

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
    /// The keys that say something else than before, for the audit log.
    pub changed: Vec<String>,
}

impl Broker {
    /// The bounds on trees and time.
    pub(super) fn limits(&self) -> Limits {
        *self.limits.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on under another configuration. Agents that cannot be stored stay as they were, and are told.
    pub async fn reconfigure(&self, to: Reconfiguration) -> Result<(), A2aError> {
        self.note_reconfigured(to.changed);
        self.replace_callers(to.callers);
        self.quotas.replace(to.quotas);
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = to.limits;
        self.configure_agents(to.agents).await
    }
}
