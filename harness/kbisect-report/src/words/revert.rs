//! The test of an answer by a revert, and the runs that went on from there.

use kbisect_core::bayes::Tally;
use kbisect_core::run::{
    Because, BisectResult, Further, OutcomeWord, PlannedCommit, RevertOutcome, RevertResult,
};
use kbisect_core::search::Direction;

/// Most files that are named.
const FILES: usize = 5;

/// What a trial of it is for.
pub const TESTS_ANSWER: &str = "tests the answer";

/// Why an answer was not tested.
#[must_use]
pub fn revert_not_made(error: &str) -> String {
    format!("the answer was not tested to its end ({error}); `kbisect resume` goes on with that")
}

/// What a test came to, in a sentence.
#[must_use]
pub fn revert(result: &RevertResult, direction: Direction) -> String {
    let (onto, commit) = (result.onto.label(), result.commit.label());
    let changed = match direction {
        Direction::Regression => format!("{onto} without the change of {commit}"),
        Direction::Fix => format!("{onto} with {commit} applied"),
    };
    let as_it_is = format!("as it is it fails in {}", of(&result.original));
    match result.outcome {
        RevertOutcome::Proven => {
            format!("{changed} fails in {}; {as_it_is}", of(&result.changed))
        }
        RevertOutcome::StillFails => match direction {
            Direction::Regression => {
                format!("{changed} still fails: another change causes it, too")
            }
            Direction::Fix => format!("{changed} still fails: the fix needs more than that"),
        },
        RevertOutcome::Conflicts => {
            let named: Vec<&str> = result.files.iter().take(FILES).map(String::as_str).collect();
            let more = match result.files.len().saturating_sub(FILES) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let does = match direction {
                Direction::Regression => "cannot be taken back",
                Direction::Fix => "cannot be applied",
            };
            format!(
                "not tested: in {onto} the change of {commit} {does}, since others touch the same places \
                 ({}{more})",
                named.join(", ")
            )
        }
        RevertOutcome::NoBuild => {
            let why = result.reason.as_deref().unwrap_or_default();
            format!("not tested: {changed} does not build: {why}")
        }
        RevertOutcome::NoAnswer => {
            let why = result.reason.as_deref();
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            format!("tells nothing: {changed} fails in {}, {as_it_is}{why}", of(&result.changed))
        }
        RevertOutcome::Unfinished if result.changed.counted() == 0 => {
            format!("not finished: {changed} was not tried yet")
        }
        RevertOutcome::Unfinished => {
            format!("not finished: {changed} fails in {} so far; {as_it_is}", of(&result.changed))
        }
    }
}

/// Why a run took nothing back.
#[must_use]
pub(crate) fn not_reverted(result: &BisectResult, is_known: bool) -> String {
    let drilled = result.further.iter().find(|further| further.because == Because::Drill);
    match drilled.filter(|further| further.commit.is_some()) {
        Some(further) => format!("run {} has it", further.run_id),
        None if is_known => "no trial of it was made".to_owned(),
        None => "the commit is not known".to_owned(),
    }
}

/// The bad end with the culprit's change taken back, or the fix applied, in a table.
#[must_use]
pub(crate) fn changed_bad_end(direction: Direction) -> &'static str {
    match direction {
        Direction::Regression => "bad end, change reverted",
        Direction::Fix => "bad end, fix applied",
    }
}

/// A commit as the trailers of other commits name it.
#[must_use]
pub(crate) fn named(commit: &PlannedCommit) -> String {
    format!("{} (\"{}\")", commit.id.get(..12).unwrap_or(&commit.id), commit.subject)
}

/// What is said of the commit that was found.
#[must_use]
pub(crate) fn culprit(commit: &PlannedCommit, direction: Direction) -> String {
    let what = match direction {
        Direction::Regression => "The first bad commit is",
        Direction::Fix => "The first good commit is",
    };
    format!("{what} {}.", named(commit))
}

/// What is there to be counted: failures of answers.
#[must_use]
pub fn of(tally: &Tally) -> String {
    match tally.fails + tally.passes {
        0 => "no trial".to_owned(),
        all => format!("{} of {all}", tally.fails),
    }
}

/// What a run found that went on.
#[must_use]
pub fn further(further: &Further, direction: Direction) -> String {
    let found = match (&further.commit, &further.sides) {
        (Some(commit), _) => format!("{} \"{}\"", commit.label(), commit.subject),
        (None, Some([older, newer])) if further.because == Because::Fix => {
            format!("{}; {} still fails", newer.label(), older.label())
        }
        (None, _) => {
            let why = further.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            match further.outcome {
                OutcomeWord::NotReproduced | OutcomeWord::GoodFails => format!("none{why}"),
                OutcomeWord::Range => format!("several are possible{why}"),
                _ => format!("not finished{why}"),
            }
        }
    };
    let tested = match (further.revert, direction) {
        (Some(RevertOutcome::Proven), Direction::Regression) => ", shown by a revert",
        (Some(RevertOutcome::Proven), Direction::Fix) => ", shown by applying it",
        _ => "",
    };
    match further.run_id.as_str() {
        "" => found,
        run_id => format!("{found}{tested} (run {run_id})"),
    }
}

/// What the test of an answer is called.
#[must_use]
pub fn revert_heading(direction: Direction) -> &'static str {
    match direction {
        Direction::Regression => "Tested by a revert",
        Direction::Fix => "Tested by applying the fix",
    }
}

/// What such a run is called in a list.
#[must_use]
pub fn further_label(because: Because) -> &'static str {
    match because {
        Because::StillFails => "also",
        Because::Drill => "commit",
        Because::Fix => "fixed in",
    }
}

/// Why no other run goes on.
#[must_use]
pub fn not_gone_on(because: Because, why: &str) -> String {
    match because {
        Because::StillFails => format!("what else causes it was not looked for: {why}"),
        Because::Drill => format!("the commit was not looked for: {why}"),
        Because::Fix => format!("the fix was not looked for: {why}"),
    }
}

/// That another run goes on.
#[must_use]
pub fn goes_on(because: Because, run_id: &str) -> String {
    match because {
        Because::StillFails => {
            format!(
                "the bad end fails without the culprit, too: run {run_id} looks for what else causes it"
            )
        }
        Because::Drill => format!("run {run_id} looks for the commit"),
        Because::Fix => format!("run {run_id} looks for the fix"),
    }
}

/// That culprits are taken back in a run.
#[must_use]
pub fn without(commits: &[String]) -> String {
    let short: Vec<&str> = commits.iter().map(|id| id.get(..12).unwrap_or(id)).collect();
    format!(
        "culprits that were found before are taken back in all commits that contain them: {}",
        short.join(", ")
    )
}
