//! One trial of a run: from a kernel to a record.

use std::path::{Path, PathBuf};

use kbisect_core::boot::Booted;
use kbisect_core::disturbed::{Cause, Disturbed};
use kbisect_core::evidence::{Evidence, EvidenceFile};
use kbisect_core::job::{Job, Limits, Subject};
use kbisect_core::kernel::Kernel;
use kbisect_core::run::RunEvent;
use kbisect_core::trial::{TrialRecord, Untestable, Verdict, VerdictKind};
use kbisect_kernels::{ReadyKernel, Source};
use kbisect_report::words;
use kbisect_vm::accel::{Accelerator, Probe};
use kbisect_vm::lab::Coming;
use kbisect_vm::session::Interrupt;
use kbisect_vm::trial::TrialResult;

use super::bench::{self, Bench};
use super::busy;
use super::context::Context;
use super::files::{full_disk, now_ms, write_json};
use super::kept::quoted;
use super::kernels::boot_files;
use super::memory;
use super::plan::INFRA_RETRIES;
use super::preflight;
use super::remote::{Errand, Line};
use crate::errors;

/// Runs trials in one place.
pub struct Trials<'a> {
    context: &'a Context,
    run_folder: PathBuf,
    place: Place,
    cancel: Interrupt,
}

/// Where trials are made.
pub enum Place {
    /// On this machine.
    Here(Box<Bench>),
    /// By another process.
    There(Box<Line>),
}

impl<'a> Trials<'a> {
    /// Prepares trials whose files go below `run_folder`. The one under way ends when `cancel` is set.
    #[must_use]
    pub fn new(context: &'a Context, run_folder: &Path, place: Place, cancel: Interrupt) -> Self {
        Self { context, run_folder: run_folder.to_owned(), place, cancel }
    }

    /// Set when the trial under way is of no use any more.
    #[must_use]
    pub fn cancel(&self) -> &Interrupt {
        &self.cancel
    }

    /// Tries the reference kernel in the candidate's place. Its trial has the number 0.
    ///
    /// # Errors
    /// As [`Trials::run_unless_cancelled`]; that it gave no answer for reasons of this host.
    pub fn run_reference(
        &mut self,
        subject: &Subject,
        tell: &mut dyn FnMut(RunEvent) -> anyhow::Result<()>,
    ) -> anyhow::Result<TrialRecord> {
        let reference = &self.context.reference;
        let job = reference_job(self.context, subject.clone());
        let mut attempts = 0;
        loop {
            let record = self.run_unless_cancelled(&job, Ok(reference), tell)?;
            let record = record.ok_or_else(|| errors::interrupted("cancelled", None))?;
            let Verdict::Infra(error) = record.verdict() else { return Ok(record) };
            if full_disk(&self.run_folder).is_some() || attempts >= INFRA_RETRIES {
                return Err(host_failed(
                    &record.kernel,
                    &error,
                    &record.disturbed,
                    &self.run_folder,
                ));
            }
            attempts += 1;
        }
    }

    /// Makes a trial, and writes its record; nothing when it was cancelled, and then nothing is left of it.
    /// A kernel that cannot be obtained comes as the reason why. What the trial does is told as events.
    ///
    /// # Errors
    /// An interruption, or files that cannot be written. Everything else is a verdict.
    pub fn run_unless_cancelled(
        &mut self,
        job: &Job,
        kernel: Result<&ReadyKernel, &Untestable>,
        tell: &mut dyn FnMut(RunEvent) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<TrialRecord>> {
        let name = format!("{:03}-{}", job.number, file_name(&job.kernel));
        let relative = format!("{}/{name}", trials_folder(&job.subject));
        let folder = self.run_folder.join(&relative);
        // An earlier try at this number was cut off; half of its files would mislead.
        forget(&self.run_folder, &job.subject, job.number);
        if let Some(earlier) = &self.context.earlier
            && let Some(record) = earlier.take(job, &folder, &relative)?
        {
            return Ok(Some(record));
        }
        std::fs::create_dir_all(&folder)?;
        let began_ms = now_ms();
        let ready = kernel.map_err(Clone::clone).and_then(|kernel| {
            let missing = preflight::missing(kernel, &job.subject.scenario.requires);
            missing.map_or(Ok(kernel), Err)
        });
        if let Ok(ReadyKernel { built: Some(built), .. }) = ready
            && let Some(record) = self.context.builds.answer(&built.content, job, &relative)
        {
            write_json(&folder.join("trial.json"), &record)?;
            return Ok(Some(record));
        }
        let mut record = match ready {
            Err(why) => {
                let accelerator = self.probe().accelerator.to_string();
                let result = untested(Verdict::Skip(why));
                bench::record(job, relative, began_ms, accelerator, result)
            }
            Ok(kernel) => {
                let Some(mut record) = self.made(kernel, &relative, job, tell)? else {
                    forget(&self.run_folder, &job.subject, job.number);
                    return Ok(None);
                };
                keep_config(kernel, &folder, &mut record);
                if let Some(built) = &kernel.built {
                    record.notes.extend(words::built_otherwise(&built.forced, &built.left));
                    let elsewhere = built.elsewhere.as_ref();
                    record.notes.extend(
                        elsewhere
                            .map(|it| words::from_elsewhere(&it.place, &it.sha256, it.is_checked)),
                    );
                }
                if let (Some(mib), Place::Here(_)) = (record.memory_mib, &self.place) {
                    memory::remember(self.context.ground(), &job.subject.scenario, mib);
                }
                record
            }
        };
        record.repeat = self.repeat(job, record.booted.as_ref());
        write_json(&folder.join("trial.json"), &record)?;
        if let Ok(ReadyKernel { built: Some(built), .. }) = kernel {
            self.context.builds.add(&built.content, job, &record);
        }
        Ok(Some(record))
    }

    /// How guests run, as far as the trials so far have shown.
    #[must_use]
    pub fn probe(&self) -> &Probe {
        match &self.place {
            Place::Here(bench) => bench.probe(),
            Place::There(_) => &self.context.probe,
        }
    }

    /// Waits until the place of trials is there; not, once that is of no use any more.
    ///
    /// # Errors
    /// That it is lost.
    pub fn wait(&mut self) -> anyhow::Result<bool> {
        match &mut self.place {
            Place::Here(_) => Ok(true),
            Place::There(line) => line.wait(&self.cancel),
        }
    }

    /// Makes a trial in its place.
    fn made(
        &mut self,
        kernel: &ReadyKernel,
        directory: &str,
        job: &Job,
        tell: &mut dyn FnMut(RunEvent) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<TrialRecord>> {
        match &mut self.place {
            Place::Here(bench) => {
                let files = boot_files(&self.context.base.store, kernel);
                bench.trial(&files, directory, job, tell)
            }
            Place::There(line) => {
                let (run_folder, cancel) = (&self.run_folder, &self.cancel);
                line.trial(&Errand { kernel, job, run_folder, directory, cancel }, tell)
            }
        }
    }

    fn repeat(&self, job: &Job, booted: Option<&Booted>) -> String {
        let (context, Job { kernel, subject, .. }) = (self.context, job);
        let spec = kernel.name.clone().unwrap_or_else(|| kernel.package_version.to_string());
        let name = &subject.name;
        let mut command = match job.fault {
            None => format!("kbisect run {spec} --scenario {name}"),
            Some(_) => format!("kbisect scenario selftest {name} --kernel {spec}"),
        };
        if let Some(option) = Source::of(kernel).and_then(Source::option) {
            command += &format!(" {option}");
        }
        if let Some(folder) = &context.image_folder {
            command += &format!(" --image {}", quoted(&folder.display().to_string()));
        }
        if context.placement == kbisect_vm::network::Placement::Single {
            command += " --placement single";
        }
        let mut choices = context.choices;
        if let Some(booted) = booted {
            // Where the other way was not available, the same happens again by itself.
            if booted.no_pvh.is_none() {
                choices.boot = booted.way;
            }
            choices.crypto_tests = booted.crypto_tests && !subject.scenario.needs_crypto_tests();
        }
        for word in choices.options() {
            command += &format!(" {word}");
        }
        if self.probe().accelerator == Accelerator::Tcg
            && context.probe.accelerator == Accelerator::Kvm
        {
            command += " --accel tcg";
        }
        command
    }
}

/// The job of the reference kernel in the candidate's place.
pub fn reference_job(context: &Context, subject: Subject) -> Job {
    let (kernel, coming) = (context.reference.kernel.clone(), Coming::Any);
    Job {
        number: 0,
        kernel,
        coming,
        subject,
        fault: None,
        limits: Limits::default(),
        shell: None,
        by_hand: false,
    }
}

/// The folder of all trials with a scenario, below the run's.
fn trials_folder(subject: &Subject) -> String {
    match &subject.folder {
        Some(folder) if subject.apart => format!("{folder}/trials"),
        _ => "trials".to_owned(),
    }
}

/// Removes what is left of the trial with a number.
pub fn forget(run_folder: &Path, subject: &Subject, number: u32) {
    let begins = format!("{number:03}-");
    let folder = run_folder.join(trials_folder(subject));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|at| at.file_name().to_string_lossy().starts_with(&begins)) {
        let _ = std::fs::remove_dir_all(entry.path());
    }
}

/// The error that ends a run whose trial of `kernel` failed for our own reasons once too often.
pub fn host_failed(
    kernel: &Kernel,
    error: &str,
    disturbed: &Disturbed,
    folder: &Path,
) -> anyhow::Error {
    if disturbed.decided.is_some_and(Cause::wants_processor) {
        return errors::infrastructure(
            format!(
                "the host has too few processors for what runs on it: the last trial of {} was disturbed, too: {error}",
                kernel.version
            ),
            busy::hint(),
        );
    }
    if let Some(full) = full_disk(folder) {
        return errors::infrastructure(
            format!("the disk of {} is full: {error}", full.display()),
            "free space there, and go on",
        );
    }
    errors::infrastructure(
        format!("trial of {} failed for reasons of this host: {error}", kernel.version),
        "see the trial's folder, and `kbisect doctor`",
    )
}

/// Keeps the kernel's configuration with a trial that failed: whoever gets the evidence may not have
/// the package.
fn keep_config(kernel: &ReadyKernel, folder: &Path, record: &mut TrialRecord) {
    let (VerdictKind::Bad, Some(config)) = (record.verdict, &kernel.config) else { return };
    let path = "candidate/config";
    // Read and written, not copied: files of the store are read-only, and this one is not to be.
    match std::fs::read(config).and_then(|text| std::fs::write(folder.join(path), text)) {
        Ok(()) => record.evidence.files.push(EvidenceFile {
            path: path.to_owned(),
            what: "configuration of the kernel".to_owned(),
        }),
        Err(error) => record.notes.push(format!("cannot keep the kernel's configuration: {error}")),
    }
}

fn untested(verdict: Verdict) -> TrialResult {
    TrialResult {
        verdict,
        observation: kbisect_core::judge::Observation::default(),
        timings_s: std::collections::BTreeMap::new(),
        wall_s: 0.0,
        release: None,
        accepted: Vec::new(),
        injected: Vec::new(),
        skipped: Vec::new(),
        notes: Vec::new(),
        wires: Vec::new(),
        hops: Vec::new(),
        counters: Vec::new(),
        state: Vec::new(),
        states: std::collections::BTreeMap::new(),
        evidence: Evidence::default(),
        kvm_suspect: None,
        boot: None,
        boot_id: None,
        booted: None,
        deadlines: None,
        disturbed: Disturbed::default(),
        memory_mib: None,
    }
}

fn file_name(kernel: &Kernel) -> String {
    let label = kernel.name.clone().unwrap_or_else(|| kernel.package_version.to_string());
    kbisect_report::plain::file_name(&label)
}
