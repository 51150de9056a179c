//! The answer of a check, and as text: a table, what is to be looked at, one line of summary.

use std::path::Path;

use kbisect_core::gate::{Cell, GateOutcome, GateResult, Standing};
use kbisect_core::kernel::Kernel;
use kbisect_core::run::JournalLine;
use kbisect_report::{html_check, junit_check, map_lines, markdown_check};

use super::ending::{Answers, not_begun};
use super::files::{write_json, write_whole};
use super::journal::Journal;
use crate::{exit, output};

/// The answer of a check: its matrix.
#[derive(Default)]
pub struct Matrix<'a> {
    /// File for JUnit XML.
    pub junit: Option<&'a str>,
}

impl Answers for Matrix<'_> {
    type Answer = GateResult;
    const TELLS_PARTS: bool = true;

    fn read(&self, lines: &[JournalLine], folder: &Path) -> anyhow::Result<GateResult> {
        GateResult::from_journal(lines, &folder.display().to_string())
            .ok_or_else(|| not_begun(folder))
    }

    fn write(&self, journal: &Journal, folder: &Path) -> anyhow::Result<GateResult> {
        let result = self.read(&journal.lines, folder)?;
        write_json(&folder.join("result.json"), &result)?;
        write_whole(&folder.join("report.md"), markdown_check(&result).as_bytes())?;
        write_whole(&folder.join("report.html"), html_check(&result).as_bytes())?;
        if let Some(file) = self.junit {
            write_whole(Path::new(file), junit_check(&result).as_bytes())?;
        }
        Ok(result)
    }

    fn text(&self, result: &GateResult, _: bool) -> String {
        text(result)
    }

    fn code(&self, result: &GateResult) -> u8 {
        match result.outcome {
            GateOutcome::Passed => exit::OK,
            GateOutcome::Regressed | GateOutcome::AlreadyBroken | GateOutcome::NotTested => {
                exit::REGRESSED
            }
            GateOutcome::ScenarioError => exit::SCENARIO,
            GateOutcome::Aborted => exit::INFRASTRUCTURE,
        }
    }
}

/// Writes the result for people.
fn text(result: &GateResult) -> String {
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
        output::clean(&if is_baseline { format!("{name} (baseline)") } else { name })
    };
    let head = plan.scenarios.iter().map(|scenario| output::clean(&scenario.name));
    let mut table = vec![std::iter::once("kernel".to_owned()).chain(head).collect::<Vec<_>>()];
    for (kernel, _) in &rows {
        let cells = result.cells.iter().filter(|cell| cell.kernel.id == kernel.id);
        let words = cells.map(|cell| word(cell).to_owned());
        table.push(std::iter::once(label(kernel)).chain(words).collect());
    }
    let mut text = output::table(&table);
    for map in &result.maps {
        text.push('\n');
        text.extend(map_lines(map).iter().map(|line| output::clean(line) + "\n"));
    }
    let details: Vec<String> = result
        .cells
        .iter()
        .filter_map(|cell| {
            let reason = cell.reason.as_ref()?;
            let (name, scenario) = (label(&cell.kernel), &cell.scenario);
            let mut line = format!("{name}, {scenario}: {}: {reason}", word(cell));
            let trial = result.trial(cell).filter(|_| cell.standing == Standing::Regressed);
            if let Some(trial) = trial {
                line += &format!("\n  repeat: {}", trial.repeat);
            }
            if let (Standing::ScenarioError, Some(fault)) = (cell.standing, &cell.fault) {
                line += &format!("\n  what to do: {}", fault.hint());
            }
            Some(line.split('\n').map(output::clean).collect::<Vec<_>>().join("\n") + "\n")
        })
        .collect();
    if !details.is_empty() {
        text += "\n";
        text += &details.concat();
    }
    for (reason, versions) in left_out(result) {
        let line = format!("left out of the range: {}: {reason}", versions.join(", "));
        text += &output::clean(&line);
        text.push('\n');
    }
    text + "\n" + &summary(result) + "\n"
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
        Standing::AlreadyBroken if !cell.under_test => "fails",
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
    output::clean(&line)
}
