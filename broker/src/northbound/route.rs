//! Paths: what is asked for, and of whom.

use protocol::binding::http_json::percent_decode;

use super::api;
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
    /// What the broker counts.
    Metrics,
    /// The operator API.
    Api(api::Resource),
    /// A file of the web console; without a name, its page.
    Console(String),
    /// Where grants are exchanged, looked at and given up.
    Tokens(TokenEndpoint),
    /// The fleet as tools.
    Mcp,
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
        ["metrics"] => Route::Metrics,
        // The second is where agents before 0.3 had it, and some of 0.3's clients still look.
        [".well-known", "agent-card.json" | "agent.json"] => Route::Card(Target::Any),
        [".well-known", "jwks.json"] => Route::Jwks,
        [".well-known", "card-jwks.json"] => Route::CardJwks,
        ["token"] => Route::Tokens(TokenEndpoint::Token),
        ["introspect"] => Route::Tokens(TokenEndpoint::Introspect),
        ["revoke"] => Route::Tokens(TokenEndpoint::Revoke),
        ["api", "v1", rest @ ..] => api::route(rest).map_or(Route::Unknown, Route::Api),
        ["console"] => Route::Console(String::new()),
        ["console", file] => Route::Console((*file).to_owned()),
        ["mcp"] => Route::Mcp,
        ["push", token] => Route::Push((*token).to_owned()),
        ["agents", name, rest @ ..] => below_agent(method, &percent_decode(name), rest),
        [] | ["api" | "console" | "push" | ".well-known", ..] => Route::Unknown,
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
    use crate::northbound::api::{Endpoint, Resource};

    fn agent(name: &str) -> Target {
        Target::Agent(name.to_owned())
    }

    #[test]
    fn a_cards_signature_points_to_where_its_keys_are() {
        assert_eq!(route("GET", crate::service::CARD_JWKS_PATH), Route::CardJwks);
    }

    #[test]
    fn paths_lead_where_the_documentation_says() {
        let api = |endpoints: &[Endpoint], names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Route::Api(Resource { endpoints: endpoints.to_vec(), names })
        };
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
            ("GET", "/api/v1/tasks/x/tree", api(&[Endpoint::ShowTree], &["x"])),
            ("POST", "/api/v1/agents/a/accept", api(&[Endpoint::AcceptCard], &["a"])),
            ("POST", "/api/v1/agents/a/probe", api(&[Endpoint::ProbeAgent], &["a"])),
            ("GET", "/api/v1/audit", api(&[Endpoint::ReadAudit], &[])),
            ("POST", "/api/v1/tasks/x/revoke", api(&[Endpoint::RevokeTask], &["x"])),
            ("POST", "/token", Route::Tokens(TokenEndpoint::Token)),
            ("DELETE", "/api/v1/agents/a", api(&[Endpoint::ShowAgent, Endpoint::RemoveAgent], &["a"])),
            ("GET", "/api/v1/push/dead-letters", api(&[Endpoint::ListDeadLetters], &[])),
            ("POST", "/mcp", Route::Mcp),
            ("GET", "/mcp/", Route::Mcp),
            ("POST", "/push/x", Route::Push("x".to_owned())),
            ("POST", "/push/x/y", Route::Unknown),
            ("GET", "/console", Route::Console(String::new())),
            ("GET", "/console/main.js", Route::Console("main.js".to_owned())),
            ("GET", "/console/a/b", Route::Unknown),
            ("GET", "/api/v1/nothing", Route::Unknown),
            ("GET", "/agents/UPPER/tasks", Route::Unknown),
            ("GET", "/", Route::Unknown),
        ];
        for (method, path, expected) in table {
            assert_eq!(route(method, path), expected, "{method} {path}");
        }
    }
}
