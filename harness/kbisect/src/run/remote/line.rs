//! A run's end of the line to a worker.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kbisect_core::job::Job;
use kbisect_core::run::RunEvent;
use kbisect_core::trial::TrialRecord;
use kbisect_kernels::ReadyKernel;
use kbisect_vm::accel::Accelerator;
use kbisect_vm::session::Interrupt;

use super::content::Content;
use super::wire::{FromWorker, Hello, PROTOCOL, Site, ToWorker, is_below, receive, send};
use crate::errors;
use crate::run::context::Context;
use crate::run::files::{full_disk, now_ms};

/// How long a trial waits for a worker that is not there yet.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a worker may say nothing: it says that it is there every two seconds.
const SILENT: Duration = Duration::from_secs(30);
/// How long a trial may do nothing that is told: no phase and no check takes as long.
const STUCK: Duration = Duration::from_secs(3600);
/// Longest message of a worker, in bytes: a record with all reports of a console.
const MOST_SAID: usize = 16 << 20;
/// Most that happens in a trial.
const MOST_EVENTS: u32 = 10_000;
/// Most files of a trial.
const MOST_FILES: u32 = 10_000;
/// How long it may take to end a trial that is of no use any more.
const CANCELLED: Duration = Duration::from_secs(15);
/// How long it may take to end.
const END: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(50);
/// How often a worker that was lost is started again before it is given up.
const LIVES: u32 = 2;
/// Messages that wait to be read: what is not read is not sent.
const QUEUE: usize = 4;
/// Messages that wait to be written: a worker asks for fewer pieces at once.
const WAITING: usize = 16;
/// Most bytes of a trial's files; with the memory of a guest.
const MOST: u64 = 8 << 30;
const MOST_WITH_MEMORY: u64 = 64 << 30;
/// The file that the run writes of a trial.
const RECORD: &str = "trial.json";
/// Most of what a command says on standard error that is told.
const SAID: usize = 400;

/// A worker that is there no more, or never was, and why.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Lost(pub String);

/// A worker that has not said yet what it is: an engine may have it wait for a machine.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it is not there yet")]
pub struct Absent;

/// A line to one worker, whose command is run when the first trial is to be made.
pub struct Line {
    words: Vec<String>,
    shared: Arc<Shared>,
    talk: Option<Talk>,
    /// Runs, and has not said yet what it is.
    coming: Option<Talk>,
    lost: u32,
    /// What it is cannot change by another start.
    unfit: bool,
}

/// What the lines of a run share.
pub struct Shared {
    site: Site,
    content: Arc<Mutex<Content>>,
    qemu: String,
    accelerator: Accelerator,
    mixed: bool,
    most: u64,
    interrupt: Interrupt,
}

impl Shared {
    /// What workers of a run are told.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn of(context: &Context) -> anyhow::Result<Self> {
        let shared = Arc::clone(&context.content);
        let mut content = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let site = Site {
            image: content.file(&context.image.path)?,
            image_key: context.image.key.clone(),
            reference: content.kernel(&context.reference)?,
            placement: context.placement,
            choices: context.choices,
            vmcore: context.evidence.vmcore,
            preload: context.preload,
            cold: context.states.is_none(),
            emulated: context.probe.accelerator == Accelerator::Tcg,
        };
        drop(content);
        Ok(Self {
            site,
            content: shared,
            qemu: context.qemu.version.clone(),
            accelerator: context.probe.accelerator,
            mixed: context.pools.mixed,
            most: if context.evidence.vmcore { MOST_WITH_MEMORY } else { MOST },
            interrupt: context.base.interrupt.clone(),
        })
    }
}

/// A trial as it is handed over.
pub struct Errand<'a> {
    /// The kernel.
    pub kernel: &'a ReadyKernel,
    /// The trial.
    pub job: &'a Job,
    /// The run's folder.
    pub run_folder: &'a Path,
    /// Folder of the trial's files, below it.
    pub directory: &'a str,
    /// Set when the trial is of no use any more.
    pub cancel: &'a Interrupt,
}

impl Line {
    /// A line to the worker that a command is.
    pub fn new(words: Vec<String>, shared: Arc<Shared>) -> Self {
        Self { words, shared, talk: None, coming: None, lost: 0, unfit: false }
    }

    /// Has the worker make a trial; nothing when it was cancelled. One that is lost meanwhile is started again.
    ///
    /// # Errors
    /// [`Lost`]; an interruption; files that cannot be written here.
    pub fn trial(
        &mut self,
        errand: &Errand<'_>,
        tell: &mut dyn FnMut(RunEvent) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<TrialRecord>> {
        loop {
            let made = self.attempt(errand, tell);
            let Err(error) = made else {
                self.lost = 0;
                return made;
            };
            if error.downcast_ref::<Absent>().is_some() {
                return Err(error);
            }
            (self.talk, self.coming) = (None, None);
            let folder = errand.run_folder.join(errand.directory);
            let _ = fs::remove_dir_all(&folder);
            if self.shared.interrupt.is_set() {
                return Err(errors::interrupted("interrupted", None));
            }
            if errand.cancel.is_set() {
                return Ok(None);
            }
            if error.downcast_ref::<Lost>().is_none() || self.unfit || self.lost == LIVES {
                return Err(error);
            }
            self.lost += 1;
            fs::create_dir_all(folder)?;
        }
    }

    /// Waits until the worker is there; not, once that is of no use any more.
    ///
    /// # Errors
    /// [`Lost`].
    pub fn wait(&mut self, cancel: &Interrupt) -> anyhow::Result<bool> {
        let shared = Arc::clone(&self.shared);
        self.is_there(&|| shared.interrupt.is_set() || cancel.is_set(), None)
    }

    fn is_there(
        &mut self,
        is_moot: &dyn Fn() -> bool,
        patience: Option<Duration>,
    ) -> anyhow::Result<bool> {
        if self.talk.is_some() {
            return Ok(true);
        }
        let mut talk = match self.coming.take() {
            Some(coming) => coming,
            None => Talk::begin(&self.words)?,
        };
        let since = Instant::now();
        let is_late = || patience.is_some_and(|patience| since.elapsed() > patience);
        let Some(hello) = talk.hello(&|| is_moot() || is_late())? else {
            self.coming = Some(talk);
            return Ok(false);
        };
        self.shared.check(&hello).inspect_err(|_| self.unfit = true)?;
        talk.say(&ToWorker::Begin { site: Box::new(self.shared.site.clone()) }, &[])?;
        talk.host = hello.host;
        self.talk = Some(talk);
        Ok(true)
    }

    fn attempt(
        &mut self,
        errand: &Errand<'_>,
        tell: &mut dyn FnMut(RunEvent) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<TrialRecord>> {
        let shared = Arc::clone(&self.shared);
        let kernel = {
            let mut content = shared.content.lock().unwrap_or_else(PoisonError::into_inner);
            content.kernel(errand.kernel)?
        };
        let is_moot = || shared.interrupt.is_set() || errand.cancel.is_set();
        if !self.is_there(&is_moot, Some(PATIENCE))? {
            return if is_moot() { Ok(None) } else { Err(Absent.into()) };
        }
        let Some(talk) = &mut self.talk else { return Ok(None) };
        let began_ms = now_ms();
        talk.say(
            &ToWorker::Try {
                job: Box::new(errand.job.clone()),
                directory: errand.directory.to_owned(),
                kernel: Box::new(kernel),
            },
            &[],
        )?;
        let mut files = Files::below(errand.run_folder.join(errand.directory), shared.most);
        let mut cancelled: Option<Instant> = None;
        let (mut events, mut busy) = (0_u32, Instant::now());
        loop {
            if shared.interrupt.is_set() {
                return Err(errors::interrupted("interrupted", None));
            }
            if errand.cancel.is_set() && cancelled.is_none() {
                cancelled = Some(Instant::now());
                talk.say(&ToWorker::Cancel, &[])?;
            }
            if cancelled.is_some_and(|since| since.elapsed() > CANCELLED) {
                self.talk = None;
                return Ok(None);
            }
            if busy.elapsed() > STUCK {
                return Err(
                    Lost(format!("nothing happened in it for {} s", STUCK.as_secs())).into()
                );
            }
            let Some((message, bytes)) = talk.next()? else { continue };
            if message != FromWorker::Alive {
                busy = Instant::now();
            }
            match message {
                FromWorker::Want { sha256, from } => {
                    let content = shared.content.lock().unwrap_or_else(PoisonError::into_inner);
                    let piece = content.piece(&sha256, from).unwrap_or_default();
                    drop(content);
                    talk.say(&ToWorker::Piece { sha256 }, &piece)?;
                }
                FromWorker::Event { event } => {
                    events += 1;
                    if events > MOST_EVENTS {
                        let why = "it tells of more than happens in a trial";
                        return Err(Lost(why.to_owned()).into());
                    }
                    if is_of(&event, errand.job) {
                        tell(*event)?;
                    }
                }
                FromWorker::File { path } => files.take(&path, &bytes).map_err(|error| {
                    // What it sends is its own fault, unless nothing can be written here.
                    match full_disk(errand.run_folder) {
                        Some(_) => error,
                        None => Lost(errors::message(&error)).into(),
                    }
                })?,
                FromWorker::Ended { record: None } if cancelled.is_some() => return Ok(None),
                FromWorker::Ended { record } => {
                    let record = shared.accept(record, errand)?;
                    // Clocks of other machines are not compared.
                    let (began_ms, place) = (Some(began_ms), Some(talk.host.clone()));
                    return Ok(Some(TrialRecord { began_ms, place, reused: None, ..record }));
                }
                FromWorker::Failed { error } => {
                    return Err(Lost(error.chars().take(SAID).collect()).into());
                }
                FromWorker::Hello { .. } | FromWorker::Alive => {}
            }
        }
    }
}

/// Whether an event is one that the trial of a job tells.
fn is_of(event: &RunEvent, job: &Job) -> bool {
    match event {
        RunEvent::PhaseBegan { number, .. } | RunEvent::Checked { number, .. } => {
            *number == job.number
        }
        _ => false,
    }
}

impl Shared {
    /// The record of a trial that was asked for, made as those of the run are.
    fn accept(
        &self,
        record: Option<Box<TrialRecord>>,
        errand: &Errand<'_>,
    ) -> Result<TrialRecord, Lost> {
        let record =
            *record.ok_or_else(|| Lost("it ended a trial that nobody ended".to_owned()))?;
        let is_of_it = record.number == errand.job.number
            && record.kernel == errand.job.kernel
            && record.directory == errand.directory;
        if !is_of_it {
            return Err(Lost("it told of a trial that it was not asked for".to_owned()));
        }
        let accelerator = self.accelerator.to_string();
        if record.accelerator != accelerator && !self.mixed {
            return Err(Lost(format!(
                "its machines run with {} now, and this run with {accelerator}; --mixed allows that",
                record.accelerator
            )));
        }
        Ok(record)
    }

    /// Whether answers of a worker can stand beside those of others.
    fn check(&self, hello: &Hello) -> Result<(), Lost> {
        let own = env!("KBISECT_VERSION");
        if hello.protocol != PROTOCOL || hello.version != own {
            return Err(Lost(format!("it is kbisect {}, and this is {own}", hello.version)));
        }
        if self.mixed {
            return Ok(());
        }
        let accelerator = self.accelerator.to_string();
        if hello.accelerator != accelerator && self.accelerator != Accelerator::Tcg {
            let why = hello.no_kvm.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            return Err(Lost(format!(
                "it has {}{why}, and this run {accelerator}; --mixed allows that",
                hello.accelerator
            )));
        }
        if hello.qemu != self.qemu {
            return Err(Lost(format!(
                "it has QEMU {}, and this run {}; --mixed allows that",
                hello.qemu, self.qemu
            )));
        }
        Ok(())
    }
}

/// A worker that runs.
pub struct Talk {
    child: Child,
    to: Option<SyncSender<Vec<u8>>>,
    from: Receiver<io::Result<(FromWorker, Vec<u8>)>>,
    said: Arc<Mutex<Vec<u8>>>,
    heard: Instant,
    host: String,
}

impl Talk {
    /// Runs a command that is to be a worker.
    ///
    /// # Errors
    /// [`Lost`]: it cannot be run.
    pub fn begin(words: &[String]) -> Result<Self, Lost> {
        let (program, arguments) =
            words.split_first().ok_or(Lost("it is no command".to_owned()))?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        kbisect_process::end_with_us(&mut command);
        let mut child =
            command.spawn().map_err(|error| Lost(format!("`{program}` cannot be run: {error}")))?;
        let (tell, from) = sync_channel(QUEUE);
        let stdout = child.stdout.take();
        thread::spawn(move || {
            let Some(stdout) = stdout else { return };
            let mut stdout = BufReader::new(stdout);
            loop {
                let (last, told) = match receive::<FromWorker>(&mut stdout, MOST_SAID) {
                    Ok(Some(heard)) => (false, Ok(heard)),
                    Ok(None) => break,
                    Err(error) => (true, Err(error)),
                };
                if tell.send(told).is_err() || last {
                    break;
                }
            }
        });
        let said: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (stderr, kept) = (child.stderr.take(), Arc::clone(&said));
        thread::spawn(move || {
            let Some(mut stderr) = stderr else { return };
            let mut bytes = [0; 1024];
            while let Ok(count @ 1..) = stderr.read(&mut bytes) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(&bytes[..count]);
                let excess = kept.len().saturating_sub(4 * SAID);
                kept.drain(..excess);
            }
        });
        // A worker that stands still must not make the run stand still.
        let (to, frames) = sync_channel::<Vec<u8>>(WAITING);
        let stdin = child.stdin.take();
        thread::spawn(move || {
            let Some(mut stdin) = stdin else { return };
            for frame in frames {
                if stdin.write_all(&frame).and_then(|()| stdin.flush()).is_err() {
                    break;
                }
            }
        });
        let (to, heard) = (Some(to), Instant::now());
        Ok(Self { child, to, from, said, heard, host: String::new() })
    }

    /// Waits until it says what it is, for as long as that takes: an engine may have it wait for a machine. Nothing
    /// when that is of no use any more.
    ///
    /// # Errors
    /// [`Lost`].
    pub fn hello(&mut self, is_moot: &dyn Fn() -> bool) -> Result<Option<Hello>, Lost> {
        loop {
            if is_moot() {
                return Ok(None);
            }
            self.heard = Instant::now();
            match self.next()? {
                None => {}
                Some((FromWorker::Hello { hello }, _)) => return Ok(Some(*hello)),
                Some(_) => return Err(Lost("it did not say what it is".to_owned())),
            }
        }
    }

    /// What it says next, if it says something soon.
    fn next(&mut self) -> Result<Option<(FromWorker, Vec<u8>)>, Lost> {
        match self.from.recv_timeout(LOOK) {
            Ok(Ok(heard)) => {
                self.heard = Instant::now();
                Ok(Some(heard))
            }
            Ok(Err(error)) => Err(Lost(self.with_words(&error.to_string()))),
            Err(RecvTimeoutError::Timeout) if self.heard.elapsed() > SILENT => {
                Err(Lost(format!("it said nothing for {} s", SILENT.as_secs())))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended("it closed the line")),
        }
    }

    fn say(&mut self, message: &ToWorker, bytes: &[u8]) -> Result<(), Lost> {
        let mut frame = Vec::new();
        send(&mut frame, message, bytes).map_err(|error| Lost(error.to_string()))?;
        let since = Instant::now();
        loop {
            let Some(to) = &self.to else { return Err(Lost("the line is closed".to_owned())) };
            frame = match to.try_send(frame) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(_)) => {
                    return Err(self.ended("it takes nothing any more"));
                }
                Err(TrySendError::Full(frame)) => frame,
            };
            if since.elapsed() > SILENT {
                return Err(Lost(format!("it took nothing for {} s", SILENT.as_secs())));
            }
            thread::sleep(LOOK);
        }
    }

    /// How it ended, if it did; else that it does not answer.
    fn ended(&mut self, otherwise: &str) -> Lost {
        let since = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Lost(self.with_words(&format!("it ended ({status})")));
            }
            if since.elapsed() > END {
                return Lost(self.with_words(otherwise));
            }
            thread::sleep(LOOK);
        }
    }

    /// Adds what the command said on standard error.
    fn with_words(&self, what: &str) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&said);
        let line = crate::output::clean(text.trim());
        let mut last: Vec<&str> = line.lines().rev().take(3).collect();
        last.reverse();
        let last = last.join("; ");
        match last.is_empty() {
            true => what.to_owned(),
            false => format!("{what}: {}", last.chars().take(SAID).collect::<String>()),
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.to = None;
        let since = Instant::now();
        while since.elapsed() < END && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(LOOK);
        }
        kbisect_process::kill_group(self.child.id());
        let _ = self.child.wait();
    }
}

/// The files of a trial as they come.
struct Files {
    folder: PathBuf,
    open: Option<(String, File)>,
    left: u64,
    count: u32,
}

impl Files {
    fn below(folder: PathBuf, most: u64) -> Self {
        Self { folder, open: None, left: most, count: 0 }
    }

    fn take(&mut self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        // The run writes the record itself.
        if !is_below(path) || Path::new(path).starts_with(RECORD) {
            let name: String = path.escape_debug().take(SAID).collect();
            return Err(Lost(format!("it sent a file by the name `{name}`")).into());
        }
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| Lost("it sent more files than a trial has".to_owned()))?;
        if self.open.as_ref().is_none_or(|(open, _)| open != path) {
            self.count += 1;
            if self.count > MOST_FILES {
                return Err(Lost("it sent more files than a trial has".to_owned()).into());
            }
            let at = self.folder.join(path);
            let told = || format!("cannot write {}", at.display());
            if let Some(folder) = at.parent() {
                fs::create_dir_all(folder).with_context(told)?;
            }
            let file = File::create(&at).with_context(told)?;
            self.open = Some((path.to_owned(), file));
        }
        if let Some((_, file)) = &mut self.open {
            file.write_all(bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_trial_are_in_its_folder_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let trial = folder.path().join("trials/001");
        let mut files = Files::below(trial.clone(), 10);
        files.take("candidate/console.log", b"one").unwrap();
        files.take("candidate/console.log", b"two").unwrap();
        files.take("empty", b"").unwrap();
        assert_eq!(fs::read(trial.join("candidate/console.log")).unwrap(), b"onetwo");
        assert_eq!(fs::read(trial.join("empty")).unwrap(), b"");
        let long = "x".repeat(300);
        for wrong in [
            "../x",
            "/etc/x",
            "",
            ".",
            "a/../../x",
            "trial.json",
            "trial.json/x",
            "a\0b",
            "empty/x",
            "candidate",
            &long,
        ] {
            assert!(files.take(wrong, b"").is_err(), "{wrong}");
        }
        assert!(files.take("more", b"12345").unwrap_err().is::<Lost>(), "ten bytes are all");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
