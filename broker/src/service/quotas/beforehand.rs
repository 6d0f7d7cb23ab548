//! Open tasks that are counted before their trees are taken up after a start, by what the store says of them: so callers are
//! served at once, and nobody gets more than it may. Whatever of a tree has changed by the time it is taken up counts twice
//! until then.

use broker_core::Tree;
use broker_core::delegation::BROKER_AGENT;
use protocol::A2aError;

use super::{Kind, Quotas, Subject};
use crate::service::{Broker, error};

impl Broker {
    /// Counts what is open; whether callers may be served before all of it is taken up. Not where budgets are bounded by the
    /// day: what trees hold of them is only known once they are read.
    pub async fn count_beforehand(&self) -> Result<bool, A2aError> {
        if self.quotas.table().bounds_budgets() {
            return Ok(false);
        }
        let open = self.store.open_tasks().await.map_err(|failure| error::store(&failure))?;
        for (owner, agent, tasks) in open {
            for subject in self.owners(&owner) {
                self.quotas.count_beforehand(subject, tasks);
            }
            if agent != BROKER_AGENT {
                self.quotas.count_beforehand(Subject::new(Kind::Agent, &agent), tasks);
            }
        }
        Ok(true)
    }

    /// A tree is taken up after a start, and counted for itself.
    pub(in crate::service) fn counted_after_all(&self, tree: &Tree) {
        let Some(owner) = tree.owner() else { return };
        for subject in self.owners(owner) {
            self.quotas.counted_after_all(&subject, u64::from(tree.open_tasks()));
        }
        for agent in tree.tasks().filter_map(|task| tree.open_with(task)) {
            self.quotas.counted_after_all(&Subject::new(Kind::Agent, agent), 1);
        }
    }
}

impl Quotas {
    fn count_beforehand(&self, subject: Subject, tasks: u64) {
        let mut meters = self.lock();
        meters.of(&subject).meter.move_open(tasks, 0);
        *meters.beforehand.entry(subject).or_default() += tasks;
    }

    fn counted_after_all(&self, subject: &Subject, tasks: u64) {
        let mut meters = self.lock();
        let Some(left) = meters.beforehand.get_mut(subject) else { return };
        let less = tasks.min(*left);
        *left -= less;
        meters.of(subject).meter.move_open(0, less);
    }

    /// All trees are taken up: what was counted beforehand and is not there is gone.
    pub(in crate::service) fn all_counted(&self) {
        let mut meters = self.lock();
        for (subject, left) in std::mem::take(&mut meters.beforehand) {
            meters.of(&subject).meter.move_open(0, left);
        }
    }
}
