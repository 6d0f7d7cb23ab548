//! An adversary on random trees down to depth 8: every agent is hostile, and so is whoever holds a grant. It reaches
//! for tasks that are over, revoked or somebody else's, for scopes and budgets it does not hold, lies about what it
//! used, says everything twice and races its own cancellation. What came of it is judged from the journal alone.

mod attack;
mod count;
mod judge;

use std::cell::RefCell;
use std::collections::BTreeMap;

use broker_core::delegation::input::Input;
use broker_core::{Limits, Refusal};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use self::attack::{Attack, History};
use self::judge::Judge;
use super::world::World;

/// Histories of a default run.
const HISTORIES: u32 = 1_000;

/// Nobody is silent for so long, in milliseconds: trees end by what is done to them.
const DAY: i64 = 24 * 60 * 60 * 1_000;

/// What all histories together came to: a test in which nothing succeeds, or nothing is refused, shows nothing.
#[derive(Default)]
struct Tally {
    accepted: BTreeMap<u32, usize>,
    refused: BTreeMap<&'static str, usize>,
}

struct Game {
    world: World,
    judge: Judge,
    /// What was fed before, to be fed again.
    said: Vec<Input>,
}

impl Game {
    fn begin(history: &History) -> Self {
        let mut world = World::new();
        world.limits = Limits {
            max_live_tasks: 40,
            max_fanout: 6,
            silence_ms: DAY,
            budget_share: 80,
            ..Limits::default()
        };
        let mut game = Self { world, judge: Judge::new(history.caps.clone()), said: Vec::new() };
        let root = attack::root(&mut game, history);
        game.feed(root).expect("the root holds enough");
        game
    }

    /// Feeds an input, and has the judge read what it led to.
    fn feed(&mut self, input: Input) -> Result<(), Refusal> {
        if let Input::Delegate(new) = &input {
            self.judge.was_asked(new, self.world.now);
        }
        let outcome = self.world.feed(input);
        self.judge.read(&self.world.journal);
        outcome
    }

    fn play(&mut self, attack: &Attack, tally: &mut Tally) {
        if matches!(attack, Attack::Crash) {
            self.world.crash();
            return self.judge.read(&self.world.journal);
        }
        for input in attack::inputs(self, attack) {
            self.said.push(input.clone());
            let delegates = matches!(input, Input::Delegate(_));
            if let Err(refusal) = self.feed(input)
                && delegates
            {
                *tally.refused.entry(name(&refusal)).or_default() += 1;
            }
        }
    }
}

fn name(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NotFound => "not found",
        Refusal::CapabilityExceeded { .. } => "capability",
        Refusal::BudgetExhausted { .. } => "budget",
        Refusal::RateExceeded { .. } => "rate",
        Refusal::Cycle { .. } => "cycle",
        Refusal::DepthExceeded { .. } => "depth",
        _ => "other",
    }
}

#[test]
fn no_adversary_gets_an_act_outside_its_scope_or_a_budget_overspent() {
    let tally = RefCell::new(Tally::default());
    let config = ProptestConfig { cases: HISTORIES, failure_persistence: None, ..ProptestConfig::default() };
    let histories = (attack::history(), prop::collection::vec(attack::attack(), 8..40));
    let run = TestRunner::new(config).run(&histories, |(history, attacks)| {
        let mut tally = tally.borrow_mut();
        let mut game = Game::begin(&history);
        let branch = history.branch.iter().map(|agent| attack::modest(*agent));
        for attack in branch.chain(attacks) {
            game.play(&attack, &mut tally);
        }
        game.judge.agrees_with(&game.world.tree);
        for depth in game.judge.depths() {
            *tally.accepted.entry(depth).or_default() += 1;
        }
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));

    let Tally { accepted, refused } = tally.into_inner();
    println!("accepted by depth {accepted:?}, refused {refused:?}");
    assert_eq!(accepted.keys().max(), Some(&8), "the deepest trees there may be were tried: {accepted:?}");
    for reason in ["not found", "capability", "budget", "rate", "cycle", "depth"] {
        assert!(refused.contains_key(reason), "nothing was refused for {reason}: {refused:?}");
    }
}
