//! The lab: what stays up between trials. The peer machine, the wires, the root image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kbisect_core::judge::{NodePart, Unprepared};
use kbisect_core::scenario::{MachineOptions, Scenario};
use kbisect_core::trial::{BootKind, Phase};
use kbisect_proto::{Event, FileContent, NodeSetup, Part, Request};

use crate::accel::Accelerator;
use crate::guest;
use crate::initramfs;
use crate::machine::{CallError, Machine, MachineSpec, StartError};
use crate::network::{MachinePlan, NetworkPlan, Placement};
use crate::qemu::Qemu;
use crate::rise::Rise;
use crate::states::States;
use crate::timing::Timing;
use crate::wire::Wires;

/// Largest part of a file that goes into one message, in bytes.
const FILE_PART: usize = 256 << 10;

/// The files that a kernel is booted from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootFiles {
    /// Kernel image.
    pub vmlinuz: PathBuf,
    /// Archive with the modules that are needed to reach the root image.
    pub boot_modules: Option<PathBuf>,
    /// Image with the whole module tree.
    pub modules: Option<PathBuf>,
    /// Words that the kernel itself adds to its command line, before those of the scenario.
    pub cmdline: Vec<String>,
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
    /// What becomes of the wires.
    pub wiring: Wiring,
    /// Where states of machines are kept; without it every machine boots.
    pub states: Option<States>,
}

/// What becomes of the wires in a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wiring {
    /// They carry frames throughout.
    #[default]
    Whole,
    /// They are cut when the checks begin: the proof that checks can fail.
    CutAtChecks,
}

/// Name of a candidate's memory dump, in the folder of its machine.
pub const VMCORE: &str = "vmcore";

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

/// Why the nodes of a machine are not there.
#[derive(Debug)]
pub enum PrepareError {
    /// A node could not be made.
    Node(Unprepared),
    /// The guest did not do what it was asked, or did not answer.
    Guest(String),
}

/// The lab. One trial at a time.
pub struct Lab {
    settings: LabSettings,
    plan: NetworkPlan,
    wires: Wires,
    peer: Option<Machine>,
    peers_started: u32,
}

impl Lab {
    /// Plans the lab; machines are started by the first trial.
    #[must_use]
    pub fn new(settings: LabSettings) -> Self {
        let plan = NetworkPlan::new(&settings.scenario, settings.placement);
        let wires = Wires::new(plan.links.clone());
        Self { settings, plan, wires, peer: None, peers_started: 0 }
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &LabSettings {
        &self.settings
    }

    /// The network.
    #[must_use]
    pub fn plan(&self) -> &NetworkPlan {
        &self.plan
    }

    /// The wires.
    #[must_use]
    pub fn wires(&self) -> &Wires {
        &self.wires
    }

    /// The peer machine, once it is up.
    #[must_use]
    pub fn peer(&self) -> Option<&Machine> {
        self.peer.as_ref()
    }

    /// The scenario.
    #[must_use]
    pub fn scenario(&self) -> &Arc<Scenario> {
        &self.settings.scenario
    }

    /// Multiplies a duration by the slowness of the accelerator.
    #[must_use]
    pub fn patience(&self, base: Duration) -> Duration {
        base.mul_f64(self.settings.accelerator.slowness())
    }

    /// Starts the candidate machine with its logs in `directory`. A `cold` one boots in any case.
    ///
    /// # Errors
    /// [`LabError`].
    pub fn start_candidate(
        &self,
        kernel: &BootFiles,
        directory: &Path,
        cold: bool,
    ) -> Result<(Machine, Rise), LabError> {
        let options = &self.settings.scenario.candidate;
        self.start_machine("candidate", kernel, options, &self.plan.candidate, directory, cold)
    }

    /// Makes the peer machine ready for a new trial: starts it, or resets it when it is up. Its
    /// nodes are made and its files are there afterwards.
    ///
    /// # Errors
    /// [`LabError`].
    pub async fn ready_peer(&mut self) -> Result<(), LabError> {
        let Some(plan) = self.plan.peer.clone() else { return Ok(()) };
        if let Some(peer) = self.peer.take()
            && !peer.is_down()
            // Its time-outs would mean nothing, for as long as it lives.
            && peer.look(|state| state.clock_ahead.is_none())
            && self.reset(&peer).await.is_ok()
        {
            self.peer = Some(peer);
        }
        if self.peer.is_none() {
            self.peer = Some(self.start_peer(&plan).await?);
        }
        let Some(peer) = &self.peer else { return Ok(()) };
        self.prepare(peer, &plan.nodes).await.map_err(|error| match error {
            PrepareError::Node(unprepared) => LabError::Node(unprepared),
            PrepareError::Guest(reason) => failed("peer", reason),
        })
    }

    async fn start_peer(&mut self, plan: &MachinePlan) -> Result<Machine, LabError> {
        self.peers_started += 1;
        let directory = self.settings.directory.join(format!("peer-{}", self.peers_started));
        let options = &self.settings.scenario.peer;
        let deadline = self.patience(self.settings.timing.boot);
        let mut cold = false;
        let (peer, result) = loop {
            let (peer, rise) = self.start_machine(
                "peer",
                &self.settings.reference,
                options,
                plan,
                &directory,
                cold,
            )?;
            let risen = rise.up(&peer, Instant::now() + deadline).await;
            if let Some(why) = risen.ours {
                peer.stop().await;
                return Err(failed("peer", why));
            }
            if risen.boot == BootKind::Cold || risen.result.is_ok() {
                break (peer, risen.result);
            }
            peer.stop().await;
            cold = true;
        };
        match result {
            Ok(()) => {
                peer.set_phase(Phase::Setup);
                Ok(peer)
            }
            Err(error) => {
                let state = peer.stop().await;
                let said =
                    state.boot_error.or_else(|| state.reports.first().map(|r| r.title.clone()));
                let reason = match (error, said, state.end) {
                    (_, Some(said), _) => said,
                    (CallError::Deadline, ..) => {
                        format!("no sign of life within {} s", deadline.as_secs())
                    }
                    (
                        CallError::Down,
                        None,
                        Some(kbisect_core::judge::MachineEnd::QemuEnded(why)),
                    ) => why,
                    (CallError::Down, None, end) => format!("{end:?}"),
                };
                Err(LabError::PeerBoot { accelerator: self.settings.accelerator, reason })
            }
        }
    }

    fn start_machine(
        &self,
        name: &str,
        kernel: &BootFiles,
        options: &MachineOptions,
        plan: &MachinePlan,
        directory: &Path,
        cold: bool,
    ) -> Result<(Machine, Rise), LabError> {
        let write = |path: &Path, source| LabError::Write { path: path.to_owned(), source };
        std::fs::create_dir_all(directory).map_err(|error| write(directory, error))?;
        let initramfs = directory.join("initramfs");
        initramfs::compose(&initramfs, kernel.boot_modules.as_deref(), guest::PROGRAM)
            .map_err(|error| write(&initramfs, error))?;
        let spec = MachineSpec {
            name: name.to_owned(),
            qemu: self.settings.qemu.clone(),
            accelerator: self.settings.accelerator,
            kernel: kernel.vmlinuz.clone(),
            initramfs,
            root: self.settings.root.clone(),
            modules: kernel.modules.clone(),
            memory_mib: options.memory_mib,
            cpus: options.cpus,
            cmdline: [kernel.cmdline.as_slice(), &options.cmdline].concat(),
            macs: (0..plan.plugs.len()).map(|at| kbisect_proto::boot_address(at as u8)).collect(),
            directory: directory.to_owned(),
            timing: self.settings.timing,
            vmcore: (self.settings.vmcore && name == "candidate").then(|| directory.join(VMCORE)),
        };
        let macs = plan.plugs.iter().map(|plug| plug.mac).collect();
        let rise = self.rise(&spec, macs, kernel.boot_modules.as_deref(), cold);
        let mut machine = Machine::start(&spec, &rise.start())?;
        for (plug, socket) in plan.plugs.iter().zip(machine.sockets.drain(..)) {
            self.wires
                .attach(plug.link, plug.port, socket)
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
        cold: bool,
    ) -> Rise {
        let patience = self.patience(Duration::from_secs(15));
        let states = self.settings.states.as_ref().filter(|_| spec.qemu.keeps_states());
        let Some(states) = states else { return Rise::boot(macs, None, patience) };
        let Ok(key) = spec.state_key(boot_modules) else {
            return Rise::boot(macs, None, patience);
        };
        let found = states.find(&key);
        match found {
            Some(saved) if !cold => Rise::restore(macs, saved, (states.clone(), key), patience),
            // Once is enough.
            Some(_) => Rise::boot(macs, None, patience),
            None => {
                let draft = states.begin(&key, &spec.kernel).unwrap_or_default();
                Rise::boot(macs, draft, patience)
            }
        }
    }

    async fn reset(&self, peer: &Machine) -> Result<(), String> {
        let id = peer.next_id();
        let deadline = self.patience(Duration::from_secs(10));
        done(peer.call(id, &Request::Reset { id }, deadline).await)
    }

    /// Sends the scenario's files and makes the nodes of a machine.
    ///
    /// # Errors
    /// The node that could not be made; else what the guest said, or that it did not answer.
    pub async fn prepare(
        &self,
        machine: &Machine,
        nodes: &[NodeSetup],
    ) -> Result<(), PrepareError> {
        let deadline = self.patience(Duration::from_secs(15));
        for files in batches(&self.settings.scenario.assets) {
            let id = machine.next_id();
            let answer = machine.call(id, &Request::Files { id, files }, deadline).await;
            done(answer).map_err(PrepareError::Guest)?;
        }
        let requires = &self.settings.scenario.requires;
        let told = self.settings.vmcore.then(|| VMCOREINFO_MODULE.to_owned());
        let named = requires.modules.iter().chain(&requires.optional_modules).cloned();
        let modules = named.chain(told).collect();
        let id = machine.next_id();
        let request = Request::Prepare { id, modules, nodes: nodes.to_vec(), files: Vec::new() };
        match machine.call(id, &request, deadline).await {
            Ok(Event::NotPrepared { node, part, command, said, .. }) => {
                let part = match part {
                    Part::Namespaces | Part::Files => NodePart::Own,
                    Part::Interfaces => NodePart::Interfaces,
                    Part::Devices => NodePart::Devices,
                    Part::Sysctl => NodePart::Sysctl,
                    Part::UnknownSysctl => NodePart::UnknownSysctl,
                    Part::Network => NodePart::Network,
                };
                Err(PrepareError::Node(Unprepared { node, part, command, said }))
            }
            answer => done(answer).map_err(PrepareError::Guest),
        }
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

fn done(answer: Result<Event, CallError>) -> Result<(), String> {
    match answer {
        Ok(Event::Done { .. }) => Ok(()),
        Ok(Event::Failed { error, .. }) => Err(error),
        Ok(other) => Err(format!("an answer that makes no sense: {other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Cuts files into parts and puts parts together into messages.
fn batches(assets: &BTreeMap<String, Vec<u8>>) -> Vec<Vec<FileContent>> {
    let mut batches = Vec::new();
    let mut batch: Vec<FileContent> = Vec::new();
    let mut size = 0;
    for (path, data) in assets {
        let mut parts: Vec<&[u8]> = data.chunks(FILE_PART).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        for part in parts {
            if size + part.len() > FILE_PART && !batch.is_empty() {
                batches.push(std::mem::take(&mut batch));
                size = 0;
            }
            size += part.len();
            batch.push(FileContent { path: path.clone(), data: part.to_vec() });
        }
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_any_size_travel_in_messages_that_fit() {
        let assets = BTreeMap::from([
            ("empty".to_owned(), Vec::new()),
            ("large".to_owned(), (0..700_000u32).map(|i| i as u8).collect::<Vec<u8>>()),
            ("small".to_owned(), b"x".to_vec()),
        ]);
        let mut merged: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for files in batches(&assets) {
            let request = Request::Files { id: 1, files: files.clone() };
            assert!(kbisect_proto::frame::encode(&request).is_ok());
            for file in files {
                merged.entry(file.path).or_default().extend(file.data);
            }
        }
        assert_eq!(merged, assets);
    }
}
