//! The scenario reader.

use std::collections::BTreeMap;

use kbisect_core::scenario::{Problem, Scenario};

pub(super) fn target(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let read = Scenario::parse("fuzzed", "scenario.toml", &text);
    let again = Scenario::parse("fuzzed", "scenario.toml", &text);
    let parsed = match read {
        Ok(parsed) => parsed,
        Err(error) => {
            assert!(!error.problems.is_empty() && error.hint().is_some());
            error.problems.iter().for_each(|problem| inside(problem, &text));
            assert_eq!(again.err(), Some(error), "the same text, another answer");
            return;
        }
    };
    assert_eq!(again.ok().as_ref().map(|p| p.scenario()), Some(parsed.scenario()));
    parsed.warnings().iter().for_each(|problem| inside(problem, &text));
    // With every file that it names it is complete, but for captures, which these are not.
    let files: BTreeMap<String, Vec<u8>> = parsed
        .required_assets()
        .iter()
        .map(|asset| {
            let outside = |part: &str| part == ".." || part.contains('\0');
            assert!(!asset.path.starts_with('/') && !asset.path.split('/').any(outside));
            (asset.path.clone(), b"content".to_vec())
        })
        .collect();
    match parsed.with_assets(files) {
        Ok((scenario, warnings)) => {
            assert!(!scenario.nodes.is_empty());
            warnings.iter().for_each(|problem| inside(problem, &text));
        }
        Err(error) => {
            let known = |problem: &Problem| problem.message.contains("cannot replay");
            assert!(error.problems.iter().all(known), "{error}");
        }
    }
}

/// Where a problem is, is in the file.
fn inside(problem: &Problem, text: &str) {
    // TOML ends lines with a line feed alone.
    let line = text.split('\n').nth(problem.line.wrapping_sub(1));
    let Some(line) = line else { panic!("{problem}: no such line") };
    let columns = line.chars().count() + 1;
    assert!((1..=columns).contains(&problem.column), "{problem}: the line ends at {columns}");
    assert!(!problem.message.is_empty() && !problem.message.contains('\n'), "{problem:?}");
}
