//! The search in the form of `git bisect log`.
//!
//! Commits are named as git does. Packages have none. Where a package stands for one stable release, the line names its tag,
//! so that `git bisect replay` in a stable tree goes on from there; what was really tested stands in
//! the comments, which replay passes over. Where the packages do not fit tags (kernels of one's own,
//! two packages of one release, several stable series), the lines are a list in comments only.

use kbisect_core::trial::VerdictKind;
use std::collections::BTreeSet;
use std::fmt::Write;

use kbisect_core::kernel::Kernel;
use kbisect_core::run::{BisectResult, PlannedCommit, RunEvent, SeriesEntry, SeriesVerdict, Tried};
use kbisect_core::search::{Direction, Mark};

use crate::dossier::{Dossier, Subject};
use crate::text::line;

/// Most characters of a text in a comment.
const COMMENT: usize = 200;

/// Writes the log; nothing for a single trial.
pub(crate) fn bisect_log(dossier: &Dossier) -> Option<String> {
    let Subject::Bisection(result) = &dossier.subject else { return None };
    let story = dossier.story()?;
    let commits = !result.series.is_empty() && result.series.iter().all(|it| it.commit.is_some());
    let tags = commits || fits_tags(result);
    // What git knows it by.
    let name = |kernel: &Kernel| match commit(result, kernel) {
        Some(commit) => Some(commit.id.clone()),
        None => tag(kernel),
    };
    let what_it_is = |kernel: &Kernel| match commit(result, kernel) {
        Some(commit) => line(&format!("[{}] {}", commit.id, commit.subject), COMMENT),
        None => package(kernel),
    };
    let noun = if commits { "commit" } else { "package" };
    let mut to = String::new();
    let mut put = |text: &str| {
        let _ = writeln!(to, "{text}");
    };
    put(&format!("# kbisect {}: {}", line(&result.tool_version, 40), line(&story.verdict(), 400)));
    put(&format!("# scenario: {}", line(&result.scenario, COMMENT)));
    if commits {
        put("# Each commit that was tested was built; what came of it stands in the comments.");
    } else if tags {
        put(
            "# Tested were the distribution packages named in the comments, with the distribution's",
        );
        put("# patches. The tags are those of the stable releases that they are made from.");
    } else {
        put("# A list of packages: they stand for no tags of one stable series.");
    }
    // A search for a fix looks for the first good kernel. Git refuses to turn its own words around
    // and asks for others.
    let fix = result.direction == Direction::Fix;
    let command = |text: String| if tags { text } else { format!("# {text}") };
    put(&command(
        "git bisect start".to_owned()
            + if fix { " '--term-new=fixed' '--term-old=broken'" } else { "" },
    ));
    for (kernel, mark) in answers(dossier) {
        let (word, term) = match (mark, fix) {
            (Mark::Good, false) => ("good", "good"),
            (Mark::Good, true) => ("good", "fixed"),
            (Mark::Bad, false) => ("bad", "bad"),
            (Mark::Bad, true) => ("bad", "broken"),
            (Mark::Skip, _) => ("skip", "skip"),
        };
        let entry = result.series.iter().find(|entry| entry.kernel.id == kernel.id);
        put(&format!("# {word}: {}{}", what_it_is(kernel), counts(dossier, kernel, entry)));
        let name = if tags { name(kernel).unwrap_or_default() } else { package(kernel) };
        put(&command(format!("git bisect {term} {name}")));
    }
    for entry in result.series.iter().filter(|entry| entry.verdict == SeriesVerdict::Untestable) {
        let why = line(entry.reason.as_deref().unwrap_or("it cannot be tested"), COMMENT);
        put(&format!("# skip: {}: {why}", what_it_is(&entry.kernel)));
        if let Some(name) = name(&entry.kernel).filter(|_| tags) {
            put(&format!("git bisect skip {name}"));
        }
    }
    let sides = story.sides();
    if let [old, new] = sides.as_slice() {
        if story.found() {
            let what = if fix { "first good" } else { "first bad" };
            put(&format!("# {what} {noun}: {}", what_it_is(new.kernel)));
            put(&format!("# {} {noun}: {}", old.label, what_it_is(old.kernel)));
        } else {
            for kernel in &result.candidates {
                put(&format!(
                    "# possible first {} {noun}: {}",
                    if fix { "good" } else { "bad" },
                    what_it_is(kernel)
                ));
            }
        }
    }
    Some(to)
}

/// The answers that the search got, in order; the last one of a kernel that was tried again. Under
/// doubt one run says little: what is believed at the end counts.
fn answers(dossier: &Dossier) -> Vec<(&Kernel, Mark)> {
    if dossier.series().iter().any(|entry| entry.belief.is_some()) {
        let believed = |entry: &'_ SeriesEntry| {
            let belief = entry.belief.as_ref()?;
            if entry.verdict == SeriesVerdict::Untested {
                return None;
            }
            Some(match belief.tally.counted() {
                0 => Mark::Skip,
                _ if belief.bad > 0.5 => Mark::Bad,
                _ => Mark::Good,
            })
        };
        // The newest first: of several, git takes the last that it is told for the one to come from.
        let series = dossier.series().iter().rev();
        return series.filter_map(|entry| Some((&entry.kernel, believed(entry)?))).collect();
    }
    let mut answers: Vec<(&Kernel, Mark)> = Vec::new();
    for line in &dossier.journal {
        if let RunEvent::TrialEnded {
            tried: Tried::Version { .. }, record, mark: Some(mark), ..
        } = &line.event
        {
            answers.retain(|(kernel, _)| kernel.id != record.kernel.id);
            answers.push((&record.kernel, *mark));
        }
    }
    answers
}

/// The commit that a kernel was built from.
fn commit<'a>(result: &'a BisectResult, kernel: &Kernel) -> Option<&'a PlannedCommit> {
    let entry = result.series.iter().find(|entry| entry.kernel.id == kernel.id)?;
    entry.commit.as_ref()
}

/// `6.12.69-1~bpo12+1 (cloud-amd64, debian:bookworm-backports)`.
fn package(kernel: &Kernel) -> String {
    let name = kernel.name.as_deref().map(|name| format!("{name} = ")).unwrap_or_default();
    let text = format!("{name}{} ({}, {})", kernel.package_version, kernel.flavour, kernel.source);
    line(&text, COMMENT)
}

/// How often the kernel was tried, and how it failed.
fn counts(dossier: &Dossier, kernel: &Kernel, entry: Option<&SeriesEntry>) -> String {
    let of = |verdict: VerdictKind| {
        let trials = dossier.trials().iter();
        trials.filter(|trial| trial.kernel.id == kernel.id && trial.verdict == verdict).count()
    };
    let (good, bad) = (of(VerdictKind::Good), of(VerdictKind::Bad));
    let symptom = dossier
        .trials()
        .iter()
        .rev()
        .find(|trial| trial.kernel.id == kernel.id)
        .and_then(|trial| trial.symptom.as_ref())
        .map(|symptom| format!("; {}", line(&symptom.to_string(), COMMENT)))
        .unwrap_or_default();
    let why = entry.and_then(|entry| entry.reason.as_deref()).filter(|_| symptom.is_empty());
    let why = why.map(|why| format!("; {}", line(why, COMMENT))).unwrap_or_default();
    format!(": failed {bad} of {}{symptom}{why}", good + bad)
}

/// Whether each kernel of the series stands for a release of one stable series, and no release for
/// two kernels with different answers.
fn fits_tags(result: &BisectResult) -> bool {
    let tried = || {
        result.series.iter().filter(|entry| {
            matches!(entry.verdict, SeriesVerdict::Good | SeriesVerdict::Bad | SeriesVerdict::Skip)
        })
    };
    let tags: Option<Vec<String>> = tried().map(|entry| tag(&entry.kernel)).collect();
    let series: BTreeSet<String> = tried().map(|entry| entry.kernel.series()).collect();
    let Some(tags) = tags else { return false };
    let different: BTreeSet<&String> = tags.iter().collect();
    series.len() == 1 && different.len() == tags.len()
}

/// The range that brought a regression, as regzbot is told it: the commit, or the two releases around the change, when packages stand for releases.
pub(crate) fn introduced(dossier: &Dossier) -> Option<String> {
    let story = dossier.story()?;
    let Subject::Bisection(result) = &dossier.subject else { return None };
    let sides = story.sides();
    let [old, new] = sides.as_slice() else { return None };
    if result.direction != Direction::Regression {
        return None;
    }
    if let Some(commit) = story.culprit() {
        return Some(commit.id.clone());
    }
    if old.kernel.series() != new.kernel.series() {
        return None;
    }
    let (old, new) = (tag(old.kernel)?, tag(new.kernel)?);
    (old != new).then(|| format!("{old}..{new}"))
}

/// The tag of the release that a package is made from: `v6.12.69`.
pub(crate) fn tag(kernel: &Kernel) -> Option<String> {
    let upstream = kernel.package_version.upstream();
    let numbers = upstream.split('.').count() == 3
        && upstream
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let stock = kernel.variant.is_none() && kernel.name.is_none();
    (numbers && stock).then(|| format!("v{upstream}"))
}
