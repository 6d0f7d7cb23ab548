//! What an agent can be called: a name is also the first segment of its paths at the broker.

/// Longest name of an agent.
const MAX_NAME_CHARS: usize = 63;
/// First path segments the broker serves itself, and its own name, which therefore name no agent.
const RESERVED_NAMES: [&str; 16] = [
    "agents",
    "api",
    // The agent of the broker's own tasks.
    "bailiwick",
    "console",
    "extendedagentcard",
    "healthz",
    "introspect",
    "mcp",
    "message",
    "metrics",
    "push",
    "readyz",
    "revoke",
    "tasks",
    "token",
    "v1",
];

/// Whether a name can be an agent's.
pub fn is_agent_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_NAME_CHARS).contains(&name.len())
        && name.bytes().all(fits)
        && !name.starts_with('-')
        && !RESERVED_NAMES.contains(&name)
}
