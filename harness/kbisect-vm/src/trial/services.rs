//! The services of a trial: started, watched, and what they printed.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use kbisect_core::judge::{CommandEnd, Failed, ServiceDown, ServiceEnd, fault_of_service};
use kbisect_core::scenario::{Ready, Restart, Service};
use kbisect_proto::{ASSETS_DIR, Command, Event, Exit, Readiness, Request};

use super::checks::limited;
use super::probes::request;
use super::{Notice, Stop, Trial};
use crate::exit::end_of;
use crate::machine::{Machine, ServiceState};

/// Longest that one HTTP request for readiness may take on fast hardware.
const ONE_REQUEST: Duration = Duration::from_secs(2);
/// Begins what the guest says of a program that it cannot start.
const CANNOT_START: &str = "cannot start ";
/// How many of a service's last lines say why it failed.
const LINES: usize = 5;

impl Trial<'_> {
    /// Starts a service and waits until it is ready.
    pub(super) async fn service(&mut self, service: &Service) -> Result<(), Stop> {
        (self.notify)(Notice::Doing(format!("service {}", service.name)));
        let own = self.lab.patience(Duration::from_secs_f64(service.ready_timeout_s));
        let timeout = limited(own, self.limits.ready_s);
        let argv =
            service.command.iter().map(|word| word.replace("{assets}", ASSETS_DIR)).collect();
        let one_request = self.lab.patience(ONE_REQUEST);
        let limit = timeout + one_request + self.lab.settings().timing.answer;
        let state = ServiceState::new(self.output_file(service), pattern(&service.ready));
        self.asked = Instant::now();
        let machine = self.machine(&service.node)?;
        let id = machine.next_id();
        machine.expect_service(id, state);
        let request = Request::Serve {
            id,
            node: service.node.clone(),
            command: Command { argv, stdin: Vec::new(), keep: 0 },
            ready: readiness(&service.ready, one_request),
            restart: match service.restart {
                Restart::No => kbisect_proto::Restart::No,
                Restart::OnFailure(limit) => kbisect_proto::Restart::OnFailure(limit),
                Restart::Always(limit) => kbisect_proto::Restart::Always(limit),
            },
            timeout_ms: timeout.as_millis() as u64,
        };
        let mut answer = machine.call(id, &request, limit).await;
        if let (Ok(Event::Ready { .. }), Ready::Log(pattern)) = (&answer, &service.ready) {
            answer = match saw_line(machine, id, timeout).await {
                Line::Seen => answer,
                Line::Ended(exit) => Ok(Event::ServiceExited { id, exit, again: false }),
                Line::Missing => {
                    Ok(Event::Failed { id, error: format!("no output matched `{pattern}`") })
                }
            };
        }
        let printed = machine.look(|state| {
            let lines =
                |service: &ServiceState| service.last_lines(LINES).collect::<Vec<_>>().join("\n");
            state.services.get(&id).map(lines).unwrap_or_default()
        });
        let said = machine.look(|state| state.services.get(&id).map(last_lines));
        self.services.insert(service.name.clone(), id);
        let ended = match &answer {
            Ok(Event::Failed { error, .. }) if error.starts_with(CANNOT_START) => {
                Some(CommandEnd::NotStarted(error.clone()))
            }
            Ok(Event::ServiceExited { exit, .. }) => Some(end_of(exit)),
            _ => None,
        };
        let fault = ended.as_ref().and_then(|end| {
            fault_of_service(service, Failed { end, said: &printed, assets: ASSETS_DIR })
        });
        self.seen.fault = self.seen.fault.take().or(fault);
        let (how, error) = match answer {
            Ok(Event::Ready { .. }) => return Ok(()),
            Ok(Event::Failed { error, .. }) if error.starts_with(CANNOT_START) => {
                (ServiceEnd::NotStarted, error)
            }
            Ok(Event::Failed { error, .. }) => (ServiceEnd::NotReady, error),
            Ok(Event::ServiceExited { exit, .. }) => {
                (service_end(&exit), format!("{} before it was ready", end_of(&exit)))
            }
            Ok(other) => {
                return Err(self.infra(format!("the guest answered {other:?} to a service")));
            }
            Err(error) => return Err(self.no_answer(&service.node, error)),
        };
        let error = format!("{error}{}", said.unwrap_or_default());
        self.seen.service = Some(self.down(service, how, self.asked, error));
        Err(Stop)
    }

    /// A service that had to stay and did not is a failure of its own; one that was started again is
    /// told of. A reference service is named first: what came after its end was no fair trial.
    pub(super) fn still_serving(&mut self) {
        let scenario = self.lab.scenario().clone();
        let mut down: Vec<ServiceDown> = Vec::new();
        for service in &scenario.services {
            let Some(id) = self.services.get(&service.name) else { continue };
            let Some(machine) = self.machine_of(&service.node) else { continue };
            let found = machine.look(|state| {
                let state = state.services.get(id)?;
                let again = state.last_end.as_ref().map(|exit| {
                    let (name, node) = (&service.name, &service.node);
                    let times = match state.restarts {
                        1 => "once".to_owned(),
                        count => format!("{count} times"),
                    };
                    let how = end_of(exit);
                    format!("service {name} on {node} was started again {times}: it {how}")
                });
                let ended = state.ended.as_ref().map(|exit| {
                    (service_end(exit), format!("{}{}", end_of(exit), last_lines(state)))
                });
                Some((again, ended))
            });
            let Some((again, ended)) = found else { continue };
            if let (Some((how, error)), true) = (ended, service.must_stay) {
                down.push(self.down(service, how, self.started, error));
            }
            self.notes.extend(again);
        }
        if self.seen.service.is_none() {
            down.sort_by_key(|down| down.on_candidate);
            self.seen.service = down.into_iter().next();
        }
    }

    /// Ends the files of what services printed.
    pub(super) fn close_services(&self) {
        for machine in self.candidate.iter().chain(self.lab.peer()).chain(self.own.values()) {
            machine.forget_services();
        }
    }

    fn down(
        &self,
        service: &Service,
        how: ServiceEnd,
        since: Instant,
        error: String,
    ) -> ServiceDown {
        ServiceDown {
            service: service.name.clone(),
            node: service.node.clone(),
            on_candidate: self.lab.plan().is_under_test(&service.node),
            program: service.command.first().cloned().unwrap_or_default(),
            how,
            window: self.lab.pulse().window(since),
            error,
        }
    }

    /// The file in the trial's folder that a service's output goes to.
    fn output_file(&mut self, service: &Service) -> Option<File> {
        let folder = self.directory.join("services");
        let path = folder.join(format!("{}.log", service.name));
        // One that is started again goes on in its file.
        let open = || File::options().create(true).append(true).open(&path);
        match fs::create_dir_all(&folder).and_then(|()| open()) {
            Ok(file) => Some(file),
            Err(error) => {
                self.notes.push(format!("cannot write {}: {error}", path.display()));
                None
            }
        }
    }
}

fn pattern(ready: &Ready) -> Option<regex::Regex> {
    match ready {
        Ready::Log(pattern) => regex::Regex::new(pattern).ok(),
        _ => None,
    }
}

fn readiness(ready: &Ready, one_request: Duration) -> Readiness {
    match ready {
        Ready::Started => Readiness::Started,
        Ready::Tcp(port) => Readiness::Tcp(*port),
        Ready::Udp(port) => Readiness::Udp(*port),
        Ready::File(path) => Readiness::File(path.clone()),
        Ready::Log(_) => Readiness::Output,
        Ready::Http(http) => Readiness::Http {
            probe: request(http, 1, one_request),
            status: http.status,
            bytes: http.body.bytes,
        },
    }
}

/// What came of waiting for a line.
enum Line {
    Seen,
    Ended(Exit),
    Missing,
}

async fn saw_line(machine: &Machine, id: u32, timeout: Duration) -> Line {
    let seen = machine.until(|state| match state.services.get(&id) {
        Some(service) if service.matched => Some(Line::Seen),
        Some(ServiceState { ended: Some(exit), .. }) => Some(Line::Ended(exit.clone())),
        _ => state.end.is_some().then_some(Line::Missing),
    });
    machine.in_time(timeout, seen).await.unwrap_or(Line::Missing)
}

fn service_end(exit: &Exit) -> ServiceEnd {
    match exit {
        Exit::Status(status) => ServiceEnd::Status(*status),
        Exit::Signal(signal) => ServiceEnd::Signal(*signal),
        // Nothing kills a service at a deadline.
        Exit::TimedOut => ServiceEnd::NotReady,
        Exit::NotStarted(_) => ServiceEnd::NotStarted,
    }
}

fn last_lines(service: &ServiceState) -> String {
    let lines: Vec<&str> = service.last_lines(LINES).collect();
    if lines.is_empty() { String::new() } else { format!(": {}", lines.join(" / ")) }
}
