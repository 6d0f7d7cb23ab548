//! Who explains a request best when all near samples are heard at once. The samples nearest to a request (cards, their
//! examples, requests that went well) share it out among themselves: samples that say the same share what they would
//! get, one that stands alone keeps it. That is a ridge regression of agents on samples with a kernel (its posterior mean
//! is that of a Gaussian process), solved anew for each request over its own neighbourhood, so that nothing has to be
//! trained when a card or an outcome comes.

use crate::algebra::Cholesky;
use crate::embedding::Quantised;
use crate::geometry::Geometry;
use crate::index::Entry;

/// How many samples are heard.
const HEARD: usize = 64;
/// How soon likeness falls with distance.
const SHARPNESS: f64 = 4.0;
/// How much a sample's own word is doubted.
const DOUBT: f64 = 0.1;

/// A sample that may be heard.
struct Sample<'a> {
    /// Of which of the leading.
    place: usize,
    vector: &'a Quantised,
    likeness: f32,
}

/// Each agent's share of a request, given by its centred vector, about between nothing and one; of those that are not
/// heard, nothing.
pub(crate) fn shares(agents: &[Option<&Entry>], request: &Quantised, geometry: &Geometry) -> Vec<f32> {
    let mut samples: Vec<Sample<'_>> = Vec::new();
    for (place, entry) in agents.iter().enumerate() {
        let Some(entry) = entry else { continue };
        for vector in std::iter::once(&entry.card).chain(entry.samples()) {
            samples.push(Sample { place, vector, likeness: vector.dot(request) });
        }
    }
    // The sort is stable, and the agents come in an order that their places in memory have no part in.
    samples.sort_by(|a, b| b.likeness.total_cmp(&a.likeness));
    samples.truncate(HEARD);
    let mut shares = vec![0.0; agents.len()];
    let (rows, asked) = kernels(&samples, request, geometry);
    let Some(matrix) = Cholesky::new(&rows) else { return shares };
    for (sample, part) in samples.iter().zip(matrix.solve(&asked)) {
        if let Some(share) = shares.get_mut(sample.place) {
            *share += number(part);
        }
    }
    shares
}

#[expect(clippy::cast_possible_truncation, reason = "numbers about one")]
fn number(wide: f64) -> f32 {
    wide as f32
}

/// How like the samples are to each other (the lower half), and to the request.
fn kernels(samples: &[Sample<'_>], request: &Quantised, geometry: &Geometry) -> (Vec<Vec<f64>>, Vec<f64>) {
    // Cosines as they are once what all share has been taken away, from products of the vectors as they are kept.
    let (own, usual) = (geometry.usual(request), geometry.usual_length());
    let towards: Vec<f32> = samples.iter().map(|sample| geometry.usual(sample.vector)).collect();
    let lengths: Vec<f32> = samples
        .iter()
        .zip(&towards)
        .map(|(sample, mean)| (sample.vector.dot(sample.vector) - 2.0 * mean + usual).max(1e-6).sqrt())
        .collect();
    let heard = || samples.iter().zip(&towards).zip(&lengths);
    let kernel = |cosine: f32| (SHARPNESS * (f64::from(cosine) - 1.0)).exp();
    let rows: Vec<Vec<f64>> = heard()
        .enumerate()
        .map(|(at, ((a, a_mean), a_length))| {
            let before = heard().take(at).map(|((b, b_mean), b_length)| {
                kernel((a.vector.dot(b.vector) - a_mean - b_mean + usual) / (a_length * b_length))
            });
            before.chain(std::iter::once(1.0 + DOUBT)).collect()
        })
        .collect();
    let asked: Vec<f64> = samples
        .iter()
        .zip(&lengths)
        .map(|(sample, length)| kernel((sample.likeness - own) / length))
        .collect();
    (rows, asked)
}
