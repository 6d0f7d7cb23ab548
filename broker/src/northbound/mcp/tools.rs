//! What may be asked of agents, as tools: their names, and how they are described.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use rmcp::model::{CacheScope, JsonObject, ListToolsResult, Tool, ToolAnnotations};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::service::OfferedSkill;

/// Asks whichever agent a request is for.
pub(super) const DELEGATE: &str = "bailiwick_delegate";
/// Says whether to go on, think again or delegate.
pub(super) const ADVISE: &str = "bailiwick_advise";
/// Waits for a task that was begun before, or cancels it.
pub(super) const TASK: &str = "bailiwick_task";

/// Tools on a page.
const PAGE_TOOLS: usize = 200;
/// How long a list may be taken for true, milliseconds: agents come and go, and their cards change.
const LIST_TTL_MS: u64 = 30_000;
/// Longest name hosts take, bytes.
const MAX_NAME_BYTES: usize = 64;
/// Digits of the digest that stands for what a name has no room for.
const DIGEST_DIGITS: usize = 12;
/// Between an agent's name, which has no `_`, and its skill's.
const BETWEEN: &str = "__";
/// Longest description, characters: what an agent's card says goes into a model's context.
const MAX_DESCRIPTION_CHARS: usize = 2_000;
/// Most examples named in it.
const MAX_EXAMPLES: usize = 3;

/// The tool of an agent's skill. Where the two cannot stand as they are, a digest of both takes the place of what is
/// missing; such a name has no `__`, or has one agent's before it as all its names, so that no agent can take another's.
pub(super) fn name_of(agent: &str, skill: &str) -> String {
    let plain = format!("{agent}{BETWEEN}{skill}");
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !skill.is_empty() && plain.len() <= MAX_NAME_BYTES && plain.bytes().all(fits) {
        return plain;
    }
    let digest = format!("{:x}", Sha256::digest(format!("{agent}\0{skill}")));
    let legal = plain.chars().map(|c| if c.is_ascii() && fits(c as u8) { c } else { '_' });
    let kept: String = legal.take(MAX_NAME_BYTES - 1 - DIGEST_DIGITS).collect();
    format!("{kept}-{}", digest.get(..DIGEST_DIGITS).unwrap_or_default())
}

/// One page of what a caller may use, in the order of names. The cursor is the last name before it.
pub(super) fn page(offered: &[OfferedSkill], after: Option<&str>) -> ListToolsResult {
    let mut tools: Vec<Tool> = offered.iter().map(of_skill).chain(own()).collect();
    tools.sort_by(|one, other| one.name.cmp(&other.name));
    tools.dedup_by(|one, other| one.name == other.name);
    tools.retain(|tool| after.is_none_or(|after| *tool.name > *after));
    let more = tools.len() > PAGE_TOOLS;
    tools.truncate(PAGE_TOOLS);
    let last = tools.last().map(|tool| tool.name.to_string());
    let mut page =
        ListToolsResult::with_all_items(tools).with_ttl_ms(LIST_TTL_MS).with_cache_scope(CacheScope::Private);
    page.next_cursor = last.filter(|_| more);
    page
}

fn of_skill(offered: &OfferedSkill) -> Tool {
    let OfferedSkill { agent, skill } = offered;
    let mut description = format!("{}\n\nDone by the agent {agent}.", skill.description);
    let examples = skill.examples.iter().take(MAX_EXAMPLES);
    for example in examples {
        let _ = write!(description, "\nFor example: {example}");
    }
    let description: String = description.chars().take(MAX_DESCRIPTION_CHARS).collect();
    let title = if skill.name.is_empty() { &skill.id } else { &skill.name };
    Tool::new(name_of(agent, &skill.id), description, request_schema())
        .with_title(title.clone())
        .with_annotations(of_unknown_effect())
}

/// What agents do is not known here: it may be anything, anywhere.
fn of_unknown_effect() -> ToolAnnotations {
    ToolAnnotations::new().read_only(false).destructive(true).idempotent(false).open_world(true)
}

/// The tools that are no agent's.
fn own() -> [Tool; 3] {
    let delegate = "Has a task done by whichever agent it is for: say in words what is to be done. Use it where no other \
                    tool is clearly the right one. If it is not clear whom the task is for, the answer asks: call the \
                    tool again with the task's id and the name of one of the agents.";
    let advise = "Advises on your next step when you are unsure of it. Give the goal and several next steps that you \
                  would take, as you would sample them; the answer says whether to execute, to deliberate or to \
                  delegate, what you are uncertain of, and which agents to ask.";
    let task = "Waits for a task that another of these tools began, until it is over or asks something, and gives its \
                result; or cancels it. Use it when a call broke off and all you have is the task's id.";
    let reads = ToolAnnotations::new().read_only(true).open_world(false);
    let follows =
        ToolAnnotations::new().read_only(false).destructive(true).idempotent(true).open_world(false);
    [
        tool(DELEGATE, "Delegate", delegate, request_schema(), of_unknown_effect()),
        tool(ADVISE, "Advise on the next step", advise, advice_schema(), reads)
            .with_raw_output_schema(advice_answer_schema()),
        tool(TASK, "Look after a task", task, task_schema(), follows),
    ]
}

fn tool(
    name: &'static str,
    title: &str,
    description: &'static str,
    schema: Arc<JsonObject>,
    annotations: ToolAnnotations,
) -> Tool {
    Tool::new(Cow::Borrowed(name), Cow::Borrowed(description), schema)
        .with_title(title)
        .with_annotations(annotations)
}

fn request_schema() -> Arc<JsonObject> {
    object(
        &json!({
            "message": { "type": "string", "description": "What is to be done, in words, with all that is needed for it." },
            "data": { "type": "object", "description": "Structured input, where the task has some." },
            "context_id": { "type": "string", "description": "The context of an earlier answer, to go on in it." },
            "task_id": {
                "type": "string",
                "description": "A task that asked something: the message is the answer to it."
            },
        }),
        &["message"],
    )
}

fn task_schema() -> Arc<JsonObject> {
    object(
        &json!({
            "task_id": { "type": "string", "description": "The task." },
            "cancel": { "type": "boolean", "description": "Cancel it, with all that it has delegated.", "default": false },
        }),
        &["task_id"],
    )
}

fn advice_schema() -> Arc<JsonObject> {
    object(
        &json!({
            "goal": { "type": "string", "description": "What is to be achieved, and what has been found so far." },
            "samples": {
                "type": "array", "minItems": 1, "maxItems": broker_selection::disagreement::MAX_SAMPLES,
                "description": "Next steps, as sampled; the more, the surer the advice.",
                "items": {
                    "type": "object", "required": ["text"], "additionalProperties": false,
                    "properties": {
                        "text": { "type": "string" },
                        "mean_logprob": { "type": ["number", "null"], "description": "Mean logarithm of its words' probabilities." },
                    },
                },
            },
        }),
        &["goal", "samples"],
    )
}

fn advice_answer_schema() -> Arc<JsonObject> {
    let texts = json!({ "type": "array", "items": { "type": "string" } });
    let mut schema = JsonObject::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("required".to_owned(), json!(["verdict", "delegates"]));
    schema.insert(
        "properties".to_owned(),
        json!({
            "verdict": { "enum": ["execute", "deliberate", "delegate"] },
            "disagreement": { "type": "number" }, "likeness": { "type": "number" }, "entropy": { "type": "number" },
            "uncertain_words": texts, "uncertain_agents": texts, "delegates": texts,
        }),
    );
    Arc::new(schema)
}

fn object(properties: &Value, required: &[&str]) -> Arc<JsonObject> {
    let mut schema = JsonObject::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), properties.clone());
    schema.insert("required".to_owned(), json!(required));
    schema.insert("additionalProperties".to_owned(), false.into());
    Arc::new(schema)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use protocol::AgentSkill;

    use super::*;

    #[test]
    fn a_name_says_agent_and_skill_where_it_can() {
        assert_eq!(name_of("writer", "draft_1"), "writer__draft_1");
        let long = name_of("writer", &"x".repeat(80));
        assert!(long.len() == MAX_NAME_BYTES && long.starts_with("writer__xxx"), "{long}");
        assert!(name_of("writer", "a/b").starts_with("writer__a_b-"));
        assert_ne!(name_of("writer", "a/b"), name_of("writer", "a.b"));
    }

    proptest! {
        #[test]
        fn names_are_legal_and_tell_agents_apart(
            one in ("[a-z0-9][a-z0-9-]{0,62}", "\\PC{0,70}|[a-z_-]{0,5}"),
            other in ("[a-z0-9][a-z0-9-]{0,62}", "\\PC{0,70}|[a-z_-]{0,5}"),
        ) {
            let names = [name_of(&one.0, &one.1), name_of(&other.0, &other.1)];
            for name in &names {
                prop_assert!((1..=MAX_NAME_BYTES).contains(&name.len()), "{name}");
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'), "{name}");
                prop_assert!(![DELEGATE, ADVISE, TASK].contains(&name.as_str()));
            }
            prop_assert_eq!(names[0] == names[1], one == other);
        }
    }

    fn offered(agent: &str, count: usize) -> Vec<OfferedSkill> {
        let skill = |at: usize| {
            let skill =
                json!({ "id": format!("s{at}"), "name": "", "description": "", "tags": [] }).to_string();
            let skill: AgentSkill = serde_json::from_str(&skill).unwrap();
            OfferedSkill { agent: agent.to_owned(), skill }
        };
        (0..count).map(skill).collect()
    }

    #[test]
    fn pages_together_are_all_tools_once() {
        let all = || offered("a", 2 * PAGE_TOOLS + 50);
        let (mut seen, mut cursor, mut pages) = (BTreeSet::new(), None, 0);
        loop {
            let page = page(&all(), cursor.as_deref());
            assert!(page.tools.len() <= PAGE_TOOLS);
            for tool in page.tools {
                assert!(seen.insert(tool.name.to_string()), "{} twice", tool.name);
            }
            pages += 1;
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!((seen.len(), pages), (2 * PAGE_TOOLS + 50 + own().len(), 3));
    }
}
