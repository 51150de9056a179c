//! How likely each commit is the culprit before it is tried. It decides which commits are tried first, and none is
//! ever left out for it.
//!
//! What tells: names in common with the failure and the scenario, as the ranking has them, and whether anything
//! is built of the files that the commit changes. Which functions the failing kernel executed would be one
//! more factor of [`likely`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gitlog::MAX_FILES;
use super::rank::scores;
use super::{Change, Clues};

/// Share of the weight that all have alike: whichever the culprit is, it costs one build more at most than if
/// nothing had been known.
const ALIKE: f64 = 0.5;
/// What is left of the weight of a commit of which nothing is built.
const NOT_BUILT: f64 = 0.02;

/// How likely commits are the culprit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prior {
    /// By position; their mean is 1.
    pub weights: Vec<f64>,
    /// Commits that change something that is built, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built: Option<usize>,
    /// Commits that have a name in common with the failure or the scenario.
    pub near: usize,
}

/// How well commits were weighed, once the culprit is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Weighed {
    /// Commits that were weighed.
    pub commits: usize,
    /// Those that change something that is built, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built: Option<usize>,
    /// Those that have a name in common with the failure or the scenario.
    pub near: usize,
    /// The culprit's place by weight, from 1; of several alike the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<usize>,
}

impl Prior {
    /// Tells how well commits were weighed.
    #[must_use]
    pub fn told(&self, culprit: Option<usize>) -> Weighed {
        let place = culprit.and_then(|at| {
            let own = self.weights.get(at)?;
            Some(1 + self.weights.iter().filter(|weight| *weight > own).count())
        });
        Weighed { commits: self.weights.len(), built: self.built, near: self.near, place }
    }

    /// Weighs commits by what they change; nothing is known of a merge. `is_built` says of a file whether the
    /// failing kernel was made from it.
    #[must_use]
    pub fn of(
        commits: Vec<Option<Change>>,
        clues: &Clues,
        is_built: Option<&dyn Fn(&str) -> bool>,
    ) -> Self {
        let known: Vec<Change> = commits.into_iter().map(Option::unwrap_or_default).collect();
        let scores = scores(&known, clues);
        let near = scores.iter().flatten().count();
        // Of more files than are kept nobody knows.
        let is_known = |change: &Change| (1..MAX_FILES).contains(&change.files.len());
        let parts = |change: &Change| {
            !is_known(change)
                || is_built.is_none_or(|is_built| change.files.iter().any(|file| is_built(file)))
        };
        let built: Vec<bool> = known.iter().map(parts).collect();
        let each = scores.iter().zip(&built);
        let likely: Vec<f64> = each
            .map(|(score, built)| likely(score.as_ref().map_or(0.0, |(points, _)| *points), *built))
            .collect();
        let mean = likely.iter().sum::<f64>() / likely.len().max(1) as f64;
        let weights = likely.iter().map(|one| ALIKE + (1.0 - ALIKE) * one / mean).collect();
        let built = is_built.map(|_| built.iter().filter(|built| **built).count());
        Self { weights, built, near }
    }
}

/// How likely a commit is the culprit, up to a factor. The first of a ranking are far more likely than the
/// many that have one word in common.
fn likely(points: f64, is_built: bool) -> f64 {
    (1.0 + points * points) * if is_built { 1.0 } else { NOT_BUILT }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(subject: &str, file: &str) -> Option<Change> {
        let files = vec![file.to_owned()];
        Some(Change { subject: subject.to_owned(), files, ..Change::default() })
    }

    #[test]
    fn what_is_near_and_built_weighs_most_and_nothing_weighs_nothing() {
        let mut clues = Clues::default();
        clues.text("vrf");
        let commits = vec![
            change("wifi: foo", "drivers/net/wireless/foo.c"),
            change("vrf: reset conntrack", "drivers/net/vrf.c"),
            change("net: bar", "net/core/dev.c"),
            None,
        ];
        let is_built = |file: &str| file != "drivers/net/wireless/foo.c";
        let prior = Prior::of(commits.clone(), &clues, Some(&is_built));
        assert_eq!((prior.told(Some(1)).place, prior.told(Some(0)).place), (Some(1), Some(4)));
        let Prior { weights, built, near } = prior;
        assert_eq!((built, near), (Some(3), 1));
        assert!(weights[1] > weights[2] && weights[2] > weights[0], "{weights:?}");
        assert_eq!(weights[2], weights[3], "of a merge nothing is known");
        assert!(weights.iter().all(|weight| *weight >= ALIKE), "{weights:?}");
        assert!((weights.iter().sum::<f64>() - 4.0).abs() < 1e-9, "{weights:?}");
        let Prior { weights, built, .. } = Prior::of(commits, &clues, None);
        assert_eq!((built, weights[0]), (None, weights[2]));
        assert_eq!(Prior::of(Vec::new(), &clues, None).weights, [0.0; 0]);
    }
}
