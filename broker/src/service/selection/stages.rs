//! Further stages, if the configuration has any. Each is asked while nothing is locked, and where one does not answer the
//! ranking stands as it is. What each said, or why it did not, is kept with the choice.

use std::sync::Arc;

use broker_selection::{Agent, Query, Ranking, Weights};
use protocol::{A2aError, ErrorKind};

use super::super::Broker;
use super::{Known, cards};
use crate::ports::stages::{Embeddings, Reranker};

/// Models that are asked.
#[derive(Default)]
pub struct Stages {
    /// Looks again at the few that lead.
    pub reranker: Option<Arc<dyn Reranker>>,
    /// Vectors that take the place of those of the program, and the ranker's weights for them.
    pub embeddings: Option<(Arc<dyn Embeddings>, Weights)>,
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

/// An endpoint's vector of a request, or why there is none; nothing where there is no such endpoint.
pub(super) type Seen = Option<Result<Vec<f32>, String>>;

impl Broker {
    /// Has an endpoint make a request's vector, if there is one.
    pub(super) async fn see(&self, request: &str) -> Seen {
        let vectors = self.selection.vectors.as_ref()?;
        Some(vectors.of_request(request, self.registry.version()).await)
    }

    /// Ranks by an endpoint's vectors if all are there, else by those of the program, and says which.
    pub(super) fn rank_by(&self, known: &Known, query: &Query<'_>, seen: &Seen) -> Result<Ranking, A2aError> {
        let failed =
            |failure: broker_selection::EmbedError| A2aError::new(ErrorKind::Internal, failure.to_string());
        let mut without = None;
        if let (Some(vectors), Some(seen)) = (&self.selection.vectors, seen) {
            let ranked = seen.as_ref().map(|vector| vectors.rank(query, vector, self.registry.version()));
            match ranked {
                Ok(Some(ranking)) => {
                    let mut ranking = ranking.map_err(failed)?;
                    ranking.stages.push(format!("embeddings: {}", vectors.model()));
                    return Ok(ranking);
                }
                Ok(None) => without = Some("the cards have changed meanwhile"),
                Err(reason) => without = Some(reason.as_str()),
            }
        }
        let mut ranking = known.index.rank(&self.selection.weights, query).map_err(failed)?;
        let said = |reason| format!("embeddings: {reason}; the program's own vectors were used");
        ranking.stages.extend(without.map(said));
        Ok(ranking)
    }

    /// Lets the reranker look at the first few of a ranking, if there is one and it could change anything.
    pub(super) async fn rerank(&self, ranking: &mut Ranking, request: &str) {
        let Some(reranker) = &self.selection.reranker else { return };
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
