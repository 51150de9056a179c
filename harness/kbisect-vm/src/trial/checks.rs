//! The checks of a trial, and where packets of a failed one were lost.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use kbisect_core::flow::{Direction, Ends, FlowTable, Since, Sought, Transport};
use kbisect_core::judge::{Failed, MachineEnd, fault_of_check};
use kbisect_core::scenario::{Check, CommandProbe, Connection, DnsProbe, HttpProbe, Probe};
use kbisect_core::trial::{CheckResult, CheckStatus};
use kbisect_proto::{
    ASSETS_DIR, DnsRequest, Event, Exit, HttpAttempt, HttpError, HttpRequest, Request,
};

use super::steps::{Ran, end_of, shell};
use super::{Notice, Stop, Trial};
use crate::machine::CallError;

/// A frame that a living router has not passed on for this long is lost.
const LOSS_PERSISTS: Duration = Duration::from_millis(1500);
/// The same, once another check has failed for a loss that the frames prove: the verdict stands, and
/// what follows only describes it.
const LOSS_REPEATS: Duration = Duration::from_millis(250);

impl Trial<'_> {
    pub(super) async fn check(&mut self, index: usize, check: &Check) -> Result<(), Stop> {
        (self.notify)(Notice::Doing(format!("check {}", check.name)));
        let began = Instant::now();
        let outcome = match &check.probe {
            Probe::Http(http) => self.http(check, http).await?,
            Probe::Dns(dns) => self.dns(check, dns).await?,
            Probe::Capture(capture) => self.capture(check, capture).await?,
            Probe::Command(probe) => self.command(check, probe).await?,
            Probe::Alive => {
                let deadline = self.lab.patience(Duration::from_secs(10));
                let machine = self.machine(&check.node)?;
                let id = machine.next_id();
                match machine.call(id, &Request::Ping { id }, deadline).await {
                    Ok(_) => Ok("it answers".to_owned()),
                    Err(CallError::Deadline) => Err("it does not answer".to_owned()),
                    Err(CallError::Down) => return Err(Stop),
                }
            }
        };
        let (status, detail) = match outcome {
            Ok(detail) => (CheckStatus::Pass, detail),
            Err(detail) if check.record_only => (CheckStatus::Recorded, detail),
            Err(detail) => (CheckStatus::Fail, detail),
        };
        let result = CheckResult {
            name: check.name.clone(),
            status,
            detail,
            wall_s: began.elapsed().as_secs_f64(),
        };
        (self.notify)(Notice::Check(result.clone()));
        self.seen.checks[index] = result;
        Ok(())
    }

    async fn command(
        &mut self,
        check: &Check,
        probe: &CommandProbe,
    ) -> Result<Result<String, String>, Stop> {
        let timeout = self.lab.patience(Duration::from_secs_f64(check.timeout_s));
        let began = Since::Used(self.lab.wires().recorded());
        let sought = probe.connection.map(|connection| match connection {
            Connection::Tcp(to) => Sought { transport: Transport::Tcp, to, since: began },
            Connection::Udp(to) => Sought { transport: Transport::Udp, to, since: began },
        });
        self.machine(&check.node)?;
        let answer = tokio::select! {
            answer = self.ask(&check.node, shell(&probe.run), timeout) => answer,
            (flow, why) = self.hopeless(check, sought) => {
                self.locate(check, flow).await;
                return Ok(Err(why));
            }
        };
        let ran = self.ran(&check.node, answer)?;
        let judged = judge_command(probe, &ran);
        if judged.is_err() && !check.record_only {
            let (end, said) = (end_of(&ran.exit), ran.said());
            let failed = Failed { end: &end, said: &said, assets: ASSETS_DIR };
            self.seen.fault = self.seen.fault.take().or_else(|| fault_of_check(check, failed));
        }
        if let (Err(_), Some(sought)) = (&judged, sought) {
            let own = self.addresses_of(&check.node);
            // One that broke before the check began tells as much.
            let ever = Sought { since: Since::Opened(Duration::ZERO), ..sought };
            let flows = |flows: &FlowTable| {
                let used: Vec<Direction> = flows.sought(&own, sought).collect();
                if used.is_empty() { flows.sought(&own, ever).collect() } else { used }
            };
            for flow in self.lab.wires().with_flows(flows).unwrap_or_default() {
                self.locate(check, flow).await;
            }
        }
        Ok(judged)
    }

    async fn http(
        &mut self,
        check: &Check,
        probe: &HttpProbe,
    ) -> Result<Result<String, String>, Stop> {
        let timeout = self.lab.patience(Duration::from_secs_f64(check.timeout_s));
        let limit = timeout * probe.connections.max(1) + self.lab.settings().timing.answer;
        let server = SocketAddr::new(probe.host, probe.port);
        self.machine(&check.node)?;
        let Some(machine) = self.machine_of(&check.node) else { return Err(Stop) };
        let id = machine.next_id();
        let request = Request::Http {
            id,
            node: check.node.clone(),
            probe: HttpRequest {
                host: probe.host,
                port: probe.port,
                path: probe.path.clone(),
                connections: probe.connections,
                timeout_ms: timeout.as_millis() as u64,
                equals: probe.body.equals.clone(),
                contains: probe.body.contains.clone(),
            },
        };
        let since = Since::Opened(self.lab.wires().recorded());
        let sought = Sought { transport: Transport::Tcp, to: server, since };
        let hopeless = self.hopeless(check, Some(sought));
        let answer = tokio::select! {
            answer = machine.call(id, &request, limit) => answer,
            (flow, why) = hopeless => {
                self.locate(check, flow).await;
                return Ok(Err(format!("{server}: {why}")));
            }
        };
        match answer {
            Ok(Event::HttpDone { attempts, .. }) => {
                let judged = judge_http(probe, &attempts);
                if let (Err(_), Some(local)) =
                    (&judged, attempts.last().and_then(|last| last.local))
                {
                    let flow = Direction { transport: Transport::Tcp, from: local, to: server };
                    self.locate(check, flow).await;
                }
                Ok(judged)
            }
            Ok(Event::Failed { error, .. }) => Ok(Err(error)),
            Ok(other) => Err(self.infra(format!("the guest answered {other:?} to a request"))),
            Err(error) => Err(self.no_answer(&check.node, error)),
        }
    }

    async fn dns(
        &mut self,
        check: &Check,
        probe: &DnsProbe,
    ) -> Result<Result<String, String>, Stop> {
        let timeout = self.lab.patience(Duration::from_secs_f64(check.timeout_s));
        let server = SocketAddr::new(probe.server, probe.port);
        self.machine(&check.node)?;
        let Some(machine) = self.machine_of(&check.node) else { return Err(Stop) };
        let id = machine.next_id();
        let request = Request::Dns {
            id,
            node: check.node.clone(),
            probe: DnsRequest {
                server,
                name: probe.name.clone(),
                ipv6: probe.answer.is_ipv6(),
                timeout_ms: timeout.as_millis() as u64,
            },
        };
        let since = Since::Opened(self.lab.wires().recorded());
        let sought = Sought { transport: Transport::Udp, to: server, since };
        let answer = tokio::select! {
            answer = machine.call(id, &request, timeout + Duration::from_secs(60)) => answer,
            (flow, why) = self.hopeless(check, Some(sought)) => {
                self.locate(check, flow).await;
                return Ok(Err(format!("{server}: {why}")));
            }
        };
        let answer = match answer {
            Ok(Event::DnsDone { answer, .. }) => answer,
            Ok(Event::Failed { error, .. }) => return Ok(Err(error)),
            Ok(other) => {
                return Err(self.infra(format!("the guest answered {other:?} to a question")));
            }
            Err(error) => return Err(self.no_answer(&check.node, error)),
        };
        if let (Some(_), Some(local)) = (&answer.error, answer.local) {
            let flow = Direction { transport: Transport::Udp, from: local, to: server };
            self.locate(check, flow).await;
        }
        let DnsProbe { name, answer: wanted, .. } = probe;
        Ok(match answer.error {
            Some(error) => Err(format!("{server}: {error}")),
            None if answer.addresses.contains(wanted) => Ok(format!("{name} is {wanted}")),
            None => {
                let got: Vec<String> = answer.addresses.iter().map(ToString::to_string).collect();
                Err(format!("{name} is [{}], expected {wanted}", got.join(", ")))
            }
        })
    }

    /// Ends when a connection of the check is lost for certain although its deadline has not passed,
    /// with the reason. Never ends otherwise. Cancel-safe.
    async fn hopeless(&self, check: &Check, sought: Option<Sought>) -> (Direction, String) {
        let Some(sought) = sought else { return std::future::pending().await };
        // A command has to fail by itself: whether it can is the question. The other kinds are judged
        // here, and cannot succeed without the frames.
        let impossible = self.lab.wires().are_cut() && !matches!(check.probe, Probe::Command(_));
        let plan = self.lab.plan();
        let wires = self.lab.wires();
        let members = wires.members();
        let own = self.addresses_of(&check.node);
        let persists = if self.loss_is_proven() { LOSS_REPEATS } else { LOSS_PERSISTS };
        let mut losing: Option<(Direction, Instant)> = None;
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let cut_off = impossible
                .then(|| wires.with_refused(|flows| flows.sought(&own, sought).next()).flatten());
            if let Some(flow) = cut_off.flatten() {
                return (flow, format!("frames of {flow} were sent into a wire that is cut"));
            }
            let mut seen = None;
            for node in &plan.candidate.nodes {
                let suspect = node.name.as_str();
                let ends =
                    Ends { client: &check.node, suspect, wires: &members, names: &plan.addresses };
                let certain = wires
                    .with_flows(|flows| {
                        flows.sought(&own, sought).find(|flow| flows.is_hopeless(*flow, &ends))
                    })
                    .flatten();
                if let Some(flow) = certain {
                    let why =
                        format!("the answer to {flow} was delivered, and the SYN was sent again");
                    return (flow, why);
                }
                // Only a router can be told by counts: what an endpoint does with a frame is its own.
                let at_end = check.node == suspect
                    || plan.addresses.get(&sought.to.ip()).is_some_and(|name| name == suspect);
                if !at_end {
                    seen = seen.or_else(|| {
                        wires
                            .with_flows(|flows| {
                                flows
                                    .sought(&own, sought)
                                    .find(|flow| flows.loss_so_far(*flow, &ends).is_some())
                            })
                            .flatten()
                    });
                }
            }
            losing = match (seen, losing) {
                (Some(flow), Some((before, since))) if flow == before => Some((flow, since)),
                (Some(flow), _) => Some((flow, Instant::now())),
                (None, _) => None,
            };
            if let Some((flow, since)) = losing
                && since.elapsed() > persists
                && self.candidate_lives()
            {
                let seconds = since.elapsed().as_secs_f64();
                return (
                    flow,
                    format!("frames of {flow} went in and did not come out for {seconds:.1} s"),
                );
            }
        }
    }

    fn addresses_of(&self, node: &str) -> Vec<IpAddr> {
        let addresses = self.lab.plan().addresses.iter();
        addresses.filter(|(_, name)| *name == node).map(|(address, _)| *address).collect()
    }

    /// Whether a check that counts has failed, with frames that show where.
    fn loss_is_proven(&self) -> bool {
        self.seen.checks.iter().any(|check| {
            check.status == CheckStatus::Fail
                && self.seen.losses.iter().any(|(name, _)| *name == check.name)
        })
    }

    /// Whether the candidate gave a sign of life within the last second.
    fn candidate_lives(&self) -> bool {
        let heard = self.candidate.as_ref().map(|candidate| candidate.look(|state| state.heard));
        heard.is_some_and(|heard| heard.elapsed() < Duration::from_secs(1))
    }

    /// Finds out, from the frames, what became of the connection of a failed check.
    async fn locate(&mut self, check: &Check, flow: Direction) {
        // What kbisect does not carry is lost inside no node.
        if self.lab.wires().are_cut() {
            return;
        }
        // The last frames, such as a reset that answers a stray one, may still be on their way.
        tokio::time::sleep(Duration::from_millis(40)).await;
        self.failed.push((flow.from, flow.to));
        let plan = self.lab.plan();
        let members = self.lab.wires().members();
        let mut found = Vec::new();
        for node in &plan.candidate.nodes {
            let ends = Ends {
                client: &check.node,
                suspect: &node.name,
                wires: &members,
                names: &plan.addresses,
            };
            found.extend(self.lab.wires().with_flows(|flows| flows.account(flow, &ends)));
        }
        for account in found {
            for line in account.lines {
                let line = format!("{}: {line}", check.name);
                if !self.hops.contains(&line) {
                    self.hops.push(line);
                }
            }
            self.seen.losses.extend(account.loss.map(|loss| (check.name.clone(), loss)));
        }
    }

    /// The positive proof: after everything, the candidate still answers.
    pub(super) async fn answers_at_end(&mut self) -> Result<(), Stop> {
        let deadline = self.lab.patience(Duration::from_secs(10));
        let Some(candidate) = &self.candidate else { return Err(Stop) };
        let id = candidate.next_id();
        match candidate.call(id, &Request::Ping { id }, deadline).await {
            Ok(Event::Done { .. }) => {
                self.seen.answered_at_end = true;
                Ok(())
            }
            Ok(_) | Err(CallError::Down) => Err(Stop),
            Err(CallError::Deadline) => {
                self.seen.end = MachineEnd::Silent { seconds: deadline.as_secs() as u32 };
                Err(Stop)
            }
        }
    }
}

fn judge_command(probe: &CommandProbe, ran: &Ran) -> Result<String, String> {
    let stdout = String::from_utf8_lossy(&ran.stdout);
    if ran.exit != Exit::Status(probe.status) {
        return Err(ran.describe());
    }
    let said = |text: &str| format!("the output is `{}`", text.trim().escape_debug());
    match (&probe.stdout, &probe.stdout_contains) {
        (Some(whole), _) if whole.trim() != stdout.trim() => {
            Err(format!("{}, expected `{}`", said(&stdout), whole.trim().escape_debug()))
        }
        (_, Some(part)) if !stdout.contains(part) => {
            Err(format!("{}, without `{}`", said(&stdout), part.escape_debug()))
        }
        _ => Ok(first_line(&stdout)),
    }
}

fn judge_http(probe: &HttpProbe, attempts: &[HttpAttempt]) -> Result<String, String> {
    for (index, attempt) in attempts.iter().enumerate() {
        let number = format!("connection {} of {}", index + 1, probe.connections);
        if let Some(error) = &attempt.error {
            return Err(format!("{number}: {}", describe_http(error, attempt)));
        }
        if attempt.status != Some(probe.status) {
            let status = attempt.status.unwrap_or_default();
            return Err(format!("{number}: status {status}, expected {}", probe.status));
        }
        if let Some(bytes) = probe.body.bytes.filter(|bytes| *bytes != attempt.bytes) {
            return Err(format!("{number}: {} body bytes, expected {bytes}", attempt.bytes));
        }
        if !attempt.body_matches {
            let text = String::from_utf8_lossy(&attempt.body);
            let expected = probe.body.equals.as_deref().or(probe.body.contains.as_deref());
            return Err(format!(
                "{number}: the body is `{}`, expected `{}`",
                first_line(&text),
                expected.unwrap_or_default()
            ));
        }
    }
    if attempts.len() < probe.connections as usize {
        return Err(format!("{} of {} connections were made", attempts.len(), probe.connections));
    }
    let bytes: u64 = attempts.iter().map(|attempt| attempt.bytes).sum();
    let plural = if attempts.len() == 1 { "" } else { "s" };
    Ok(format!("{} connection{plural}, {bytes} bytes", attempts.len()))
}

fn describe_http(error: &HttpError, attempt: &HttpAttempt) -> String {
    let seconds = attempt.millis as f64 / 1000.0;
    match error {
        HttpError::Local(why) => format!("the kernel refused: {why}"),
        HttpError::Refused(why) => format!("refused: {why}"),
        HttpError::ConnectTimeout => format!("no connection within {seconds:.1} s"),
        HttpError::Reset(why) => format!("reset after {} body bytes: {why}", attempt.bytes),
        HttpError::ReadTimeout => {
            format!("connected, but only {} body bytes within {seconds:.1} s", attempt.bytes)
        }
        HttpError::Malformed(why) => why.clone(),
    }
}

fn first_line(text: &str) -> String {
    text.trim().lines().next().unwrap_or_default().chars().take(200).collect()
}
