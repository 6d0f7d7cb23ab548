//! What the durable journals say, kept beside the disk as it is written: which events every task shows, how its states
//! follow each other, whose it is, and when its grants died. Observers are held against this at the moment they see
//! something.

use std::collections::BTreeMap;

use broker_core::journal::{Fact, Record};
use broker_core::{TaskId, Tree};
use bytes::Bytes;
use protocol::TaskState;

#[derive(Default)]
pub(crate) struct Mirror {
    trees: BTreeMap<TaskId, Tree>,
    pub(crate) tasks: BTreeMap<TaskId, Life>,
    /// Every tree's records, and after how many of them each append ended.
    pub(crate) journals: BTreeMap<TaskId, (Vec<Record>, Vec<usize>)>,
    /// Tasks that were let in at an agent and have kept it busy since; those who came back to work are not among them.
    let_in: BTreeMap<TaskId, String>,
}

/// What is durable of a task.
pub(crate) struct Life {
    pub(crate) parent: Option<TaskId>,
    pub(crate) owner: String,
    pub(crate) agent: String,
    /// The number of its latest record.
    pub(crate) seq: u64,
    /// Its events by number, as everybody must see them.
    pub(crate) shown: BTreeMap<u64, Bytes>,
    /// Its northbound states in order, each with the number of the record that made it.
    pub(crate) states: Vec<(u64, TaskState)>,
    /// Attempts that may have been sent.
    pub(crate) started: Vec<u32>,
    /// Turns that may have been sent, by message id.
    pub(crate) turns: Vec<String>,
    pub(crate) message_id: String,
    /// It ended, is being cancelled, or was revoked.
    dead: bool,
    pub(crate) ended: bool,
}

impl Mirror {
    pub(crate) fn append(&mut self, root: TaskId, records: &[Bytes]) {
        let records: Vec<Record> = records.iter().map(|bytes| Record::decode(bytes).unwrap()).collect();
        let mut begun = Vec::new();
        for record in &records {
            let started = self.tasks.get(&record.task).map(|life| life.started.len());
            self.take(root, record);
            if matches!(&record.fact, Fact::AttemptStarted { number }
                if !self.tasks[&record.task].started[..started.unwrap_or(0)].contains(number))
            {
                begun.push(record.task);
            }
        }
        self.let_in(root, &begun);
        let (journal, ends) = self.journals.entry(root).or_default();
        journal.extend(records);
        ends.push(journal.len());
    }

    fn take(&mut self, root: TaskId, record: &Record) {
        let tree = self.trees.entry(root).or_insert_with(|| Tree::new(root));
        tree.apply(record).expect("what is durable can be folded");
        if let Fact::Submitted(submission) = &record.fact {
            let life = Life {
                parent: submission.parent,
                owner: submission.owner.clone(),
                agent: submission.terms.agent.clone(),
                seq: 0,
                shown: BTreeMap::new(),
                states: vec![(record.seq, TaskState::Submitted)],
                started: Vec::new(),
                turns: Vec::new(),
                message_id: submission.message.message_id.clone(),
                dead: false,
                ended: false,
            };
            self.tasks.insert(record.task, life);
        }
        let life = self.tasks.get_mut(&record.task).expect("records are about submitted tasks");
        life.seq = record.seq;
        if let Some(event) = tree.event(record) {
            life.shown.insert(record.seq, serde_json::to_vec(&event).unwrap().into());
        }
        match &record.fact {
            Fact::Status(status) => life.states.push((record.seq, status.state)),
            Fact::Bubbled(bubble) => life.states.push((record.seq, bubble.asks.state)),
            Fact::PassedOn { .. } => life.states.push((record.seq, TaskState::Working)),
            Fact::Turn { message, answers } => {
                life.turns.push(message.message_id.clone());
                if *answers {
                    life.states.push((record.seq, TaskState::Working));
                }
            }
            Fact::AttemptStarted { number } => life.started.push(*number),
            Fact::Closing { .. } | Fact::Revoked { .. } => life.dead = true,
            Fact::Ended(outcome) => {
                life.states.push((record.seq, outcome.state));
                (life.dead, life.ended) = (true, true);
            }
            _ => {}
        }
    }

    /// Tasks whose attempts have just begun are let in; whoever does not keep the agent busy any more has left.
    fn let_in(&mut self, root: TaskId, begun: &[TaskId]) {
        let tree = &self.trees[&root];
        for task in tree.tasks() {
            let busy = tree.busy_agent(task);
            if self.let_in.get(&task).is_some_and(|agent| busy != Some(agent.as_str())) {
                self.let_in.remove(&task);
            }
            if let Some(agent) = busy.filter(|_| begun.contains(&task)) {
                self.let_in.insert(task, agent.to_owned());
            }
        }
    }

    /// How many tasks are at an agent that were let in there.
    pub(crate) fn at_work(&self, agent: &str) -> usize {
        self.let_in.values().filter(|at| *at == agent).count()
    }

    /// The task and those above it, nearest first.
    pub(crate) fn lineage(&self, task: TaskId) -> impl Iterator<Item = TaskId> {
        std::iter::successors(Some(task), |task| self.tasks.get(task)?.parent)
    }

    /// Whether a grant of the task must open nothing any more.
    pub(crate) fn is_dead(&self, task: TaskId) -> bool {
        self.lineage(task).any(|task| self.tasks.get(&task).is_none_or(|life| life.dead))
    }

    /// Whether a message to an agent, by its southbound id, follows from something durable.
    pub(crate) fn may_be_sent(&self, southbound_id: &str) -> bool {
        let Some((message_id, task, number)) = parse(southbound_id) else { return false };
        self.tasks.get(&task).is_some_and(|life| {
            let is_known = life.message_id == message_id || life.turns.iter().any(|turn| turn == message_id);
            is_known && life.started.contains(&number)
        })
    }
}

/// The caller's message id, the task and the attempt in a southbound message id.
pub(crate) fn parse(southbound_id: &str) -> Option<(&str, TaskId, u32)> {
    let (rest, number) = southbound_id.rsplit_once('.')?;
    let (message_id, task) = rest.rsplit_once('.')?;
    Some((message_id, task.parse().ok()?, number.parse().ok()?))
}
