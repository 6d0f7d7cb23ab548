//! What people see: tasks, events, tables and trees as text.

use protocol::{Artifact, Message, StreamResponse, Task, TaskState};
use serde::Deserialize;
use serde_json::Value;

use crate::service::Health;

/// A state without its wire prefix.
pub(crate) fn state(state: TaskState) -> &'static str {
    state.as_str().trim_start_matches("TASK_STATE_")
}

/// A task: state, message, artifacts.
pub(super) fn task(task: &Task) -> String {
    let mut lines = vec![format!("{} {}", task.id, state(task.status.state))];
    lines.extend(task.status.message.as_ref().map(|said| format!("  {}", said.joined_text())));
    lines.extend(task.artifacts.iter().map(artifact));
    lines.join("\n")
}

fn artifact(artifact: &Artifact) -> String {
    let name = artifact.name.as_deref().unwrap_or(&artifact.artifact_id);
    let content: Vec<String> = artifact
        .parts
        .iter()
        .map(|part| part.as_text().unwrap_or_else(|| part.raw().get().to_owned()))
        .collect();
    format!("  [{name}] {}", content.join(""))
}

/// A message.
pub(super) fn message(message: &Message) -> String {
    message.joined_text()
}

/// One event of a stream.
pub(crate) fn event(event: &StreamResponse) -> String {
    match event {
        StreamResponse::Task(shown) => task(shown),
        StreamResponse::Message(said) => message(said),
        StreamResponse::StatusUpdate(update) => {
            let said = update.status.message.as_ref().map(|said| said.joined_text()).unwrap_or_default();
            format!("{} {said}", state(update.status.state)).trim_end().to_owned()
        }
        StreamResponse::ArtifactUpdate(update) => artifact(&update.artifact),
    }
}

/// A tree, from summaries in which parents come before children.
pub(crate) fn tree(tasks: &[Value]) -> String {
    let Some(root) = tasks.first() else { return String::new() };
    let mut lines = vec![summary(root)];
    branches(tasks, text(root, "task"), "", &mut lines);
    lines.join("\n")
}

fn branches(tasks: &[Value], parent: &str, indent: &str, lines: &mut Vec<String>) {
    let children: Vec<&Value> = tasks.iter().filter(|task| text(task, "parent") == parent).collect();
    for (index, child) in children.iter().enumerate() {
        let is_last = index + 1 == children.len();
        let (branch, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        lines.push(format!("{indent}{branch}{}", summary(child)));
        branches(tasks, text(child, "task"), &format!("{indent}{below}"), lines);
    }
}

fn summary(task: &Value) -> String {
    let skill =
        task.get("skill").and_then(Value::as_str).map(|skill| format!("/{skill}")).unwrap_or_default();
    let scope: Vec<&str> =
        task.get("scope").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let attempts = task.get("attempts").and_then(Value::as_array).map_or(0, Vec::len);
    let again = if attempts > 1 { format!("  {attempts} attempts") } else { String::new() };
    format!(
        "{}{skill}  {}  {}  scope: {}{again}{}",
        text(task, "agent"),
        text(task, "state").trim_start_matches("TASK_STATE_"),
        text(task, "task"),
        if scope.is_empty() { "nothing".to_owned() } else { scope.join(" ") },
        checks(task),
    )
}

/// What became of the checks of its result, and of those that came before.
fn checks(task: &Value) -> String {
    let attempts = task.get("attempts").and_then(Value::as_array).into_iter().flatten();
    let unaccepted = attempts.filter(|attempt| text(attempt, "state") == "unaccepted");
    let refused = unaccepted.map(|attempt| text(attempt, "reason").to_owned());
    let verdict = match task.pointer("/acceptance/verdict").and_then(Value::as_str) {
        _ if task.get("checking") == Some(&Value::Bool(true)) => Some("being checked".to_owned()),
        Some("failed") | None => None,
        Some(verdict) => {
            let checks = task.pointer("/acceptance/checks").and_then(Value::as_array).into_iter().flatten();
            let reasons: Vec<&str> =
                checks.map(|check| text(check, "reason")).filter(|reason| !reason.is_empty()).collect();
            let why = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
            Some(format!("result {verdict}{why}"))
        }
    };
    refused.chain(verdict).flat_map(|said| ["  ".to_owned(), said]).collect()
}

/// Agents, one a line.
pub(super) fn agents(agents: &[Value]) -> String {
    if agents.is_empty() {
        return "no agents; add one with `bailiwick agent add NAME URL`".to_owned();
    }
    agents.iter().map(|agent| overview(agent).join("\n")).collect::<Vec<_>>().join("\n")
}

/// One agent, with how its card has changed.
pub(super) fn agent(agent: &Value) -> String {
    let mut lines = overview(agent);
    let drift = agent.get("drift").and_then(Value::as_array).into_iter().flatten();
    lines.extend(drift.filter_map(Value::as_str).map(|change| format!("  card: {change}")));
    lines.join("\n")
}

fn overview(agent: &Value) -> Vec<String> {
    let list = |name: &str, of: fn(&Value) -> Option<&str>| -> String {
        let items = agent.get(name).and_then(Value::as_array).into_iter().flatten();
        let items: Vec<&str> = items.filter_map(of).collect();
        if items.is_empty() { "none".to_owned() } else { items.join(" ") }
    };
    let skills = list("skills", |skill| skill.get("id").and_then(Value::as_str));
    let caps = list("caps", Value::as_str);
    let mut lines =
        vec![format!("{:<20} {}  skills: {skills}  caps: {caps}", text(agent, "name"), text(agent, "url"))];
    let warnings = agent.get("warnings").and_then(Value::as_array).into_iter().flatten();
    lines.extend(warnings.filter_map(Value::as_str).map(|warning| format!("  warning: {warning}")));
    if let Some(health) = agent.get("health").and_then(|health| Health::deserialize(health).ok()) {
        lines.push(format!("  health: {health}"));
    }
    if let Some(until) = agent.get("down_until").and_then(Value::as_str) {
        lines.push(format!("  not tried before {until}: it did not answer lately"));
    }
    if let Some(card) = agent.get("pending_card").and_then(Value::as_str) {
        let name = text(agent, "name");
        lines.push(format!(
            "  its card claims more than the one in use; to use it: bailiwick agent accept {name} --card {card}"
        ));
    }
    lines
}

/// What came of a probe.
pub(super) fn probed(probed: &Value) -> String {
    let answer = match text(probed, "outcome") {
        "answered" => match probed.pointer("/answer/state").and_then(Value::as_str) {
            Some(state) => format!("answered with a task, {}", state.trim_start_matches("TASK_STATE_")),
            None => "answered with a message".to_owned(),
        },
        "unavailable" => "could not be reached, or takes nothing now".to_owned(),
        "errored" => "answered with an error".to_owned(),
        "invalid" => "answered with something that is not A2A".to_owned(),
        "broken" => "broke off".to_owned(),
        "timed_out" => "did not answer in time".to_owned(),
        outcome => outcome.to_owned(),
    };
    let said = probed.get("said").and_then(Value::as_str).map(|said| format!(": {said}")).unwrap_or_default();
    let latency = probed.get("latency_ms").and_then(Value::as_u64).unwrap_or_default();
    let spoken = format!("{} {}", text(probed, "binding"), text(probed, "version"));
    let mut lines = vec![format!("{} {answer}{said}  {latency} ms  {spoken}", text(probed, "agent"))];
    if let Some(said) = probed.pointer("/cleaned_up/said").and_then(Value::as_str) {
        lines.push(format!("  its task: {said}"));
    }
    lines.join("\n")
}

/// Tasks, one a line.
pub(super) fn tasks(tasks: &[Task]) -> String {
    let line = |task: &Task| {
        let summary: Option<Value> = task.metadata.get_as(broker_core::extension::URI);
        let agent = summary.as_ref().map_or("", |summary| text(summary, "agent"));
        let since = task.status.timestamp.map(|at| at.to_string()).unwrap_or_default();
        format!("{}  {:<14} {agent:<20} {since}", task.id, state(task.status.state))
    };
    tasks.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// Tasks that wait for approval, a line each.
pub(super) fn approvals(waiting: &[Value]) -> String {
    if waiting.is_empty() {
        return "nothing waits for approval".to_owned();
    }
    let line = |approval: &Value| {
        let text = |member: &str| approval.get(member).and_then(Value::as_str).unwrap_or_default();
        let missing = approval.get("missing").and_then(Value::as_array).into_iter().flatten();
        let missing: Vec<&str> = missing.filter_map(Value::as_str).collect();
        format!("{}  {}  for {}  lacks {}", text("task"), text("agent"), text("owner"), missing.join(" "))
    };
    waiting.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Whom a request is for.
pub(super) fn selected(selected: &Value, explain: bool) -> String {
    let number = |value: &Value, member: &str| value.get(member).and_then(Value::as_f64).unwrap_or_default();
    let list = |member: &str| selected.get(member).and_then(Value::as_array).cloned().unwrap_or_default();
    let confidence = 100.0 * number(selected, "confidence");
    let mut lines = vec![match text(selected, "verdict") {
        "out_of_scope" => "none of the agents is for this".to_owned(),
        "only" => "only one agent can do this".to_owned(),
        verdict => format!("{verdict}, {confidence:.0} % sure"),
    }];
    lines.extend(list("candidates").iter().map(|one| {
        let probability = 100.0 * number(one, "probability");
        format!("  {:<24} {probability:>5.1} %  {}", text(one, "agent"), text(one, "description"))
    }));
    if !explain {
        lines.extend(list("stages").iter().filter_map(Value::as_str).map(|stage| format!("  {stage}")));
    }
    lines.extend(
        list("excluded").iter().map(|one| format!("  not {}: {}", text(one, "agent"), text(one, "reason"))),
    );
    if explain {
        lines.push(text(selected, "explanation").trim_end().to_owned());
    }
    lines.join("\n")
}

/// What an agent is advised to do.
pub(super) fn advice(advice: &Value) -> String {
    let list = |member: &str| {
        let all = advice.get(member).and_then(Value::as_array).cloned().unwrap_or_default();
        all.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect::<Vec<_>>().join(", ")
    };
    let disagreement = advice.get("disagreement").and_then(Value::as_f64).unwrap_or_default();
    let mut lines = vec![format!("{} (disagreement {disagreement:.2})", text(advice, "verdict"))];
    let named = [
        ("uncertain about", "uncertain_words"),
        ("between", "uncertain_agents"),
        ("missing", "missing"),
        ("ask", "delegates"),
    ];
    let named = named.into_iter().map(|(what, member)| (what, list(member)));
    lines.extend(
        named.filter(|(_, names)| !names.is_empty()).map(|(what, names)| format!("  {what}: {names}")),
    );
    lines.join("\n")
}
