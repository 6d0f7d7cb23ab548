//! How the vectors of a registry lie: their mean and spread, kept as sums of whole numbers so that they do not depend
//! on the order in which agents came and went. What all cards share says nothing about which one is meant; a request's
//! vector is looked at without it (`centred`), and with directions in which the cards differ little given more weight
//! (`head`): that is linear discriminant analysis, or a ridge regression of agents on vectors, in closed form.

use crate::algebra::Cholesky;
use crate::embedding::{Quantised, normalise};

/// Steps of the whole numbers summed, in a length of one.
const STEPS: f32 = 1_024.0;
/// How far the spread is pulled towards being the same in all directions, as a share of its mean.
const SHRINKAGE: f64 = 1.0;

/// Sums over the vectors of a registry.
#[derive(Debug, Clone)]
pub(crate) struct Moments {
    count: f64,
    sum: Vec<f64>,
    /// The lower half of the sum of outer products.
    outer: Vec<Vec<f64>>,
}

impl Moments {
    pub(crate) fn new(dimensions: usize) -> Self {
        let outer = (1..=dimensions).map(|length| vec![0.0; length]).collect();
        Self { count: 0.0, sum: vec![0.0; dimensions], outer }
    }

    /// Adds a vector (`sign` 1) or takes it out again (`sign` -1), exactly.
    pub(crate) fn add(&mut self, vector: &[f32], sign: f64) {
        let steps: Vec<f64> = vector.iter().map(|x| f64::from((x * STEPS).round())).collect();
        self.count += sign;
        for (sum, x) in self.sum.iter_mut().zip(&steps) {
            *sum += sign * x;
        }
        for (row, &x) in self.outer.iter_mut().zip(&steps) {
            let x = sign * x;
            for (sum, y) in row.iter_mut().zip(&steps) {
                *sum += x * y;
            }
        }
    }

    /// Bytes kept.
    pub(crate) fn bytes(&self) -> usize {
        (self.sum.len() * (self.sum.len() + 1) / 2 + self.sum.len()) * size_of::<f64>()
    }
}

/// A vector as it is kept, with what it takes to compare it with others without what all share.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    pub(crate) vector: Quantised,
    /// Its product with the mean, and that of the mean with itself.
    towards: f32,
    usual: f32,
    /// Its length without the mean.
    pub(crate) length: f32,
}

impl Placed {
    /// The cosine of two of one registry, without what all share.
    pub(crate) fn cosine(&self, other: &Self) -> f32 {
        let product = self.vector.dot(&other.vector) - self.towards - other.towards + self.usual;
        product / (self.length * other.length)
    }
}

/// Mean and spread, ready for use.
#[derive(Debug, Clone)]
pub(crate) struct Geometry {
    mean: Vec<f32>,
    spread: Option<Cholesky>,
}

impl Geometry {
    #[expect(clippy::cast_possible_truncation, reason = "a mean of vectors of length one")]
    pub(crate) fn new(moments: &Moments) -> Self {
        let count = moments.count.max(1.0);
        let steps = f64::from(STEPS);
        let mean: Vec<f64> = moments.sum.iter().map(|sum| sum / count / steps).collect();
        let mut spread: Vec<Vec<f64>> = moments
            .outer
            .iter()
            .zip(&mean)
            .map(|(row, a)| {
                row.iter().zip(&mean).map(|(sum, b)| sum / count / steps / steps - a * b).collect()
            })
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "a number of dimensions")]
        let level = spread.iter().filter_map(|row| row.last()).sum::<f64>() / mean.len().max(1) as f64;
        for row in &mut spread {
            if let Some(own) = row.last_mut() {
                *own += SHRINKAGE * level.max(f64::EPSILON);
            }
        }
        Self { mean: mean.iter().map(|&x| x as f32).collect(), spread: Cholesky::new(&spread) }
    }

    /// A vector without what all share, of length one.
    pub(crate) fn centred(&self, vector: &[f32]) -> Vec<f32> {
        let mut centred: Vec<f32> = vector.iter().zip(&self.mean).map(|(x, m)| x - m).collect();
        normalise(&mut centred);
        centred
    }

    /// A kept vector, to be compared without what all share.
    pub(crate) fn placed(&self, vector: &Quantised) -> Placed {
        let (towards, usual) = (self.usual(vector), self.usual_length());
        let length = (vector.dot(vector) - 2.0 * towards + usual).max(1e-6).sqrt();
        Placed { vector: vector.clone(), towards, usual, length }
    }

    /// The product of a vector with the mean.
    pub(crate) fn usual(&self, vector: &Quantised) -> f32 {
        let products = vector.bytes.iter().zip(&self.mean).map(|(&byte, mean)| f32::from(byte) * mean);
        products.sum::<f32>() * vector.scale
    }

    /// The product of the mean with itself.
    fn usual_length(&self) -> f32 {
        self.mean.iter().map(|mean| mean * mean).sum()
    }

    /// A request's direction in which its agent stands out most, of length one, from the centred one.
    #[expect(clippy::cast_possible_truncation, reason = "scaled to length one just after")]
    pub(crate) fn head(&self, centred: &[f32]) -> Vec<f32> {
        let Some(spread) = &self.spread else { return centred.to_vec() };
        let wide: Vec<f64> = centred.iter().map(|&x| f64::from(x)).collect();
        let mut head: Vec<f32> = spread.solve(&wide).iter().map(|&x| x as f32).collect();
        normalise(&mut head);
        head
    }
}
