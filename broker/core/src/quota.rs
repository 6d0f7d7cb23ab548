//! Quotas: what one principal, account or agent may use of the broker, however many trees it is in. A [`Quota`] says how
//! much; a [`Meter`] knows how much that is so far. Rates refill continuously; what is counted by the day begins anew at
//! midnight (UTC). Money and tokens are held in escrow as in a tree: a root task takes its whole budget from what is left of
//! the day, and what it does not use goes back when it ends.

use std::fmt;

use capability::ledger::{Amounts, Ceilings, DELEGATION_FEE, Unit};
use protocol::Timestamp;
use serde::{Deserialize, Serialize};

/// Milliseconds in a day.
const DAY_MS: i64 = 24 * 3_600 * 1_000;
/// Microseconds in a minute.
const MINUTE_US: i64 = 60 * 1_000_000;
/// When it may be tried again where something has to come back first, and nobody knows when; seconds.
const SOON_SECONDS: u64 = 5;

/// What may be used. `None` is no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Messages in a minute; as many may come at once.
    pub messages_per_minute: Option<u64>,
    /// Messages waiting for their answer, and open event streams.
    pub calls_at_once: Option<u64>,
    /// Open tasks.
    pub open_tasks: Option<u64>,
    /// Bytes of messages and artifacts in a day.
    pub bytes_per_day: Option<u64>,
    /// What tasks may come to cost in a day.
    pub budget_per_day: Ceilings,
}

/// One bound of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// [`Quota::messages_per_minute`].
    Messages,
    /// [`Quota::calls_at_once`].
    Calls,
    /// [`Quota::open_tasks`].
    OpenTasks,
    /// [`Quota::bytes_per_day`].
    Bytes,
    /// [`Quota::budget_per_day`].
    Budget(Unit),
}

impl Bound {
    /// Its name, as in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages_per_minute",
            Self::Calls => "calls_at_once",
            Self::OpenTasks => "open_tasks",
            Self::Bytes => "bytes_per_day",
            Self::Budget(Unit::Usd) => "usd_per_day",
            Self::Budget(Unit::Calls) => "calls_per_day",
            Self::Budget(Unit::Tokens) => "tokens_per_day",
            Self::Budget(Unit::Fanout) => "delegations_per_day",
        }
    }
}

/// A bound was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Which one.
    pub bound: Bound,
    /// How much it allows.
    pub limit: u64,
    /// After how many seconds it may be tried again, at least 1.
    pub retry_after: u64,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.bound.name();
        match self.bound {
            Bound::Budget(unit) => write!(f, "{name} = {}", unit.format(self.limit)),
            _ => write!(f, "{name} = {}", self.limit),
        }
    }
}

/// What was used so far: here, and by other brokers as far as they have said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meter {
    /// Until when the messages so far, wherever they came, have used up the rate; microseconds since the epoch.
    paid_until_us: i64,
    own: Share,
    /// What the others use. Their messages do not count by it: they are paid for as they are heard of.
    others: Share,
}

/// What one of several brokers uses of the same quota, as it tells the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Share {
    /// Messages that counted against a rate since this was first metered, and came to something.
    pub messages: u64,
    /// Messages waiting for their answer, and open event streams.
    pub calls: u64,
    /// Open tasks.
    pub open: u64,
    /// What open tasks may come to cost beside what they have.
    pub held: Amounts,
    /// What was used for good.
    pub today: Today,
}

impl Share {
    /// What of it stays once its broker is gone, and others have its tasks.
    #[must_use]
    pub fn left_behind(self) -> Self {
        Self { today: self.today, ..Self::default() }
    }

    /// What of it stays until others have its tasks: nobody waits at it for an answer.
    #[must_use]
    pub fn of_its_trees(self) -> Self {
        Self { messages: 0, calls: 0, ..self }
    }

    /// All of them together, now.
    pub fn together(all: impl IntoIterator<Item = Self>, now: Timestamp) -> Self {
        all.into_iter().fold(Self::default(), |sum, one| sum.plus(one, day_of(now)))
    }

    fn plus(self, other: Self, day: i64) -> Self {
        let (own, others) = (self.today.on(day), other.today.on(day));
        Self {
            messages: self.messages.saturating_add(other.messages),
            calls: self.calls.saturating_add(other.calls),
            open: self.open.saturating_add(other.open),
            held: self.held.plus(&other.held),
            today: Today {
                day,
                bytes: own.bytes.saturating_add(others.bytes),
                spent: own.spent.plus(&others.spent),
            },
        }
    }
}

/// What is counted by the day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Today {
    /// Days since the epoch.
    pub day: i64,
    /// Bytes of messages and artifacts.
    pub bytes: u64,
    /// What tasks came to cost.
    pub spent: Amounts,
}

impl Today {
    /// Whether anything was used.
    pub fn is_anything(&self) -> bool {
        self.bytes > 0 || !self.spent.is_nothing()
    }

    /// What of it was used on a day: all or nothing.
    fn on(self, day: i64) -> Self {
        if self.day == day { self } else { Self { day, ..Self::default() } }
    }
}

/// How a meter stands, for people and tools.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Messages that count against the rate now.
    pub messages: u64,
    /// Messages waiting for their answer, and open event streams.
    pub calls: u64,
    /// Open tasks.
    pub open_tasks: u64,
    /// Bytes today.
    pub bytes: u64,
    /// What tasks came to cost today.
    pub spent: Amounts,
    /// What open tasks may come to cost beside that.
    pub held: Amounts,
}

impl Meter {
    /// Whether one more message may come: the rate allows it, and the day is not used up. What open trees hold does not
    /// count here: it is what their messages are paid from.
    pub fn check_message(&self, quota: &Quota, now: Timestamp) -> Result<(), Exceeded> {
        let used = self.used(now);
        if let Some(limit) = quota.bytes_per_day.filter(|&limit| used.today.bytes >= limit) {
            return Err(Exceeded { bound: Bound::Bytes, limit, retry_after: until_midnight(now) });
        }
        for unit in Unit::ALL {
            let Some(limit) = quota.budget_per_day.get(unit) else { continue };
            if used.today.spent.get(unit) >= limit {
                return Err(no_budget(&used, unit, limit, now));
            }
        }
        let Some(limit) = quota.messages_per_minute else { return Ok(()) };
        let wait_us = self.paid_until(now).saturating_add(interval_us(limit)) - micros(now) - MINUTE_US;
        if limit > 0 && wait_us <= 0 {
            return Ok(());
        }
        let seconds = if limit == 0 { SOON_SECONDS } else { wait_us.unsigned_abs().div_ceil(1_000_000) };
        Err(Exceeded { bound: Bound::Messages, limit, retry_after: seconds.max(1) })
    }

    /// One more message came. Kept or given back later.
    pub fn take_message(&mut self, quota: &Quota, now: Timestamp) {
        self.pay(quota, 1, now);
    }

    /// A message that was taken came to something: the others are to hear of it.
    pub fn keep_message(&mut self, quota: &Quota) {
        if quota.messages_per_minute.is_some() {
            self.own.messages += 1;
        }
    }

    fn pay(&mut self, quota: &Quota, messages: u64, now: Timestamp) {
        if let Some(limit) = quota.messages_per_minute {
            let messages = i64::try_from(messages).unwrap_or(i64::MAX);
            let owed = interval_us(limit).saturating_mul(messages);
            self.paid_until_us = self.paid_until(now).saturating_add(owed);
        }
    }

    /// What is used here, for the others to hear.
    pub fn share(&self) -> Share {
        self.own
    }

    /// What the others use now, and how many of their messages were not heard of before.
    pub fn hear(&mut self, quota: &Quota, others: Share, messages: u64, now: Timestamp) {
        self.others = others;
        // Paying for none would take a clock that is set back for a debt.
        if messages > 0 {
            self.pay(quota, messages, now);
        }
    }

    /// A message that was counted came to nothing.
    pub fn give_back_message(&mut self, quota: &Quota) {
        if let Some(limit) = quota.messages_per_minute {
            self.paid_until_us = self.paid_until_us.saturating_sub(interval_us(limit));
        }
    }

    /// Whether one more call may wait for its answer.
    pub fn check_call(&self, quota: &Quota) -> Result<(), Exceeded> {
        match quota.calls_at_once.filter(|&limit| self.own.calls + self.others.calls >= limit) {
            Some(limit) => Err(Exceeded { bound: Bound::Calls, limit, retry_after: SOON_SECONDS }),
            None => Ok(()),
        }
    }

    /// One more call waits; until [`Self::end_call`].
    pub fn begin_call(&mut self) {
        self.own.calls += 1;
    }

    /// A call is answered.
    pub fn end_call(&mut self) {
        self.own.calls = self.own.calls.saturating_sub(1);
    }

    /// Whether so many more tasks may be open.
    pub fn check_open(&self, quota: &Quota, tasks: u64) -> Result<(), Exceeded> {
        let open = self.own.open.saturating_add(self.others.open);
        match quota.open_tasks {
            Some(limit) if tasks > 0 && open.saturating_add(tasks) > limit => {
                Err(Exceeded { bound: Bound::OpenTasks, limit, retry_after: SOON_SECONDS })
            }
            _ => Ok(()),
        }
    }

    /// Open tasks come and go.
    pub fn move_open(&mut self, more: u64, less: u64) {
        self.own.open = self.own.open.saturating_add(more).saturating_sub(less);
    }

    /// The budget of a new root task: what is asked for, else a share (percent) of what is left of the day.
    pub fn offer(
        &self,
        quota: &Quota,
        asked: Ceilings,
        share: u32,
        now: Timestamp,
    ) -> Result<Ceilings, Exceeded> {
        let (used, mut offer) = (self.used(now), asked);
        for unit in Unit::ALL {
            let Some(limit) = quota.budget_per_day.get(unit) else { continue };
            let gone = used.today.spent.get(unit).saturating_add(used.held.get(unit));
            let left = limit.saturating_sub(gone);
            let fee = DELEGATION_FEE.get(unit);
            let wanted = asked.get(unit).unwrap_or(0).saturating_add(fee).max(1);
            if wanted > limit {
                let retry_after = until_midnight(now);
                return Err(Exceeded { bound: Bound::Budget(unit), limit, retry_after });
            }
            if wanted > left {
                return Err(no_budget(&used, unit, limit, now));
            }
            let of_rest = u128::from(left - fee) * u128::from(share) / 100;
            let of_rest = u64::try_from(of_rest).unwrap_or(u64::MAX);
            // A task that may cost nothing would not come far.
            if asked.get(unit).is_none() && of_rest == 0 && fee == 0 {
                return Err(no_budget(&used, unit, limit, now));
            }
            offer.set(unit, Some(asked.get(unit).unwrap_or(of_rest)));
        }
        Ok(offer)
    }

    /// What open tasks may come to cost grows and shrinks.
    pub fn move_held(&mut self, more: &Amounts, less: &Amounts) {
        self.own.held = self.own.held.plus(more).less(less);
    }

    /// So much was used for good.
    pub fn charge(&mut self, bytes: u64, spent: &Amounts, now: Timestamp) {
        let today = &mut self.own.today;
        // A clock that was set back does not make what was used today yesterday's.
        *today = today.on(today.day.max(day_of(now)));
        today.bytes = today.bytes.saturating_add(bytes);
        today.spent = today.spent.plus(spent);
    }

    /// How many tasks are open here.
    pub fn open_tasks(&self) -> u64 {
        self.own.open
    }

    /// What is counted by the day, to be kept over a restart.
    pub fn today(&self) -> Today {
        self.own.today
    }

    /// Brings back what was kept.
    pub fn restore(&mut self, today: Today) {
        self.own.today = today;
    }

    /// How it stands.
    pub fn read(&self, quota: &Quota, now: Timestamp) -> Reading {
        let used = self.used(now);
        let Today { bytes, spent, .. } = used.today;
        let owed_us = (self.paid_until(now) - micros(now)).unsigned_abs();
        let limit = quota.messages_per_minute.unwrap_or(0);
        let messages = owed_us.div_ceil(interval_us(limit).unsigned_abs().max(1));
        Reading { messages, calls: used.calls, open_tasks: used.open, bytes, spent, held: used.held }
    }

    /// Whether nothing would be lost by forgetting it.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        let used = self.used(now);
        used.calls == 0
            && used.open == 0
            && used.held.is_nothing()
            && !used.today.is_anything()
            && self.paid_until_us <= micros(now)
    }

    /// What is used now, here and elsewhere. A new day begins with nothing used; what is held is still held.
    fn used(&self, now: Timestamp) -> Share {
        self.own.plus(self.others, self.own.today.day.max(day_of(now)))
    }

    fn paid_until(&self, now: Timestamp) -> i64 {
        self.paid_until_us.max(micros(now))
    }
}

fn no_budget(used: &Share, unit: Unit, limit: u64, now: Timestamp) -> Exceeded {
    let is_spent = used.today.spent.get(unit) >= limit;
    let retry_after = if is_spent { until_midnight(now) } else { SOON_SECONDS };
    Exceeded { bound: Bound::Budget(unit), limit, retry_after }
}

fn micros(at: Timestamp) -> i64 {
    at.as_millis().saturating_mul(1_000)
}

/// Between two messages at a rate.
fn interval_us(per_minute: u64) -> i64 {
    i64::try_from(per_minute).map_or(0, |per_minute| MINUTE_US / per_minute.max(1))
}

fn day_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(DAY_MS)
}

fn until_midnight(now: Timestamp) -> u64 {
    let left = DAY_MS - now.as_millis().rem_euclid(DAY_MS);
    left.unsigned_abs().div_ceil(1_000)
}
