//! The report of a check as one HTML file.

use kbisect_core::gate::{Cell, GateOutcome, GateResult, Map, Standing};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::markdown::{facts, shown, words_of};
use super::{svg_map, words};
use crate::dossier::as_kbisect;
use crate::html::{STYLE, block, cell, code, paragraph, table};
use crate::text::command_line;

/// Most lines of a trace.
const LINES: usize = 60;

/// Writes the report as one HTML file: no script, nothing fetched.
#[must_use]
pub fn html_check(result: &GateResult) -> String {
    let title = words::heading(result);
    let class = match result.outcome {
        GateOutcome::Passed => "verdict good",
        GateOutcome::Regressed | GateOutcome::AlreadyBroken => "verdict bad",
        GateOutcome::NotTested | GateOutcome::ScenarioError | GateOutcome::Aborted => "verdict",
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                // Should a text ever escape the escaping, nothing is fetched and nothing runs.
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(format!("kbisect {}", cell(&result.plan.tool_version)));
                title { (cell(&title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (cell(&title)) }
                    div class=(class) {
                        p.lead { "The check " (words::outcome(result)) ": " (words::counts(result)) "." }
                        @if let Some(reason) = &result.reason { p { (paragraph(reason)) } }
                    }
                    @if let Some(drawing) = svg_map(result) {
                        h2 { "Map" }
                        // Its texts are escaped where it is drawn.
                        figure.scroll { (PreEscaped(drawing)) }
                    }
                    @for map in &result.maps { (history(map)) }
                    (matrix(result))
                    (failures(result))
                    h2 { "When and with what" }
                    dl {
                        @for (name, value) in facts(result) { dt { (name) } dd { (paragraph(&value)) } }
                    }
                    p { "Again:" }
                    (block(&command_line(&as_kbisect(&result.plan.command)), 1))
                    footer {
                        "Made by kbisect " (cell(&result.plan.tool_version))
                        ", a tool: it may contain errors. The evidence is in the check's folder."
                    }
                }
            }
        }
    };
    page.into_string()
}

fn history(map: &Map) -> Markup {
    html! {
        h2 { (cell(&map.scenario)) ": " (words::answers(map)) }
        dl {
            @for series in &map.series {
                dt { (cell(&series.series)) }
                dd { (words::series(series)) }
            }
        }
        @if !map.changes.is_empty() {
            h3 { "Change points" }
            ul.plain {
                @for change in &map.changes {
                    li {
                        (words::change(change))
                        @if let Some(command) = words::bisect_command(map, change).and_then(|c| code(&c)) {
                            br; "Next: " (command)
                        }
                    }
                }
            }
        }
        @if let Some(remark) = words::remark(map) { p { (remark) } }
        @let unanswered = words::unanswered(map);
        @if !unanswered.is_empty() {
            h3 { "What has no answer, and why" }
            ul.plain { @for reason in unanswered { li { (reason) } } }
        }
    }
}

fn matrix(result: &GateResult) -> Markup {
    let rows = result.cells.iter().map(|one| {
        let class = match one.standing {
            Standing::Good | Standing::Fixed => "good-word",
            Standing::Regressed => "bad-word",
            Standing::AlreadyBroken
            | Standing::NotTested
            | Standing::NoAnswer
            | Standing::ScenarioError => "other-word",
        };
        vec![
            html! {
                (cell(one.kernel.package_version.as_str()))
                @if !one.under_test { " (baseline)" }
            },
            html! { (cell(&one.scenario)) },
            html! { span class=(class) { (words_of(one)) } },
            html! { @if let Some(trial) = result.trial(one) { (format!("{:.1}", trial.wall_s)) } },
            html! { (cell(one.reason.as_deref().unwrap_or_default())) },
        ]
    });
    html! {
        h2 { "Every kernel" }
        (table(&["kernel", "scenario", "standing", "seconds", "why"], rows))
    }
}

fn failures(result: &GateResult) -> Markup {
    let regressed: Vec<&Cell> =
        result.cells.iter().filter(|cell| cell.standing == Standing::Regressed).collect();
    let shown = shown(&regressed);
    html! {
        @if !shown.is_empty() {
            h2 { "Failures" }
            @if shown.len() < regressed.len() {
                p { (regressed.len()) " fail; the first kernel of each failure is shown." }
            }
            @for one in shown {
                @if let (Some(trial), Some(symptom)) = (result.trial(one), &one.symptom) {
                    h3 { (cell(one.kernel.package_version.as_str())) " with " (cell(&one.scenario)) }
                    p { b { (cell(&symptom.to_string())) } }
                    p { (paragraph(&symptom.detail)) }
                    @if !trial.hops.is_empty() { (block(&trial.hops.join("\n"), LINES)) }
                    @for report in &trial.reports { (block(&report.text, LINES)) }
                    p.soft { "Repeat it:" }
                    (block(&trial.repeat, 1))
                    p.soft { "Evidence: " (cell(&trial.directory)) }
                }
            }
        }
    }
}
