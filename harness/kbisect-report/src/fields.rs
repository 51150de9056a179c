//! What recipients of a report ask for: each is here, here in part, or named as not available with
//! the reason.

use kbisect_core::answer::Trial;
use kbisect_core::changes::WhatChanged;
use kbisect_core::evidence::Decoded;
use kbisect_core::trial::SymptomKind;

use crate::changed;
use crate::dossier::{Dossier, Subject};
use crate::story::Story;

/// One thing that recipients ask for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// Whether it is here.
    pub(crate) state: State,
}

/// Whether something is here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    Here(String),
    /// What is missing of it.
    Partly(String),
    /// Why not.
    Missing(String),
}

fn here(place: &str) -> State {
    State::Here(place.to_owned())
}

fn partly(why: &str) -> State {
    State::Partly(why.to_owned())
}

fn missing(why: &str) -> State {
    State::Missing(why.to_owned())
}

/// The list, in the order of importance.
pub(crate) fn fields(dossier: &Dossier) -> Vec<Field> {
    let story = dossier.story();
    let bisected = story.as_ref().is_some_and(|story| story.sides().len() == 2);
    let commit = story.as_ref().and_then(Story::culprit);
    let is_of_commits = story
        .as_ref()
        .is_some_and(|story| story.sides().iter().any(|side| story.commit(side.kernel).is_some()));
    let is_tested = story.as_ref().is_some_and(|story| {
        story.result.revert.as_ref().is_some_and(|test| test.changed.counted() > 0)
    });
    let newest_trials =
        story.as_ref().and_then(|story| story.result.affected.as_ref()?.newest.as_ref());
    let single = matches!(dossier.subject, Subject::Trial(_));
    let bad = dossier.bad();
    // Of a run without a failure it is the trial that passed.
    let files = dossier.evidence.bad.as_ref().or(dossier.evidence.good.as_ref());
    let paths = dossier.evidence.paths();
    let crash = crashed(bad);
    let has = |yes: bool, place: &str, why: &str| if yes { here(place) } else { missing(why) };
    let field = |name, state| Field { name, state };
    let no_bisection = if single {
        "one kernel was tried, nothing was bisected"
    } else {
        "the search has no answer"
    };
    let collected =
        bad.or(dossier.good()).is_some_and(|trial| trial.timings_s.contains_key("collect"));
    vec![
        field("subject", here("heading; `--format text` has it as a mail's")),
        field("summary", here("first sentence")),
        field(
            "first bad and last good",
            if commit.is_some() {
                here("first table, and below it")
            } else if bisected {
                partly("as packages; commits are not known, since packages were bisected")
            } else {
                missing(no_bisection)
            },
        ),
        field(
            "A/B table",
            if is_tested {
                partly("the newest kernel overall was not tried")
            } else if bisected && newest_trials.is_some() {
                partly(
                    "each version was tried as often as Trials says, the newest of the series as well; the first bad \
                     kernel with the change reverted, and the newest kernel overall, were not tried",
                )
            } else if bisected {
                partly(
                    "each version was tried as often as Trials says; the first bad kernel with the change \
                     reverted, and the newest kernel overall, were not tried",
                )
            } else {
                missing(no_bisection)
            },
        ),
        field("confidence", has(!single, "Confidence", "a single trial has none")),
        field(
            "regzbot lines",
            has(
                bisected && crate::bisect_log::introduced(dossier).is_some(),
                "`--format text`",
                "no two neighbouring releases of one series were found",
            ),
        ),
        field(
            "trailers for the fix",
            has(
                commit.is_some(),
                "`--format text`",
                "the commit is not known, since packages were bisected",
            ),
        ),
        field(
            "still broken in the newest",
            match (newest_trials, newest(dossier)) {
                (Some(newest), _) if newest.fails.is_some() => here("first sentence"),
                (_, Some(text)) => State::Partly(text),
                (_, None) => missing("the newest kernel was not tried"),
            },
        ),
        field(
            "environment",
            has(
                files.is_some_and(|files| files.qemu.is_some()),
                "Environment",
                "the trial's folder is not complete; what the journal has is under Environment",
            ),
        ),
        field(
            "kernel configuration",
            partly("in the bundle (`kbisect report RUN --bundle`), for kernels in the local store"),
        ),
        field(
            "console",
            has(
                files.is_some_and(|files| !files.console.is_empty()),
                "Files, Timeline",
                "the trial's console log is missing or empty",
            ),
        ),
        field(
            "kernel's report",
            has(
                bad.is_some_and(|trial| !trial.reports.is_empty()),
                "The kernel's report",
                if crash {
                    "the kernel printed none"
                } else {
                    "the failure is none of the kernel's own"
                },
            ),
        ),
        field("decoded trace", decoded(bad, crash)),
        field("reproducer", here("How to repeat; the bundle has the scenario and `reproduce.sh`")),
        field("kernels exactly", here("Environment")),
        field(
            "network state",
            match (collected, paths.is_empty()) {
                (true, false) => here("What was seen; Files: collect/"),
                (true, true) => partly("Files: collect/; frames are missing"),
                (false, _) => missing("the machine was gone before its state could be read"),
            },
        ),
        field("bisection log", has(!single, "`--format bisect-log`", no_bisection)),
        field("runs", here(if single { "one" } else { "Trials" })),
        field(
            "what changed",
            match bisected {
                _ if is_of_commits => here("first table: a commit is the change"),
                true => changed(dossier),
                false => missing(no_bisection),
            },
        ),
        field(
            "recipients",
            if commit.is_some() {
                partly(
                    "lists by subsystem, in `--for upstream`; `scripts/get_maintainer.pl` of the kernel's tree names \
                     people, given the commit's patch",
                )
            } else {
                partly(
                    "lists by the most suspect change, in `--for upstream`; the commit is not known",
                )
            },
        ),
        field("vmcore", vmcore(bad)),
        field("machine copies", here("result.json; `--format junit`, `--format ktap`")),
        field("flags", has(!single, "Series, Confidence", no_bisection)),
        field("manifest", here("SHA256SUMS in the bundle")),
    ]
}

fn changed(dossier: &Dossier) -> State {
    let Subject::Bisection(result) = &dossier.subject else {
        return missing(changed::NOT_COMPARED);
    };
    match (&result.changes, changed::ranking(result)) {
        (_, Some(ranking)) if ranking.notes.is_empty() => here("What changed"),
        (_, Some(ranking)) => State::Partly(format!("What changed; {}", ranking.notes.join("; "))),
        (Some(WhatChanged::Unavailable { reason }), None) => State::Missing(reason.clone()),
        (_, None) => missing(changed::NOT_COMPARED),
    }
}

fn decoded(bad: Option<&Trial>, crash: bool) -> State {
    match bad.and_then(|trial| trial.evidence.decoded.as_ref()) {
        Some(Decoded::Lines { .. }) => here("What was seen"),
        Some(Decoded::Unavailable { reason }) => {
            State::Missing(format!("no debug information, because {reason}"))
        }
        None if crash => missing("no debug information: none was looked for"),
        None => missing("there is no trace to decode"),
    }
}

fn vmcore(bad: Option<&Trial>) -> State {
    match bad.and_then(|trial| trial.evidence.vmcore.as_ref()) {
        Some(vmcore) => State::Partly(format!(
            "{} in the trial's folder, {} bytes, SHA-256 {}; too large for a report, so it is handed on \
             apart",
            vmcore.path, vmcore.bytes, vmcore.sha256
        )),
        None => missing("none was taken"),
    }
}

fn crashed(bad: Option<&Trial>) -> bool {
    let kind = bad.and_then(|trial| trial.symptom.as_ref()).map(|symptom| symptom.kind);
    kind.is_some_and(SymptomKind::prints)
}

/// What is known of the newest kernel of the series.
fn newest(dossier: &Dossier) -> Option<String> {
    let entry = dossier.series().last()?;
    let tried = entry.verdict.is_answer();
    tried.then(|| {
        format!(
            "{}, the newest of the series, is {}; newer ones were not tried",
            dossier.label(&entry.kernel),
            entry.verdict
        )
    })
}
