//! Who uses how much, and who may: the meters of principals, accounts and agents. The rules are the core's
//! ([`broker_core::quota`]); what is here is live state, told anew from the open trees after a restart, except what is
//! counted by the day, which is kept ([`usage`]).
//!
//! A principal's meter counts the trees it owns, delegations in them among it; an account's, those of its principals; an
//! agent's, the tasks it is given.

mod beforehand;
mod bill;
mod shared;
mod table;
mod usage;
mod view;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use broker_core::Timestamp;
use broker_core::delegation::BROKER_AGENT;
use broker_core::quota::{Exceeded, Meter, Quota};
use capability::ledger::{Amounts, Ceilings, DELEGATION_FEE};
use protocol::A2aError;

pub(super) use self::bill::{Bill, Counted, Standing};
pub(super) use self::table::Subject;
pub use self::table::{Kind, QuotaTable};
pub(super) use self::usage::tend as keep_usage;
pub(super) use self::view::BoundView;
pub use self::view::QuotaView;
use super::caller::{Caller, Identity};
use super::{Broker, error};

/// All meters, and what they are read against.
pub(super) struct Quotas {
    table: RwLock<Arc<QuotaTable>>,
    meters: Mutex<Meters>,
}

/// Meters by name, of each kind.
#[derive(Default)]
struct Meters {
    principals: HashMap<String, Metered>,
    accounts: HashMap<String, Metered>,
    agents: HashMap<String, Metered>,
    /// What is counted of trees that were open at the start and are not taken up yet.
    beforehand: HashMap<Subject, u64>,
    /// Whether what is counted by the day has changed since it was kept.
    is_news: bool,
    heard: shared::Heard,
}

/// A meter, and how often it refused.
#[derive(Default)]
struct Metered {
    meter: Meter,
    refused: u64,
}

/// Tasks, a budget or a message that are about to be: counted as long as this is kept, and by their tree from then on.
#[must_use = "what is reserved is given back when this is dropped"]
pub(super) struct Reservation {
    quotas: Arc<Quotas>,
    subjects: Vec<Subject>,
    tasks: u64,
    held: Amounts,
    /// Whether a message was counted that goes to nobody unless it is kept.
    is_message: bool,
}

impl Reservation {
    fn new(quotas: &Arc<Quotas>, subjects: Vec<Subject>) -> Self {
        let (tasks, held, is_message) = Default::default();
        Self { quotas: Arc::clone(quotas), subjects, tasks, held, is_message }
    }

    /// What it was for came to be.
    pub(super) fn keep(&mut self) {
        if std::mem::take(&mut self.is_message) {
            self.quotas.keep_message(&self.subjects);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let table = self.quotas.table();
        let mut meters = self.quotas.lock();
        for subject in &self.subjects {
            let meter = &mut meters.of(subject).meter;
            meter.move_open(0, self.tasks);
            meter.move_held(&Amounts::default(), &self.held);
            if self.is_message {
                meter.give_back_message(&table.of(subject));
            }
        }
    }
}

/// A call that is being answered.
#[must_use = "the call is over when this is dropped"]
pub(crate) struct Call {
    quotas: Arc<Quotas>,
    subjects: Vec<Subject>,
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut meters = self.quotas.lock();
        for subject in &self.subjects {
            meters.of(subject).meter.end_call();
        }
    }
}

impl Broker {
    /// Whom something an owner does is counted for: itself, and its account.
    fn owners(&self, owner: &str) -> Vec<Subject> {
        let account = self.callers().accounts.of(owner).map(|account| Subject::new(Kind::Account, account));
        std::iter::once(Subject::new(Kind::Principal, owner)).chain(account).collect()
    }

    /// Counts a message that begins something in an owner's name, and reserves the tasks it will have open; where it is a
    /// root's, its budget with them, which is no more than what is left of the day.
    pub(super) fn use_quotas(
        &self,
        owner: &str,
        tasks: u64,
        budget: Option<&mut Ceilings>,
    ) -> Result<Vec<Reservation>, A2aError> {
        let (now, owners) = (self.clock.now(), self.owners(owner));
        let mut reserved = vec![self.counting(self.quotas.reserve_tasks(owners.clone(), tasks))?];
        if let Some(budget) = budget {
            let share = self.limits().budget_share;
            let given = self.quotas.reserve_budget(owners.clone(), *budget, share, now);
            let (given, held) = self.counting(given)?;
            *budget = given;
            reserved.push(held);
        }
        self.counting(self.quotas.use_message(&owners, now))?;
        Ok(reserved)
    }

    /// Counts a message that continues a task of an owner's at an agent.
    pub(super) fn use_turn(&self, owner: &str, agent: &str) -> Result<(), A2aError> {
        let mut subjects = self.owners(owner);
        if agent != BROKER_AGENT {
            subjects.push(Subject::new(Kind::Agent, agent));
        }
        self.counting(self.quotas.use_message(&subjects, self.clock.now()))
    }

    /// Counts a message that gives an agent a task, and reserves that. Whoever may not use the agent takes nothing of what
    /// it may be given.
    pub(super) fn use_agent(&self, agent: &str) -> Result<Reservation, A2aError> {
        let subjects = vec![Subject::new(Kind::Agent, agent)];
        let mut reserved = self.counting(self.quotas.reserve_tasks(subjects.clone(), 1))?;
        self.counting(self.quotas.take_message(&subjects, self.clock.now()))?;
        reserved.is_message = true;
        Ok(reserved)
    }

    /// Counts a call while it is answered. Those under a grant are bounded by the tasks that their tree may have open.
    pub(crate) fn begin_call(&self, caller: &Caller) -> Result<Option<Call>, A2aError> {
        let Identity::Principal { name, .. } = &caller.0 else { return Ok(None) };
        self.counting(self.quotas.begin_call(self.owners(name))).map(Some)
    }

    /// Counts what is refused, and says why.
    fn counting<T>(&self, used: Result<T, Refused>) -> Result<T, A2aError> {
        used.map_err(|Refused { subject, exceeded }| {
            self.count_quota_refusal(subject.kind, exceeded.bound);
            error::quota_exceeded(&subject, &exceeded)
        })
    }
}

/// Whose quota does not allow it.
struct Refused {
    subject: Subject,
    exceeded: Exceeded,
}

impl Quotas {
    pub(super) fn new(table: QuotaTable) -> Self {
        Self { table: RwLock::new(Arc::new(table)), meters: Mutex::default() }
    }

    /// Other quotas from now on. What was used so far counts against them.
    pub(super) fn replace(&self, table: QuotaTable) {
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }

    fn table(&self) -> Arc<QuotaTable> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock(&self) -> MutexGuard<'_, Meters> {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the meters of all subjects, if each allows it.
    fn admit(
        &self,
        subjects: &[Subject],
        mut allows: impl FnMut(&Meter, &Quota) -> Result<(), Exceeded>,
        mut change: impl FnMut(&mut Meter, &Quota),
    ) -> Result<(), Refused> {
        let table = self.table();
        let mut meters = self.lock();
        for subject in subjects {
            let metered = meters.of(subject);
            if let Err(exceeded) = allows(&metered.meter, &table.of(subject)) {
                metered.refused += 1;
                return Err(Refused { subject: subject.clone(), exceeded });
            }
        }
        for subject in subjects {
            change(&mut meters.of(subject).meter, &table.of(subject));
        }
        Ok(())
    }

    /// One more message, which is not given back.
    fn use_message(&self, subjects: &[Subject], now: Timestamp) -> Result<(), Refused> {
        let allows = |meter: &Meter, quota: &Quota| meter.check_message(quota, now);
        self.admit(subjects, allows, |meter, quota| {
            meter.take_message(quota, now);
            meter.keep_message(quota);
        })
    }

    /// One more message, to be kept or given back.
    fn take_message(&self, subjects: &[Subject], now: Timestamp) -> Result<(), Refused> {
        let allows = |meter: &Meter, quota: &Quota| meter.check_message(quota, now);
        self.admit(subjects, allows, |meter, quota| meter.take_message(quota, now))
    }

    /// It is not given back any more.
    fn keep_message(&self, subjects: &[Subject]) {
        let table = self.table();
        let mut meters = self.lock();
        for subject in subjects {
            meters.of(subject).meter.keep_message(&table.of(subject));
        }
    }

    /// One more call that is being answered.
    fn begin_call(self: &Arc<Self>, subjects: Vec<Subject>) -> Result<Call, Refused> {
        self.admit(&subjects, Meter::check_call, |meter, _| meter.begin_call())?;
        Ok(Call { quotas: Arc::clone(self), subjects })
    }

    /// Reserves so many more open tasks.
    fn reserve_tasks(self: &Arc<Self>, subjects: Vec<Subject>, tasks: u64) -> Result<Reservation, Refused> {
        let allows = |meter: &Meter, quota: &Quota| meter.check_open(quota, tasks);
        self.admit(&subjects, allows, |meter, _| meter.move_open(tasks, 0))?;
        let mut reserved = Reservation::new(self, subjects);
        reserved.tasks = tasks;
        Ok(reserved)
    }

    /// The budget of a root task, and its reservation.
    fn reserve_budget(
        self: &Arc<Self>,
        subjects: Vec<Subject>,
        asked: Ceilings,
        share: u32,
        now: Timestamp,
    ) -> Result<(Ceilings, Reservation), Refused> {
        let budget = Cell::new(asked);
        let allows = |meter: &Meter, quota: &Quota| {
            let offer = meter.offer(quota, asked, share, now)?;
            budget.set(budget.get().lower_of(&offer));
            Ok(())
        };
        // Giving it to an agent is paid for from the day as well.
        let held = || budget.get().amounts().plus(&DELEGATION_FEE);
        self.admit(&subjects, allows, |meter, _| meter.move_held(&held(), &Amounts::default()))?;
        let mut reserved = Reservation::new(self, subjects);
        reserved.held = held();
        Ok((budget.get(), reserved))
    }

    /// How many principals have open tasks, and how many they have together.
    pub(super) fn open_tasks(&self) -> (u64, u64) {
        let meters = self.lock();
        let open = meters.principals.values().map(|metered| metered.meter.open_tasks());
        open.filter(|open| *open > 0).fold((0, 0), |(owners, tasks), open| (owners + 1, tasks + open))
    }
}

impl Meters {
    fn of(&mut self, subject: &Subject) -> &mut Metered {
        self.named(subject.kind, &subject.name)
    }

    fn named(&mut self, kind: Kind, name: &str) -> &mut Metered {
        let all = match kind {
            Kind::Principal => &mut self.principals,
            Kind::Account => &mut self.accounts,
            Kind::Agent => &mut self.agents,
        };
        all.entry(name.to_owned()).or_default()
    }

    /// All of them, with what is metered.
    fn iter(&self) -> impl Iterator<Item = (Kind, &String, &Metered)> {
        let kinds = [
            (Kind::Principal, &self.principals),
            (Kind::Account, &self.accounts),
            (Kind::Agent, &self.agents),
        ];
        kinds.into_iter().flat_map(|(kind, all)| all.iter().map(move |(name, metered)| (kind, name, metered)))
    }

    fn subjects(&self) -> impl Iterator<Item = Subject> {
        self.iter().map(|(kind, name, _)| Subject::new(kind, name))
    }

    /// Forgets meters of which there is nothing to say.
    fn tidy(&mut self, now: Timestamp) {
        for all in [&mut self.principals, &mut self.accounts, &mut self.agents] {
            all.retain(|_, metered| !metered.meter.is_idle(now));
        }
    }
}
