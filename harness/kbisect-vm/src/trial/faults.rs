//! Faults that are put into a trial on purpose.

use std::time::Duration;

use kbisect_core::command::{CommandEnd, Ran};
use kbisect_core::inject::{Fault, Injected, Target};
use kbisect_core::scenario::port_of;
use kbisect_proto::{Event, Request};

use super::steps::shell;
use super::{Stop, Trial};
use crate::exit::end_of;
use crate::network::Place;
use crate::wire::WireFault;

/// Longest that a fault may take to be put in.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest until a lock-up is reported: twice the threshold of the fault's script, with leave to spare.
const LOCKUP: Duration = Duration::from_secs(30);
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;

impl Trial<'_> {
    /// Puts a fault in, and notes whether that went well. What it breaks is no failure of ours.
    /// A machine's end that is `expected` is no failure of the kernel's either.
    pub(super) async fn inject(&mut self, fault: &Fault, expected: bool) -> Result<(), Stop> {
        let done = self.put_in(fault, expected).await?;
        if let (Err(why), true) = (&done, self.is_control) {
            // The replay breaks what is broken.
            self.notes.push(format!("`{fault}` was not done: {why}"));
            return Ok(());
        }
        let failed = done.as_ref().err().cloned();
        self.injected.push(Injected { fault: fault.clone(), failed });
        match done {
            // Nothing that is asked of a machine that is gone tells more.
            Ok(()) if matches!(fault, Fault::Panic { node } | Fault::Lockup { node } if !self.off.contains(node)) => {
                Err(Stop)
            }
            Ok(()) => Ok(()),
            Err(why) => Err(self.infra(format!("the fault `{fault}` could not be put in: {why}"))),
        }
    }

    async fn put_in(&mut self, fault: &Fault, expected: bool) -> Result<Result<(), String>, Stop> {
        match fault {
            Fault::WiresCut => self.lab.wires().cut(),
            Fault::Kill { service } => return self.signal(service, SIGKILL, true).await,
            Fault::Stop { service } => return self.signal(service, SIGTERM, true).await,
            Fault::Pause { service } => return self.signal(service, SIGSTOP, false).await,
            Fault::Continue { service } => return self.signal(service, SIGCONT, false).await,
            Fault::Start { service } => return self.start_again(service).await,
            Fault::PortTaken { service } => return self.take_port(service).await,
            Fault::CarrierOff { link, node } => return Ok(self.carrier(link, node, false).await),
            Fault::CarrierOn { link, node } => return Ok(self.carrier(link, node, true).await),
            Fault::Restore { link } => {
                self.break_link(link, WireFault::Restore);
                return Ok(self.carriers_back(Some(link)).await);
            }
            Fault::Panic { .. } => return self.crash(fault, expected, PATIENCE).await,
            Fault::Lockup { .. } => return self.crash(fault, expected, LOCKUP).await,
            Fault::Certificate { .. } => return self.other_certificate(fault).await,
            Fault::PowerOff { node } => return Ok(self.power_off(node).await),
            Fault::PowerOn { node } => return Box::pin(self.power_on(node)).await,
            Fault::Reboot { node } => match self.power_off(node).await {
                Ok(()) => return Box::pin(self.power_on(node)).await,
                Err(why) => return Ok(Err(why)),
            },
            _ => match (fault.script(), self.wire_fault(fault)) {
                (Some(script), _) => return self.run_in(fault, &script).await,
                (None, Some((link, wire))) => self.break_link(&link, wire),
                (None, None) => return Ok(Err("it names what is not there".to_owned())),
            },
        }
        Ok(Ok(()))
    }

    fn wire_fault(&self, fault: &Fault) -> Option<(String, WireFault)> {
        let port_on = |link: &str, node: &str| Some(self.lab.plan().plug(link, node)?.port);
        let (link, wire) = match fault {
            Fault::Cut { link } => (link, WireFault::Cut),
            Fault::Drop { link, from, port } => {
                (link, WireFault::Drop { from: port_on(link, from)?, port: *port })
            }
            Fault::SourcePort { link, from, port } => {
                (link, WireFault::SourcePort { from: port_on(link, from)?, port: *port })
            }
            Fault::Delay { link, ms } => {
                (link, WireFault::Delay(Duration::from_millis((*ms).into())))
            }
            Fault::Lose { link, percent } => (link, WireFault::Lose(*percent)),
            _ => return None,
        };
        Some((link.clone(), wire))
    }

    fn break_link(&self, link: &str, fault: WireFault) {
        let index = self.lab.plan().links.iter().position(|plan| plan.name == link);
        if let Some(index) = index {
            self.lab.wires().break_link(index, fault);
        }
    }

    /// Takes or gives the carrier of a node's interface.
    async fn carrier(&mut self, link: &str, node: &str, up: bool) -> Result<(), String> {
        let plan = self.lab.plan();
        let plug = plan.plug(link, node).ok_or("the node has no interface there")?;
        let interface = plan.machine_of(node).plugs.iter().position(|other| *other == plug);
        let interface = interface.ok_or("the node has no interface there")?;
        let machine = self.machine_of(node).ok_or("its machine is down")?;
        machine.set_carrier(interface, up).await;
        let name = (link.to_owned(), node.to_owned());
        self.carriers_off.retain(|known| *known != name);
        if !up {
            self.carriers_off.push(name);
        }
        Ok(())
    }

    /// Gives back the carriers that were taken, on one link or on all.
    pub(super) async fn carriers_back(&mut self, link: Option<&str>) -> Result<(), String> {
        for (of, node) in self.carriers_off.clone() {
            if link.is_none_or(|link| link == of) {
                self.carrier(&of, &node, true).await?;
            }
        }
        Ok(())
    }

    /// Whether frames are lost by our own doing: on a wire, for want of a carrier, or by a rule that was put
    /// in.
    pub(super) fn loses_on_purpose(&self) -> bool {
        let drops = |injected: &Injected| {
            matches!(
                injected.fault,
                Fault::Filter { .. } | Fault::NoNames { .. } | Fault::ConntrackFull { .. }
            )
        };
        self.lab.wires().are_broken()
            || !self.carriers_off.is_empty()
            || !self.off.is_empty()
            || self.injected.iter().any(drops)
    }

    /// Whether a fault leaves the peer machine of no use to later trials.
    pub(super) fn peer_is_spoilt(&self) -> bool {
        let lasting = self.injected.iter().filter(|it| it.fault.outlasts_the_trial());
        lasting.map(|it| it.fault.target()).any(|target| match target {
            Target::Node(node) => self.lab.plan().place_of(node) == Place::Peer,
            Target::Wires | Target::Link(..) | Target::Service(_) => false,
        })
    }

    /// Sends a signal to a service. One that `ends` it is not missed afterwards.
    async fn signal(
        &mut self,
        service: &str,
        signal: i32,
        ends: bool,
    ) -> Result<Result<(), String>, Stop> {
        let scenario = self.lab.scenario().clone();
        let Some(about) = scenario.services.iter().find(|it| it.name == service) else {
            return Ok(Err("there is no such service".to_owned()));
        };
        let Some(number) = self.services.get(service).copied() else {
            return Ok(Err("the service was not started".to_owned()));
        };
        let deadline = self.lab.patience(PATIENCE);
        let machine = self.machine(&about.node)?;
        let id = machine.next_id();
        let request = Request::Signal { id, service: number, signal };
        let answer = machine.call(id, &request, deadline).await;
        match answer {
            Ok(Event::Failed { error, .. }) => return Ok(Err(error)),
            Ok(_) => {}
            Err(error) => return Err(self.no_answer(&about.node, error)),
        }
        if ends {
            self.services.remove(service);
        }
        Ok(Ok(()))
    }

    async fn start_again(&mut self, service: &str) -> Result<Result<(), String>, Stop> {
        let scenario = self.lab.scenario().clone();
        match scenario.services.iter().find(|it| it.name == service) {
            Some(about) if !self.services.contains_key(service) => {
                self.service(about).await.map(Ok)
            }
            Some(_) => Ok(Err("it runs already".to_owned())),
            None => Ok(Err("there is no such service".to_owned())),
        }
    }

    /// Ends a service, and has its port taken by another program.
    async fn take_port(&mut self, service: &str) -> Result<Result<(), String>, Stop> {
        let scenario = self.lab.scenario().clone();
        let about = scenario.services.iter().find(|it| it.name == service);
        let Some((about, (port, tcp))) = about.and_then(|it| Some((it, port_of(it)?))) else {
            return Ok(Err("the service has no port".to_owned()));
        };
        if let Err(why) = self.signal(service, SIGKILL, true).await? {
            return Ok(Err(why));
        }
        let kind = if tcp { "TCP-LISTEN" } else { "UDP-RECVFROM" };
        let script = format!(
            "for i in $(seq 100); do \
             socat {kind}:{port},reuseaddr,fork OPEN:/dev/null < /dev/null > /dev/null 2>&1 & pid=$!; \
             sleep 0.1; if kill -0 $pid; then exit 0; fi; done; exit 1"
        );
        let deadline = self.lab.patience(PATIENCE);
        let ran = self.exec(&about.node, shell(&script), deadline).await?;
        Ok(match ran.end {
            CommandEnd::Status(0) => Ok(()),
            _ => Err(ran.describe()),
        })
    }

    async fn run_in(&mut self, fault: &Fault, script: &str) -> Result<Result<(), String>, Stop> {
        let Target::Node(node) = fault.target() else { return Ok(Err(String::new())) };
        let deadline = self.lab.patience(PATIENCE);
        let ran = self.exec(node, shell(script), deadline).await?;
        Ok(match ran.end {
            CommandEnd::Status(0) => Ok(()),
            _ => Err(ran.describe()),
        })
    }

    /// Gives a service another certificate, and starts it again.
    async fn other_certificate(&mut self, fault: &Fault) -> Result<Result<(), String>, Stop> {
        let (Target::Service(service), Some(script)) = (fault.target(), fault.script()) else {
            return Ok(Err(String::new()));
        };
        let scenario = self.lab.scenario().clone();
        let Some(about) = scenario.services.iter().find(|it| it.name == service) else {
            return Ok(Err("there is no such service".to_owned()));
        };
        let deadline = self.lab.patience(PATIENCE);
        let ran = self.exec(&about.node, shell(&script), deadline).await?;
        if ran.end != CommandEnd::Status(0) {
            return Ok(Err(ran.describe()));
        }
        match self.signal(service, SIGKILL, true).await? {
            Ok(()) => self.start_again(service).await,
            Err(why) => Ok(Err(why)),
        }
    }

    /// The machine does not answer any more, which is what was wanted.
    async fn crash(
        &mut self,
        fault: &Fault,
        expected: bool,
        patience: Duration,
    ) -> Result<Result<(), String>, Stop> {
        let (Target::Node(node), Some(script)) = (fault.target(), fault.script()) else {
            return Ok(Err(String::new()));
        };
        let under_test = self.lab.plan().is_under_test(node);
        // What it does from here on is our doing.
        let ours = self.is_own(node) && (expected || !under_test);
        if ours {
            self.let_go(node);
        }
        let deadline = self.lab.patience(patience);
        match self.ask(node, shell(&script), deadline).await {
            Ok(Event::Exited { exit, stdout, stderr, .. }) => {
                // Most likely it lacks what the fault is made with.
                let ran = Ran { end: end_of(&exit), stdout, stderr };
                Ok(Err(format!("the kernel lives on: the fault's command {}", ran.describe())))
            }
            Ok(Event::Failed { error, .. }) => Ok(Err(error)),
            Ok(_) | Err(_) => {
                // What it prints on its way is the evidence.
                if let Some(machine) = self.machine_of(node) {
                    let _ = machine.in_time(deadline, machine.down()).await;
                }
                if ours {
                    let machine = self.unplug(node);
                    machine.into_iter().for_each(drop);
                }
                Ok(Ok(()))
            }
        }
    }
}
