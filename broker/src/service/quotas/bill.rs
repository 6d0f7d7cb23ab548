//! What a step of a tree uses: put together record by record while they are applied, and charged to the tree's owner, its
//! account and the agents at once. How many tasks a tree has open, and what they may come to cost, is compared with what was
//! counted of it before, so that nothing is counted twice, whoever takes the tree up.

use broker_core::delegation::BROKER_AGENT;
use broker_core::journal::Record;
use broker_core::{TaskId, Tree};
use capability::ledger::{Amounts, DELEGATION_FEE};

use super::{Kind, Metered, Meters};
use crate::service::Broker;
use crate::service::trees::TreeCell;

/// What was counted of a copy of a tree.
#[derive(Debug, Default)]
pub(in crate::service) struct Counted {
    /// The account its open tasks are counted for: that of its owner when the first of them came.
    account: Option<String>,
    open: u64,
    held: Amounts,
    /// Its open tasks, by agent.
    with: Vec<(TaskId, String)>,
}

impl Counted {
    /// What was counted of a tree before it was set aside: what it comes to now, for the account it was counted for.
    pub(in crate::service) fn again(tree: &Tree, account: Option<&str>) -> Self {
        let by_agent = |task: TaskId| {
            let agent = tree.open_with(task).filter(|agent| *agent != BROKER_AGENT)?;
            Some((task, agent.to_owned()))
        };
        Self {
            account: account.map(str::to_owned),
            open: u64::from(tree.open_tasks()),
            held: tree.held(),
            with: tree.tasks().filter_map(by_agent).collect(),
        }
    }

    /// Whether anything is.
    pub(in crate::service) fn is_any(&self) -> bool {
        self.open > 0
    }

    pub(in crate::service) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }
}

/// What was used for good in a step.
#[derive(Debug, Default)]
pub(in crate::service) struct Bill {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    agent: String,
    bytes: u64,
    /// What it costs its owner: all that a budget holds where the agent does not say.
    spent: Amounts,
    /// What the agent says.
    said: Amounts,
}

/// How a task stands before a record is applied.
pub(in crate::service) struct Standing {
    agent: Option<String>,
    bytes: u64,
    spent: Amounts,
    said: Amounts,
}

impl Standing {
    /// Of a task, before its next record.
    pub(in crate::service) fn of(tree: &Tree, task: TaskId) -> Self {
        let agent = tree.agent(task).map(str::to_owned);
        Self { agent, bytes: tree.bytes_of(task), spent: tree.spent(), said: tree.said_to_cost() }
    }
}

impl Bill {
    /// Notes what a record that was applied has used.
    pub(in crate::service) fn note(&mut self, tree: &Tree, task: TaskId, before: Standing) {
        let bytes = tree.bytes_of(task).saturating_sub(before.bytes);
        let (spent, said) = (tree.spent().less(&before.spent), tree.said_to_cost().less(&before.said));
        let agent = tree.agent(task).unwrap_or_default().to_owned();
        match before.agent {
            // What the former one used is its own; that the task was given to another one is that one's.
            Some(former) if former != agent => {
                let (spent, said) = (spent.less(&DELEGATION_FEE), said.less(&DELEGATION_FEE));
                self.add(Line { agent: former, bytes, spent, said });
                self.add(Line { agent, bytes: 0, spent: DELEGATION_FEE, said: DELEGATION_FEE });
            }
            _ => self.add(Line { agent, bytes, spent, said }),
        }
    }

    fn add(&mut self, line: Line) {
        if line.bytes == 0 && line.spent.is_nothing() && line.said.is_nothing() {
            return;
        }
        match self.lines.last_mut().filter(|last| last.agent == line.agent) {
            Some(last) => {
                last.bytes += line.bytes;
                (last.spent, last.said) = (last.spent.plus(&line.spent), last.said.plus(&line.said));
            }
            None => self.lines.push(line),
        }
    }
}

impl Broker {
    /// Charges what a step has used, and counts the tasks its records are about as they are now. With the tree locked.
    pub(in crate::service) fn settle(&self, tree: &Tree, cell: &TreeCell, bill: Bill, records: &[Record]) {
        let Some(owner) = tree.owner() else { return };
        let (now, held, mut counted) = (self.clock.now(), tree.held(), cell.counted());
        let is_first = counted.open == 0;
        if is_first {
            counted.account = self.callers().accounts.of(owner).map(str::to_owned);
        }
        let mut meters = self.quotas.lock();
        for Line { agent, bytes, spent, said } in bill.lines {
            meters.of_owner(owner, &counted, |metered| metered.meter.charge(bytes, &spent, now));
            if agent != BROKER_AGENT {
                meters.named(Kind::Agent, &agent).meter.charge(bytes, &said, now);
            }
            meters.is_news = true;
        }
        meters.count(tree, owner, held, &mut counted);
        for record in records {
            meters.count_by_agent(tree, &mut counted, record.task);
        }
        if is_first {
            // It may have been folded in the middle of its life.
            for task in tree.tasks() {
                meters.count_by_agent(tree, &mut counted, task);
            }
        }
    }

    /// Counts all of a tree that is taken up.
    pub(in crate::service) fn count_tree_taken_up(&self, tree: &Tree, cell: &TreeCell) {
        self.settle(tree, cell, Bill::default(), &[]);
    }

    /// A copy of a tree is given up; who folds it again counts it again.
    pub(in crate::service) fn uncount(&self, tree: &Tree, cell: &TreeCell) {
        let Some(owner) = tree.owner() else { return };
        let counted = std::mem::take(&mut *cell.counted());
        let mut meters = self.quotas.lock();
        meters.move_owners(owner, &counted, (0, &Amounts::default()));
        for (_, agent) in &counted.with {
            meters.named(Kind::Agent, agent).meter.move_open(0, 1);
        }
    }
}

impl Meters {
    /// The meters of a tree's owner: its own, and its account's.
    fn of_owner(&mut self, owner: &str, counted: &Counted, change: impl Fn(&mut Metered)) {
        change(self.named(Kind::Principal, owner));
        if let Some(account) = &counted.account {
            change(self.named(Kind::Account, account));
        }
    }

    /// Moves what is counted of a tree to what it is now.
    fn move_owners(&mut self, owner: &str, counted: &Counted, (open, held): (u64, &Amounts)) {
        self.of_owner(owner, counted, |metered| {
            metered.meter.move_open(open, counted.open);
            metered.meter.move_held(held, &counted.held);
        });
    }

    fn count(&mut self, tree: &Tree, owner: &str, held: Amounts, counted: &mut Counted) {
        let open = u64::from(tree.open_tasks());
        if (open, held) != (counted.open, counted.held) {
            self.move_owners(owner, counted, (open, &held));
            (counted.open, counted.held) = (open, held);
        }
    }

    fn count_by_agent(&mut self, tree: &Tree, counted: &mut Counted, task: TaskId) {
        let now = tree.open_with(task).filter(|agent| *agent != BROKER_AGENT);
        let place = counted.with.iter().position(|(known, _)| *known == task);
        let before = place.and_then(|place| counted.with.get(place)).map(|(_, agent)| agent.as_str());
        if now == before {
            return;
        }
        if let Some(place) = place {
            let (_, agent) = counted.with.swap_remove(place);
            self.named(Kind::Agent, &agent).meter.move_open(0, 1);
        }
        if let Some(agent) = now {
            self.named(Kind::Agent, agent).meter.move_open(1, 0);
            counted.with.push((task, agent.to_owned()));
        }
    }
}
