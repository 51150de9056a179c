//! What a bisection will do, and what the user must know before it does.

use kbisect_core::kernel::Kernel;
use kbisect_core::mark::untestable;
use kbisect_core::run::Plan;
use kbisect_core::trial::{Reused, Untestable};

use crate::plain::{bytes, table};

/// Says that the bad end lacks a feature.
#[must_use]
pub fn cannot_pass(why: &Untestable) -> String {
    format!(
        "the bad end cannot pass: {why}; so the search is for where that begins (--find-fix: ends)"
    )
}

/// Says that a range is not one of a single series.
#[must_use]
pub fn crosses_series(names: &[String]) -> String {
    format!(
        "the range crosses stable series ({}): versions are ordered, not history; each series takes and \
         heals a fault at a point of its own, so there may be more than one change",
        names.join(", ")
    )
}

/// Says that kernels of a range were built by several vendors.
#[must_use]
pub fn mixes_vendors(vendor: &str) -> String {
    format!(
        "the range mixes {vendor}'s builds with others: they differ in configuration and compiler, too"
    )
}

/// A plan for `--dry-run`. `is_estimate` tells whether the size of a kernel's download is one.
#[must_use]
pub fn plan_text(plan: &Plan, is_estimate: &dyn Fn(&Kernel) -> bool) -> String {
    let untestable = untestable(plan, None);
    let testable = plan.series.len() - untestable.len();
    let all: u64 = plan.series.iter().map(|planned| planned.download_bytes).sum();
    let cuts = testable.saturating_sub(1).next_power_of_two().trailing_zeros();
    let trials = match &plan.options.doubt {
        None => {
            let confirmed = match plan.options.quick {
                true => "",
                false => ", then at least two repeats on each side of the change",
            };
            let what = match cuts {
                0 => "the two ends".to_owned(),
                1 => "two ends and 1 cut".to_owned(),
                cuts => format!("two ends and {cuts} cuts"),
            };
            format!("{} trials at most ({what}){confirmed}", cuts + 2)
        }
        Some(doubt) => {
            let stop = doubt.stop * 100.0;
            format!("as many trials as make one {stop} % certain (the more the rarer it fails)")
        }
    };
    let mut text = format!(
        "{} kernels from {} to {}, scenario {}: {trials}\n",
        plan.series.len(),
        plan.old_end,
        plan.new_end,
        plan.scenario,
    );
    let environment = &plan.environment;
    text += &format!(
        "reference nodes run {}; QEMU {} with {}\n",
        plan.reference.package_version, environment.qemu, environment.accelerator
    );
    let workers = plan.options.workers.get();
    if workers > 1 {
        text += &format!("{workers} trials run side by side\n");
    }
    for warning in &plan.warnings {
        text += &format!("warning: {warning}\n");
    }
    let rows: Vec<Vec<String>> = plan
        .series
        .iter()
        .enumerate()
        .map(|(index, planned)| {
            let state = match (&planned.untestable, planned.download_bytes) {
                (Some(reason), _) if !untestable.contains(&index) => {
                    format!("bad without a boot: {reason}")
                }
                (Some(reason), _) => format!("skip: {reason}"),
                (None, 0) => "in the store".to_owned(),
                (None, size) if is_estimate(&planned.kernel) => {
                    format!("to download: about {}", bytes(size))
                }
                (None, size) => format!("to download: {}", bytes(size)),
            };
            let kernel = &planned.kernel;
            vec![
                kernel.label().to_owned(),
                kernel.package_version.to_string(),
                kernel.source.clone(),
                state,
            ]
        })
        .collect();
    text += &table(&rows);
    if all > 0 {
        text += &format!("to download for all: {}; only what is tried is fetched\n", bytes(all));
    }
    text
}

/// Where a trial comes from that was not made.
#[must_use]
pub fn reused(reused: &Reused) -> String {
    format!("not made again: it is trial {} of {}, as --reuse asks", reused.number, reused.run)
}

/// That a search over commits begins elsewhere than was asked for.
#[must_use]
pub fn merge_base(old: &str, new: &str, base: &str) -> String {
    format!("`{old}` is no ancestor of `{new}`: their merge base {base} takes its place")
}

/// That an end was found though it has no tag.
#[must_use]
pub fn by_version(name: &str, commit: &str) -> String {
    format!(
        "the tree has no tag `{name}`: commit {commit} is the first with that version in its Makefile"
    )
}

/// What a kernel that was built has otherwise than it was to be: options, and files that a change does not fit to.
#[must_use]
pub fn built_otherwise(options: &[String], left: &[String]) -> Vec<String> {
    const SHOWN: usize = 5;
    let some = |all: &[String]| {
        let more = match all.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(", and {more} more (meta.json of the kernel has all)"),
        };
        let shown: Vec<&str> = all.iter().take(SHOWN).map(String::as_str).collect();
        format!("{}{more}", shown.join("; "))
    };
    let mut notes = Vec::new();
    if !options.is_empty() {
        notes
            .push(format!("options that this commit has otherwise than wanted: {}", some(options)));
    }
    if !left.is_empty() {
        notes.push(format!(
            "left as they are, since the change does not fit there and the kernel does not depend on them (of a Makefile: the version): {}",
            some(left)
        ));
    }
    notes
}

/// That a compiler is fetched.
#[must_use]
pub fn makes_toolchain(suite: &str) -> String {
    format!(
        "the compiler of Debian {suite} is not there yet: it is fetched now, once (a minute or two)"
    )
}

/// What a derived configuration begins with.
#[must_use]
pub fn config_head(scenario: &str, commit: &str) -> String {
    format!(
        "# What scenario {scenario} and kbisect's machines need of commit {commit}, and nothing else:\n\
         # make KCONFIG_ALLCONFIG=THIS-FILE allnoconfig\n"
    )
}

/// That a tree has no option for what a scenario requires.
#[must_use]
pub fn no_option(required: &[String]) -> String {
    format!("the tree has no option for {}, which the scenario requires", required.join(", "))
}

/// Where the answer of a commit comes from that was not booted.
#[must_use]
pub fn same_build(label: &str, number: u32) -> String {
    format!(
        "not booted: its image and modules are those of {label}, whose trial {number} it shares"
    )
}

/// That trials were not made.
#[must_use]
pub(crate) fn trials_reused(count: usize) -> Option<String> {
    match count {
        0 => None,
        1 => Some(
            "1 trial was not made in this run: it is one of an earlier run (--reuse)".to_owned(),
        ),
        _ => Some(format!(
            "{count} trials were not made in this run: they are those of earlier runs (--reuse)"
        )),
    }
}
