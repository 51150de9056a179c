//! What decides: what broke, whom it concerns, whether it is mended, and what to do.

use kbisect_core::kernel::Kernel;
use kbisect_core::run::{Affected, Beside, BisectResult};
use kbisect_core::search::Direction;

/// What a trial is for that is made once a search is over.
#[must_use]
pub fn is_asked(beside: Beside) -> &'static str {
    match beside {
        Beside::Newest => "tells whether the newest of the series still fails",
        Beside::OtherEnd => "tells whether the range is the wrong way round",
    }
}

/// What is said of a range that is the wrong way round.
#[must_use]
pub(crate) fn wrong_way_round(direction: Direction, fails: &str, passes: &str) -> String {
    match direction {
        Direction::Regression => format!(
            "{fails} fails and {passes} passes: something between them fixed it; --find-fix looks for what did"
        ),
        Direction::Fix => format!(
            "{fails} fails and {passes} passes: something between them broke it; leave out --find-fix to look for \
             what did"
        ),
    }
}

/// Why something was not tried that was to be, once a search was over.
#[must_use]
pub fn not_asked(beside: Beside, error: &str) -> String {
    let what = match beside {
        Beside::Newest => "whether the newest kernel of the series still fails",
        Beside::OtherEnd => "whether the range is the wrong way round",
    };
    format!("{what} is not known ({error})")
}

/// Asks whether a service is to be asked for versions that the archive has no more.
#[must_use]
pub fn look_into(service: &str) -> String {
    format!("{service} has every version that was released. Look there as well? [Y/n] ")
}

/// Asks whether the fix is to be looked for, among so many kernels.
#[must_use]
pub fn look_for_fix(failing: &Kernel, newest: &Kernel, among: usize) -> String {
    format!(
        "{} passes. Look for the version that fixed it, one of the {among} after {}? [y/N] ",
        newest.label(),
        failing.label()
    )
}

/// What decides, part by part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Headline {
    /// What people meet.
    pub(crate) broken: String,
    /// Which kernels fail.
    pub(crate) affected: String,
    /// Which ones before pass.
    pub(crate) good: Option<String>,
    /// Which ones after pass.
    pub(crate) fixed: Option<String>,
    /// What to do.
    pub(crate) advice: String,
    /// The answer to that question, as a sentence.
    pub(crate) is_it_fixed: String,
}

impl Headline {
    /// Of an answer that names a kernel. `label` is what to call one.
    pub(crate) fn of(result: &BisectResult, label: impl Fn(&Kernel) -> String) -> Option<Self> {
        let affected = result.affected.as_ref()?;
        let range = |from: &Kernel, to: &Kernel| match (label(from), label(to)) {
            (from, to) if from == to => from,
            (from, to) => format!("{from} to {to}"),
        };
        // Nothing newer was tried, or what was tried passes and the fix is not known: where it ends is open.
        let is_open = affected.fixed.is_none() && !affected.to_the_newest;
        let fails = match (label(&affected.from), label(&affected.to)) {
            (from, to) if from == to && is_open => format!("{from} at least"),
            (from, to) if is_open => format!("{from} to {to} at least"),
            _ => range(&affected.from, &affected.to),
        };
        let newest = if affected.to_the_newest { ", the newest" } else { "" };
        Some(Self {
            broken: broken(result),
            affected: format!("{fails}{newest}"),
            good: affected.good.as_ref().map(|[oldest, newest]| range(oldest, newest)),
            fixed: fixed(affected, &label),
            advice: advice(affected, &label),
            is_it_fixed: is_it_fixed(affected, &label),
        })
    }

    /// All of it, in sentences.
    pub(crate) fn sentences(&self) -> String {
        let good = self.good.as_ref().map(|good| format!("; good: {good}")).unwrap_or_default();
        let fixed =
            self.fixed.as_ref().map(|fixed| format!("; fixed: {fixed}")).unwrap_or_default();
        format!("{} Affected: {}{good}{fixed}. Do: {}.", self.broken, self.affected, self.advice)
    }
}

/// What people meet, as a sentence.
fn broken(result: &BisectResult) -> String {
    let said = result.says.trim();
    match (said, &result.symptom) {
        ("", Some(symptom)) => format!("Scenario {} fails: {}.", result.scenario, symptom.title),
        ("", None) => format!("Scenario {} fails.", result.scenario),
        (said, _) if said.ends_with(['.', '!', '?']) => said.to_owned(),
        (said, _) => format!("{said}."),
    }
}

fn fixed(affected: &Affected, label: impl Fn(&Kernel) -> String) -> Option<String> {
    if let Some(fixed) = &affected.fixed {
        return Some(label(fixed));
    }
    let Some(newest) = &affected.newest else {
        return affected.to_the_newest.then(|| "not yet, no newer kernel is known".to_owned());
    };
    let name = label(&newest.kernel);
    Some(match (newest.fails, &newest.reason) {
        (Some(true), _) => "not yet".to_owned(),
        (Some(false), _) => {
            format!("{name}, the newest, passes; which one fixed it was not looked for")
        }
        (None, Some(reason)) => format!("not known, {name} gave no answer ({reason})"),
        (None, None) => format!("not known, {name} was not tried"),
    })
}

fn is_it_fixed(affected: &Affected, label: impl Fn(&Kernel) -> String) -> String {
    match (&affected.fixed, &affected.newest) {
        (Some(fixed), _) => format!("Yes, in {} and newer ones.", label(fixed)),
        (None, Some(newest)) => match newest.fails {
            Some(true) => format!("No: {}, the newest, fails as well.", label(&newest.kernel)),
            Some(false) => format!("Yes: {}, the newest, works.", label(&newest.kernel)),
            None => format!("Not known: {} gave no answer.", label(&newest.kernel)),
        },
        (None, None) if affected.to_the_newest => "No: no newer kernel is known.".to_owned(),
        (None, None) => "Not known: no newer kernel was tried.".to_owned(),
    }
}

fn advice(affected: &Affected, label: impl Fn(&Kernel) -> String) -> String {
    let passes = affected.newest.as_ref().filter(|newest| newest.fails == Some(false));
    let go_to = match (&affected.fixed, passes) {
        (Some(fixed), _) => Some(format!("go to {} or newer", label(fixed))),
        (None, Some(newest)) => Some(format!("go to {}", label(&newest.kernel))),
        (None, None) => None,
    };
    let stay = affected.good.as_ref().map(|[_, newest]| format!("stay on {}", label(newest)));
    match (stay, go_to) {
        (Some(stay), Some(go_to)) => format!("{stay}, or {go_to}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => "nothing is known to help".to_owned(),
    }
}
