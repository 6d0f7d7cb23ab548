//! Pushes under random histories: an agent that talks, receivers that are set, replaced and deleted, refuse, or take an
//! event and lose the answer, and brokers that die at any moment. Judged by the journal alone: every receiver has what
//! its task showed, in order, nothing left out, from its setting to its deletion, and as it was when it was shown.

#[path = "push_histories/world.rs"]
pub(crate) mod world;

use std::collections::BTreeMap;

use broker_core::journal::{Fact, Record};
use broker_core::{TaskId, Tree};
use proptest::prelude::*;
use protocol::v03::{self, Dialect};
use protocol::{Operation, Version};
use serde_json::value::to_raw_value;

use self::world::{Mood, Tried, World};

#[derive(Debug, Clone)]
enum Step {
    /// The agent says so much.
    Say(usize),
    /// A receiver of this id is set, under an address of its own.
    Set(usize),
    Delete(usize),
    /// How receivers behave from now on.
    Mood(Mood),
    Crash,
    /// A moment passes.
    Breathe,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let mood = prop_oneof![
        Just(Mood::Takes),
        Just(Mood::Refuses),
        Just(Mood::TakesAndFails),
        Just(Mood::Sometimes),
    ];
    let step = prop_oneof![
        6 => (1..6_usize).prop_map(Step::Say),
        3 => (0..3_usize).prop_map(Step::Set),
        1 => (0..3_usize).prop_map(Step::Delete),
        3 => mood.prop_map(Step::Mood),
        2 => Just(Step::Crash),
        4 => Just(Step::Breathe),
    ];
    prop::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_receiver_has_everything_in_order_whatever_happens(steps in steps()) {
        let mut world = World::new();
        let task = world.begin();
        for step in &steps {
            match step {
                Step::Say(times) => (0..*times).for_each(|_| world.say()),
                Step::Set(id) => world.set(task, &id.to_string()),
                Step::Delete(id) => world.delete(task, &id.to_string()),
                Step::Mood(mood) => world.receivers.feel(*mood),
                Step::Crash => world.crash(),
                Step::Breathe => world.breathe(),
            }
        }
        world.end();
        world.receivers.feel(Mood::Takes);
        world.until_all_is_sent();
        judge(task, &world.journal(task), &world.receivers.tried());
    }
}

/// A receiver from its setting to its deletion; replacing it does not interrupt it.
struct Episode {
    urls: BTreeMap<String, Version>,
    from: u64,
    to: Option<u64>,
}

fn episodes(task: TaskId, journal: &[Record]) -> Vec<Episode> {
    let (mut open, mut all): (BTreeMap<String, Episode>, Vec<Episode>) = (BTreeMap::new(), Vec::new());
    for record in journal.iter().filter(|record| record.task == task) {
        match &record.fact {
            Fact::PushSet(config) => {
                let new = || Episode { urls: BTreeMap::new(), from: record.seq, to: None };
                let episode = open.entry(config.id.clone()).or_insert_with(new);
                episode.urls.insert(config.url.clone(), config.version);
            }
            Fact::PushDeleted { id } => {
                let mut over = open.remove(id).expect("what is deleted was set");
                over.to = Some(record.seq);
                all.push(over);
            }
            _ => {}
        }
    }
    all.extend(open.into_values());
    all
}

fn judge(task: TaskId, journal: &[Record], tried: &[Tried]) {
    let mut tree = Tree::new(task);
    let mut shown = BTreeMap::new();
    for record in journal {
        tree.apply(record).unwrap();
        if record.task == task
            && let Some(event) = tree.event(record)
        {
            let then = to_raw_value(&tree.task(task, None)).unwrap();
            let then = v03::write_answer(Operation::GetTask, &then, Dialect::JsonRpc).unwrap();
            shown.insert(record.seq, (serde_json::to_string(&event).unwrap(), then.get().to_owned()));
        }
    }
    for Episode { urls, from, to } in episodes(task, journal) {
        let expected: Vec<u64> =
            shown.keys().copied().filter(|seq| *seq > from && to.is_none_or(|to| *seq < to)).collect();
        let mut have = 0;
        for Tried { url, event, version, body, taken } in
            tried.iter().filter(|tried| urls.contains_key(&tried.url))
        {
            let seq: u64 = event.rsplit(':').next().unwrap().parse().unwrap();
            let at = expected.iter().position(|known| *known == seq);
            let at = at.unwrap_or_else(|| panic!("{url} was sent event {seq}, not one of {expected:?}"));
            assert!(at <= have, "{url} was sent event {seq} before {:?}", expected.get(have));
            let (event, then) = &shown[&seq];
            let right = if urls[url] == Version::V1 { event } else { then };
            let body = std::str::from_utf8(body).unwrap();
            assert_eq!((*version, body), (urls[url], right.as_str()), "{url}: event {seq}");
            if *taken {
                have = have.max(at + 1);
            }
        }
        assert!(to.is_some() || have == expected.len(), "{urls:?} got {have} of {expected:?}");
    }
}
