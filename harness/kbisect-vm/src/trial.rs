//! One trial: boot, setup, workload, replay, checks, collect, off.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use kbisect_core::flow::{Direction, Ends, Transport};
use kbisect_core::judge::{MachineEnd, Observation, Refused, ServiceDown, judge};
use kbisect_core::scenario::{
    Action, Check, DnsProbe, HttpProbe, Probe, Ready, Refusal, Scenario, Service, Step,
};
use kbisect_core::trial::{CheckResult, CheckStatus, Phase, Verdict, WireCount};
use kbisect_proto::{
    ASSETS_DIR, Command, DnsRequest, Event, Exit, HttpAttempt, HttpError, HttpRequest, Readiness,
    Request,
};

use crate::accel::Accelerator;
use crate::lab::{BootFiles, Lab, LabError};
use crate::machine::{CallError, Machine, MachineState};

/// What a running trial tells whoever watches.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A phase begins.
    Phase(Phase),
    /// A step, service or check begins.
    Doing(String),
    /// A check ended.
    Check(CheckResult),
    /// The terminal is needed for a shell.
    ShellBegins,
}

/// What a trial found.
#[derive(Clone, Debug)]
pub struct TrialResult {
    /// The verdict.
    pub verdict: Verdict,
    /// What it rests on.
    pub observation: Observation,
    /// Seconds per phase.
    pub timings_s: BTreeMap<String, f64>,
    /// Seconds in all.
    pub wall_s: f64,
    /// `uname -r` of the candidate.
    pub release: Option<String>,
    /// Remarks.
    pub notes: Vec<String>,
    /// Frames per wire and sender.
    pub wires: Vec<WireCount>,
    /// Hop by hop, for failed checks.
    pub hops: Vec<String>,
    /// Whether the peer machine, which runs a kernel that is known to work, did not boot under KVM.
    pub kvm_suspect: bool,
}

/// A trial under way.
pub struct Trial<'a> {
    lab: &'a mut Lab,
    candidate: Option<Machine>,
    seen: Observation,
    notes: Vec<String>,
    kvm_suspect: bool,
    /// Hop by hop, for failed checks.
    hops: Vec<String>,
    timings: BTreeMap<String, f64>,
    started: Instant,
    phase_began: Instant,
    directory: &'a Path,
    notify: &'a mut dyn FnMut(Notice),
}

/// The trial ends here; the observation says why.
struct Stop;

impl<'a> Trial<'a> {
    /// Boots the kernel and runs the scenario up to and including the collection of evidence. The
    /// machines still run afterwards; [`Trial::finish`] switches the candidate off and judges.
    pub async fn run(
        lab: &'a mut Lab,
        kernel: &BootFiles,
        directory: &'a Path,
        notify: &'a mut dyn FnMut(Notice),
    ) -> Self {
        let now = Instant::now();
        let mut trial = Self {
            lab,
            candidate: None,
            seen: Observation::default(),
            notes: Vec::new(),
            kvm_suspect: false,
            hops: Vec::new(),
            timings: BTreeMap::new(),
            started: now,
            phase_began: now,
            directory,
            notify,
        };
        let _: Result<(), Stop> = trial.phases(kernel).await;
        if trial.candidate.as_ref().is_some_and(|candidate| !candidate.is_down()) {
            trial.begin(Phase::Collect);
            trial.collect().await;
        }
        trial
    }

    /// The machine that a node is on, if it runs.
    #[must_use]
    pub fn machine_of(&self, node: &str) -> Option<&Machine> {
        let machine = if self.lab.plan().on_candidate(node) {
            self.candidate.as_ref()
        } else {
            self.lab.peer()
        };
        machine.filter(|machine| !machine.is_down())
    }

    /// Tells whoever watches.
    pub fn tell(&mut self, notice: Notice) {
        (self.notify)(notice);
    }

    /// The node that a shell is opened in when none is named.
    #[must_use]
    pub fn first_candidate_node(&self) -> Option<String> {
        self.lab.plan().candidate.nodes.first().map(|node| node.name.clone())
    }

    /// The verdict as it stands.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let mut seen = self.seen.clone();
        if let Some(candidate) = &self.candidate {
            let state = candidate.state();
            merge_state(&mut seen, &state);
        }
        judge(&seen, self.lab.scenario().warnings)
    }

    /// Switches the candidate off and judges.
    pub async fn finish(mut self) -> TrialResult {
        self.begin(Phase::Off);
        let mut release = None;
        if let Some(candidate) = self.candidate.take() {
            let state = candidate.stop().await;
            merge_state(&mut self.seen, &state);
            release = state.hello.map(|hello| hello.release);
        }
        let recording = self.lab.wires().stop_recording();
        self.notes.extend(recording.trouble);
        let _ = fs::remove_file(self.directory.join("candidate/initramfs"));
        self.close_phase();
        TrialResult {
            verdict: judge(&self.seen, self.lab.scenario().warnings),
            observation: self.seen,
            timings_s: self.timings,
            wall_s: self.started.elapsed().as_secs_f64(),
            release,
            notes: self.notes,
            wires: recording.counts,
            hops: self.hops,
            kvm_suspect: self.kvm_suspect,
        }
    }

    async fn phases(&mut self, kernel: &BootFiles) -> Result<(), Stop> {
        let scenario = self.lab.scenario().clone();
        self.seen.checks = scenario.checks.iter().map(not_run).collect();
        self.begin(Phase::Boot);
        self.boot(kernel).await?;
        self.begin(Phase::Setup);
        self.make_nodes().await?;
        for step in &scenario.setup {
            self.step(step).await?;
        }
        self.begin(Phase::Workload);
        let mut services = Vec::new();
        for service in &scenario.services {
            services.push(self.service(service).await?);
        }
        self.begin(Phase::Replay);
        for step in &scenario.replay {
            self.step(step).await?;
        }
        self.begin(Phase::Checks);
        for (index, check) in scenario.checks.iter().enumerate() {
            self.check(index, check).await?;
        }
        self.still_serving(&scenario, &services);
        self.answers_at_end().await
    }

    fn begin(&mut self, phase: Phase) {
        self.close_phase();
        if phase <= Phase::Checks {
            self.seen.phase = phase;
        }
        self.phase_began = Instant::now();
        if let Some(candidate) = &self.candidate {
            candidate.set_phase(phase);
        }
        self.timings.insert(phase.to_string(), 0.0);
        (self.notify)(Notice::Phase(phase));
    }

    fn close_phase(&mut self) {
        let seconds = self.phase_began.elapsed().as_secs_f64();
        // The phase that is open is the last one that was entered.
        let open = Phase::ALL
            .iter()
            .rev()
            .map(ToString::to_string)
            .find(|name| self.timings.contains_key(name));
        if let Some(time) = open.and_then(|name| self.timings.get_mut(&name)) {
            *time = seconds;
        }
    }

    fn infra(&mut self, reason: String) -> Stop {
        self.seen.infra.get_or_insert(reason);
        Stop
    }

    /// Boots the candidate while the peer is made ready.
    async fn boot(&mut self, kernel: &BootFiles) -> Result<(), Stop> {
        let wires = self.directory.join("wires");
        if let Err(error) =
            fs::create_dir_all(&wires).and_then(|()| self.lab.wires().start_recording(&wires))
        {
            return Err(self.infra(format!("cannot write {}: {error}", wires.display())));
        }
        let directory = self.directory.join("candidate");
        let candidate = match self.lab.start_candidate(kernel, &directory) {
            Ok(candidate) => candidate,
            Err(error) => return Err(self.infra(with_source(&error))),
        };
        let deadline = self.lab.patience(self.lab.settings().timing.boot);
        let (booted, peer) = tokio::join!(candidate.hello(deadline), self.lab.ready_peer());
        let failed_modules =
            candidate.look(|state| state.hello.as_ref().map(|hello| hello.failed_modules.clone()));
        self.candidate = Some(candidate);
        for module in failed_modules.into_iter().flatten() {
            self.notes.push(format!("boot module did not load: {module}"));
        }
        // A peer that does not come up is named first: the candidate was given no chance.
        if let Err(error) = peer {
            self.kvm_suspect |=
                matches!(error, LabError::PeerBoot { accelerator: Accelerator::Kvm, .. });
            self.seen.hello = booted.is_ok();
            return Err(self.infra(with_source(&error)));
        }
        match booted {
            Ok(_) => {
                self.seen.hello = true;
                Ok(())
            }
            Err(CallError::Deadline) => {
                self.seen.boot_timeout = true;
                Err(Stop)
            }
            Err(CallError::Down) => Err(Stop),
        }
    }

    async fn make_nodes(&mut self) -> Result<(), Stop> {
        (self.notify)(Notice::Doing("nodes and addresses".to_owned()));
        let Some(candidate) = &self.candidate else { return Err(Stop) };
        match self.lab.prepare(candidate, &self.lab.plan().candidate.nodes).await {
            Ok(()) => Ok(()),
            // What the candidate refuses may be a missing feature; what it says is the evidence.
            Err(_) if candidate.is_down() => Err(Stop),
            Err(output) => {
                self.seen.refused = Some(Refused {
                    step: "nodes and addresses".to_owned(),
                    node: "candidate".to_owned(),
                    rules: false,
                    on_candidate: true,
                    output,
                });
                Err(Stop)
            }
        }
    }

    /// The machine of a node, or the end of the trial.
    fn machine(&mut self, node: &str) -> Result<&Machine, Stop> {
        let on_candidate = self.lab.plan().on_candidate(node);
        if self.machine_of(node).is_none() && !on_candidate {
            let reason = self
                .lab
                .peer()
                .map(|peer| describe_end(&peer.state()))
                .unwrap_or_else(|| "it is not there".to_owned());
            return Err(self.infra(format!("the peer machine failed: {reason}")));
        }
        self.machine_of(node).ok_or(Stop)
    }

    async fn step(&mut self, step: &Step) -> Result<(), Stop> {
        (self.notify)(Notice::Doing(step.name.clone()));
        let timeout = self.lab.patience(Duration::from_secs_f64(step.timeout_s));
        for _ in 0..step.repeat {
            let command = step_command(&step.action);
            let outcome = self.exec(&step.node, command, timeout).await?;
            let output = match outcome.exit {
                Exit::Status(0) => continue,
                _ => outcome.describe(),
            };
            let on_candidate = self.lab.plan().on_candidate(&step.node);
            if step.refusal == Refusal::Accept && on_candidate {
                self.notes.push(format!(
                    "step `{}` was refused, which is acceptable: {output}",
                    step.name
                ));
                return Ok(());
            }
            self.seen.refused = Some(Refused {
                step: step.name.clone(),
                node: step.node.clone(),
                rules: step.action.loads_rules(),
                on_candidate,
                output,
            });
            return Err(Stop);
        }
        Ok(())
    }

    async fn exec(&mut self, node: &str, command: Command, timeout: Duration) -> Result<Ran, Stop> {
        // The guest enforces the deadline; if it does not even answer, the machine hangs.
        let limit = timeout + self.lab.settings().timing.answer;
        let machine = self.machine(node)?;
        let id = machine.next_id();
        let request = Request::Exec {
            id,
            node: node.to_owned(),
            command,
            timeout_ms: timeout.as_millis() as u64,
        };
        match machine.call(id, &request, limit).await {
            Ok(Event::Exited { exit, stdout, stderr, .. }) => Ok(Ran { exit, stdout, stderr }),
            Ok(Event::Failed { error, .. }) => {
                Ok(Ran { exit: Exit::NotStarted(error), stdout: Vec::new(), stderr: Vec::new() })
            }
            Ok(other) => Err(self.infra(format!("the guest answered {other:?} to a command"))),
            Err(error) => Err(self.no_answer(node, error)),
        }
    }

    fn no_answer(&mut self, node: &str, error: CallError) -> Stop {
        if self.lab.plan().on_candidate(node) {
            if error == CallError::Deadline {
                // Heartbeats still come, but a deadline that the guest itself enforces passed.
                let seconds = self.lab.settings().timing.answer.as_secs() as u32;
                self.seen.end = MachineEnd::Silent { seconds };
            }
            return Stop;
        }
        let reason = self.lab.peer().map(|peer| describe_end(&peer.state())).unwrap_or_default();
        self.infra(format!("the peer machine does not answer ({error}) {reason}"))
    }

    /// Starts a service; returns its number.
    async fn service(&mut self, service: &Service) -> Result<u32, Stop> {
        (self.notify)(Notice::Doing(format!("service {}", service.name)));
        let timeout = self.lab.patience(Duration::from_secs_f64(service.ready_timeout_s));
        let argv =
            service.command.iter().map(|word| word.replace("{assets}", ASSETS_DIR)).collect();
        let limit = timeout + self.lab.settings().timing.answer;
        let machine = self.machine(&service.node)?;
        let id = machine.next_id();
        let request = Request::Serve {
            id,
            node: service.node.clone(),
            command: Command { argv, stdin: Vec::new(), keep: 0 },
            ready: match &service.ready {
                Ready::Started => Readiness::Started,
                Ready::Tcp(port) => Readiness::Tcp(*port),
                Ready::Udp(port) => Readiness::Udp(*port),
                Ready::File(path) => Readiness::File(path.clone()),
                Ready::Log(_) => Readiness::Output,
            },
            timeout_ms: timeout.as_millis() as u64,
        };
        let mut answer = machine.call(id, &request, limit).await;
        if let (Ok(Event::Ready { .. }), Ready::Log(pattern)) = (&answer, &service.ready)
            && !saw_line(machine, id, pattern, timeout).await
        {
            let error = format!("no output matched `{pattern}`");
            answer = Ok(Event::Failed { id, error });
        }
        match answer {
            Ok(Event::Ready { .. }) => Ok(id),
            Ok(Event::Failed { error, .. }) => {
                let said = machine.look(|state| last_lines(state, id));
                self.seen.service = Some(ServiceDown {
                    service: service.name.clone(),
                    node: service.node.clone(),
                    on_candidate: self.lab.plan().on_candidate(&service.node),
                    error: format!("{error}{said}"),
                });
                Err(Stop)
            }
            Ok(other) => Err(self.infra(format!("the guest answered {other:?} to a service"))),
            Err(error) => Err(self.no_answer(&service.node, error)),
        }
    }

    /// A service that had to stay and did not is a failure of its own.
    fn still_serving(&mut self, scenario: &Scenario, ids: &[u32]) {
        for (service, id) in
            scenario.services.iter().zip(ids).filter(|(service, _)| service.must_stay)
        {
            let Some(machine) = self.machine_of(&service.node) else { continue };
            let ended = machine.look(|state| {
                state
                    .services
                    .get(id)
                    .map(|exit| format!("{}{}", describe_exit(exit), last_lines(state, *id)))
            });
            if let (Some(error), None) = (ended, &self.seen.service) {
                self.seen.service = Some(ServiceDown {
                    service: service.name.clone(),
                    node: service.node.clone(),
                    on_candidate: self.lab.plan().on_candidate(&service.node),
                    error,
                });
            }
        }
    }

    async fn check(&mut self, index: usize, check: &Check) -> Result<(), Stop> {
        (self.notify)(Notice::Doing(format!("check {}", check.name)));
        let began = Instant::now();
        let outcome = match &check.probe {
            Probe::Http(http) => self.http(check, http).await?,
            Probe::Dns(dns) => self.dns(check, dns).await?,
            Probe::Command(probe) => {
                let timeout = self.lab.patience(Duration::from_secs_f64(check.timeout_s));
                let ran = self.exec(&check.node, shell(&probe.run), timeout).await?;
                let stdout = String::from_utf8_lossy(&ran.stdout);
                let wanted = probe.stdout.as_ref().is_none_or(|text| text.trim() == stdout.trim())
                    && probe.stdout_contains.as_ref().is_none_or(|text| stdout.contains(text));
                if ran.exit == Exit::Status(probe.status) && wanted {
                    Ok(first_line(&stdout))
                } else {
                    Err(ran.describe())
                }
            }
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

    async fn http(
        &mut self,
        check: &Check,
        probe: &HttpProbe,
    ) -> Result<Result<String, String>, Stop> {
        let timeout = self.lab.patience(Duration::from_secs_f64(check.timeout_s));
        let limit = timeout * probe.connections.max(1) + self.lab.settings().timing.answer;
        let server = SocketAddr::new(probe.host, probe.port);
        let wires = self.lab.wires().clone();
        let members = wires.members();
        let suspects: Vec<String> =
            self.lab.plan().candidate.nodes.iter().map(|node| node.name.clone()).collect();
        let names = self.lab.plan().addresses.clone();
        let own_addresses: Vec<std::net::IpAddr> = names
            .iter()
            .filter(|(_, node)| **node == check.node)
            .map(|(address, _)| *address)
            .collect();
        let machine = self.machine(&check.node)?;
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
        let hopeless = async {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let found = wires.with_flows(|flows| {
                    suspects.iter().find_map(|suspect| {
                        let ends =
                            Ends { client: &check.node, suspect, wires: &members, names: &names };
                        own_addresses.iter().find_map(|own| flows.hopeless(*own, server, &ends))
                    })
                });
                if let Some(Some(flow)) = found {
                    return flow;
                }
            }
        };
        let answer = tokio::select! {
            answer = machine.call(id, &request, limit) => answer,
            flow = hopeless => {
                self.locate(check, flow).await;
                return Ok(Err(format!(
                    "no connection to {server}: the answer to {flow} was delivered, and the SYN was sent again"
                )));
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
        let machine = self.machine(&check.node)?;
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
        let answer = match machine.call(id, &request, timeout + Duration::from_secs(60)).await {
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

    /// Finds out, from the frames, what became of the connection of a failed check.
    async fn locate(&mut self, check: &Check, flow: Direction) {
        // The last frames, such as a reset that answers a stray one, may still be on their way.
        tokio::time::sleep(Duration::from_millis(60)).await;
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
    async fn answers_at_end(&mut self) -> Result<(), Stop> {
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

    /// Reads the state of each candidate node, as far as it answers.
    async fn collect(&mut self) {
        let directory = self.directory.join("collect");
        let nodes: Vec<String> =
            self.lab.plan().candidate.nodes.iter().map(|node| node.name.clone()).collect();
        for node in nodes {
            let mut command = shell(COLLECT);
            command.keep = 768 << 10;
            let timeout = self.lab.patience(Duration::from_secs(5));
            let Ok(ran) = self.exec(&node, command, timeout).await else { return };
            let written = fs::create_dir_all(&directory)
                .and_then(|()| fs::write(directory.join(format!("{node}.txt")), &ran.stdout));
            if let Err(error) = written {
                self.notes.push(format!("cannot write {}: {error}", directory.display()));
                return;
            }
        }
    }
}

/// What is read from a candidate node at the end. One shell, few processes: each costs 10 to 30 ms
/// under emulation.
const COLLECT: &str = r#"
section() { printf '\n### %s\n' "$*"; }
show() { section "$@"; "$@" 2>&1 || true; }
file() { section "$1"; [ -r "$1" ] && cat "$1"; }
set +e
section kernel; cat /proc/version /proc/cmdline; printf 'taint '; cat /proc/sys/kernel/tainted
show ip -s addr
show ip route show table all
show nft list ruleset
show conntrack -L
for name in /proc/net/snmp /proc/net/netstat /proc/net/softnet_stat /proc/net/stat/nf_conntrack /proc/modules
do file "$name"; done
show dmesg
"#;

/// How a command ended.
struct Ran {
    exit: Exit,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Ran {
    fn describe(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let said =
            [text(&self.stderr), text(&self.stdout)].into_iter().find(|text| !text.is_empty());
        match said {
            Some(said) => format!("{}: {said}", describe_exit(&self.exit)),
            None => describe_exit(&self.exit),
        }
    }
}

fn describe_exit(exit: &Exit) -> String {
    match exit {
        Exit::Status(status) => format!("ended with status {status}"),
        Exit::Signal(signal) => format!("was ended by signal {signal}"),
        Exit::TimedOut => "did not end in time".to_owned(),
        Exit::NotStarted(why) => format!("did not start ({why})"),
    }
}

fn step_command(action: &Action) -> Command {
    let asset = |file: &str| format!("{ASSETS_DIR}/{file}");
    let argv = match action {
        Action::Nft(file) => vec!["nft".to_owned(), "-f".to_owned(), asset(file)],
        Action::IptablesRestore(file) => vec!["iptables-restore".to_owned(), asset(file)],
        Action::Ip6tablesRestore(file) => vec!["ip6tables-restore".to_owned(), asset(file)],
        Action::IpBatch(file) => vec!["ip".to_owned(), "-batch".to_owned(), asset(file)],
        Action::Run(script) => return shell(script),
    };
    Command { argv, stdin: Vec::new(), keep: 16 << 10 }
}

/// A script for the guest's shell, handed over as one argument.
fn shell(script: &str) -> Command {
    let argv = ["sh", "-euc", script].map(str::to_owned).to_vec();
    Command { argv, stdin: Vec::new(), keep: 16 << 10 }
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

async fn saw_line(machine: &Machine, id: u32, pattern: &str, timeout: Duration) -> bool {
    let Ok(pattern) = regex::Regex::new(pattern) else { return false };
    let seen = machine.until(|state| {
        let lines = state.service_lines.get(&id);
        let found = lines.is_some_and(|lines| lines.iter().any(|line| pattern.is_match(line)));
        if found {
            return Some(true);
        }
        (state.end.is_some() || state.services.contains_key(&id)).then_some(false)
    });
    tokio::time::timeout(timeout, seen).await.unwrap_or(false)
}

fn last_lines(state: &MachineState, id: u32) -> String {
    let lines = state.service_lines.get(&id).map(Vec::as_slice).unwrap_or_default();
    let last = &lines[lines.len().saturating_sub(3)..];
    if last.is_empty() { String::new() } else { format!(": {}", last.join(" / ")) }
}

fn merge_state(seen: &mut Observation, state: &MachineState) {
    seen.hello |= state.hello.is_some() && state.boot_error.is_none();
    seen.boot_error = seen.boot_error.take().or_else(|| state.boot_error.clone());
    seen.panicked |= state.panicked;
    seen.reports.clone_from(&state.reports);
    if let (MachineEnd::Running, Some(end)) = (&seen.end, &state.end) {
        seen.end = end.clone();
    }
}

fn describe_end(state: &MachineState) -> String {
    match (&state.end, state.reports.first()) {
        (_, Some(report)) => report.title.clone(),
        (Some(MachineEnd::QemuEnded(why)), None) => why.clone(),
        (Some(MachineEnd::Silent { seconds }), None) => format!("silent for {seconds} s"),
        (Some(MachineEnd::Restarted), None) => "it restarted".to_owned(),
        (Some(MachineEnd::PoweredOff), None) => "it switched itself off".to_owned(),
        (Some(MachineEnd::ChannelBroken(why)), None) => why.clone(),
        (Some(MachineEnd::Running) | None, None) => String::new(),
    }
}

fn not_run(check: &Check) -> CheckResult {
    CheckResult {
        name: check.name.clone(),
        status: CheckStatus::NotRun,
        detail: "the trial ended before".to_owned(),
        wall_s: 0.0,
    }
}

fn first_line(text: &str) -> String {
    text.trim().lines().next().unwrap_or_default().chars().take(200).collect()
}

fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
