//! Messages to the broker's own agent that name nobody: they go to whom they are clearly for; of others the caller is asked;
//! what is for nobody is refused. An answer names an agent, or says more about what is to be done.

use std::sync::Arc;

use broker_core::delegation::BROKER_AGENT;
use broker_core::delegation::action::Search;
use broker_core::delegation::input::{Candidate, Input, NewTask};
use broker_core::extension::Asked;
use broker_core::journal::{Choice, ChoiceVerdict, Considered, PushConfig};
use broker_core::{TaskId, Tree};
use broker_selection::OutcomeKind;
use protocol::{A2aError, ErrorKind, Message};
use serde::Deserialize;

use super::super::agents::Agent;
use super::super::begun::Begun;
use super::super::driver::{DriveError, Reserved};
use super::super::modes::own_facts;
use super::super::send::Accepted;
use super::super::trees::TreeCell;
use super::super::{Broker, Caller, error};
use super::cards;
use super::weighing::{Sought, Weighed};
use crate::ports::store::Claim;

/// Whom a message is for.
pub(in crate::service) enum Route {
    /// This agent.
    To(Arc<Agent>, Box<Choice>),
    /// Nobody yet, or nobody at all, as the choice says.
    Open(Box<Choice>),
}

/// An answer to a question for an agent.
pub(in crate::service) struct Answer {
    /// The task it was sent to.
    pub(in crate::service) task: TaskId,
    /// The task that asks.
    pub(in crate::service) asks: TaskId,
    pub(in crate::service) message: Message,
    pub(in crate::service) push: Option<Box<PushConfig>>,
    pub(in crate::service) claim: Claim,
}

/// A question for an agent, and what has been said to it.
struct Open {
    shown: Choice,
    /// What was said before the answer.
    asked: String,
    /// How often the caller was asked.
    questions: usize,
    context: String,
    /// The task with all that was said.
    sought: Sought,
}

impl Broker {
    /// Finds out whom a task is for that is about to begin.
    pub(in crate::service) async fn route(
        self: &Arc<Self>,
        begun: &Begun,
        asked: &Asked,
    ) -> Result<Route, A2aError> {
        let sought = Sought {
            tree: begun.parent.as_ref().map(|parent| Arc::clone(&parent.cell)),
            new: begun.preview(asked, own_facts()),
            text: cards::request_text([&begun.message]),
            owner: begun.owner.clone(),
            sent: cards::media_types(&begun.message),
            not: Vec::new(),
        };
        let Weighed { choice, first, refused } = self.weigh(sought).await?;
        match (choice.verdict, first.or(refused)) {
            // Whom it may not be delegated to refuses it as always: with what is missing, or by asking for it.
            (_, Some(agent)) if choice.candidates.is_empty() => Ok(Route::To(agent, Box::new(choice))),
            (_, None) => Err(nobody(&choice)),
            (ChoiceVerdict::Unsure | ChoiceVerdict::OutOfScope, _) => Ok(Route::Open(Box::new(choice))),
            (_, Some(agent)) => Ok(Route::To(agent, Box::new(choice))),
        }
    }

    /// Begins a task that asks whom it is for, or says that it is for nobody.
    pub(in crate::service) async fn begin_open(
        self: &Arc<Self>,
        mut begun: Begun,
        asked: Asked,
        choice: Box<Choice>,
    ) -> Result<Accepted, DriveError> {
        let id = begun.id;
        let (cell, claim, quotas) = (begun.cell(self), begun.claim(), std::mem::take(&mut begun.quotas));
        let new = NewTask { choice: Some(choice), ..begun.into_task(asked, own_facts(), true) };
        let reserved = Reserved { claim: Some(claim), quotas, ..Reserved::default() };
        self.drive_cell(Arc::clone(&cell), Input::Ask(Box::new(new)), reserved).await?;
        Ok(Accepted::new(cell, id))
    }

    /// The answer to a question for an agent.
    pub(in crate::service) async fn answer_choice(
        self: &Arc<Self>,
        cell: &Arc<TreeCell>,
        Answer { task, asks, message, push, claim }: Answer,
    ) -> Result<(), DriveError> {
        let failed = DriveError::Failed;
        let open = self.open_question(cell, asks, &message).await;
        let Open { shown, asked, questions, context, sought } =
            open.ok_or_else(|| failed(error::task_not_found()))?;
        let owner = sought.owner.clone();
        let mut before = None;
        let (choice, agent) = match self.picked(&message, &shown).map_err(failed)? {
            Some(agent) => {
                self.fits(&sought, &agent.name).map_err(|reason| {
                    let problem = format!("names {}, which cannot have it: {reason}", agent.name);
                    failed(error::invalid("message.parts", &problem))
                })?;
                before = Some(shown.candidates.first().map(|first| first.agent.clone()));
                (picked(shown, &agent.name), agent)
            }
            None => match self.weigh_again(sought, questions).await.map_err(failed)? {
                (choice, Some(agent)) => (choice, agent),
                (choice, None) => {
                    let (message, choice) = (Box::new(message), Box::new(choice));
                    let reserved = Reserved { claim: Some(claim), ..Reserved::default() };
                    let input = Input::AskAgain { task, message, push, choice };
                    return self.drive_cell(Arc::clone(cell), input, reserved).await;
                }
            },
        };
        let agent = self.registry.resolved(&agent.name).await.map_err(failed)?;
        let place = self.enter(&agent.name, asks, &owner).map_err(failed)?;
        let to = self.candidate(&agent, &owner, &context, place.admits());
        let to = to.ok_or_else(|| failed(error::agent_not_found(&agent.name)))?;
        let to = Box::new(Candidate { choice: Some(Box::new(choice)), ..to });
        let reserved = Reserved { claim: Some(claim), places: vec![place], ..Reserved::default() };
        let input = Input::Choose { task, message: Box::new(message), push, to };
        self.drive_cell(Arc::clone(cell), input, reserved).await?;
        if let Some(before) = before {
            self.learn_pick(&asked, before.as_deref(), &agent.name);
        }
        Ok(())
    }

    /// Weighs what has been said by now; the agent, if that is clear.
    async fn weigh_again(
        self: &Arc<Self>,
        sought: Sought,
        questions: usize,
    ) -> Result<(Choice, Option<Arc<Agent>>), A2aError> {
        let Weighed { mut choice, first, .. } = self.weigh(sought).await?;
        if choice.candidates.is_empty() {
            // Nobody may have it just now, which is no reason to end it.
            return Err(nobody(&choice));
        }
        if matches!(choice.verdict, ChoiceVerdict::Confident | ChoiceVerdict::Only) {
            return Ok((choice, first));
        }
        if questions >= self.selection.options.questions {
            choice.verdict = ChoiceVerdict::OutOfScope;
        }
        Ok((choice, None))
    }

    /// The agent an answer names: in its metadata, as data, by name, or by its number among those that were shown.
    fn picked(&self, message: &Message, shown: &Choice) -> Result<Option<Arc<Agent>>, A2aError> {
        #[derive(Deserialize)]
        struct Pick {
            data: Named,
        }
        #[derive(Deserialize)]
        struct Named {
            agent: String,
        }
        let asked =
            Asked::of(message).map_err(|wrong| error::invalid("message.metadata", &wrong.to_string()))?.agent;
        let mut parts = message.parts.iter();
        let as_data = parts.find_map(|part| serde_json::from_str::<Pick>(part.raw().get()).ok());
        if let Some(name) = asked.or_else(|| as_data.map(|pick| pick.data.agent)) {
            return self.registry.get(&name).map(Some).ok_or_else(|| error::agent_not_found(&name));
        }
        let text = message.joined_text();
        let text = text.trim().trim_end_matches('.');
        let number = text.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let by_number = number.and_then(|place| shown.candidates.get(place)).map(|one| one.agent.as_str());
        Ok(self.registry.get(by_number.unwrap_or(text)))
    }

    /// The caller has picked: that is one more example of what the agent is for, and where another stood first, of what that
    /// one is not for.
    fn learn_pick(&self, asked: &str, first: Option<&str>, agent: &str) {
        self.selection.note(agent, asked, OutcomeKind::Chosen);
        if let Some(first) = first.filter(|first| *first != agent) {
            self.selection.note(first, asked, OutcomeKind::Corrected);
        }
    }

    async fn open_question(&self, cell: &Arc<TreeCell>, task: TaskId, answer: &Message) -> Option<Open> {
        let tree = cell.tree.lock().await;
        let (said, (_, context)) = (tree.said_by_caller(task), tree.owner_and_context(task)?);
        Some(Open {
            shown: tree.choice(task)?.clone(),
            asked: cards::request_text(said.iter().copied()),
            questions: said.len(),
            context: context.to_owned(),
            sought: self.sought_again(cell, &tree, task, Some(answer))?,
        })
    }

    /// Who comes next for a task whose delegate did not do it, and whether the ranker chose that one.
    pub(in crate::service) async fn next_choice(
        self: &Arc<Self>,
        root: TaskId,
        search: &Search,
    ) -> Result<Option<(Choice, bool)>, A2aError> {
        let task = search.attempt.task;
        let Some(cell) = self.trees.load(root).await? else { return Ok(None) };
        let (sought, was_chosen) = {
            let tree = cell.tree.lock().await;
            (self.sought_again(&cell, &tree, task, None), tree.choice(task).is_some())
        };
        let Some(sought) = sought else { return Ok(None) };
        let Weighed { choice, .. } = self.weigh(Sought { not: search.not.clone(), ..sought }).await?;
        Ok(Some((choice, was_chosen)))
    }

    /// A task that is there already, to be weighed again with all that its caller has said, and says now.
    fn sought_again(
        &self,
        cell: &Arc<TreeCell>,
        tree: &Tree,
        task: TaskId,
        now: Option<&Message>,
    ) -> Option<Sought> {
        let (owner, _) = tree.owner_and_context(task)?;
        let said = tree.said_by_caller(task);
        let all = said.iter().copied().chain(now);
        Some(Sought {
            tree: Some(Arc::clone(cell)),
            new: tree.asked_anew(task, own_facts(), self.policy_of(owner))?,
            text: cards::request_text(all.clone()),
            owner: owner.to_owned(),
            sent: all.flat_map(cards::media_types).collect(),
            not: Vec::new(),
        })
    }

    /// A request of a caller's, of which nothing comes.
    pub(super) fn sought_by(&self, caller: &Caller, text: String) -> Sought {
        let new = self.bare_task(caller, self.clock.new_task_id());
        let (owner, sent, not) = (new.caller.clone(), Vec::new(), Vec::new());
        Sought { tree: None, new, text, owner, sent, not }
    }

    /// A root task of a caller that says nothing.
    fn bare_task(&self, caller: &Caller, id: TaskId) -> NewTask {
        let owner = caller.display_name();
        NewTask {
            id,
            parent: None,
            held: caller.held(false),
            policy: self.policy_of(&owner),
            caller: owner,
            agent: own_facts(),
            skill: None,
            asked: None,
            message: Message::user_text(id.to_string(), ""),
            context_id: id.to_string(),
            agent_context: id.to_string(),
            accepted_output_modes: Vec::new(),
            extensions: Vec::new(),
            deadline: None,
            retry: broker_core::delegation::input::RetryWish::default(),
            admitted: true,
            escalate: false,
            budget: capability::ledger::Ceilings::default(),
            push: None,
            choice: None,
            specification: None,
            trace: None,
            upstream: None,
        }
    }
}

/// The choice that was shown, made by the caller.
fn picked(shown: Choice, agent: &str) -> Choice {
    let is_picked = |one: &Considered| one.agent == agent;
    let mut candidates = shown.candidates;
    candidates.sort_by_key(|one| !is_picked(one));
    if !candidates.first().is_some_and(is_picked) {
        let (description, why) = Default::default();
        candidates.insert(0, Considered { agent: agent.to_owned(), description, probability: 0.0, why });
    }
    Choice { verdict: ChoiceVerdict::Picked, candidates, ..shown }
}

/// Nobody may have it.
fn nobody(choice: &Choice) -> A2aError {
    let reasons: Vec<String> =
        choice.excluded.iter().map(|one| format!("{}: {}", one.agent, one.reason)).collect();
    let message = if reasons.is_empty() {
        format!(
            "no agent is registered but {BROKER_AGENT} itself; add one with `bailiwick agent add NAME URL`"
        )
    } else {
        format!("no agent can do this: {}", reasons.join("; "))
    };
    A2aError::new(ErrorKind::UnsupportedOperation, message)
}
