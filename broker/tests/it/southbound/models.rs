//! Models behind endpoints: what they are asked, what their answers mean, and that one that fails is done without, for a
//! while without even asking.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use broker::config::secret::SecretRef;
use broker::ports::stages::{Embeddings, EndpointError, Judged, ModelEndpoint, Reranker};
use broker::ranking::{Bounds, LanguageModel, VectorModel};
use broker::southbound::models::Models;
use broker_selection::Agent;
use bytes::Bytes;
use serde_json::{Value, json};

use super::web::{Asked, Web, plain_dialer};

const BOUNDS: Bounds = Bounds {
    timeout: Duration::from_secs(5),
    calls_per_minute: 0,
    tokens_per_day: 0,
    pause: Duration::from_secs(30),
};

fn two() -> Vec<Agent> {
    let agent = |id: &str| Agent { id: id.to_owned(), name: id.to_owned(), ..Agent::default() };
    vec![agent("weather"), agent("charts")]
}

fn with_probabilities(label: &str) -> String {
    let top = json!([{ "token": label, "logprob": -0.02 }]);
    let position = json!({ "token": label, "logprob": -0.02, "top_logprobs": top });
    let choice = json!({ "message": { "content": label }, "logprobs": { "content": [position] } });
    json!({ "choices": [choice], "usage": { "total_tokens": 100 } }).to_string()
}

fn saying(text: &str) -> String {
    json!({ "choices": [{ "message": { "content": text } }] }).to_string()
}

/// A model at a server that answers as told.
async fn model(
    answer: impl Fn(&Value) -> (u16, String) + Send + Sync + 'static,
) -> (LanguageModel, Web, tempfile::TempDir) {
    let web = Web::start(move |asked: &Asked| {
        let (status, body) = answer(&serde_json::from_str(&asked.body).unwrap());
        (format!("{status} -\r\ncontent-type: application/json"), body)
    })
    .await;
    let folder = tempfile::TempDir::new().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "k3y\n").unwrap();
    let models = Models::new(plain_dialer(None), &format!("{}/v1/", web.url()), Some(SecretRef::File(key)));
    (LanguageModel::new(Arc::new(models), "tiny".to_owned(), BOUNDS), web, folder)
}

async fn ask(model: &LanguageModel) -> Result<Judged, String> {
    model.opinion("will it rain?", &two()).await
}

#[tokio::test]
async fn a_letter_with_its_probability_is_an_opinion() {
    let (model, web, _folder) = model(|_| (200, with_probabilities("B"))).await;
    let judged = ask(&model).await.unwrap();
    assert_eq!(judged.by, "tiny by log-probabilities");
    assert!(judged.opinion.shares[1] > 0.9, "{judged:?}");
    let asked = &web.asked()[0];
    assert!(asked.head.starts_with("POST /v1/chat/completions "), "{}", asked.head);
    assert_eq!(asked.header("authorization"), Some("Bearer k3y"));
    assert!(asked.body.contains("will it rain?") && asked.body.contains("charts"), "{}", asked.body);
}

#[tokio::test]
async fn of_an_endpoint_without_probabilities_ratings_are_asked_and_from_then_on_at_once() {
    // One says nothing of probabilities, the other does not even take the question.
    for without in [(200, saying("A")), (400, "logprobs: unsupported".to_owned())] {
        let (model, web, _folder) = model(move |asked| {
            if asked["logprobs"] == true { without.clone() } else { (200, saying("{\"A\": 1, \"B\": 5}")) }
        })
        .await;
        for calls in [2, 3] {
            let judged = ask(&model).await.unwrap();
            assert_eq!(judged.by, "tiny by ratings");
            assert!(judged.opinion.shares[1] > 0.8, "{judged:?}");
            assert_eq!(web.asked().len(), calls);
        }
    }
}

#[tokio::test]
async fn what_is_no_opinion_is_a_reason_that_tells_no_secrets() {
    let redirect = "it moved".to_owned();
    for (status, body, expected) in [
        (500, "key k3y is wrong".to_owned(), "HTTP 500"),
        (401, "key k3y is wrong".to_owned(), "HTTP 401"),
        (307, redirect, "HTTP 307"),
        (200, "<html>".to_owned(), "no chat completion"),
        (200, saying("I would rather not"), "a rating from 1 to 5"),
        (200, " ".repeat(9 << 20), "too large"),
    ] {
        let (model, _web, _folder) = model(move |_| (status, body.clone())).await;
        let reason = ask(&model).await.unwrap_err();
        assert!(reason.contains(expected) && !reason.contains("k3y"), "{reason}");
    }
    let nobody = Models::new(plain_dialer(None), "http://127.0.0.1:1/v1", None);
    let nobody = LanguageModel::new(Arc::new(nobody), "tiny".to_owned(), BOUNDS);
    assert_eq!(ask(&nobody).await, Err("it cannot be reached".to_owned()));
    let keyless =
        Models::new(plain_dialer(None), "http://127.0.0.1:1/v1", Some(SecretRef::File("/nowhere".into())));
    let keyless = LanguageModel::new(Arc::new(keyless), "tiny".to_owned(), BOUNDS);
    assert_eq!(ask(&keyless).await, Err("it cannot be asked".to_owned()), "the file is nobody's business");
}

/// Answers as its script says by the number of the call; none: never.
struct Scripted(AtomicUsize, fn(usize) -> Option<Result<String, EndpointError>>);

#[async_trait]
impl ModelEndpoint for Scripted {
    async fn post(&self, _: &str, _: Vec<u8>) -> Result<Bytes, EndpointError> {
        match (self.1)(self.0.fetch_add(1, Ordering::SeqCst)) {
            Some(answer) => answer.map(Bytes::from),
            None => std::future::pending().await,
        }
    }
}

fn scripted(
    bounds: Bounds,
    script: fn(usize) -> Option<Result<String, EndpointError>>,
) -> (Arc<Scripted>, LanguageModel) {
    let endpoint = Arc::new(Scripted(AtomicUsize::new(0), script));
    let model =
        LanguageModel::new(Arc::clone(&endpoint) as Arc<dyn ModelEndpoint>, "tiny".to_owned(), bounds);
    (endpoint, model)
}

#[tokio::test(start_paused = true)]
async fn a_model_that_keeps_failing_is_left_alone_for_a_while_and_then_tried_once() {
    // Never answers four times, then is well again.
    let (endpoint, model) = scripted(BOUNDS, |call| (call >= 4).then(|| Ok(with_probabilities("A"))));
    for _ in 0..3 {
        assert_eq!(ask(&model).await, Err("no answer within 5000 ms".to_owned()));
    }
    let calls = || endpoint.0.load(Ordering::SeqCst);
    let reason = ask(&model).await.unwrap_err();
    assert!(reason.contains("not asked for 30 s, after 3 failures") && calls() == 3, "{reason}");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(ask(&model).await, Err("no answer within 5000 ms".to_owned()));
    assert!(
        ask(&model).await.unwrap_err().contains("not asked") && calls() == 4,
        "one tries, and it is not back"
    );
    tokio::time::advance(Duration::from_secs(31)).await;
    for _ in 0..3 {
        ask(&model).await.unwrap();
    }
    assert_eq!(calls(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_model_is_asked_no_more_than_its_budget_allows() {
    let well = |_: usize| Some(Ok(with_probabilities("A")));
    let (endpoint, model) = scripted(Bounds { calls_per_minute: 2, ..BOUNDS }, well);
    for _ in 0..2 {
        ask(&model).await.unwrap();
    }
    // However often it may not be asked, that is no failure of its.
    for _ in 0..5 {
        assert!(ask(&model).await.unwrap_err().contains("2 calls of this minute are used up"));
    }
    assert_eq!(endpoint.0.load(Ordering::SeqCst), 2);
    tokio::time::advance(Duration::from_mins(1)).await;
    ask(&model).await.unwrap();

    // A question takes more tokens than the 100 the answers claim; a third one would be too much.
    let (endpoint, model) = scripted(Bounds { tokens_per_day: 600, ..BOUNDS }, well);
    while ask(&model).await.is_ok() {}
    let calls = endpoint.0.load(Ordering::SeqCst);
    assert!((2..=5).contains(&calls), "{calls}");
    assert!(ask(&model).await.unwrap_err().contains("600 tokens of this day"));
    tokio::time::advance(Duration::from_hours(24)).await;
    ask(&model).await.unwrap();
}

#[tokio::test]
async fn vectors_are_fetched_by_the_batch_and_are_of_the_length_agreed() {
    let web = Web::start(|asked: &Asked| {
        let asked: Value = serde_json::from_str(&asked.body).unwrap();
        let vector = |(index, _)| json!({ "index": index, "embedding": [0.0, 3.0, 4.0] });
        let data: Vec<Value> = asked["input"].as_array().unwrap().iter().enumerate().map(vector).collect();
        ("200 OK".to_owned(), json!({ "data": data }).to_string())
    })
    .await;
    let model = |dimensions, shorten| {
        let models = Models::new(plain_dialer(None), &web.url(), None);
        VectorModel::new(Arc::new(models), "trades".to_owned(), (dimensions, shorten), BOUNDS)
    };
    let texts = ["one".to_owned(), "two".to_owned()];
    assert_eq!(model(3, true).of_texts(&texts).await.unwrap(), [[0.0, 0.6, 0.8], [0.0, 0.6, 0.8]]);
    assert_eq!(model(3, false).of_request("one".to_owned()).await.unwrap(), [0.0, 0.6, 0.8]);
    let other = model(2, false).of_request("one".to_owned()).await.unwrap_err();
    assert!(other.contains("expected vectors of 2 numbers, found 3"), "{other}");
    let bodies: Vec<Value> =
        web.asked().iter().map(|asked| serde_json::from_str(&asked.body).unwrap()).collect();
    assert_eq!(bodies[0], json!({ "model": "trades", "input": ["one", "two"], "dimensions": 3 }));
    assert_eq!(bodies[1], json!({ "model": "trades", "input": ["one"] }));
    assert!(
        web.asked()[0].head.starts_with("POST /embeddings ")
            && web.asked()[0].header("authorization").is_none()
    );
}
