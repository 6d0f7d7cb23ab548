//! The delegation extension `urn:bailiwick:ext:delegation:v1`: what a delegator may ask in its message's
//! metadata, what an agent is told in the message it gets, and what only the broker may state.
//! The field reference for users is `docs/extension.md`.

mod abroad;

use std::collections::BTreeMap;

use broker_acceptance::{Acceptance, Criteria, Reference, Specification, Verdict, Wrong, whole};
use capability::Scope;
use capability::ledger::Ceilings;
use protocol::{Artifact, Message, Metadata, Part, StreamResponse, TaskStatus, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use self::abroad::take_grant;
pub(crate) use self::abroad::{with_cost, without_cost};
use crate::TaskId;
use crate::delegation::action::Passport;
use crate::delegation::context::Given;
use crate::delegation::input::RetryWish;
use crate::journal::{Cost, Fallback, Group, GroupMode};

/// The extension's URI, and the metadata key its data lives under.
pub const URI: &str = "urn:bailiwick:ext:delegation:v1";

/// Members only the broker may state; inbound copies are dropped.
const BROKER_ONLY: [&str; 7] = ["task", "parent", "root", "depth", "grant", "broker", "acceptance"];

/// Longest name of a skill asked for: it is copied into refusals and the audit log.
const MAX_SKILL_BYTES: usize = 256;

/// What a delegator may ask for. All members are optional.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
struct AskedWire {
    agent: Option<String>,
    skill: Option<String>,
    scope: Option<Vec<String>>,
    deadline: Option<Timestamp>,
    retry: Option<RetryWire>,
    budget: Option<Box<RawValue>>,
    task: Option<String>,
    mode: Option<ModeWire>,
    subtasks: Option<Vec<SubtaskWire>>,
    #[serde(default, deserialize_with = "whole")]
    quorum: Option<u64>,
    #[serde(default)]
    escalate: bool,
    goal: Option<String>,
    #[serde(default)]
    constraints: Vec<String>,
    expected: Option<String>,
    accept: Option<Box<RawValue>>,
    #[serde(default)]
    context: Vec<Reference>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ModeWire {
    Delegate,
    Handoff,
    Parallel,
    Race,
    Quorum,
}

#[derive(Debug, Clone, Deserialize)]
struct SubtaskWire {
    agent: String,
    skill: Option<String>,
    parts: Vec<Part>,
    scope: Option<Vec<String>>,
}

/// What may be used up, or was: money as a decimal string, the rest as integers.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Amounts")]
pub struct AmountsWire {
    #[serde(skip_serializing_if = "Option::is_none")]
    usd: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    calls: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    fanout: Option<u64>,
}

impl AmountsWire {
    pub(crate) fn of(amounts: &Ceilings) -> Self {
        let Ceilings { usd, calls, tokens, fanout } = *amounts;
        Self { usd: usd.map(capability::money), calls, tokens, fanout }
    }

    /// `None` if the money is not written as money is.
    fn read(&self) -> Option<Ceilings> {
        let usd = match &self.usd {
            None => None,
            Some(text) => Some(capability::parse_money(text)?),
        };
        Some(Ceilings { usd, calls: self.calls, tokens: self.tokens, fanout: self.fanout })
    }
}

#[derive(Debug, Clone, Deserialize)]
struct RetryWire {
    #[serde(default, deserialize_with = "whole")]
    max_attempts: Option<u64>,
    idempotent: Option<bool>,
    fallback: Option<FallbackWire>,
}

/// `true`: any agent that can; or names, in order.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected true, false, or a list of agents' names")]
enum FallbackWire {
    Any(bool),
    Agents(Vec<String>),
}

impl RetryWire {
    fn read(self) -> RetryWish {
        RetryWish {
            max_attempts: self.max_attempts.map(|most| u32::try_from(most).unwrap_or(u32::MAX)),
            idempotent: self.idempotent,
            fallback: self.fallback.map(|fallback| match fallback {
                FallbackWire::Any(true) => Fallback::Any,
                FallbackWire::Any(false) => Fallback::None,
                FallbackWire::Agents(agents) => Fallback::Agents(agents),
            }),
        }
    }
}

/// A delegator's wishes, checked.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The agent, where the address names none.
    pub agent: Option<String>,
    /// The skill meant.
    pub skill: Option<String>,
    /// The scope to pass on; absent means all that can be passed on.
    pub scope: Option<Scope>,
    /// When it must be over.
    pub deadline: Option<Timestamp>,
    /// What is said about trying it again.
    pub retry: RetryWish,
    /// What it may use up at most.
    pub budget: Ceilings,
    /// Where something is missing that a task further up holds, ask for it instead of refusing.
    pub escalate: bool,
    /// In which way.
    pub mode: Mode,
    /// What is said of the task beside its message, and what is accepted of it.
    pub specification: Option<Box<Specification>>,
    /// The task the caller says it works on. Only a claim: see `service` for who may make it.
    pub claimed_task: Option<String>,
}

/// In which way something is delegated.
#[derive(Debug, Clone, Default)]
pub enum Mode {
    /// One task for one delegate; the caller keeps its own.
    #[default]
    Delegate,
    /// The caller's own task goes to the delegate.
    HandOff,
    /// Several sub-tasks as one.
    Group(Group, Vec<Subtask>),
}

/// A sub-task that is asked for.
#[derive(Debug, Clone)]
pub struct Subtask {
    /// The agent.
    pub agent: String,
    /// The skill meant.
    pub skill: Option<String>,
    /// What it is sent.
    pub parts: Vec<Part>,
    /// The scope to pass on; absent means all that can be passed on.
    pub scope: Option<Scope>,
}

/// Why the extension's data cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("metadata[{URI}]{member}: {problem}")]
pub struct AskedError {
    /// `.member`, or empty for the object as a whole.
    pub member: String,
    /// What is wrong and what was expected.
    pub problem: String,
}

impl Asked {
    /// Reads the wishes out of a message's metadata.
    pub fn of(message: &Message) -> Result<Self, AskedError> {
        let Some(raw) = message.metadata.get(URI) else { return Ok(Self::default()) };
        let wire: AskedWire = serde_json::from_str(raw.get())
            .map_err(|error| AskedError { member: String::new(), problem: error.to_string() })?;
        let wrong = |member: &str, problem: String| AskedError { member: member.to_owned(), problem };
        check_skill(wire.skill.as_deref()).map_err(|problem| wrong(".skill", problem))?;
        let mode = read_mode(wire.mode, wire.subtasks, wire.quorum)?;
        let said = Specification {
            goal: wire.goal,
            constraints: wire.constraints,
            expected: wire.expected,
            accept: None,
            context: wire.context,
        };
        let specification = read_specification(said, wire.accept.as_deref(), &mode)?;
        let scope = wire.scope.map(Scope::parse).transpose();
        let scope = scope.map_err(|error| wrong(".scope", error.to_string()))?;
        let retry = wire.retry.map(RetryWire::read).unwrap_or_default();
        let budget = wire.budget.as_deref().map(read_budget).transpose()?.unwrap_or_default();
        Ok(Self {
            budget,
            agent: wire.agent,
            skill: wire.skill,
            scope,
            deadline: wire.deadline,
            retry,
            mode,
            specification,
            escalate: wire.escalate,
            claimed_task: wire.task,
        })
    }
}

fn check_skill(skill: Option<&str>) -> Result<(), String> {
    let length = skill.map_or(0, str::len);
    if length <= MAX_SKILL_BYTES {
        return Ok(());
    }
    Err(format!("expected at most {MAX_SKILL_BYTES} bytes, found {length}"))
}

fn read_mode(
    mode: Option<ModeWire>,
    subtasks: Option<Vec<SubtaskWire>>,
    quorum: Option<u64>,
) -> Result<Mode, AskedError> {
    let wrong = |member: &str, problem: &str| {
        Err(AskedError { member: member.to_owned(), problem: problem.to_owned() })
    };
    let mode = mode.unwrap_or(ModeWire::Delegate);
    if quorum.is_some() && mode != ModeWire::Quorum {
        return wrong(".quorum", "goes with mode \"quorum\" alone; leave it out");
    }
    let group = match mode {
        ModeWire::Delegate | ModeWire::Handoff if subtasks.is_some() => {
            return wrong(
                ".subtasks",
                "goes with mode \"parallel\", \"race\" or \"quorum\"; name one, or leave it out",
            );
        }
        ModeWire::Delegate => return Ok(Mode::Delegate),
        ModeWire::Handoff => return Ok(Mode::HandOff),
        ModeWire::Parallel => GroupMode::Parallel,
        ModeWire::Race => GroupMode::Race,
        ModeWire::Quorum => GroupMode::Quorum,
    };
    let subtasks = subtasks.unwrap_or_default();
    let number = u32::try_from(subtasks.len()).unwrap_or(u32::MAX);
    if number == 0 {
        return wrong(".subtasks", "expected at least one of {agent, skill, parts, scope}");
    }
    let need = match (group, quorum.map(u32::try_from)) {
        (GroupMode::Parallel, _) => number,
        (GroupMode::Race, _) => 1,
        (GroupMode::Quorum, Some(Ok(need))) if (1..=number).contains(&need) => need,
        (GroupMode::Quorum, _) => {
            return wrong(".quorum", &format!("expected how many of the {number} sub-tasks are enough"));
        }
    };
    let subtasks: Result<Vec<Subtask>, AskedError> =
        subtasks.into_iter().enumerate().map(|(index, subtask)| subtask.read(index)).collect();
    Ok(Mode::Group(Group { mode: group, need }, subtasks?))
}

impl SubtaskWire {
    fn read(self, index: usize) -> Result<Subtask, AskedError> {
        let wrong = |member: &str, problem: String| AskedError {
            member: format!(".subtasks[{index}]{member}"),
            problem,
        };
        check_skill(self.skill.as_deref()).map_err(|problem| wrong(".skill", problem))?;
        if self.parts.is_empty() {
            return Err(wrong(".parts", "expected at least one part".to_owned()));
        }
        let scope = self.scope.map(Scope::parse).transpose();
        let scope = scope.map_err(|error| wrong(".scope", error.to_string()))?;
        Ok(Subtask { agent: self.agent, skill: self.skill, parts: self.parts, scope })
    }
}

fn read_budget(raw: &RawValue) -> Result<Ceilings, AskedError> {
    let expected = "expected {usd: \"2.00\" (a string with 2 to 6 decimals), calls, tokens, fanout}";
    let wrong =
        |found: &str| AskedError { member: ".budget".to_owned(), problem: format!("{expected}{found}") };
    let amounts: AmountsWire =
        serde_json::from_str(raw.get()).map_err(|error| wrong(&format!("; {error}")))?;
    amounts.read().ok_or_else(|| wrong(""))
}

/// What is said of the task beside its message. Of several sub-tasks each would need its own.
fn read_specification(
    said: Specification,
    accept: Option<&RawValue>,
    mode: &Mode,
) -> Result<Option<Box<Specification>>, AskedError> {
    let within = |member: &str, wrong: Wrong| AskedError {
        member: format!("{member}{}", wrong.member),
        problem: wrong.problem,
    };
    let accept = accept.map(Acceptance::read).transpose().map_err(|wrong| within(".accept", wrong))?;
    let said = Specification { accept, ..said };
    said.check().map_err(|wrong| within("", wrong))?;
    let said = said.said().map(Box::new);
    if said.is_some() && !matches!(mode, Mode::Delegate) {
        let problem =
            "goal, constraints, expected, accept and context go with mode \"delegate\"; leave them out";
        return Err(AskedError { member: String::new(), problem: problem.to_owned() });
    }
    Ok(said)
}

/// What the agent is told with a task.
#[derive(Debug, Serialize)]
struct ToldWire<'a> {
    task: TaskId,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<TaskId>,
    root: TaskId,
    depth: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    skill: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    skills: &'a [String],
    scope: Vec<String>,
    deadline: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<AmountsWire>,
    broker: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    constraints: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    criteria: Option<Criteria<'a>>,
    #[serde(skip_serializing_if = "<[Given]>::is_empty")]
    given: &'a [Given],
}

/// Writes what the agent is told into the message it is sent, replacing what the delegator had put there.
/// `broker` is the base URL to call back; `grant` the signed token, absent where it would be of no use.
pub fn tell(
    message: &mut Message,
    passport: &Passport,
    broker: &str,
    grant: Option<&str>,
) -> Result<(), serde_json::Error> {
    let said = passport.specification.as_deref();
    let told = ToldWire {
        task: passport.task,
        parent: passport.parent,
        root: passport.root,
        depth: passport.depth,
        skill: passport.skill.as_deref(),
        skills: &passport.skills,
        scope: passport.scope.texts(),
        deadline: passport.deadline,
        budget: (!passport.budget.is_unlimited()).then(|| AmountsWire::of(&passport.budget)),
        broker,
        grant,
        goal: said.and_then(|said| said.goal.as_deref()),
        constraints: said.map_or(&[], |said| &said.constraints),
        expected: said.and_then(|said| said.expected.as_deref()),
        criteria: said.and_then(Criteria::of),
        given: &passport.given,
    };
    message.metadata.set(URI, &told)
}

/// What an agent says it used up by itself, if it says so in a form that can be read: in the event, or in the message
/// of the status it reports.
pub fn cost_in(event: &StreamResponse) -> Option<Cost> {
    let of_status = |status: &TaskStatus| cost_of(&status.message.as_ref()?.metadata);
    match event {
        StreamResponse::Task(task) => cost_of(&task.metadata).or_else(|| of_status(&task.status)),
        StreamResponse::StatusUpdate(update) => {
            cost_of(&update.metadata).or_else(|| of_status(&update.status))
        }
        StreamResponse::Message(message) => cost_of(&message.metadata),
        StreamResponse::ArtifactUpdate(_) => None,
    }
}

/// Delegations the broker counts itself, whatever an agent says of them.
fn cost_of(metadata: &Metadata) -> Option<Cost> {
    #[derive(Deserialize)]
    struct Said {
        cost: Option<AmountsWire>,
    }
    let said: Said = serde_json::from_str(metadata.get(URI)?.get()).ok()?;
    said.cost?.read().map(|cost| Cost { fanout: None, ..cost })
}

/// The members of an object, each as it came; nothing for what is no object.
fn members_of(raw: &RawValue) -> Option<BTreeMap<String, Box<RawValue>>> {
    serde_json::from_str(raw.get()).ok()
}

/// Metadata without what only the broker may state.
pub fn without_broker_data(mut metadata: Metadata) -> Metadata {
    let Some(mut members) = metadata.get(URI).and_then(members_of) else { return metadata };
    let before = members.len();
    members.retain(|member, _| !BROKER_ONLY.contains(&member.as_str()));
    let unwritten = members.len() < before && metadata.set(URI, &members).is_err();
    if members.is_empty() || unwritten {
        metadata.remove(URI);
    }
    metadata
}

/// Metadata without who judges and by what, which is none of the judged one's business.
pub fn without_judge(mut metadata: Metadata) -> Metadata {
    let Some(mut said) = metadata.get(URI).and_then(members_of) else { return metadata };
    let Some(mut accept) = said.get("accept").and_then(|raw| members_of(raw)) else { return metadata };
    if accept.remove("judge").is_none() {
        return metadata;
    }
    said.remove("accept");
    if let Ok(rest) = serde_json::value::to_raw_value(&accept)
        && !accept.is_empty()
    {
        said.insert("accept".to_owned(), rest);
    }
    if metadata.set(URI, &said).is_err() {
        metadata.remove(URI);
    }
    metadata
}

/// An agent's artifact as callers see it.
pub(crate) fn clean_artifact(mut artifact: Artifact) -> Artifact {
    artifact.metadata = without_broker_data(artifact.metadata);
    artifact
}

/// Metadata that also says what became of the checks.
pub(crate) fn with_acceptance(metadata: Metadata, verdict: &Verdict) -> Metadata {
    with_member(metadata, "acceptance", verdict)
}

/// Metadata with one member of the extension's data said anew. It is plain data; were it not serialisable, the rest would
/// still be worth showing.
fn with_member(mut metadata: Metadata, name: &str, said: &impl Serialize) -> Metadata {
    let mut members = metadata.get(URI).and_then(members_of).unwrap_or_default();
    if let Ok(said) = serde_json::value::to_raw_value(said) {
        members.insert(name.to_owned(), said);
        let _ = metadata.set(URI, &members);
    }
    metadata
}
