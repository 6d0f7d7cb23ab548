//! The metrics against values worked out by hand.

use broker_selection::evaluation::Set;
use broker_selection::evaluation::metrics::{auroc, ece, ece_by_chance, places, quantile};

fn near(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-9, "{a} is not {b}");
}

#[test]
fn places_count_first_first_three_and_reciprocals() {
    let (top1, top3, mrr) = places(&[Some(1), Some(3), Some(4), None]);
    near(top1, 25.0);
    near(top3, 50.0);
    near(mrr, (1.0 + 1.0 / 3.0 + 0.25) / 4.0);
}

#[test]
fn calibration_error_is_weighed_distance_over_bins() {
    // Thirty judged, fifteen bins of two: of each pair one is right, said with 0.7.
    let judged: Vec<(f64, bool)> = (0..30).map(|at| (0.7, at % 2 == 0)).collect();
    // Ties are put wrong ones first, so seven bins are all wrong, one half, seven all right.
    near(ece(&judged), (7.0 * 0.7 + 0.2 + 7.0 * 0.3) / 15.0);
    near(ece(&[(1.0, true), (0.0, false)]), 0.0);
    near(ece(&[(1.0, false)]), 1.0);
    near(ece(&[]), 0.0);
}

#[test]
fn calibration_error_by_chance_is_that_of_the_binomial() {
    // Bins of 400 with a confidence of one half: a standard deviation of ten, of which the mean distance is √(2/π).
    let judged = vec![(0.5, true); 15 * 400];
    near(ece_by_chance(&judged), 10.0 * (2.0 / std::f64::consts::PI).sqrt() / 400.0);
    near(ece_by_chance(&[(1.0, false), (0.0, true)]), 0.0);
    near(ece_by_chance(&[]), 0.0);
}

#[test]
fn area_counts_ties_half() {
    near(auroc(&[0.9, 0.5], &[0.5, 0.1]).unwrap(), (1.0 + 1.0 + 0.5 + 1.0) / 4.0);
    assert_eq!(auroc(&[], &[0.1]), None);
}

#[test]
fn quantiles_are_values_seen() {
    near(quantile(&[4.0, 1.0, 3.0, 2.0], 0.5), 2.0);
    near(quantile(&[4.0, 1.0, 3.0, 2.0], 0.99), 4.0);
    near(quantile(&[], 0.5), 0.0);
}

#[test]
fn a_set_that_cannot_be_true_is_refused_with_its_place() {
    let agents = r#"{"id":"a"}"#;
    let error = Set::parse("s", agents, "\n{\"request\":\"x\"}").unwrap_err().to_string();
    assert!(error.contains("requests.jsonl") && error.contains("line 2"), "{error}");
    let error =
        Set::parse("s", agents, r#"{"request":"x","expected_agent_id":"b","split":"test"}"#).unwrap_err();
    assert!(error.to_string().contains("\"b\""));
    let set = Set::parse("s", agents, r#"{"request":"x","expected_agent_id":null,"split":"test"}"#).unwrap();
    assert!(set.requests[0].expected.is_empty());
}
