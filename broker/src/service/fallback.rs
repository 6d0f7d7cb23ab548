//! Finding another delegate for a task that its first one did not do: whom the delegator named, or whoever offers the skill.
//! Whether a candidate may have it is the core's to say; each that may not leaves its reason behind.

use std::sync::Arc;

use broker_core::TaskId;
use broker_core::delegation::action::Search;
use broker_core::delegation::input::{Candidate, Input};
use broker_core::journal::{Choice, Fallback};

use super::Broker;
use super::agents::Agent;
use super::begun::agent_context;
use super::driver::DriveError;

impl Broker {
    /// Looks for another delegate; what comes of it returns as an input.
    pub(super) fn seek(self: &Arc<Self>, root: TaskId, search: Search) {
        let broker = Arc::clone(self);
        tokio::spawn(async move {
            let attempt = search.attempt;
            if let Err(reasons) = broker.reassign(root, &search).await {
                let reason = if reasons.is_empty() {
                    "there is no other agent".to_owned()
                } else {
                    reasons.join("; ")
                };
                broker.drive_until_taken(root, Input::NoDelegate { attempt, reason }).await;
            }
        });
    }

    /// Gives the task to the first candidate that may have it, or says of each why not.
    async fn reassign(self: &Arc<Self>, root: TaskId, search: &Search) -> Result<(), Vec<String>> {
        let mut reasons = Vec::new();
        for (name, choice) in self.ranked(root, search).await {
            match self.try_candidate(root, search, &name, choice).await {
                Ok(()) => return Ok(()),
                Err(reason) => reasons.push(format!("{name}: {reason}")),
            }
        }
        Err(reasons)
    }

    fn candidates(&self, search: &Search) -> Vec<String> {
        let mut names: Vec<String> = match &search.among {
            Fallback::None => Vec::new(),
            Fallback::Agents(names) => names.clone(),
            Fallback::Any => self.registry.all().iter().map(|agent| agent.name.clone()).collect(),
        };
        names.retain(|name| !search.not.contains(name));
        names
    }

    /// Candidates in the order in which they are tried: as they were named; of any that can, the likeliest first. A task whose
    /// first delegate the ranker chose goes to those it would have chosen next.
    async fn ranked(self: &Arc<Self>, root: TaskId, search: &Search) -> Vec<(String, Option<Box<Choice>>)> {
        let names = self.candidates(search);
        let unchosen = |names: Vec<String>| names.into_iter().map(|name| (name, None)).collect();
        if search.among != Fallback::Any {
            return unchosen(names);
        }
        let Ok(Some((choice, was_chosen))) = self.next_choice(root, search).await else {
            return unchosen(names);
        };
        let likely: Vec<&str> = choice.candidates.iter().map(|one| one.agent.as_str()).collect();
        let place = |name: &String| likely.iter().position(|known| known == name).unwrap_or(usize::MAX);
        let mut ranked = names;
        ranked.sort_by_key(place);
        let as_chosen = |name: String| {
            let is_likely = was_chosen && place(&name) != usize::MAX;
            let choice = is_likely.then(|| Box::new(choice.next(&name)));
            (name, choice)
        };
        ranked.into_iter().map(as_chosen).collect()
    }

    async fn try_candidate(
        self: &Arc<Self>,
        root: TaskId,
        search: &Search,
        name: &str,
        choice: Option<Box<Choice>>,
    ) -> Result<(), String> {
        let agent = self.registry.resolved(name).await.map_err(|error| error.message)?;
        // Whom the ranker chose for what is to be done need not call it the same.
        if choice.is_none() || search.skill.is_some() {
            offers(&agent, search)?;
        }
        if let Some(until) = self.load_of(name).down_until {
            return Err(format!("it has not answered lately and is not tried before {until}"));
        }
        let task = search.attempt.task;
        // Held until it is known what became of it.
        let mut place = self.enter(name, task, &search.owner).map_err(|error| error.message)?;
        let to = self.candidate(&agent, &search.owner, &search.context_id, place.admits());
        let to = Candidate { choice, ..to.ok_or("its card is not known")? };
        let input = Input::Reassign { attempt: search.attempt, to: Box::new(to) };
        self.drive_patiently(root, input).await.map_err(|failure| match failure {
            DriveError::Refused(refusal) => refusal.to_string(),
            failure => protocol::A2aError::from(failure).message,
        })?;
        place.keep();
        Ok(())
    }

    /// An agent as a delegate for an owner's task.
    pub(super) fn candidate(
        &self,
        agent: &Agent,
        owner: &str,
        context_id: &str,
        admitted: bool,
    ) -> Option<Candidate> {
        Some(Candidate {
            agent: agent.resolved.as_ref()?.facts.clone(),
            agent_context: agent_context(owner, context_id, &agent.name),
            policy: self.policy_of(owner),
            admitted,
            choice: None,
        })
    }
}

/// Whether an agent offers what is needed: the skill that was named, or one of those that may be used.
fn offers(agent: &Agent, search: &Search) -> Result<(), String> {
    let skills = agent.resolved.as_ref().map(|resolved| &resolved.facts.skills[..]).unwrap_or_default();
    let has = |wanted: &String| skills.iter().any(|skill| skill.id == *wanted);
    match (&search.skill, &search.among) {
        (Some(skill), _) if !has(skill) => Err(format!("its card does not offer the skill {skill}")),
        (None, Fallback::Any) if !search.skills.iter().any(has) => {
            Err("it offers none of the skills of the first delegate".to_owned())
        }
        _ => Ok(()),
    }
}
