//! What can happen in a random history: one step of whoever calls, works or decides, or of time.

use broker_core::journal::ChoiceVerdict;
use capability::ledger::Ceilings;
use proptest::prelude::*;

use super::world::AGENTS;

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Delegate {
        parent: usize,
        agent: usize,
        how: How,
        budget: Ceilings,
    },
    Group {
        parent: usize,
        agents: [usize; 2],
        race: bool,
    },
    /// Nobody is named: the caller is asked, or told that it is hopeless.
    Ask {
        parent: usize,
        verdict: ChoiceVerdict,
    },
    /// The answer: an agent, or nothing that helps.
    Answer {
        task: usize,
        agent: Option<usize>,
        verdict: ChoiceVerdict,
    },
    HandOff {
        task: usize,
        agent: usize,
        admitted: bool,
    },
    Admit {
        attempt: usize,
    },
    Reassign {
        attempt: usize,
        agent: usize,
        admitted: bool,
    },
    NoDelegate {
        attempt: usize,
    },
    Check {
        result: usize,
        what: usize,
    },
    /// An agent says what a judge does, judge or not.
    Judge {
        attempt: usize,
        accepts: bool,
    },
    Decide {
        task: usize,
        approve: bool,
    },
    Resolve {
        task: usize,
        how: usize,
    },
    Say {
        attempt: usize,
        what: usize,
        cost: Option<u64>,
    },
    Fail {
        attempt: usize,
        how: usize,
    },
    /// Nobody asked, and the caller says something all the same.
    SayMore {
        attempt: usize,
        taken: bool,
    },
    Found {
        attempt: usize,
        what: usize,
        /// It shows what it was sent at first, and nothing that was said since.
        lacks: bool,
    },
    Turn {
        task: usize,
    },
    Cancel {
        task: usize,
    },
    Revoke {
        task: usize,
    },
    CancelAnswered {
        attempt: usize,
        confirmed: bool,
    },
    Pass {
        millis: i64,
    },
    /// A task is delegated, asks, and its delegator is done; then the root's caller may answer.
    AskBelow {
        parent: usize,
        agent: usize,
        answers: bool,
    },
    /// A task that may do little delegates what only a task above it may.
    EscalateBelow {
        parent: usize,
    },
    Crash,
    CrashDuring {
        step: Box<Step>,
        durable: bool,
    },
}

/// How a task is delegated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    /// Whether it escalates, is idempotent, and may be done elsewhere.
    pub(crate) wishes: [bool; 3],
    pub(crate) admitted: bool,
    /// Whether what is accepted is said, and a judge named.
    pub(crate) accepts: Option<bool>,
}

fn how() -> impl Strategy<Value = How> {
    let accepts = prop::option::weighted(0.4, any::<bool>());
    (any::<[bool; 3]>(), prop::bool::weighted(0.8), accepts).prop_map(|(wishes, admitted, accepts)| How {
        wishes,
        admitted,
        accepts,
    })
}

fn simple_step() -> impl Strategy<Value = Step> {
    let some = 0_usize..64;
    prop_oneof![
        9 => (some.clone(), 0..AGENTS.len(), how(), budget())
            .prop_map(|(parent, agent, how, budget)| Step::Delegate { parent, agent, how, budget }),
        1 => (some.clone(), [0..AGENTS.len(), 0..AGENTS.len()], any::<bool>())
            .prop_map(|(parent, agents, race)| Step::Group { parent, agents, race }),
        1 => (some.clone(), verdict()).prop_map(|(parent, verdict)| Step::Ask { parent, verdict }),
        2 => (some.clone(), prop::option::weighted(0.7, 0..AGENTS.len()), verdict())
            .prop_map(|(task, agent, verdict)| Step::Answer { task, agent, verdict }),
        2 => (some.clone(), 0..AGENTS.len(), any::<bool>())
            .prop_map(|(task, agent, admitted)| Step::HandOff { task, agent, admitted }),
        3 => some.clone().prop_map(|attempt| Step::Admit { attempt }),
        3 => (some.clone(), 0..AGENTS.len(), any::<bool>())
            .prop_map(|(attempt, agent, admitted)| Step::Reassign { attempt, agent, admitted }),
        1 => some.clone().prop_map(|attempt| Step::NoDelegate { attempt }),
        5 => (some.clone(), prop::bool::weighted(0.8)).prop_map(|(task, approve)| Step::Decide { task, approve }),
        3 => (some.clone(), 0_usize..3).prop_map(|(task, how)| Step::Resolve { task, how }),
        12 => (some.clone(), 0_usize..10, prop::option::weighted(0.5, 0_u64..6))
            .prop_map(|(attempt, what, cost)| Step::Say { attempt, what, cost }),
        6 => (some.clone(), 0_usize..13).prop_map(|(attempt, how)| Step::Fail { attempt, how }),
        2 => (some.clone(), 0_usize..8, any::<bool>())
            .prop_map(|(attempt, what, lacks)| Step::Found { attempt, what, lacks }),
        6 => (some.clone(), 0_usize..5).prop_map(|(result, what)| Step::Check { result, what }),
        2 => (some.clone(), any::<bool>()).prop_map(|(attempt, taken)| Step::SayMore { attempt, taken }),
        4 => some.clone().prop_map(|task| Step::Turn { task }),
        1 => some.clone().prop_map(|task| Step::Cancel { task }),
        1 => some.clone().prop_map(|task| Step::Revoke { task }),
        2 => (some, any::<bool>()).prop_map(|(attempt, confirmed)| Step::CancelAnswered { attempt, confirmed }),
        2 => prop_oneof![Just(10), Just(600), Just(11_000), Just(40 * 60_000)].prop_map(|millis| Step::Pass { millis }),
    ]
}

fn verdict() -> impl Strategy<Value = ChoiceVerdict> {
    prop_oneof![4 => Just(ChoiceVerdict::Unsure), 1 => Just(ChoiceVerdict::OutOfScope), 1 => Just(ChoiceVerdict::Picked)]
}

fn budget() -> impl Strategy<Value = Ceilings> {
    let some = || prop::option::weighted(0.4, 0_u64..8);
    (some(), some()).prop_map(|(calls, fanout)| Ceilings { calls, fanout, ..Ceilings::default() })
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => simple_step(),
        1 => (0_usize..64, 0..AGENTS.len(), any::<bool>())
            .prop_map(|(parent, agent, answers)| Step::AskBelow { parent, agent, answers }),
        2 => (0_usize..64, any::<bool>()).prop_map(|(attempt, accepts)| Step::Judge { attempt, accepts }),
        1 => (0_usize..64).prop_map(|parent| Step::EscalateBelow { parent }),
        1 => Just(Step::Crash),
        2 => (simple_step(), any::<bool>())
            .prop_map(|(step, durable)| Step::CrashDuring { step: Box::new(step), durable }),
    ]
}
