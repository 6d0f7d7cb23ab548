//! Weighing: every agent is scored; then, from the likeliest down, it is judged who may have the task, until it is clear how
//! sure one can be. Nobody is left out before scoring.

use std::collections::BTreeSet;
use std::sync::Arc;

use broker_core::Tree;
use broker_core::delegation::input::NewTask;
use broker_core::journal::{Choice, ChoiceVerdict, Considered, Excluded};
use broker_core::selection::{self, Facts, Ineligible, Wanted};
use broker_selection::{Query, Ranking};
use protocol::A2aError;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::agents::Agent;
use super::super::resolution::Resolved;
use super::super::trees::TreeCell;
use super::super::{Broker, Caller, error};
use super::stages::Seen;

/// Candidates kept with a task.
const KEPT: usize = 5;
/// Excluded agents kept with a task.
const KEPT_EXCLUDED: usize = 10;
/// How often the ranking is drawn up again without those who may not have the task. Who is left out after that is left out
/// unjudged.
const MAX_ROUNDS: usize = 16;
/// Longest description kept of a candidate, characters.
const MAX_DESCRIPTION: usize = 200;

/// A task to be given to somebody.
pub(in crate::service) struct Sought {
    /// Its tree, unless it is to be the root of one.
    pub(in crate::service) tree: Option<Arc<TreeCell>>,
    /// The task, whoever its agent, without what is said in it.
    pub(in crate::service) new: NewTask,
    /// What is to be done, in words.
    pub(in crate::service) text: String,
    /// The principal that owns the tree.
    pub(in crate::service) owner: String,
    /// Media types of what else is sent.
    pub(in crate::service) sent: Vec<String>,
    /// Agents that are out of the question.
    pub(in crate::service) not: Vec<String>,
}

/// What came of weighing.
pub(in crate::service) struct Weighed {
    pub(in crate::service) choice: Choice,
    /// The likeliest, if there is any.
    pub(in crate::service) first: Option<Arc<Agent>>,
    /// The likeliest of those that fit, and to whom it may not be delegated.
    pub(in crate::service) refused: Option<Arc<Agent>>,
}

/// Those that may have a task, in order.
struct Ranked {
    ranking: Ranking,
    excluded: Vec<Excluded>,
    refused: Option<Arc<Agent>>,
    considered: u32,
}

/// An answer to somebody who asks whom a request is for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Selected {
    /// How it was weighed.
    #[serde(flatten)]
    pub choice: Choice,
    /// The same for people, with the parts of each score.
    pub explanation: String,
}

impl Broker {
    /// Says whom a request is for, and begins nothing.
    pub async fn select(self: &Arc<Self>, caller: &Caller, text: String) -> Result<Selected, A2aError> {
        let (Weighed { choice, .. }, ranking) = self.weigh_apart(self.sought_by(caller, text)).await?;
        Ok(Selected { choice, explanation: ranking.explain(KEPT) })
    }

    /// Weighs who is to have a task.
    pub(in crate::service) async fn weigh(self: &Arc<Self>, sought: Sought) -> Result<Weighed, A2aError> {
        self.weigh_apart(sought).await.map(|(weighed, _)| weighed)
    }

    /// Ranks and judges, then has the first few looked at again where there is somebody to do so; nothing is locked
    /// meanwhile.
    async fn weigh_apart(self: &Arc<Self>, sought: Sought) -> Result<(Weighed, Ranking), A2aError> {
        let sought = Arc::new(sought);
        let Ranked { mut ranking, excluded, refused, considered } = self.rank_apart(&sought).await?;
        self.rerank(&mut ranking, &sought.text).await;
        let first = ranking.candidates.first().and_then(|candidate| self.registry.get(&candidate.agent));
        let choice = self.conclude(&ranking, excluded, considered);
        Ok((Weighed { choice, first, refused }, ranking))
    }

    /// What may take milliseconds holds nobody up.
    async fn rank_apart(self: &Arc<Self>, sought: &Arc<Sought>) -> Result<Ranked, A2aError> {
        let seen = self.see(&sought.text).await;
        let (broker, sought) = (Arc::clone(self), Arc::clone(sought));
        let ranked = tokio::task::spawn_blocking(move || {
            let Some(cell) = sought.tree.clone() else {
                return broker.weigh_in(&Tree::new(sought.new.id), &sought, &seen);
            };
            let tree = cell.tree.blocking_lock();
            broker.weigh_in(&tree, &sought, &seen)
        });
        ranked.await.unwrap_or_else(|_| Err(error::internal()))
    }

    fn weigh_in(&self, tree: &Tree, sought: &Sought, seen: &Seen) -> Result<Ranked, A2aError> {
        self.selection.follow(&self.registry);
        let known = self.selection.known();
        let mut out: BTreeSet<String> = sought.not.iter().cloned().collect();
        let (mut excluded, mut judged, mut refused) = (Vec::new(), BTreeSet::new(), None);
        for agent in self.registry.all().iter().filter(|agent| agent.resolved.is_none()) {
            excluded.push(Excluded { agent: agent.name.clone(), reason: Ineligible::NoCard.to_string() });
        }
        let mut rounds = 0;
        let mut ranking = loop {
            let eligible = |name: &str| !out.contains(name);
            let query = Query { text: &sought.text, eligible: &eligible, records: &known.records };
            let ranking = self.rank_by(&known, &query, seen)?;
            rounds += 1;
            let before = out.len();
            for candidate in &ranking.candidates {
                let name = &candidate.agent;
                if !judged.insert(name.clone()) {
                    continue;
                }
                let fits = self.fits(sought, name);
                let is_fit = fits.is_ok();
                if let Err(reason) = fits.and_then(|()| self.may_be_given(tree, sought, name)) {
                    refused = refused.or_else(|| self.registry.get(name).filter(|_| is_fit));
                    out.insert(name.clone());
                    excluded.push(Excluded { agent: name.clone(), reason });
                }
            }
            if out.len() == before || rounds >= MAX_ROUNDS {
                break ranking;
            }
        };
        let considered = u32::try_from(known.index.len()).unwrap_or(u32::MAX);
        drop(known);
        ranking.candidates.retain(|candidate| !out.contains(&candidate.agent));
        Ok(Ranked { ranking, excluded, refused, considered })
    }

    /// What follows from a ranking of those that may have the task.
    fn conclude(&self, ranking: &Ranking, mut excluded: Vec<Excluded>, considered: u32) -> Choice {
        let options = self.selection.options;
        let verdict = match ranking.candidates.len() {
            1 => ChoiceVerdict::Only,
            _ if ranking.in_scope < options.scope => ChoiceVerdict::OutOfScope,
            _ if ranking.confidence < options.threshold => ChoiceVerdict::Unsure,
            _ => ChoiceVerdict::Confident,
        };
        excluded.truncate(KEPT_EXCLUDED);
        let candidates = ranking.candidates.iter().take(KEPT).map(|candidate| Considered {
            agent: candidate.agent.clone(),
            description: self.description_of(&candidate.agent),
            probability: rounded(candidate.probability),
            why: vec![candidate.explain()],
        });
        Choice {
            verdict,
            confidence: rounded(ranking.confidence),
            threshold: rounded(options.threshold),
            candidates: candidates.collect(),
            excluded,
            considered,
            stages: ranking.stages.clone(),
        }
    }

    /// Whether an agent may have a task, or why not.
    pub(super) fn may_have(&self, tree: &Tree, sought: &Sought, name: &str) -> Result<(), String> {
        self.fits(sought, name).and_then(|()| self.may_be_given(tree, sought, name))
    }

    /// Whether it offers what is wanted and can be sent anything now, or why not.
    pub(super) fn fits(&self, sought: &Sought, name: &str) -> Result<(), String> {
        let agent = self.registry.get(name);
        let resolved = card_of(agent.as_ref())?;
        let new = &sought.new;
        let wanted = Wanted {
            skill: new.skill.as_deref(),
            accepted_output_modes: &new.accepted_output_modes,
            sent: &sought.sent,
        };
        let skills: Vec<&str> = resolved.card.skills.iter().map(|skill| skill.id.as_str()).collect();
        let facts = Facts {
            skills: &skills,
            input_modes: &resolved.card.default_input_modes,
            output_modes: &resolved.card.default_output_modes,
            down_until: self.load_of(name).down_until,
            is_full: self.is_full(name, &sought.owner),
            missing_extension: resolved.missing_extension(&new.extensions),
        };
        selection::judge(&wanted, &facts).map_err(|reason| reason.to_string())
    }

    /// Whether the task may be delegated to it, or why not.
    fn may_be_given(&self, tree: &Tree, sought: &Sought, name: &str) -> Result<(), String> {
        let agent = self.registry.get(name);
        let (agent, new, now) = (card_of(agent.as_ref())?.facts.clone(), &sought.new, self.clock.now());
        let judged = if tree.state(new.id).is_some() {
            tree.would_give(new.id, agent, new.policy.clone(), now, &self.limits())
        } else {
            tree.would_take(&NewTask { agent, ..new.clone() }, now, &self.limits())
        };
        judged.map_err(|refusal| refusal.to_string())
    }

    fn description_of(&self, name: &str) -> String {
        let agent = self.registry.get(name);
        let description =
            |resolved: &Resolved| resolved.card.description.chars().take(MAX_DESCRIPTION).collect();
        card_of(agent.as_ref()).map(description).unwrap_or_default()
    }
}

/// What follows from an agent's card, if that is known.
fn card_of(agent: Option<&Arc<Agent>>) -> Result<&Resolved, String> {
    let resolved = agent.and_then(|agent| agent.resolved.as_ref());
    resolved.ok_or_else(|| Ineligible::NoCard.to_string())
}

/// As many digits as mean something.
fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1_000.0).round() / 1_000.0
}
