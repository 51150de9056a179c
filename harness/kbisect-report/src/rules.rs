//! The rules that nodes under test load, with the lines that name what is suspect.

use std::collections::BTreeSet;

use kbisect_core::changes::ReasonKind;
use kbisect_core::run::BisectResult;
use kbisect_core::scenario::{NodeKernel, Scenario};

use crate::changed;
use crate::document::{Block, CELL, heading, own, text};
use crate::extra::{Extra, Rules};

/// Most changes whose names are looked for.
const CHANGES: usize = 3;
/// Most lines that are marked: where more have a name, it tells nothing.
const MOST_MARKED: usize = 5;
/// Shortest name that tells something.
const SHORTEST: usize = 4;
/// Most lines of a file that are shown.
const LINES: usize = 120;

/// The rules that nodes under test load, in the order in which they do.
pub(crate) fn rules_of(scenario: &Scenario) -> Vec<Rules> {
    let under_test: BTreeSet<&str> = scenario.nodes_on(NodeKernel::Candidate).collect();
    let steps = scenario.setup.iter().chain(&scenario.replay);
    let loaded = steps.filter(|step| step.action.loads_rules());
    let mut all: Vec<Rules> = Vec::new();
    for step in loaded.filter(|step| under_test.contains(step.node.as_str())) {
        let Some(file) = step.action.asset() else { continue };
        let Some(text) = scenario.assets.get(file) else { continue };
        let rules = Rules {
            node: step.node.clone(),
            file: file.to_owned(),
            text: String::from_utf8_lossy(text).trim_end().to_owned(),
        };
        if !all.contains(&rules) {
            all.push(rules);
        }
    }
    all
}

/// What is tested, and the rules. A line that has a name in common with the most suspect changes begins with `>`.
pub(crate) fn scenario(to: &mut Vec<Block>, result: Option<&BisectResult>, extra: &Extra) {
    if extra.description.is_empty() && extra.rules.is_empty() {
        return;
    }
    to.push(heading("What was tested"));
    for paragraph in extra.description.split("\n\n").filter(|it| !it.trim().is_empty()) {
        match paragraph.starts_with([' ', '\t']) {
            true => to.push(Block::Console(paragraph.trim_end().to_owned(), LINES)),
            false => to.push(Block::Paragraph(text(&paragraph.replace('\n', " "), 2000))),
        }
    }
    let suspects = result.map(suspects).unwrap_or_default();
    for rules in &extra.rules {
        let line = own("Rules of ").text(&rules.node, CELL).own(", ").code(&rules.file).own(":");
        to.push(Block::Paragraph(line));
        to.push(Block::Console(marked(&rules.text, &suspects), LINES));
    }
}

/// The lines alone that have a name in common with the most suspect changes.
pub(crate) fn in_question(to: &mut Vec<Block>, result: &BisectResult, extra: &Extra) {
    let suspects = suspects(result);
    let of = |rules: &Rules| {
        let marked = marked(&rules.text, &suspects);
        let lines: Vec<&str> = marked.lines().filter_map(|line| line.strip_prefix("> ")).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    };
    let found: Vec<_> = extra.rules.iter().filter_map(|it| Some((it, of(it)?))).collect();
    if found.is_empty() {
        return;
    }
    to.push(heading("Rules in question"));
    for (rules, lines) in found {
        let line = own("Of ").text(&rules.node, CELL).own(", ").code(&rules.file).own(":");
        to.push(Block::Paragraph(line));
        to.push(Block::Console(lines, LINES));
    }
}

/// Names that the most suspect changes have in common with the failure or the scenario.
pub(crate) fn suspects(result: &BisectResult) -> BTreeSet<String> {
    let Some(ranking) = changed::ranking(result) else { return BTreeSet::new() };
    let reasons = ranking.top.iter().take(CHANGES).flat_map(|ranked| &ranked.reasons);
    let names = reasons.filter_map(|reason| match &reason.kind {
        ReasonKind::Touches { name, .. } => Some(name),
        _ => None,
    });
    // `xt_connlimit` is `connlimit` in a rule.
    let words = names.flat_map(|name| {
        [name.as_str(), name.split_once('_').map_or("", |(_, rest)| rest)].map(str::to_lowercase)
    });
    words.filter(|word| word.len() >= SHORTEST).collect()
}

/// A text with its suspect lines marked, if these are few.
pub(crate) fn marked(text: &str, suspects: &BTreeSet<String>) -> String {
    let is_suspect = |line: &&str| {
        let line = line.trim().to_lowercase();
        let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        !line.starts_with('#') && words.any(|word| suspects.contains(word))
    };
    let count = text.lines().filter(is_suspect).count();
    if count == 0 || count > MOST_MARKED {
        return text.to_owned();
    }
    let mark = |line: &str| match is_suspect(&line) {
        true => format!("> {line}\n"),
        false => format!("  {line}\n"),
    };
    text.lines().map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_suspect_lines_are_marked_and_many_are_not() {
        let suspects: BTreeSet<String> = ["connlimit".to_owned()].into();
        let text =
            "# connlimit\n-A INPUT -j ACCEPT\n-A INPUT -m connlimit --connlimit-above 4 -j DROP";
        assert_eq!(
            marked(text, &suspects),
            "  # connlimit\n  -A INPUT -j ACCEPT\n> -A INPUT -m connlimit --connlimit-above 4 -j DROP\n"
        );
        let many = "-m connlimit\n".repeat(MOST_MARKED + 1);
        assert_eq!(marked(&many, &suspects), many);
        assert_eq!(marked(text, &BTreeSet::new()), text);
    }
}
