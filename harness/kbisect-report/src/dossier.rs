//! A run as a whole: what every form of report is made from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kbisect_core::answer::Trial;
use kbisect_core::kernel::Kernel;
use kbisect_core::run::{
    BisectResult, Environment, JournalLine, RunEvent, RunKind, RunResult, SeriesEntry,
};
use kbisect_core::trial::{Symptom, Verdict, VerdictKind};

use crate::commands::{THAT_FAILS, of_trial};
use crate::conclusion::bisect_result;
use crate::evidence::{Evidence, Times};
use crate::extra::Extra;
use crate::journal::{
    EARLIER_CHECK_JOURNAL, JOURNAL_NAME, Journal, JournalError, JournalWarning, read_journal,
};
use crate::plain::file_name;
use crate::rules::rules_of;
use crate::story::Story;
use crate::words;

/// A run: its result, and what its folder holds beside the journal.
#[derive(Clone, Debug)]
pub struct Dossier {
    /// What was found.
    pub subject: Subject,
    /// The journal; empty for a single trial.
    pub journal: Vec<JournalLine>,
    /// What was passed over at the journal's end.
    pub warning: Option<JournalWarning>,
    /// The folder that was read, if any.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) extra: Extra,
    pub(crate) evidence: Evidence,
}

/// What a report is about.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A bisection.
    Bisection(Box<BisectResult>),
    /// A single trial.
    Trial(Box<RunResult>),
}

/// Why there is nothing to report.
#[derive(Debug, thiserror::Error)]
pub enum DossierError {
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The run has no plan yet.
    #[error("the run in `{0}` was stopped before it began")]
    NotBegun(PathBuf),
    /// The run's only trial has no answer yet.
    #[error("the run in `{0}` has no answer yet")]
    NotEnded(PathBuf),
    /// The folder is no run's.
    #[error("`{0}` holds no run")]
    NoRun(PathBuf),
    /// The folder is that of a check.
    #[error("`{0}` is a check of many kernels: there is neither a search nor a single trial in it")]
    Check(PathBuf),
    /// The folder is that of a self-test.
    #[error("`{0}` is the self-test of a scenario: it has no report")]
    Selftest(PathBuf),
    /// The folder is that of a reduction.
    #[error("`{0}` tells what a failure needs: it has no report")]
    Minimize(PathBuf),
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `result.json` is something else.
    #[error("`{path}` is not the result of a trial")]
    Result {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

impl DossierError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Journal(error) => error.hint(),
            Self::NotBegun(_) => Some("there is nothing to report; begin a new run".to_owned()),
            Self::NotEnded(_) => Some(
                "wait until it has ended; if it was interrupted, `kbisect resume` goes on with it"
                    .to_owned(),
            ),
            Self::NoRun(_) => Some(
                "name a folder that kbisect wrote: it has a journal.jsonl or a result.json"
                    .to_owned(),
            ),
            Self::Check(_) => Some(
                "`kbisect report` has its report; `kbisect run` with one of its kernels makes a trial \
                 that can be taken further"
                    .to_owned(),
            ),
            Self::Selftest(_) | Self::Minimize(_) => Some(
                "its answer is in its result.json, and its trials are in folders below it"
                    .to_owned(),
            ),
            Self::Read { .. } => None,
            Self::Result { .. } => Some(
                "it was changed, or written by another version of kbisect; use that version"
                    .to_owned(),
            ),
        }
    }
}

impl Dossier {
    /// Reads a run's folder: the journal of a bisection, or the result of a single trial, and the
    /// evidence of the trials that a report shows.
    ///
    /// # Errors
    /// [`DossierError`]. Missing evidence is none: the report says what is missing.
    pub fn read(folder: &Path) -> Result<Self, DossierError> {
        let path = folder.join(JOURNAL_NAME);
        if path.is_file() {
            let bytes = fs::read(&path).map_err(|source| DossierError::Read { path, source })?;
            let Journal { lines, warning, .. } = read_journal(&bytes)?;
            return match RunKind::of(lines.iter().map(|line| &line.event)) {
                Some(RunKind::Check) => Err(DossierError::Check(folder.to_owned())),
                Some(RunKind::Selftest) => Err(DossierError::Selftest(folder.to_owned())),
                Some(RunKind::Minimize) => Err(DossierError::Minimize(folder.to_owned())),
                Some(RunKind::Run) => {
                    let result = RunResult::from_journal(&lines, &folder.display().to_string())
                        .ok_or_else(|| DossierError::NotEnded(folder.to_owned()))?;
                    Ok(Self { warning, ..Self::of_trial(result, Some(folder)) })
                }
                Some(RunKind::Search) | None => Self::of_journal(folder, lines, warning),
            };
        }
        if folder.join(EARLIER_CHECK_JOURNAL).is_file() {
            return Err(DossierError::Check(folder.to_owned()));
        }
        let path = folder.join("result.json");
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => DossierError::NoRun(folder.to_owned()),
            _ => DossierError::Read { path: path.clone(), source },
        })?;
        match schema_of(&bytes).as_deref() {
            Some("kbisect.check/1") => return Err(DossierError::Check(folder.to_owned())),
            Some("kbisect.selftest/1") => return Err(DossierError::Selftest(folder.to_owned())),
            _ => {}
        }
        let mut result: RunResult = serde_json::from_slice(&bytes)
            .map_err(|source| DossierError::Result { path, source })?;
        folder.display().to_string().clone_into(&mut result.run_dir);
        Ok(Self::of_trial(result, Some(folder)))
    }

    /// Makes a dossier of a bisection's journal and folder.
    ///
    /// # Errors
    /// When the journal has no plan.
    pub fn of_journal(
        folder: &Path,
        journal: Vec<JournalLine>,
        warning: Option<JournalWarning>,
    ) -> Result<Self, DossierError> {
        let result = bisect_result(&journal, &folder.display().to_string())
            .ok_or_else(|| DossierError::NotBegun(folder.to_owned()))?;
        let extra = Extra::from_journal(&journal);
        let subject = Subject::Bisection(Box::new(result));
        let evidence = Evidence::default();
        let mut dossier = Self { subject, journal, warning, folder: None, extra, evidence };
        dossier.look_into(folder);
        Ok(dossier)
    }

    /// Makes a dossier of a single trial, with the evidence in `folder`.
    pub fn of_trial(result: RunResult, folder: Option<&Path>) -> Self {
        let mut dossier = Self {
            extra: Extra { scenario_summary: String::new(), ..Extra::default() },
            subject: Subject::Trial(Box::new(result)),
            journal: Vec::new(),
            warning: None,
            folder: None,
            evidence: Evidence::default(),
        };
        if let Some(folder) = folder {
            dossier.look_into(folder);
        }
        dossier
    }

    /// Says who met the failure, and where it is talked about.
    pub fn reported(&mut self, reporter: Option<&str>, ticket: Option<&str>) {
        self.extra.reporter = reporter.map(str::to_owned);
        self.extra.ticket = ticket.map(str::to_owned);
    }

    fn look_into(&mut self, folder: &Path) {
        let (bad, good) = (self.bad().cloned(), self.good().cloned());
        self.evidence = match &self.subject {
            Subject::Bisection(result) => {
                let all = result.all_trials().into_iter().map(|trial| &trial.record);
                Evidence::read(folder, [bad.as_ref(), good.as_ref()], all)
            }
            Subject::Trial(_) => Evidence::read(folder, [bad.as_ref(), good.as_ref()], []),
        };
        self.folder = Some(folder.to_owned());
        if let Some(scenario) = &self.evidence.scenario {
            if self.extra.scenario_summary.is_empty() {
                self.extra.scenario_summary.clone_from(&scenario.summary);
            }
            scenario.description.trim().clone_into(&mut self.extra.description);
            self.extra.rules = rules_of(scenario);
        }
    }

    /// Names another folder as the run's, for a copy that lies elsewhere.
    pub(crate) fn set_run_dir(&mut self, folder: &str) {
        match &mut self.subject {
            Subject::Bisection(result) => folder.clone_into(&mut result.run_dir),
            Subject::Trial(result) => folder.clone_into(&mut result.run_dir),
        }
    }

    /// The kernels on both sides of the change that a bisection found, the older one first.
    pub fn sides(&self) -> Option<(&Kernel, &Kernel)> {
        match self.story()?.sides().as_slice() {
            [old, new] => Some((old.kernel, new.kernel)),
            _ => None,
        }
    }

    /// The run's name: its id, or the name of its folder.
    pub(crate) fn name(&self) -> String {
        let id = self.journal.iter().find_map(|line| match &line.event {
            RunEvent::Began { plan } => Some(plan.run_id.clone()),
            _ => None,
        });
        let folder = || {
            let folder = self.folder.as_deref().unwrap_or(Path::new("run"));
            folder.file_name().map(|name| name.to_string_lossy().into_owned())
        };
        let name = id.or_else(folder).unwrap_or_else(|| "run".to_owned());
        // It becomes a folder in an archive that others unpack.
        let name = file_name(name.trim_start_matches('.'));
        if name.is_empty() { "run".to_owned() } else { name }
    }

    /// When the run began, in seconds since 1970-01-01 UTC; 0 when that is not known.
    pub(crate) fn began_s(&self) -> u64 {
        let journal = self.journal.first().map(|line| line.at_ms);
        let trial = || self.trials().first().and_then(|trial| trial.began_ms);
        journal.or_else(trial).unwrap_or(0) / 1000
    }

    /// The kernels that a reader wants to have exactly: around the change, shown, and of reference
    /// hosts; each with its role.
    pub fn kernels(&self) -> Vec<(&'static str, &Kernel)> {
        let mut kernels: Vec<(&'static str, &Kernel)> = Vec::new();
        if let Some(story) = self.story() {
            kernels.extend(story.sides().into_iter().map(|side| (side.label, side.kernel)));
        }
        if let Some(trial) = self.bad().or(self.good()) {
            kernels.push(("shown", &trial.kernel));
        }
        match &self.subject {
            Subject::Bisection(result) => kernels.push(("reference", &result.reference)),
            Subject::Trial(result) => {
                kernels.extend(result.reference.as_ref().map(|kernel| ("reference", kernel)));
            }
        }
        kernels
    }

    /// Key of the root image.
    pub fn image(&self) -> &str {
        &self.environment().image
    }

    /// The result of a bisection, with the questions a report asks of it.
    pub(crate) fn story(&self) -> Option<Story<'_>> {
        match &self.subject {
            Subject::Bisection(result) => Some(Story { result }),
            Subject::Trial(_) => None,
        }
    }

    pub(crate) fn trials(&self) -> &[Trial] {
        match &self.subject {
            Subject::Bisection(result) => &result.trials,
            Subject::Trial(result) => std::slice::from_ref(&result.trial),
        }
    }

    pub(crate) fn series(&self) -> &[SeriesEntry] {
        match &self.subject {
            Subject::Bisection(result) => &result.series,
            Subject::Trial(_) => &[],
        }
    }

    /// The trial that shows the failure best.
    pub fn bad(&self) -> Option<&Trial> {
        match &self.subject {
            Subject::Bisection(result) => Story { result }.shown_trial(),
            Subject::Trial(result) => {
                let trial = &result.trial;
                // A trial without an answer is shown as well: its console says why.
                (trial.verdict != VerdictKind::Good).then_some(trial)
            }
        }
    }

    /// The trial that passes, next to the change.
    pub(crate) fn good(&self) -> Option<&Trial> {
        match &self.subject {
            Subject::Bisection(result) => {
                let story = Story { result };
                story.good_trial().or_else(|| {
                    result.trials.iter().rev().find(|trial| trial.verdict == VerdictKind::Good)
                })
            }
            Subject::Trial(result) => {
                (result.trial.verdict == VerdictKind::Good).then_some(&result.trial)
            }
        }
    }

    pub(crate) fn symptom(&self) -> Option<&Symptom> {
        let of_run = match &self.subject {
            Subject::Bisection(result) => result.symptom.as_ref(),
            Subject::Trial(_) => None,
        };
        self.bad().and_then(|trial| trial.symptom.as_ref()).or(of_run)
    }

    pub(crate) fn scenario(&self) -> &str {
        match &self.subject {
            Subject::Bisection(result) => &result.scenario,
            Subject::Trial(result) => &result.scenario,
        }
    }

    pub(crate) fn environment(&self) -> &Environment {
        match &self.subject {
            Subject::Bisection(result) => &result.environment,
            Subject::Trial(result) => &result.environment,
        }
    }

    pub(crate) fn tool_version(&self) -> &str {
        match &self.subject {
            Subject::Bisection(result) => &result.tool_version,
            Subject::Trial(result) => &result.tool_version,
        }
    }

    pub(crate) fn run_dir(&self) -> &str {
        match &self.subject {
            Subject::Bisection(result) => &result.run_dir,
            Subject::Trial(result) => &result.run_dir,
        }
    }

    /// What to call a kernel in this run.
    pub(crate) fn label(&self, kernel: &Kernel) -> String {
        self.story().map_or_else(|| kernel.label().to_owned(), |story| story.label(kernel))
    }

    /// A few words for headings.
    pub(crate) fn heading(&self) -> String {
        match &self.subject {
            Subject::Bisection(result) => Story { result }.heading(),
            Subject::Trial(result) => match result.trial.verdict() {
                Verdict::Bad(symptom) => {
                    format!("{} on {}", symptom.kind, result.trial.kernel.label())
                }
                verdict => format!("{} on {}", verdict.word(), result.trial.kernel.label()),
            },
        }
    }

    /// The verdict in one sentence.
    pub(crate) fn verdict(&self) -> String {
        match &self.subject {
            Subject::Bisection(result) => Story { result }.verdict(),
            Subject::Trial(result) => {
                let verdict = words::verdict_of_trial(&result.scenario, &result.trial);
                match result.trial.verdict() {
                    Verdict::Scenario(fault) => format!("{verdict} What to do: {}.", fault.hint()),
                    _ => verdict,
                }
            }
        }
    }

    /// Commands that repeat what was done, each with what it does.
    pub(crate) fn commands(&self) -> Vec<(&'static str, String)> {
        let mut commands = match (self.story(), self.trials()) {
            (Some(story), _) => story.commands(self.good(), &self.extra),
            (None, [trial, ..]) if trial.verdict == VerdictKind::Bad => {
                of_trial(THAT_FAILS, &trial.repeat, true)
            }
            (None, [trial, ..]) => of_trial("The trial", &trial.repeat, false),
            (None, []) => Vec::new(),
        };
        if let Some(resume) = self.story().and_then(|story| story.resume()) {
            commands.push(("To go on", resume));
        }
        commands
    }

    /// When things happened in a trial.
    pub(crate) fn times(&self, trial: &Trial) -> Times {
        Times::of(trial, &self.journal)
    }

    /// The node that the symptom names as the one that lost or changed frames, refused or crashed.
    pub(crate) fn culprit_nodes(&self) -> Vec<String> {
        let (Some(symptom), Some(scenario)) = (self.symptom(), &self.evidence.scenario) else {
            return Vec::new();
        };
        let known = |word: &str| scenario.nodes.contains_key(word);
        if let Some(place) = symptom.place.as_deref().filter(|place| known(place)) {
            return vec![place.to_owned()];
        }
        if symptom.kind.is_of_kernel() {
            let candidate = |(_, node): &(&String, &kbisect_core::scenario::Node)| {
                node.kernel == kbisect_core::scenario::NodeKernel::Candidate
            };
            return scenario.nodes.iter().filter(candidate).map(|(name, _)| name.clone()).collect();
        }
        // `replies of server:80 lost inside client`, `requests to server:80 never left client`.
        let words: Vec<&str> = symptom.title.split_whitespace().collect();
        let after = words
            .windows(2)
            .rev()
            .find(|pair| matches!(pair[0], "inside" | "left" | "by" | "on") && known(pair[1]));
        after.map(|pair| pair[1].to_owned()).into_iter().collect()
    }
}

/// What document the bytes of a `result.json` are.
fn schema_of(result: &[u8]) -> Option<String> {
    let result: serde_json::Value = serde_json::from_slice(result).ok()?;
    result["schema"].as_str().map(str::to_owned)
}
