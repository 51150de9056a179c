//! Whether a kernel mends a failure, for the ticket.

use kbisect_core::run::{BisectResult, OutcomeWord};
use kbisect_core::trial::VerdictKind;

use crate::doubt;
use crate::text::line;

/// What a verification came to, in lines of at most 76 columns. `tester` is a name with an address.
#[must_use]
pub fn verification(result: &BisectResult, tester: &str) -> String {
    let [fails, mends] = [result.series.first(), result.series.last()];
    let name = |at: Option<&kbisect_core::run::SeriesEntry>| {
        at.map(|entry| entry.kernel.label().to_owned()).unwrap_or_default()
    };
    let (failing, mending) = (name(fails), name(mends));
    let count = |label: &str, verdict: Option<VerdictKind>| {
        let of_it = result.trials.iter().filter(|trial| trial.kernel.label() == label);
        of_it
            .filter(|trial| trial.is_answer() && verdict.is_none_or(|it| trial.verdict == it))
            .count()
    };
    let bad = Some(VerdictKind::Bad);
    let row =
        |label: &str| format!("  {label:<28} {} of {}\n", count(label, bad), count(label, None));
    let is_mended = matches!(result.outcome, OutcomeWord::Found | OutcomeWord::FoundDespiteSkips);
    let verdict = match result.outcome {
        _ if is_mended => format!("Verification done: {mending} mends it."),
        OutcomeWord::GoodFails => {
            format!("Verification failed: {mending} fails as {failing} does.")
        }
        OutcomeWord::NotReproduced => {
            format!(
                "Nothing verified: {failing} does not fail any more, so that {mending} proves nothing."
            )
        }
        _ => {
            let why = result.reason.clone().unwrap_or_default();
            format!("Nothing verified: no answer ({why}).")
        }
    };
    let mut text = String::new();
    let mut paragraph = |said: &str| {
        text += &textwrap::fill(&line(said, 1000), crate::text::plain_lines(76));
        text += "\n\n";
    };
    paragraph(&verdict);
    if let Some(symptom) = &result.symptom {
        paragraph(&format!(
            "Scenario {}: {}. {symptom}",
            result.scenario,
            result.says.trim_end_matches('.')
        ));
    }
    if is_mended {
        let confidence = &result.confidence;
        paragraph(&format!("How sure: {}: {}.", doubt::level(confidence), confidence.statement));
    }
    text += "  kernel                       failed\n";
    text += &row(&failing);
    text += &row(&mending);
    for entry in [fails, mends].into_iter().flatten() {
        let kernel = &entry.kernel;
        text += &format!(
            "  {}: {}, {}\n",
            line(kernel.label(), 40),
            line(kernel.package_version.as_str(), 40),
            line(&kernel.source, 60)
        );
    }
    text += &format!("\nMade by kbisect {}, a tool: it may contain errors.\n", result.tool_version);
    if is_mended {
        text += &format!("\nTested-by: {}\n", line(tester, 200));
    }
    text
}
