//! What a run's folder holds beside its journal: scenario, consoles, frames.
//!
//! All of it is optional. What is missing is named, and the report is shorter.

mod capture;
mod console;
mod ladder;
mod packet;
mod paths;
mod times;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path as FilePath, PathBuf};

use kbisect_core::answer::Trial;
use kbisect_core::kernel::KernelId;
use kbisect_core::scenario::{KeptError, Scenario};
use kbisect_core::trial::TrialRecord;

pub(crate) use capture::{Blocks, Capture, word};
pub(crate) use console::ConsoleLine;
pub(crate) use ladder::{Ladder, Step, failed, hosts, ladder, part};
pub(crate) use packet::Protocol;
pub(crate) use paths::{Hop, HopFrames, Path, compare};
pub(crate) use times::Times;

/// Most bytes of one file that are read for a report.
const MAX_FILE: u64 = 96 << 20;

/// What the files of a run say beside its journal.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The scenario as it was run.
    pub(crate) scenario: Option<Scenario>,
    /// The trial that fails.
    pub(crate) bad: Option<TrialFiles>,
    /// The trial to compare it with.
    pub(crate) good: Option<TrialFiles>,
    /// Days on which packages were built, by the ids of kernels that ran: `2026-02-09`.
    pub(crate) built: BTreeMap<KernelId, String>,
    /// What is missing and why, a sentence each.
    pub(crate) gaps: Vec<String>,
}

/// What the files of one trial say.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrialFiles {
    /// Lines of the candidate's console.
    pub(crate) console: Vec<ConsoleLine>,
    /// Whether the harness noted when it got the lines.
    pub(crate) console_times: bool,
    /// Frames, one capture a wire; nothing when a capture is missing.
    pub(crate) captures: Option<Vec<Capture>>,
    /// QEMU's command line.
    pub(crate) qemu: Option<String>,
    /// `/proc/version` and the taint flags, as collected.
    pub(crate) proc_version: Option<String>,
    /// Taint flags of the kernel at the end.
    pub(crate) taint: Option<String>,
    /// Kernel command line.
    pub(crate) cmdline: Option<String>,
}

impl Evidence {
    /// Reads what a report of these trials needs from the run's folder, `all` of which are told with their
    /// days. Nothing is an error: what cannot be read is a gap.
    pub(crate) fn read<'a>(
        run: &FilePath,
        [bad, good]: [Option<&Trial>; 2],
        all: impl IntoIterator<Item = &'a TrialRecord>,
    ) -> Self {
        let mut evidence = Self::default();
        match bounded(&run.join("scenario/scenario.json")) {
            Some(bytes) => match Scenario::from_kept(&bytes) {
                Ok(mut scenario) => {
                    read_rules(&run.join("scenario"), &mut scenario);
                    evidence.scenario = Some(scenario);
                }
                Err(error) => evidence.gaps.push(format!(
                    "No drawing of the hosts: scenario/scenario.json: {}.",
                    reason(&error)
                )),
            },
            None => evidence.gaps.push(
                "No drawing of the hosts: scenario/scenario.json is not in the run's folder."
                    .to_owned(),
            ),
        }
        let gaps = &mut evidence.gaps;
        let mut trial = |record: &Trial| TrialFiles::read(run, record, gaps);
        evidence.bad = bad.and_then(&mut trial);
        evidence.good = good.and_then(&mut trial);
        for record in all {
            if !evidence.built.contains_key(&record.kernel.id)
                && let Some(day) = built(run, record)
            {
                evidence.built.insert(record.kernel.id.clone(), day);
            }
        }
        evidence
    }

    /// Connections of both trials, hop by hop.
    pub(crate) fn paths(&self) -> Vec<Path> {
        let captures =
            |files: &'_ Option<TrialFiles>| files.as_ref().and_then(|files| files.captures.clone());
        let (good, bad) = (captures(&self.good), captures(&self.bad));
        compare(good.as_deref(), bad.as_deref())
    }
}

impl TrialFiles {
    fn read(run: &FilePath, record: &Trial, gaps: &mut Vec<String>) -> Option<Self> {
        let Some(folder) = folder_of(run, record) else {
            gaps.push(format!(
                "Trial {}: its folder `{}` is not there, so consoles and frames are missing.",
                record.number, record.directory
            ));
            return None;
        };
        let mut files = Self::default();
        match bounded(&folder.join("candidate/console.log")) {
            Some(log) => {
                let times = text(&folder.join("candidate/console.times"));
                files.console_times = times.is_some();
                files.console = console::read(&log, times.as_deref());
            }
            None => gaps.push(format!("Trial {}: the console's log is missing.", record.number)),
        }
        files.captures = captures(&folder, record, gaps);
        files.qemu = text(&folder.join("candidate/qemu.cmdline"));
        files.collected(&folder);
        Some(files)
    }

    /// Takes what says how the kernel was built and started from the collected state.
    fn collected(&mut self, folder: &FilePath) {
        let Some(text) = collected(folder) else { return };
        self.proc_version = section(&text, "/proc/version");
        self.cmdline = section(&text, "/proc/cmdline");
        self.taint = section(&text, "/proc/sys/kernel/tainted");
    }
}

/// The folder of a trial. Its name comes from a file: it must not lead out of the run's folder.
fn folder_of(run: &FilePath, record: &TrialRecord) -> Option<PathBuf> {
    let relative = FilePath::new(&record.directory);
    let plain = |part| matches!(part, std::path::Component::Normal(_));
    let folder = run.join(relative);
    (relative.components().all(plain) && folder.is_dir()).then_some(folder)
}

/// What was collected in the first node.
fn collected(folder: &FilePath) -> Option<String> {
    let mut paths: Vec<_> = fs::read_dir(folder.join("collect"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    paths.first().and_then(|path| text(path))
}

fn section(collected: &str, name: &str) -> Option<String> {
    let (_, rest) = collected.split_once(&format!("### {name}\n"))?;
    let body = rest.split("\n### ").next().unwrap_or_default().trim();
    (!body.is_empty()).then(|| body.to_owned())
}

/// The day on which the package of a trial's kernel was built, which distributions put last into the kernel's
/// version: `... Debian 6.12.69-1 (2026-02-09)`.
fn built(run: &FilePath, record: &TrialRecord) -> Option<String> {
    let version = section(&collected(&folder_of(run, record)?)?, "/proc/version")?;
    let day = version.trim_end().strip_suffix(')')?.rsplit('(').next()?;
    let is_day = day.len() == 10
        && day.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    is_day.then(|| day.to_owned())
}

/// The captures of every wire that the trial counted frames on.
fn captures(folder: &FilePath, record: &Trial, gaps: &mut Vec<String>) -> Option<Vec<Capture>> {
    let mut wires: Vec<&str> = record.wires.iter().map(|count| count.wire.as_str()).collect();
    wires.dedup();
    let mut found = Vec::new();
    for wire in wires {
        let name = format!("{wire}.pcapng");
        let plain = !wire.contains('/') && !wire.starts_with('.');
        let Some(bytes) = plain.then(|| bounded(&folder.join("wires").join(&name))).flatten()
        else {
            gaps.push(format!(
                "Trial {}: the capture `{name}` is missing: frames are known as totals only.",
                record.number
            ));
            return None;
        };
        let capture = Capture::read(wire, &bytes);
        if let Some(cut) = &capture.cut {
            gaps.push(format!(
                "Trial {}: the capture `{name}` was not read whole: {cut}.",
                record.number
            ));
        }
        found.push(capture);
    }
    (!found.is_empty()).then_some(found)
}

/// Why a scenario cannot be used, with what lies beneath.
fn reason(error: &KeptError) -> String {
    match error {
        KeptError::Shape(source) => format!("{error}: {source}"),
        KeptError::Invalid { .. } => error.to_string(),
    }
}

/// Reads a file of bounded size; a longer one is read to the bound.
pub(crate) fn bounded(path: &FilePath) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    // A pipe would not even be opened before somebody writes to it.
    let plain = path.symlink_metadata().is_ok_and(|found| found.is_file());
    let file = plain.then(|| File::open(path).ok()).flatten()?;
    file.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Reads the files of rules that a scenario's steps load: they are kept beside it.
fn read_rules(folder: &FilePath, scenario: &mut Scenario) {
    let steps = scenario.setup.iter().chain(&scenario.replay);
    let rules = steps.filter(|step| step.action.loads_rules());
    let named: Vec<String> =
        rules.filter_map(|step| step.action.asset().map(str::to_owned)).collect();
    for name in named {
        let mut parts = FilePath::new(&name).components();
        let is_below = parts.all(|part| matches!(part, std::path::Component::Normal(_)));
        if let Some(bytes) = is_below.then(|| bounded(&folder.join(&name))).flatten() {
            scenario.assets.insert(name, bytes);
        }
    }
}

fn text(path: &FilePath) -> Option<String> {
    Some(String::from_utf8_lossy(&bounded(path)?).into_owned())
}
