//! A failure that only quick trials showed, from a saved state or by the PVH entry, is no regression yet: the
//! kernel boots as it is shipped before it is said.

use super::GateTrial;
use crate::boot::Coming;
use crate::kernel::Kernel;
use crate::trial::{TrialRecord, Verdict, VerdictKind};

/// Boots that have to pass before a failure of a quick trial is none of the kernel's; and boots without an
/// answer after which that failure stands.
const BOOTS: usize = 3;

/// How a kernel is tried (again) with a scenario; nothing once its cell has an answer.
#[must_use]
pub fn still_to_try(trials: &[GateTrial], scenario: &str, kernel: &Kernel) -> Option<Coming> {
    let Some(last) = deciding(trials, scenario, kernel) else { return Some(Coming::Any) };
    let seen = Seen::of(trials, scenario, kernel);
    let again = if seen.quick_failed { Coming::AsShipped } else { Coming::Any };
    match last.verdict() {
        Verdict::Infra(_) => Some(again),
        Verdict::Bad(_) | Verdict::Good | Verdict::Skip(_) if seen.quick_failed => {
            let open = seen.boots_failed == 0 && seen.boots < BOOTS && seen.in_vain < BOOTS;
            open.then_some(again)
        }
        Verdict::Bad(_) | Verdict::Good | Verdict::Skip(_) | Verdict::Scenario(_) => None,
    }
}

/// Boots as shipped that passed, of a kernel that failed in a quick trial before.
pub(super) fn boots_that_passed(
    trials: &[GateTrial],
    scenario: &str,
    kernel: &Kernel,
) -> Option<usize> {
    let seen = Seen::of(trials, scenario, kernel);
    (seen.quick_failed && seen.boots_failed == 0 && seen.boots >= BOOTS).then_some(seen.boots)
}

/// What was seen of a cell, by how its kernel came up; boots are those as shipped.
struct Seen {
    quick_failed: bool,
    /// Boots with an answer, and those of them that failed.
    boots: usize,
    boots_failed: usize,
    /// Boots in which the kernel could not answer.
    in_vain: usize,
}

impl Seen {
    fn of(trials: &[GateTrial], scenario: &str, kernel: &Kernel) -> Self {
        let own = trials
            .iter()
            .filter(|trial| trial.scenario == scenario && trial.record.kernel.id == kernel.id);
        let mut seen = Self { quick_failed: false, boots: 0, boots_failed: 0, in_vain: 0 };
        for GateTrial { record, .. } in own {
            let failed = matches!(record.verdict(), Verdict::Bad(_));
            if record.boot.is_none() || matches!(record.verdict(), Verdict::Infra(_)) {
                continue;
            }
            if record.is_quick() {
                seen.quick_failed |= failed;
            } else if matches!(record.verdict(), Verdict::Skip(_)) {
                seen.in_vain += 1;
            } else {
                seen.boots += 1;
                seen.boots_failed += usize::from(failed);
            }
        }
        seen
    }
}

/// The trial that decides: the last one of a kernel with a scenario. A boot in which the kernel could not
/// answer takes no failure back.
pub(super) fn deciding<'a>(
    trials: &'a [GateTrial],
    scenario: &str,
    kernel: &Kernel,
) -> Option<&'a TrialRecord> {
    let is_it =
        |trial: &&GateTrial| trial.scenario == scenario && trial.record.kernel.id == kernel.id;
    let own = || trials.iter().rev().filter(is_it).map(|trial| &trial.record);
    let last = own().next()?;
    let failed = own().find(|record| record.verdict == VerdictKind::Bad);
    failed.filter(|_| last.verdict == VerdictKind::Skip).or(Some(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::VerdictKind;

    /// Trials of one cell: `r` went on from a saved state, `c` booted; then what it came to.
    fn cell(trials: &[&str]) -> Vec<GateTrial> {
        let trial = |word: &&str| {
            let (boot, verdict) = word.split_at(1);
            let symptom =
                serde_json::json!({ "kind": "panic", "title": "panic in f", "detail": "" });
            let trial = serde_json::json!({
                "scenario": "s", "number": 1, "verdict": verdict, "checks": [], "timings_s": {},
                "wall_s": 1.0, "symptom": (verdict == "bad").then_some(symptom),
                "kernel": { "version": "6.1.1", "package_version": "6.1.1-1", "flavour": "amd64",
                    "source": "debian", "id": "0" },
                "directory": "trials/1", "accelerator": "tcg", "repeat": "kbisect run 6.1.1",
                "boot": if boot == "r" { "restored" } else { "cold" },
            });
            serde_json::from_value(trial).unwrap()
        };
        trials.iter().map(trial).collect()
    }

    #[test]
    fn a_regression_rests_on_a_boot() {
        let kernel = cell(&["cgood"])[0].record.kernel.clone();
        let (any, confirm) = (Some(Coming::Any), Some(Coming::AsShipped));
        for (trials, again) in [
            (&[][..], any),
            (&["rgood"][..], None),
            (&["rskip"][..], None),
            (&["cbad"][..], None),
            (&["rinfra"][..], any),
            (&["rbad"][..], confirm),
            (&["rbad", "cinfra"][..], confirm),
            (&["rbad", "cbad"][..], None),
            (&["rbad", "cgood"][..], confirm),
            (&["rbad", "cgood", "cbad"][..], None),
            (&["rbad", "cskip"][..], confirm),
            (&["rbad", "cskip", "cbad"][..], None),
            (&["rbad", "cskip", "cskip", "cskip"][..], None),
            (&["rbad", "cgood", "cgood", "cgood"][..], None),
        ] {
            assert_eq!(still_to_try(&cell(trials), "s", &kernel), again, "{trials:?}");
        }
        assert_eq!(still_to_try(&cell(&["rbad"]), "other", &kernel), any);
        let decides =
            |trials: &[&str]| deciding(&cell(trials), "s", &kernel).map(|record| record.verdict);
        assert_eq!(decides(&["rbad", "cskip", "cskip", "cskip"]), Some(VerdictKind::Bad));
        assert_eq!(decides(&["rbad", "cgood", "cgood", "cgood"]), Some(VerdictKind::Good));
        assert_eq!(decides(&["rskip"]), Some(VerdictKind::Skip));
        let passed = |trials: &[&str]| boots_that_passed(&cell(trials), "s", &kernel);
        assert_eq!(passed(&["rbad", "cgood", "cgood", "cgood"]), Some(3));
        assert_eq!(passed(&["cgood"]).or(passed(&["rbad", "cbad"])), None);
    }
}
