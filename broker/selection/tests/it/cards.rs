//! Small cards and an embedder that needs no data, shared by the tests; and the card lint.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker_selection::lint::lint;
use broker_selection::{Agent, EmbedError, Embedder, Index, Query, Ranking, Skill, Weights, normalise};

/// Gives each word a direction of its own, by its letters.
pub(crate) struct Letters;

impl Embedder for Letters {
    fn tier(&self) -> &'static str {
        "static"
    }

    fn dimensions(&self) -> usize {
        32
    }

    fn embed(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let mut vector = vec![0.0; 32];
        for word in broker_selection::text::words(text) {
            let hash = word.bytes().fold(17_u64, |hash, b| hash.wrapping_mul(31).wrapping_add(u64::from(b)));
            vector[(hash % 32) as usize] += 1.0;
            vector[(hash / 32 % 32) as usize] -= 0.5;
        }
        normalise(&mut vector);
        Ok(vector)
    }
}

pub(crate) fn agent(id: &str, description: &str, examples: &[&str]) -> Agent {
    Agent {
        id: id.to_owned(),
        name: id.replace('-', " "),
        description: description.to_owned(),
        tags: vec!["tag".to_owned()],
        skills: vec![Skill {
            name: id.to_owned(),
            examples: examples.iter().map(|&text| text.to_owned()).collect(),
            ..Skill::default()
        }],
    }
}

pub(crate) fn three() -> Vec<Agent> {
    vec![
        agent(
            "weather",
            "Tells the weather and the forecast of any place.",
            &["will it rain in Oslo tomorrow"],
        ),
        agent(
            "translator",
            "Translates texts between languages.",
            &["say hello in French", "translate this letter"],
        ),
        agent("accountant", "Keeps the books and files taxes.", &["what do I owe in taxes this year"]),
    ]
}

pub(crate) fn index(agents: &[Agent]) -> Index {
    let mut index = Index::new(Arc::new(Letters));
    for agent in agents {
        index.put(agent).unwrap();
    }
    index
}

pub(crate) fn weights() -> Weights {
    Weights::shipped("static").unwrap()
}

pub(crate) fn rank(index: &Index, text: &str) -> Ranking {
    index.rank(&weights(), &Query { text, eligible: &|_| true, records: &BTreeMap::new() }).unwrap()
}

#[test]
fn a_card_is_told_what_it_lacks() {
    let mut agents = three();
    agents[0].skills[0].examples.clear();
    agents[1].description = "Texts".to_owned();
    let twin = Agent { id: "tax-man".to_owned(), ..agents[2].clone() };
    agents.push(twin);
    let found = lint(&agents);
    let has = |agent: &str, part: &str| found.iter().any(|one| one.agent == agent && one.text.contains(part));
    assert!(has("weather", "no examples"));
    assert!(has("translator", "description has 1 words"));
    assert!(has("tax-man", "the same as one of accountant's"));
    assert!(!has("accountant", "the same"));
}
