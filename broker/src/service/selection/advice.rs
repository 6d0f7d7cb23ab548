//! Advice: whether an agent that is unsure of its next step should go on, think again, or delegate, and to whom; and what
//! the cards of agents lack to be found well.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker_selection::disagreement::{self, Advice, MAX_SAMPLES, Sample};
use broker_selection::lint::{Finding, lint};
use protocol::{A2aError, ErrorKind};
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::{Broker, Caller, error};
use super::cards;
use super::weighing::Sought;

/// What an agent is about to do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdviceWanted {
    /// What it is to achieve, and what it has found so far.
    pub goal: String,
    /// Next steps it has sampled.
    #[schemars(length(min = 1, max = MAX_SAMPLES))]
    pub samples: Vec<Sample>,
}

impl Broker {
    /// Advises on the next step of an agent. Begins nothing.
    pub async fn advise(self: &Arc<Self>, caller: &Caller, wanted: AdviceWanted) -> Result<Advice, A2aError> {
        let AdviceWanted { goal, samples } = wanted;
        if samples.is_empty() || samples.len() > MAX_SAMPLES {
            let problem =
                format!("expected 1 to {MAX_SAMPLES} of {{text, mean_logprob}}, found {}", samples.len());
            return Err(error::invalid("samples", &problem));
        }
        let (broker, sought) = (Arc::clone(self), self.sought_by(caller, goal));
        let advised = tokio::task::spawn_blocking(move || broker.advise_now(&sought, &samples));
        advised.await.unwrap_or_else(|_| Err(error::internal()))
    }

    fn advise_now(&self, sought: &Sought, samples: &[Sample]) -> Result<Advice, A2aError> {
        self.selection.follow(&self.registry);
        let known = self.selection.known();
        let tree = broker_core::Tree::new(sought.new.id);
        let may_have: BTreeMap<&str, bool> =
            known.index.ids().map(|name| (name, self.may_have(&tree, sought, name).is_ok())).collect();
        let eligible = |name: &str| may_have.get(name).copied().unwrap_or(false);
        disagreement::advise(&known.index, &self.selection.weights, &sought.text, samples, &eligible)
            .map_err(|failure| A2aError::new(ErrorKind::Internal, failure.to_string()))
    }

    /// What agents' cards lack to be found well.
    pub fn lint_cards(&self, _caller: &Caller) -> Vec<Finding> {
        let agents = self.registry.all();
        let known = agents.iter().filter_map(|agent| Some((agent, agent.resolved.as_ref()?)));
        let candidates: Vec<_> =
            known.map(|(agent, resolved)| cards::candidate(&agent.name, &resolved.card)).collect();
        lint(&candidates)
    }
}
