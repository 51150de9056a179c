//! One trial: boot, setup, workload, replay, checks, collect, off.

mod by_hand;
mod checks;
mod collect;
mod evidence;
mod faults;
mod located;
mod own;
mod peer;
mod probes;
mod services;
mod shared;
mod states;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use kbisect_core::boot::{Booted, Deadlines};
use kbisect_core::by_hand::{Part, Skipped};
use kbisect_core::disturbed::Disturbed;
use kbisect_core::evidence::Evidence;
use kbisect_core::inject::{Fault, Injected};
use kbisect_core::job::{Limits, ShellRequest};
use kbisect_core::judge::{Judged, MachineEnd, Observation, judge_whole};
use kbisect_core::scenario::Check;
use kbisect_core::trial::{
    AcceptedRefusal, BootId, BootKind, CheckResult, CheckStatus, ConsoleReport, Phase, Verdict,
    WireCount,
};

use tokio::task::JoinHandle;

use self::shared::SharedRun;

pub use self::by_hand::{Choice, Hands};

use crate::commands::CommandLog;
use crate::lab::{BootFiles, Coming, Lab};
use crate::machine::{Machine, MachineState};
use crate::network::Place;
use crate::preparation::PrepareError;
use crate::states::Slot;

/// What a running trial tells whoever watches.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A phase begins.
    Phase(Phase),
    /// A step, service or check begins.
    Doing(String),
    /// A check ended.
    Check(CheckResult),
    /// The terminal is needed for a shell, or for a question.
    ShellBegins,
    /// The user wants to end the run here.
    Aborted,
}

/// What a trial found.
#[derive(Clone, Debug)]
pub struct TrialResult {
    /// The verdict.
    pub verdict: Verdict,
    /// What it rests on.
    pub observation: Observation,
    /// Seconds per phase.
    pub timings_s: BTreeMap<String, f64>,
    /// Seconds in all.
    pub wall_s: f64,
    /// `uname -r` of the candidate.
    pub release: Option<String>,
    /// What was refused, as the scenario lets it.
    pub accepted: Vec<AcceptedRefusal>,
    /// What was broken on purpose.
    pub injected: Vec<Injected>,
    /// What was left out by hand.
    pub skipped: Vec<Skipped>,
    /// Remarks.
    pub notes: Vec<String>,
    /// Frames per wire and sender.
    pub wires: Vec<WireCount>,
    /// Hop by hop, for failed checks.
    pub hops: Vec<String>,
    /// Counters of candidate nodes that moved and tell of losses.
    pub counters: Vec<String>,
    /// Rule counters and connection tracking entries of failed connections.
    pub state: Vec<String>,
    /// SHA-256 of the states that nodes under test were in, where they were kept.
    pub states: BTreeMap<String, String>,
    /// What a crash left behind.
    pub evidence: Evidence,
    /// What speaks against KVM, if something does.
    pub kvm_suspect: Option<KvmSuspect>,
    /// How the candidate came up; nothing when it was not started.
    pub boot: Option<BootKind>,
    /// The boot that it rests on.
    pub boot_id: Option<BootId>,
    /// How that was a boot, now or when its state was saved.
    pub booted: Option<Booted>,
    /// What deadlines were multiplied by.
    pub deadlines: Option<Deadlines>,
    /// When something on our own side was not alive.
    pub disturbed: Disturbed,
    /// Most memory that its machines took, in MiB.
    pub memory_mib: Option<u64>,
}

/// What speaks against KVM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvmSuspect {
    /// The peer machine, which runs a kernel that is known to work, did not boot.
    PeerBoot,
    /// QEMU ended by itself before the candidate's user space was up.
    QemuEnded,
}

/// A trial to be made in a lab.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// The kernel.
    pub kernel: &'a BootFiles,
    /// Where its files go.
    pub directory: &'a Path,
    /// How the kernel comes up.
    pub coming: Coming,
    /// What is broken on purpose.
    pub fault: Option<&'a Fault>,
    /// What is waited for less than by its own deadline.
    pub limits: Limits,
    /// Whether somebody wants to look into a node before it is over.
    pub shell: Option<&'a ShellRequest>,
    /// Who decides of each thing that is done in it, if somebody does.
    pub hands: Option<&'a Arc<dyn Hands>>,
}

/// A trial under way.
pub struct Trial<'a> {
    lab: &'a mut Lab,
    kernel: &'a BootFiles,
    candidate: Option<Machine>,
    /// Machines that are one node's own, by their place in the plan.
    own: BTreeMap<usize, Machine>,
    /// Nodes whose own machine is switched off on purpose, and how often each has been.
    off: BTreeSet<String>,
    restarts: BTreeMap<String, u32>,
    /// Machines under test that were switched off: where their logs are, and what was known.
    past: Vec<(Option<String>, MachineState)>,
    /// Whether a machine under test did not come up although another did.
    unbooted: bool,
    coming: Coming,
    fault: Option<Fault>,
    /// Whether something was broken that the scenario knows nothing of.
    is_control: bool,
    limits: Limits,
    boot: Option<BootKind>,
    boot_id: Option<BootId>,
    booted: Option<Booted>,
    /// When the candidate was up; setting it up began then, beside the peer.
    up_at: Option<Instant>,
    /// How making the candidate's nodes ended, once it did.
    nodes_made: Option<Result<(), PrepareError>>,
    /// States that machines under test came from, or were saved to.
    slots: Vec<Slot>,
    /// States, while they are put away.
    keeping: Vec<JoinHandle<io::Result<()>>>,
    seen: Observation,
    accepted: Vec<AcceptedRefusal>,
    injected: Vec<Injected>,
    hands: Option<Arc<dyn Hands>>,
    skipped: Vec<Skipped>,
    /// Interfaces that have no carrier, by link and node.
    carriers_off: Vec<(String, String)>,
    notes: Vec<String>,
    kvm_suspect: Option<KvmSuspect>,
    /// Hop by hop, for failed checks.
    hops: Vec<String>,
    before: Vec<collect::Before>,
    /// Ends of connections that failed.
    failed: Vec<(SocketAddr, SocketAddr)>,
    state: Vec<String>,
    states: BTreeMap<String, String>,
    evidence: Evidence,
    /// The state that counts, once a crashed machine is asked for evidence: what comes of that is
    /// our doing.
    frozen: Option<MachineState>,
    /// Services that were started, with their number on their machine.
    services: BTreeMap<String, u32>,
    counters: Vec<String>,
    /// The program that the check before ran, while the next one may look at the same run.
    shared: Option<SharedRun>,
    timings: BTreeMap<String, f64>,
    started: Instant,
    /// When a guest was last asked for something.
    asked: Instant,
    phase_began: Instant,
    directory: &'a Path,
    notify: &'a mut dyn FnMut(Notice),
}

/// The trial ends here; the observation says why.
struct Stop;

/// What the record says of a negative control.
const CUT: &str = "a negative control: kbisect cut all wires when the checks began";

impl<'a> Trial<'a> {
    /// Boots the kernel, or goes on from its saved state, and runs the scenario up to and including the
    /// collection of evidence. The machines still run afterwards; [`Trial::finish`] switches the candidate off and judges.
    pub async fn run(
        lab: &'a mut Lab,
        order: &'a Order<'a>,
        notify: &'a mut dyn FnMut(Notice),
    ) -> Self {
        let Order { kernel, directory, coming, .. } = *order;
        let now = Instant::now();
        lab.pulse().begin();
        // The folder is there once the candidate is started; a log that cannot be is no reason not to.
        let log = fs::create_dir_all(directory).and_then(|()| CommandLog::create(directory));
        lab.times().begin(now, log.ok());
        let mut trial = Self {
            lab,
            kernel,
            candidate: None,
            own: BTreeMap::new(),
            off: BTreeSet::new(),
            restarts: BTreeMap::new(),
            past: Vec::new(),
            unbooted: false,
            coming,
            fault: order.fault.cloned(),
            is_control: false,
            limits: order.limits,
            boot: None,
            boot_id: None,
            booted: None,
            up_at: None,
            nodes_made: None,
            slots: Vec::new(),
            keeping: Vec::new(),
            seen: Observation::default(),
            accepted: Vec::new(),
            injected: Vec::new(),
            hands: order.hands.cloned(),
            skipped: Vec::new(),
            carriers_off: Vec::new(),
            notes: Vec::new(),
            kvm_suspect: None,
            hops: Vec::new(),
            before: Vec::new(),
            failed: Vec::new(),
            state: Vec::new(),
            states: BTreeMap::new(),
            evidence: Evidence::default(),
            frozen: None,
            services: BTreeMap::new(),
            counters: Vec::new(),
            shared: None,
            timings: BTreeMap::new(),
            started: now,
            asked: now,
            phase_began: now,
            directory,
            notify,
        };
        let pulse = trial.lab.pulse().clone();
        let patience = trial.lab.patience(peer::PEER_PATIENCE);
        let lost = tokio::select! {
            biased;
            _ = trial.phases(kernel) => None,
            why = peer::lost(pulse, patience) => Some(why),
        };
        if let Some(why) = lost {
            trial.infra(why);
        }
        trial.late_hello().await;
        trial.still_serving();
        // Checks can end while the kernel still prints its last words.
        let timing = trial.lab.settings().timing;
        for (_, machine) in trial.under_test() {
            machine.settled(timing.quiet_in_trace + 4 * timing.quiet).await;
        }
        let up =
            |machine: &Machine| !machine.is_down() && machine.look(|state| state.hello.is_some());
        if trial.under_test().any(|(_, machine)| up(machine)) {
            trial.begin(Phase::Collect);
            trial.collect().await;
            trial.lives_on().await;
        } else {
            trial.collect_crashed().await;
        }
        trial.keep_memory().await;
        trial
    }

    /// The machine that a node is on, if it runs.
    pub fn machine_of(&self, node: &str) -> Option<&Machine> {
        let machine = match self.lab.plan().place_of(node) {
            Place::Candidate => self.candidate.as_ref(),
            Place::Peer => self.lab.peer(),
            Place::Own(own) => self.own.get(&own),
        };
        machine.filter(|machine| !machine.is_down())
    }

    /// Names of the nodes whose machines run.
    pub fn nodes_up(&self) -> Vec<&str> {
        let nodes = self.lab.scenario().nodes.keys().map(String::as_str);
        nodes.filter(|node| self.machine_of(node).is_some()).collect()
    }

    /// Tells whoever watches.
    pub fn tell(&mut self, notice: Notice) {
        (self.notify)(notice);
    }

    /// The node that a shell is opened in when none is named.
    pub fn first_candidate_node(&self) -> Option<String> {
        self.lab.plan().candidate.nodes.first().map(|node| node.name.clone())
    }

    /// The verdict as it stands.
    pub fn verdict(&self) -> Verdict {
        let mut seen = self.seen.clone();
        for (console, state) in &self.past {
            merge_state(&mut seen, console.as_deref(), state);
        }
        for (place, machine) in self.under_test() {
            let state = match (&self.frozen, place) {
                (Some(state), Place::Candidate) => state.clone(),
                _ => machine.state(),
            };
            merge_state(&mut seen, self.console_of(place).as_deref(), &state);
        }
        self.judge(&mut seen).verdict
    }

    fn judge(&self, seen: &mut Observation) -> Judged {
        seen.hello &= !self.unbooted;
        seen.peer_clock = self.peer_clock();
        seen.gaps = self.lab.pulse().gaps();
        judge_whole(seen, self.lab.scenario().warnings)
    }

    fn peer_clock(&self) -> Option<String> {
        let peer = self.lab.peer().map(|peer| ("peer", peer));
        let mut machines = peer.into_iter().chain(self.own_reference());
        machines.find_map(|(name, machine)| wrong_clock(name, &machine.state()))
    }

    /// Switches the candidate off and judges.
    pub async fn finish(mut self) -> TrialResult {
        self.begin(Phase::Off);
        let own = self.own.values();
        let machines = || self.candidate.iter().chain(self.lab.peer()).chain(own.clone());
        // Of one that is gone nothing is known, and the sum would say too little.
        let memory_mib = machines().map(Machine::peak_mib).sum();
        self.close_services();
        let _ = self.carriers_back(None).await;
        if self.peer_is_spoilt() {
            self.lab.forget_peer();
        }
        let release = self.switch_off().await;
        let mut seen = std::mem::take(&mut self.seen);
        let Judged { verdict, disturbed } = self.judge(&mut seen);
        let record = seen.gaps.record(disturbed);
        self.seen = seen;
        self.note_crash(&verdict);
        let recording = self.lab.wires().stop_recording().await;
        for keeping in self.keeping.drain(..) {
            if let Ok(Err(error)) = keeping.await {
                self.notes
                    .push(format!("the booted kernel was not saved for later trials: {error}"));
            }
        }
        // Later trials would go on with the same clock.
        if self.seen.clock.is_some() {
            self.slots.drain(..).for_each(|slot| slot.forget());
        }
        self.notes.extend(busy_host());
        self.notes.extend(recording.trouble);
        let _ = fs::remove_file(self.directory.join("candidate/initramfs"));
        self.close_phase(Instant::now());
        self.keep_times();
        TrialResult {
            verdict,
            observation: self.seen,
            timings_s: self.timings,
            wall_s: self.started.elapsed().as_secs_f64(),
            release,
            accepted: self.accepted,
            injected: self.injected,
            skipped: self.skipped,
            notes: self.notes,
            wires: recording.counts,
            hops: self.hops,
            counters: self.counters,
            state: self.state,
            states: self.states,
            evidence: self.evidence,
            kvm_suspect: self.kvm_suspect,
            boot: self.boot,
            boot_id: self.boot_id,
            booted: self.booted,
            deadlines: Some(self.lab.timing().deadlines()),
            disturbed: record,
            memory_mib,
        }
    }

    /// Writes who waited for whom.
    fn keep_times(&mut self) {
        let path = self.directory.join("times.json");
        let text = serde_json::to_vec(&self.lab.times().end()).unwrap_or_default();
        if let Err(error) = fs::write(&path, text) {
            self.notes.push(format!("cannot write {}: {error}", path.display()));
        }
    }

    async fn phases(&mut self, kernel: &BootFiles) -> Result<(), Stop> {
        let scenario = self.lab.scenario().clone();
        self.seen.checks = scenario.checks.iter().map(not_run).collect();
        self.may(Part::Nodes, 0).await?;
        self.begin(Phase::Boot);
        self.boot(kernel).await?;
        self.begin(Phase::Setup);
        self.make_nodes().await?;
        for (at, step) in scenario.setup.iter().enumerate() {
            if !self.is_early(step.early, &step.node) && self.may(Part::Setup, at).await? {
                self.step(step).await?;
            }
        }
        self.keep_states(&scenario.setup).await?;
        self.count_before().await;
        self.begin(Phase::Workload);
        for (at, service) in scenario.services.iter().enumerate() {
            if !self.services.contains_key(&service.name) && self.may(Part::Services, at).await? {
                self.service(service).await?;
            }
        }
        self.begin(Phase::Replay);
        let mut left: Vec<(usize, &Check)> = scenario.checks.iter().enumerate().collect();
        for (at, step) in scenario.replay.iter().enumerate() {
            if self.may(Part::Replay, at).await? {
                self.step(step).await?;
            }
            let (now, later): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|(_, check)| check.after.as_ref() == Some(&step.name));
            self.checks(&now).await?;
            left = later;
        }
        self.keep_states(&scenario.replay).await?;
        self.begin(Phase::Checks);
        self.checks(&left).await?;
        self.answers_at_end().await
    }

    /// Makes checks. What is to be broken is broken before the first of all.
    async fn checks(&mut self, checks: &[(usize, &Check)]) -> Result<(), Stop> {
        let Some(_) = checks.first() else { return Ok(()) };
        self.shared = None;
        if let Some(fault) = self.fault.take() {
            self.notes.push(match fault {
                Fault::WiresCut => CUT.to_owned(),
                _ => format!("a negative control: `{fault}` when the checks began"),
            });
            self.inject(&fault, false).await?;
            self.is_control = true;
        }
        for (index, check) in checks {
            if self.may(Part::Checks, *index).await? {
                self.check(*index, check).await?;
            }
        }
        Ok(())
    }

    /// Tells a kernel that hangs while it boots from one that boots too slowly: the latter comes up a
    /// little later.
    async fn late_hello(&self) {
        let Some(candidate) = &self.candidate else { return };
        if self.seen.boot_timeout.is_some() && !candidate.is_down() {
            let _ = candidate.hello(self.lab.timing().boot / 4).await;
        }
    }

    fn begin(&mut self, phase: Phase) {
        let now = self.up_at.take().unwrap_or_else(Instant::now);
        self.close_phase(now);
        if phase <= Phase::Checks {
            self.seen.phase = phase;
        }
        self.phase_began = now;
        self.candidate.iter().chain(self.own.values()).for_each(|machine| machine.set_phase(phase));
        self.timings.insert(phase.to_string(), 0.0);
        (self.notify)(Notice::Phase(phase));
    }

    fn close_phase(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.phase_began).as_secs_f64();
        // The phase that is open is the last one that was entered.
        let open = Phase::ALL
            .iter()
            .rev()
            .map(ToString::to_string)
            .find(|name| self.timings.contains_key(name));
        if let Some(time) = open.and_then(|name| self.timings.get_mut(&name)) {
            *time = seconds;
        }
    }

    fn infra(&mut self, reason: String) -> Stop {
        self.seen.infra.get_or_insert(reason);
        Stop
    }
}

/// Says when the host had too few processors for what ran on it (Documentation/accounting/psi.rst):
/// the share of time in which something waited for one.
fn busy_host() -> Option<String> {
    const BUSY: f64 = 60.0;
    let text = fs::read_to_string("/proc/pressure/cpu").ok()?;
    let share: f64 = text.split_once("avg60=")?.1.split_whitespace().next()?.parse().ok()?;
    (share >= BUSY).then(|| {
        format!("the host was busy: something waited for a processor {share:.0} % of the last minute, so time-outs say less")
    })
}

/// Adds what is known of a machine under test. `console` is its log, where that is not the candidate's.
fn merge_state(seen: &mut Observation, console: Option<&str>, state: &MachineState) {
    seen.hello |= state.hello.is_some() && state.boot_error.is_none();
    seen.boot_error = seen.boot_error.take().or_else(|| state.boot_error.clone());
    seen.panicked |= state.panicked;
    seen.watchdog |= state.watchdog;
    let reports = state.reports.iter().cloned();
    seen.reports.extend(
        reports.map(|report| ConsoleReport { console: console.map(str::to_owned), ..report }),
    );
    seen.report_windows.extend(state.report_windows.iter().cloned());
    seen.clock = seen.clock.take().or_else(|| wrong_clock("candidate", state));
    if let (MachineEnd::Running, Some(end)) = (&seen.end, &state.end) {
        seen.end = end.clone();
        seen.silence = state.silence;
    }
}

/// Says that time in a machine's guest cannot be trusted, if so.
fn wrong_clock(machine: &str, state: &MachineState) -> Option<String> {
    let seconds = state.clock_ahead?.as_secs();
    Some(format!(
        "the clock of the {machine} machine is wrong (it ran {seconds} s ahead; a busy host makes kernels \
         measure their processor's clock wrongly)"
    ))
}

fn describe_end(state: &MachineState) -> String {
    match (&state.end, state.reports.first()) {
        (_, Some(report)) => report.title.clone(),
        (Some(MachineEnd::QemuEnded(why)), None) => why.clone(),
        (Some(MachineEnd::Silent { seconds }), None) => format!("silent for {seconds} s"),
        (Some(MachineEnd::Restarted), None) => "it restarted".to_owned(),
        (Some(MachineEnd::PoweredOff), None) => "it switched itself off".to_owned(),
        (Some(MachineEnd::ChannelBroken(why)), None) => why.clone(),
        (Some(MachineEnd::Running) | None, None) => String::new(),
    }
}

fn not_run(check: &Check) -> CheckResult {
    CheckResult {
        name: check.name.clone(),
        status: CheckStatus::NotRun,
        detail: "the trial ended before".to_owned(),
        wall_s: 0.0,
    }
}

fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
