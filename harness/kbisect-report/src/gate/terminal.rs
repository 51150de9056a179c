//! The answer of a check for the terminal.

use kbisect_core::gate::{Cell, GateOutcome, GateResult, Standing, WaysAnswer};
use kbisect_core::kernel::Kernel;

use super::words::map_lines;
use crate::plain::{clean, table};
use crate::words::{follows, grounds, states_differ, trials_reused, ways_table};

/// The answer of a check for the terminal: a table, what is to be looked at, one line of summary.
#[must_use]
pub fn terminal_summary_check(result: &GateResult) -> String {
    let plan = &result.plan;
    let rows = plan.rows();
    // Two builds of one version would look alike.
    let twice = |kernel: &Kernel| {
        rows.iter().filter(|(other, _)| other.label() == kernel.label()).count() > 1
    };
    let label = |kernel: &Kernel| {
        let version = kernel.package_version.to_string();
        let name = if twice(kernel) { version } else { kernel.label().to_owned() };
        let is_baseline = plan.baseline.as_ref().is_some_and(|baseline| baseline.id == kernel.id);
        clean(&if is_baseline { format!("{name} (baseline)") } else { name })
    };
    let head = plan.scenarios.iter().map(|scenario| clean(&scenario.name));
    let mut lines = vec![std::iter::once("kernel".to_owned()).chain(head).collect::<Vec<_>>()];
    for (kernel, _) in &rows {
        let cells = result.cells.iter().filter(|cell| cell.kernel.id == kernel.id);
        let words = cells.map(|cell| word(cell).to_owned());
        lines.push(std::iter::once(label(kernel)).chain(words).collect());
    }
    let mut text = table(&lines);
    for map in &result.maps {
        text.push('\n');
        text.extend(map_lines(map).iter().map(|line| clean(line) + "\n"));
    }
    for answer in &result.ways {
        text.push('\n');
        text += &ways(answer);
    }
    let details: Vec<String> = result
        .cells
        .iter()
        .filter_map(|cell| {
            let reason = cell.reason.as_ref()?;
            let (name, scenario) = (label(&cell.kernel), &cell.scenario);
            let mut line = format!("{name}, {scenario}: {}: {reason}", word(cell));
            let regressed = cell.under_test && cell.standing == Standing::Regressed;
            let trial = result.trial(cell).filter(|_| regressed);
            if let Some(trial) = trial {
                line += &format!("\n  repeat: {}", trial.repeat);
            }
            if let (Standing::ScenarioError, Some(fault)) = (cell.standing, &cell.fault) {
                line += &format!("\n  what to do: {}", fault.hint());
            }
            Some(line.split('\n').map(clean).collect::<Vec<_>>().join("\n") + "\n")
        })
        .collect();
    if !details.is_empty() {
        text += "\n";
        text += &details.concat();
    }
    for (reason, versions) in left_out(result) {
        let line = format!("left out of the range: {}: {reason}", versions.join(", "));
        text += &clean(&line);
        text.push('\n');
    }
    let reused = result.trials.iter().filter(|trial| trial.record.reused.is_some()).count();
    text.extend(trials_reused(reused).map(|told| told + "\n"));
    text + "\n" + &summary(result) + "\n"
}

/// What a failure follows: the answer, the table, and why.
fn ways(answer: &WaysAnswer) -> String {
    let (head, rows) = ways_table(answer);
    let cells = std::iter::once(head).chain(rows);
    let cells: Vec<Vec<String>> =
        cells.map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
    let states = answer.states.iter().flat_map(states_differ);
    let lines = std::iter::once(follows(answer)).chain(grounds(answer)).chain(states);
    let lines: Vec<String> = lines.map(|line| clean(&line) + "\n").collect();
    format!("{}{}", table(&cells), lines.concat())
}

/// Kernels that were left out, by the reason.
fn left_out(result: &GateResult) -> Vec<(&str, Vec<&str>)> {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    for left in &result.plan.left_out {
        let version = left.kernel.package_version.as_str();
        match found.iter_mut().find(|(reason, _)| *reason == left.reason) {
            Some((_, versions)) => versions.push(version),
            None => found.push((&left.reason, vec![version])),
        }
    }
    found
}

/// The word of a cell; a baseline that fails is just that.
fn word(cell: &Cell) -> &'static str {
    match cell.standing {
        Standing::AlreadyBroken | Standing::Regressed if !cell.under_test => "fails",
        standing => standing.word(),
    }
}

/// One line: how it ended, the counts, where the evidence is.
fn summary(result: &GateResult) -> String {
    let ended = match result.outcome {
        GateOutcome::Passed => "passed",
        GateOutcome::Regressed => "FAILED",
        GateOutcome::NotTested => "FAILED: not all could be tested (--allow-skips accepts gaps)",
        GateOutcome::AlreadyBroken => {
            "FAILED: broken at the baseline as well (--allow-broken accepts checks by name)"
        }
        GateOutcome::ScenarioError => "no answer: a scenario is wrong",
        GateOutcome::Aborted => "no answer: the check did not come to its end",
    };
    let counts: Vec<String> = Standing::ALL
        .into_iter()
        .rev()
        .map(|standing| (result.counts.of(standing), standing))
        .filter(|(count, _)| *count > 0)
        .map(|(count, standing)| format!("{count} {}", standing.word()))
        .collect();
    let trials = result.trials.len();
    let trials = if trials == 1 { "1 trial".to_owned() } else { format!("{trials} trials") };
    let line = format!(
        "{ended}: {}; {trials} in {:.0} s; {}/report.html",
        counts.join(", "),
        result.wall_s,
        result.run_dir
    );
    clean(&line)
}
