//! One trial of a run: from a kernel to a record.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kbisect_core::boot::Booted;
use kbisect_core::disturbed::{Cause, Disturbed};
use kbisect_core::evidence::{Evidence, EvidenceFile};
use kbisect_core::job::{Job, Limits, Subject};
use kbisect_core::kernel::Kernel;
use kbisect_core::run::RunEvent;
use kbisect_core::trial::{TrialRecord, Untestable, Verdict};
use kbisect_kernels::{ReadyKernel, Source};
use kbisect_report::words;
use kbisect_vm::accel::{self, Accelerator, Probe, Wish};
use kbisect_vm::lab::{BootPolicy, Coming, LabSettings};
use kbisect_vm::session::{Interrupt, Session, SessionError};
use kbisect_vm::timing::Timing;
use kbisect_vm::trial::{Hands, KvmSuspect, Notice, Order, TrialResult};

use super::busy;
use super::by_hand::{AtTerminal, keep_confirmed};
use super::context::Context;
use super::files::{now_ms, write_json};
use super::kept::quoted;
use super::kernels::boot_files;
use super::memory;
use super::plan::INFRA_RETRIES;
use super::preflight;
use crate::errors;

/// Runs trials in one lab; the lab is made with the first one.
pub struct Trials<'a> {
    context: &'a Context,
    run_folder: PathBuf,
    /// Name of the lab's folder, where there are several side by side.
    lab: Option<String>,
    session: Option<(Subject, Session)>,
    probe: Probe,
    cancel: Interrupt,
}

impl<'a> Trials<'a> {
    /// Prepares trials whose files go below `run_folder`.
    #[must_use]
    pub fn new(context: &'a Context, run_folder: &Path) -> Self {
        let (probe, cancel) = (context.probe.clone(), Interrupt::default());
        let run_folder = run_folder.to_owned();
        Self { context, run_folder, lab: None, session: None, probe, cancel }
    }

    /// Ends the trial under way when this is set.
    #[must_use]
    pub fn cancelled_by(self, cancel: Interrupt) -> Self {
        Self { cancel, ..self }
    }

    /// Set when the trial under way is of no use any more.
    #[must_use]
    pub fn cancel(&self) -> &Interrupt {
        &self.cancel
    }

    /// Keeps the lab's files in a folder of that name, for one of several labs side by side.
    #[must_use]
    pub fn with_lab(self, name: &str) -> Self {
        Self { lab: Some(name.to_owned()), ..self }
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
        let result = match ready {
            Err(why) => untested(Verdict::Skip(why)),
            Ok(kernel) => {
                let Some(mut result) = self.in_lab(kernel, &folder, job, tell)? else {
                    forget(&self.run_folder, &job.subject, job.number);
                    return Ok(None);
                };
                keep_config(kernel, &folder, &mut result);
                if let Some(built) = &kernel.built {
                    result.notes.extend(words::built_otherwise(&built.forced, &built.left));
                    let elsewhere = built.elsewhere.as_ref();
                    result.notes.extend(
                        elsewhere
                            .map(|it| words::from_elsewhere(&it.place, &it.sha256, it.is_checked)),
                    );
                }
                if job.by_hand {
                    keep_confirmed(&self.run_folder, &job.subject, &mut result)?;
                }
                if let Some(mib) = result.memory_mib {
                    memory::remember(self.context.ground(), &job.subject.scenario, mib);
                }
                result
            }
        };
        let record = self.record(job, relative, began_ms, result);
        write_json(&folder.join("trial.json"), &record)?;
        if let Ok(ReadyKernel { built: Some(built), .. }) = kernel {
            self.context.builds.add(&built.content, job, &record);
        }
        Ok(Some(record))
    }

    /// How guests run, as far as the trials so far have shown.
    #[must_use]
    pub fn probe(&self) -> Probe {
        self.probe.clone()
    }

    fn in_lab(
        &mut self,
        kernel: &ReadyKernel,
        folder: &Path,
        job: &Job,
        tell: &mut dyn FnMut(RunEvent) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<TrialResult>> {
        let number = job.number;
        let files = boot_files(&self.context.base.store, kernel);
        let mut trouble = None;
        let ui = self.context.base.ui.clone();
        let held = job.shell.is_some() || job.by_hand;
        let hands = job
            .by_hand
            .then(|| -> Arc<dyn Hands> { Arc::new(AtTerminal(Arc::clone(&job.subject.scenario))) });
        let interrupt = self.context.base.interrupt.clone();
        let order = Order {
            kernel: &files,
            directory: folder,
            coming: job.coming,
            fault: job.fault.as_ref(),
            limits: job.limits,
            shell: job.shell.as_ref(),
            hands: hands.as_ref(),
        };
        let session = self.session(&job.subject)?;
        let outcome = session.trial(&order, &mut |notice| {
            let told = match notice {
                Notice::Phase(phase) => tell(RunEvent::PhaseBegan { number, phase }),
                Notice::Check(result) => tell(RunEvent::Checked { number, result }),
                Notice::Doing(what) => {
                    ui.doing_in(number, &what);
                    Ok(())
                }
                Notice::ShellBegins => {
                    ui.finish();
                    Ok(())
                }
                Notice::Aborted => {
                    interrupt.0.store(true, Ordering::SeqCst);
                    Ok(())
                }
            };
            if let Err(error) = told {
                trouble.get_or_insert(error);
            }
        });
        if held {
            ui.doing("");
        }
        if let Some(error) = trouble {
            return Err(error);
        }
        let result = match outcome {
            Ok(result) => result,
            Err(SessionError::Cancelled) => return Ok(None),
            Err(SessionError::Interrupted) => return Err(errors::interrupted("interrupted", None)),
            Err(error @ SessionError::Runtime(_)) => return Err(error.into()),
        };
        if let Some(suspect) = result.kvm_suspect {
            self.look_at_kvm_again(suspect, &result);
        }
        Ok(Some(result))
    }

    /// The lab for a scenario: the one that is up, if it is made for that.
    fn session(&mut self, subject: &Subject) -> anyhow::Result<&mut Session> {
        let same = |made_for: &Subject| {
            made_for.folder == subject.folder
                && (Arc::ptr_eq(&made_for.scenario, &subject.scenario)
                    || made_for.scenario == subject.scenario)
        };
        let kept = self.session.take().filter(|(made_for, _)| same(made_for));
        let kept = match kept {
            Some(kept) => kept,
            None => {
                let context = self.context;
                let mut directory = self.run_folder.join("lab");
                directory.extend(subject.folder.iter().chain(&self.lab));
                let settings = LabSettings {
                    qemu: context.qemu.clone(),
                    accelerator: self.probe.accelerator,
                    root: context.image.path.clone(),
                    reference: boot_files(&context.base.store, &context.reference),
                    scenario: Arc::clone(&subject.scenario),
                    placement: context.placement,
                    directory,
                    timing: Timing::new(self.probe.speed, context.choices.slow),
                    vmcore: context.evidence.vmcore,
                    boot: BootPolicy {
                        way: context.choices.boot,
                        no_pvh: self.probe.no_pvh.clone(),
                        crypto_tests: context.choices.crypto_tests
                            || subject.scenario.needs_crypto_tests(),
                    },
                    preload: context.preload,
                    states: context.states.clone(),
                };
                let session = Session::new(settings, context.base.interrupt.clone())?
                    .cancelled_by(self.cancel.clone());
                (subject.clone(), session)
            }
        };
        Ok(&mut self.session.insert(kept).1)
    }

    /// KVM passed the probe, and may not work any more, or not for kernels.
    fn look_at_kvm_again(&mut self, suspect: KvmSuspect, result: &TrialResult) {
        let reason = match &result.verdict {
            Verdict::Infra(reason) => reason.clone(),
            other => other.to_string(),
        };
        let (qemu, cache) = (&self.context.qemu.path, &self.context.base.settings.cache_dir);
        let now = accel::probe(qemu, cache, Wish::AutoAgain);
        self.probe = match (suspect, &now.no_kvm) {
            (_, Some(_)) => now,
            // A kernel that is known to work did not boot.
            (KvmSuspect::PeerBoot, None) => accel::distrust_kvm(qemu, cache, &reason),
            (KvmSuspect::QemuEnded, None) => return,
        };
        if let Some(why) = &self.probe.no_kvm {
            self.context
                .base
                .ui
                .note(&format!("KVM does not work any more, continuing with emulation: {why}"));
        }
        self.session = None;
    }

    fn record(
        &self,
        job: &Job,
        directory: String,
        began_ms: u64,
        result: TrialResult,
    ) -> TrialRecord {
        let booted = result.booted;
        let reason = match &result.verdict {
            Verdict::Skip(why) => Some(why.to_string()),
            Verdict::Infra(reason) => Some(reason.clone()),
            Verdict::Scenario(fault) => Some(fault.to_string()),
            Verdict::Good | Verdict::Bad(_) => None,
        };
        let fault = match &result.verdict {
            Verdict::Scenario(fault) => Some(fault.clone()),
            Verdict::Bad(symptom) if symptom.kind.can_be_the_scenarios() => {
                result.observation.fault.clone()
            }
            Verdict::Bad(_) | Verdict::Good | Verdict::Skip(_) | Verdict::Infra(_) => None,
        };
        TrialRecord {
            number: job.number,
            kernel: job.kernel.clone(),
            verdict: result.verdict.kind(),
            untestable: match &result.verdict {
                Verdict::Skip(why) => Some(why.clone()),
                _ => None,
            },
            symptom: result.verdict.symptom().cloned(),
            fault,
            reason,
            checks: result.observation.checks,
            timings_s: result.timings_s,
            wall_s: result.wall_s,
            reports: result.observation.reports,
            accepted: result.accepted,
            injected: result.injected,
            notes: result.notes,
            wires: result.wires,
            hops: result.hops,
            counters: result.counters,
            state: result.state,
            states: result.states,
            evidence: result.evidence,
            began_ms: Some(began_ms),
            directory,
            accelerator: self.probe.accelerator.to_string(),
            memory_mib: result.memory_mib,
            deadlines: result.deadlines,
            boot: result.boot,
            boot_id: result.boot_id,
            booted: booted.clone(),
            disturbed: result.disturbed,
            release: result.release,
            reused: None,
            repeat: self.repeat(job, booted.as_ref()),
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
        if self.probe.accelerator == Accelerator::Tcg
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

/// The folder on a disk that is full, of the run's and that of temporary files: trying again would not
/// help.
#[must_use]
pub fn full_disk(run_folder: &Path) -> Option<PathBuf> {
    /// Bytes with which not even a console can be kept.
    const ROOM: u64 = 1 << 20;
    let is_full = |folder: &PathBuf| {
        rustix::fs::statvfs(folder).is_ok_and(|disk| {
            let no_files_left = disk.f_files > 0 && disk.f_favail == 0;
            no_files_left || disk.f_bavail.saturating_mul(disk.f_frsize) < ROOM
        })
    };
    [run_folder.to_owned(), std::env::temp_dir()].into_iter().find(is_full)
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
fn keep_config(kernel: &ReadyKernel, folder: &Path, result: &mut TrialResult) {
    let (Verdict::Bad(_), Some(config)) = (&result.verdict, &kernel.config) else { return };
    let path = "candidate/config";
    // Read and written, not copied: files of the store are read-only, and this one is not to be.
    match std::fs::read(config).and_then(|text| std::fs::write(folder.join(path), text)) {
        Ok(()) => result.evidence.files.push(EvidenceFile {
            path: path.to_owned(),
            what: "configuration of the kernel".to_owned(),
        }),
        Err(error) => result.notes.push(format!("cannot keep the kernel's configuration: {error}")),
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
