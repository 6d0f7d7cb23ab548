//! The little linear algebra the ranker needs: a symmetric positive matrix taken apart, so that equations with it are
//! solved in one fixed order of steps and give the same bits every time.

/// The lower half of `A = L·Lᵀ`.
#[derive(Debug, Clone)]
pub struct Cholesky {
    rows: Vec<Vec<f64>>,
}

impl Cholesky {
    /// Takes a symmetric matrix apart, of which the lower half is read; `None` if it is not positive.
    pub fn new(matrix: &[Vec<f64>]) -> Option<Self> {
        let mut rows: Vec<Vec<f64>> = Vec::with_capacity(matrix.len());
        for (i, given) in matrix.iter().enumerate() {
            let mut row: Vec<f64> = Vec::with_capacity(i + 1);
            for above in &rows {
                let known = product(&row, above);
                let pivot = above.last()?;
                row.push((given.get(row.len())? - known) / pivot);
            }
            let rest = given.get(i)? - product(&row, &row);
            if rest.is_nan() || rest <= 0.0 {
                return None;
            }
            row.push(rest.sqrt());
            rows.push(row);
        }
        Some(Self { rows })
    }

    /// `y` with `L·y = b`.
    pub fn forward(&self, b: &[f64]) -> Vec<f64> {
        let mut y: Vec<f64> = Vec::with_capacity(b.len());
        for (row, b) in self.rows.iter().zip(b) {
            let pivot = row.last().copied().unwrap_or(1.0);
            y.push((b - product(&y, row)) / pivot);
        }
        y
    }

    /// `x` with `A·x = b`.
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = self.forward(b);
        for (i, row) in self.rows.iter().enumerate().rev() {
            let Some((pivot, before)) = row.split_last() else { continue };
            let Some(value) = x.get_mut(i) else { continue };
            *value /= pivot;
            let value = *value;
            for (x, l) in x.iter_mut().zip(before) {
                *x -= l * value;
            }
        }
        x
    }
}

/// The inner product of the leading part two rows share, in four sums at once.
fn product(a: &[f64], b: &[f64]) -> f64 {
    let (a4, a_rest) = a.as_chunks::<4>();
    let (b4, _) = b.as_chunks::<4>();
    let mut sums = [0_f64; 4];
    for (a, b) in a4.iter().zip(b4) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let done = a4.len().min(b4.len()) * 4;
    let rest: f64 = a_rest.iter().zip(b.get(done..).unwrap_or_default()).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}
