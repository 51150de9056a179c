//! `kbisect watch`: a run as its own display shows it, from another terminal or after the fact.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use kbisect_core::run::{JournalLine, RunEvent, RunKind, is_over};
use kbisect_report::{JOURNAL_NAME, read_journal_after};
use rustix::fs::{FlockOperation, flock};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli::{Global, WatchArgs};
use crate::run::{Answers, Culprit, Matrix, Proof, Single, Smallest, style};
use crate::settings::global::{NEWEST, run_folder};
use crate::ui::Ui;
use crate::ui::paint::Paint;
use crate::{errors, exit, output};

/// How often the journal is looked at.
const EVERY: Duration = Duration::from_millis(200);

/// Shows a run until it ends, or once.
///
/// # Errors
/// When there is no such run, or its journal cannot be used.
pub fn watch(args: &WatchArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let folder = match &args.run {
        Some(run) => run_folder(run, &args.results)?,
        None => run_folder(Path::new(NEWEST), &args.results)?,
    };
    let mut followed = Followed::open(&folder)?;
    // Before it is read: what a run writes before it lets go is read then, too.
    let mut alive = followed.is_alive()?;
    let past = followed.read()?;
    let once = args.once || (global.json && !alive);
    let ui = if once { Ui::silent(global) } else { Ui::since(global, age(&past)) };
    let stop = ui.stop_flag();
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, std::sync::Arc::clone(&stop))?;
    }
    if past.is_empty() && !alive {
        return Err(errors::usage(
            format!("the run in `{}` was stopped before it began", folder.display()),
            "begin a new one",
        ));
    }
    followed.show(past, &ui);
    while alive && !once {
        if stop.load(std::sync::atomic::Ordering::Relaxed) {
            ui.finish();
            return Err(errors::interrupted("the run goes on, it is watched no longer", None));
        }
        std::thread::sleep(EVERY);
        alive = followed.is_alive()?;
        let lines = followed.read()?;
        followed.show(lines, &ui);
    }
    if once && !global.json {
        output::print(&ui.snapshot(Paint::for_stdout(global.color)))?;
    }
    ui.finish();
    followed.tell_end(alive, global)
}

/// A journal that may grow.
struct Followed {
    folder: PathBuf,
    file: File,
    /// Bytes and lines that were read; a line that is being written is read when it is whole.
    bytes: u64,
    lines: Vec<JournalLine>,
}

impl Followed {
    fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(JOURNAL_NAME);
        let file = File::open(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => errors::usage(
                format!("`{}` has no journal", folder.display()),
                "it was written by an earlier kbisect, or is none of its folders; `kbisect report` may read it",
            ),
            _ => anyhow::Error::new(error).context(format!("cannot read `{}`", path.display())),
        })?;
        Ok(Self { folder: folder.to_owned(), file, bytes: 0, lines: Vec::new() })
    }

    /// Reads what was written since.
    fn read(&mut self) -> anyhow::Result<Vec<JournalLine>> {
        let name = || format!("cannot read the journal in `{}`", self.folder.display());
        let length = self.file.metadata().with_context(name)?.len();
        if length < self.bytes {
            return Err(errors::infrastructure(
                format!("the journal in `{}` became shorter", self.folder.display()),
                "somebody else changed it; watch it again",
            ));
        }
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(self.bytes)).with_context(name)?;
        self.file.read_to_end(&mut bytes).with_context(name)?;
        let found = read_journal_after(&bytes, self.lines.len())?;
        self.bytes += found.intact_bytes;
        Ok(found.lines)
    }

    fn show(&mut self, lines: Vec<JournalLine>, ui: &Ui) {
        for line in lines {
            let began = self.lines.first().map_or(line.at_ms, |first| first.at_ms);
            ui.event_at(&line.event, Duration::from_millis(line.at_ms.saturating_sub(began)));
            self.lines.push(line);
        }
    }

    /// Whether a kbisect works on the run: it holds the lock for as long as it lives.
    fn is_alive(&self) -> anyhow::Result<bool> {
        match flock(&self.file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {
                let _ = flock(&self.file, FlockOperation::Unlock);
                Ok(false)
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error).context("cannot see whether the run is alive"),
        }
    }

    /// The result, and what became of the process.
    fn tell_end(&self, alive: bool, global: &Global) -> anyhow::Result<ExitCode> {
        let last = self
            .lines
            .iter()
            .rev()
            .map(|line| &line.event)
            .find(|event| !matches!(event, RunEvent::Note { .. } | RunEvent::Decoded { .. }));
        let over = is_over(self.lines.iter().map(|line| &line.event));
        let state = match last {
            _ if alive => Some("the run goes on".to_owned()),
            _ if over => None,
            Some(RunEvent::Interrupted) => Some("the run was interrupted".to_owned()),
            Some(RunEvent::Failed { .. }) => Some("the run failed".to_owned()),
            Some(RunEvent::ScenarioError { .. }) => Some("the scenario is wrong".to_owned()),
            _ => Some(
                "the run is not alive any more: it was killed, or its machine went down".to_owned(),
            ),
        };
        if let Some(state) = state.filter(|_| !global.quiet) {
            output::say(&state);
        }
        match RunKind::of(self.lines.iter().map(|line| &line.event)) {
            Some(RunKind::Check) => self.tell(&Matrix::default(), alive, global),
            Some(RunKind::Run) => self.tell(&Single, alive, global),
            Some(RunKind::Selftest) => self.tell(&Proof, alive, global),
            Some(RunKind::Minimize) => self.tell(&Smallest, alive, global),
            Some(RunKind::Search) | None => self.tell(&Culprit::default(), alive, global),
        }
    }

    fn tell(
        &self,
        answers: &impl Answers,
        alive: bool,
        global: &Global,
    ) -> anyhow::Result<ExitCode> {
        let Some(answer) = answers.read(&self.lines, &self.folder)? else {
            if !global.json {
                return Ok(exit::code(if alive { exit::OK } else { exit::INFRASTRUCTURE }));
            }
            return Err(errors::infrastructure(
                format!("the run in `{}` has no answer yet", self.folder.display()),
                "wait until it has ended, or resume it if nobody works on it",
            ));
        };
        if global.json {
            output::json(&answer)?;
        } else if !alive {
            output::print(&answers.text(&answer, style(global)))?;
        }
        Ok(exit::code(if alive { exit::OK } else { answers.code(&answer) }))
    }
}

/// How long ago the first of these lines was written.
fn age(lines: &[JournalLine]) -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let began = lines.first().map(|line| Duration::from_millis(line.at_ms));
    began.zip(now.ok()).map(|(began, now)| now.saturating_sub(began)).unwrap_or_default()
}
