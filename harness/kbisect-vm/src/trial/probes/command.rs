//! `command`: a shell text in the node, and the frames of the connection that it depends on.

use std::net::SocketAddr;
use std::time::Duration;

use kbisect_core::command::{CommandEnd, Ran};
use kbisect_core::flow::{Direction, FlowTable, Since, Sought, Transport};
use kbisect_core::judge::{Failed as Said, fault_of_check};
use kbisect_core::scenario::{Check, CommandProbe, Connection};
use kbisect_core::wrong::{CheckFailure, Wrong};
use kbisect_proto::{ASSETS_DIR, Command};

use super::super::steps::shell;
use super::super::{Stop, Trial};
use super::Outcome;

/// Most connections of a check that are followed over the wires.
const MAX_FOLLOWED: usize = 16;

/// A command that is a check, or makes one.
pub(super) struct Running {
    pub command: Command,
    pub timeout: Duration,
    /// Protocol and end of the connection that it depends on.
    pub connection: Option<(Transport, SocketAddr)>,
}

pub(super) enum Went {
    /// To its end.
    Ran(Ran),
    /// Its connection is lost for certain; it was not waited for.
    Lost(String),
}

impl Trial<'_> {
    pub(super) async fn command(
        &mut self,
        check: &Check,
        probe: &CommandProbe,
    ) -> Result<Outcome, Stop> {
        let connection = probe.connection.map(|connection| match connection {
            Connection::Tcp(to) => (Transport::Tcp, to),
            Connection::Udp(to) => (Transport::Udp, to),
        });
        let running =
            Running { command: shell(&probe.run), timeout: self.timeout(check), connection };
        let since = Since::Used(self.lab.wires().recorded());
        let ran = match self.run_check(check, &running, since).await? {
            Went::Ran(ran) => ran,
            Went::Lost(why) => return Ok(Err(CheckFailure::of(why))),
        };
        let judged = probe.judge(&ran).map_err(|failure| self.not_started(check, failure, &ran));
        if judged.is_err() {
            self.follow(check, &running, since, ran.end == CommandEnd::TimedOut).await;
        }
        Ok(judged)
    }

    /// Runs a check's command to its end, or until its connection is lost for certain.
    pub(super) async fn run_check(
        &mut self,
        check: &Check,
        running: &Running,
        since: Since,
    ) -> Result<Went, Stop> {
        let sought = sought(running, since);
        self.machine(&check.node)?;
        let answer = tokio::select! {
            answer = self.ask(&check.node, running.command.clone(), running.timeout) => answer,
            (flow, why) = self.hopeless(check, sought) => {
                self.locate(check, flow, true).await;
                return Ok(Went::Lost(why));
            }
        };
        self.ran(&check.node, answer).map(Went::Ran)
    }

    /// Notes what a failed command says of the scenario. One that did not start is a failure of the
    /// node's own system.
    pub(super) fn not_started(
        &mut self,
        check: &Check,
        failure: CheckFailure,
        ran: &Ran,
    ) -> CheckFailure {
        if !check.record_only {
            let said = ran.said();
            let said = Said { end: &ran.end, said: &said, assets: ASSETS_DIR };
            self.seen.fault = self.seen.fault.take().or_else(|| fault_of_check(check, said));
        }
        match &ran.end {
            CommandEnd::NotStarted(why) => self.local(check, failure, why),
            _ => failure,
        }
    }

    /// Finds out what became of the connections of a command that failed. Gives what was wrong where
    /// that is the reference side.
    pub(super) async fn follow(
        &mut self,
        check: &Check,
        running: &Running,
        since: Since,
        waited: bool,
    ) -> Option<Wrong> {
        let sought = sought(running, since)?;
        let own = self.addresses_of(&check.node);
        // One that broke before the check began tells as much.
        let ever = Sought { since: Since::Opened(Duration::ZERO), ..sought };
        let flows = |flows: &FlowTable| {
            let used: Vec<Direction> = flows.sought(&own, sought).collect();
            if used.is_empty() { flows.sought(&own, ever).collect() } else { used }
        };
        let found = self.lab.wires().with_flows(flows).unwrap_or_default();
        let mut wrong = None;
        for flow in found.into_iter().take(MAX_FOLLOWED) {
            wrong = self.locate(check, flow, waited).await.or(wrong);
        }
        wrong
    }
}

fn sought(running: &Running, since: Since) -> Option<Sought> {
    running.connection.map(|(transport, to)| Sought { transport, to, since })
}
