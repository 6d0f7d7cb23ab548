//! One row of bytes a slot, side by side, so that going over all of them is one walk through memory.

use crate::embedding::{Quantised, dot, dot_wide};

/// Rows of equal length.
#[derive(Debug, Clone)]
pub(crate) struct Matrix {
    dimensions: usize,
    bytes: Vec<i8>,
    scales: Vec<f32>,
}

impl Matrix {
    pub(crate) fn new(dimensions: usize) -> Self {
        Self { dimensions: dimensions.max(1), bytes: Vec::new(), scales: Vec::new() }
    }

    /// Puts a vector in a slot.
    pub(crate) fn set(&mut self, slot: u32, vector: &Quantised) {
        let slot = slot as usize;
        if self.scales.len() <= slot {
            self.scales.resize(slot + 1, 0.0);
            self.bytes.resize((slot + 1) * self.dimensions, 0);
        }
        if let Some(scale) = self.scales.get_mut(slot) {
            *scale = vector.scale;
        }
        let row =
            self.bytes.get_mut(slot * self.dimensions..(slot + 1) * self.dimensions).unwrap_or_default();
        for (place, byte) in row.iter_mut().zip(&vector.bytes) {
            *place = *byte;
        }
    }

    /// Empties a slot.
    pub(crate) fn clear(&mut self, slot: u32) {
        if let Some(scale) = self.scales.get_mut(slot as usize) {
            *scale = 0.0;
        }
    }

    /// The inner products of a vector with each row.
    pub(crate) fn products(&self, vector: &Quantised) -> Vec<f32> {
        let wide: Vec<i16> = vector.bytes.iter().map(|&byte| i16::from(byte)).collect();
        let rows = self.bytes.chunks_exact(self.dimensions).zip(&self.scales);
        rows.map(|(row, scale)| dot_wide(row, &wide) * scale * vector.scale).collect()
    }

    /// The inner product of a vector with one row.
    pub(crate) fn product(&self, slot: u32, vector: &Quantised) -> f32 {
        let slot = slot as usize;
        let row = self.bytes.get(slot * self.dimensions..(slot + 1) * self.dimensions).unwrap_or_default();
        dot(row, &vector.bytes) * self.scales.get(slot).copied().unwrap_or_default() * vector.scale
    }

    /// Bytes kept.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.capacity() + self.scales.capacity() * size_of::<f32>()
    }
}
