//! Boot, nodes and steps of a trial.

use std::cell::Cell;
use std::fs;
use std::time::{Duration, Instant};

use kbisect_core::command::{CommandEnd, Ran};
use kbisect_core::judge::{
    Failed, MachineEnd, Refused, Unprepared, accepts, fault_of_node, fault_of_step, line_of,
    sought, text_of,
};
use kbisect_core::scenario::{Action, Step};
use kbisect_core::trial::AcceptedRefusal;
use kbisect_proto::{ASSETS_DIR, Command, Event, Feature, Request};

use super::{KvmSuspect, Notice, Stop, Trial, describe_end, with_source};
use crate::accel::Accelerator;
use crate::exit::end_of;
use crate::lab::{BootFiles, LabError};
use crate::machine::{CallError, Machine};
use crate::preparation::PrepareError;

impl Trial<'_> {
    /// Boots the candidate while the peer is made ready.
    pub(super) async fn boot(&mut self, kernel: &BootFiles) -> Result<(), Stop> {
        let wires = self.directory.join("wires");
        if let Err(error) =
            fs::create_dir_all(&wires).and_then(|()| self.lab.wires().start_recording(&wires))
        {
            return Err(self.infra(format!("cannot write {}: {error}", wires.display())));
        }
        let directory = self.directory.join("candidate");
        let boot = self.lab.timing().boot;
        let mut coming = self.coming;
        let (mut candidate, rise) = match self.lab.start_candidate(kernel, &directory, coming) {
            Ok(started) => started,
            Err(error) => return Err(self.infra(with_source(&error))),
        };
        let (own_under_test, own_reference) =
            self.start_own().map_err(|error| self.infra(error))?;
        let started = candidate.started();
        let deadline = Cell::new(started + boot);
        let preparation = self.lab.preparation(&self.lab.plan().candidate.nodes);
        // Both machines come up at the same time.
        let beside = async {
            let peer = match self.lab.ready_peer().await {
                Ok(()) => self.references_up(own_reference).await,
                Err(error) => Err(error),
            };
            self.lab.wires().open();
            // What the peer took says how long the candidate may take.
            deadline.set(started + self.lab.timing().boot);
            let early = if peer.is_ok() { self.early().await } else { Ok(()) };
            (peer, early)
        };
        // So are their nodes made.
        let up = async {
            let risen = rise.up(&candidate, &deadline).await;
            let at = Instant::now();
            let made = match risen.result {
                Ok(()) if risen.ours.is_none() => Some(preparation.send(&candidate).await),
                _ => None,
            };
            let mut own = Vec::new();
            for rising in own_under_test {
                own.push(rising.up(&deadline).await);
            }
            (risen, made, at, own)
        };
        let ((mut risen, made, at, own), (peer, early)) = tokio::join!(up, beside);
        self.up_at = Some(at);
        self.nodes_made = made;
        self.notes.extend(risen.note.take());
        while risen.result.is_err() && risen.ours.is_none() {
            let Some(next) = self.lab.next_try(kernel, coming, risen.boot) else { break };
            coming = next;
            candidate.stop().await;
            let (again, rise) = match self.lab.start_candidate(kernel, &directory, coming) {
                Ok(started) => started,
                Err(error) => return Err(self.infra(with_source(&error))),
            };
            candidate = again;
            deadline.set(candidate.started() + self.lab.timing().boot);
            risen = rise.up(&candidate, &deadline).await;
            self.up_at = Some(Instant::now());
            self.notes.extend(risen.note.take());
        }
        // What it does on files that are not what they were says nothing of its kernel.
        match risen.ours {
            Some(_) => drop(candidate.stop().await),
            None => self.candidate = Some(candidate),
        }
        (self.boot, self.boot_id) = (Some(risen.boot), Some(risen.boot_id));
        self.booted = Some(self.lab.booted(kernel, coming));
        self.slots.extend(risen.slot);
        self.keeping.extend(risen.keeping);
        if let Some(why) = risen.ours {
            return Err(self.infra(why));
        }
        let booted = risen.result;
        let Some(candidate) = &self.candidate else { return Err(Stop) };
        let failed_modules =
            candidate.look(|state| state.hello.as_ref().map(|hello| hello.failed_modules.clone()));
        for module in failed_modules.into_iter().flatten() {
            self.notes.push(format!("boot module did not load: {module}"));
        }
        // A peer that does not come up is named first: the candidate was given no chance.
        if let Err(error) = peer {
            if let LabError::PeerBoot { accelerator: Accelerator::Kvm, unexplained, .. } = error {
                self.kvm_suspect = Some(match unexplained {
                    true => KvmSuspect::PeerBoot,
                    false => KvmSuspect::QemuEnded,
                });
            }
            self.seen.hello = booted.is_ok();
            if let LabError::Node(unprepared) = &error {
                self.suspect_node(unprepared);
                self.seen.fault_at_reference = self.seen.fault.is_some();
            }
            return Err(self.infra(with_source(&error)));
        }
        match booted {
            Ok(()) => {
                self.seen.hello = true;
                self.own_up(own).await?;
                early
            }
            Err(CallError::Deadline) => {
                self.seen.boot_timeout =
                    Some(deadline.get().duration_since(candidate.started()).as_secs() as u32);
                self.seen.booting = self.lab.pulse().window(candidate.started());
                Err(Stop)
            }
            Err(CallError::Down) => {
                let ended =
                    candidate.look(|state| matches!(state.end, Some(MachineEnd::QemuEnded(_))));
                if ended && self.lab.settings().accelerator == Accelerator::Kvm {
                    self.kvm_suspect = Some(KvmSuspect::QemuEnded);
                }
                Err(Stop)
            }
        }
    }

    /// What the scenario lets the peer do while the candidate boots: `early` steps, then services.
    async fn early(&mut self) -> Result<(), Stop> {
        let scenario = self.lab.scenario().clone();
        for step in &scenario.setup {
            if self.is_early(step.early, &step.node) {
                self.step(step).await?;
            }
        }
        for service in &scenario.services {
            if self.is_early(service.early, &service.node) {
                self.service(service).await?;
            }
        }
        Ok(())
    }

    /// Whether something was done while the candidate booted. With everything on one machine nothing
    /// is.
    pub(super) fn is_early(&self, early: bool, node: &str) -> bool {
        early && self.hands.is_none() && !self.lab.plan().is_under_test(node)
    }

    pub(super) async fn make_nodes(&mut self) -> Result<(), Stop> {
        (self.notify)(Notice::Doing("nodes and addresses".to_owned()));
        self.asked = Instant::now();
        let Some(candidate) = &self.candidate else { return Err(Stop) };
        let made = match self.nodes_made.take() {
            Some(made) => made,
            None => self.lab.preparation(&self.lab.plan().candidate.nodes).send(candidate).await,
        };
        match made {
            Ok(()) => {}
            // What the candidate refuses may be a missing feature; what it says is the evidence.
            Err(_) if candidate.is_down() => return Err(Stop),
            Err(error) => return Err(self.nodes_refused(error).await),
        }
        self.make_own_nodes().await
    }

    /// A machine under test did not make its nodes.
    pub(super) async fn nodes_refused(&mut self, error: PrepareError) -> Stop {
        let (node, output) = match &error {
            PrepareError::Node(unprepared) => {
                self.suspect_node(unprepared);
                self.ask_lacks(&unprepared.said, &unprepared.command).await;
                (unprepared.node.clone(), unprepared.to_string())
            }
            PrepareError::Guest(reason) => ("candidate".to_owned(), reason.clone()),
        };
        self.seen.refused = Some(Refused {
            step: "nodes and addresses".to_owned(),
            node,
            rules: false,
            on_candidate: true,
            timed_out: false,
            window: self.lab.pulse().window(self.asked),
            output,
        });
        Stop
    }

    /// Asks a kernel that refused something whether it has what was asked for.
    pub(super) async fn ask_lacks(&mut self, said: &str, text: &str) {
        let features: Vec<Feature> = sought(said, text)
            .into_iter()
            .map(|it| Feature { name: it.name, config: it.config, modules: it.modules })
            .collect();
        let up = self.under_test().map(|(_, machine)| machine).find(|machine| !machine.is_down());
        let Some(candidate) = up.filter(|_| !features.is_empty()) else { return };
        let deadline = self.lab.patience(Duration::from_secs(15));
        let id = candidate.next_id();
        let answer = candidate.call(id, &Request::Lacks { id, features }, deadline).await;
        // No answer is none: then it is a refusal as others.
        if let Ok(Event::Lacking { names, .. }) = answer {
            self.seen.lacks.extend(names);
        }
    }

    fn suspect_node(&mut self, unprepared: &Unprepared) {
        let scenario = self.lab.scenario();
        let node = scenario.nodes.get(&unprepared.node);
        let fault = node.and_then(|node| fault_of_node(&unprepared.node, node, unprepared));
        self.seen.fault = self.seen.fault.take().or(fault);
    }

    /// The machine of a node, or the end of the trial.
    pub(super) fn machine(&mut self, node: &str) -> Result<&Machine, Stop> {
        if self.machine_of(node).is_none() && !self.lab.plan().is_under_test(node) {
            let (name, state) = self.reference_of(node);
            let reason =
                state.map_or_else(|| "it is not there".to_owned(), |state| describe_end(&state));
            return Err(self.infra(format!("the {name} failed: {reason}")));
        }
        self.machine_of(node).ok_or(Stop)
    }

    pub(super) async fn step(&mut self, step: &Step) -> Result<(), Stop> {
        (self.notify)(Notice::Doing(step.name.clone()));
        if let Action::Fault(fault) = &step.action {
            return self.inject(fault, true).await;
        }
        let timeout = self.lab.patience(Duration::from_secs_f64(step.timeout_s));
        for _ in 0..step.repeat {
            let command = step_command(&step.action);
            let outcome = self.exec(&step.node, command, timeout).await?;
            let timed_out = outcome.end == CommandEnd::TimedOut;
            let output = match outcome.end {
                CommandEnd::Status(0) => continue,
                _ => outcome.describe(),
            };
            let on_candidate = self.lab.plan().is_under_test(&step.node);
            let said = outcome.said();
            let failed = Failed { end: &outcome.end, said: &said, assets: ASSETS_DIR };
            if on_candidate && accepts(step, failed) {
                let (step, node) = (step.name.clone(), step.node.clone());
                let refusal = AcceptedRefusal { step, node, said: output };
                self.notes.push(refusal.to_string());
                self.accepted.push(refusal);
                return Ok(());
            }
            let fault = fault_of_step(step, failed);
            if on_candidate && fault.as_ref().is_none_or(|fault| !fault.cause.is_certain()) {
                let asset =
                    step.action.asset().and_then(|file| self.lab.scenario().assets.get(file));
                let line = line_of(&said);
                let text = text_of(&step.action, asset.map(Vec::as_slice), line);
                self.ask_lacks(&said, &text).await;
            }
            self.seen.fault = self.seen.fault.take().or(fault);
            self.seen.refused = Some(Refused {
                step: step.name.clone(),
                node: step.node.clone(),
                rules: step.action.loads_rules(),
                on_candidate,
                timed_out,
                window: self.lab.pulse().window(self.asked),
                output,
            });
            return Err(Stop);
        }
        Ok(())
    }

    pub(super) async fn exec(
        &mut self,
        node: &str,
        command: Command,
        timeout: Duration,
    ) -> Result<Ran, Stop> {
        self.machine(node)?;
        self.asked = Instant::now();
        let answer = self.ask(node, command, timeout).await;
        self.ran(node, answer)
    }

    /// Has a command run and waits for its end. Cancel-safe: the guest sees it to its end.
    pub(super) async fn ask(
        &self,
        node: &str,
        command: Command,
        timeout: Duration,
    ) -> Result<Event, CallError> {
        // The guest enforces the deadline; if it does not even answer, the machine hangs.
        let limit = timeout + self.lab.settings().timing.answer;
        let machine = self.machine_of(node).ok_or(CallError::Down)?;
        let id = machine.next_id();
        let request = Request::Exec {
            id,
            node: node.to_owned(),
            command,
            timeout_ms: timeout.as_millis() as u64,
        };
        machine.call(id, &request, limit).await
    }

    /// What an answer to [`Trial::ask`] says.
    pub(super) fn ran(
        &mut self,
        node: &str,
        answer: Result<Event, CallError>,
    ) -> Result<Ran, Stop> {
        match answer {
            Ok(Event::Exited { exit, stdout, stderr, .. }) => {
                Ok(Ran { end: end_of(&exit), stdout, stderr })
            }
            Ok(Event::Failed { error, .. }) => {
                let end = CommandEnd::NotStarted(error);
                Ok(Ran { end, stdout: Vec::new(), stderr: Vec::new() })
            }
            Ok(other) => Err(self.infra(format!("the guest answered {other:?} to a command"))),
            Err(error) => Err(self.no_answer(node, error)),
        }
    }

    pub(super) fn no_answer(&mut self, node: &str, error: CallError) -> Stop {
        if self.lab.plan().is_under_test(node) {
            if error == CallError::Deadline {
                // Heartbeats still come, but a deadline that the guest itself enforces passed.
                let seconds = self.lab.settings().timing.answer.as_secs() as u32;
                self.seen.end = MachineEnd::Silent { seconds };
                self.seen.silence = self.lab.pulse().window(self.asked);
            }
            return Stop;
        }
        let (name, state) = self.reference_of(node);
        let reason = state.map(|state| describe_end(&state)).unwrap_or_default();
        self.infra(format!("the {name} does not answer ({error}) {reason}"))
    }
}

pub(super) fn step_command(action: &Action) -> Command {
    let asset = |file: &str| format!("{ASSETS_DIR}/{file}");
    let argv = match action {
        Action::Nft(file) => vec!["nft".to_owned(), "-f".to_owned(), asset(file)],
        Action::IptablesRestore(file) => vec!["iptables-restore".to_owned(), asset(file)],
        Action::Ip6tablesRestore(file) => vec!["ip6tables-restore".to_owned(), asset(file)],
        Action::IpBatch(file) => vec!["ip".to_owned(), "-batch".to_owned(), asset(file)],
        Action::Run(script) => return shell(script),
        // It is put in by other means.
        Action::Fault(_) => Vec::new(),
    };
    Command { argv, stdin: Vec::new(), keep: 16 << 10 }
}

/// A script for the guest's shell, handed over as one argument.
pub(super) fn shell(script: &str) -> Command {
    let argv = ["sh", "-euc", script].map(str::to_owned).to_vec();
    Command { argv, stdin: Vec::new(), keep: 16 << 10 }
}
