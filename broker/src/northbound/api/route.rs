//! Paths below `/api/v1`: what is asked for.

use protocol::binding::http_json::percent_decode;

/// What a path of the operator API leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::northbound) enum Resource {
    /// The registry.
    Agents,
    /// One registered agent.
    Agent(String),
    /// The card of an agent that waits, to be accepted.
    AcceptCard(String),
    /// An agent, to be sent a real message.
    ProbeAgent(String),
    /// Who is asking.
    Whoami,
    /// Trees, the newest first.
    Trees,
    /// What happens in them, as it happens.
    Events,
    /// What was refused.
    Refusals,
    /// Who may use how much, and how much of it is gone.
    Quotas,
    /// The journal of what is below a task, in words.
    Log(String),
    /// The tree below a task.
    Tree(String),
    /// The grants of a task and of what is below it, to be revoked.
    RevokeTask(String),
    /// Tasks that wait for approval.
    Approvals,
    /// A task that waits for approval, to be granted or denied it.
    Decide(String, bool),
    /// A task whose outcome is unknown, to be decided about.
    Resolve(String),
    /// Whom a request is for.
    Select,
    /// Whether to go on, think again or delegate.
    Advise,
    /// What cards lack to be found well.
    LintCards,
    /// The audit log.
    Audit,
    /// The keys grants are signed with.
    Keys,
    /// The next of them is to follow.
    RotateKeys,
    /// The keys cards are signed with.
    CardKeys,
    /// The next of them is to follow.
    RotateCardKeys,
    /// All that the broker keeps, as one file.
    Backup,
    /// Receivers of push notifications that were given up.
    DeadLetters,
    /// One of them, to be taken up again: a task and a configuration.
    RetryDeadLetter(String, String),
}

/// Finds what the segments after `/api/v1` lead to.
pub(in crate::northbound) fn route(segments: &[&str]) -> Option<Resource> {
    let text = |segment: &str| percent_decode(segment).into_owned();
    Some(match segments {
        ["agents"] => Resource::Agents,
        ["agents", name] => Resource::Agent(text(name)),
        ["agents", name, "accept"] => Resource::AcceptCard(text(name)),
        ["agents", name, "probe"] => Resource::ProbeAgent(text(name)),
        ["whoami"] => Resource::Whoami,
        ["trees"] => Resource::Trees,
        ["events"] => Resource::Events,
        ["refusals"] => Resource::Refusals,
        ["quotas"] => Resource::Quotas,
        ["tasks", id, "log"] => Resource::Log(text(id)),
        ["tasks", id, "tree"] => Resource::Tree(text(id)),
        ["tasks", id, "revoke"] => Resource::RevokeTask(text(id)),
        ["tasks", id, "approve"] => Resource::Decide(text(id), true),
        ["tasks", id, "deny"] => Resource::Decide(text(id), false),
        ["tasks", id, "resolve"] => Resource::Resolve(text(id)),
        ["approvals"] => Resource::Approvals,
        ["select"] => Resource::Select,
        ["advise"] => Resource::Advise,
        ["cards", "lint"] => Resource::LintCards,
        ["audit"] => Resource::Audit,
        ["keys"] => Resource::Keys,
        ["keys", "rotate"] => Resource::RotateKeys,
        ["card-keys"] => Resource::CardKeys,
        ["card-keys", "rotate"] => Resource::RotateCardKeys,
        ["backup"] => Resource::Backup,
        ["push", "dead-letters"] => Resource::DeadLetters,
        ["push", "dead-letters", task, config, "retry"] => {
            Resource::RetryDeadLetter(text(task), text(config))
        }
        _ => return None,
    })
}

impl Resource {
    /// The methods it answers.
    pub(super) fn allow(&self) -> &'static str {
        match self {
            Self::Agents => "GET, POST",
            Self::Agent(_) => "GET, DELETE",
            Self::Tree(_)
            | Self::Log(_)
            | Self::Whoami
            | Self::Trees
            | Self::Events
            | Self::Refusals
            | Self::Quotas
            | Self::Approvals
            | Self::Audit
            | Self::LintCards
            | Self::Keys
            | Self::CardKeys
            | Self::DeadLetters => "GET",
            Self::AcceptCard(_)
            | Self::ProbeAgent(_)
            | Self::RevokeTask(_)
            | Self::Decide(..)
            | Self::Resolve(_)
            | Self::Select
            | Self::Advise
            | Self::Backup
            | Self::RotateKeys
            | Self::RotateCardKeys
            | Self::RetryDeadLetter(..) => "POST",
        }
    }
}
