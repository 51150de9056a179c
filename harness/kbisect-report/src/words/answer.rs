//! What a bisection came to, and how sure that is.

use kbisect_core::bayes::{Ending, NoisySearch, RangeReason, Tally};
use kbisect_core::run::{
    BisectResult, ChosenBy, Missing, OutcomeWord, RunEvent, SymptomChoice, SymptomCount,
    SymptomName,
};
use kbisect_core::trial::{Symptom, TrialRecord, Verdict};

/// What is said of a search without an answer.
pub(crate) const NO_ANSWER: &str = "no answer";

/// What users are told when saved states and boots disagree.
pub const BOOTS_DISAGREE: &str = "kernels fail at another rate when they go on from a saved state, or boot \
    by their PVH entry, than when they boot as shipped: from now on they boot so, and other trials do not count";

/// Begins what is said of rules that do not load on the good end.
pub(crate) const FAULT_OF_SCENARIO: &str =
    "rules that do not load on a kernel that should be good are the scenario's fault";

/// Why a search under doubt found no change.
pub(crate) const NOTHING_CHANGED: &str =
    "failures are as frequent at the good end as elsewhere: nothing changed";

/// Runs of a version beside a change.
#[derive(Clone, Copy, Default)]
pub(crate) struct Runs {
    /// Those with an answer.
    pub(crate) counted: u32,
    /// Those of them that failed.
    pub(crate) fails: u32,
    /// Those of them that booted as shipped.
    pub(crate) booted: u32,
}

/// Says that repeats of a version disagreed.
#[must_use]
pub fn repeats_disagree(label: &str) -> String {
    format!(
        "{label} failed in some runs and passed in others: from there on versions were tried as often as the \
         search under doubt asks for, as with --flaky"
    )
}

/// Says which symptom is looked for, and who chose it.
#[must_use]
pub fn symptom_choice(symptom: &Symptom, choice: &SymptomChoice) -> String {
    let how = match choice.by {
        ChosenBy::Named => "as named",
        ChosenBy::Asked => "as chosen when asked",
        ChosenBy::MostFrequent => "the most frequent one; --symptom names another",
    };
    match choice.seen.as_slice() {
        [] | [_] => format!("the search is for `{symptom}`, {how}"),
        several => format!(
            "the bad end fails in several ways ({}); the search is for `{symptom}`, {how}",
            numbered(several)
        ),
    }
}

/// Says that the bad end does not show the symptom that was named.
pub(crate) fn named_is_missing(missing: &Missing) -> String {
    let (name, shown) = (&missing.name, numbered(&missing.shown));
    match name {
        SymptomName::Number(_) => {
            format!("symptom {name} was named, but the bad end shows these: {shown}")
        }
        SymptomName::Kind(_) | SymptomName::Title(_) => format!(
            "the end that should be bad does not show `{name}`, which was named; it shows: {shown}"
        ),
    }
}

fn numbered(seen: &[SymptomCount]) -> String {
    let word = |(at, count): (usize, &SymptomCount)| {
        let s = if count.runs == 1 { "" } else { "s" };
        format!("{}. {}, {} run{s}", at + 1, count.symptom, count.runs)
    };
    seen.iter().enumerate().map(word).collect::<Vec<_>>().join("; ")
}

/// Follows the reason of a bad end without an answer that failed in several ways.
pub(crate) fn fails_with(seen: &[SymptomCount]) -> String {
    let list: Vec<String> = seen.iter().map(|c| format!("{} ({})", c.symptom, c.runs)).collect();
    format!("; it fails with {}: --symptom names one", list.join(", "))
}

/// How sure an answer is whose versions were tried once each: which sides of the change were tried, and
/// whether boots showed what saved states did.
pub(crate) fn tried_once(
    neighbours: Option<([bool; 2], Option<bool>)>,
    outcome: OutcomeWord,
) -> String {
    let (tried, booted) = match neighbours {
        Some((tried, by_boots)) => {
            let tried = match tried {
                [true, true] => "; both neighbours of the change were tried",
                [false, false] => "; both neighbours of the change were taken for granted",
                _ => "; one neighbour of the change was taken for granted, not tried",
            };
            (tried, booted(by_boots))
        }
        None => ("", ""),
    };
    format!("each version was tried once{tried}{booted}{}", without_answer(outcome))
}

/// How sure an answer is whose sides were tried again, the bad one first.
pub(crate) fn repeated(sides: [(&str, Runs); 2], settled: bool, outcome: OutcomeWord) -> String {
    let [bad, good] = sides.map(|(label, runs)| match runs.counted {
        0 => format!("{label} was taken for granted"),
        n => format!("{label} failed in {} of {n} runs ({} booted)", runs.fails, runs.booted),
    });
    let settled = if settled { "" } else { "; its repeats do not settle it" };
    format!("{bad}, {good}{settled}{}", without_answer(outcome))
}

fn without_answer(outcome: OutcomeWord) -> &'static str {
    match outcome {
        OutcomeWord::FoundDespiteSkips => "; other versions gave no answer",
        OutcomeWord::Range => {
            "; versions between the two gave no answer: the change came with one of them"
        }
        _ => "",
    }
}

fn booted(by_boots: Option<bool>) -> &'static str {
    match by_boots {
        None => "",
        Some(true) => "; what a saved state or a quick boot showed of them, a boot showed as well",
        Some(false) => "; what a saved state or a quick boot showed of them, no boot confirms",
    }
}

/// How sure a search under doubt is.
pub(crate) fn believed<'a>(
    search: &NoisySearch,
    ending: &Ending,
    label: &dyn Fn(usize) -> &'a str,
    by_boots: Option<bool>,
) -> String {
    let counts = |at: usize| format!("{} failed in {}", label(at), of_runs(search.tally(at)));
    match ending {
        Ending::Found { first_new, last_old, probability, .. } => {
            let old = last_old.first().map(|at| format!(", {}", counts(*at)));
            let (rate, good) = (search.belief().p, search.belief().q);
            format!(
                "{} that the change came with {}: {}{}; bad kernels fail in {} to {} of runs, good \
                 ones in at most {}{}",
                percent(*probability),
                label(*first_new),
                counts(*first_new),
                old.unwrap_or_default(),
                percent(rate.low),
                percent(rate.high),
                percent(good.high),
                booted(by_boots)
            )
        }
        Ending::Range { possible, probability, .. } => format!(
            "{} that the change came with one of {} versions",
            percent(*probability),
            possible.len()
        ),
        Ending::GoodFails { probability, .. } => {
            format!("{} that the good end is bad as well", percent(*probability))
        }
        Ending::NothingChanged { probability } => {
            format!("{} that nothing changed", percent(*probability))
        }
        Ending::NotReproduced { .. } | Ending::EndSkipped { .. } => NO_ANSWER.to_owned(),
    }
}

/// A probability for people.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if !p.is_finite() => "unknown".to_owned(),
        p if p > 0.0 && p < 0.1 => "< 0.1 %".to_owned(),
        p if p > 99.9 && p < 100.0 => "> 99.9 %".to_owned(),
        // What is not certain is never 100 %.
        p if !(10.0..=90.0).contains(&p) && p < 100.0 => format!("{p:.1} %"),
        p => format!("{p:.0} %"),
    }
}

/// `2 of 3 runs`.
fn of_runs(tally: Tally) -> String {
    format!("{} of {} runs", tally.fails, tally.counted())
}

/// `2 of 3 runs failed`.
pub(crate) fn runs_failed(tally: Tally) -> String {
    format!("{} failed", of_runs(tally))
}

/// Why a search under doubt names several versions.
pub(crate) fn not_narrower(why: &RangeReason) -> &'static str {
    match why {
        RangeReason::Untestable => "the versions between give no answer",
        RangeReason::Budget => "the budget is spent",
        RangeReason::Stopped => "the search was stopped",
        RangeReason::SeveralChanges(_) => {
            "the symptom comes and goes: no single version brought it"
        }
        RangeReason::Exhausted => "no further trial would tell more",
    }
}

/// Says that the bad end is good, with the counts of a search under doubt.
pub(crate) fn not_reproduced(tally: Option<Tally>) -> String {
    match tally {
        Some(tally) => format!("the end that should be bad failed in {}", of_runs(tally)),
        None => "the end that should be bad is good".to_owned(),
    }
}

/// Says that the good end is bad, with the counts of a search under doubt.
pub(crate) fn good_fails(result: &BisectResult, tally: Option<Tally>) -> String {
    let misfit = result.symptom.as_ref().is_some_and(|symptom| !symptom.lacks.is_empty());
    let how = match tally {
        Some(tally) => format!(", in {}", of_runs(tally)),
        None if misfit => {
            ": both lack what the scenario requires, so it does not fit this range".to_owned()
        }
        None => String::new(),
    };
    format!("the end that should be good fails as well{how}{}", fault_of_scenario(result))
}

/// Says that an end gives no answer, and why.
pub(crate) fn end_skipped(result: &BisectResult, good: bool) -> String {
    let word = if good { "good" } else { "bad" };
    let why = result.end(good).and_then(|entry| entry.reason.as_deref());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("the {word} end of the range gives no answer{why}{}", fault_of_scenario(result))
}

fn fault_of_scenario(result: &BisectResult) -> String {
    let said = result.rules_refused.as_ref();
    said.map(|said| format!("; {FAULT_OF_SCENARIO}: {said}")).unwrap_or_default()
}

/// The verdict of one trial.
pub(crate) fn verdict_of_trial(scenario: &str, trial: &TrialRecord) -> String {
    let label = trial.kernel.label();
    match trial.verdict() {
        Verdict::Good => format!("Scenario {scenario} passes on {label}."),
        Verdict::Bad(_) => format!("Scenario {scenario} fails on {label}."),
        Verdict::Skip(reason) => format!("{label} cannot answer: {reason}."),
        Verdict::Infra(reason) => format!("No verdict: kbisect or the host failed: {reason}."),
        Verdict::Scenario(fault) => format!("Scenario error: {fault}."),
    }
}

/// Why a run ended before its search did.
pub(crate) fn stopped(event: &RunEvent) -> String {
    match event {
        RunEvent::Failed { error } => error.clone(),
        RunEvent::ScenarioError { fault } => format!("scenario error: {fault}"),
        _ => "interrupted".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_for_people() {
        for (share, text) in [
            (0.0, "0.0 %"),
            (0.0004, "< 0.1 %"),
            (0.123, "12 %"),
            (0.996, "99.6 %"),
            (0.9995, "> 99.9 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(percent(share), text);
        }
    }
}
