//! The result of a search under doubt, in the words of the contract.

use super::conclude::{boots, good_end_is_last};
use super::{
    Aborted, BisectResult, Confidence, Doubt, NO_ANSWER, RunEvent, SeriesVerdict,
    symptoms_of_bad_end,
};
use crate::bayes::{Ending, NoisySearch, Purpose, RangeReason, Tally};
use crate::search::Direction;

impl BisectResult {
    /// Fills in what a search under doubt found; gives the positions around the change.
    pub(crate) fn conclude_doubt(
        &mut self,
        search: &NoisySearch,
        ending: Option<Ending>,
        events: &[RunEvent],
    ) -> Option<(usize, usize)> {
        let belief = search.belief();
        for (entry, version) in self.series.iter_mut().zip(&belief.versions) {
            let Tally { fails, .. } = version.tally;
            entry.belief = Some(*version);
            let counted = version.tally.counted();
            if counted > 0 {
                entry.verdict = if fails > 0 { SeriesVerdict::Bad } else { SeriesVerdict::Good };
                entry.reason = Some(format!("{fails} of {counted} runs failed"));
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
        let mut statement = self.statement(search, ending.as_ref());
        if let Some(Ending::Found { first_new, last_old, .. }) = &ending
            && let Some(old) = last_old.first()
        {
            statement += boots(events, *old, *first_new);
        }
        self.doubt = Some(Doubt {
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
            self.stop(events);
            return None;
        };
        self.outcome = ending.word();
        let level = match &ending {
            Ending::Found { .. } | Ending::Range { why: RangeReason::Untestable, .. } => {
                "confirmed"
            }
            Ending::Range { .. } => "unconfirmed",
            _ => "none",
        };
        self.confidence = Confidence { level: level.to_owned(), probability: None, statement };
        match ending {
            Ending::Found { first_new, last_old, .. } => {
                self.candidates = self.kernels(&[first_new]);
                Some((*last_old.first()?, first_new))
            }
            Ending::Range { why, possible, .. } => {
                self.candidates = self.kernels(&possible);
                self.reason = Some(match why {
                    RangeReason::Untestable => "the versions between give no answer".to_owned(),
                    RangeReason::Budget => "the budget is spent".to_owned(),
                    RangeReason::Stopped => "the search was stopped".to_owned(),
                    RangeReason::SeveralChanges(_) => {
                        "the symptom comes and goes: no single version brought it".to_owned()
                    }
                    RangeReason::Exhausted => "no further trial would tell more".to_owned(),
                });
                let (first, last) = (*possible.first()?, *possible.last()?);
                Some((first.checked_sub(1)?, last))
            }
            Ending::NotReproduced { tally } => {
                let runs = tally.counted();
                self.reason = Some(format!(
                    "the end that should be bad failed in {} of {runs} runs",
                    tally.fails
                ));
                None
            }
            Ending::NothingChanged { .. } => {
                self.reason = Some(
                    "failures are as frequent at the good end as elsewhere: nothing changed"
                        .to_owned(),
                );
                None
            }
            Ending::GoodFails { tally, .. } => {
                let fault = self.fault_of_scenario(good_end_is_last(self.direction));
                self.reason = Some(format!(
                    "the end that should be good fails as well, in {} of {} runs{fault}",
                    tally.fails,
                    tally.counted()
                ));
                None
            }
            Ending::EndSkipped { which } => {
                let bad = which == Purpose::BadEnd;
                let last = bad == (self.direction == Direction::Regression);
                let entry = if last { self.series.last() } else { self.series.first() };
                let why = entry.and_then(|entry| entry.reason.clone()).unwrap_or_default();
                let word = if bad { "bad" } else { "good" };
                self.aborted = Some(Aborted::EndUntestable { good: !bad });
                let mut reason = format!("the {word} {NO_ANSWER}: {why}");
                let seen = symptoms_of_bad_end(events);
                if bad && seen.len() > 1 {
                    let list: Vec<String> =
                        seen.iter().map(|c| format!("{} ({})", c.symptom, c.runs)).collect();
                    reason += &format!("; it fails with {}: --symptom names one", list.join(", "));
                }
                self.reason = Some(reason);
                None
            }
        }
    }

    fn kernels(&self, positions: &[usize]) -> Vec<crate::kernel::Kernel> {
        let of = |at: &usize| self.series.get(*at).map(|entry| entry.kernel.clone());
        positions.iter().filter_map(of).collect()
    }

    /// How sure the answer is, in words.
    fn statement(&self, search: &NoisySearch, ending: Option<&Ending>) -> String {
        let label = |at: usize| {
            self.series.get(at).map_or("?".to_owned(), |entry| entry.kernel.label().to_owned())
        };
        let counts = |at: usize| {
            let tally = search.tally(at);
            format!("{} failed in {} of {} runs", label(at), tally.fails, tally.counted())
        };
        match ending {
            Some(Ending::Found { first_new, last_old, probability, .. }) => {
                let old = last_old.first().map(|at| format!(", {}", counts(*at)));
                let (rate, good) = (search.belief().p, search.belief().q);
                format!(
                    "{} that the change came with {}: {}{}; bad kernels fail in {} to {} of runs, good \
                     ones in at most {}",
                    percent(*probability),
                    label(*first_new),
                    counts(*first_new),
                    old.unwrap_or_default(),
                    percent(rate.low),
                    percent(rate.high),
                    percent(good.high)
                )
            }
            Some(Ending::Range { possible, probability, .. }) => format!(
                "{} that the change came with one of {} versions",
                percent(*probability),
                possible.len()
            ),
            Some(Ending::GoodFails { probability, .. }) => {
                format!("{} that the good end is bad as well", percent(*probability))
            }
            Some(Ending::NothingChanged { probability }) => {
                format!("{} that nothing changed", percent(*probability))
            }
            _ => "no answer".to_owned(),
        }
    }
}

/// A share as people write it; never 100 % of what is not certain.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 99.9 && share < 1.0 {
        ">99.9 %".to_owned()
    } else if !(10.0..=90.0).contains(&percent) {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}
