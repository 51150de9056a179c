//! Checks that the guest's program makes itself.

use std::net::SocketAddr;
use std::time::Duration;

use kbisect_core::flow::{Direction, Since, Sought};
use kbisect_core::scenario::{Check, ConnectionFailure, Server};
use kbisect_core::wrong::{CheckFailure, Wrong};
use kbisect_proto::{ConnectionError, Event, ProbeAnswer, ProbeRequest, Request};

use super::super::{Stop, Trial};
use super::Outcome;

/// A check as it is asked for.
pub(super) struct Asked {
    /// What the guest is asked.
    pub request: ProbeRequest,
    /// Where it goes.
    pub server: Server,
    /// How long the guest's word is waited for.
    pub limit: Duration,
    /// What is wrong when its frames are lost for certain.
    pub lost: Wrong,
}

/// What came of it.
pub(super) enum Answer {
    /// The guest's answer.
    Probed(ProbeAnswer),
    /// The check is over without one.
    Over(CheckFailure),
}

/// What failed on the network, and with which end of the node's own.
pub(super) struct Broken {
    /// Own address and port.
    pub local: SocketAddr,
    /// Whether something was waited for.
    pub waited: bool,
}

impl Trial<'_> {
    /// Has the guest make a check; ends before it does when the frames tell the outcome.
    pub(super) async fn ask_probe(&mut self, check: &Check, asked: Asked) -> Result<Answer, Stop> {
        let Asked { request, server, limit, lost } = asked;
        self.machine(&check.node)?;
        let Some(machine) = self.machine_of(&check.node) else { return Err(Stop) };
        let id = machine.next_id();
        let request = Request::Probe { id, node: check.node.clone(), probe: request };
        let since = Since::Opened(self.lab.wires().recorded());
        let sought = Sought { transport: server.transport, to: server.at, since };
        let answer = tokio::select! {
            answer = machine.call(id, &request, limit) => answer,
            (flow, why) = self.hopeless(check, Some(sought)) => {
                self.locate(check, flow, true).await;
                return Ok(Answer::Over(CheckFailure::wrong(format!("{}: {why}", server.at), lost)));
            }
        };
        match answer {
            Ok(Event::Probed { answer, .. }) => Ok(Answer::Probed(answer)),
            Ok(Event::Failed { error, .. }) => {
                let failure = self.local(check, CheckFailure::of(error.clone()), &error);
                Ok(Answer::Over(failure))
            }
            Ok(other) => Err(self.nonsense(&other)),
            Err(error) => Err(self.no_answer(&check.node, error)),
        }
    }

    /// An answer of another kind than was asked for.
    pub(super) fn nonsense(&mut self, answer: &impl std::fmt::Debug) -> Stop {
        self.infra(format!("the guest answered {answer:?} to a check"))
    }

    /// Adds to a failure what the frames say of it.
    pub(super) async fn explained(
        &mut self,
        check: &Check,
        server: Server,
        outcome: Outcome,
        broken: Option<Broken>,
    ) -> Outcome {
        let (Err(failure), Some(Broken { local, waited })) = (&outcome, broken) else {
            return outcome;
        };
        let flow = Direction { transport: server.transport, from: local, to: server.at };
        match self.locate(check, flow, waited).await {
            Some(wrong) => Err(CheckFailure::wrong(failure.detail.clone(), wrong)),
            None => outcome,
        }
    }

    /// The same for a check that made connections, of which the last one failed.
    pub(super) async fn explained_connection(
        &mut self,
        check: &Check,
        server: Server,
        outcome: Outcome,
        last: Option<(Option<SocketAddr>, ConnectionFailure)>,
    ) -> Outcome {
        let Some((local, failure)) = last else { return outcome };
        let broken = local.map(|local| Broken { local, waited: failure.is_wait() });
        let outcome = self.explained(check, server, outcome, broken).await;
        match failure {
            ConnectionFailure::Local(why) => {
                outcome.map_err(|failure| self.local(check, failure, &why))
            }
            _ => outcome,
        }
    }
}

/// Where a connection failed, as the guest tells it.
pub(super) fn failure_of(error: &ConnectionError) -> ConnectionFailure {
    match error {
        ConnectionError::Local(why) => ConnectionFailure::Local(why.clone()),
        ConnectionError::Refused(why) => ConnectionFailure::Refused(why.clone()),
        ConnectionError::ConnectTimeout => ConnectionFailure::ConnectTimeout,
        ConnectionError::Reset(why) => ConnectionFailure::Reset(why.clone()),
        ConnectionError::ReadTimeout => ConnectionFailure::ReadTimeout,
        ConnectionError::Malformed(why) => ConnectionFailure::Malformed(why.clone()),
    }
}
