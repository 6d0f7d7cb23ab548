//! Quotas as they are shown to people and tools.

use std::collections::BTreeMap;

use broker_core::quota::{Bound, Quota, Reading};
use capability::ledger::Unit;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Kind, Subject};
use crate::service::Broker;
use crate::service::caller::{Caller, Identity};

/// What one may use, and how much of it is gone.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct QuotaView {
    /// Principal, account or agent.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What was used, and what may be, by the name of the bound: those with a limit, and those of which anything was used.
    pub bounds: BTreeMap<&'static str, BoundView>,
    /// How often something was refused for it since the broker started.
    pub refused: u64,
}

/// One bound: money in millionths of a dollar, all else in whole numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BoundView {
    /// How much there may be; absent: as much as there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How much there is, or was today.
    pub used: u64,
    /// What open tasks may use up beside that, where it is a budget.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Broker {
    /// What a caller may use, its account with it; for operators all there is to say of everybody and every agent.
    pub fn quotas(&self, caller: &Caller) -> Vec<QuotaView> {
        let mine = match &caller.0 {
            Identity::Principal { name, .. } if !caller.is_operator() => Some(self.owners(name)),
            Identity::Delegate { .. } => Some(Vec::new()),
            Identity::Principal { .. } => None,
        };
        self.read_quotas(mine.as_deref()).into_values().collect()
    }

    /// Those that the configuration names.
    pub(in crate::service) fn named_quotas(&self) -> Vec<QuotaView> {
        let named: Vec<Subject> = self.quotas.table().named().cloned().collect();
        self.read_quotas(Some(&named)).into_values().collect()
    }

    /// Those, or everybody with a quota, and everybody who used anything; in order.
    fn read_quotas(&self, those: Option<&[Subject]>) -> BTreeMap<Subject, QuotaView> {
        let (now, table) = (self.clock.now(), self.quotas.table());
        let mut meters = self.quotas.lock();
        let all: Vec<Subject> = match those {
            Some(those) => those.to_vec(),
            None => table.named().cloned().chain(meters.subjects()).collect(),
        };
        let mut view = |subject: Subject| {
            let (quota, metered) = (table.of(&subject), meters.of(&subject));
            let bounds = bounds(&quota, &metered.meter.read(&quota, now));
            let (kind, name, refused) = (subject.kind, subject.name.clone(), metered.refused);
            (subject, QuotaView { kind, name, bounds, refused })
        };
        all.into_iter().map(&mut view).collect()
    }
}

fn bounds(quota: &Quota, reading: &Reading) -> BTreeMap<&'static str, BoundView> {
    let counted = [
        (Bound::Messages, quota.messages_per_minute, reading.messages),
        (Bound::Calls, quota.calls_at_once, reading.calls),
        (Bound::OpenTasks, quota.open_tasks, reading.open_tasks),
        (Bound::Bytes, quota.bytes_per_day, reading.bytes),
    ];
    let counted = counted.map(|(bound, limit, used)| (bound, BoundView { limit, used, held: 0 }));
    let budget = Unit::ALL.map(|unit| {
        let (used, held) = (reading.spent.get(unit), reading.held.get(unit));
        (Bound::Budget(unit), BoundView { limit: quota.budget_per_day.get(unit), used, held })
    });
    let all = counted.into_iter().chain(budget);
    let said = all.filter(|(_, view)| *view != BoundView::default());
    said.map(|(bound, view)| (bound.name(), view)).collect()
}
