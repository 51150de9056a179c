//! What a failure needs, in words.

use std::fmt::Write as _;

use kbisect_core::minimize::{IngredientKind, MinimizeOutcome, MinimizeResult, Told};
use kbisect_core::run::JournalLine;
use kbisect_core::scenario::Scenario;

use crate::plain::{clean, table};
use crate::text::shell_word;

/// Longest name that is told in a sentence, in characters.
const LONGEST: usize = 60;
/// Most ingredients that a sentence names; more are counted.
const NAMED: usize = 6;

/// The result of a reduction, from its journal; nothing while something is still to be tried.
pub fn minimize_result(
    lines: &[JournalLine],
    scenario: &Scenario,
    run_dir: &str,
) -> Option<MinimizeResult> {
    let mut result = MinimizeResult::from_journal(lines, scenario, run_dir)?;
    result.statement = statement(&result);
    Some(result)
}

/// The answer of a reduction for the terminal.
pub fn terminal_summary_minimize(result: &MinimizeResult) -> String {
    let mut text = format!("{}\n", clean(&result.statement));
    let mut section = |title: &str, list: &[Told]| {
        if !list.is_empty() {
            let rows: Vec<Vec<String>> = list
                .iter()
                .map(|told| {
                    let times = if told.count > 1 {
                        format!("{} times", told.count)
                    } else {
                        String::new()
                    };
                    vec![format!("  {}", word(told.kind, 1)), clean(&told.name), times]
                })
                .collect();
            let _ = write!(text, "\n{title}\n{}", table(&rows));
        }
    };
    section("needed", &result.needs);
    if let Some(folder) = &result.scenario_dir {
        let kernel =
            result.kernel.name.as_deref().unwrap_or(result.kernel.package_version.as_str());
        let _ = write!(text, "\nscenario  {folder}\n");
        let (kernel, folder) = (shell_word(kernel), shell_word(folder));
        let again = format!("kbisect run {kernel} --scenario {folder}");
        let _ = writeln!(text, "again     {}", clean(&again));
    }
    let _ = writeln!(text, "trials    {} in {}", result.trials, result.run_dir);
    text
}

fn statement(result: &MinimizeResult) -> String {
    let (kernel, symptom) = (result.kernel.label(), &result.symptom);
    if result.outcome == MinimizeOutcome::NotReproduced {
        return format!(
            "`{symptom}` did not show again on {kernel} in {} trials with the whole scenario, so nothing was left out",
            result.trials
        );
    }
    let needs = listed(&result.needs, Article::The);
    let mut text = format!("`{symptom}` on {kernel} needs: {needs}");
    if !result.not_needed.is_empty() {
        let _ = write!(text, "; it does not need: {}", listed(&result.not_needed, Article::Other));
    }
    text
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Article {
    The,
    Other,
}

/// Ingredients kind by kind: few by their names, many by their number.
fn listed(all: &[Told], article: Article) -> String {
    // A block is there for the rules in it, which are told.
    let rules = all.iter().any(|told| told.kind == IngredientKind::Rule);
    let told = |kind: &IngredientKind| !(rules && *kind == IngredientKind::Block);
    let mut kinds: Vec<IngredientKind> = all.iter().map(|told| told.kind).filter(told).collect();
    kinds.dedup();
    let mut parts = Vec::new();
    for kind in kinds {
        let of_kind: Vec<&Told> = all.iter().filter(|told| told.kind == kind).collect();
        let count = of_kind.len();
        let by_number = match article {
            Article::The => count > NAMED,
            Article::Other => count > 2,
        };
        if by_number {
            let other = if article == Article::Other { "other " } else { "" };
            parts.push(format!("{count} {other}{}", word(kind, count)));
            continue;
        }
        let named = of_kind.iter().map(|told| {
            let times = match (kind, told.count) {
                (IngredientKind::Repetition | IngredientKind::Duplicate, count) => {
                    format!(" ({count} times)")
                }
                (_, 0 | 1) => String::new(),
                (_, count) => format!(" ({count} times)"),
            };
            format!("`{}`{times}", short(&told.name))
        });
        let named: Vec<String> = named.collect();
        parts.push(format!("{} {}", word(kind, count), named.join(", ")));
    }
    if parts.is_empty() { "nothing else".to_owned() } else { parts.join(", ") }
}

fn short(name: &str) -> String {
    if name.chars().count() <= LONGEST {
        return name.to_owned();
    }
    name.chars().take(LONGEST).chain("...".chars()).collect()
}

fn word(kind: IngredientKind, count: usize) -> &'static str {
    use IngredientKind as Kind;
    let (one, many) = match kind {
        Kind::Check => ("check", "checks"),
        Kind::Node => ("node", "nodes"),
        Kind::Service => ("application", "applications"),
        Kind::Setup => ("set-up step", "set-up steps"),
        Kind::Replay => ("replay step", "replay steps"),
        Kind::Block => ("block", "blocks"),
        Kind::Rule => ("rule", "rules"),
        Kind::Repetition => ("repetition of", "repetitions of"),
        Kind::Duplicate => ("duplicate of", "duplicates of"),
        Kind::Link => ("link", "links"),
        Kind::Sysctl => ("sysctl", "sysctls"),
        Kind::Route => ("route", "routes"),
        Kind::Address => ("address", "addresses"),
        Kind::Device => ("device", "devices"),
    };
    if count == 1 { one } else { many }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: IngredientKind, name: &str, count: u32) -> Told {
        Told { kind, name: name.to_owned(), count }
    }

    #[test]
    fn few_are_named_and_many_counted() {
        use IngredientKind as Kind;
        let needs = [
            told(Kind::Service, "web", 1),
            told(Kind::Rule, "tcp dport 80 synproxy name \"s\"", 1),
            told(Kind::Repetition, "run the automation", 2),
        ];
        assert_eq!(
            listed(&needs, Article::The),
            "application `web`, rule `tcp dport 80 synproxy name \"s\"`, repetition of `run the automation` (2 times)"
        );
        let others: Vec<Told> =
            (0..14).map(|at| told(Kind::Rule, &format!("rule {at}"), 1)).collect();
        assert_eq!(listed(&others, Article::Other), "14 other rules");
        assert_eq!(listed(&[], Article::The), "nothing else");
    }
}
