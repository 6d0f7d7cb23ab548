//! What an operator's tools see: one trace for a tree, with every hop below the right one, and counts that add up.

use std::collections::BTreeMap;

use conformance_tests::{Agent, Broker, Posted, Receiver, key_digest, wire};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};

use super::grants::grant_of;
use super::tree::Fleet;

const EXTENSION: &str = "urn:bailiwick:ext:delegation:v1";
/// The caller's own span.
pub(crate) const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

pub(crate) fn spans(posted: &[Posted]) -> Vec<Span> {
    let read = |posted: &Posted| ExportTraceServiceRequest::decode(&posted.body[..]).expect("OTLP");
    let resources = posted.iter().flat_map(|posted| read(posted).resource_spans);
    resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.clone()?.value? {
        AnyValue::StringValue(text) => Some(text),
        AnyValue::IntValue(number) => Some(number.to_string()),
        AnyValue::ArrayValue(array) => {
            let texts = array.values.into_iter().filter_map(|value| match value.value? {
                AnyValue::StringValue(text) => Some(text),
                _ => None,
            });
            Some(texts.collect::<Vec<_>>().join(" "))
        }
        _ => None,
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let number = bytes.iter().fold(0_u128, |number, &byte| number << 8 | u128::from(byte));
    format!("{number:0digits$x}", digits = 2 * bytes.len())
}

async fn traced() -> (Receiver, Fleet) {
    let collector = Receiver::start().await;
    let config = format!("[traces]\nendpoint = \"{}\"\ninterval = \"100ms\"\n", collector.url("/v1/traces"));
    (collector, Fleet::start(&config).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_of_three_hops_is_one_trace_of_its_caller_with_every_hop_below_the_right_one() {
    let (collector, fleet) = traced().await;
    let hop =
        |to: &str, script: Value| json!({ "delegate": [{ "to": to, "skill": "work", "script": script }] });
    let script = hop("left", hop("deep", json!({ "chunks": ["d"] })));
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "SendMessage",
        "params": wire::message("m", &script.to_string()) });
    let headers = [("A2A-Version", "1.0"), ("Content-Type", "application/json"), ("traceparent", CALLER)];
    let url = fleet.broker.agent_url("coordinator");
    let answer = wire::request("POST", &url, &headers, call.to_string().into_bytes()).await.json();
    assert_eq!(answer["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{answer}");
    collector.until("all spans", |posted| spans(posted).len() >= 6).await;

    let all = spans(&collector.posted());
    assert_eq!(all.len(), 6, "a delegation and an attempt for each hop: {all:#?}");
    assert!(all.iter().all(|span| hex(&span.trace_id) == CALLER[3..35]), "{all:#?}");
    let named =
        |name: &str| all.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {all:#?}"));
    let mut above = CALLER[36..52].to_owned();
    for agent in ["coordinator", "left", "deep"] {
        let (delegation, attempt) =
            (named(&format!("invoke_agent {agent}")), named(&format!("send {agent}")));
        assert_eq!(hex(&delegation.parent_span_id), above, "{agent}");
        assert_eq!(attempt.parent_span_id, delegation.span_id, "{agent}");
        assert!(delegation.start_time_unix_nano <= attempt.start_time_unix_nano, "{agent}");
        assert_eq!(attribute(delegation, "gen_ai.agent.name").as_deref(), Some(agent));
        assert_eq!(attribute(delegation, "bailiwick.state").as_deref(), Some("TASK_STATE_COMPLETED"));
        above = hex(&attempt.span_id);
        // The agent was told where to go on from.
        let heard = fleet.agents[agent].logged("call")[0]["headers"]["traceparent"].clone();
        assert_eq!(heard, format!("00-{}-{above}-01", &CALLER[3..35]), "{agent}");
    }
    // How the scope narrowed.
    let left = named("invoke_agent left");
    assert!(attribute(left, "bailiwick.scope.delegator").unwrap().contains("a2a:skill/right/*"), "{left:?}");
    assert!(!attribute(left, "bailiwick.scope").unwrap().contains("a2a:skill/right/*"), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_traces_itself_is_gone_on_from_and_a_refusal_is_seen() {
    let (collector, fleet) = traced().await;
    let (grant, root, _stream) = grant_of(&fleet.broker, &fleet.agents["coordinator"], "coordinator").await;
    let own = fleet.agents["coordinator"].logged("call")[0]["headers"]["traceparent"].clone();
    let own = own.as_str().expect("a trace").to_owned();
    let its_span = format!("{}00f067aa0ba902b7-01", &own[..36]);
    let call = |id: &str, skill: &str| {
        let mut params = wire::message(id, &json!({ "chunks": ["x"] }).to_string());
        params["message"]["metadata"] = json!({ EXTENSION: { "skill": skill } });
        json!({ "jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params })
            .to_string()
            .into_bytes()
    };
    let bearer = format!("Bearer {grant}");
    let headers = [
        ("A2A-Version", "1.0"),
        ("Content-Type", "application/json"),
        ("traceparent", its_span.as_str()),
        ("Authorization", bearer.as_str()),
    ];
    let done =
        wire::request("POST", &fleet.broker.agent_url("left"), &headers, call("l", "work")).await.json();
    assert_eq!(done["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{done}");
    let cycle = fleet.broker.agent_url("coordinator");
    let refused = wire::request("POST", &cycle, &headers, call("c", "work")).await.json();
    assert_eq!(refused["error"]["code"], -31403, "{refused}");
    let is_refusal = |span: &Span| attribute(span, "error.type").is_some();
    collector
        .until("both", |posted| {
            let all = spans(posted);
            all.iter().any(is_refusal) && all.iter().any(|span| span.name == "invoke_agent left")
        })
        .await;
    let all = spans(&collector.posted());
    let left = all.iter().find(|span| span.name == "invoke_agent left").unwrap();
    assert_eq!(hex(&left.parent_span_id), "00f067aa0ba902b7", "what the agent said it did it in");
    let refusal = all.iter().find(|span| is_refusal(span)).unwrap();
    assert_eq!(hex(&refusal.parent_span_id), own[36..52], "below the attempt that asked");
    assert_eq!(attribute(refusal, "error.type").as_deref(), Some("CAPABILITY_EXCEEDED"));
    assert!(all.iter().all(|span| hex(&span.trace_id) == own[3..35]), "the tree's own trace");
    assert_eq!(own[3..35], root.replace('-', ""), "which is named like the tree");
}

/// The samples of a metric, by their labels as they are written.
fn samples(text: &str, name: &str) -> BTreeMap<String, f64> {
    let of_it = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let labels = series.strip_prefix(name)?;
        (labels.is_empty() || labels.starts_with('{'))
            .then(|| (labels.to_owned(), value.parse().expect("a number")))
    });
    of_it.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_counted_and_only_operators_read_it() {
    let config = format!(
        "[[principals]]\nname = \"alice\"\nkey_sha256 = \"{}\"\n[[principals]]\nname = \"olga\"\nrole = \"operator\"\nkey_sha256 = \"{}\"\n",
        key_digest("alices"),
        key_digest("olgas"),
    );
    let broker = Broker::start(&config);
    let agent = Agent::scripted("worker");
    let new = json!({ "name": "worker", "url": agent.url(), "caps": [] });
    let added = wire::post(&format!("{}/api/v1/agents", broker.url()), &new, Some("olgas")).await;
    assert_eq!(added.status, 201, "{}", added.text);
    for (id, end) in [("a", "completed"), ("b", "completed"), ("c", "failed")] {
        let script = json!({ "end": end }).to_string();
        broker.rpc_as(Some("alices"), "/agents/worker", "SendMessage", wire::message(id, &script)).await;
    }
    let refused =
        broker.rpc_as(Some("alices"), "/agents/nobody", "SendMessage", wire::message("d", "{}")).await;
    assert!(refused["error"].is_object(), "{refused}");

    let url = format!("{}/metrics", broker.url());
    let read = async |key: &str| wire::first("GET", &url, Some(key), None).await;
    assert_eq!(read("alices").await.status, 403);
    let shown = read("olgas").await;
    assert_eq!(shown.status, 200);
    let text = shown.text;
    assert!(text.ends_with("# EOF\n"), "{text}");
    let ended = samples(&text, "bailiwick_tasks_ended_total");
    let of_state =
        |state: &str| ended.get(&format!("{{agent=\"worker\",state=\"TASK_STATE_{state}\"}}")).copied();
    assert_eq!((of_state("COMPLETED"), of_state("FAILED")), (Some(2.0), Some(1.0)), "{text}");
    assert_eq!(samples(&text, "bailiwick_tasks_open").get(""), Some(&0.0), "{text}");
    let requests = samples(&text, "bailiwick_requests_total");
    assert_eq!(requests.get("{binding=\"jsonrpc\",code=\"200\"}"), Some(&4.0), "{text}");
    assert!(!text.contains("nobody"), "a label is never what a caller chose: {text}");
}
