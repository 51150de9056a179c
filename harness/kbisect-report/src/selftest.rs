//! The answer of a self-test for the terminal.

use std::fmt::Write as _;

use kbisect_core::selftest::{CheckSight, Effect, SelftestResult, Sight, Variation};

use crate::plain::{self, clean};

/// The answer of a self-test for the terminal.
#[must_use]
pub fn terminal_summary_selftest(result: &SelftestResult) -> String {
    let mut text = format!("{} on {}\n\n", result.scenario, result.kernel.label());
    text += &table(result.variations.iter().map(variation_row));
    text += &necessary(result);
    let control = &result.control;
    if let Some(variation) = &control.variation {
        let _ = write!(text, "\nchecks of {variation} with all wires cut\n");
        text += &table(control.checks.iter().map(check_row));
        for check in &control.checks {
            if let Some(advice) = &check.advice {
                let _ = writeln!(text, "  {} is blind: {advice}", check.name);
            }
        }
    }
    text += &faults(result);
    text.push('\n');
    if result.passed {
        text += "passed";
        if result.faults_left_out > 0 {
            let _ = write!(text, ", but {} other faults were not tried", result.faults_left_out);
        }
        text.push('\n');
    }
    for problem in &result.problems {
        let _ = writeln!(text, "failed: {problem}");
    }
    let _ = writeln!(text, "trials  {}", result.run_dir);
    // Symptoms and details are a guest's words.
    text.lines().map(|line| clean(line) + "\n").collect()
}

/// What was broken, and who noticed.
fn faults(result: &SelftestResult) -> String {
    if result.faults.is_empty() {
        return String::new();
    }
    let all = result.control.checks.len();
    let rows = result.faults.iter().map(|fault| {
        let checks = match fault.noticed_by.len() {
            count if count == all && all > 1 => format!("all {all} checks"),
            _ => fault.noticed_by.join(", "),
        };
        let noticed = match (&fault.not_put_in, &fault.symptom) {
            (Some(why), _) => format!("NOT PUT IN: {}", why.lines().next().unwrap_or_default()),
            (None, _) if !fault.noticed_by.is_empty() => format!("noticed by {checks}"),
            (None, Some(symptom)) if fault.is_noticed() => format!("noticed by kbisect: {symptom}"),
            (None, _) => "NOTICED BY NO CHECK".to_owned(),
        };
        vec![fault.name.clone(), format!("{:.1} s", fault.wall_s), noticed]
    });
    format!("\nfaults, one at a time, when the checks begin\n{}", table(rows))
}

fn table(rows: impl Iterator<Item = Vec<String>>) -> String {
    let indented = |mut row: Vec<String>| {
        row[0].insert_str(0, "  ");
        row
    };
    plain::table(&rows.map(indented).collect::<Vec<_>>())
}

fn variation_row(variation: &Variation) -> Vec<String> {
    let verdict = match (&variation.symptom, &variation.reason) {
        (Some(symptom), _) => format!("bad ({symptom})"),
        (None, Some(reason)) => format!("{} ({reason})", variation.verdict),
        (None, None) => variation.verdict.to_string(),
    };
    let expected = match (&variation.expected, variation.as_expected) {
        (Some(_), Some(true)) => "as expected".to_owned(),
        (Some(expected), _) => format!("UNEXPECTED, not {expected}"),
        (None, _) => String::new(),
    };
    vec![variation.name.clone(), verdict, expected]
}

/// What the failure needs, in sentences.
fn necessary(result: &SelftestResult) -> String {
    let Some((default, flavours)) = result.variations.split_first() else { return String::new() };
    let mut text = String::new();
    let mut section = |effect: Effect, title: &str| {
        let found: Vec<&Variation> =
            flavours.iter().filter(|flavour| flavour.effect == Some(effect)).collect();
        if !found.is_empty() {
            let _ = write!(text, "\n{title}\n");
            text += &table(found.into_iter().map(ingredient_row));
        }
    };
    section(Effect::Necessary, "necessary for the failure: without it, good");
    section(Effect::NotNecessary, "not necessary for the failure: without it, the same");
    section(Effect::OtherFailure, "fails in another way");
    section(Effect::Breaks, "fails where the scenario as it is does not");
    let kept = |flavour: &Variation| {
        !matches!(flavour.effect, Some(Effect::Necessary | Effect::Breaks | Effect::OtherFailure))
    };
    if !flavours.is_empty() && flavours.iter().all(kept) {
        text += "\nno flavour changes the verdict\n";
    }
    if let Some(traffic) = &result.traffic {
        let word = match traffic.effect {
            Some(Effect::Necessary) => "necessary for the failure",
            Some(Effect::NotNecessary) => "not necessary for the failure",
            Some(Effect::OtherFailure | Effect::Breaks | Effect::StaysGood) => {
                "without it, another failure"
            }
            Some(Effect::NoAnswer) => "no answer",
            None => "not known",
        };
        let _ = write!(text, "\ntraffic during the checks: {word} ({})\n", traffic.detail);
    }
    if flavours.is_empty() && default.symptom.is_some() {
        text += "\nno flavour leaves an ingredient out, so what the failure needs is not known\n";
    }
    text
}

fn ingredient_row(flavour: &Variation) -> Vec<String> {
    let short = flavour.name.rsplit(':').next().unwrap_or_default().to_owned();
    let told = format!("{} ({})", flavour.summary, flavour.ingredients.join(", "));
    vec![short, told]
}

fn check_row(check: &CheckSight) -> Vec<String> {
    let sight = match check.sight {
        Sight::Sees => "sees it",
        Sight::Blind => "BLIND",
        Sight::NoNetwork => "does not use the network",
        Sight::NotShown => "not shown",
    };
    let recorded = if check.counts { "" } else { ", only recorded" };
    let word = match check.sight {
        Sight::Blind | Sight::NoNetwork => "passed",
        Sight::Sees => "failed",
        Sight::NotShown => "not made",
    };
    // A row is a line; what a command printed has more.
    let first = check.detail.lines().next().unwrap_or_default();
    let separator = if first.is_empty() { "" } else { ": " };
    vec![check.name.clone(), format!("{sight}{recorded}"), format!("{word}{separator}{first}")]
}
