//! Machines that are one node's own: they come up beside the candidate's, and can be switched off and on alone.

use std::cell::Cell;
use std::time::Instant;

use kbisect_core::scenario::{Action, NodeKernel};

use super::{Stop, Trial, merge_state, with_source};
use crate::lab::{BootFiles, Coming, LabError};
use crate::machine::{Machine, MachineState};
use crate::network::Place;
use crate::preparation::PrepareError;
use crate::rise::{Rise, Risen};

/// A machine on its way up.
pub(super) struct Rising {
    at: usize,
    machine: Machine,
    rise: Rise,
}

/// A machine that is up, or not.
pub(super) struct Up {
    at: usize,
    machine: Machine,
    risen: Risen,
}

impl Rising {
    /// Waits until it is up.
    pub(super) async fn up(self, deadline: &Cell<Instant>) -> Up {
        let Self { at, machine, rise } = self;
        let risen = rise.up(&machine, deadline).await;
        Up { at, machine, risen }
    }
}

/// Where the logs of a node's own machine are, in the trial's folder.
fn folder(node: &str, restarts: u32) -> String {
    match restarts {
        0 => format!("own/{node}"),
        _ => format!("own/{node}-{}", restarts + 1),
    }
}

impl Trial<'_> {
    /// Machines that run the kernel under test and are not switched off.
    pub(super) fn under_test(&self) -> impl Iterator<Item = (Place, &Machine)> {
        let plan = self.lab.plan();
        plan.under_test().filter_map(|(place, _)| {
            let machine = match place {
                Place::Candidate => self.candidate.as_ref(),
                Place::Own(own) => self.own.get(&own),
                Place::Peer => None,
            };
            Some((place, machine?))
        })
    }

    /// Machines of reference nodes that are their own, with their names.
    pub(super) fn own_reference(&self) -> impl Iterator<Item = (&str, &Machine)> {
        let plans = self.lab.plan().own.iter().enumerate();
        let plans = plans.filter(|(_, own)| own.kernel == NodeKernel::Reference);
        plans.filter_map(|(at, own)| Some((own.node.as_str(), self.own.get(&at)?)))
    }

    /// The machine of a node under test, also when it counts as down.
    pub(super) fn alive_or_crashed(&self, node: &str) -> Option<&Machine> {
        let wanted = self.lab.plan().place_of(node);
        self.under_test().find(|(place, _)| *place == wanted).map(|(_, machine)| machine)
    }

    /// What the machine of a reference node is called, and what is known of it.
    pub(super) fn reference_of(&self, node: &str) -> (String, Option<MachineState>) {
        match self.lab.plan().place_of(node) {
            Place::Own(own) => (machine_name(node), self.own.get(&own).map(Machine::state)),
            _ => ("peer machine".to_owned(), self.lab.peer().map(Machine::state)),
        }
    }

    /// Whether a node has a machine of its own here.
    pub(super) fn is_own(&self, node: &str) -> bool {
        let plan = self.lab.plan();
        let alone = plan.machine_of(node).nodes.len() == 1;
        let asked = self.lab.scenario().nodes.get(node).is_some_and(|it| !it.machine.is_shared());
        asked && alone && plan.place_of(node) != Place::Peer
    }

    /// The log of a machine's console, where that is not the candidate's.
    pub(super) fn console_of(&self, place: Place) -> Option<String> {
        let plan = self.lab.plan();
        let restarts = |node: &str| self.restarts.get(node).copied().unwrap_or_default();
        let folder = match place {
            Place::Candidate => {
                let node = &plan.candidate.nodes.first()?.name;
                (restarts(node) > 0).then(|| folder(node, restarts(node)))?
            }
            Place::Own(own) => {
                let node = &plan.own[own].node;
                folder(node, restarts(node))
            }
            Place::Peer => return None,
        };
        Some(format!("{folder}/console.log"))
    }

    /// Starts all of them: those under test, and the others.
    pub(super) fn start_own(&self) -> Result<(Vec<Rising>, Vec<Rising>), String> {
        let mut started = (Vec::new(), Vec::new());
        for (at, own) in self.lab.plan().own.iter().enumerate() {
            let rising = self.start_one(at, self.coming).map_err(|error| with_source(&error))?;
            match own.kernel {
                NodeKernel::Candidate => started.0.push(rising),
                NodeKernel::Reference => started.1.push(rising),
            }
        }
        Ok(started)
    }

    fn start_one(&self, at: usize, coming: Coming) -> Result<Rising, LabError> {
        let own = &self.lab.plan().own[at];
        let restarts = self.restarts.get(&own.node).copied().unwrap_or_default();
        let directory = self.directory.join(folder(&own.node, restarts));
        let (machine, rise) = self.lab.start_own(own, self.kernel, &directory, coming)?;
        Ok(Rising { at, machine, rise })
    }

    /// Tries one again that did not come up, as long as there is another way.
    async fn again(&mut self, up: Up) -> Result<Up, LabError> {
        let mut coming = self.coming;
        let mut up = up;
        self.notes.extend(up.risen.note.take());
        while up.risen.result.is_err() && up.risen.ours.is_none() {
            let kernel = self.kernel_of(self.lab.plan().own[up.at].kernel);
            let Some(next) = self.lab.next_try(kernel, coming, up.risen.boot) else { break };
            coming = next;
            up.machine.stop().await;
            let rising = self.start_one(up.at, coming)?;
            let deadline = Cell::new(rising.machine.started() + self.lab.timing().boot);
            up = rising.up(&deadline).await;
            self.notes.extend(up.risen.note.take());
        }
        self.keeping.extend(up.risen.keeping.take());
        Ok(up)
    }

    fn kernel_of(&self, kernel: NodeKernel) -> &BootFiles {
        match kernel {
            NodeKernel::Candidate => self.kernel,
            NodeKernel::Reference => &self.lab.settings().reference,
        }
    }

    /// Waits for the machines of reference nodes, and has their nodes made.
    pub(super) async fn references_up(&mut self, started: Vec<Rising>) -> Result<(), LabError> {
        for rising in started {
            let deadline = Cell::new(rising.machine.started() + self.lab.timing().boot);
            let up = rising.up(&deadline).await;
            self.reference_up(up).await?;
        }
        Ok(())
    }

    async fn reference_up(&mut self, up: Up) -> Result<(), LabError> {
        let Up { at, machine, risen } = self.again(up).await?;
        let own = self.lab.plan().own[at].clone();
        let failed = |reason| LabError::Failed { machine: own.node.clone(), reason };
        if let Some(why) = risen.ours {
            machine.stop().await;
            return Err(failed(why));
        }
        if let Err(error) = risen.result {
            let state = machine.stop().await;
            let said =
                state.boot_error.or_else(|| state.reports.first().map(|it| it.title.clone()));
            return Err(failed(said.unwrap_or_else(|| error.to_string())));
        }
        let made = self.lab.preparation(&own.machine.nodes).send(&machine).await;
        made.map_err(|error| match error {
            PrepareError::Node(unprepared) => LabError::Node(unprepared),
            PrepareError::Guest(reason) => failed(reason),
        })?;
        self.lab.pulse().expect(&machine_name(&own.node), machine.pid(), machine.witness());
        self.own.insert(at, machine);
        Ok(())
    }

    /// Takes the machines under test that came up beside the candidate's.
    pub(super) async fn own_up(&mut self, risen: Vec<Up>) -> Result<(), Stop> {
        for up in risen {
            let up = match self.again(up).await {
                Ok(up) => up,
                Err(error) => return Err(self.infra(with_source(&error))),
            };
            let Up { at, machine, risen } = up;
            self.slots.extend(risen.slot);
            if let Some(why) = risen.ours {
                machine.stop().await;
                return Err(self.infra(why));
            }
            let window = self.lab.pulse().window(machine.started());
            let waited = machine.started().elapsed();
            self.own.insert(at, machine);
            match risen.result {
                Ok(()) => {}
                Err(error) => {
                    self.unbooted = true;
                    if error == crate::machine::CallError::Deadline {
                        self.seen.boot_timeout = Some(waited.as_secs() as u32);
                        self.seen.booting = window;
                    }
                    return Err(Stop);
                }
            }
        }
        Ok(())
    }

    /// Has the nodes made that are alone on a machine under test.
    pub(super) async fn make_own_nodes(&mut self) -> Result<(), Stop> {
        let own = self.lab.plan().own.iter().enumerate();
        let under_test = own.filter(|(_, own)| own.kernel == NodeKernel::Candidate);
        let places: Vec<usize> = under_test.map(|(at, _)| at).collect();
        for at in places {
            self.make_one(Place::Own(at)).await?;
        }
        Ok(())
    }

    async fn make_one(&mut self, place: Place) -> Result<(), Stop> {
        let plan = self.lab.plan();
        let nodes = match place {
            Place::Own(at) => plan.own[at].machine.nodes.clone(),
            _ => plan.candidate.nodes.clone(),
        };
        self.asked = Instant::now();
        let preparation = self.lab.preparation(&nodes);
        let machine = self.under_test().find(|(other, _)| *other == place);
        let Some((_, machine)) = machine else { return Err(Stop) };
        match preparation.send(machine).await {
            Ok(()) => Ok(()),
            Err(_) if machine.is_down() => Err(Stop),
            Err(error) => Err(self.nodes_refused(error).await),
        }
    }

    /// From here on it is our doing what becomes of a machine: what it did until now is kept.
    pub(super) fn let_go(&mut self, node: &str) {
        let plan = self.lab.plan();
        let place = plan.place_of(node);
        let under_test = plan.is_under_test(node);
        let Some(machine) = self.machine_of(node) else { return };
        self.lab.pulse().release(machine.pid());
        if under_test {
            let state = machine.state();
            let console = self.console_of(place);
            self.past.push((console, state));
        }
    }

    /// Takes a node's own machine out of the trial; it still runs.
    pub(super) fn unplug(&mut self, node: &str) -> Option<Machine> {
        let plan = self.lab.plan();
        let place = plan.place_of(node);
        for plug in &plan.machine_of(node).plugs {
            self.lab.wires().detach(plug.link, plug.port);
        }
        let machine = match place {
            Place::Candidate => self.candidate.take(),
            Place::Own(at) => self.own.remove(&at),
            Place::Peer => None,
        };
        let scenario = self.lab.scenario().clone();
        let is_here =
            |name: &str| scenario.services.iter().any(|it| it.name == name && it.node == node);
        self.services.retain(|name, _| !is_here(name));
        self.carriers_off.retain(|(_, other)| other != node);
        self.before.retain(|before| before.node != node);
        self.off.insert(node.to_owned());
        machine
    }

    /// Switches a node's own machine off, as if its power failed.
    pub(super) async fn power_off(&mut self, node: &str) -> Result<(), String> {
        if self.off.contains(node) {
            return Err("it is switched off already".to_owned());
        }
        if !self.is_own(node) {
            return Err("it shares its machine with other nodes here".to_owned());
        }
        let timing = self.lab.settings().timing;
        let machine = self.alive_or_crashed(node).or_else(|| self.machine_of(node));
        let Some(machine) = machine else { return Err("its machine is gone".to_owned()) };
        // One that crashed before is not to be hidden.
        machine.settled(timing.quiet_in_trace + 4 * timing.quiet).await;
        self.lab.pulse().release(machine.pid());
        let plan = self.lab.plan();
        let (place, under_test) = (plan.place_of(node), plan.is_under_test(node));
        let console = self.console_of(place);
        let Some(machine) = self.unplug(node) else { return Err("its machine is gone".to_owned()) };
        machine.forget_services();
        let state = machine.stop().await;
        if under_test {
            self.past.push((console, state));
        }
        Ok(())
    }

    /// Switches it on again: its node is made anew, set up anew, and its services start.
    pub(super) async fn power_on(&mut self, node: &str) -> Result<Result<(), String>, Stop> {
        if !self.off.remove(node) {
            return Ok(Err("it is switched on already".to_owned()));
        }
        *self.restarts.entry(node.to_owned()).or_default() += 1;
        let place = self.lab.plan().place_of(node);
        if self.lab.plan().is_under_test(node) {
            self.under_test_on(node, place).await?;
        } else if let Place::Own(at) = place {
            let up = match self.start_one(at, self.coming) {
                Ok(rising) => {
                    let deadline = Cell::new(rising.machine.started() + self.lab.timing().boot);
                    rising.up(&deadline).await
                }
                Err(error) => return Err(self.infra(with_source(&error))),
            };
            if let Err(error) = self.reference_up(up).await {
                return Err(self.infra(with_source(&error)));
            }
        }
        let scenario = self.lab.scenario().clone();
        for step in scenario.setup.iter().filter(|step| step.node == node) {
            if !matches!(step.action, Action::Fault(_)) {
                self.step(step).await?;
            }
        }
        for service in scenario.services.iter().filter(|service| service.node == node) {
            self.service(service).await?;
        }
        Ok(Ok(()))
    }

    async fn under_test_on(&mut self, node: &str, place: Place) -> Result<(), Stop> {
        if let Place::Own(at) = place {
            let rising = match self.start_one(at, self.coming) {
                Ok(rising) => rising,
                Err(error) => return Err(self.infra(with_source(&error))),
            };
            let deadline = Cell::new(rising.machine.started() + self.lab.timing().boot);
            let up = rising.up(&deadline).await;
            self.own_up(vec![up]).await?;
        } else {
            let restarts = self.restarts.get(node).copied().unwrap_or_default();
            let directory = self.directory.join(folder(node, restarts));
            let mut coming = self.coming;
            loop {
                let started = self.lab.start_candidate(self.kernel, &directory, coming);
                let (machine, rise) = match started {
                    Ok(started) => started,
                    Err(error) => return Err(self.infra(with_source(&error))),
                };
                let deadline = Cell::new(machine.started() + self.lab.timing().boot);
                let risen = rise.up(&machine, &deadline).await;
                self.notes.extend(risen.note);
                self.slots.extend(risen.slot);
                self.keeping.extend(risen.keeping);
                if let Some(why) = risen.ours {
                    machine.stop().await;
                    return Err(self.infra(why));
                }
                let next = self.lab.next_try(self.kernel, coming, risen.boot);
                match (risen.result, next) {
                    (Err(_), Some(next)) => {
                        coming = next;
                        machine.stop().await;
                    }
                    (Err(_), None) => {
                        self.candidate = Some(machine);
                        return Err(Stop);
                    }
                    (Ok(()), _) => {
                        self.candidate = Some(machine);
                        break;
                    }
                }
            }
        }
        let phase = self.seen.phase;
        if let Some(machine) = self.machine_of(node) {
            machine.set_phase(phase);
        }
        self.make_one(place).await
    }

    /// Switches off everything that was this trial's alone, and adds what is known of it. Gives `uname -r` of the
    /// kernel under test.
    pub(super) async fn switch_off(&mut self) -> Option<String> {
        let mut release = None;
        for (console, state) in std::mem::take(&mut self.past) {
            release = release.or_else(|| state.hello.as_ref().map(|hello| hello.release.clone()));
            merge_state(&mut self.seen, console.as_deref(), &state);
        }
        let places: Vec<Place> = self.lab.plan().under_test().map(|(place, _)| place).collect();
        for place in places {
            let machine = match place {
                Place::Candidate => self.candidate.take(),
                Place::Own(at) => self.own.remove(&at),
                Place::Peer => None,
            };
            let Some(machine) = machine else { continue };
            let console = self.console_of(place);
            let state = machine.stop().await;
            self.notes.extend(state.console_left_out.clone());
            let frozen = (place == Place::Candidate).then(|| self.frozen.take()).flatten();
            let state = frozen.unwrap_or(state);
            merge_state(&mut self.seen, console.as_deref(), &state);
            release = release.or_else(|| state.hello.map(|hello| hello.release));
        }
        // The archives that they booted from are those of their kernels.
        for folder in std::fs::read_dir(self.directory.join("own")).into_iter().flatten().flatten()
        {
            let _ = std::fs::remove_file(folder.path().join("initramfs"));
        }
        for machine in std::mem::take(&mut self.own).into_values() {
            self.lab.pulse().release(machine.pid());
            machine.stop().await;
        }
        release
    }
}

fn machine_name(node: &str) -> String {
    format!("machine of {node}")
}
