//! Trees at several brokers that go on from each other: what one tree would not allow, several do not either.

use broker_core::delegation::input::{Input, NewTask, RetryWish};
use broker_core::journal::Upstream;
use broker_core::{Refusal, TaskId};
use proptest::prelude::*;

use super::world::{World, facts};

/// What the broker of a task's delegate learns of it.
fn upstream(world: &World, task: TaskId) -> Box<Upstream> {
    Box::new(Upstream {
        broker: "https://before".to_owned(),
        owner: "alice".to_owned(),
        root: world.tree.root().to_string(),
        task: task.to_string(),
        depth: world.tree.summary(task).unwrap().depth,
        lineage: world.tree.fingerprints(task),
    })
}

fn delegate(
    world: &mut World,
    parent: Option<TaskId>,
    agent: &str,
    from: Option<Box<Upstream>>,
) -> Result<TaskId, Refusal> {
    // Whoever can delegate at all may; what is asked here is whom, and how far down.
    let mut agent = facts(agent);
    agent.caps = capability::Scope::parse(["a2a:skill/**"]).unwrap();
    let new = NewTask { agent, upstream: from, ..world.new_task(parent, "a", RetryWish::default()) };
    let id = new.id;
    world.feed(Input::Delegate(Box::new(new))).map(|()| id)
}

/// A hop: to which agent, and whether the broker it is at is another one from there on.
fn hops() -> impl Strategy<Value = Vec<(usize, bool)>> {
    prop::collection::vec((0_usize..6, any::<bool>()), 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn a_chain_allows_across_brokers_what_it_allows_at_one(hops in hops()) {
        let name = |agent: usize| super::world::AGENTS[agent];
        let (mut alone, mut last_alone) = (World::new(), None);
        let (mut here, mut last_here) = (World::new(), None);
        let mut crossing = None;
        for (agent, crosses) in hops {
            let one = delegate(&mut alone, last_alone, name(agent), None);
            let other = delegate(&mut here, last_here, name(agent), crossing.clone());
            let code = |refused: &Result<TaskId, Refusal>| refused.as_ref().err().map(|refusal| refusal.code().to_owned());
            prop_assert_eq!(code(&one), code(&other), "{} after {:?}", name(agent), last_alone);
            let (Ok(one), Ok(other)) = (one, other) else { continue };
            let depths = (alone.tree.summary(one).unwrap().depth, here.tree.summary(other).unwrap().depth);
            prop_assert_eq!(depths.0, depths.1);
            (last_alone, last_here, crossing) = (Some(one), Some(other), None);
            if crosses {
                crossing = Some(upstream(&here, other));
                (here, last_here) = (World::new(), None);
            }
        }
    }
}

#[test]
fn what_a_root_is_done_for_survives_a_crash_and_binds_whoever_it_goes_to_next() {
    let mut before = World::new();
    let task = delegate(&mut before, None, "b", None).unwrap();
    let mut world = World::new();
    let root = delegate(&mut world, None, "a", Some(upstream(&before, task))).unwrap();
    world.crash();
    assert_eq!(world.tree.upstream(), Some(&*upstream(&before, task)));
    assert!(matches!(delegate(&mut world, Some(root), "b", None), Err(Refusal::Cycle { .. })));
    assert!(delegate(&mut world, Some(root), "c", None).is_ok());
}
