//! Order does not matter, of cards or of changes, and nothing left behind by an agent that went changes an answer.

use std::collections::BTreeMap;

use broker_selection::{Agent, Query};
use proptest::prelude::*;

use crate::cards::{agent, index, rank, three, weights};

const WORDS: [&str; 12] =
    ["rain", "tax", "letter", "book", "plan", "trip", "bank", "song", "code", "test", "pay", "map"];

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(WORDS.to_vec()), 1..6).prop_map(|words| words.join(" "))
}

fn agents() -> impl Strategy<Value = Vec<Agent>> {
    prop::collection::btree_map("[a-f]{1,3}", (text(), prop::collection::vec(text(), 0..3)), 1..9).prop_map(
        |all| {
            all.into_iter()
                .map(|(id, (description, examples))| {
                    agent(&id, &description, &examples.iter().map(String::as_str).collect::<Vec<_>>())
                })
                .collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_cards_changes_nothing(
        (agents, shuffled) in agents().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        request in text(),
    ) {
        prop_assert_eq!(rank(&index(&agents), &request), rank(&index(&shuffled), &request));
    }

    #[test]
    fn changing_an_index_is_building_it_anew(
        first in agents(), second in agents(), gone in prop::collection::vec("[a-f]{1,3}", 0..5), request in text(),
    ) {
        let mut changed = index(&first);
        let mut left: BTreeMap<String, Agent> = first.into_iter().map(|one| (one.id.clone(), one)).collect();
        for id in &gone {
            prop_assert_eq!(changed.remove(id), left.remove(id).is_some());
        }
        for agent in second {
            changed.put(&agent).unwrap();
            left.insert(agent.id.clone(), agent);
        }
        let anew = index(&left.into_values().collect::<Vec<_>>());
        prop_assert_eq!(rank(&changed, &request), rank(&anew, &request));
    }
}

#[test]
fn ties_go_by_id() {
    let same = |id: &str| Agent { id: id.to_owned(), ..three()[0].clone() };
    let ranking = rank(&index(&[same("c"), same("a"), same("b")]), "will it rain");
    let ids: Vec<&str> = ranking.candidates.iter().map(|one| one.agent.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
}

#[test]
fn an_agent_removed_is_not_found_and_one_not_eligible_is_not_named() {
    let mut index = index(&three());
    assert_eq!(rank(&index, "will it rain in Oslo").candidates[0].agent, "weather");
    let query =
        Query { text: "will it rain in Oslo", eligible: &|id| id != "weather", records: &BTreeMap::new() };
    let ranking = index.rank(&weights(), &query).unwrap();
    assert_eq!(ranking.candidates.len(), 2);
    assert!(ranking.candidates.iter().all(|one| one.agent != "weather"));
    assert!(index.remove("weather"));
    assert!(!index.remove("weather"));
    assert!(rank(&index, "will it rain in Oslo").candidates.iter().all(|one| one.agent != "weather"));
    assert_eq!(index.len(), 2);
}

#[test]
fn common_words_are_never_skipped_where_they_decide() {
    // Enough agents that most words are common, each with its own mixture of few words.
    let words = |number: usize| (0..6).map(move |at| WORDS[(number / 12_usize.pow(at) + number) % 12]);
    let many: Vec<Agent> = (0..1_400)
        .map(|number| agent(&format!("a{number}"), &words(number).collect::<Vec<_>>().join(" "), &[]))
        .collect();
    let index = index(&many);
    let leading = |eligible: &dyn Fn(&str) -> bool| -> Vec<String> {
        let query = Query { text: "pay the tax on the trip by bank", eligible, records: &BTreeMap::new() };
        index.examine(&weights(), &query).unwrap().leading.into_iter().map(|one| one.id).collect()
    };
    let found = leading(&|_| true);
    assert_eq!(found.len(), broker_selection::LEADING);
    let last = found.last().unwrap();
    // Of two agents alone all words are looked up: nobody left out may be before the last that was found.
    for other in many.iter().step_by(9).filter(|other| !found.contains(&other.id)) {
        assert_eq!(&leading(&|id| id == last || id == other.id)[0], last, "{}", other.id);
    }
    let rest = leading(&|id| id == last || !found.contains(&id.to_owned()));
    assert_eq!(&rest[0], last);
}

#[test]
fn a_twin_is_no_rival() {
    let text = "will it rain in Oslo";
    let alone = rank(&index(&three()), text);
    let mut agents = three();
    agents.push(Agent { id: "second-weather".to_owned(), ..three()[0].clone() });
    let beside = rank(&index(&agents), text);
    assert!(beside.candidates[0].probability < 0.6, "the twins share the softmax");
    assert!(beside.confidence > alone.confidence - 0.1, "{} {}", beside.confidence, alone.confidence);
}

#[test]
fn two_things_asked_are_no_doubt_of_the_first() {
    let index = index(&three());
    let (one, two) = ("translate this letter what do I owe", "translate this letter. what do I owe");
    let [one, two] = [one, two].map(|text| rank(&index, text));
    assert_eq!(one.candidates, two.candidates);
    assert!(two.confidence > one.confidence, "{} {}", two.confidence, one.confidence);
}

#[test]
fn nobody_to_choose_from_is_no_confidence() {
    let ranking = rank(&index(&[]), "will it rain");
    assert!(ranking.candidates.is_empty());
    assert_eq!((ranking.confidence, ranking.in_scope), (0.0, 0.0));
}

#[test]
fn odd_text_gets_sound_numbers() {
    let index = index(&three());
    for text in ["", " \n\t", "🦀🦀", "\u{0}\u{7}", "ﬁ İ ß 中文 é", &"will it rain ".repeat(80_000)]
    {
        let ranking = rank(&index, text);
        assert_eq!(ranking.candidates.len(), 3);
        assert!(ranking.confidence.is_finite() && ranking.in_scope.is_finite());
        let sum: f32 = ranking.candidates.iter().map(|one| one.probability).sum();
        assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    }
}

#[test]
fn text_past_the_bound_is_not_looked_at() {
    let index = index(&three());
    let filled = "will it rain ".repeat(broker_selection::text::MAX_TEXT_BYTES / 13 + 1);
    assert_eq!(rank(&index, &filled).candidates, rank(&index, &(filled.clone() + " taxes books")).candidates);
}
