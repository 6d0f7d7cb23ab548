//! Paths: what is asked for, and of whom.

use protocol::binding::http_json::percent_decode;

use crate::service::{Target, is_agent_name};

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// A call by gRPC, whatever its path.
    Grpc,
    /// A JSON-RPC endpoint.
    JsonRpc(Target),
    /// An HTTP+JSON operation, its path below the target.
    HttpJson(Target, String),
    /// A card.
    Card(Target),
    /// An agent's own card.
    UpstreamCard(String),
    /// The keys that verify grants.
    Jwks,
    /// The keys that verify cards.
    CardJwks,
    /// Is the process alive.
    Health,
    /// Can it do its work.
    Ready,
    /// The registry.
    Agents,
    /// One registered agent.
    Agent(String),
    /// The card of an agent that waits, to be accepted.
    AcceptCard(String),
    /// An agent, to be sent a real message.
    ProbeAgent(String),
    /// The tree below a task.
    Tree(String),
    /// The audit log.
    Audit,
    /// Tasks that wait for approval.
    Approvals,
    /// A task that waits for approval, to be granted or denied it.
    Decide(String, bool),
    /// A task whose outcome is unknown, to be decided about.
    Resolve(String),
    /// The grants of a task and of what is below it, to be revoked.
    RevokeTask(String),
    /// The keys grants are signed with.
    Keys,
    /// The next of them is to follow.
    RotateKeys,
    /// The keys cards are signed with.
    CardKeys,
    /// The next of them is to follow.
    RotateCardKeys,
    /// Where grants are exchanged, looked at and given up.
    Tokens(TokenEndpoint),
    /// Receivers of push notifications that were given up.
    DeadLetters,
    /// One of them, to be taken up again: a task and a configuration.
    RetryDeadLetter(String, String),
    /// Where an agent pushes to, with the token that proves it.
    Push(String),
    /// Nothing is here.
    Unknown,
}

/// A token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenEndpoint {
    Token,
    Introspect,
    Revoke,
}

/// Finds what a path leads to. A trailing slash changes nothing.
pub(super) fn route(method: &str, path: &str) -> Route {
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match segments.as_slice() {
        [] if method == "POST" => Route::JsonRpc(Target::Any),
        ["healthz"] => Route::Health,
        ["readyz"] => Route::Ready,
        // The second is where agents before 0.3 had it, and some of 0.3's clients still look.
        [".well-known", "agent-card.json" | "agent.json"] => Route::Card(Target::Any),
        [".well-known", "jwks.json"] => Route::Jwks,
        [".well-known", "card-jwks.json"] => Route::CardJwks,
        ["token"] => Route::Tokens(TokenEndpoint::Token),
        ["introspect"] => Route::Tokens(TokenEndpoint::Introspect),
        ["revoke"] => Route::Tokens(TokenEndpoint::Revoke),
        ["api", "v1", "keys"] => Route::Keys,
        ["api", "v1", "keys", "rotate"] => Route::RotateKeys,
        ["api", "v1", "card-keys"] => Route::CardKeys,
        ["api", "v1", "card-keys", "rotate"] => Route::RotateCardKeys,
        ["api", "v1", "approvals"] => Route::Approvals,
        ["api", "v1", "tasks", id, "approve"] => Route::Decide(percent_decode(id).into_owned(), true),
        ["api", "v1", "tasks", id, "deny"] => Route::Decide(percent_decode(id).into_owned(), false),
        ["api", "v1", "tasks", id, "resolve"] => Route::Resolve(percent_decode(id).into_owned()),
        ["api", "v1", "tasks", id, "revoke"] => Route::RevokeTask(percent_decode(id).into_owned()),
        ["api", "v1", "agents"] => Route::Agents,
        ["api", "v1", "agents", name] => Route::Agent(percent_decode(name).into_owned()),
        ["api", "v1", "agents", name, "accept"] => Route::AcceptCard(percent_decode(name).into_owned()),
        ["api", "v1", "agents", name, "probe"] => Route::ProbeAgent(percent_decode(name).into_owned()),
        ["api", "v1", "tasks", id, "tree"] => Route::Tree(percent_decode(id).into_owned()),
        ["api", "v1", "audit"] => Route::Audit,
        ["api", "v1", "push", "dead-letters"] => Route::DeadLetters,
        ["api", "v1", "push", "dead-letters", task, config, "retry"] => {
            Route::RetryDeadLetter(percent_decode(task).into_owned(), percent_decode(config).into_owned())
        }
        ["push", token] => Route::Push((*token).to_owned()),
        ["agents", name, rest @ ..] => below_agent(method, &percent_decode(name), rest),
        [] | ["api" | "push" | ".well-known", ..] => Route::Unknown,
        // `/{tenant}/…`: the tenant is an agent's name.
        [tenant, rest @ ..] if !rest.is_empty() && is_agent_name(tenant) => {
            Route::HttpJson(Target::Agent((*tenant).to_owned()), format!("/{}", rest.join("/")))
        }
        _ => Route::HttpJson(Target::Any, path.to_owned()),
    }
}

fn below_agent(method: &str, name: &str, rest: &[&str]) -> Route {
    if !is_agent_name(name) {
        return Route::Unknown;
    }
    let target = Target::Agent(name.to_owned());
    match rest {
        [] if method == "POST" => Route::JsonRpc(target),
        [".well-known", "agent-card.json" | "agent.json"] => Route::Card(target),
        [".well-known", "upstream-agent-card.json"] => Route::UpstreamCard(name.to_owned()),
        [] | [".well-known", ..] => Route::Unknown,
        rest => Route::HttpJson(target, format!("/{}", rest.join("/"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: &str) -> Target {
        Target::Agent(name.to_owned())
    }

    #[test]
    fn a_cards_signature_points_to_where_its_keys_are() {
        assert_eq!(route("GET", crate::service::CARD_JWKS_PATH), Route::CardJwks);
    }

    #[test]
    fn paths_lead_where_the_documentation_says() {
        let rest = |target, path: &str| Route::HttpJson(target, path.to_owned());
        let table = [
            ("POST", "/", Route::JsonRpc(Target::Any)),
            ("POST", "/agents/a", Route::JsonRpc(agent("a"))),
            ("POST", "/agents/a/", Route::JsonRpc(agent("a"))),
            ("POST", "/message:send", rest(Target::Any, "/message:send")),
            ("POST", "/a/message:send", rest(agent("a"), "/message:send")),
            ("POST", "/agents/a/message:send", rest(agent("a"), "/message:send")),
            ("GET", "/tasks", rest(Target::Any, "/tasks")),
            ("POST", "/v1/message:send", rest(Target::Any, "/v1/message:send")),
            ("POST", "/agents/a/v1/message:send", rest(agent("a"), "/v1/message:send")),
            ("GET", "/tasks/x", rest(Target::Any, "/tasks/x")),
            ("GET", "/a/tasks/x", rest(agent("a"), "/tasks/x")),
            ("GET", "/agents/a/tasks/x:subscribe", rest(agent("a"), "/tasks/x:subscribe")),
            ("GET", "/.well-known/agent-card.json", Route::Card(Target::Any)),
            ("GET", "/agents/a/.well-known/agent-card.json", Route::Card(agent("a"))),
            ("GET", "/agents/a/.well-known/upstream-agent-card.json", Route::UpstreamCard("a".to_owned())),
            ("GET", "/api/v1/tasks/x/tree", Route::Tree("x".to_owned())),
            ("POST", "/api/v1/agents/a/accept", Route::AcceptCard("a".to_owned())),
            ("POST", "/api/v1/agents/a/probe", Route::ProbeAgent("a".to_owned())),
            ("GET", "/api/v1/audit", Route::Audit),
            ("POST", "/api/v1/tasks/x/revoke", Route::RevokeTask("x".to_owned())),
            ("POST", "/token", Route::Tokens(TokenEndpoint::Token)),
            ("GET", "/api/v1/push/dead-letters", Route::DeadLetters),
            ("POST", "/push/x", Route::Push("x".to_owned())),
            ("POST", "/push/x/y", Route::Unknown),
            ("GET", "/api/v1/nothing", Route::Unknown),
            ("GET", "/agents/UPPER/tasks", Route::Unknown),
            ("GET", "/", Route::Unknown),
        ];
        for (method, path, expected) in table {
            assert_eq!(route(method, path), expected, "{method} {path}");
        }
    }
}
