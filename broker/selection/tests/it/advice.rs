//! Advice: agreement goes on, conflict is named and delegated.

use broker_selection::disagreement::{Advice, Sample, Verdict, advise};

use crate::cards::{index, three, weights};

fn ask(texts: &[(&str, Option<f32>)]) -> Advice {
    let samples: Vec<Sample> =
        texts.iter().map(|&(text, mean_logprob)| Sample { text: text.to_owned(), mean_logprob }).collect();
    advise(&index(&three()), &weights(), "help me", &samples, &|_| true).unwrap()
}

#[test]
fn samples_that_say_the_same_may_go_on() {
    let same = ask(&[("will it rain in Oslo tomorrow", None); 3]);
    assert_eq!(same.verdict, Verdict::Execute);
    assert!(same.uncertain_words.is_empty() && same.uncertain_agents.is_empty());
}

#[test]
fn samples_that_point_apart_name_the_point_and_whom_to_ask() {
    let apart = ask(&[
        ("will it rain in Oslo tomorrow", None),
        ("translate this letter", None),
        ("what do I owe in taxes this year", None),
    ]);
    assert_eq!(apart.verdict, Verdict::Delegate);
    assert_eq!(apart.uncertain_agents.len(), 3);
    assert!(apart.uncertain_words.iter().any(|word| word == "translat" || word == "letter"));
    assert_eq!(apart.delegates.len(), 3);
}

#[test]
fn an_improbable_sample_counts_less() {
    let rain = ("will it rain in Oslo tomorrow", Some(-0.1));
    let sure = ask(&[rain, rain, ("translate this letter", Some(-9.0))]);
    let torn = ask(&[rain, rain, ("translate this letter", Some(-0.1))]);
    assert!(sure.disagreement < torn.disagreement);
}

#[test]
fn nothing_sampled_is_nothing_to_disagree_on() {
    let none = ask(&[]);
    assert_eq!((none.verdict, none.disagreement), (Verdict::Execute, 0.0));
}

#[test]
fn what_samples_ask_is_what_is_missing() {
    let advice = ask(&[
        ("Book the train. From which city do you leave?", None),
        ("from which city do you leave?", None),
        ("Is it for two? Then book a double room.", None),
        ("Book the 9:15 train", None),
    ]);
    assert_eq!(advice.missing, ["From which city do you leave?", "Is it for two?"]);
}
