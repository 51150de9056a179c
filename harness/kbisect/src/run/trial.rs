//! One trial of a run: from a kernel to a record.

use std::path::{Path, PathBuf};

use kbisect_core::boot::Booted;
use kbisect_core::disturbed::{Cause, Disturbed};
use kbisect_core::evidence::{Evidence, EvidenceFile};
use kbisect_core::kernel::Kernel;
use kbisect_core::run::RunEvent;
use kbisect_core::trial::{TrialRecord, Untestable, Verdict};
use kbisect_kernels::{ReadyKernel, Source};
use kbisect_vm::accel::{self, Accelerator, Probe, Wish};
use kbisect_vm::lab::{BootPolicy, Coming, LabSettings, Wiring};
use kbisect_vm::session::{Interrupt, Session, SessionError};
use kbisect_vm::shell::ShellRequest;
use kbisect_vm::timing::Timing;
use kbisect_vm::trial::{KvmSuspect, Notice, TrialResult};

use super::busy;
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
    /// Where the lab keeps its files.
    lab: PathBuf,
    session: Option<Session>,
    probe: Probe,
    cancel: Interrupt,
}

/// Where a trial belongs.
pub struct Place {
    /// Number within the run, from 1.
    pub number: u32,
    /// The kernel's identity, as planned.
    pub kernel: Kernel,
    /// How it comes up.
    pub coming: Coming,
}

impl<'a> Trials<'a> {
    /// Prepares trials whose files go below `run_folder`.
    #[must_use]
    pub fn new(context: &'a Context, run_folder: &Path) -> Self {
        let (run_folder, lab) = (run_folder.to_owned(), run_folder.join("lab"));
        let (probe, cancel) = (context.probe.clone(), Interrupt::default());
        Self { context, run_folder, lab, session: None, probe, cancel }
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

    /// Keeps the lab's files below a folder of that name, for a run that has several labs.
    #[must_use]
    pub fn with_lab(mut self, name: &str) -> Self {
        self.lab.push(name);
        self
    }

    /// Runs one trial, and writes its record. A kernel that cannot be had comes as the reason why. What it does is told as events.
    ///
    /// # Errors
    /// An interruption, or files that cannot be written. Everything else is a verdict.
    pub fn run(
        &mut self,
        place: &Place,
        kernel: Result<&ReadyKernel, &Untestable>,
        shell: Option<&ShellRequest>,
        tell: &mut dyn FnMut(RunEvent) -> anyhow::Result<()>,
    ) -> anyhow::Result<TrialRecord> {
        let record = self.run_unless_cancelled(place, kernel, shell, tell)?;
        record.ok_or_else(|| errors::interrupted("cancelled", None))
    }

    /// Tries the reference kernel in the candidate's place. Its trial has the number 0.
    ///
    /// # Errors
    /// As [`Trials::run`]; that it gave no answer for reasons of this host.
    pub fn run_reference(
        &mut self,
        tell: &mut dyn FnMut(RunEvent) -> anyhow::Result<()>,
    ) -> anyhow::Result<TrialRecord> {
        let reference = &self.context.reference;
        let place = Place { number: 0, kernel: reference.kernel.clone(), coming: Coming::Any };
        let mut attempts = 0;
        loop {
            let record = self.run(&place, Ok(reference), None, tell)?;
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

    /// As [`Trials::run`]; nothing when the trial was cancelled. Then nothing is left of it.
    ///
    /// # Errors
    /// As [`Trials::run`].
    pub fn run_unless_cancelled(
        &mut self,
        place: &Place,
        kernel: Result<&ReadyKernel, &Untestable>,
        shell: Option<&ShellRequest>,
        tell: &mut dyn FnMut(RunEvent) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<TrialRecord>> {
        let name = format!("{:03}-{}", place.number, file_name(&place.kernel));
        let relative = format!("trials/{name}");
        let folder = self.run_folder.join(&relative);
        // An earlier try at this number was cut off; half of its files would mislead.
        forget(&self.run_folder, place.number);
        std::fs::create_dir_all(&folder)?;
        let began_ms = now_ms();
        let ready = kernel.map_err(Clone::clone).and_then(|kernel| {
            let missing = preflight::missing(kernel, &self.context.scenario.requires);
            missing.map_or(Ok(kernel), Err)
        });
        let result = match ready {
            Err(why) => untested(Verdict::Skip(why)),
            Ok(kernel) => {
                let Some(mut result) = self.in_lab(kernel, &folder, shell, place, tell)? else {
                    forget(&self.run_folder, place.number);
                    return Ok(None);
                };
                keep_config(kernel, &folder, &mut result);
                if let Some(mib) = result.memory_mib {
                    memory::remember(self.context, mib);
                }
                result
            }
        };
        let record = self.record(place, relative, began_ms, result);
        write_json(&folder.join("trial.json"), &record)?;
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
        shell: Option<&ShellRequest>,
        place: &Place,
        tell: &mut dyn FnMut(RunEvent) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<TrialResult>> {
        let Place { number, coming, .. } = *place;
        let files = boot_files(&self.context.base.store, kernel);
        let mut trouble = None;
        let ui = self.context.base.ui.clone();
        let held = shell.is_some();
        let session = self.session()?;
        let outcome = session.trial(&files, folder, coming, shell, &mut |notice| {
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

    fn session(&mut self) -> anyhow::Result<&mut Session> {
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                let context = self.context;
                let settings = LabSettings {
                    qemu: context.qemu.clone(),
                    accelerator: self.probe.accelerator,
                    root: context.image.path.clone(),
                    reference: boot_files(&context.base.store, &context.reference),
                    scenario: context.scenario.clone(),
                    placement: context.placement,
                    directory: self.lab.clone(),
                    timing: Timing::new(self.probe.speed, context.choices.slow),
                    vmcore: context.evidence.vmcore,
                    wiring: context.wiring,
                    boot: BootPolicy {
                        way: context.choices.boot,
                        no_pvh: self.probe.no_pvh.clone(),
                        crypto_tests: context.choices.crypto_tests
                            || context.scenario.needs_crypto_tests(),
                    },
                    preload: context.preload,
                    states: context.states.clone(),
                };
                Session::new(settings, context.base.interrupt.clone())?
                    .cancelled_by(self.cancel.clone())
            }
        };
        Ok(self.session.insert(session))
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
        place: &Place,
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
            number: place.number,
            kernel: place.kernel.clone(),
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
            notes: result.notes,
            wires: result.wires,
            hops: result.hops,
            counters: result.counters,
            state: result.state,
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
            repeat: self.repeat(&place.kernel, booted.as_ref()),
        }
    }

    fn repeat(&self, kernel: &Kernel, booted: Option<&Booted>) -> String {
        let context = self.context;
        let spec = kernel.name.clone().unwrap_or_else(|| kernel.package_version.to_string());
        let name = &context.scenario_name;
        let mut command = match context.wiring {
            Wiring::Whole => format!("kbisect run {spec} --scenario {name}"),
            Wiring::CutAtChecks => format!("kbisect scenario selftest {name} --kernel {spec}"),
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
            choices.crypto_tests = booted.crypto_tests && !context.scenario.needs_crypto_tests();
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

/// Removes what is left of the trial with a number.
pub fn forget(run_folder: &Path, number: u32) {
    let begins = format!("{number:03}-");
    let entries = std::fs::read_dir(run_folder.join("trials")).into_iter().flatten().flatten();
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
        notes: Vec::new(),
        wires: Vec::new(),
        hops: Vec::new(),
        counters: Vec::new(),
        state: Vec::new(),
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
    label
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || ".-_+~".contains(c) { c } else { '-' })
        .collect()
}
