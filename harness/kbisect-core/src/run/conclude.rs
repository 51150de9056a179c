//! From a journal to the result of a bisection.

use super::{
    Aborted, BisectResult, Confidence, FAULT_OF_SCENARIO, JournalLine, NO_ANSWER, OutcomeWord,
    Plan, RunEvent, SeriesEntry, SeriesVerdict, Tried, end_of_search, named_is_missing,
    target_symptom, wall_seconds,
};
use crate::answer::{Taken, Trial};
use crate::boots::BOOTS_DISAGREE;
use crate::confirm::Confirmation;
use crate::kernel::Kernel;
use crate::mark::mark_again;
use crate::method::{Method, disagreement_words};
use crate::search::{Direction, Mark, Outcome, Role};
use crate::trial::{AcceptedRefusal, SymptomKind, VerdictKind};

/// Follows what is said of a good end that lacks the same feature as the bad one.
const LACK_AT_BOTH_ENDS: &str =
    ": both lack what the scenario requires, so it does not fit this range";

impl BisectResult {
    /// Makes the result from a journal; `None` when the journal has no plan.
    #[must_use]
    pub fn from_journal(lines: &[JournalLine], run_dir: &str) -> Option<Self> {
        let events: Vec<RunEvent> = lines.iter().map(|line| line.event.clone()).collect();
        let plan = events.iter().find_map(|event| match event {
            RunEvent::Began { plan } => Some(plan.as_ref().clone()),
            _ => None,
        })?;
        let end = end_of_search(&events);
        let outcome = match end {
            Some(RunEvent::Ended { outcome }) => Some(outcome.clone()),
            _ => None,
        };
        let target = target_symptom(&events).cloned();
        let mut trials: Vec<(usize, Trial)> = events
            .iter()
            .filter_map(|event| match event {
                RunEvent::TrialEnded { tried: Tried::Version { index }, record, mark, taken } => {
                    let mut taken = taken.clone();
                    if taken.is_empty() && *mark == Some(Mark::Skip) {
                        // A journal of before it was told.
                        let symptom = record.symptom.as_ref();
                        let compared = symptom.map(|it| Taken::compared(target.as_ref(), it));
                        taken = compared.unwrap_or_default();
                    }
                    if plan.options.doubt.is_some() {
                        taken = mark_again(record, (*mark, &taken), target.as_ref()).1;
                    }
                    Some((*index, Trial::new(record, &taken)))
                }
                _ => None,
            })
            .collect();
        for event in &events {
            if let RunEvent::Decoded { number, decoded } = event {
                let of_trial = trials.iter_mut().map(|(_, trial)| trial);
                let of_trial = of_trial.filter(|trial| trial.number == *number);
                of_trial.for_each(|trial| trial.record.evidence.decoded = Some(decoded.clone()));
            }
        }
        let kernel = |index: usize| plan.series.get(index).map(|planned| planned.kernel.clone());
        let mut result = Self {
            schema: "kbisect.bisect/1".to_owned(),
            outcome: OutcomeWord::Aborted,
            last_good: None,
            first_bad: None,
            last_bad: None,
            first_good: None,
            candidates: Vec::new(),
            symptom: target,
            symptom_choice: events.iter().find_map(|event| match event {
                RunEvent::SymptomChosen { choice, .. } => Some(choice.clone()),
                _ => None,
            }),
            confidence: Confidence {
                level: "none".to_owned(),
                probability: None,
                statement: "no answer".to_owned(),
            },
            reason: None,
            aborted: None,
            rules_refused: None,
            fault: events.iter().rev().find_map(|event| match event {
                RunEvent::ScenarioError { fault } => Some(fault.clone()),
                _ => None,
            }),
            doubt: None,
            changes: events.iter().rev().find_map(|event| match event {
                RunEvent::Changes { changes } => Some(changes.as_ref().clone()),
                _ => None,
            }),
            series: series_of(&plan, &trials),
            warnings: plan.warnings.clone(),
            scenario: plan.scenario.clone(),
            direction: plan.direction,
            reference: plan.reference.clone(),
            environment: plan.environment.clone(),
            wall_s: wall_seconds(lines),
            run_dir: run_dir.to_owned(),
            repeat: None,
            tool_version: plan.tool_version.clone(),
            trials: trials.iter().map(|(_, record)| record.clone()).collect(),
        };
        let method = Method::replay(&plan, &events).ok();
        result.warnings.extend(accepted(&result.trials));
        if method.as_ref().is_some_and(Method::boots_disagree) {
            result.warnings.push(BOOTS_DISAGREE.to_owned());
        }
        if let Some(at) = method.as_ref().and_then(Method::disagreed)
            && let Some(planned) = plan.series.get(at)
        {
            result.warnings.push(disagreement_words(planned.kernel.label()));
        }
        let ends = match method.as_ref().and_then(Method::doubt) {
            Some(search) => {
                let ending = match end {
                    Some(RunEvent::Decided { ending }) => Some(ending.clone()),
                    _ => None,
                };
                result.conclude_doubt(search, ending, &events)
            }
            None => {
                let sure =
                    method.as_ref().zip(outcome.as_ref()).and_then(|(m, end)| m.confirmation(end));
                let ends = result.conclude(outcome, &events, &kernel);
                result.confirm(sure, ends, &trials);
                ends
            }
        };
        // It has an answer: that the end is bad in another way.
        if matches!(result.outcome, OutcomeWord::Aborted | OutcomeWord::NotReproduced)
            && end.is_some()
            && let Some(reason) = named_is_missing(&events)
        {
            result.outcome = OutcomeWord::NotReproduced;
            (result.reason, result.aborted) = (Some(reason), None);
        }
        if let Some((old, new)) = ends {
            match plan.direction {
                Direction::Regression => {
                    (result.last_good, result.first_bad) = (kernel(old), kernel(new))
                }
                Direction::Fix => (result.last_bad, result.first_good) = (kernel(old), kernel(new)),
            }
        }
        let shown = match plan.direction {
            Direction::Regression => result.first_bad.as_ref(),
            Direction::Fix => result.last_bad.as_ref(),
        };
        let told = |id| {
            trials.iter().map(|(_, record)| record).find(|record| Some(&record.kernel.id) == id)
        };
        let bad = trials
            .iter()
            .map(|(_, record)| record)
            .find(|record| record.verdict == VerdictKind::Bad);
        result.repeat =
            told(shown.map(|kernel| &kernel.id)).or(bad).map(|record| record.repeat.clone());
        Some(result)
    }

    /// Fills in what the outcome says; gives the positions around the change.
    fn conclude(
        &mut self,
        outcome: Option<Outcome>,
        events: &[RunEvent],
        kernel: &dyn Fn(usize) -> Option<Kernel>,
    ) -> Option<(usize, usize)> {
        let tried = |index: usize| {
            events.iter().any(
                |event| matches!(event, RunEvent::TrialEnded { tried: Tried::Version { index: at }, mark: Some(_), .. } if *at == index),
            )
        };
        let once = |around: Option<(usize, usize)>, more: &str| {
            let booted = around.map_or("", |(old, new)| boots(events, old, new));
            let neighbours = match around.map(|(old, new)| (tried(old), tried(new))) {
                Some((true, true)) => "; both neighbours of the change were tried",
                Some((false, false)) => "; both neighbours of the change were taken for granted",
                Some(_) => "; one neighbour of the change was taken for granted, not tried",
                None => "",
            };
            Confidence {
                level: "unconfirmed".to_owned(),
                probability: None,
                statement: format!("each version was tried once{neighbours}{booted}{more}"),
            }
        };
        match outcome {
            Some(Outcome::Found { last_old, first_new }) => {
                self.outcome = OutcomeWord::Found;
                self.candidates = kernel(first_new).into_iter().collect();
                self.confidence = once(Some((last_old, first_new)), "");
                Some((last_old, first_new))
            }
            Some(Outcome::FoundDespiteSkips { last_old, first_new, .. }) => {
                self.outcome = OutcomeWord::FoundDespiteSkips;
                self.candidates = kernel(first_new).into_iter().collect();
                self.confidence =
                    once(Some((last_old, first_new)), "; other versions gave no answer");
                Some((last_old, first_new))
            }
            Some(Outcome::Range { last_old, first_new, possible, .. }) => {
                self.outcome = OutcomeWord::Range;
                self.candidates = possible.into_iter().filter_map(kernel).collect();
                self.confidence = once(
                    None,
                    "; versions between the two gave no answer: the change came with one of them",
                );
                Some((last_old, first_new))
            }
            Some(Outcome::NotReproduced) => {
                self.outcome = OutcomeWord::NotReproduced;
                self.reason = Some("the end that should be bad is good".to_owned());
                None
            }
            Some(Outcome::GoodFails) => {
                self.outcome = OutcomeWord::GoodFails;
                let fault = self.fault_of_scenario(good_end_is_last(self.direction));
                let lack = self.symptom.as_ref().is_some_and(|symptom| !symptom.lacks.is_empty());
                let misfit = if lack { LACK_AT_BOTH_ENDS } else { "" };
                self.reason =
                    Some(format!("the end that should be good fails as well{misfit}{fault}"));
                None
            }
            Some(Outcome::EndSkipped { which }) => {
                let end = if which == Role::BadEnd { "bad" } else { "good" };
                let last = (which == Role::BadEnd) == (self.direction == Direction::Regression);
                let entry = if last { self.series.last() } else { self.series.first() };
                let why = entry.and_then(|entry| entry.reason.as_deref());
                self.aborted = Some(Aborted::EndUntestable { good: which == Role::GoodEnd });
                let mut reason = format!("the {end} {NO_ANSWER}");
                if let Some(why) = why {
                    reason = format!("{reason}: {why}");
                }
                if which == Role::GoodEnd {
                    reason += &self.fault_of_scenario(good_end_is_last(self.direction));
                }
                self.reason = Some(reason);
                None
            }
            None => {
                self.stop(events);
                None
            }
        }
    }
}

impl BisectResult {
    /// Says how sure a halving's answer is, once its sides were tried again.
    fn confirm(
        &mut self,
        sure: Option<Confirmation>,
        ends: Option<(usize, usize)>,
        trials: &[(usize, Trial)],
    ) {
        let Some((sure, (old, new))) = sure.filter(|sure| sure.repeats > 0).zip(ends) else {
            return;
        };
        let of = |index: usize| {
            let own = trials.iter().filter(|(at, _)| *at == index).map(|(_, record)| record);
            let counted = own.filter(|record| record.is_answer());
            let (mut runs, mut fails, mut booted) = (0, 0, 0);
            for record in counted {
                runs += 1;
                fails += u32::from(record.verdict == VerdictKind::Bad);
                booted += u32::from(record.boot.is_some() && !record.is_quick());
            }
            let label = self.series.get(index).map_or("?", |entry| entry.kernel.label());
            match runs {
                0 => format!("{label} was taken for granted"),
                _ => format!("{label} failed in {fails} of {runs} runs ({booted} booted)"),
            }
        };
        let level = if sure.is_confirmed { "confirmed" } else { "unconfirmed" };
        let mut statement = format!("{}, {}", of(new), of(old));
        if self.direction == Direction::Fix {
            statement = format!("{}, {}", of(old), of(new));
        }
        if !sure.is_confirmed {
            statement += "; its repeats do not settle it";
        }
        statement += match self.outcome {
            OutcomeWord::FoundDespiteSkips => "; other versions gave no answer",
            OutcomeWord::Range => {
                "; versions between the two gave no answer: the change came with one of them"
            }
            _ => "",
        };
        self.confidence =
            Confidence { level: level.to_owned(), probability: Some(sure.probability), statement };
    }

    /// What it means when rules do not even load on the end that should be good.
    pub(crate) fn fault_of_scenario(&mut self, last: bool) -> String {
        let entry = if last { self.series.last() } else { self.series.first() };
        self.rules_refused = self.trials.iter().rev().find_map(|trial| {
            let symptom = trial.symptom.as_ref()?;
            let here = entry.is_some_and(|entry| entry.kernel.id == trial.kernel.id);
            (here && symptom.kind == SymptomKind::RulesRefused).then(|| symptom.detail.clone())
        });
        match &self.rules_refused {
            Some(said) => format!("; {FAULT_OF_SCENARIO}: {said}"),
            None => String::new(),
        }
    }

    /// Says why the run ended before its search did.
    pub(crate) fn stop(&mut self, events: &[RunEvent]) {
        let stopped = events.iter().rev().find_map(|event| match event {
            RunEvent::Failed { error } => Some((Aborted::Failed, error.clone())),
            RunEvent::Interrupted => Some((Aborted::Interrupted, "interrupted".to_owned())),
            RunEvent::ScenarioError { fault } => {
                Some((Aborted::ScenarioError, format!("scenario error: {fault}")))
            }
            _ => None,
        });
        (self.aborted, self.reason) = stopped.unzip();
    }
}

/// Says whether what saved states showed of the versions around a change was shown by boots as well.
pub(crate) fn boots(events: &[RunEvent], old: usize, new: usize) -> &'static str {
    let answered = |index: usize, restored: bool| {
        events.iter().any(|event| match event {
            RunEvent::TrialEnded {
                tried: Tried::Version { index: at },
                record,
                mark: Some(Mark::Good | Mark::Bad),
                ..
            } => *at == index && record.is_quick() == restored,
            _ => false,
        })
    };
    match [old, new].map(|at| answered(at, true)) {
        [false, false] => "",
        _ if answered(old, false) && answered(new, false) => {
            "; what a saved state or a quick boot showed of them, a boot showed as well"
        }
        _ => "; what a saved state or a quick boot showed of them, no boot confirms",
    }
}

/// What kernels refused as the scenario lets them: a pass with it is one without what was refused.
fn accepted(trials: &[Trial]) -> Vec<String> {
    let mut found: Vec<(&AcceptedRefusal, Vec<&str>)> = Vec::new();
    for trial in trials {
        for refusal in &trial.accepted {
            let label = trial.kernel.label();
            match found.iter_mut().find(|(known, _)| *known == refusal) {
                Some((_, labels)) if labels.contains(&label) => {}
                Some((_, labels)) => labels.push(label),
                None => found.push((refusal, vec![label])),
            }
        }
    }
    let words = |(refusal, labels): (&AcceptedRefusal, Vec<&str>)| {
        format!("{refusal} ({})", labels.join(", "))
    };
    found.into_iter().map(words).collect()
}

/// Whether the good end is the last of the series.
pub(crate) fn good_end_is_last(direction: Direction) -> bool {
    direction == Direction::Fix
}

fn series_of(plan: &Plan, trials: &[(usize, Trial)]) -> Vec<SeriesEntry> {
    plan.series
        .iter()
        .enumerate()
        .map(|(index, planned)| {
            let own =
                || trials.iter().rev().filter(|(at, _)| *at == index).map(|(_, record)| record);
            // A repeat in vain takes nothing back.
            let last = own().find(|record| record.is_answer()).or_else(|| own().next());
            let (verdict, reason) = match (last, &planned.untestable) {
                (Some(record), _) => (record.verdict.into(), record.reason.clone()),
                (None, Some(why)) => (SeriesVerdict::Untestable, Some(why.to_string())),
                (None, None) => (SeriesVerdict::Untested, None),
            };
            SeriesEntry { kernel: planned.kernel.clone(), verdict, reason, belief: None }
        })
        .collect()
}
