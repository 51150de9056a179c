//! What a search under doubt believes, in words and numbers that reports share.

use kbisect_core::bayes::Estimate;
use kbisect_core::run::{BisectResult, Confidence};

use crate::words::percent;

/// Rates and odds, a sentence each.
pub(crate) fn sentences(result: &BisectResult) -> Vec<String> {
    let Some(doubt) = &result.doubt else { return Vec::new() };
    let rate = |estimate: &Estimate| {
        format!(
            "{} (90 % interval {} to {})",
            percent(estimate.mean),
            percent(estimate.low),
            percent(estimate.high)
        )
    };
    let mut sentences = vec![
        format!("Bad kernels fail in {} of their runs.", rate(&doubt.bad_rate)),
        format!("Good kernels fail in {} of theirs.", rate(&doubt.good_rate)),
    ];
    let credible: Vec<&str> = doubt
        .credible
        .iter()
        .filter_map(|index| Some(result.series.get(*index)?.kernel.package_version.as_str()))
        .collect();
    if credible.len() > 1 {
        sentences.push(format!(
            "With 95 % probability the change came with one of: {}.",
            credible.join(", ")
        ));
    }
    if let Some(left) = doubt.left {
        sentences.push(format!(
            "Between {} and {} more runs would be needed ({:.1} bits are unknown).",
            left.low, left.high, doubt.entropy
        ));
    }
    // Runs that show the failure with 95 % probability at least once.
    let p = doubt.bad_rate.mean;
    if p > 0.0 && p < 0.95 {
        let runs = (0.05_f64.ln() / (1.0 - p).ln()).ceil();
        sentences.push(format!(
            "{runs:.0} runs of a bad kernel show the failure with 95 % probability."
        ));
    }
    sentences
}

/// How sure an answer is, in a few words: `confirmed, 99.7 %`.
pub(crate) fn level(confidence: &Confidence) -> String {
    match confidence.probability {
        Some(share) => format!("{}, {}", confidence.level, percent(share)),
        None => confidence.level.clone(),
    }
}
