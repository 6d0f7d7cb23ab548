//! Trees at several brokers that go on from each other: what one tree would not allow, several do not either.

use broker_core::delegation::input::{AgentFacts, Input, NewTask, RetryWish};
use broker_core::journal::Upstream;
use broker_core::{Refusal, TaskId};
use proptest::prelude::*;

use super::world::{AGENTS, World, facts};

/// What the broker of a task's delegate learns of it.
fn upstream(world: &World, task: TaskId) -> Upstream {
    Upstream {
        broker: "https://before".to_owned(),
        owner: "alice".to_owned(),
        root: world.tree.root().to_string(),
        task: task.to_string(),
        depth: depth(world, task),
        lineage: world.tree.fingerprints(task),
    }
}

/// Where one task may have as many delegations as there are hops: what is refused abroad has been one here.
fn world() -> World {
    let mut world = World::new();
    world.limits.max_fanout = 100;
    world
}

/// Gives an agent a task, of the last one here or of another broker's. Whoever can delegate at all may; what is asked here
/// is whom, and how far down.
fn delegate(
    world: &mut World,
    parent: Option<TaskId>,
    (agent, identity): (&str, &str),
    from: Option<Upstream>,
) -> Result<TaskId, Refusal> {
    let caps = capability::Scope::parse(["a2a:skill/**"]).unwrap();
    let agent = AgentFacts { identity: identity.to_owned(), caps, ..facts(agent) };
    let new =
        NewTask { agent, upstream: from.map(Box::new), ..world.new_task(parent, "a", RetryWish::default()) };
    let id = new.id;
    world.feed(Input::Delegate(Box::new(new))).map(|()| id)
}

/// An agent of another broker is given the task here, and then there, where it goes by another address.
fn across(here: &mut World, last: Option<TaskId>, agent: &str) -> Result<(World, TaskId), Refusal> {
    let abroad = delegate(here, last, (agent, &format!("https://there/agents/{agent}")), None)?;
    let mut there = world();
    let root = delegate(&mut there, None, (agent, agent), Some(upstream(here, abroad)))?;
    Ok((there, root))
}

fn depth(world: &World, task: TaskId) -> u32 {
    world.tree.summary(task).unwrap().depth
}

/// A hop: to which agent, and whether the broker it is at is another one from there on.
fn hops() -> impl Strategy<Value = Vec<(usize, bool)>> {
    prop::collection::vec((0_usize..6, any::<bool>()), 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn a_chain_allows_across_brokers_what_it_allows_at_one(hops in hops()) {
        let (mut alone, mut last_alone) = (world(), None);
        let (mut here, mut last_here) = (world(), None);
        for (agent, crosses) in hops {
            let agent = AGENTS[agent];
            let one = delegate(&mut alone, last_alone, (agent, agent), None);
            let other = if crosses && last_here.is_some() {
                across(&mut here, last_here, agent).map(|(there, root)| {
                    here = there;
                    root
                })
            } else {
                delegate(&mut here, last_here, (agent, agent), None)
            };
            prop_assert_eq!(one.is_ok(), other.is_ok(), "{}: {:?}, {:?}", agent, one, other);
            let (Ok(one), Ok(other)) = (one, other) else { continue };
            prop_assert_eq!(depth(&alone, one), depth(&here, other));
            (last_alone, last_here) = (Some(one), Some(other));
        }
    }
}

#[test]
fn what_a_root_is_done_for_survives_a_crash_and_binds_whoever_it_goes_to_next() {
    let mut before = World::new();
    let task = delegate(&mut before, None, ("b", "b"), None).unwrap();
    let mut world = World::new();
    let root = delegate(&mut world, None, ("a", "a"), Some(upstream(&before, task))).unwrap();
    world.crash();
    assert_eq!(world.tree.upstream(), Some(&upstream(&before, task)));
    assert!(matches!(delegate(&mut world, Some(root), ("b", "b"), None), Err(Refusal::Cycle { .. })));
    assert!(delegate(&mut world, Some(root), ("c", "c"), None).is_ok());
}
