//! Outcomes change the choice, are kept within bounds and survive being written down; records count visibly.

use std::collections::BTreeMap;

use broker_selection::{Agent, Index, Outcome, OutcomeError, OutcomeKind, Outcomes, Query, Record};

use crate::cards::{agent, index, rank, three, weights};

const REQUEST: &str = "prepare the quarterly dossier";

fn learn(index: &mut Index, agent: &str, text: &str, kind: OutcomeKind) {
    let vector = index.embed(text).unwrap();
    index.learn(Outcome { agent: agent.to_owned(), vector, kind }).unwrap();
}

#[test]
fn what_an_agent_was_chosen_for_it_is_chosen_for_again() {
    for chosen in ["weather", "translator", "accountant"] {
        let mut index = index(&three());
        let before = rank(&index, REQUEST);
        learn(&mut index, chosen, REQUEST, OutcomeKind::Chosen);
        let after = rank(&index, REQUEST);
        assert_eq!(after.candidates[0].agent, chosen);
        let share = |ranking: &broker_selection::Ranking| {
            ranking.candidates.iter().find(|one| one.agent == chosen).unwrap().probability
        };
        assert!(share(&after) > share(&before));
    }
}

#[test]
fn what_an_agent_failed_counts_against_it() {
    let mut index = index(&three());
    let first = rank(&index, REQUEST).candidates[0].clone();
    learn(&mut index, &first.agent, REQUEST, OutcomeKind::Failed);
    let after = rank(&index, REQUEST);
    let same = after.candidates.iter().find(|one| one.agent == first.agent).unwrap();
    assert!(same.probability < first.probability);
    assert!(
        same.contributions
            .iter()
            .any(|part| part.feature == "failed_before" && part.value * part.weight < 0.0)
    );
}

#[test]
fn what_was_learned_survives_being_written_down_and_the_agent_being_replaced() {
    let mut taught = index(&three());
    learn(&mut taught, "weather", REQUEST, OutcomeKind::Accepted);
    learn(&mut taught, "translator", REQUEST, OutcomeKind::Corrected);
    let expected = rank(&taught, REQUEST);
    let text = serde_json::to_string(taught.outcomes()).unwrap();
    let mut fresh = index(&three());
    fresh.restore(serde_json::from_str::<Outcomes>(&text).unwrap()).unwrap();
    assert_eq!(rank(&fresh, REQUEST), expected);
    fresh.remove("weather");
    fresh.put(&three()[0]).unwrap();
    assert_eq!(rank(&fresh, REQUEST), expected);
}

#[test]
fn only_the_newest_outcomes_are_kept() {
    let mut index = index(&three());
    for number in 0..100 {
        learn(&mut index, "weather", &format!("request {number}"), OutcomeKind::Chosen);
        learn(&mut index, "weather", &format!("request {number}"), OutcomeKind::Failed);
    }
    let learned = index.outcomes().of("weather").unwrap();
    assert_eq!(learned.good().count(), broker_selection::MAX_GOOD);
    assert_eq!(learned.bad().count(), broker_selection::MAX_BAD);
    let newest = broker_selection::Quantised::new(&index.embed("request 99").unwrap());
    assert_eq!(learned.good().last(), Some(&newest));
}

#[test]
fn outcomes_of_another_tier_are_refused() {
    let mut index = index(&three());
    assert!(matches!(index.restore(Outcomes::new("minilm", 384)), Err(OutcomeError::Foreign { .. })));
    let short = Outcome { agent: "weather".to_owned(), vector: vec![1.0], kind: OutcomeKind::Chosen };
    assert!(index.learn(short).is_err());
}

#[test]
fn a_good_record_decides_between_equals_and_is_told() {
    let text = "will it rain in Oslo tomorrow";
    let twins = ["a-weather", "b-weather"]
        .map(|id| Agent { id: id.to_owned(), ..agent("weather", "Tells the weather.", &["will it rain"]) });
    let index = index(&twins);
    assert_eq!(rank(&index, text).candidates[0].agent, "a-weather");
    let good = Record { successes: 40, latency_ms: Some(2_000.0), ..Record::default() };
    let bad =
        Record { failures: 10, verification_failures: 5, latency_ms: Some(90_000.0), ..Record::default() };
    let records = BTreeMap::from([("a-weather".to_owned(), bad), ("b-weather".to_owned(), good)]);
    let ranking = index.rank(&weights(), &Query { text, eligible: &|_| true, records: &records }).unwrap();
    assert_eq!(ranking.candidates[0].agent, "b-weather");
    let told = |feature: &str| ranking.candidates[1].contributions.iter().any(|part| part.feature == feature);
    assert!(told("success_rate") && told("verification_failures") && told("latency"));
}

#[test]
fn a_score_is_the_sum_of_what_is_told() {
    let ranking = rank(&index(&three()), "translate my tax letter");
    for candidate in &ranking.candidates {
        let sum: f32 = candidate.contributions.iter().map(|part| part.value * part.weight).sum();
        assert!((sum - candidate.score).abs() < 1e-3, "{sum} {}", candidate.score);
    }
    let told = ranking.explain(2);
    assert!(told.contains(&ranking.candidates[0].agent) && told.contains("matching"), "{told}");
}
