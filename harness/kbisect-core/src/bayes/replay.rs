//! Answers from a journal, also from one that was written before this search existed.

use super::history::HistoryError;
use super::noisy::NoisySearch;
use super::tally::Answer;
use crate::run::{RunEvent, Tried};
use crate::search::Mark;
use crate::trial::{TrialRecord, Verdict};

impl Answer {
    /// What a trial answered, given what it told the search: a mark is nothing when the trial failed
    /// for our own reasons, and [`Mark::Skip`] also when the symptom was another one.
    pub fn of(record: &TrialRecord, mark: Option<Mark>) -> Self {
        match (mark, record.verdict()) {
            (None, _) => Self::Infra,
            (Some(Mark::Good), _) => Self::Pass,
            (Some(Mark::Bad), _) => Self::Fail,
            (Some(Mark::Skip), Verdict::Bad(_)) => Self::Other,
            (Some(Mark::Skip), _) => Self::Skip,
        }
    }
}

impl NoisySearch {
    /// Takes all answers of a journal, in their order. Trials that were running when it ended left
    /// none.
    ///
    /// # Errors
    /// [`HistoryError::OutOfRange`] when the journal is that of a longer series.
    pub fn replay<'a>(
        &mut self,
        events: impl IntoIterator<Item = &'a RunEvent>,
    ) -> Result<(), HistoryError> {
        for event in events {
            if let RunEvent::TrialEnded { tried: Tried::Version { index }, record, mark, .. } =
                event
            {
                self.record_of(*index, Answer::of(record, *mark), record.boot_id.as_ref())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Taken;
    use crate::bayes::{History, Settings, Tally};

    fn ended(index: usize, verdict: &str, mark: Option<Mark>) -> RunEvent {
        let symptom = serde_json::json!({ "kind": "panic", "title": "panic in f", "detail": "" });
        let record = serde_json::json!({
            "number": 1, "verdict": verdict, "checks": [], "timings_s": {}, "wall_s": 1.0,
            "symptom": (verdict == "bad").then_some(symptom),
            "kernel": { "version": "6.1.1", "package_version": "6.1.1-1", "flavour": "amd64",
                "source": "debian", "id": "0" },
            "directory": "trials/1", "accelerator": "tcg", "repeat": "kbisect run 6.1.1",
        });
        let record = serde_json::from_value(record).unwrap();
        RunEvent::TrialEnded {
            tried: Tried::Version { index },
            record: Box::new(record),
            mark,
            taken: Taken::default(),
        }
    }

    #[test]
    fn journal_is_counted_again() {
        let events = [
            RunEvent::Resumed,
            ended(3, "bad", Some(Mark::Bad)),
            // A lack of a feature, which is what this run looked for.
            ended(3, "skip", Some(Mark::Bad)),
            ended(1, "good", Some(Mark::Good)),
            ended(1, "infra", None),
            ended(2, "bad", Some(Mark::Skip)),
            ended(2, "skip", Some(Mark::Skip)),
        ];
        let mut search =
            NoisySearch::new(History::list(4).unwrap(), Settings::default(), &[]).unwrap();
        search.replay(&events).unwrap();
        let none = Tally::default();
        assert_eq!(search.tally(3), Tally { fails: 2, ..none });
        assert_eq!(search.tally(1), Tally { passes: 1, infra: 1, ..none });
        assert_eq!(search.tally(2), Tally { others: 1, skips: 1, ..none });
        let mut shorter =
            NoisySearch::new(History::list(2).unwrap(), Settings::default(), &[]).unwrap();
        assert_eq!(shorter.replay(&events), Err(HistoryError::OutOfRange { index: 3, len: 2 }));
    }
}
