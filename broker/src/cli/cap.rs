//! `bailiwick cap`: what capabilities come to, worked out on the spot; no broker is asked.

use std::time::SystemTime;

use capability::ledger::Ceilings;
use capability::{
    Decision, Demand, DenyRule, Explanation, Factor, Giver, Scope, SkillRequirement, Step, explain,
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// Explains how scopes are given, below each command's own examples.
const SCOPES: &str =
    "A SCOPE is canonical texts with spaces between them, or @FILE to read them from a file.";

#[derive(Debug, Subcommand)]
pub(super) enum CapCommand {
    /// What both of two scopes admit.
    #[command(after_help = format!("Examples:
  bailiwick cap meet 'mcp:tool/*{{calls<=20}}' 'mcp:tool/search fs:path/docs/**'
  bailiwick cap meet @hold.txt @caps.txt

{SCOPES}"))]
    Meet {
        /// One scope.
        #[arg(value_name = "SCOPE")]
        one: String,
        /// The other.
        #[arg(value_name = "SCOPE")]
        other: String,
    },
    /// Whether one scope lies within another, and if not, what of it does not.
    ///
    /// Exit code: 0 it does, 1 it does not, 2 a scope could not be read.
    #[command(after_help = format!("Examples:
  bailiwick cap check 'mcp:tool/search{{calls<=5}}' 'mcp:tool/*{{calls<=20}}'
  bailiwick cap check a2a:skill/writer/draft 'a2a:skill/researcher/*'

{SCOPES}"))]
    Check {
        /// The scope that should lie within.
        #[arg(value_name = "SCOPE")]
        inner: String,
        /// The scope it should lie within.
        #[arg(value_name = "SCOPE")]
        outer: String,
    },
    /// Decide a delegation as a broker would, and say why, step by step.
    ///
    /// Exit code: 0 allowed, 1 denied, 2 something could not be read.
    #[command(after_help = format!("Examples:
  bailiwick cap explain --hold 'a2a:skill/writer/* mcp:tool/search{{calls<=9}}' \\
    --caps 'mcp:tool/*{{calls<=4}}' --agent writer --skill draft
  bailiwick cap explain --caps 'mcp:tool/search' --agent writer --skill draft \\
    --requires draft=mcp:tool/search --requires 'draft=pay:invoice/*'
  bailiwick cap explain --hold @hold.txt --asked mcp:tool/search --caps @caps.txt --agent writer

{SCOPES}"))]
    Explain(Explain),
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// What the delegating task holds; left out, everything, as for a root task of an open broker.
    #[arg(long, value_name = "SCOPE")]
    hold: Option<String>,
    /// The hold is a principal's, for a root task: passing it on costs no hop.
    #[arg(long)]
    principal: bool,
    /// What it asks to pass on; left out, all it can.
    #[arg(long, value_name = "SCOPE")]
    asked: Option<String>,
    /// What the operator lets the agent hold (its `--cap`s).
    #[arg(long, value_name = "SCOPE")]
    caps: String,
    /// What the account's policy admits; left out, everything.
    #[arg(long, value_name = "SCOPE")]
    policy: Option<String>,
    /// The agent that is to do it.
    #[arg(long, value_name = "NAME")]
    agent: String,
    /// The skill meant; left out, any.
    #[arg(long, value_name = "ID")]
    skill: Option<String>,
    /// A skill of the agent's card and what it requires; may be given more than once, `SKILL=` requires nothing.
    #[arg(long, value_name = "SKILL=SCOPE")]
    requires: Vec<String>,
}

/// A result: for people, for programs, and as an exit code.
pub(super) struct Answer {
    pub(super) is_yes: bool,
    pub(super) text: String,
    pub(super) json: Value,
}

/// Answers a question about capabilities.
pub(super) fn answer(command: &CapCommand) -> Result<Answer, String> {
    match command {
        CapCommand::Meet { one, other } => {
            let meet = read("SCOPE", one)?.meet(&read("SCOPE", other)?).map_err(|limit| limit.to_string())?;
            let json = json!({ "meet": meet.texts() });
            Ok(Answer { is_yes: true, text: lines(&meet), json })
        }
        CapCommand::Check { inner, outer } => {
            let (inner, outer) = (read("SCOPE", inner)?, read("SCOPE", outer)?);
            let outside: Vec<String> =
                inner.iter().filter(|ours| !outer.covers(ours)).map(ToString::to_string).collect();
            let is_yes = inner.le(&outer);
            let text = match outside.as_slice() {
                [] => "within".to_owned(),
                outside => format!("not within; nothing there covers {}", outside.join(" ")),
            };
            Ok(Answer { is_yes, text, json: json!({ "within": is_yes, "outside": outside }) })
        }
        CapCommand::Explain(asked) => explained(asked),
    }
}

fn explained(given: &Explain) -> Result<Answer, String> {
    let optional = |name: &str, text: &Option<String>| text.as_ref().map(|text| read(name, text)).transpose();
    let hold = optional("--hold", &given.hold)?.unwrap_or_else(Scope::top);
    let (asked, policy) = (optional("--asked", &given.asked)?, optional("--policy", &given.policy)?);
    let caps = read("--caps", &given.caps)?;
    let skills = requirements(&given.requires)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let is_root = given.principal || given.hold.is_none();
    let why = explain(&Demand {
        hold: &hold,
        giver: if is_root { Giver::Principal } else { Giver::Task },
        asked: asked.as_ref(),
        budget: Ceilings::default(),
        caps: &caps,
        policy: policy.as_ref(),
        agent: &given.agent,
        skill: given.skill.as_deref(),
        skills: &skills,
        now: now.as_secs(),
        recent: &[],
    });
    let is_yes = matches!(why.decision, Decision::Allow(_));
    Ok(Answer { is_yes, text: in_words(&why, &given.agent), json: as_json(&why, &given.agent) })
}

/// Reads `SKILL=SCOPE`s; several for one skill add up.
fn requirements(given: &[String]) -> Result<Vec<SkillRequirement>, String> {
    let mut skills: Vec<SkillRequirement> = Vec::new();
    for text in given {
        let (id, requires) = text.split_once('=').ok_or_else(|| {
            format!("--requires {text:?}: expected SKILL=SCOPE, such as summarize=mcp:tool/search")
        })?;
        let requires = read("--requires", requires)?;
        match skills.iter_mut().find(|known| known.id == id) {
            Some(known) => known.requires = known.requires.join(&requires),
            None => skills.push(SkillRequirement { id: id.to_owned(), requires }),
        }
    }
    Ok(skills)
}

fn read(name: &str, given: &str) -> Result<Scope, String> {
    let text = match given.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(|error| format!("{name}: {path}: {error}"))?,
        None => given.to_owned(),
    };
    Scope::parse(text.split_whitespace()).map_err(|problem| format!("{name}: {problem}"))
}

fn lines(scope: &Scope) -> String {
    if scope.is_empty() { "nothing".to_owned() } else { scope.texts().join("\n") }
}

/// A scope in a sentence.
fn brief(scope: &Scope) -> String {
    if scope.is_top() { "everything".to_owned() } else { lines(scope).replace('\n', " ") }
}

fn in_words(why: &Explanation, agent: &str) -> String {
    let mut lines = vec![format!("hold    {}", brief(&why.hold))];
    for step in &why.steps {
        lines.push(format!("{:<7} leaves {}", name(step.factor), brief(&step.after)));
        lines.extend(changes(step).map(|change| format!("        {change}")));
    }
    match &why.decision {
        Decision::Allow(allowed) => {
            lines.push(format!("allowed, with {}", brief(&allowed.effective)));
            let skills =
                (!allowed.skills.is_empty()).then(|| format!("skills  {}", allowed.skills.join(" ")));
            lines.extend(skills);
        }
        Decision::Deny(denied) => {
            lines.push(format!("denied: {}", rule(denied.rule)));
            lines.push(denied.explanation.clone());
        }
    }
    for lack in &why.lacks {
        let by: Vec<&str> = lack.factors.iter().map(|factor| name(*factor)).collect();
        lines.push(format!("missing {}, not within {}", lack.capability, by.join(" and ")));
        let next = lack.factors.iter().map(|factor| remedy(*factor, agent, &lack.capability));
        lines.extend(next.map(|next| format!("        {next}")));
    }
    lines.join("\n")
}

/// What a factor took away, a line each.
fn changes(step: &Step) -> impl Iterator<Item = String> {
    let removed = step.removed().map(|gone| format!("- {gone}"));
    let narrowed = step.narrowed().map(|(from, to)| format!("~ {from}  to  {}", brief(&to)));
    removed.chain(narrowed)
}

fn as_json(why: &Explanation, agent: &str) -> Value {
    let scope = |scope: &Scope| serde_json::to_value(scope).unwrap_or_default();
    let step = |step: &Step| {
        let removed: Vec<String> = step.removed().map(ToString::to_string).collect();
        let narrowed: Vec<Value> =
            step.narrowed().map(|(from, to)| json!({ "from": from.to_string(), "to": to })).collect();
        json!({ "factor": name(step.factor), "leaves": scope(&step.after), "removed": removed, "narrowed": narrowed })
    };
    let steps: Vec<Value> = why.steps.iter().map(step).collect();
    let mut json = json!({ "hold": scope(&why.hold), "steps": steps });
    let verdict = match &why.decision {
        Decision::Allow(allowed) => {
            json!({ "allowed": true, "effective": scope(&allowed.effective), "skills": allowed.skills })
        }
        Decision::Deny(denied) => {
            let missing: Vec<Value> = why
                .lacks
                .iter()
                .map(|lack| {
                    let factors: Vec<&str> = lack.factors.iter().map(|factor| name(*factor)).collect();
                    let next: Vec<String> =
                        lack.factors.iter().map(|factor| remedy(*factor, agent, &lack.capability)).collect();
                    json!({ "capability": lack.capability, "lacking": factors, "next": next })
                })
                .collect();
            json!({ "allowed": false, "rule": denied.rule, "explanation": denied.explanation, "missing": missing })
        }
    };
    if let (Value::Object(json), Value::Object(verdict)) = (&mut json, verdict) {
        json.extend(verdict);
    }
    json
}

fn name(factor: Factor) -> &'static str {
    match factor {
        Factor::Hold => "hold",
        Factor::Passing => "passing",
        Factor::Asked => "asked",
        Factor::Caps => "caps",
        Factor::Policy => "policy",
    }
}

/// The rule's name, as in JSON and in the audit log.
fn rule(rule: DenyRule) -> String {
    match serde_json::to_value(rule) {
        Ok(Value::String(name)) => name,
        Ok(Value::Object(named)) => named.into_iter().map(|(name, _)| name).collect(),
        _ => String::new(),
    }
}

/// What to do about something a factor lacks.
fn remedy(factor: Factor, agent: &str, capability: &str) -> String {
    match factor {
        Factor::Hold => format!(
            "the delegator must hold it: add it to the principal's scope, or to the caps of every agent the task came \
             through (--cap '{capability}')"
        ),
        Factor::Passing => {
            format!("the delegator may use it but not pass it on: give it '{capability}' with more hops")
        }
        Factor::Asked => "ask for it too, or leave the asked scope out".to_owned(),
        Factor::Caps => {
            format!("register the agent with it: bailiwick agent add {agent} URL --cap '{capability}'")
        }
        Factor::Policy => "the account's policy must admit it".to_owned(),
    }
}
