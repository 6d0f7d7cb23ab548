//! Further stages, if the configuration has any. Each is asked while nothing is locked, and where one does not answer the
//! ranking stands as it is. What each said, or why it did not, is kept with the choice.

use std::sync::Arc;

use broker_selection::{Agent, Ranking};

use super::super::Broker;
use super::cards;
use crate::ports::stages::Reranker;

/// Models that are asked.
#[derive(Default)]
pub struct Stages {
    /// Looks again at the few that lead.
    pub reranker: Option<Arc<dyn Reranker>>,
}

/// How far the reranker is listened to.
#[derive(Debug, Clone, Copy)]
pub struct RerankOptions {
    /// How many of the leading it is shown.
    pub top: usize,
    /// How much its word counts beside the ranking's, from 0 to 1.
    pub weight: f32,
    /// It is asked where the ranking alone is less sure than this, from 0 to 1.
    pub ask_below: f32,
}

impl Broker {
    /// Lets the reranker look at the first few of a ranking, if there is one and it could change anything.
    pub(super) async fn rerank(&self, ranking: &mut Ranking, request: &str) {
        let Some(reranker) = &self.selection.stages.reranker else { return };
        let RerankOptions { top, weight, ask_below } = self.selection.options.rerank;
        if ranking.candidates.len() < 2 {
            return;
        }
        if ranking.confidence >= ask_below {
            ranking.stages.push("reranker: not asked, the ranking is sure enough without".to_owned());
            return;
        }
        let leading = ranking.candidates.iter().take(top);
        let shown: Vec<Agent> = leading.filter_map(|candidate| self.card(&candidate.agent)).collect();
        let said = match reranker.opinion(request, &shown).await {
            Ok(judged) => {
                let ids: Vec<String> = shown.into_iter().map(|agent| agent.id).collect();
                ranking.fuse(&ids, &judged.opinion, weight);
                format!("reranker: {}", judged.by)
            }
            Err(reason) => format!("reranker: {reason}; the ranking stands without it"),
        };
        ranking.stages.push(said);
    }

    fn card(&self, name: &str) -> Option<Agent> {
        let agent = self.registry.get(name)?;
        Some(cards::candidate(name, &agent.resolved.as_ref()?.card))
    }
}
