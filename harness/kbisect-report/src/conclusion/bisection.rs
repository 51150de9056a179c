//! From a journal to the result of a bisection.

use kbisect_core::answer::{Taken, Trial};
use kbisect_core::confirm::Confirmation;
use kbisect_core::mark::mark_again;
use kbisect_core::method::Method;
use kbisect_core::run::{
    BisectResult, Confidence, Further, JournalLine, OtherEnd, OutcomeWord, Plan, RevertTest,
    RunEvent, SeriesEntry, SeriesVerdict, Tried, end_of_search, named_is_missing, target_symptom,
    wall_seconds,
};
use kbisect_core::search::{Direction, Mark, Outcome, Role};
use kbisect_core::trial::{AcceptedRefusal, VerdictKind};

use super::affected::affected;
use super::doubt::conclude_doubt;
use super::ends::{by_boots, end_skipped, good_fails, kernels, stop};
use crate::words;

/// Makes the result of a bisection from its journal; `None` when the journal has no plan.
#[must_use]
pub fn bisect_result(lines: &[JournalLine], run_dir: &str) -> Option<BisectResult> {
    let events: Vec<RunEvent> = lines.iter().map(|line| line.event.clone()).collect();
    let plan = events.iter().find_map(|event| match event {
        RunEvent::Began { plan } => Some(plan.as_ref().clone()),
        _ => None,
    })?;
    let end = end_of_search(&events);
    let target = target_symptom(&events).cloned();
    let trials = trials_of(&plan, &events);
    let mut result = BisectResult {
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
            statement: words::NO_ANSWER.to_owned(),
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
        revert: RevertTest::of(&plan, &events).and_then(|test| test.result(&plan, &events)),
        further: further(&events),
        affected: None,
        forgone: events.iter().rev().find_map(|event| match event {
            RunEvent::Forgone { forgone } => Some(forgone.as_ref().clone()),
            _ => None,
        }),
        prior: None,
        series: series_of(&plan, &trials),
        warnings: plan.warnings.clone(),
        scenario: plan.scenario.clone(),
        says: plan.scenario_says.clone(),
        direction: plan.direction,
        reference: plan.reference.clone(),
        environment: plan.environment.clone(),
        wall_s: wall_seconds(lines),
        run_dir: run_dir.to_owned(),
        repeat: None,
        tool_version: plan.tool_version.clone(),
        trials: trials.iter().map(|(_, record)| record.clone()).collect(),
        beside: beside(&events),
    };
    let method = Method::replay(&plan, &events).ok();
    result.warnings.extend(accepted(&result.trials));
    let reused = result.trials.iter().filter(|trial| trial.reused.is_some()).count();
    result.warnings.extend(words::trials_reused(reused));
    if method.as_ref().is_some_and(Method::boots_disagree) {
        result.warnings.push(words::BOOTS_DISAGREE.to_owned());
    }
    if let Some(at) = method.as_ref().and_then(Method::disagreed)
        && let Some(planned) = plan.series.get(at)
    {
        result.warnings.push(words::repeats_disagree(planned.kernel.label()));
    }
    let ends = match method.as_ref().and_then(Method::doubt) {
        Some(search) => {
            let ending = match end {
                Some(RunEvent::Decided { ending }) => Some(ending),
                _ => None,
            };
            conclude_doubt(&mut result, search, ending, &events)
        }
        None => {
            let outcome = match end {
                Some(RunEvent::Ended { outcome }) => Some(outcome),
                _ => None,
            };
            let sure = method.as_ref().zip(outcome).and_then(|(m, end)| m.confirmation(end));
            let ends = conclude(&mut result, outcome, &events);
            confirm(&mut result, sure, ends, &trials);
            ends
        }
    };
    let culprit = ends.map(|(_, first_new)| first_new);
    result.prior = events.iter().find_map(|event| match event {
        RunEvent::Weighed { prior } => Some(prior.told(culprit)),
        _ => None,
    });
    // It has an answer: that the end is bad in another way.
    if matches!(result.outcome, OutcomeWord::Aborted | OutcomeWord::NotReproduced)
        && end.is_some()
        && let Some(missing) = named_is_missing(&events)
    {
        result.outcome = OutcomeWord::NotReproduced;
        (result.reason, result.aborted) = (Some(words::named_is_missing(&missing)), None);
    }
    if let Some((old, new)) = ends {
        let kernel = |index: usize| kernels(&result, &[index]).pop();
        let (old, new) = (kernel(old), kernel(new));
        match plan.direction {
            Direction::Regression => (result.last_good, result.first_bad) = (old, new),
            Direction::Fix => (result.last_bad, result.first_good) = (old, new),
        }
    }
    result.affected = affected(&result, &plan, &events);
    if let Some(end) = OtherEnd::of(&plan, &events).filter(|end| end.fails == Some(true)) {
        let passing = plan.series.len() - 1 - end.index;
        let [fails, passes] =
            [end.index, passing].map(|at| plan.series[at].kernel.label().to_owned());
        result.reason = Some(words::wrong_way_round(plan.direction, &fails, &passes));
    }
    let shown = match plan.direction {
        Direction::Regression => result.first_bad.as_ref(),
        Direction::Fix => result.last_bad.as_ref(),
    };
    let told =
        shown.and_then(|kernel| result.trials.iter().find(|record| record.kernel.id == kernel.id));
    let bad = result.trials.iter().find(|record| record.verdict == VerdictKind::Bad);
    result.repeat = told.or(bad).map(|record| record.repeat.clone());
    Some(result)
}

/// What runs found that went on; of each the last word.
fn further(events: &[RunEvent]) -> Vec<Further> {
    let mut all: Vec<Further> = Vec::new();
    for event in events {
        let RunEvent::Further { further } = event else { continue };
        match all.iter_mut().find(|known| known.run_id == further.run_id) {
            Some(known) => known.clone_from(further),
            None => all.push(further.as_ref().clone()),
        }
    }
    // An attempt that came to no run is over once another one did.
    let begun: Vec<_> =
        all.iter().filter(|one| !one.run_id.is_empty()).map(|one| one.because).collect();
    all.retain(|one| !one.run_id.is_empty() || !begun.contains(&one.because));
    all
}

/// The trials with what they were taken for, and the positions of their versions.
fn trials_of(plan: &Plan, events: &[RunEvent]) -> Vec<(usize, Trial)> {
    let target = target_symptom(events);
    let mut trials: Vec<(usize, Trial)> = events
        .iter()
        .filter_map(|event| match event {
            RunEvent::TrialEnded { tried: Tried::Version { index }, record, mark, taken } => {
                let mut taken = taken.clone();
                if taken.is_empty() && *mark == Some(Mark::Skip) {
                    // A journal of before it was told.
                    let symptom = record.symptom.as_ref();
                    taken = symptom.map(|it| Taken::compared(target, it)).unwrap_or_default();
                }
                if plan.options.doubt.is_some() {
                    taken = mark_again(record, (*mark, &taken), target).1;
                }
                Some((*index, Trial::new(record, &taken)))
            }
            _ => None,
        })
        .collect();
    for event in events {
        if let RunEvent::Decoded { number, decoded } = event {
            let of_trial = trials.iter_mut().map(|(_, trial)| trial);
            let of_trial = of_trial.filter(|trial| trial.number == *number);
            of_trial.for_each(|trial| trial.record.evidence.decoded = Some(decoded.clone()));
        }
    }
    trials
}

/// Trials that the search did not make for itself.
fn beside(events: &[RunEvent]) -> Vec<Trial> {
    let of_event = |event: &RunEvent| match event {
        RunEvent::TrialEnded {
            tried: Tried::Revert { .. } | Tried::Beside { .. },
            record,
            taken,
            ..
        } => Some(Trial::new(record, taken)),
        _ => None,
    };
    events.iter().filter_map(of_event).collect()
}

/// Fills in what a halving found; gives the positions around the change.
fn conclude(
    result: &mut BisectResult,
    outcome: Option<&Outcome>,
    events: &[RunEvent],
) -> Option<(usize, usize)> {
    let (around, possible) = match outcome {
        Some(
            Outcome::Found { last_old, first_new }
            | Outcome::FoundDespiteSkips { last_old, first_new, .. },
        ) => ((*last_old, *first_new), vec![*first_new]),
        Some(Outcome::Range { last_old, first_new, possible, .. }) => {
            ((*last_old, *first_new), possible.clone())
        }
        Some(Outcome::NotReproduced) => {
            result.outcome = OutcomeWord::NotReproduced;
            result.reason = Some(words::not_reproduced(None));
            return None;
        }
        Some(Outcome::GoodFails) => {
            good_fails(result);
            result.reason = Some(words::good_fails(result, None));
            return None;
        }
        Some(Outcome::EndSkipped { which }) => {
            end_skipped(result, *which == Role::GoodEnd);
            return None;
        }
        None => {
            stop(result, events);
            return None;
        }
    };
    let tried = |index: usize| {
        events.iter().any(
            |event| matches!(event, RunEvent::TrialEnded { tried: Tried::Version { index: at }, mark: Some(_), .. } if *at == index),
        )
    };
    let (old, new) = around;
    let mut neighbours = Some(([tried(old), tried(new)], by_boots(events, old, new)));
    result.outcome = match outcome {
        Some(Outcome::Found { .. }) => OutcomeWord::Found,
        Some(Outcome::FoundDespiteSkips { .. }) => OutcomeWord::FoundDespiteSkips,
        _ => {
            neighbours = None;
            OutcomeWord::Range
        }
    };
    result.candidates = kernels(result, &possible);
    result.confidence = Confidence {
        level: "unconfirmed".to_owned(),
        probability: None,
        statement: words::tried_once(neighbours, result.outcome),
    };
    Some(around)
}

/// Says how sure a halving's answer is, once its sides were tried again.
fn confirm(
    result: &mut BisectResult,
    sure: Option<Confirmation>,
    ends: Option<(usize, usize)>,
    trials: &[(usize, Trial)],
) {
    let Some((sure, (old, new))) = sure.filter(|sure| sure.repeats > 0).zip(ends) else {
        return;
    };
    let of = |index: usize| {
        let mut runs = words::Runs::default();
        let own = trials.iter().filter(|(at, record)| *at == index && record.is_answer());
        for (_, record) in own {
            runs.counted += 1;
            runs.fails += u32::from(record.verdict == VerdictKind::Bad);
            runs.booted += u32::from(record.boot.is_some() && !record.is_quick());
        }
        (result.series.get(index).map_or("?", |entry| entry.kernel.label()), runs)
    };
    let (bad, good) = match result.direction {
        Direction::Regression => (new, old),
        Direction::Fix => (old, new),
    };
    result.confidence = Confidence {
        level: if sure.is_confirmed { "confirmed" } else { "unconfirmed" }.to_owned(),
        probability: Some(sure.probability),
        statement: words::repeated([of(bad), of(good)], sure.is_confirmed, result.outcome),
    };
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
            let (kernel, commit) = (planned.kernel.clone(), planned.commit.clone());
            SeriesEntry { kernel, verdict, reason, commit, belief: None }
        })
        .collect()
}
