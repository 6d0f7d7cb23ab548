//! When to delegate. An agent unsure of its next step samples a few; if they say the same, it may go on, if they differ
//! somewhat, it should think again, and if they point to different agents' work, another should be asked. Judged by how
//! far the samples' vectors lie apart and how the weight of their meanings is divided (semantic entropy).

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::embedding::EmbedError;
use crate::index::Index;
use crate::layer::Weights;
use crate::ranking::{Query, Ranking};
use crate::text::words;

/// Most samples looked at.
pub const MAX_SAMPLES: usize = 32;
/// Cosine from which two samples are taken to mean the same.
const SAME: f32 = 0.55;
/// Disagreement up to which the agent may go on: on the labelled cases seven in ten that agree are below, and one in
/// ten that conflict.
const EXECUTE_BELOW: f32 = 0.4;
/// Disagreement from which another agent should be asked: half of the cases that conflict are above, and one in six that
/// agree.
const DELEGATE_FROM: f32 = 0.6;
/// How much each measure counts: distance of vectors, entropy of meanings, spread over agents.
const MEASURES: [f32; 3] = [0.3, 0.1, 0.6];
/// Most delegates and most words named.
const NAMED: usize = 3;
/// Most words named as the uncertain point.
const NAMED_WORDS: usize = 8;

/// One candidate action of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// What it would do or ask next.
    pub text: String,
    /// Mean logarithm of its words' probabilities, if known.
    #[serde(default)]
    pub mean_logprob: Option<f32>,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "AdviceVerdict")]
pub enum Verdict {
    /// Go on: the samples agree.
    Execute,
    /// Think again, with more samples or more information: they differ somewhat.
    Deliberate,
    /// Ask another agent: they point apart.
    Delegate,
}

/// Advice on a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Advice {
    /// What to do.
    pub verdict: Verdict,
    /// How far the samples are apart, from 0 to 1.
    pub disagreement: f32,
    /// Mean cosine of two samples.
    pub likeness: f32,
    /// Entropy of the samples' meanings, as a share of the most there could be.
    pub entropy: f32,
    /// Words some samples have and others have not, the most divided first: the uncertain point.
    pub uncertain_words: Vec<String>,
    /// Agents some samples point to and others do not.
    pub uncertain_agents: Vec<String>,
    /// What samples ask, the most asked first: information that is missing, where the agent can tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// The agents to ask, the best first.
    pub delegates: Vec<String>,
}

/// Advises on samples of a next step towards a goal. May be asked again as the goal grows by what was found.
pub fn advise(
    index: &Index,
    weights: &Weights,
    goal: &str,
    samples: &[Sample],
    eligible: &dyn Fn(&str) -> bool,
) -> Result<Advice, EmbedError> {
    let samples: Vec<&Sample> = samples.iter().take(MAX_SAMPLES).collect();
    let vectors = samples.iter().map(|sample| index.embed(&sample.text)).collect::<Result<Vec<_>, _>>()?;
    let shares = shares(&samples);
    let records = BTreeMap::new();
    let ask = |text: &str| index.rank(weights, &Query { text, eligible, records: &records });
    let rankings = samples.iter().map(|sample| ask(&sample.text)).collect::<Result<Vec<_>, _>>()?;
    let votes = votes(&rankings, &shares);
    let likeness = over_pairs(&vectors, &shares, |a, b| cosine(a, b));
    let entropy = entropy(&vectors, &shares);
    let apart = apart(&rankings, &shares);
    let [far, mixed, spread] = MEASURES;
    let disagreement = (far * (1.0 - likeness) + mixed * entropy + spread * apart).clamp(0.0, 1.0);
    let verdict = match disagreement {
        d if d < EXECUTE_BELOW => Verdict::Execute,
        d if d < DELEGATE_FROM => Verdict::Deliberate,
        _ => Verdict::Delegate,
    };
    let whole = samples.iter().fold(goal.to_owned(), |text, sample| text + "\n" + &sample.text);
    let delegates = ask(&whole)?.candidates.into_iter().take(NAMED).map(|one| one.agent).collect();
    let mut uncertain: Vec<(&String, &f32)> =
        votes.iter().filter(|(_, vote)| **vote > 0.1 && **vote < 0.9).collect();
    uncertain.sort_by(|a, b| b.1.total_cmp(a.1).then(a.0.cmp(b.0)));
    let uncertain_agents = uncertain.into_iter().take(NAMED).map(|(agent, _)| agent.clone()).collect();
    let uncertain_words = divided_words(&samples, &shares);
    let missing = questions(&samples, &shares);
    Ok(Advice {
        verdict,
        disagreement,
        likeness,
        entropy,
        uncertain_words,
        uncertain_agents,
        missing,
        delegates,
    })
}

/// The questions among the samples, those first that more of the weight asks.
fn questions(samples: &[&Sample], shares: &[f32]) -> Vec<String> {
    let mut asked: BTreeMap<String, (f32, String)> = BTreeMap::new();
    for (sample, share) in samples.iter().zip(shares) {
        for question in sample.text.split_inclusive(['.', '!', '?', '\n']).map(str::trim) {
            if question.ends_with('?') && question.contains(char::is_alphanumeric) {
                let (weight, _) =
                    asked.entry(question.to_lowercase()).or_insert_with(|| (0.0, question.to_owned()));
                *weight += share;
            }
        }
    }
    let mut asked: Vec<(f32, String)> = asked.into_values().collect();
    asked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    asked.into_iter().take(NAMED).map(|(_, question)| question).collect()
}

/// How much each sample counts: by its probability, if all have one, else the same.
fn shares(samples: &[&Sample]) -> Vec<f32> {
    let known: Option<Vec<f32>> =
        samples.iter().map(|sample| sample.mean_logprob.filter(|p| p.is_finite())).collect();
    crate::layer::softmax(&known.unwrap_or_else(|| vec![0.0; samples.len()]))
}

/// How the samples' choices of an agent are divided.
fn votes(rankings: &[Ranking], shares: &[f32]) -> BTreeMap<String, f32> {
    let mut votes: BTreeMap<String, f32> = BTreeMap::new();
    for (ranking, share) in rankings.iter().zip(shares) {
        for candidate in &ranking.candidates {
            *votes.entry(candidate.agent.clone()).or_default() += share * candidate.probability;
        }
    }
    votes
}

/// How differently two samples spread over agents, on average: samples unsure in the same way agree.
fn apart(rankings: &[Ranking], shares: &[f32]) -> f32 {
    let spread = |ranking: &Ranking| -> BTreeMap<String, f32> {
        ranking.candidates.iter().map(|one| (one.agent.clone(), one.probability.sqrt())).collect()
    };
    let spreads: Vec<BTreeMap<String, f32>> = rankings.iter().map(spread).collect();
    let overlap = |a: &BTreeMap<String, f32>, b: &BTreeMap<String, f32>| -> f32 {
        a.iter().map(|(agent, p)| p * b.get(agent).copied().unwrap_or_default()).sum()
    };
    1.0 - over_pairs(&spreads, shares, overlap)
}

/// The mean over pairs of samples, one for fewer than two.
fn over_pairs<T>(samples: &[T], shares: &[f32], alike: impl Fn(&T, &T) -> f32) -> f32 {
    let (mut sum, mut weight) = (0.0, 0.0);
    for (i, (a, share)) in samples.iter().zip(shares).enumerate() {
        for (b, other) in samples.iter().zip(shares).take(i) {
            sum += share * other * alike(a, b);
            weight += share * other;
        }
    }
    if weight > 0.0 { (sum / weight).clamp(0.0, 1.0) } else { 1.0 }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Samples that mean the same are one meaning, whichever chain of samples connects them; the entropy is over meanings.
#[expect(clippy::cast_precision_loss, reason = "a number of samples")]
fn entropy(vectors: &[Vec<f32>], shares: &[f32]) -> f32 {
    let mut meanings: Vec<(Vec<usize>, f32)> = Vec::new();
    for (i, (vector, share)) in vectors.iter().zip(shares).enumerate() {
        let same = |at: &usize| vectors.get(*at).is_some_and(|other| cosine(vector, other) >= SAME);
        let (near, mut rest): (Vec<_>, Vec<_>) =
            meanings.into_iter().partition(|(members, _)| members.iter().any(same));
        let mut joined = (vec![i], *share);
        for (members, weight) in near {
            joined.0.extend(members);
            joined.1 += weight;
        }
        rest.push(joined);
        meanings = rest;
    }
    let most = (vectors.len() as f32).ln();
    let entropy: f32 = meanings.iter().filter(|(_, p)| *p > 0.0).map(|(_, p)| -p * p.ln()).sum();
    if most > 0.0 { (entropy / most).clamp(0.0, 1.0) } else { 0.0 }
}

/// Words that divide the samples, those nearest to half and half first.
fn divided_words(samples: &[&Sample], shares: &[f32]) -> Vec<String> {
    let mut weights: BTreeMap<String, f32> = BTreeMap::new();
    for (sample, share) in samples.iter().zip(shares) {
        for word in words(&sample.text).into_iter().collect::<BTreeSet<_>>() {
            *weights.entry(word).or_default() += share;
        }
    }
    let mut divided: Vec<(String, f32)> =
        weights.into_iter().map(|(word, p)| (word, p * (1.0 - p))).collect();
    divided.retain(|(word, split)| *split > 0.05 && word.len() > 2);
    divided.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.len().cmp(&a.0.len())).then(a.0.cmp(&b.0)));
    divided.into_iter().take(NAMED_WORDS).map(|(word, _)| word).collect()
}
