//! Labelled sets: agents with their cards, and requests with the agents that are right for them.

use serde::Deserialize;
use thiserror::Error;

use crate::agent::Agent;

/// What a request may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// To learn from.
    Train,
    /// To learn from, or to choose by.
    Dev,
    /// To be scored by, never learned from.
    Test,
    /// The same, with several right answers.
    TestMulti,
}

/// One labelled request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its text.
    pub text: String,
    /// The agents that are right; none if it is out of scope.
    pub expected: Vec<String>,
    /// What it may be used for.
    pub split: Split,
}

/// A labelled set.
#[derive(Debug, Clone, Default)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// Its agents.
    pub agents: Vec<Agent>,
    /// Its requests.
    pub requests: Vec<Request>,
}

/// A set cannot be read.
#[derive(Debug, Error)]
pub enum SetError {
    /// A line is not of the expected form.
    #[error(
        "{file} of the set {set}, line {line}: {reason}; expected one JSON object a line, as the data's README says"
    )]
    Line {
        /// The set.
        set: String,
        /// The file.
        file: &'static str,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: serde_json::Error,
    },
    /// A request expects an agent there is none of.
    #[error(
        "the set {set} expects the agent {agent:?}, of which it has no card; add the card or remove the request"
    )]
    Agent {
        /// The set.
        set: String,
        /// The agent.
        agent: String,
    },
}

#[derive(Deserialize)]
struct Line {
    request: String,
    #[serde(default)]
    expected_agent_id: Option<String>,
    #[serde(default)]
    expected_agent_ids: Vec<String>,
    split: Split,
}

impl Set {
    /// Reads a set from the text of its two files.
    pub fn parse(name: &str, agents: &str, requests: &str) -> Result<Self, SetError> {
        let agents: Vec<Agent> = lines(name, "agents.jsonl", agents)?;
        let requests: Vec<Line> = lines(name, "requests.jsonl", requests)?;
        let requests: Vec<Request> = requests
            .into_iter()
            .map(|line| {
                let mut expected = line.expected_agent_ids;
                expected.extend(line.expected_agent_id);
                Request { text: line.request, expected, split: line.split }
            })
            .collect();
        let ids: std::collections::BTreeSet<&str> = agents.iter().map(|agent| agent.id.as_str()).collect();
        let unknown =
            requests.iter().flat_map(|request| &request.expected).find(|id| !ids.contains(id.as_str()));
        if let Some(agent) = unknown {
            return Err(SetError::Agent { set: name.to_owned(), agent: agent.clone() });
        }
        Ok(Self { name: name.to_owned(), agents, requests })
    }

    /// The requests to be scored.
    pub fn test(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(|request| matches!(request.split, Split::Test | Split::TestMulti))
    }

    /// The requests to learn from.
    pub fn lessons(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(|request| matches!(request.split, Split::Train | Split::Dev))
    }
}

fn lines<T: for<'a> Deserialize<'a>>(set: &str, file: &'static str, text: &str) -> Result<Vec<T>, SetError> {
    let filled = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    filled
        .map(|(at, line)| {
            serde_json::from_str(line).map_err(|reason| SetError::Line {
                set: set.to_owned(),
                file,
                line: at + 1,
                reason,
            })
        })
        .collect()
}
