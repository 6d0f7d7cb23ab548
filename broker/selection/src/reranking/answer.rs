//! Reading what the model said. Whatever comes is an opinion or a reason why it is none, never a panic: an endpoint may
//! answer anything.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::prompt::{NONE, label as label_at, place_of};
use super::{Opinion, Unreadable};

/// The least an agent is given whose letter the endpoint did not name: models are surer than they are right.
const FLOOR: f32 = 0.02;
/// How much more likely one point of the rating makes an agent, as a logarithm: about nine to one for 5 against 3.
const SHARPNESS: f32 = 1.1;
/// The rating at which an agent is as likely as none: between hardly and in part.
const NONE_RATING: f32 = 2.5;
/// Longest part of an answer repeated in a reason, characters.
const MAX_QUOTE: usize = 60;

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Said>,
}

#[derive(Deserialize)]
struct Said {
    message: Content,
    logprobs: Option<Logprobs>,
}

#[derive(Deserialize)]
struct Content {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Logprobs {
    content: Option<Vec<Position>>,
}

#[derive(Deserialize)]
struct Position {
    token: String,
    #[serde(default)]
    top_logprobs: Option<Vec<Alternative>>,
}

#[derive(Deserialize)]
struct Alternative {
    token: String,
    logprob: f32,
}

/// The tokens an answer says it took, question included.
pub fn tokens_used(answer: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Counted {
        usage: Usage,
    }
    #[derive(Deserialize)]
    struct Usage {
        total_tokens: u64,
    }
    serde_json::from_slice::<Counted>(answer).ok().map(|counted| counted.usage.total_tokens)
}

pub(super) fn label(answer: &[u8], shown: usize) -> Result<Opinion, Unreadable> {
    let said = read(answer)?;
    let text = said.message.content.unwrap_or_default();
    let no_label = || Unreadable::NoLabel(quote(&text));
    only_letter(&text).and_then(|letter| place_of(letter, shown)).ok_or_else(no_label)?;
    let positions = said.logprobs.and_then(|told| told.content).unwrap_or_default();
    // Some models put signs around the letter: what counts is where the letter stands.
    let here = positions
        .iter()
        .find(|position| only_letter(&position.token).is_some_and(|it| place_of(it, shown).is_some()));
    let told = here.and_then(|position| position.top_logprobs.as_deref());
    let told = told.filter(|told| !told.is_empty()).ok_or(Unreadable::NoLogprobs)?;
    Opinion::of(weights(told, shown)).ok_or_else(no_label)
}

/// The probability of each letter, that of none last. Tokens that are one letter to a reader are one letter.
fn weights(told: &[Alternative], shown: usize) -> Vec<f32> {
    let mut weights = vec![0.0_f32; shown + 1];
    let mut total = 0.0;
    for Alternative { token, logprob } in told {
        let probability = logprob.min(0.0).exp();
        total += probability;
        let place = only_letter(token).and_then(|letter| place_of(letter, shown));
        if let Some(weight) = place.and_then(|place| weights.get_mut(place)) {
            *weight += probability;
        }
    }
    // What was not told is at most what is left, and less likely than all that was.
    let named = weights.iter().copied().filter(|weight| *weight > 0.0);
    let least = named.fold(f32::INFINITY, f32::min);
    #[expect(clippy::cast_precision_loss, reason = "a few letters")]
    let unnamed = weights.iter().filter(|weight| **weight <= 0.0).count().max(1) as f32;
    let untold = ((1.0 - total).max(0.0) / unnamed).min(least);
    if least.is_finite() {
        for weight in &mut weights {
            *weight = if *weight > 0.0 { *weight } else { untold }.max(FLOOR);
        }
    }
    weights
}

pub(super) fn rubric(answer: &[u8], shown: usize) -> Result<Opinion, Unreadable> {
    let text = read(answer)?.message.content.unwrap_or_default();
    let no_ratings = || Unreadable::NoRatings(quote(&text));
    let ratings = last_object(&text).ok_or_else(no_ratings)?;
    let rated = (0..shown).map(|place| {
        let rating = ratings.get(&label_at(place)?.to_string())?;
        let rating = rating.as_f64().or_else(|| rating.as_str()?.trim().parse().ok())?;
        #[expect(clippy::cast_possible_truncation, reason = "a number from 1 to 5")]
        (1.0..=5.0).contains(&rating).then_some(rating as f32)
    });
    let ratings: Vec<f32> = rated.collect::<Option<_>>().ok_or_else(no_ratings)?;
    let all = ratings.into_iter().chain([NONE_RATING]);
    Opinion::of(all.map(|rating| (SHARPNESS * rating).exp()).collect()).ok_or_else(no_ratings)
}

/// The last object in a text: models like to think aloud before, and to put a fence around it.
fn last_object(text: &str) -> Option<BTreeMap<String, Value>> {
    let from = text.get(text.rfind('{')?..)?;
    serde_json::from_str(from.get(..=from.find('}')?)?).ok()
}

fn read(answer: &[u8]) -> Result<Said, Unreadable> {
    let completion: Completion =
        serde_json::from_slice(answer).map_err(|error| Unreadable::Form(error.to_string()))?;
    completion.choices.into_iter().next().ok_or_else(|| Unreadable::Form("it has no choices".to_owned()))
}

/// The letter a text consists of, signs and white space around it aside.
fn only_letter(text: &str) -> Option<char> {
    let mut letters = text.trim_matches(|c: char| !c.is_alphanumeric()).chars();
    letters.next().filter(|letter| ('A'..=NONE).contains(letter) && letters.next().is_none())
}

fn quote(text: &str) -> String {
    text.trim().chars().take(MAX_QUOTE).collect()
}
