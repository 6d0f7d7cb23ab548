//! Vectors of one signed byte a dimension. The product of two is a sum of whole numbers, so it is the same in whatever
//! order it is taken, and plain enough for the compiler to do many at once.

use serde::{Deserialize, Serialize};

/// Largest value of a byte used, so that negation stays within bounds.
const FULL: f32 = 127.0;

/// A vector as bytes and the number each stands for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantised {
    /// What one step of a byte is worth.
    pub scale: f32,
    /// One byte a dimension.
    pub bytes: Vec<i8>,
}

impl Quantised {
    /// Rounds a vector.
    #[expect(clippy::cast_possible_truncation, reason = "between -127 and 127 by the scale")]
    pub fn new(vector: &[f32]) -> Self {
        let largest = vector.iter().fold(0_f32, |most, x| most.max(x.abs()));
        if largest <= f32::EPSILON {
            return Self { scale: 0.0, bytes: vec![0; vector.len()] };
        }
        let bytes = vector.iter().map(|x| (x / largest * FULL).round() as i8).collect();
        Self { scale: largest / FULL, bytes }
    }

    /// The vector again, as exact as it was kept.
    pub fn to_vec(&self) -> Vec<f32> {
        self.bytes.iter().map(|&b| f32::from(b) * self.scale).collect()
    }

    /// The inner product of two.
    pub fn dot(&self, other: &Self) -> f32 {
        dot(&self.bytes, &other.bytes) * self.scale * other.scale
    }
}

/// The inner product of two rows of bytes, as a number of steps.
#[expect(clippy::cast_precision_loss, reason = "at most a few million, well within a float's whole numbers")]
pub(crate) fn dot(a: &[i8], b: &[i8]) -> f32 {
    a.iter().zip(b).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum::<i32>() as f32
}

/// The same with a row that was widened before, for going over many rows: saves half of the work.
#[expect(clippy::cast_precision_loss, reason = "at most a few million, well within a float's whole numbers")]
pub(crate) fn dot_wide(a: &[i8], b: &[i16]) -> f32 {
    a.iter().zip(b).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum::<i32>() as f32
}
