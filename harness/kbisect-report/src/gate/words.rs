//! Sentences that the forms share.

use kbisect_core::gate::{
    Answer, Cell, Change, GateOutcome, GateResult, Grounds, Map, MapSeries, Standing, Stretch,
};
use kbisect_core::trial::{TrialRecord, Verdict};

use crate::text::{line, utc};

/// Most characters of a reason.
const REASON: usize = 400;

/// Why a kernel without a trial has no answer.
pub(super) const NOT_TRIED: &str = "it was not tried";

/// Why a check without an end has none.
pub(super) const CUT_OFF: &str = "it was cut off";
pub(super) const INTERRUPTED: &str = "interrupted";

/// What a cell's standing rests on; nothing where it passed as the baseline did.
pub(super) fn reason(cell: &Cell, record: Option<&TrialRecord>) -> Option<String> {
    let accepted = || {
        let accepted = record.into_iter().flat_map(|record| &record.accepted);
        accepted.map(ToString::to_string).collect::<Vec<_>>()
    };
    let beside = match &cell.grounds {
        Grounds::NotTried => return Some(NOT_TRIED.to_owned()),
        Grounds::Trial | Grounds::Boots(_) => {
            return match (record?.verdict(), &cell.grounds) {
                (Verdict::Skip(why), _) => Some(why.to_string()),
                (Verdict::Infra(reason), _) => Some(reason),
                (Verdict::Scenario(fault), _) => Some(fault.to_string()),
                (Verdict::Bad(symptom), _) => Some(symptom.to_string()),
                (Verdict::Good, _) if !accepted().is_empty() => Some(accepted().join("; ")),
                (Verdict::Good, Grounds::Boots(boots)) => {
                    Some(format!("it failed in a quick trial, and passed in {boots} boots"))
                }
                (Verdict::Good, _) => None,
            };
        }
        Grounds::BaselineFails(was) => {
            let reasons = [vec![format!("the baseline fails: {was}")], accepted()].concat();
            return Some(reasons.join("; "));
        }
        Grounds::BaselinePasses(checks) if checks.is_empty() => "the baseline passes".to_owned(),
        Grounds::BaselinePasses(checks) => format!("the baseline passes {}", checks.join(", ")),
        Grounds::BaselineDiffers(was) => format!("the baseline fails in another way: {was}"),
        Grounds::BaselineAlike(matching) => {
            format!("{} as at the baseline", crate::words::matching(matching))
        }
        Grounds::BaselineSilent => "the baseline gives no answer".to_owned(),
    };
    Some(format!("{}; {beside}", cell.symptom.as_ref()?))
}

/// What was checked, and how it ended, in a few words.
pub(super) fn heading(result: &GateResult) -> String {
    let scenarios: Vec<&str> =
        result.plan.scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    let what = if result.plan.ranges.is_empty() {
        let kernels = &result.plan.kernels;
        match kernels.as_slice() {
            [one] => format!("on {}", one.label()),
            several => format!("on {} kernels", several.len()),
        }
    } else {
        format!("over {}", result.plan.ranges.join(", "))
    };
    let ended = match result.maps.as_slice() {
        [map] if result.outcome != GateOutcome::Aborted => answers(map),
        _ => outcome(result).to_owned(),
    };
    line(&format!("{} {what}: {ended}", scenarios.join(", ")), REASON)
}

/// How it ended.
pub(super) fn outcome(result: &GateResult) -> &'static str {
    match result.outcome {
        GateOutcome::Passed => "passed",
        GateOutcome::Regressed => "failed",
        GateOutcome::NotTested => "failed, since not all could be tested",
        GateOutcome::AlreadyBroken => "failed, since it is broken at the baseline as well",
        GateOutcome::ScenarioError => "failed, since a scenario is wrong",
        GateOutcome::Aborted => "stopped before its end",
    }
}

/// `2 regressed, 1 good`.
pub(super) fn counts(result: &GateResult) -> String {
    let counts: Vec<String> = Standing::ALL
        .into_iter()
        .rev()
        .map(|standing| (result.counts.of(standing), standing))
        .filter(|(count, _)| *count > 0)
        .map(|(count, standing)| format!("{count} {}", standing.word()))
        .collect();
    counts.join(", ")
}

/// `38 good, 9 bad, 15 cannot be tested`.
pub(super) fn answers(map: &Map) -> String {
    let counts: Vec<String> = Answer::ALL
        .into_iter()
        .map(|answer| (map.count(answer), answer))
        .filter(|(count, _)| *count > 0)
        .map(|(count, answer)| format!("{count} {}", answer.word()))
        .collect();
    counts.join(", ")
}

/// A series in words: `good 6.12.43 to 6.12.57, bad 6.12.69 to 6.12.96, good from 6.12.100 on`.
pub(super) fn series(series: &MapSeries) -> String {
    if series.stretches.is_empty() {
        return "no kernel gives an answer".to_owned();
    }
    let words = |stretch: &Stretch| {
        let word = stretch.answer.word();
        match stretch.kernels {
            1 => format!("{word} {}", stretch.first),
            _ => format!("{word} {} to {} ({})", stretch.first, stretch.last, stretch.kernels),
        }
    };
    let parts: Vec<String> = series.stretches.iter().map(words).collect();
    line(&parts.join(", "), 2000)
}

/// A change point in words.
pub(super) fn change(change: &Change) -> String {
    let between = match change.unanswered.len() {
        0 => String::new(),
        _ => format!("; no answer between them: {}", change.unanswered.join(", ")),
    };
    let branch = if change.within_series {
        ""
    } else {
        " (another series, so not by one change to be named)"
    };
    line(
        &format!(
            "{} between {} and {}{branch}: {}{between}",
            change.kind.word(),
            change.from,
            change.to,
            change.symptom
        ),
        2000,
    )
}

/// What the history as a whole means for those who search in it; nothing when there is nothing to say.
pub(super) fn remark(map: &Map) -> Option<String> {
    let series = map.back_and_forth();
    if series.is_empty() {
        return None;
    }
    Some(format!(
        "In {} the answer turns more than once: a bisection from end to end cannot see that. Bisect one \
         change point at a time.",
        line(&series.join(" and "), REASON)
    ))
}

/// Why kernels gave no answer, each reason once.
pub(super) fn unanswered(map: &Map) -> Vec<String> {
    let words = |(answer, reason, labels): (Answer, &str, Vec<&str>)| {
        line(&format!("{}: {}: {reason}", labels.join(", "), answer.word()), 4000)
    };
    map.unanswered().into_iter().map(words).collect()
}

/// The command that finds a change point's change, for one within a series.
pub(super) fn bisect_command(map: &Map, change: &Change) -> Option<String> {
    let fix = match change.kind {
        kbisect_core::gate::ChangeKind::Breaks => "",
        kbisect_core::gate::ChangeKind::Heals => " --find-fix",
        kbisect_core::gate::ChangeKind::FailsOtherwise => return None,
    };
    // Without a kernel between them there is nothing left to halve; the changes between them can be
    // ranked.
    (change.within_series).then(|| {
        let (from, to) = (&change.from, &change.to);
        let range = crate::text::shell_word(&format!("{from}..{to}"));
        let scenario = crate::text::shell_word(&map.scenario);
        if change.unanswered.is_empty() && fix.is_empty() {
            format!("kbisect changes {range} --scenario {scenario}")
        } else {
            format!("kbisect {range} --scenario {scenario}{fix}")
        }
    })
}

/// When the first trial began, UTC; nothing when none did.
pub(super) fn began(result: &GateResult) -> Option<String> {
    let first = result.trials.iter().filter_map(|trial| trial.record.began_ms).min()?;
    Some(format!("{} UTC", utc(first.saturating_mul(1_000_000))))
}

/// A map for the terminal: a line of signs for each series, and the same in words.
#[must_use]
pub fn map_lines(map: &Map) -> Vec<String> {
    let width = map.series.iter().map(|series| series.series.len()).max().unwrap_or_default();
    let mut lines = vec![format!("map of {}: {}", line(&map.scenario, REASON), answers(map))];
    for one in &map.series {
        let signs: String = one.kernels.iter().map(|kernel| kernel.answer.sign()).collect();
        lines.push(format!("  {:width$}  {signs}", line(&one.series, 40)));
        lines.push(format!("  {:width$}  {}", "", series(one)));
    }
    let used: Vec<String> = Answer::ALL
        .into_iter()
        .filter(|answer| map.count(*answer) > 0)
        .map(|answer| format!("{} {}", answer.sign(), answer.word()))
        .collect();
    lines.push(format!("  ({}; oldest first)", used.join(", ")));
    if !map.changes.is_empty() {
        lines.push("change points:".to_owned());
        for one in &map.changes {
            lines.push(format!("  {}", change(one)));
        }
    }
    lines.extend(remark(map));
    lines
}
