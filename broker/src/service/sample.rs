//! A small tree, for tests of what is asked of one.

use std::collections::BTreeMap;

use broker_core::delegation::input::{AgentFacts, Input, NewTask, RetryWish};
use broker_core::journal::Record;
use broker_core::{Limits, TaskId, Timestamp, Tree};
use capability::Scope;
use capability::ledger::Ceilings;
use protocol::Message;

/// The tree, and how it came to be.
pub(super) struct Sample {
    pub(super) tree: Tree,
    pub(super) records: Vec<Record>,
    pub(super) tasks: [TaskId; 2],
}

/// alice has `a` work, which has `b` work; what each was told.
pub(super) fn tree(told: [&str; 2]) -> Sample {
    let tasks @ [root, child] = [1, 2].map(|id| TaskId(uuid::Uuid::from_u128(id)));
    let mut sample = Sample { tree: Tree::new(root), records: Vec::new(), tasks };
    let [of_root, of_child] = told;
    sample.decide(delegation(root, None, "a", of_root));
    sample.decide(delegation(child, Some(root), "b", of_child));
    sample
}

impl Sample {
    /// Something happens.
    pub(super) fn decide(&mut self, input: Input) {
        let Self { tree, records, .. } = self;
        let decision = tree.decide(input, Timestamp::from_millis(1_000), &Limits::default()).unwrap();
        decision.records.iter().for_each(|record| tree.apply(record).unwrap());
        records.extend(decision.records);
    }
}

fn delegation(id: TaskId, parent: Option<TaskId>, agent: &str, told: &str) -> Input {
    Input::Delegate(Box::new(NewTask {
        id,
        parent,
        caller: "alice".to_owned(),
        held: Scope::top(),
        agent: AgentFacts {
            name: agent.to_owned(),
            identity: format!("http://{agent}"),
            caps: Scope::parse(["a2a:skill/**"]).unwrap(),
            skills: Vec::new(),
            retry: RetryWish::default(),
            skill_retry: BTreeMap::new(),
        },
        skill: None,
        asked: None,
        budget: Ceilings::default(),
        policy: None,
        push: None,
        specification: None,
        trace: None,
        upstream: None,
        message: Message::user_text("m", told),
        context_id: "c".to_owned(),
        agent_context: "c".to_owned(),
        accepted_output_modes: Vec::new(),
        extensions: Vec::new(),
        deadline: None,
        retry: RetryWish::default(),
        admitted: true,
        escalate: false,
        choice: None,
    }))
}
