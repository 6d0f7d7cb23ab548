//! What was refused, to whom and why: the audit log read backwards, for whoever owns the tree it was refused in. The log
//! itself is for operators; a refusal makes no task, so that it is told nowhere else once its caller has heard it.

use broker_core::audit::{By, Delegation, Event, Refused, Verdict};
use broker_core::{TaskId, Timestamp};
use protocol::A2aError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::{Broker, Target, error};

/// Entries of the log read at a time.
const CHUNK: u64 = 500;
/// Entries looked at for one page; after so many it is short and another one follows.
const LOOK_AT: u64 = 5_000;
/// Refusals on a page.
const PAGE: usize = 100;

/// A refusal, as shown.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Refusal {
    /// Number of the entry in the audit log.
    pub n: u64,
    /// When.
    pub at: Timestamp,
    /// Who asked: a principal, or the agent at work on `parent`.
    pub by: String,
    /// The principal that owns the tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The tree; of a refused root there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<TaskId>,
    /// The task that was to delegate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<TaskId>,
    /// The agent it was for.
    pub agent: String,
    /// The skill, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
    /// The reason's name, as on the wire.
    pub code: String,
    /// In words, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What was missing, as canonical texts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// What the delegating task held.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<String>,
    /// The agent's ceiling.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caps: Vec<String>,
}

/// A page of refusals, the newest first.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct RefusalsPage {
    /// The refusals.
    pub refusals: Vec<Refusal>,
    /// Where to go on: entries before this one; absent at the end. A page may be short, and others follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// What of an entry matters here; of other kinds of events nothing does.
#[derive(Deserialize)]
struct Entry {
    n: u64,
    at: Timestamp,
    event: Event,
}

impl Broker {
    /// What was refused before entry number `before` of the audit log, in one tree or in all the caller may see.
    pub async fn refusals(
        &self,
        caller: &Caller,
        tree: Option<&str>,
        before: Option<u64>,
    ) -> Result<RefusalsPage, A2aError> {
        let owner = caller.sees_trees_of()?;
        let tree = match tree {
            None => None,
            Some(task) => {
                let (cell, _) = self.find_readable(caller, &Target::Any, task).await?;
                let tree = cell.tree.lock().await;
                tree.overview().map(|overview| (overview.root, overview.created))
            }
        };
        let failed = |failure| error::store(&failure);
        // What is on its way into the log is written once this is answered.
        self.store.audit_log(u64::MAX, 0).await.map_err(failed)?;
        let head = self.store.audit_head().await.map_err(failed)?;
        let mut end = before.unwrap_or(u64::MAX).min(head.n.saturating_add(1));
        let floor = end.saturating_sub(LOOK_AT);
        let mut page = RefusalsPage::default();
        while end > 1 {
            if end <= floor || page.refusals.len() >= PAGE {
                page.next = Some(end);
                break;
            }
            let from = end.saturating_sub(CHUNK).max(1);
            let count = usize::try_from(end - from).unwrap_or(usize::MAX);
            let lines = self.store.audit_log(from - 1, count).await.map_err(failed)?;
            for line in lines.iter().rev() {
                let Ok(entry) = serde_json::from_slice::<Entry>(line) else { continue };
                if tree.is_some_and(|(_, began)| entry.at < began) {
                    return Ok(page);
                }
                let Event::Delegation(asked) = entry.event else { continue };
                let is_visible = owner.is_none_or(|owner| asked.owner.as_deref() == Some(owner));
                if is_visible && tree.is_none_or(|(root, _)| root == asked.root) {
                    page.refusals.extend(refusal(entry.n, entry.at, *asked));
                }
            }
            end = from;
        }
        Ok(page)
    }
}

fn refusal(n: u64, at: Timestamp, asked: Delegation) -> Option<Refusal> {
    let Delegation { by, owner, root, parent, agent, skill, judged, refused, .. } = asked;
    let Refused { code, why } = refused?;
    let (mut missing, mut held, mut caps) = <(Vec<String>, Vec<String>, Vec<String>)>::default();
    if let Some(judged) = judged {
        (held, caps) = (judged.hold.texts(), judged.caps.texts());
        if let Verdict::Denied { missing: lacking, .. } = judged.verdict {
            missing = lacking;
        }
    }
    let by = match by {
        By::Principal(name) => name,
        By::Task { agent, .. } => agent.unwrap_or_else(|| "an agent at work".to_owned()),
        By::Configuration => "configuration".to_owned(),
    };
    // A root that was refused never came to be.
    let root = parent.map(|_| root);
    Some(Refusal { n, at, by, owner, root, parent, agent, skill, code, why, missing, held, caps })
}
