//! Agents: state machines that live outside the broker. What one does with a task is a script drawn when the message
//! arrives; it delegates with the grant it was given, asks, answers late, lies, crashes, and forgets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use broker_core::{TaskId, extension};
use protocol::{Message, StreamResponse, Task, TaskState};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Notify;

use super::chance::Chance;
use super::mirror;
use super::world::{State, World};

/// Names of the agents; what each may do at most stands in [`caps`].
pub(crate) const NAMES: [&str; 6] = ["ann", "bea", "cal", "dan", "eve", "fay"];
pub(crate) const SKILLS: [&str; 3] = ["read", "write", "plan"];

pub(crate) fn caps(agent: &str) -> &'static [&'static str] {
    match agent {
        "ann" | "dan" | "eve" => &["a2a:skill/**"],
        "bea" => &["a2a:skill/*/read", "a2a:skill/*/write"],
        "cal" => &["a2a:skill/*/plan", "a2a:skill/bea/*", "a2a:skill/fay/read"],
        _ => &[],
    }
}

/// What the broker tells an agent with a task.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Told {
    pub(crate) task: TaskId,
    pub(crate) depth: u32,
    pub(crate) grant: String,
}

/// One thing an agent does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Say(TaskState),
    Artifact,
    /// Has another agent do something; waits for it or not.
    Delegate {
        to: &'static str,
        wait: bool,
    },
    /// Asks the caller, and goes on when it has an answer.
    Ask(TaskState),
    End(TaskState),
    /// Speaks for a task it was never given.
    WrongTask,
    /// Answers with a message although it works on a task.
    BareMessage,
    /// Does something with its grant that is none of its business, or whose time is over.
    Pry,
}

/// How an agent answers to being asked to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnCancel {
    Stops,
    /// Says that it goes on.
    GoesOn,
    Refuses,
    /// Says it stops, and goes on.
    Lies,
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a trait of its own")]
pub(crate) struct Agent {
    /// Streams, or is polled.
    pub(crate) streams: bool,
    /// Most tasks it works on at a time.
    pub(crate) at_once: Option<u32>,
    /// Ends its stream when it asks something.
    pub(crate) closes_when_asking: bool,
    /// Loses its tasks when it crashes.
    pub(crate) forgets: bool,
    /// Shows no messages with its tasks.
    pub(crate) hides_history: bool,
    /// Lies, of a thousand steps.
    lies: u64,
    /// Answers with direct messages, of a thousand requests.
    direct: u64,
    on_cancel: OnCancel,
    /// Grows with each crash; streams end with it.
    pub(crate) epoch: u32,
    pub(crate) down_until: i64,
    /// When it crashes, and for how long.
    pub(crate) crashes: Vec<(i64, i64)>,
    pub(crate) jobs: Vec<Job>,
    /// Something kept the broker from learning what became of a task: a crash with loss of memory, a lie.
    pub(crate) is_excused: bool,
}

/// A task as its agent sees it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) told: Told,
    pub(crate) context: String,
    /// The southbound id of the message that began it.
    pub(crate) began: String,
    pub(crate) script: Vec<(i64, Step)>,
    pub(crate) at: usize,
    pub(crate) state: TaskState,
    pub(crate) task: Task,
    pub(crate) events: Vec<StreamResponse>,
    pub(crate) changed: Arc<Notify>,
    pub(crate) is_forgotten: bool,
    /// It is at a step that waits for a delegation, in this session.
    pub(crate) session: Option<usize>,
    said: u32,
}

/// What an agent answers a message with.
pub(crate) enum Answer {
    /// It works on it: the number of its job.
    Job(usize),
    Message(Message),
    Refused,
    Failed,
    Busy,
}

#[derive(Debug)]
pub(crate) struct Agents {
    pub(crate) all: BTreeMap<&'static str, Agent>,
    /// Jobs somebody works on in this life of the broker.
    at_work: BTreeSet<(&'static str, usize)>,
}

impl Agents {
    pub(crate) fn of(chance: &mut Chance) -> Self {
        let agent = |name: &'static str| {
            let crashes = (0..chance.below(3))
                .map(|_| (chance.between(500, 40_000), chance.between(50, 8_000)))
                .collect();
            let agent = Agent {
                streams: name != "dan",
                at_once: *chance.pick(&[None, None, Some(1), Some(2)]),
                closes_when_asking: chance.happens(500),
                forgets: chance.happens(200),
                hides_history: chance.happens(200),
                lies: if name == "eve" { 450 } else { 0 },
                // All or none: of an agent that does both, the broker cannot know what no task means.
                direct: if name == "fay" { 1_000 * chance.below(2) } else { 0 },
                on_cancel: match chance.below(6) {
                    0 => OnCancel::GoesOn,
                    1 => OnCancel::Refuses,
                    2 if name == "eve" => OnCancel::Lies,
                    _ => OnCancel::Stops,
                },
                epoch: 0,
                down_until: 0,
                crashes,
                jobs: Vec::new(),
                is_excused: name == "eve",
            };
            (name, agent)
        };
        Self { all: NAMES.map(agent).into(), at_work: BTreeSet::new() }
    }

    pub(crate) fn agent(&mut self, name: &str) -> &mut Agent {
        self.all.get_mut(name).expect("only agents that are there are called")
    }

    /// The broker has died, and with its runtime all who worked on something.
    pub(crate) fn begin_again(&mut self) {
        self.at_work.clear();
    }

    /// Jobs nobody works on yet; somebody does from now on.
    pub(crate) fn hire(&mut self) -> Vec<(&'static str, usize)> {
        let jobs = |(name, agent): (&&'static str, &Agent)| {
            (0..agent.jobs.len()).map(|number| (*name, number)).collect::<Vec<_>>()
        };
        let all = self.all.iter().flat_map(jobs);
        all.filter(|job| self.at_work.insert(*job)).collect()
    }

    pub(crate) fn are_over(&self) -> bool {
        self.all.values().flat_map(|agent| &agent.jobs).all(Job::is_over)
    }
}

impl Job {
    pub(crate) fn is_over(&self) -> bool {
        self.is_forgotten || self.at >= self.script.len() || self.waits_for_answer()
    }

    pub(crate) fn waits_for_answer(&self) -> bool {
        self.state.is_interrupted()
    }

    /// The agent says something about it.
    fn say(&mut self, state: TaskState, name: &str) {
        self.said += 1;
        let text = format!("{name} {} {}", self.began, self.said);
        let message = Message::agent_text(format!("{}-{}", self.id, self.said), &text);
        let status = json!({ "state": state.as_str(), "message": message });
        self.state = state;
        self.task.status = serde_json::from_value(status.clone()).unwrap();
        let update = json!({ "taskId": self.id, "contextId": self.context, "status": status });
        self.push(StreamResponse::StatusUpdate(serde_json::from_value(update).unwrap()));
    }

    fn make(&mut self) {
        self.said += 1;
        // Whose it is can be read off it wherever it turns up.
        let artifact = json!({ "artifactId": format!("a{}", self.said), "parts": [{ "text": self.began }] });
        let update = json!({ "taskId": self.id, "contextId": self.context, "artifact": artifact });
        self.task.artifacts.push(serde_json::from_value(artifact).unwrap());
        self.push(StreamResponse::ArtifactUpdate(serde_json::from_value(update).unwrap()));
    }

    fn push(&mut self, event: StreamResponse) {
        self.events.push(event);
        self.changed.notify_waiters();
    }
}

impl State {
    /// A message reaches an agent. `doubled`: the network delivers it a second time.
    pub(crate) fn arrive(&mut self, name: &'static str, message: &Message, doubled: bool) -> Answer {
        let id = message.message_id.clone();
        if !self.mirror.may_be_sent(&id) {
            self.broken("5", &format!("{name} got {id}, of which nothing is durable"));
        }
        if let Some(answer) = self.repeated(name, message, doubled) {
            return answer;
        }
        let Some(told) = message.metadata.get_as::<Told>(extension::URI) else {
            self.broken("8", &format!("{name} got {id} without a grant"));
            return Answer::Refused;
        };
        let direct = self.agents.agent(name).direct;
        match self.chance.below(60) {
            0 => return Answer::Busy,
            1 => return Answer::Refused,
            2 => {
                self.execute(name, &id);
                self.failed.insert(id);
                return Answer::Failed;
            }
            _ => {}
        }
        self.execute(name, &id);
        if self.chance.happens(direct) {
            return Answer::Message(Message::agent_text(format!("direct-{id}"), &format!("{name} {id}")));
        }
        let script = self.script(name, told.depth);
        let agent = self.agents.agent(name);
        let number = agent.jobs.len();
        let job_id = format!("{name}-{}-{number}", agent.epoch);
        let context = message.context_id.clone().unwrap_or_default();
        let task = json!({
            "id": job_id, "contextId": context, "status": { "state": "TASK_STATE_SUBMITTED" },
            "history": [message],
        });
        agent.jobs.push(Job {
            id: job_id,
            told,
            context,
            began: id,
            script,
            at: 0,
            state: TaskState::Submitted,
            task: serde_json::from_value(task).unwrap(),
            events: Vec::new(),
            changed: Arc::new(Notify::new()),
            is_forgotten: false,
            session: None,
            said: 0,
        });
        Answer::Job(number)
    }

    /// Messages arrive whose senders have died, or let go of them.
    pub(crate) fn arrive_late(&mut self) {
        for (id, (name, message)) in std::mem::take(&mut self.drifting) {
            self.note(&format!("{id} arrives after its sender let go of it"));
            self.arrive(name, &message, false);
        }
    }

    /// A message for a task that is there already, or that was there before.
    fn repeated(&mut self, name: &'static str, message: &Message, doubled: bool) -> Option<Answer> {
        let id = &message.message_id;
        let agent = self.agents.agent(name);
        if doubled {
            // What the network doubles the agent knows again by its id.
            let known =
                agent.jobs.iter().rposition(|job| job.task.history.iter().any(|m| m.message_id == *id));
            return Some(known.map_or(Answer::Refused, Answer::Job));
        }
        let continued = message.task_id.as_ref()?;
        let found = agent.jobs.iter().rposition(|job| job.id == *continued && !job.is_forgotten);
        let Some(number) = found else { return Some(Answer::Refused) };
        let job = &mut agent.jobs[number];
        if job.state.is_terminal() {
            return Some(Answer::Refused);
        }
        job.task.history.push(message.clone());
        if job.waits_for_answer() {
            job.say(TaskState::Working, name);
        }
        self.execute(name, id);
        Some(Answer::Job(number))
    }

    fn execute(&mut self, name: &str, id: &str) {
        let times = self.executed.entry(id.to_owned()).or_default();
        *times += 1;
        let times = *times;
        self.note(&format!("{name} executes {id}"));
        // One that failed it before leaves no task by which it could be known; see docs/simulation.md.
        if times > 1 && !self.failed.contains(id) {
            self.broken("6", &format!("{name} got {id} {times} times from the broker"));
        }
    }

    fn script(&mut self, name: &'static str, depth: u32) -> Vec<(i64, Step)> {
        let lies = self.agents.agent(name).lies;
        let chance = &mut self.chance;
        let slow = if chance.happens(150) { 8_000 } else { 400 };
        let mut script = Vec::new();
        for _ in 0..chance.below(8) {
            let step = match chance.below(16) {
                3..=4 => Step::Artifact,
                5..=12 if chance.happens(800 - u64::from(depth.min(4)) * 150) => {
                    let to = *chance.pick(&NAMES);
                    Step::Delegate { to, wait: chance.happens(600) }
                }
                13 => Step::Ask(*chance.pick(&[TaskState::InputRequired, TaskState::AuthRequired])),
                14 => Step::Pry,
                _ => Step::Say(TaskState::Working),
            };
            script.push((chance.between(0, slow), step));
        }
        if chance.happens(lies) {
            script.push((10, chance.pick(&[Step::WrongTask, Step::BareMessage]).clone()));
        }
        let end = match chance.below(12) {
            0 => TaskState::Failed,
            1 => TaskState::Rejected,
            2 => TaskState::Canceled,
            _ => TaskState::Completed,
        };
        // Once in a while one falls silent for ever.
        if !chance.happens(30) {
            script.push((chance.between(0, slow), Step::End(end)));
            if chance.happens(lies * 2) {
                let more = [
                    Step::End(TaskState::Failed),
                    Step::End(TaskState::Completed),
                    Step::Artifact,
                    Step::Say(TaskState::Working),
                ];
                script.extend((0..2).map(|_| (chance.between(0, 20), chance.pick(&more).clone())));
            }
            script.push((chance.between(0, 3_000), Step::Pry));
        }
        script
    }

    /// An agent is asked to cancel: the task as it then says, or a refusal.
    pub(crate) fn cancel(&mut self, name: &'static str, id: &str) -> Option<Result<Task, String>> {
        let agent = self.agents.agent(name);
        let on_cancel = agent.on_cancel;
        let job = agent.jobs.iter_mut().find(|job| job.id == *id && !job.is_forgotten)?;
        if job.state.is_terminal() {
            return Some(Err("it is over".to_owned()));
        }
        match on_cancel {
            OnCancel::Stops => {
                job.say(TaskState::Canceled, name);
                job.at = job.script.len();
            }
            OnCancel::GoesOn => {}
            OnCancel::Refuses => return Some(Err("not while I work".to_owned())),
            OnCancel::Lies => {
                let mut task = job.task.clone();
                task.status = serde_json::from_value(json!({ "state": "TASK_STATE_CANCELED" })).unwrap();
                return Some(Ok(task));
            }
        }
        Some(Ok(job.task.clone()))
    }

    /// An agent's process dies: its streams break, and it may have forgotten everything.
    pub(crate) fn crash_agent(&mut self, name: &'static str, pause: i64) {
        let now = self.now();
        let agent = self.agents.agent(name);
        agent.epoch += 1;
        agent.down_until = now + pause;
        let forgets = agent.forgets;
        for job in &mut agent.jobs {
            job.is_forgotten |= forgets;
            job.changed.notify_waiters();
        }
        agent.is_excused |= forgets || pause > 4_000;
        if forgets {
            self.executed.retain(|id, _| {
                let task = mirror::parse(id).map(|(_, task, _)| task);
                task.and_then(|task| self.mirror.tasks.get(&task)).is_none_or(|life| life.agent != name)
            });
        }
        self.note(&format!("{name} crashes for {pause} ms{}", if forgets { " and forgets" } else { "" }));
    }
}

/// An agent at work on a job, for as long as this broker lives; the job remembers how far it is.
pub(crate) async fn work(world: Arc<World>, name: &'static str, number: usize) {
    loop {
        let Some((wait, step, changed)) = ({
            let mut state = world.lock();
            let job = &state.agents.agent(name).jobs[number];
            let next = job.script.get(job.at).filter(|_| !job.is_forgotten).cloned();
            next.map(|(wait, step)| (wait, step, Arc::clone(&job.changed)))
        }) else {
            return;
        };
        let waits = world.lock().agents.agent(name).jobs[number].waits_for_answer();
        if waits {
            // An answer comes by itself, perhaps when nobody waits for what follows any more; looked for now and then,
            // because its news may come in between.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(200), changed.notified()).await;
            continue;
        }
        let session = world.lock().agents.agent(name).jobs[number].session;
        if session.is_none() {
            let due = world.now() + wait;
            world.sleep_until(due).await;
            let up = world.lock().agents.agent(name).down_until;
            world.sleep_until(up).await;
        }
        let at = world.lock().agents.agent(name).jobs[number].at;
        take(&world, name, number, &step).await;
        let mut state = world.lock();
        let job = &mut state.agents.agent(name).jobs[number];
        if job.at == at {
            (job.at, job.session) = (at + 1, None);
        }
    }
}

async fn take(world: &Arc<World>, name: &'static str, number: usize, step: &Step) {
    {
        let mut state = world.lock();
        let job = &mut state.agents.agent(name).jobs[number];
        if job.at >= job.script.len() {
            return;
        }
        let text = format!("{name} {}: {step:?}", job.id);
        match step {
            Step::Say(state) | Step::End(state) | Step::Ask(state) => job.say(*state, name),
            Step::Artifact => job.make(),
            Step::WrongTask => {
                let status = json!({ "state": "TASK_STATE_COMPLETED" });
                let update =
                    json!({ "taskId": "somebody-elses", "contextId": job.context, "status": status });
                job.push(StreamResponse::StatusUpdate(serde_json::from_value(update).unwrap()));
            }
            Step::BareMessage => {
                let message = Message::agent_text(format!("bare-{}", job.id), "hello");
                job.push(StreamResponse::Message(message));
            }
            Step::Delegate { .. } | Step::Pry => {}
        }
        state.note(&text);
    }
    match step {
        Step::Delegate { to, wait } => super::sessions::delegate(world, name, number, to, *wait).await,
        Step::Pry => super::sessions::pry(world, name, number).await,
        _ => {}
    }
}
