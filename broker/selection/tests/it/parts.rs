//! The parts by themselves: words, word-pieces, the table's file, the weights' file.

use broker_selection::text::{Vocabulary, sentences, stem, words};
use broker_selection::{Embedder, NAMES, Table, TableError, Weights, WeightsError};

/// A table of three pieces and two dimensions.
fn table() -> Vec<u8> {
    let words = "rain\n##y\ntax";
    let mut file = b"BWT1".to_vec();
    for number in [3_u32, 2, u32::try_from(words.len()).unwrap()] {
        file.extend(number.to_le_bytes());
    }
    file.extend(words.as_bytes());
    for scale in [0.5_f32, 1.0, 0.1] {
        file.extend(scale.to_le_bytes());
    }
    file.extend([2_i8, 0, 0, 1, 0, -10].map(i8::cast_unsigned));
    file
}

#[test]
fn sentences_end_with_a_mark_and_white_space_or_with_the_line() {
    for (text, count) in [
        ("", 0),
        (" ... ! ", 0),
        ("version 1.2 of it", 1),
        ("Is it? Yes; it is.", 3),
        ("one line\nand another", 2),
        ("Book a room. Then call Ann", 2),
    ] {
        assert_eq!(sentences(text), count, "{text:?}");
    }
}

#[test]
fn a_text_is_the_sum_of_its_pieces() {
    let table = Table::parse(&table()).unwrap();
    let half = 0.5_f32.sqrt();
    let vector = table.embed("Rainy!").unwrap();
    assert!((vector[0] - half).abs() < 1e-6 && (vector[1] - half).abs() < 1e-6, "{vector:?}");
    assert_eq!(table.embed("tax").unwrap(), [0.0, -1.0]);
    assert_eq!(table.embed("unheard of").unwrap(), [0.0, 0.0]);
}

#[test]
fn a_table_that_is_none_is_refused() {
    let good = table();
    assert_eq!(Table::parse(b"ELF").unwrap_err(), TableError::Magic);
    assert!(matches!(Table::parse(&good[..10]).unwrap_err(), TableError::Head(_)));
    assert!(matches!(Table::parse(&good[..good.len() - 1]).unwrap_err(), TableError::Length { .. }));
    let mut twice = good.clone();
    twice[21..24].copy_from_slice(b"tax");
    assert!(matches!(Table::parse(&twice).unwrap_err(), TableError::Vocabulary { .. }));
    let mut huge = good.clone();
    huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(Table::parse(&huge).unwrap_err(), TableError::Length { .. }));
    let mut endless = good;
    endless[28..32].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(Table::parse(&endless).is_err());
}

#[test]
fn the_table_shipped_puts_like_by_like() {
    let table = Table::shipped().unwrap();
    let [a, b, c] = ["book a flight to Paris", "reserve a plane ticket", "how much tax do I owe"]
        .map(|text| table.embed(text).unwrap());
    let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    assert!(cosine(&a, &b) > cosine(&a, &c) + 0.1);
}

#[test]
fn pieces_are_the_longest_known() {
    let vocabulary = Vocabulary::parse("un\n##aff\n##able\n##a\ncafe\n,\n中");
    let rows = |text: &str| vocabulary.pieces(text);
    assert_eq!(rows("Unaffable"), [Some(0), Some(1), Some(2)]);
    assert_eq!(rows("Café,中"), [Some(4), Some(5), Some(6)]);
    assert_eq!(rows("unx cafe"), [None, Some(4)]);
    assert_eq!(rows(&"a".repeat(101)), [None]);
}

#[test]
fn words_meet_at_their_stems() {
    assert_eq!(words("What's the getForecast API?"), ["what", "the", "get", "forecast", "api"]);
    for group in
        [&["reservation", "reservations"][..], &["plan", "plans", "planning", "planned"], &["make", "making"]]
    {
        let stems: Vec<String> = group.iter().map(|word| stem(word)).collect();
        assert!(stems.iter().all(|one| *one == stems[0]), "{stems:?}");
    }
    assert_eq!([stem("bus"), stem("class"), stem("sing")], ["bus", "class", "sing"]);
}

#[test]
fn the_weights_shipped_fit_the_features_and_others_are_refused() {
    for tier in ["static", "minilm"] {
        let weights = Weights::shipped(tier).unwrap();
        let file = serde_json::json!({ tier: weights.to_json() });
        assert_eq!(Weights::parse(&file.to_string(), tier).unwrap(), weights);
        let mut less = file.clone();
        less[tier]["layer"].as_object_mut().unwrap().remove(NAMES[6]);
        assert!(matches!(
            Weights::parse(&less.to_string(), tier),
            Err(WeightsError::Names { part: "layer", .. })
        ));
        let mut more = file;
        more[tier]["right"]["luck"] = 1.0.into();
        assert!(matches!(
            Weights::parse(&more.to_string(), tier),
            Err(WeightsError::Names { part: "right", .. })
        ));
    }
    assert!(matches!(Weights::shipped("other"), Err(WeightsError::Tier(_))));
}
