//! What a result says, in sentences and in the order in which people ask.

use std::collections::BTreeSet;

use kbisect_core::answer::Trial;
use kbisect_core::bayes::Notice;
use kbisect_core::boot::{BootWay, SpeedSource};
use kbisect_core::kernel::Kernel;
use kbisect_core::run::{
    Aborted, Because, BisectResult, OutcomeWord, PlannedCommit, SeriesEntry, SeriesVerdict,
};
use kbisect_core::search::Direction;
use kbisect_core::trial::{BootKind, VerdictKind};

use crate::words::{self, Headline, notice_texts};

/// A result with the questions that a report asks of it.
pub(crate) struct Story<'a> {
    pub(crate) result: &'a BisectResult,
}

/// How a run without an answer can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It is complete, with or without a culprit.
    Complete,
    /// An end gave no answer: trying again would give none either.
    EndSkipped {
        /// Whether it is the good end.
        good: bool,
    },
    /// The user stopped it.
    Interrupted,
    /// It failed, or was killed.
    Failed,
}

/// One side of the change.
pub(crate) struct Side<'a> {
    /// `last good`, `first bad`, `last bad`, `first good`.
    pub(crate) label: &'static str,
    /// Whether it is good.
    pub(crate) good: bool,
    /// The kernel.
    pub(crate) kernel: &'a Kernel,
}

impl<'a> Story<'a> {
    /// Whether one kernel was found.
    pub(crate) fn found(&self) -> bool {
        matches!(self.result.outcome, OutcomeWord::Found | OutcomeWord::FoundDespiteSkips)
    }

    /// How it ended.
    pub(crate) fn ending(&self) -> Ending {
        match (self.result.outcome, self.result.aborted) {
            (OutcomeWord::Aborted, Some(Aborted::Interrupted)) => Ending::Interrupted,
            (OutcomeWord::Aborted, Some(Aborted::EndUntestable { good })) => {
                Ending::EndSkipped { good }
            }
            (OutcomeWord::Aborted, _) => Ending::Failed,
            _ => Ending::Complete,
        }
    }

    /// Both sides of the change, the older one first; empty when they are not known.
    pub(crate) fn sides(&self) -> Vec<Side<'a>> {
        let result = self.result;
        let side = |label, good, kernel: &'a Option<Kernel>| {
            kernel.as_ref().map(|kernel| Side { label, good, kernel })
        };
        let sides = match result.direction {
            Direction::Regression => [
                side("last good", true, &result.last_good),
                side("first bad", false, &result.first_bad),
            ],
            Direction::Fix => [
                side("last bad", false, &result.last_bad),
                side("first good", true, &result.first_good),
            ],
        };
        sides.into_iter().flatten().collect()
    }

    /// The commit that a kernel was built from.
    pub(crate) fn commit(&self, kernel: &Kernel) -> Option<&'a PlannedCommit> {
        let entry = self.result.series.iter().find(|entry| entry.kernel.id == kernel.id)?;
        entry.commit.as_ref()
    }

    /// The commit that brought the change, where one was found: by this run, or by one that went on from it.
    pub(crate) fn culprit(&self) -> Option<&'a PlannedCommit> {
        if !self.found() {
            return None;
        }
        let newer = self.sides().last().and_then(|side| self.commit(side.kernel));
        let drilled = self.result.further.iter().find(|it| it.because == Because::Drill);
        newer.or_else(|| drilled?.commit.as_ref())
    }

    /// The trial of a kernel that led to its verdict: the last one with an answer. A repeat in vain takes
    /// nothing back.
    pub(crate) fn trial_of(&self, kernel: &Kernel) -> Option<&'a Trial> {
        let own = || self.result.trials.iter().rev().filter(|trial| trial.kernel.id == kernel.id);
        own().find(|trial| trial.is_answer()).or_else(|| own().next())
    }

    /// The trial that shows the failure best: that of the bad kernel next to the change, else the
    /// first one with the symptom that was looked for, else the first bad one.
    pub(crate) fn shown_trial(&self) -> Option<&'a Trial> {
        let beside = self.sides().into_iter().find(|side| !side.good);
        let beside = beside.and_then(|side| self.trial_of(side.kernel));
        let bad = || self.result.trials.iter().filter(|trial| trial.verdict == VerdictKind::Bad);
        beside
            .filter(|trial| trial.verdict == VerdictKind::Bad)
            .or_else(|| bad().find(|trial| trial.is_answer()))
            .or_else(|| bad().next())
    }

    /// The trial to compare it with: that of the good kernel next to the change.
    pub(crate) fn good_trial(&self) -> Option<&'a Trial> {
        let beside = self.sides().into_iter().find(|side| side.good)?;
        self.trial_of(beside.kernel).filter(|trial| trial.verdict == VerdictKind::Good)
    }

    /// What decides, where a kernel was found.
    pub(crate) fn headline(&self) -> Option<Headline> {
        Headline::of(self.result, |kernel| self.label(kernel))
    }

    /// What to call a kernel: its name or upstream version; the package version where another
    /// kernel of the series has the same.
    pub(crate) fn label(&self, kernel: &Kernel) -> String {
        let same = |other: &Kernel| other.label() == kernel.label() && other.id != kernel.id;
        if self.result.series.iter().any(|entry| same(&entry.kernel)) {
            kernel.package_version.to_string()
        } else {
            kernel.label().to_owned()
        }
    }

    /// `Debian cloud-amd64 kernels`, if they all are.
    fn family(&self) -> String {
        let kernels = || self.result.series.iter().map(|entry| &entry.kernel);
        let debian = kernels().all(|kernel| kernel.source.starts_with("debian"));
        let flavours: BTreeSet<_> = kernels().map(|kernel| kernel.flavour.as_str()).collect();
        let flavour = match (flavours.len(), flavours.first()) {
            (1, Some(flavour)) if !flavour.is_empty() => Some(*flavour),
            _ => None,
        };
        match (debian && !self.result.series.is_empty(), flavour) {
            (true, Some(flavour)) => format!("Debian {flavour} kernels"),
            (true, None) => "Debian kernels".to_owned(),
            (false, Some(flavour)) => format!("the {flavour} kernels of this series"),
            (false, None) => "the kernels of this series".to_owned(),
        }
    }

    /// A few words for headings: `lost-ingress since 6.12.69`.
    pub(crate) fn heading(&self) -> String {
        let kind =
            self.result.symptom.as_ref().map_or("failure".to_owned(), |s| s.kind.to_string());
        let labels: Vec<String> = self.sides().iter().map(|side| self.label(side.kernel)).collect();
        match (self.result.outcome, labels.as_slice(), self.result.direction) {
            (
                OutcomeWord::Found | OutcomeWord::FoundDespiteSkips,
                [_, new],
                Direction::Regression,
            ) => {
                format!("{kind} since {new}")
            }
            (OutcomeWord::Found | OutcomeWord::FoundDespiteSkips, [_, new], Direction::Fix) => {
                format!("{kind} fixed in {new}")
            }
            (OutcomeWord::Range, [old, new], Direction::Regression) => {
                format!("{kind} since a version after {old}, up to {new}")
            }
            (OutcomeWord::Range, [old, new], Direction::Fix) => {
                format!("{kind} fixed in a version after {old}, up to {new}")
            }
            (OutcomeWord::NotReproduced, ..) => "not reproduced".to_owned(),
            (OutcomeWord::GoodFails, ..) => "the good end fails too".to_owned(),
            _ => match self.ending() {
                Ending::Interrupted => "interrupted".to_owned(),
                Ending::EndSkipped { .. } => "an end gives no answer".to_owned(),
                _ => "stopped".to_owned(),
            },
        }
    }

    /// The verdict in one sentence, without the symptom.
    pub(crate) fn verdict(&self) -> String {
        let (family, scenario) = (self.family(), &self.result.scenario);
        let labels: Vec<String> = self.sides().iter().map(|side| self.label(side.kernel)).collect();
        let fix = self.result.direction == Direction::Fix;
        match (self.result.outcome, labels.as_slice()) {
            (OutcomeWord::Found | OutcomeWord::FoundDespiteSkips, [old, new]) if fix => format!(
                "On {family}, scenario {scenario} passes from {new} on; {old} is the last bad one."
            ),
            (OutcomeWord::Found | OutcomeWord::FoundDespiteSkips, [old, new]) => format!(
                "On {family}, scenario {scenario} fails from {new} on; {old} is the last good one."
            ),
            (OutcomeWord::Range, [old, new]) if self.comes_and_goes() => format!(
                "On {family}, the symptom of scenario {scenario} comes and goes between {old} and {new}: no \
                 single version brought it."
            ),
            (OutcomeWord::Range, [old, new]) if self.result.doubt.is_some() => format!(
                "On {family}, scenario {scenario} was {} by one of {} versions, after {old} and up to {new}: \
                 {}.",
                if fix { "fixed" } else { "broken" },
                self.result.candidates.len(),
                self.result.reason.as_deref().unwrap_or("no answer is narrower")
            ),
            (OutcomeWord::Range, [old, new]) => {
                let (states, verb) = if fix {
                    (("bad", "good"), "was fixed by")
                } else {
                    (("good", "bad"), "was broken by")
                };
                format!(
                    "On {family}, scenario {scenario} {verb} one of {} versions: {old} is {}, {new} is {}, \
                     and those between gave no answer.",
                    self.result.candidates.len(),
                    states.0,
                    states.1
                )
            }
            // It does not simply pass: the reason has the counts, or what is seen instead.
            (OutcomeWord::NotReproduced, _)
                if self.result.doubt.is_some() || self.result.symptom.is_none() && self.fails() =>
            {
                format!(
                    "On {family}, the failure of scenario {scenario} was not reproduced on {}: {}.",
                    self.end_label(false),
                    self.result.reason.as_deref().unwrap_or("it does not show")
                )
            }
            (OutcomeWord::NotReproduced, _) => format!(
                "On {family}, the failure was not reproduced: scenario {scenario} passes on {}, the end \
                 that should be bad.",
                self.end_label(false)
            ),
            (OutcomeWord::GoodFails, _) => format!(
                "On {family}, scenario {scenario} fails on {} as well, the end that should be good.",
                self.end_label(true)
            ),
            _ => self.unfinished(),
        }
    }

    /// The verdict of a run without one.
    fn unfinished(&self) -> String {
        let (scenario, reason) = (&self.result.scenario, self.result.reason.as_deref());
        let trials = count(self.result.trials.len(), "trial");
        match self.ending() {
            Ending::Interrupted => {
                format!(
                    "The bisection of scenario {scenario} was interrupted after {trials}: no verdict yet."
                )
            }
            Ending::EndSkipped { good } => {
                let word = if good { "good" } else { "bad" };
                let why = self.result.end(good).and_then(|entry| entry.reason.clone());
                let why = why.unwrap_or_else(|| "it gives no answer".to_owned());
                format!(
                    "No verdict for scenario {scenario}: {}, the end that should be {word}, cannot be \
                     judged: {why}.",
                    self.end_label(good)
                )
            }
            _ => format!(
                "The bisection of scenario {scenario} stopped after {trials}, without a verdict: {}.",
                reason.unwrap_or("it was killed, or still runs").trim_end_matches('.')
            ),
        }
    }

    fn fails(&self) -> bool {
        self.result.trials.iter().any(|trial| trial.verdict == VerdictKind::Bad)
    }

    fn end_label(&self, good: bool) -> String {
        self.result.end(good).map_or("an end".to_owned(), |entry| self.label(&entry.kernel))
    }

    /// What follows from the verdict beyond its sentence: one entry a paragraph.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        remarks.extend(self.symptom_choice());
        let sides = self.sides();
        if let [old, new] = sides.as_slice() {
            if self.found() {
                remarks.extend(self.releases_between(old.kernel, new.kernel));
            }
            if self.found() || self.result.outcome == OutcomeWord::Range {
                remarks.extend(self.series_crossed(old.kernel, new.kernel));
            }
            for side in sides.iter().filter(|side| self.trial_of(side.kernel).is_none()) {
                let word = if side.good { "good" } else { "bad" };
                let label = self.label(side.kernel);
                remarks.push(format!("{label} was not tried: it was taken for {word}."));
            }
        }
        if let Some(said) = &self.result.rules_refused {
            let fault = words::FAULT_OF_SCENARIO.replacen("rules", "Rules", 1);
            remarks.push(format!("{fault}: {said}."));
        }
        if let Some(forgone) = &self.result.forgone {
            remarks.push(words::forgone(forgone));
            remarks.extend(words::mending(forgone));
        }
        match self.result.outcome {
            OutcomeWord::NotReproduced => remarks.push(
                "Either the failure needs something that the scenario does not have, or it shows only \
                 sometimes, or it is not in these kernels."
                    .to_owned(),
            ),
            OutcomeWord::GoodFails if self.result.symptom.as_ref().is_some_and(|it| !it.lacks.is_empty()) => remarks
                .push(
                    "Both ends lack what the scenario requires, so it does not fit this range: take \
                     another range, or change `requires`."
                        .to_owned(),
                ),
            OutcomeWord::GoodFails if self.result.direction == Direction::Regression => remarks.push(
                "Either the change is older than the range (try an older good end), or it is not the \
                 kernel that brings the failure."
                    .to_owned(),
            ),
            OutcomeWord::GoodFails => remarks.push(
                "Either the fix is newer than the range (try a newer good end), or it is not in the kernel."
                    .to_owned(),
            ),
            OutcomeWord::Aborted => remarks.extend(self.known_so_far()),
            _ => {}
        }
        remarks
    }

    /// Which symptom was looked for, where that was a choice.
    fn symptom_choice(&self) -> Option<String> {
        let (choice, symptom) =
            (self.result.symptom_choice.as_ref()?, self.result.symptom.as_ref()?);
        let words = words::symptom_choice(symptom, choice);
        Some(format!("{}.", words.replacen("the ", "The ", 1)))
    }

    /// What is noticed of the answers of a search under doubt, a sentence each.
    pub(crate) fn notices(&self) -> Vec<String> {
        let series = &self.result.series;
        let label = |at: usize| {
            series.get(at).map_or_else(|| "?".to_owned(), |entry| self.label(&entry.kernel))
        };
        let notices = self.result.doubt.as_ref().map(|doubt| doubt.notices.as_slice());
        let texts = notice_texts(notices.unwrap_or_default(), &label).into_iter();
        texts.map(|text| format!("Note: {text}.")).collect()
    }

    fn comes_and_goes(&self) -> bool {
        let several = |notice: &Notice| matches!(notice, Notice::SeveralChanges(_));
        self.result.doubt.as_ref().is_some_and(|doubt| doubt.notices.iter().any(several))
    }

    /// Releases that were published between two neighbours but that the series does not hold.
    fn releases_between(&self, old: &Kernel, new: &Kernel) -> Option<String> {
        let patch = |kernel: &Kernel| -> Option<u32> {
            let mut parts = kernel.package_version.upstream().split('.');
            let patch = parts.nth(2)?.parse().ok()?;
            parts.next().is_none().then_some(patch)
        };
        let named = old.name.is_some() || new.name.is_some();
        let (from, to) = (patch(old)? + 1, patch(new)?);
        if named || old.series() != new.series() || from >= to {
            return None;
        }
        let series = new.series();
        Some(format!(
            "The series holds nothing between the two: the change came with one of the upstream releases \
             {series}.{from} to {series}.{to}, or with the packaging of {}.",
            self.label(new)
        ))
    }

    fn series_crossed(&self, old: &Kernel, new: &Kernel) -> Option<String> {
        (old.series() != new.series()).then(|| {
            format!(
                "{} and {} are of different stable series: the order is that of version numbers, not of \
                 history, and either may hold changes that the other never had.",
                self.label(old),
                self.label(new)
            )
        })
    }

    /// The interval that an unfinished run has reached.
    fn known_so_far(&self) -> Option<String> {
        let series = &self.result.series;
        let (old_verdict, new_verdict) = match self.result.direction {
            Direction::Regression => (SeriesVerdict::Good, SeriesVerdict::Bad),
            Direction::Fix => (SeriesVerdict::Bad, SeriesVerdict::Good),
        };
        // A failure of another kind says nothing about the one that is looked for.
        let is = |entry: &&SeriesEntry, verdict: SeriesVerdict| {
            entry.verdict == verdict && !is_other_failure(entry)
        };
        let old = series.iter().rev().find(|entry| is(entry, old_verdict));
        let new = series.iter().find(|entry| is(entry, new_verdict));
        match (old, new) {
            (Some(old), Some(new)) => Some(format!(
                "Known so far: {} is {old_verdict}, {} is {new_verdict}.",
                self.label(&old.kernel),
                self.label(&new.kernel)
            )),
            (Some(one), None) => {
                Some(format!("Known so far: {} is {old_verdict}.", self.label(&one.kernel)))
            }
            (None, Some(one)) => {
                Some(format!("Known so far: {} is {new_verdict}.", self.label(&one.kernel)))
            }
            (None, None) => None,
        }
    }

    /// Kernels that were tried, or known, to give no answer.
    pub(crate) fn without_answer(&self) -> Vec<&'a SeriesEntry> {
        self.result
            .series
            .iter()
            .filter(|entry| match entry.verdict {
                SeriesVerdict::Skip
                | SeriesVerdict::Infra
                | SeriesVerdict::ScenarioError
                | SeriesVerdict::Untestable => true,
                SeriesVerdict::Bad => is_other_failure(entry),
                SeriesVerdict::Good | SeriesVerdict::Untested => false,
            })
            .collect()
    }

    /// How many kernels nobody tried because their answer follows from others.
    pub(crate) fn untested(&self) -> usize {
        let sides = self.sides();
        let assumed =
            |entry: &SeriesEntry| sides.iter().any(|side| side.kernel.id == entry.kernel.id);
        self.result
            .series
            .iter()
            .filter(|entry| entry.verdict == SeriesVerdict::Untested && !assumed(entry))
            .count()
    }
}

/// Whether a kernel failed in another way than the one that is looked for. Under doubt the reason of
/// a bad kernel is its count of runs.
pub(crate) fn is_other_failure(entry: &SeriesEntry) -> bool {
    entry.verdict == SeriesVerdict::Bad && entry.reason.is_some() && entry.belief.is_none()
}

/// A number with its noun: `1 trial`, `4 trials`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{s}")
}

/// Follows a trial's time when its kernel did not boot in it, or booted as everybody boots it.
pub(crate) fn came_up(trial: &Trial) -> &'static str {
    let as_shipped = trial.booted.as_ref().is_some_and(|booted| booted.as_shipped);
    match trial.boot {
        Some(BootKind::Restored) => ", from a saved state",
        Some(BootKind::Cold) if as_shipped => ", booted as shipped",
        Some(BootKind::Cold) | None => "",
    }
}

/// How a trial's kernel was booted.
pub(crate) fn boot(trial: &Trial) -> Option<String> {
    let booted = trial.booted.as_ref()?;
    let way = match (booted.way, &booted.no_pvh) {
        (BootWay::Pvh, _) if booted.never_packed => {
            "by its PVH entry (it was never packed: there is no bzImage of it)".to_owned()
        }
        (BootWay::Pvh, _) => "unpacked, by its PVH entry (no random base address)".to_owned(),
        (BootWay::BzImage, None) => "packed (bzImage)".to_owned(),
        (BootWay::BzImage, Some(why)) => format!("packed (bzImage), since {why}"),
    };
    let tests = if booted.crypto_tests { "with" } else { "without" };
    Some(format!("{way}, {tests} the kernel's tests of its cryptography"))
}

/// What a trial's deadlines were multiplied by.
pub(crate) fn deadlines(trial: &Trial) -> Option<String> {
    let deadlines = trial.deadlines?;
    let known = match deadlines.known_by {
        SpeedSource::Probe => "measured by a small guest",
        SpeedSource::Boot => "measured by the boot of the reference kernel",
        SpeedSource::Assumed => "assumed, since nothing could be measured",
    };
    let slow = match deadlines.slow {
        slow if slow > 1.0 => format!(", times {slow} (--slow)"),
        _ => String::new(),
    };
    Some(format!("times {:.1} ({known}){slow}", deadlines.slowness))
}

/// Seconds for people: `0.4 s`, `42 s`, `3 min 5 s`, `1 h 2 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_for_people() {
        for (seconds, text) in [
            (0.04, "0.0 s"),
            (9.44, "9.4 s"),
            (41.6, "42 s"),
            (185.0, "3 min 5 s"),
            (3725.0, "1 h 2 min"),
            (f64::NAN, "NaN s"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!((count(1, "trial"), count(0, "trial")), ("1 trial".into(), "0 trials".into()));
    }
}
