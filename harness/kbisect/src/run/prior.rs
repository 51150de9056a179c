//! Which commits are likely the culprit, before any of them is tried.

use std::collections::BTreeMap;
use std::path::Path;

use kbisect_core::changes::{Change, Clues, Prior};
use kbisect_core::run::{Plan, RunEvent, target_symptom};
use kbisect_core::scenario::Scenario;
use kbisect_kernels::{Candidate, commit_changes};
use kbisect_report::words;

use super::context::Base;

/// Fewest commits of which it matters which one is tried first.
const FEWEST: usize = 4;

/// What the commits of a run weigh, given how the bad end fails; nothing where that was told before. What keeps it
/// from being known is told: it costs builds and nothing else.
pub fn weighed<'a>(
    plan: &Plan,
    series: &[Candidate],
    scenario: &Scenario,
    base: &Base,
    events: impl IntoIterator<Item = &'a RunEvent> + Clone,
) -> Option<RunEvent> {
    let of = plan.options.commits.as_ref().filter(|of| !of.choices.no_prior)?;
    let is_done = |event: &RunEvent| matches!(event, RunEvent::Weighed { .. });
    if series.len() < FEWEST || events.clone().into_iter().any(is_done) {
        return None;
    }
    let target = target_symptom(events.clone())?;
    let failed = events.into_iter().find_map(|event| match event {
        RunEvent::TrialEnded { record, .. } if record.symptom.as_ref() == Some(target) => {
            Some(record.as_ref())
        }
        _ => None,
    });
    let commits: Vec<&str> = plan
        .series
        .iter()
        .filter_map(|planned| Some(planned.commit.as_ref()?.id.as_str()))
        .collect();
    let (Some(old), Some(new)) = (commits.first(), commits.last()) else { return None };
    let (tree, first_parent) = (Path::new(&of.repository), of.choices.first_parent);
    let log = match commit_changes(tree, old, new, first_parent, &|| base.interrupt.is_set()) {
        Ok(log) => log,
        Err(_) if base.interrupt.is_set() => return None,
        Err(error) => return Some(RunEvent::Note { text: words::not_weighed(&error) }),
    };
    let id = |change: &Change| change.commit.clone().unwrap_or_default();
    let mut known: BTreeMap<String, Change> =
        log.changes.into_iter().map(|change| (id(&change), change)).collect();
    let changes: Vec<Option<Change>> = commits.iter().map(|commit| known.remove(*commit)).collect();
    let ready = failed.and_then(|record| base.store.get(&record.kernel.id));
    let sources = ready.and_then(|ready| ready.sources());
    let is_built =
        sources.map(|sources| move |file: &str| is_part(file, |file| sources.contains(file)));
    let clues = Clues::of(Some(scenario), failed);
    let prior = Prior::of(changes, &clues, is_built.as_ref().map(|is| is as &dyn Fn(&str) -> bool));
    // All alike is what it is without.
    let tells = prior.weights.windows(2).any(|pair| pair[0] != pair[1]);
    tells.then(|| RunEvent::Weighed { prior: Box::new(prior) })
}

/// Whether a change of a file can change the kernel. Sources are in the list of what it was made from; of files
/// that steer the build nobody can tell, but for those of folders that no kernel is made of.
fn is_part(file: &str, is_source: impl Fn(&str) -> bool) -> bool {
    let top = file.split('/').next().unwrap_or_default();
    let ending = file.rsplit('.').next().unwrap_or_default();
    match (top, ending) {
        ("Documentation" | "MAINTAINERS" | "samples" | "LICENSES", _) => false,
        ("tools", _) => is_source(file),
        (_, "c" | "S" | "h") if top != "scripts" => is_source(file),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_build_is_part_of_it() {
        let is = |file| is_part(file, |file| file == "net/a.c" || file == "tools/objtool/check.c");
        let yes = [
            "net/a.c",
            "net/Makefile",
            "net/Kconfig",
            "scripts/x.c",
            "tools/objtool/check.c",
            "Makefile",
        ];
        assert!(yes.into_iter().all(is));
        let no = [
            "net/b.c",
            "include/linux/b.h",
            "tools/perf/x.c",
            "Documentation/x.rst",
            "MAINTAINERS",
        ];
        assert!(!no.into_iter().any(is));
    }
}
