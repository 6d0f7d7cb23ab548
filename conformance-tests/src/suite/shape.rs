//! Whether JSON is what the proto says (`a2a.proto`, spec §4): required members, exactly one of several, enum names,
//! camelCase, timestamps. Each function lists what is wrong; an empty list is good.

use serde_json::Value;

/// States a task can be in.
const STATES: [&str; 8] = [
    "TASK_STATE_SUBMITTED",
    "TASK_STATE_WORKING",
    "TASK_STATE_COMPLETED",
    "TASK_STATE_FAILED",
    "TASK_STATE_CANCELED",
    "TASK_STATE_INPUT_REQUIRED",
    "TASK_STATE_REJECTED",
    "TASK_STATE_AUTH_REQUIRED",
];

/// Members whose content the protocol does not define.
const FREE: [&str; 5] = ["metadata", "data", "params", "header", "scopes"];
/// Members that are maps from names somebody chose.
const MAPS: [&str; 2] = ["securitySchemes", "schemes"];

/// What is wrong with a task.
pub fn task(task: &Value) -> Vec<String> {
    let mut wrong = texts(task, "task", &["id"]);
    wrong.extend(status(&task["status"]));
    for entry in list(&task["artifacts"]) {
        wrong.extend(artifact(entry));
    }
    for entry in list(&task["history"]) {
        wrong.extend(message(entry));
    }
    wrong
}

/// What is wrong with a status.
fn status(status: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    if !status["state"].as_str().is_some_and(|state| STATES.contains(&state)) {
        wrong.push(format!("status.state is {}", status["state"]));
    }
    if !status["message"].is_null() {
        wrong.extend(message(&status["message"]));
    }
    wrong
}

/// What is wrong with a message.
pub fn message(message: &Value) -> Vec<String> {
    let mut wrong = texts(message, "message", &["messageId"]);
    if message["role"] != "ROLE_USER" && message["role"] != "ROLE_AGENT" {
        wrong.push(format!("message.role is {}", message["role"]));
    }
    wrong.extend(parts(message, "message"));
    wrong
}

/// What is wrong with an artifact.
fn artifact(artifact: &Value) -> Vec<String> {
    let mut wrong = texts(artifact, "artifact", &["artifactId"]);
    wrong.extend(parts(artifact, "artifact"));
    wrong
}

fn parts(holder: &Value, name: &str) -> Vec<String> {
    let Some(parts) = holder["parts"].as_array().filter(|parts| !parts.is_empty()) else {
        return vec![format!("{name}.parts is {}", holder["parts"])];
    };
    let contents = |part: &&Value| {
        ["text", "raw", "url", "data"].iter().filter(|kind| part.get(**kind).is_some()).count() != 1
    };
    parts.iter().filter(contents).map(|part| format!("a part that is not exactly one kind: {part}")).collect()
}

/// What is wrong with a StreamResponse.
pub fn event(event: &Value) -> Vec<String> {
    let members: Vec<&str> = ["task", "message", "statusUpdate", "artifactUpdate"]
        .into_iter()
        .filter(|name| event.get(name).is_some_and(|member| !member.is_null()))
        .collect();
    let [member] = members.as_slice() else {
        return vec![format!("an event with {} members: {event}", members.len())];
    };
    let inner = &event[*member];
    match *member {
        "task" => task(inner),
        "message" => message(inner),
        "statusUpdate" => {
            let mut wrong = texts(inner, member, &["taskId", "contextId"]);
            wrong.extend(status(&inner["status"]));
            wrong
        }
        _ => {
            let mut wrong = texts(inner, member, &["taskId", "contextId"]);
            wrong.extend(artifact(&inner["artifact"]));
            wrong
        }
    }
}

/// What is wrong with an AgentCard.
pub fn card(card: &Value) -> Vec<String> {
    let mut wrong = texts(card, "card", &["name", "version"]);
    if !card["description"].is_string() {
        wrong.push(format!("card.description is {}", card["description"]));
    }
    if !card["capabilities"].is_object() {
        wrong.push(format!("card.capabilities is {}", card["capabilities"]));
    }
    for name in ["supportedInterfaces", "defaultInputModes", "defaultOutputModes", "skills"] {
        if list(&card[name]).is_empty() {
            wrong.push(format!("card.{name} is {}", card[name]));
        }
    }
    for interface in list(&card["supportedInterfaces"]) {
        wrong.extend(texts(interface, "interface", &["url", "protocolBinding", "protocolVersion"]));
    }
    for skill in list(&card["skills"]) {
        wrong.extend(texts(skill, "skill", &["id", "name", "description"]));
        if list(&skill["tags"]).is_empty() {
            wrong.push(format!("skill.tags is {}", skill["tags"]));
        }
    }
    for signature in list(&card["signatures"]) {
        wrong.extend(texts(signature, "signature", &["protected", "signature"]));
    }
    if !card["provider"].is_null() {
        wrong.extend(texts(&card["provider"], "provider", &["url", "organization"]));
    }
    wrong
}

/// Member names that are not camelCase, wherever the protocol defines them.
pub fn names(value: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if name.contains('_') || name.starts_with(|first: char| first.is_ascii_uppercase()) {
                    wrong.push(format!("the member {name}"));
                }
                if MAPS.contains(&name.as_str()) {
                    let inner = member.as_object().into_iter().flatten();
                    wrong.extend(inner.flat_map(|(_, member)| names(member)));
                } else if !FREE.contains(&name.as_str()) {
                    wrong.extend(names(member));
                }
            }
        }
        Value::Array(members) => wrong.extend(members.iter().flat_map(names)),
        _ => {}
    }
    wrong
}

/// Every value of members named so, wherever the protocol defines them.
pub fn every<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(members) => {
            for (known, member) in members {
                if known == name {
                    found.push(member);
                } else if !FREE.contains(&known.as_str()) {
                    every(member, name, found);
                }
            }
        }
        Value::Array(members) => members.iter().for_each(|member| every(member, name, found)),
        _ => {}
    }
}

/// Whether a text is `YYYY-MM-DDTHH:mm:ss[.s…]Z` (spec §5.6.1).
pub fn is_timestamp(text: &str) -> bool {
    let Some(body) = text.strip_suffix('Z') else { return false };
    let (seconds, fraction) = body.split_once('.').unwrap_or((body, "0"));
    let pattern = "dddd-dd-ddTdd:dd:dd";
    seconds.len() == pattern.len()
        && seconds
            .chars()
            .zip(pattern.chars())
            .all(|(c, p)| if p == 'd' { c.is_ascii_digit() } else { c == p })
        && !fraction.is_empty()
        && fraction.chars().all(|c| c.is_ascii_digit())
}

/// The entries of an array; none of anything else.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn texts(holder: &Value, name: &str, members: &[&str]) -> Vec<String> {
    let missing = |member: &&&str| holder[**member].as_str().is_none_or(str::is_empty);
    members.iter().filter(missing).map(|member| format!("{name}.{member} is {}", holder[*member])).collect()
}
