//! The quality tier with the real model, where its file is at hand.

use broker_selection::{Embedder, MiniLm};

#[test]
fn the_model_puts_like_by_like() {
    assert!(MiniLm::load(b"no model".to_vec()).is_err());
    let Some(path) = std::env::var_os("BAILIWICK_MINILM") else {
        println!("not tried: name the model's ONNX file in BAILIWICK_MINILM");
        return;
    };
    let model = MiniLm::load(std::fs::read(path).unwrap()).unwrap();
    let [a, b, c] = ["will it rain tomorrow", "weather forecast for the next day", "how much tax do I owe"]
        .map(|text| model.embed(text).unwrap());
    let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    assert!((cosine(&a, &a) - 1.0).abs() < 1e-4);
    assert!(cosine(&a, &b) > 0.5 && cosine(&a, &c) < 0.3, "{} {}", cosine(&a, &b), cosine(&a, &c));
}
