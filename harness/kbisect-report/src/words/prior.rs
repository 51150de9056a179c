//! Which commits are tried first, and why.

use kbisect_core::changes::Weighed;

/// How commits are weighed, in a sentence without its end.
#[must_use]
pub fn weighed(of: &Weighed) -> String {
    let have = if of.near == 1 { "has" } else { "have" };
    let near = format!("{have} a name in common with the failure or the scenario");
    let what = match of.built {
        Some(built) => {
            format!("{built} of {} commits change what is built, {} {near}", of.commits, of.near)
        }
        None => format!("{} of {} commits {near}", of.near, of.commits),
    };
    format!("{what}; such are tried first")
}

/// The same of a run that is over.
pub(crate) fn was_weighed(of: &Weighed) -> String {
    match of.place {
        Some(place) => {
            format!("{} (the answer has place {place} of {} by that)", weighed(of), of.commits)
        }
        None => weighed(of),
    }
}

/// Why all commits are alike.
#[must_use]
pub fn not_weighed(error: &impl std::fmt::Display) -> String {
    format!(
        "commits are tried as if all were equally likely: what they change is not known ({error})"
    )
}
