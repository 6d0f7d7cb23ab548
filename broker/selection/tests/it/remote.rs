//! Vectors from elsewhere: an index given them answers as one that makes them, and an answer that is not the vectors asked
//! for is refused with its reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker_selection::remote::{NoVectors, Remote, question, read, texts_of};
use broker_selection::{Embedder, Index, Query};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::cards::{Letters, index, three, weights};

#[test]
fn an_index_that_is_given_its_vectors_ranks_as_one_that_makes_them() {
    let mut given = Index::new(Arc::new(Remote::new("a-model", 32)));
    for agent in three() {
        // One vector a text, as they come back from an endpoint.
        let texts = texts_of(&agent);
        let vectors: BTreeMap<String, Vec<f32>> =
            texts.into_iter().map(|text| (text.clone(), Letters.embed(&text).unwrap())).collect();
        given.put_with(&agent, &mut |text| Ok(vectors[text].clone())).unwrap();
    }
    let made = index(&three());
    for text in ["will it rain in Oslo", "translate a letter", "something else"] {
        let query = Query { text, eligible: &|_| true, records: &BTreeMap::new() };
        let ranking = given.rank_with(&weights(), &query, Letters.embed(text).unwrap()).unwrap();
        assert_eq!(ranking.tier, "embeddings:a-model");
        assert_eq!(ranking.candidates, made.rank(&weights(), &query).unwrap().candidates);
        assert!(given.rank(&weights(), &query).is_err(), "it makes none itself");
        assert!(given.rank_with(&weights(), &query, vec![1.0; 31]).is_err());
    }
}

fn answer(data: &Value) -> Vec<u8> {
    json!({ "data": data, "usage": { "total_tokens": 7 } }).to_string().into_bytes()
}

#[test]
fn vectors_come_in_the_order_of_their_texts_and_nothing_else_is_taken() {
    let data = json!([{ "index": 1, "embedding": [0.0, 2.0] }, { "index": 0, "embedding": [3.0, 4.0] }]);
    assert_eq!(read(&answer(&data), 2, 2).unwrap(), [vec![0.6, 0.8], vec![0.0, 1.0]]);
    assert_eq!(read(&answer(&data), 3, 2), Err(NoVectors::Count(3)));
    assert_eq!(read(&answer(&data), 2, 3), Err(NoVectors::Dimensions { given: 2, expected: 3 }));
    let twice = json!([{ "index": 0, "embedding": [1.0] }, { "index": 0, "embedding": [1.0] }]);
    assert_eq!(read(&answer(&twice), 2, 1), Err(NoVectors::Count(2)));
    let beyond = json!([{ "index": 9, "embedding": [1.0] }]);
    assert_eq!(read(&answer(&beyond), 1, 1), Err(NoVectors::Count(1)));
    let endless = br#"{"data":[{"index":0,"embedding":[1e300]}]}"#;
    assert!(matches!(read(endless, 1, 1), Err(NoVectors::Form(_))));
    let asked: Value =
        serde_json::from_slice(&question("m", &["a".to_owned(), " ".to_owned()], None)).unwrap();
    assert_eq!(asked, json!({ "model": "m", "input": ["a", "-"] }));
    let long: Value = serde_json::from_slice(&question("m", &["é".repeat(9_999)], None)).unwrap();
    assert_eq!(long["input"][0].as_str().unwrap().len(), 1_500);
    let asked: Value = serde_json::from_slice(&question("m", &[], Some(64))).unwrap();
    assert_eq!(asked["dimensions"], 64);
}

proptest! {
    #[test]
    fn any_answer_is_vectors_or_a_reason(bytes in prop::collection::vec(any::<u8>(), 0..100), texts in 0_usize..4) {
        if let Ok(vectors) = read(&bytes, texts, 2) {
            prop_assert_eq!(vectors.len(), texts);
        }
    }
}
