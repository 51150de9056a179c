//! Whether a kernel mends a failure, for the ticket.

use kbisect_core::kernel::Kernel;
use kbisect_core::run::{BisectResult, OutcomeWord};
use kbisect_core::trial::VerdictKind;

use crate::doubt;
use crate::text::line;

/// What a verification came to, in lines of at most 76 columns. `tester` is a name with an address.
#[must_use]
pub fn verification(result: &BisectResult, tester: &str) -> String {
    let ends = [result.series.first(), result.series.last()].map(|end| end.map(|it| &it.kernel));
    let [failing, mending] =
        ends.map(|end| end.map(|it| it.label().to_owned()).unwrap_or_default());
    // Two builds of one version have the same label.
    let row = |kernel: &Kernel| {
        let answers = result.trials.iter().filter(|it| it.is_answer() && it.kernel.id == kernel.id);
        let (all, failed) = answers.fold((0, 0), |(all, failed), trial| {
            (all + 1, failed + u32::from(trial.verdict == VerdictKind::Bad))
        });
        format!("  {:<28} {failed} of {all}\n", line(kernel.label(), 28))
    };
    let is_mended = matches!(result.outcome, OutcomeWord::Found | OutcomeWord::FoundDespiteSkips);
    let verdict = match result.outcome {
        _ if is_mended => format!("Verification done: {mending} mends it."),
        OutcomeWord::GoodFails => {
            format!("Verification failed: {mending} fails as {failing} does.")
        }
        OutcomeWord::NotReproduced => {
            format!(
                "Nothing verified: {failing} does not fail in this way any more, so that {mending} proves nothing."
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
        let says = match result.says.trim().trim_end_matches('.') {
            "" => String::new(),
            says => format!(": {says}"),
        };
        paragraph(&format!("Scenario {}{says}. Symptom: {symptom}", result.scenario));
    }
    if is_mended {
        let confidence = &result.confidence;
        paragraph(&format!("How sure: {}: {}.", doubt::level(confidence), confidence.statement));
    }
    text += "  kernel                       failed\n";
    let kernels = ends.into_iter().flatten();
    kernels.clone().for_each(|kernel| text += &row(kernel));
    for kernel in kernels {
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
