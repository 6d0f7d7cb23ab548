//! Checking what agents produce: on a thread of its own and within a time limit, because criteria and results come from
//! outside. Where nothing failed and a judge is named, its task is prepared here; whether it may be asked is the core's to say.

use std::sync::Arc;
use std::time::Duration;

use broker_acceptance::{Judge, Outcome, Produced, Verdict};
use broker_core::TaskId;
use broker_core::delegation::BROKER_AGENT;
use broker_core::delegation::action::Check;
use broker_core::delegation::input::{AttemptId, Input, NewTask, RetryWish};
use broker_core::journal::Submission;
use capability::Scope;
use capability::ledger::Ceilings;
use dashmap::DashMap;
use protocol::Message;
use tokio::sync::Semaphore;

use super::Broker;
use super::admission::Place;
use super::begun::agent_context;

/// Results checked at a time; one that takes too long keeps its place until it is done.
const CHECKS_AT_ONCE: usize = 4;
/// Of these, of one owner.
const CHECKS_OF_ONE: usize = 2;

/// How results are checked.
#[derive(Debug, Clone, Copy)]
pub struct AcceptanceOptions {
    /// A check that takes longer is undecided.
    pub timeout: Duration,
}

impl Default for AcceptanceOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(2) }
    }
}

/// Checks under way.
pub(super) struct Checks {
    options: AcceptanceOptions,
    places: Arc<Semaphore>,
    of_one: DashMap<String, Arc<Semaphore>>,
}

impl Checks {
    pub(super) fn new(options: AcceptanceOptions) -> Self {
        Self { options, places: Arc::new(Semaphore::new(CHECKS_AT_ONCE)), of_one: DashMap::new() }
    }

    /// What becomes of the checks, as far as there is time.
    async fn make(&self, submission: &Arc<Submission>, produced: &Arc<Produced>) -> Verdict {
        let (submission, produced) = (Arc::clone(submission), Arc::clone(produced));
        let owner = submission.owner.clone();
        let own = self.of_one.entry(owner.clone());
        let own = Arc::clone(&own.or_insert_with(|| Arc::new(Semaphore::new(CHECKS_OF_ONE))));
        // Neither is ever closed.
        let own = own.acquire_owned().await.ok();
        let place = (own, Arc::clone(&self.places).acquire_owned().await.ok());
        let work = tokio::task::spawn_blocking(move || {
            let _place = place;
            submission.accept().map(|accept| broker_acceptance::judge(accept, &produced))
        });
        let undecided = |reason: &str| Verdict::out_of_time(reason);
        let made = tokio::time::timeout(self.options.timeout, work).await;
        self.of_one.remove_if(&owner, |_, places| Arc::strong_count(places) == 1);
        match made {
            Ok(Ok(verdict)) => verdict.unwrap_or_else(|| Verdict::of(Vec::new())),
            Ok(Err(_)) => undecided("the checks broke off; the log says why"),
            Err(_) => {
                let limit = self.options.timeout.as_millis();
                undecided(&format!("the checks were not done within {limit} ms (acceptance.timeout)"))
            }
        }
    }
}

impl Broker {
    /// Checks a result; what comes of it returns as an input.
    pub(super) fn check(self: &Arc<Self>, root: TaskId, check: Check) {
        let broker = Arc::clone(self);
        tokio::spawn(async move {
            let Check { attempt, submission, produced } = check;
            let produced = Arc::new(produced);
            let verdict = broker.checks.make(&submission, &produced).await;
            let judge = submission.accept().and_then(|accept| accept.judge.as_ref());
            let judge = judge.filter(|_| verdict.outcome != Outcome::Failed);
            let (judge, place) = match judge {
                None => (None, None),
                Some(judge) => match broker.prepare(judge, &submission, &produced, attempt).await {
                    Ok((new, place)) => (Some(Ok(Box::new(new))), Some(place)),
                    Err(reason) => (Some(Err(reason)), None),
                },
            };
            broker.drive_until_taken(root, Input::Checked { attempt, verdict, judge }).await;
            // Held until it is known what became of it.
            drop(place);
        });
    }

    /// The task that asks the judge: the rubric and the result, and nothing it may do.
    async fn prepare(
        self: &Arc<Self>,
        judge: &Judge,
        submission: &Submission,
        produced: &Produced,
        attempt: AttemptId,
    ) -> Result<(NewTask, Place), String> {
        let unknown = |why: &str| format!("the judge {} could not be asked: {why}", judge.agent);
        let agent = self.delegate(&judge.agent, &submission.extensions).await;
        let agent = agent.map_err(|error| unknown(&error.message))?;
        let facts = agent.resolved.as_ref().map(|resolved| resolved.facts.clone());
        let facts = facts.ok_or_else(|| unknown("its card is not known"))?;
        let (id, owner) = (self.clock.new_task_id(), &submission.owner);
        let place = self.enter(&agent.name, id, owner).map_err(|error| unknown(&error.message))?;
        let message_id = format!("{}.judge.{}", submission.message.message_id, attempt.number);
        let mut message = Message::user_text(message_id, "");
        message.parts = judge.question(produced);
        let new = NewTask {
            id,
            parent: Some(attempt.task),
            caller: BROKER_AGENT.to_owned(),
            held: Scope::top(),
            agent_context: agent_context(owner, &submission.context_id, &agent.name),
            agent: facts,
            skill: judge.skill.clone(),
            asked: Some(Scope::empty()),
            message,
            context_id: submission.context_id.clone(),
            accepted_output_modes: Vec::new(),
            extensions: submission.extensions.clone(),
            deadline: None,
            retry: RetryWish::default(),
            admitted: place.admits(),
            escalate: false,
            budget: Ceilings::default(),
            policy: self.policy_of(owner),
            push: None,
            choice: None,
            specification: None,
            trace: None,
            upstream: None,
        };
        Ok((new, place))
    }
}
