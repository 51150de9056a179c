//! How likely each version is to have brought a change, before any is tried.

/// Weights of versions, kept as sums up to each.
#[derive(Clone, Debug)]
pub(crate) struct Weights(Vec<f64>);

/// Weights that are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the weights of the versions are not one number above 0 for each")]
pub struct WeightsError;

impl Weights {
    /// The same for each of `len` versions.
    pub(crate) fn alike(len: usize) -> Self {
        Self((1..=len).map(|sum| sum as f64).collect())
    }

    /// Takes one weight for each of `len` versions.
    pub(crate) fn of(weights: &[f64], len: usize) -> Result<Self, WeightsError> {
        let is_weight = |weight: &f64| weight.is_finite() && *weight > 0.0;
        if weights.len() != len || !weights.iter().all(is_weight) {
            return Err(WeightsError);
        }
        let sums = weights.iter().scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Ok(Self(sums.collect()))
    }

    /// Weight of the versions after `from` up to `to`.
    pub(crate) fn between(&self, from: usize, to: usize) -> f64 {
        self.0[to] - self.0[from]
    }

    /// Weight of a version other than the first.
    pub(crate) fn get(&self, at: usize) -> f64 {
        self.between(at - 1, at)
    }

    /// The last version up to which those after `from` weigh no more than `weight`.
    pub(crate) fn up_to(&self, from: usize, weight: f64) -> usize {
        self.0.partition_point(|sum| *sum - self.0[from] <= weight) - 1
    }
}
