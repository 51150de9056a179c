//! The checks of a trial, and where packets of a failed one were lost.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kbisect_core::disturbed::SHORTEST_MS;
use kbisect_core::flow::{Direction, FlowTable, Since, Sought, Transport};
use kbisect_core::judge::{Failed as Said, MachineEnd, Wrong, fault_of_check};
use kbisect_core::scenario::{Check, CommandProbe, Connection, DnsProbe, HttpProbe, Probe};
use kbisect_core::trial::{CheckResult, CheckStatus};
use kbisect_proto::{
    ASSETS_DIR, DnsRequest, Event, Exit, HttpAttempt, HttpError, HttpRequest, Request,
};

use super::located::Failed;
use super::steps::{Ran, describe_exit, end_of, shell};
use super::{Notice, Stop, Trial};
use crate::machine::CallError;

/// Shortest time that anything is judged by.
const SHORTEST: Duration = Duration::from_millis(SHORTEST_MS);
/// Most connections of a check that are followed over the wires.
const MAX_FOLLOWED: usize = 16;

impl Trial<'_> {
    pub(super) async fn check(&mut self, index: usize, check: &Check) -> Result<(), Stop> {
        (self.notify)(Notice::Doing(format!("check {}", check.name)));
        let began = Instant::now();
        self.asked = began;
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
                    Err(CallError::Deadline) => {
                        Err(Failed::wrong("it does not answer".to_owned(), Wrong::NotAlive))
                    }
                    Err(CallError::Down) => return Err(Stop),
                }
            }
        };
        let window = self.lab.pulse().window(began);
        self.seen.check_windows.insert(check.name.clone(), window);
        let (status, detail) = match outcome {
            Ok(detail) => (CheckStatus::Pass, detail),
            Err(Failed { detail, wrong }) => {
                self.seen.wrong.extend(wrong.map(|wrong| (check.name.clone(), wrong)));
                let status =
                    if check.record_only { CheckStatus::Recorded } else { CheckStatus::Fail };
                (status, detail)
            }
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

    /// How long a check may take. Less than a second would decide nothing.
    fn timeout(&self, check: &Check) -> Duration {
        self.lab.patience(Duration::from_secs_f64(check.timeout_s)).max(SHORTEST)
    }

    async fn command(
        &mut self,
        check: &Check,
        probe: &CommandProbe,
    ) -> Result<Result<String, Failed>, Stop> {
        let timeout = self.timeout(check);
        let began = Since::Used(self.lab.wires().recorded());
        let sought = probe.connection.map(|connection| match connection {
            Connection::Tcp(to) => Sought { transport: Transport::Tcp, to, since: began },
            Connection::Udp(to) => Sought { transport: Transport::Udp, to, since: began },
        });
        self.machine(&check.node)?;
        let answer = tokio::select! {
            answer = self.ask(&check.node, shell(&probe.run), timeout) => answer,
            (flow, why) = self.hopeless(check, sought) => {
                self.locate(check, flow, true).await;
                return Ok(Err(Failed::of(why)));
            }
        };
        let ran = self.ran(&check.node, answer)?;
        let judged = judge_command(probe, &ran).map_err(|failed| match &ran.exit {
            Exit::NotStarted(why) => self.local(check, failed, why),
            _ => failed,
        });
        if judged.is_err() && !check.record_only {
            let (end, said) = (end_of(&ran.exit), ran.said());
            let said = Said { end: &end, said: &said, assets: ASSETS_DIR };
            self.seen.fault = self.seen.fault.take().or_else(|| fault_of_check(check, said));
        }
        if let (Err(_), Some(sought)) = (&judged, sought) {
            let own = self.addresses_of(&check.node);
            // One that broke before the check began tells as much.
            let ever = Sought { since: Since::Opened(Duration::ZERO), ..sought };
            let flows = |flows: &FlowTable| {
                let used: Vec<Direction> = flows.sought(&own, sought).collect();
                if used.is_empty() { flows.sought(&own, ever).collect() } else { used }
            };
            let found = self.lab.wires().with_flows(flows).unwrap_or_default();
            for flow in found.into_iter().take(MAX_FOLLOWED) {
                self.locate(check, flow, ran.exit == Exit::TimedOut).await;
            }
        }
        Ok(judged)
    }

    async fn http(
        &mut self,
        check: &Check,
        probe: &HttpProbe,
    ) -> Result<Result<String, Failed>, Stop> {
        let timeout = self.timeout(check);
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
                self.locate(check, flow, true).await;
                return Ok(Err(Failed::wrong(format!("{server}: {why}"), Wrong::NoConnection)));
            }
        };
        match answer {
            Ok(Event::HttpDone { attempts, .. }) => {
                let mut judged = judge_http(probe, &attempts);
                if let (Err(failed), Some(last)) = (&mut judged, attempts.last())
                    && let (Some(error), Some(local)) = (&last.error, last.local)
                {
                    let flow = Direction { transport: Transport::Tcp, from: local, to: server };
                    // What came whole, and is another answer, was not lost.
                    let waited =
                        matches!(error, HttpError::ConnectTimeout | HttpError::ReadTimeout);
                    if let Some(wrong) = self.locate(check, flow, waited).await {
                        failed.wrong = Some(wrong);
                    }
                }
                let local = attempts.last().and_then(|last| match &last.error {
                    Some(HttpError::Local(why)) => Some(why),
                    _ => None,
                });
                Ok(judged.map_err(|failed| match local {
                    Some(why) => self.local(check, failed, why),
                    None => failed,
                }))
            }
            Ok(Event::Failed { error, .. }) => {
                Ok(Err(self.local(check, Failed::of(error.clone()), &error)))
            }
            Ok(other) => Err(self.infra(format!("the guest answered {other:?} to a request"))),
            Err(error) => Err(self.no_answer(&check.node, error)),
        }
    }

    async fn dns(
        &mut self,
        check: &Check,
        probe: &DnsProbe,
    ) -> Result<Result<String, Failed>, Stop> {
        let timeout = self.timeout(check);
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
                self.locate(check, flow, true).await;
                return Ok(Err(Failed::wrong(format!("{server}: {why}"), Wrong::NoAnswer)));
            }
        };
        let answer = match answer {
            Ok(Event::DnsDone { answer, .. }) => answer,
            Ok(Event::Failed { error, .. }) => {
                return Ok(Err(self.local(check, Failed::of(error.clone()), &error)));
            }
            Ok(other) => {
                return Err(self.infra(format!("the guest answered {other:?} to a question")));
            }
            Err(error) => return Err(self.no_answer(&check.node, error)),
        };
        let mut wrong = if answer.timed_out { Wrong::NoAnswer } else { Wrong::Malformed };
        if let (Some(_), Some(local)) = (&answer.error, answer.local) {
            let flow = Direction { transport: Transport::Udp, from: local, to: server };
            wrong = self.locate(check, flow, answer.timed_out).await.unwrap_or(wrong);
        }
        let DnsProbe { name, answer: wanted, .. } = probe;
        Ok(match answer.error {
            Some(error) => Err(Failed::wrong(format!("{server}: {error}"), wrong)),
            None if answer.addresses.contains(wanted) => Ok(format!("{name} is {wanted}")),
            None => {
                let got: Vec<String> = answer.addresses.iter().map(ToString::to_string).collect();
                let got = got.join(", ");
                let detail = format!("{name} is [{got}], expected {wanted}");
                Err(Failed::wrong(detail, Wrong::Answer { got, expected: wanted.to_string() }))
            }
        })
    }

    /// The positive proof: after everything, the candidate still answers.
    pub(super) async fn answers_at_end(&mut self) -> Result<(), Stop> {
        let deadline = self.lab.patience(Duration::from_secs(10));
        let asked = Instant::now();
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
                self.seen.silence = self.lab.pulse().window(asked);
                Err(Stop)
            }
        }
    }
}

fn judge_command(probe: &CommandProbe, ran: &Ran) -> Result<String, Failed> {
    let stdout = String::from_utf8_lossy(&ran.stdout);
    if ran.exit != Exit::Status(probe.status) {
        let wrong = match &ran.exit {
            Exit::TimedOut => Wrong::NotEnded,
            exit => Wrong::Ended { how: describe_exit(exit), expected: probe.status },
        };
        return Err(Failed::wrong(ran.describe(), wrong));
    }
    let said = |text: &str| format!("the output is `{}`", text.trim().escape_debug());
    match (&probe.stdout, &probe.stdout_contains) {
        (Some(whole), _) if whole.trim() != stdout.trim() => {
            let detail = format!("{}, expected `{}`", said(&stdout), whole.trim().escape_debug());
            Err(Failed::wrong(detail, Wrong::Output))
        }
        (_, Some(part)) if !stdout.contains(part) => {
            let detail = format!("{}, without `{}`", said(&stdout), part.escape_debug());
            Err(Failed::wrong(detail, Wrong::Output))
        }
        _ => Ok(first_line(&stdout)),
    }
}

fn judge_http(probe: &HttpProbe, attempts: &[HttpAttempt]) -> Result<String, Failed> {
    for (index, attempt) in attempts.iter().enumerate() {
        let number = format!("connection {} of {}", index + 1, probe.connections);
        if let Some(error) = &attempt.error {
            let detail = format!("{number}: {}", describe_http(error, attempt));
            return Err(Failed::wrong(detail, wrong_http(error)));
        }
        if attempt.status != Some(probe.status) {
            let status = attempt.status.unwrap_or_default();
            let detail = format!("{number}: status {status}, expected {}", probe.status);
            let wrong = Wrong::Status { got: status, expected: probe.status };
            return Err(Failed::wrong(detail, wrong));
        }
        if let Some(bytes) = probe.body.bytes.filter(|bytes| *bytes != attempt.bytes) {
            let detail = format!("{number}: {} body bytes, expected {bytes}", attempt.bytes);
            return Err(Failed::wrong(detail, Wrong::Length { expected: bytes }));
        }
        if !attempt.body_matches {
            let text = String::from_utf8_lossy(&attempt.body);
            let expected = probe.body.equals.as_deref().or(probe.body.contains.as_deref());
            let detail = format!(
                "{number}: the body is `{}`, expected `{}`",
                first_line(&text),
                expected.unwrap_or_default()
            );
            return Err(Failed::wrong(detail, Wrong::Body));
        }
    }
    if attempts.len() < probe.connections as usize {
        let detail = format!("{} of {} connections were made", attempts.len(), probe.connections);
        return Err(Failed::of(detail));
    }
    let bytes: u64 = attempts.iter().map(|attempt| attempt.bytes).sum();
    let plural = if attempts.len() == 1 { "" } else { "s" };
    Ok(format!("{} connection{plural}, {bytes} bytes", attempts.len()))
}

fn wrong_http(error: &HttpError) -> Wrong {
    match error {
        HttpError::Local(why) => Wrong::Local(why.clone()),
        HttpError::Refused(_) => Wrong::Refused,
        HttpError::ConnectTimeout => Wrong::NoConnection,
        HttpError::Reset(_) => Wrong::Reset,
        HttpError::ReadTimeout => Wrong::NoWholeAnswer,
        HttpError::Malformed(_) => Wrong::Malformed,
    }
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
