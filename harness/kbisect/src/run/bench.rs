//! Where trials are made on this machine: one lab, with all that its machines are made of.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kbisect_core::job::{Job, Subject};
use kbisect_core::options::MachineChoices;
use kbisect_core::run::RunEvent;
use kbisect_core::trial::{TrialRecord, Verdict};
use kbisect_vm::accel::{self, Probe, Wish};
use kbisect_vm::lab::{BootFiles, BootPolicy, LabSettings};
use kbisect_vm::network::Placement;
use kbisect_vm::qemu::Qemu;
use kbisect_vm::session::{Interrupt, Session, SessionError};
use kbisect_vm::states::States;
use kbisect_vm::timing::Timing;
use kbisect_vm::trial::{Hands, KvmSuspect, Notice, Order, TrialResult};

use super::by_hand::{AtTerminal, keep_confirmed};
use super::context::Context;
use super::files::now_ms;
use super::kernels::boot_files;
use crate::errors;
use crate::ui::Ui;

/// What machines are made of, and who is told.
#[derive(Clone)]
pub struct Parts {
    /// QEMU.
    pub qemu: Qemu,
    /// Where what is known of the host is kept.
    pub cache_dir: PathBuf,
    /// The root image.
    pub root: PathBuf,
    /// The kernel of the reference nodes.
    pub reference: BootFiles,
    /// Where nodes are put.
    pub placement: Placement,
    /// What was chosen of how machines run.
    pub choices: MachineChoices,
    /// Whether the memory of guests that crashed is kept.
    pub vmcore: bool,
    /// Whether saved states are to have the scenario's modules loaded.
    pub preload: bool,
    /// Where states of machines are kept; nothing when kernels are to boot in every trial.
    pub states: Option<States>,
    /// Set when all is to end.
    pub interrupt: Interrupt,
    /// The display.
    pub ui: Ui,
}

impl Parts {
    /// Those of a run on this machine.
    pub fn of(context: &Context) -> Self {
        let base = &context.base;
        Self {
            qemu: context.qemu.clone(),
            cache_dir: base.settings.cache_dir.clone(),
            root: context.image.path.clone(),
            reference: boot_files(&base.store, &context.reference),
            placement: context.placement,
            choices: context.choices,
            vmcore: context.evidence.vmcore,
            preload: context.preload,
            states: context.states.clone(),
            interrupt: base.interrupt.clone(),
            ui: base.ui.clone(),
        }
    }
}

/// One lab, made with the first trial.
pub struct Bench {
    parts: Parts,
    run_folder: PathBuf,
    /// Name of the lab's folder, where there are several side by side.
    lab: Option<String>,
    session: Option<(Subject, Session)>,
    probe: Probe,
    cancel: Interrupt,
}

impl Bench {
    /// Prepares a lab whose files go below `run_folder`. The trial under way ends when `cancel` is set.
    pub fn new(
        parts: Parts,
        probe: Probe,
        run_folder: &Path,
        lab: Option<String>,
        cancel: Interrupt,
    ) -> Self {
        let run_folder = run_folder.to_owned();
        Self { parts, run_folder, lab, session: None, probe, cancel }
    }

    /// How guests run, as far as the trials so far have shown.
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Makes a trial whose files go into a folder, `directory` below the run's; nothing when it was cancelled.
    /// What it does is told as events.
    ///
    /// # Errors
    /// An interruption, or files that cannot be written. Everything else is a verdict.
    pub fn trial(
        &mut self,
        files: &BootFiles,
        directory: &str,
        job: &Job,
        tell: &mut dyn FnMut(RunEvent) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<TrialRecord>> {
        let (began_ms, number) = (now_ms(), job.number);
        let folder = self.run_folder.join(directory);
        let mut trouble = None;
        let ui = self.parts.ui.clone();
        let held = job.shell.is_some() || job.by_hand;
        let hands = job
            .by_hand
            .then(|| -> Arc<dyn Hands> { Arc::new(AtTerminal(Arc::clone(&job.subject.scenario))) });
        let interrupt = self.parts.interrupt.clone();
        let order = Order {
            kernel: files,
            directory: &folder,
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
        let mut result = match outcome {
            Ok(result) => result,
            Err(SessionError::Cancelled) => return Ok(None),
            Err(SessionError::Interrupted) => return Err(errors::interrupted("interrupted", None)),
            Err(error @ SessionError::Runtime(_)) => return Err(error.into()),
        };
        if let Some(suspect) = result.kvm_suspect {
            self.look_at_kvm_again(suspect, &result);
        }
        if job.by_hand {
            keep_confirmed(&self.run_folder, &job.subject, &mut result)?;
        }
        let accelerator = self.probe.accelerator.to_string();
        Ok(Some(record(job, directory.to_owned(), began_ms, accelerator, result)))
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
                let parts = &self.parts;
                let mut directory = self.run_folder.join("lab");
                directory.extend(subject.folder.iter().chain(&self.lab));
                let settings = LabSettings {
                    qemu: parts.qemu.clone(),
                    accelerator: self.probe.accelerator,
                    root: parts.root.clone(),
                    reference: parts.reference.clone(),
                    scenario: Arc::clone(&subject.scenario),
                    placement: parts.placement,
                    directory,
                    timing: Timing::new(self.probe.speed, parts.choices.slow),
                    vmcore: parts.vmcore,
                    boot: BootPolicy {
                        way: parts.choices.boot,
                        no_pvh: self.probe.no_pvh.clone(),
                        crypto_tests: parts.choices.crypto_tests
                            || subject.scenario.needs_crypto_tests(),
                    },
                    preload: parts.preload,
                    states: parts.states.clone(),
                };
                let session = Session::new(settings, parts.interrupt.clone())?
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
        let (qemu, cache) = (&self.parts.qemu.path, &self.parts.cache_dir);
        let now = accel::probe(qemu, cache, Wish::AutoAgain);
        self.probe = match (suspect, &now.no_kvm) {
            (_, Some(_)) => now,
            // A kernel that is known to work did not boot.
            (KvmSuspect::PeerBoot, None) => accel::distrust_kvm(qemu, cache, &reason),
            (KvmSuspect::QemuEnded, None) => return,
        };
        if let Some(why) = &self.probe.no_kvm {
            self.parts
                .ui
                .note(&format!("KVM does not work any more, continuing with emulation: {why}"));
        }
        self.session = None;
    }
}

/// What is kept of a trial. The command that repeats it is not known here.
pub fn record(
    job: &Job,
    directory: String,
    began_ms: u64,
    accelerator: String,
    result: TrialResult,
) -> TrialRecord {
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
        accelerator,
        memory_mib: result.memory_mib,
        deadlines: result.deadlines,
        boot: result.boot,
        boot_id: result.boot_id,
        booted: result.booted,
        disturbed: result.disturbed,
        release: result.release,
        reused: None,
        repeat: String::new(),
        place: None,
    }
}
