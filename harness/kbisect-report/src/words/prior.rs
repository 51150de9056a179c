//! Which commits are tried first, and why.

use kbisect_core::changes::Weighed;

/// How commits are weighed, in a sentence without its end.
#[must_use]
pub fn weighed(of: &Weighed) -> String {
    let near = match of.near {
        1 => "1 has a name in common with the failure or the scenario".to_owned(),
        many => format!("{many} have a name in common with the failure or the scenario"),
    };
    let what = match of.built {
        Some(built) => format!("{built} change what is built, and {near}"),
        None => near,
    };
    format!("of {} commits {what}; such are tried first", of.commits)
}

/// The same of a run that is over.
pub(crate) fn was_weighed(of: &Weighed) -> String {
    let place =
        of.place.map(|place| format!(" (the answer has place {place} of {} by that)", of.commits));
    format!("{}{}", weighed(of), place.unwrap_or_default()).replacen("of", "Of", 1)
}
