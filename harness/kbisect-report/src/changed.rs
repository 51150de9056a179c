//! What changed between the two sides of an answer, in words that all forms share.

use kbisect_core::changes::{ChangeSource, Ranking, WhatChanged};
use kbisect_core::run::BisectResult;

use crate::story::count;

/// What is said when nobody looked.
pub(crate) const NOT_COMPARED: &str =
    "the changelogs were not compared; `kbisect changes RUN` does it";

/// Follows every ranking: it must not be read as an answer.
pub(crate) const NO_PROOF: &str = "The order is one to read them in, by names that they have in common with \
                                   the failure and the scenario. It is no proof.";

pub(crate) fn ranking(result: &BisectResult) -> Option<&Ranking> {
    match result.changes.as_ref()? {
        WhatChanged::Ranked(ranking) => Some(ranking),
        WhatChanged::Unavailable { .. } => None,
    }
}

/// Why there is no ranking, when one was tried to be made.
pub(crate) fn unavailable(result: &BisectResult) -> Option<String> {
    match result.changes.as_ref()? {
        WhatChanged::Unavailable { reason } => {
            Some(format!("What changed is not available, because {reason}."))
        }
        WhatChanged::Ranked(_) => None,
    }
}

/// How many changes there are, of what, and how many touch anything, in one sentence.
pub fn changes_sentence(ranking: &Ranking) -> String {
    let Ranking { from, to, source, considered, .. } = ranking;
    let touching = match considered.touching {
        0 => "none of them has a name in common with the failure or the scenario".to_owned(),
        1 => "1 of them has a name in common with the failure or the scenario".to_owned(),
        n => format!("{n} of them have a name in common with the failure or the scenario"),
    };
    let verb = if considered.changes == 1 { "lies" } else { "lie" };
    format!(
        "{} {verb} between {from} and {to} ({source}); {touching}.",
        count(considered.changes, "change")
    )
}

/// SHA-256 of the package that was read, where there is one.
pub(crate) fn checksum(ranking: &Ranking) -> Option<&str> {
    match &ranking.source {
        ChangeSource::Changelog { sha256, .. } if !sha256.is_empty() => Some(sha256),
        ChangeSource::Changelog { .. } | ChangeSource::Git { .. } => None,
    }
}
