//! The result of a search under doubt, in the words of the contract.

use kbisect_core::bayes::{Ending, NoisySearch, Purpose, RangeReason};
use kbisect_core::run::{
    BisectResult, Confidence, Doubt, RunEvent, SeriesVerdict, symptoms_of_bad_end,
};

use super::ends::{by_boots, end_skipped, good_fails, kernels, stop};
use crate::words;

/// Fills in what a search under doubt found; gives the positions around the change.
pub(super) fn conclude_doubt(
    result: &mut BisectResult,
    search: &NoisySearch,
    ending: Option<&Ending>,
    events: &[RunEvent],
) -> Option<(usize, usize)> {
    let belief = search.belief();
    for (entry, version) in result.series.iter_mut().zip(&belief.versions) {
        entry.belief = Some(*version);
        if version.tally.counted() > 0 {
            let failed = version.tally.fails > 0;
            entry.verdict = if failed { SeriesVerdict::Bad } else { SeriesVerdict::Good };
            entry.reason = Some(words::runs_failed(version.tally));
        }
    }
    let probability = match &ending {
        Some(
            Ending::Found { probability, .. }
            | Ending::Range { probability, .. }
            | Ending::NothingChanged { probability }
            | Ending::GoodFails { probability, .. },
        ) => Some(*probability),
        _ => None,
    };
    result.doubt = Some(Doubt {
        probability,
        bad_rate: belief.p,
        good_rate: belief.q,
        credible: belief.credible,
        good_end_bad: belief.good_end_bad,
        nothing: belief.nothing,
        runs: search.runs(),
        entropy: belief.entropy,
        left: (belief.left.high > 0).then_some(belief.left),
        notices: search.notices(),
    });
    let Some(ending) = ending else {
        stop(result, events);
        return None;
    };
    result.outcome = ending.word();
    let level = match &ending {
        Ending::Found { .. } | Ending::Range { why: RangeReason::Untestable, .. } => "confirmed",
        Ending::Range { .. } => "unconfirmed",
        _ => "none",
    };
    let label = |at: usize| result.series.get(at).map_or("?", |entry| entry.kernel.label());
    let by_boots = match ending {
        Ending::Found { first_new, last_old, .. } => {
            last_old.first().and_then(|old| by_boots(events, *old, *first_new))
        }
        _ => None,
    };
    let statement = words::believed(search, ending, &label, by_boots);
    result.confidence = Confidence { level: level.to_owned(), probability: None, statement };
    match ending {
        Ending::Found { first_new, last_old, .. } => {
            result.candidates = kernels(result, &[*first_new]);
            Some((*last_old.first()?, *first_new))
        }
        Ending::Range { why, possible, .. } => {
            result.candidates = kernels(result, possible);
            result.reason = Some(words::not_narrower(why).to_owned());
            let (first, last) = (*possible.first()?, *possible.last()?);
            Some((first.checked_sub(1)?, last))
        }
        Ending::NotReproduced { tally } => {
            result.reason = Some(words::not_reproduced(Some(*tally)));
            None
        }
        Ending::NothingChanged { .. } => {
            result.reason = Some(words::NOTHING_CHANGED.to_owned());
            None
        }
        Ending::GoodFails { tally, .. } => {
            good_fails(result);
            result.reason = Some(words::good_fails(result, Some(*tally)));
            None
        }
        Ending::EndSkipped { which } => {
            let bad = *which == Purpose::BadEnd;
            end_skipped(result, !bad);
            let seen = symptoms_of_bad_end(events);
            if let Some(reason) = result.reason.as_mut().filter(|_| bad && seen.len() > 1) {
                reason.push_str(&words::fails_with(&seen));
            }
            None
        }
    }
}
