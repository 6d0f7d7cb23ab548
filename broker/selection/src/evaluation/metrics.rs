//! The numbers a ranking is judged by, each a function of plain lists so that it can be checked by hand.

/// Bins of the expected calibration error.
pub const ECE_BINS: usize = 15;

/// How often the right one is first, among the first three, and the mean of one over its place; `None` is a right one
/// that was not found at all. Places count from 1; the shares are in percent.
#[expect(clippy::cast_precision_loss, reason = "counts of requests")]
pub fn places(places: &[Option<usize>]) -> (f64, f64, f64) {
    let count = places.len().max(1) as f64;
    let within = |most: usize| places.iter().flatten().filter(|&&place| place <= most).count() as f64;
    let reciprocal: f64 = places.iter().flatten().map(|&place| 1.0 / place.max(1) as f64).sum();
    (100.0 * within(1) / count, 100.0 * within(3) / count, reciprocal / count)
}

/// Expected calibration error: over bins of equally many, by rising confidence, the mean distance of confidence from
/// the share that was right, weighed by the bins' sizes.
#[expect(clippy::cast_precision_loss, reason = "counts of requests")]
pub fn ece(judged: &[(f64, bool)]) -> f64 {
    over_bins(judged, |bin| {
        let confidence: f64 = bin.iter().map(|(confidence, _)| confidence).sum();
        let right = bin.iter().filter(|(_, right)| *right).count() as f64;
        (confidence - right).abs()
    })
}

/// The calibration error that the same confidences would show by chance if each were exactly true: the fewer the
/// requests, the more. What is above it is the confidence's own fault.
pub fn ece_by_chance(judged: &[(f64, bool)]) -> f64 {
    over_bins(judged, |bin| {
        let variance: f64 = bin.iter().map(|(confidence, _)| confidence * (1.0 - confidence)).sum();
        (variance * std::f64::consts::FRAC_2_PI).sqrt()
    })
}

/// The sum of an error over bins of equally many, by rising confidence, for each one judged.
#[expect(clippy::cast_precision_loss, reason = "counts of requests")]
fn over_bins(judged: &[(f64, bool)], error: impl Fn(&[(f64, bool)]) -> f64) -> f64 {
    let mut sorted = judged.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let count = sorted.len();
    let bin = |at: usize| sorted.get(at * count / ECE_BINS..(at + 1) * count / ECE_BINS).unwrap_or_default();
    (0..ECE_BINS).map(|at| error(bin(at))).sum::<f64>() / count.max(1) as f64
}

/// Area under the receiver operating curve: the probability that one of `high` is above one of `low`, ties counting
/// half. `None` if either is empty.
#[expect(clippy::cast_precision_loss, reason = "counts of requests")]
pub fn auroc(high: &[f64], low: &[f64]) -> Option<f64> {
    if high.is_empty() || low.is_empty() {
        return None;
    }
    let mut low = low.to_vec();
    low.sort_by(f64::total_cmp);
    let above: f64 = high
        .iter()
        .map(|value| {
            let below = low.partition_point(|x| x.total_cmp(value).is_lt());
            let not_above = low.partition_point(|x| x.total_cmp(value).is_le());
            (below + not_above) as f64 / 2.0
        })
        .sum();
    Some(above / high.len() as f64 / low.len() as f64)
}

/// The value that this share of all is not above; `share` between 0 and 1.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list"
)]
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.saturating_sub(1).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}
