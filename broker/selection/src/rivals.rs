//! Who explains a request best when all near samples are heard at once. The samples nearest to a request (cards, their
//! examples, requests that went well) share it out among themselves: samples that say the same share what they would
//! get, one that stands alone keeps it. That is a ridge regression of agents on samples with a kernel (its posterior mean
//! is that of a Gaussian process), solved anew for each request over its own neighbourhood, so that nothing has to be
//! trained when a card or an outcome comes.

use crate::algebra::Cholesky;
use crate::embedding::Quantised;
use crate::geometry::{Geometry, Placed};
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
    let own = geometry.usual(request);
    let placed: Vec<Placed> = samples.iter().map(|sample| geometry.placed(sample.vector)).collect();
    let kernel = |cosine: f32| (SHARPNESS * (f64::from(cosine) - 1.0)).exp();
    let rows: Vec<Vec<f64>> = placed
        .iter()
        .enumerate()
        .map(|(at, a)| {
            let before = placed.iter().take(at).map(|b| kernel(a.cosine(b)));
            before.chain(std::iter::once(1.0 + DOUBT)).collect()
        })
        .collect();
    let asked: Vec<f64> = samples
        .iter()
        .zip(&placed)
        .map(|(sample, placed)| kernel((sample.likeness - own) / placed.length))
        .collect();
    (rows, asked)
}
