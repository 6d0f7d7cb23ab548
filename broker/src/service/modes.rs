//! Ways to delegate beside one task for one delegate: several sub-tasks as one, and a task handed over for good.

use std::sync::Arc;

use broker_core::TaskId;
use broker_core::delegation::BROKER_AGENT;
use broker_core::delegation::input::{AgentFacts, Input, NewGroup, NewHandOff, NewTask, RetryWish};
use broker_core::extension::{Asked, Subtask};
use broker_core::journal::Group;
use capability::Scope;
use capability::ledger::Ceilings;
use protocol::Message;

use super::admission::Place;
use super::agents::Agent;
use super::begun::{Begun, Parent, agent_context};
use super::caller::Caller;
use super::driver::{DriveError, Reserved};
use super::send::Accepted;
use super::{Broker, error};

/// A sub-task, and the agent that is to have it.
type Chosen = (Subtask, Arc<Agent>);

impl Broker {
    /// Begins several sub-tasks as one task of the broker's own.
    pub(super) async fn begin_group(
        self: &Arc<Self>,
        mut begun: Begun,
        asked: Asked,
        group: Group,
        subtasks: Vec<Subtask>,
    ) -> Result<Accepted, DriveError> {
        let mut chosen = Vec::with_capacity(subtasks.len());
        for subtask in subtasks {
            let agent = self.delegate(&subtask.agent, &begun.extensions).await.map_err(DriveError::Failed)?;
            chosen.push((subtask, agent));
        }
        let id = begun.id;
        let (children, places) = self.sub_tasks(&begun, chosen).map_err(DriveError::Failed)?;
        let cell = begun.cell(self);
        let quotas = std::mem::take(&mut begun.quotas);
        let reserved = Reserved { claim: Some(begun.claim()), places, quotas };
        let task = begun.into_task(asked, own_facts(), true);
        let new = NewGroup { task, group, subtasks: children };
        self.drive_cell(Arc::clone(&cell), Input::Group(Box::new(new)), reserved).await?;
        Ok(Accepted::new(cell, id))
    }

    /// The sub-tasks of a group, and their places.
    fn sub_tasks(
        self: &Arc<Self>,
        begun: &Begun,
        chosen: Vec<Chosen>,
    ) -> Result<(Vec<NewTask>, Vec<Place>), protocol::A2aError> {
        let (mut children, mut places) = (Vec::new(), Vec::new());
        for (index, (subtask, agent)) in chosen.into_iter().enumerate() {
            let id = self.clock.new_task_id();
            let facts = agent.resolved.as_ref().map(|resolved| resolved.facts.clone());
            let facts = facts.ok_or_else(|| error::agent_not_found(&agent.name))?;
            let place = self.enter(&agent.name, id, &begun.owner)?;
            children.push(begun.sub_task(id, index + 1, subtask, facts, place.admits()));
            places.push(place);
        }
        Ok((children, places))
    }

    /// Gives the caller's own task to another agent. The caller hears how the task stands, and no more.
    pub(super) async fn hand_over(
        self: &Arc<Self>,
        caller: &Caller,
        mut begun: Begun,
        asked: Asked,
        agent: &Agent,
    ) -> Result<Accepted, DriveError> {
        let Some(Parent { cell, task, owner, .. }) = begun.parent.clone() else {
            let problem =
                "mode \"handoff\" is for an agent that works on a task; send with the grant of that task";
            return Err(DriveError::Failed(error::invalid("message.metadata", problem)));
        };
        let context = cell.tree.lock().await.owner_and_context(task).map(|(_, context)| context.to_owned());
        let place = self.enter(&agent.name, task, &owner).map_err(DriveError::Failed)?;
        let to = self.candidate(agent, &owner, &context.unwrap_or_default(), place.admits());
        let to = to.ok_or_else(|| DriveError::Failed(error::agent_not_found(&agent.name)))?;
        let (claim, quotas) = (begun.claim_for(task), std::mem::take(&mut begun.quotas));
        let reserved = Reserved { claim: Some(claim), places: vec![place], quotas };
        let handed = NewHandOff {
            task,
            held: caller.held(true),
            to,
            skill: asked.skill,
            asked: asked.scope,
            message: begun.message,
        };
        self.drive_cell(Arc::clone(&cell), Input::HandOff(Box::new(handed)), reserved).await?;
        Ok(Accepted::settled(cell, task))
    }
}

impl Begun {
    /// A sub-task of the group that this becomes.
    fn sub_task(
        &self,
        id: TaskId,
        number: usize,
        subtask: Subtask,
        agent: AgentFacts,
        admitted: bool,
    ) -> NewTask {
        let mut message = Message::user_text(format!("{}.{number}", self.message.message_id), "");
        message.parts = subtask.parts;
        message.context_id.clone_from(&self.message.context_id);
        NewTask {
            id,
            parent: Some(self.id),
            caller: BROKER_AGENT.to_owned(),
            held: Scope::top(),
            agent_context: agent_context(&self.owner, &self.context_id, &agent.name),
            agent,
            skill: subtask.skill,
            asked: subtask.scope,
            message,
            context_id: self.context_id.clone(),
            accepted_output_modes: self.accepted_output_modes.clone(),
            extensions: self.extensions.clone(),
            deadline: None,
            retry: RetryWish::default(),
            admitted,
            escalate: false,
            budget: Ceilings::default(),
            policy: self.policy.clone(),
            push: None,
            choice: None,
            specification: None,
            trace: None,
            upstream: None,
        }
    }
}

/// The broker as the agent of its own tasks.
pub(super) fn own_facts() -> AgentFacts {
    AgentFacts {
        name: BROKER_AGENT.to_owned(),
        identity: BROKER_AGENT.to_owned(),
        caps: Scope::top(),
        skills: Vec::new(),
        retry: RetryWish::default(),
        skill_retry: std::collections::BTreeMap::new(),
    }
}
