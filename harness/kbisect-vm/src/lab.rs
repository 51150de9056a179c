//! The lab: what stays up between trials. The peer machine, the wires, the root image.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use kbisect_core::boot::Coming;
use kbisect_core::boot::{BootWay, Booted};
use kbisect_core::disturbed::{Standing, Whose};
use kbisect_core::judge::{MachineEnd, Unprepared};
use kbisect_core::scenario::{MachineOptions, NodeKernel, Scenario};
use kbisect_core::trial::{BootKind, Phase};
use kbisect_proto::{NodeSetup, Request};

use crate::accel::Accelerator;
use crate::guest;
use crate::initramfs;
use crate::lock::lock;
use crate::machine::{CallError, Machine, MachineSpec, StartError};
use crate::network::{MachinePlan, NetworkPlan, OwnPlan, Placement};
use crate::preparation::{Preparation, PrepareError, done};
use crate::pulse::{Pulse, Side};
use crate::qemu::Qemu;
use crate::rise::Rise;
use crate::states::{Slot, States};
use crate::times::Times;
use crate::timing::{Speed, Timing};
use crate::wire::Wires;

/// The files that a kernel is booted from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootFiles {
    /// Kernel image, as it is shipped.
    pub vmlinuz: PathBuf,
    /// The same unpacked, to be booted by its PVH entry; or why there is none.
    pub unpacked: Result<PathBuf, String>,
    /// Archive with the modules that are needed to reach the root image.
    pub boot_modules: Option<PathBuf>,
    /// Image with the whole module tree.
    pub modules: Option<PathBuf>,
    /// Words that the kernel itself adds to its command line, before those of the scenario.
    pub cmdline: Vec<String>,
}

impl BootFiles {
    /// Whether the kernel was never packed: then it can be booted by its PVH entry only.
    pub fn is_unpacked(&self) -> bool {
        self.unpacked.as_ref() == Ok(&self.vmlinuz)
    }
}

/// What a lab is made of.
#[derive(Clone, Debug)]
pub struct LabSettings {
    /// QEMU.
    pub qemu: Qemu,
    /// Accelerator.
    pub accelerator: Accelerator,
    /// Root image.
    pub root: PathBuf,
    /// The kernel of the reference nodes.
    pub reference: BootFiles,
    /// The scenario.
    pub scenario: Arc<Scenario>,
    /// Where nodes are put.
    pub placement: Placement,
    /// Folder for what is not a trial's: the peer machine's logs.
    pub directory: PathBuf,
    /// Limits.
    pub timing: Timing,
    /// Whether the memory of a candidate that crashed or hung is dumped.
    pub vmcore: bool,
    /// How kernels are booted.
    pub boot: BootPolicy,
    /// Whether the scenario's modules are loaded before a state is saved: quicker, but of use to this
    /// scenario alone.
    pub preload: bool,
    /// Where states of machines are kept; without it every machine boots.
    pub states: Option<States>,
}

/// How kernels are booted, unless a trial asks for a boot as shipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootPolicy {
    /// The way that is wanted.
    pub way: BootWay,
    /// Why none can be booted by its PVH entry, if so.
    pub no_pvh: Option<String>,
    /// Whether they test their cryptography.
    pub crypto_tests: bool,
}

/// What the machine of reference nodes is called.
const PEER: &str = "peer machine";

/// Name of a candidate's memory dump, in the folder of its machine.
pub const VMCORE: &str = "vmcore";

/// Keeps the kernel from testing its cryptography while it boots (crypto/algboss.c), which takes a
/// sixth of a boot under emulation.
const NO_CRYPTO_TESTS: &str = "cryptomgr.notests";

/// Tells the hypervisor how to read the kernel's memory (drivers/firmware/qemu_fw_cfg.c); a module
/// on Debian's kernels.
const VMCOREINFO_MODULE: &str = "qemu_fw_cfg";

/// Why the lab does not work. Always our own or the host's failure.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// QEMU did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Files.
    #[error("cannot write {path}")]
    Write {
        /// Path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The peer machine did not come up.
    #[error("the peer machine did not come up under {accelerator}: {reason}")]
    PeerBoot {
        /// Accelerator.
        accelerator: Accelerator,
        /// Whether nothing on the host explains it: no disk that failed, no QEMU that was stopped or killed.
        unexplained: bool,
        /// Why.
        reason: String,
    },
    /// A node of the peer machine could not be made.
    #[error("the peer machine failed: {0}")]
    Node(Unprepared),
    /// A machine that runs the reference kernel did not do what it was asked.
    #[error("the {machine} machine failed: {reason}")]
    Failed {
        /// Its name.
        machine: String,
        /// Why.
        reason: String,
    },
}

/// The lab. One trial at a time.
pub struct Lab {
    settings: LabSettings,
    plan: NetworkPlan,
    wires: Wires,
    pulse: Pulse,
    peer: Option<Machine>,
    /// The state that the peer came from, or was saved to.
    peer_slot: Option<Slot>,
    peers_started: u32,
    times: Times,
    /// Kernels that did not come up by their PVH entry, and why.
    no_pvh: Mutex<BTreeMap<PathBuf, String>>,
}

/// What a machine is for.
#[derive(Clone, Copy)]
struct Role<'a> {
    name: &'a str,
    side: Side,
    options: &'a MachineOptions,
    plan: &'a MachinePlan,
}

impl Lab {
    /// Plans the lab; machines are started by the first trial.
    pub fn new(settings: LabSettings) -> Self {
        let plan = NetworkPlan::new(&settings.scenario, settings.placement);
        let pulse = Pulse::default();
        let wires = Wires::new(plan.links.clone(), pulse.clone());
        Self {
            settings,
            plan,
            wires,
            pulse,
            peer: None,
            peer_slot: None,
            peers_started: 0,
            times: Times::default(),
            no_pvh: Mutex::default(),
        }
    }

    /// The settings.
    pub fn settings(&self) -> &LabSettings {
        &self.settings
    }

    /// The network.
    pub fn plan(&self) -> &NetworkPlan {
        &self.plan
    }

    /// The wires.
    pub fn wires(&self) -> &Wires {
        &self.wires
    }

    /// Who looks after who is alive.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Where waits are noted.
    pub fn times(&self) -> &Times {
        &self.times
    }

    /// The peer machine, once it is up.
    pub fn peer(&self) -> Option<&Machine> {
        self.peer.as_ref()
    }

    /// Ends the peer machine: the next trial starts another one.
    pub fn forget_peer(&mut self) {
        self.peer = None;
    }

    /// The scenario.
    pub fn scenario(&self) -> &Arc<Scenario> {
        &self.settings.scenario
    }

    /// Limits, as far as the host's speed is known by now.
    pub fn timing(&self) -> Timing {
        self.settings.timing
    }

    /// Lengthens a duration as the host's speed asks for.
    pub fn patience(&self, base: Duration) -> Duration {
        self.settings.timing.patience(base)
    }

    /// Starts the candidate machine with its logs in `directory`.
    pub fn start_candidate(
        &self,
        kernel: &BootFiles,
        directory: &Path,
        coming: Coming,
    ) -> Result<(Machine, Rise), LabError> {
        let role = Role {
            name: "candidate",
            side: Side::Candidate,
            options: &self.settings.scenario.candidate,
            plan: &self.plan.candidate,
        };
        self.start_machine(&role, kernel, directory, coming)
    }

    /// Starts the machine that is a node's own, with its logs in `directory`. `kernel` is the one under test.
    pub fn start_own(
        &self,
        own: &OwnPlan,
        kernel: &BootFiles,
        directory: &Path,
        coming: Coming,
    ) -> Result<(Machine, Rise), LabError> {
        let (kernel, side) = match own.kernel {
            NodeKernel::Candidate => (kernel, Side::Candidate),
            NodeKernel::Reference => (&self.settings.reference, Side::Peer),
        };
        let options = own.options(&self.settings.scenario);
        let role = Role { name: &own.node, side, options, plan: &own.machine };
        self.start_machine(&role, kernel, directory, coming)
    }

    /// How a kernel is booted in this lab.
    pub fn booted(&self, kernel: &BootFiles, coming: Coming) -> Booted {
        let shipped = coming == Coming::AsShipped;
        let policy = &self.settings.boot;
        let failed = lock(&self.no_pvh).get(&kernel.vmlinuz).cloned();
        let cannot = kernel.unpacked.as_ref().err().cloned();
        let wanted = !shipped && policy.way == BootWay::Pvh;
        let no_pvh = policy.no_pvh.clone().or(failed).or(cannot).filter(|_| wanted);
        // One that was never packed has no other way.
        let never_packed = kernel.is_unpacked();
        let pvh = never_packed || (wanted && no_pvh.is_none());
        let way = if pvh { BootWay::Pvh } else { BootWay::BzImage };
        let crypto_tests = shipped || policy.crypto_tests;
        let as_shipped = crypto_tests && (way == BootWay::BzImage || never_packed);
        Booted { way, no_pvh, never_packed, crypto_tests, as_shipped }
    }

    /// Takes note that a kernel does not come up by its PVH entry.
    pub fn distrust_pvh(&self, kernel: &BootFiles, why: &str) {
        lock(&self.no_pvh).insert(kernel.vmlinuz.clone(), why.to_owned());
    }

    /// Makes the peer machine ready for a new trial: starts it, or resets it when it is up. Its
    /// nodes are made and its files are there afterwards.
    pub async fn ready_peer(&mut self) -> Result<(), LabError> {
        let Some(plan) = self.plan.peer.clone() else { return Ok(()) };
        if let Some(peer) = self.peer.take()
            && !peer.is_down()
            && self.keeps_time(&peer)
            && self.reset(&peer).await.is_ok()
        {
            self.peer = Some(peer);
        }
        if self.peer.is_none() {
            self.peer = Some(self.start_peer(&plan).await?);
        }
        let Some(peer) = &self.peer else { return Ok(()) };
        self.preparation(&plan.nodes).send(peer).await.map_err(|error| match error {
            PrepareError::Node(unprepared) => LabError::Node(unprepared),
            PrepareError::Guest(reason) => failed("peer", reason),
        })?;
        self.pulse.expect(PEER, peer.pid(), peer.witness());
        Ok(())
    }

    /// Whether the peer's clock is right. With a wrong one its time-outs mean nothing for as long as it
    /// lives, and nor do those of its saved twins.
    fn keeps_time(&mut self, peer: &Machine) -> bool {
        let right = peer.look(|state| state.clock_ahead.is_none());
        if let (false, Some(slot)) = (right, self.peer_slot.take()) {
            slot.forget();
        }
        right
    }

    async fn start_peer(&mut self, plan: &MachinePlan) -> Result<Machine, LabError> {
        self.peers_started += 1;
        let directory = self.settings.directory.join(format!("peer-{}", self.peers_started));
        let options = &self.settings.scenario.peer;
        let deadline = self.settings.timing.boot;
        let role = Role { name: "peer", side: Side::Peer, options, plan };
        let reference = &self.settings.reference;
        let mut coming = Coming::Any;
        let (peer, boot, result) = loop {
            let (peer, rise) = self.start_machine(&role, reference, &directory, coming)?;
            let risen = rise.up(&peer, &Cell::new(Instant::now() + deadline)).await;
            self.peer_slot = risen.slot;
            if let Some(why) = risen.ours {
                peer.stop().await;
                return Err(failed("peer", why));
            }
            if risen.result.is_ok() {
                break (peer, risen.boot, risen.result);
            }
            coming = match self.next_try(reference, coming, risen.boot) {
                Some(next) => next,
                None => break (peer, risen.boot, risen.result),
            };
            peer.stop().await;
        };
        match result {
            Ok(()) => {
                peer.set_phase(Phase::Setup);
                let took = peer.look(|state| state.hello.as_ref().map(|hello| hello.after));
                if let (Some(took), BootKind::Cold) = (took, boot) {
                    let timing = &mut self.settings.timing;
                    *timing = timing.at_least(Speed::of_boot(took));
                }
                Ok(peer)
            }
            Err(error) => {
                let whole = self.pulse.window(peer.started());
                let sound = matches!(self.pulse.standing(whole, Whose::Everyone), Standing::Sound);
                let state = peer.stop().await;
                let unexplained = sound && !matches!(state.end, Some(MachineEnd::QemuEnded(_)));
                let said =
                    state.boot_error.or_else(|| state.reports.first().map(|r| r.title.clone()));
                let reason = match (error, said, state.end) {
                    (_, Some(said), _) => said,
                    (CallError::Deadline, ..) => {
                        format!(
                            "no sign of life within {} s, which is how long a boot may take here (--slow 3 makes all deadlines three times as long)",
                            deadline.as_secs()
                        )
                    }
                    (CallError::Down, None, Some(MachineEnd::QemuEnded(why))) => why,
                    (CallError::Down, None, end) => format!("{end:?}"),
                };
                let accelerator = self.settings.accelerator;
                Err(LabError::PeerBoot { accelerator, unexplained, reason })
            }
        }
    }

    /// How a machine that did not come up is tried again: by a boot where it was from a saved state,
    /// without the PVH entry where it was by that.
    pub fn next_try(&self, kernel: &BootFiles, coming: Coming, was: BootKind) -> Option<Coming> {
        if was == BootKind::Restored {
            return Some(Coming::Cold);
        }
        if self.booted(kernel, coming).way == BootWay::BzImage || kernel.is_unpacked() {
            return None;
        }
        self.distrust_pvh(kernel, "it did not come up by its PVH entry");
        Some(Coming::Cold)
    }

    fn start_machine(
        &self,
        role: &Role<'_>,
        kernel: &BootFiles,
        directory: &Path,
        coming: Coming,
    ) -> Result<(Machine, Rise), LabError> {
        let Role { name, side, options, plan } = *role;
        let booted = self.booted(kernel, coming);
        let image = match (&kernel.unpacked, booted.way) {
            (Ok(unpacked), BootWay::Pvh) => unpacked,
            _ => &kernel.vmlinuz,
        };
        let no_tests = (!booted.crypto_tests).then(|| NO_CRYPTO_TESTS.to_owned());
        let write = |path: &Path, source| LabError::Write { path: path.to_owned(), source };
        std::fs::create_dir_all(directory).map_err(|error| write(directory, error))?;
        let initramfs = directory.join("initramfs");
        let spec = MachineSpec {
            name: name.to_owned(),
            qemu: self.settings.qemu.clone(),
            accelerator: self.settings.accelerator,
            kernel: image.clone(),
            initramfs,
            root: self.settings.root.clone(),
            modules: kernel.modules.clone(),
            memory_mib: options.memory_mib,
            cpus: options.cpus,
            cmdline: no_tests
                .into_iter()
                .chain(kernel.cmdline.iter().chain(&options.cmdline).cloned())
                .collect(),
            preload: if self.settings.preload { self.modules() } else { Vec::new() },
            macs: (0..plan.plugs.len()).map(|at| kbisect_proto::boot_address(at as u8)).collect(),
            directory: directory.to_owned(),
            timing: self.settings.timing,
            pulse: self.pulse.clone(),
            side,
            times: self.times.clone(),
            vmcore: (self.settings.vmcore && name == "candidate").then(|| directory.join(VMCORE)),
        };
        let macs = plan.plugs.iter().map(|plug| plug.mac).collect();
        let rise = self.rise(&spec, macs, kernel.boot_modules.as_deref(), coming);
        if rise.boots() {
            let began = Instant::now();
            initramfs::compose(&spec.initramfs, kernel.boot_modules.as_deref(), guest::PROGRAM)
                .map_err(|error| write(&spec.initramfs, error))?;
            self.times.add("harness", format!("initramfs of {name}"), began);
        }
        let mut machine = Machine::start(&spec, &rise.start())?;
        for (plug, socket) in plan.plugs.iter().zip(machine.sockets.drain(..)) {
            self.wires
                .attach(plug.link, plug.port, side, socket)
                .map_err(|error| write(directory, error))?;
        }
        Ok((machine, rise))
    }

    /// Decides whether a machine boots or goes on from a saved state. The cache is a convenience: when
    /// it does not work, machines boot.
    fn rise(
        &self,
        spec: &MachineSpec,
        macs: Vec<[u8; 6]>,
        boot_modules: Option<&Path>,
        coming: Coming,
    ) -> Rise {
        let patience = self.patience(Duration::from_secs(15));
        let keeps = spec.qemu.keeps_states() && coming != Coming::AsShipped;
        let states = self.settings.states.as_ref().filter(|_| keeps);
        let Some(states) = states else { return Rise::boot(macs, None, patience) };
        let key = |loaded: &[String]| spec.state_key(boot_modules, loaded);
        let (Ok(wanted), Ok(plain)) = (key(&spec.preload), key(&[])) else {
            return Rise::boot(macs, None, patience);
        };
        let began = Instant::now();
        // What another scenario left is better than a boot.
        let found =
            [wanted.clone(), plain].into_iter().find_map(|key| Some((states.find(&key)?, key)));
        self.times.add("harness", format!("saved state of {}", spec.name), began);
        let keeps = match (coming, found) {
            (Coming::Any, Some((saved, key))) => {
                return Rise::restore(macs, saved, states.slot(&key), patience);
            }
            // Once is enough.
            (_, Some(_)) => coming == Coming::Renew,
            (_, None) => true,
        };
        let draft =
            keeps.then(|| states.begin(&wanted, &spec.kernel).unwrap_or_default()).flatten();
        Rise::boot(macs, draft, patience).loading(spec.preload.clone())
    }

    async fn reset(&self, peer: &Machine) -> Result<(), String> {
        let id = peer.next_id();
        let deadline = self.patience(Duration::from_secs(10));
        done(peer.call(id, &Request::Reset { id }, deadline).await)
    }

    /// What makes the nodes of a machine.
    pub fn preparation(&self, nodes: &[NodeSetup]) -> Preparation {
        let patience = self.patience(Duration::from_secs(15));
        let assets = &self.settings.scenario.assets;
        Preparation::new(assets, self.modules(), nodes.to_vec(), patience)
    }

    /// Modules that the scenario wants loaded.
    fn modules(&self) -> Vec<String> {
        let requires = &self.settings.scenario.requires;
        let told = self.settings.vmcore.then(|| VMCOREINFO_MODULE.to_owned());
        let named = requires.modules.iter().chain(&requires.optional_modules).cloned();
        named.chain(told).collect()
    }

    /// Switches everything off.
    pub async fn close(self) {
        if let Some(peer) = self.peer {
            peer.stop().await;
        }
    }
}

fn failed(machine: &str, reason: String) -> LabError {
    LabError::Failed { machine: machine.to_owned(), reason }
}
