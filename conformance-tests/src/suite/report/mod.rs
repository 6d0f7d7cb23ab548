//! What was found: a verdict on every requirement, put together from its checks on every binding.

mod json;
mod junit;
mod text;

use super::binding::Kind;
use super::requirement::{Level, Requirement, Trace};
use super::server::Server;

/// What came of a check, or of a requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As required; what was seen.
    Pass(String),
    /// Otherwise; what was seen.
    Fail(String),
    /// Not seen; why.
    Skip(String),
}

impl Verdict {
    /// In one word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pass(_) => "pass",
            Self::Fail(_) => "fail",
            Self::Skip(_) => "skip",
        }
    }

    /// What was seen, or why nothing was.
    pub fn seen(&self) -> &str {
        match self {
            Self::Pass(text) | Self::Fail(text) | Self::Skip(text) => text,
        }
    }
}

/// What came of a check on a binding.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The check.
    pub check: &'static str,
    /// The binding; none for a check of the server.
    pub binding: Option<Kind>,
    /// What came of it.
    pub verdict: Verdict,
}

/// A requirement, judged.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The requirement.
    pub requirement: Requirement,
    /// The title of its section.
    pub section: String,
    /// What came of its checks.
    pub outcomes: Vec<Outcome>,
}

impl Judged {
    /// Fails if any check fails, passes if any passes and none fails.
    pub fn verdict(&self) -> Verdict {
        let first = |wanted: &str| self.outcomes.iter().find(|outcome| outcome.verdict.name() == wanted);
        let found = first("fail").or_else(|| first("pass")).or_else(|| first("skip"));
        found.map_or_else(|| Verdict::Skip("not on these bindings".into()), |outcome| outcome.verdict.clone())
    }

    /// What came out as the requirement did, one entry a check: the bindings it was seen on, the check, what was seen.
    pub fn grounds(&self) -> Vec<(Vec<&'static str>, &'static str, &str)> {
        let verdict = self.verdict();
        let mut grounds: Vec<(Vec<&'static str>, &'static str, &str)> = Vec::new();
        for outcome in self.outcomes.iter().filter(|outcome| outcome.verdict.name() == verdict.name()) {
            match grounds.iter_mut().find(|(_, check, _)| *check == outcome.check) {
                Some((places, ..)) => places.push(place(outcome)),
                None => grounds.push((vec![place(outcome)], outcome.check, outcome.verdict.seen())),
            }
        }
        grounds
    }

    /// Whether the server was seen to do otherwise.
    pub fn failed(&self) -> bool {
        matches!(self.verdict(), Verdict::Fail(_))
    }
}

/// What was found out about a server.
pub struct Report {
    /// The URL it was judged at.
    pub url: String,
    /// The name in its card.
    pub name: String,
    /// The bindings it was judged on.
    pub bindings: Vec<Kind>,
    /// The specification.
    pub specification: String,
    /// The judged requirements, in order.
    pub judged: Vec<Judged>,
}

impl Report {
    pub(super) fn new(server: &Server, trace: &Trace, outcomes: &[Outcome], only: &str) -> Self {
        let mut judged = Vec::new();
        for section in &trace.sections {
            for requirement in &section.requirements {
                let chosen = |outcome: &&Outcome| {
                    let named = requirement.id.starts_with(only) || outcome.check.starts_with(only);
                    let of_section = binding_of(&requirement.id);
                    let here =
                        of_section.is_none() || outcome.binding.is_none() || of_section == outcome.binding;
                    named && here && requirement.checks.iter().any(|name| name == outcome.check)
                };
                let outcomes: Vec<Outcome> = outcomes.iter().filter(chosen).cloned().collect();
                let asked = !requirement.checks.is_empty() && requirement.id.starts_with(only);
                if asked || !outcomes.is_empty() {
                    let (requirement, section) = (requirement.clone(), section.title.clone());
                    judged.push(Judged { requirement, section, outcomes });
                }
            }
        }
        Self {
            url: server.subject.url.clone(),
            name: server.card["name"].as_str().unwrap_or("no name").to_owned(),
            bindings: server.bindings.iter().map(|binding| binding.kind).collect(),
            specification: trace.specification.clone(),
            judged,
        }
    }

    /// The part of it that is about one binding, and about the server as a whole.
    #[must_use]
    pub fn on(&self, kind: Kind) -> Self {
        let of_binding =
            |judged: &&Judged| binding_of(&judged.requirement.id).is_none_or(|only| only == kind);
        let judged = self.judged.iter().filter(of_binding).map(|judged| {
            let here = |outcome: &&Outcome| outcome.binding.is_none_or(|binding| binding == kind);
            Judged { outcomes: judged.outcomes.iter().filter(here).cloned().collect(), ..judged.clone() }
        });
        Self {
            url: self.url.clone(),
            name: self.name.clone(),
            bindings: vec![kind],
            specification: self.specification.clone(),
            judged: judged.collect(),
        }
    }

    /// How many requirements of a level came out so.
    pub fn count(&self, level: Level, verdict: &str) -> usize {
        let same = |judged: &&Judged| judged.requirement.level == level && judged.verdict().name() == verdict;
        self.judged.iter().filter(same).count()
    }

    /// The requirements of a level the server was seen not to meet.
    pub fn failures(&self, level: Level) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(move |judged| judged.requirement.level == level && judged.failed())
    }

    /// The exit code: 0 if no MUST failed, else 1.
    pub fn exit_code(&self) -> u8 {
        u8::from(self.failures(Level::Must).next().is_some())
    }

    /// For people.
    pub fn text(&self) -> String {
        text::written(self)
    }

    /// For programs.
    pub fn json(&self) -> String {
        json::written(self)
    }

    /// For continuous integration.
    pub fn junit(&self) -> String {
        junit::written(self)
    }
}

/// The binding a section is about.
fn binding_of(requirement: &str) -> Option<Kind> {
    match requirement.split('.').next() {
        Some("9") => Some(Kind::JsonRpc),
        Some("10") => Some(Kind::Grpc),
        Some("11") => Some(Kind::HttpJson),
        _ => None,
    }
}

/// The name of the binding of an outcome.
fn place(outcome: &Outcome) -> &'static str {
    outcome.binding.map_or("card", Kind::name)
}
