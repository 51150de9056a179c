//! Bisections played without machines: a plan, the real search, and made-up trials.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod folder;

use std::collections::BTreeMap;

use kbisect_core::evidence::{CrashFacts, Decoded, Evidence, EvidenceFile, Vmcore};
use kbisect_core::kernel::{Kernel, KernelId};
use kbisect_core::mark::mark;
use kbisect_core::rules::RuleCount;
use kbisect_core::run::{
    Aim, BisectResult, Environment, JournalLine, Plan, PlanOptions, PlannedKernel, RunEvent,
    RunResult, Tried,
};
use kbisect_core::search::{Direction, Mark, Search, SearchStep};
use kbisect_core::trial::{
    CheckResult, CheckStatus, ConsoleReport, Phase, Symptom, SymptomKind, TrialRecord, Untestable,
    VerdictKind, WireCount,
};
use kbisect_core::version::PackageVersion;
use kbisect_report::bisect_result;

/// What a kernel does in the played scenario.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Does {
    Pass,
    Lose,
    Panic,
    PanicAtBoot,
    Lacks,
    OurFault,
}

/// How a played run ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stop {
    Never,
    Interrupted(usize),
    Failed(usize),
    Killed(usize),
}

pub struct Play {
    pub direction: Direction,
    pub kernels: Vec<(&'static str, Does)>,
    pub untestable: Vec<usize>,
    pub assume_old: bool,
    pub stop: Stop,
    pub warnings: Vec<String>,
}

impl Play {
    pub fn new(kernels: &[(&'static str, Does)]) -> Self {
        Self {
            direction: Direction::Regression,
            kernels: kernels.to_vec(),
            untestable: Vec::new(),
            assume_old: false,
            stop: Stop::Never,
            warnings: Vec::new(),
        }
    }

    pub fn result(&self) -> BisectResult {
        bisect_result(&self.journal(), "results/sample").unwrap()
    }

    pub fn journal(&self) -> Vec<JournalLine> {
        let mut events = vec![RunEvent::Began { plan: Box::new(self.plan()) }];
        let mut search = Search::new(self.kernels.len(), self.direction, &self.untestable).unwrap();
        if self.assume_old {
            search = search.assume_old();
        }
        let mut target: Option<Symptom> = None;
        let mut number = 0;
        loop {
            let done = number as usize;
            match self.stop {
                Stop::Interrupted(after) if after == done => {
                    events.push(RunEvent::Interrupted);
                    break;
                }
                Stop::Failed(after) if after == done => {
                    events.push(RunEvent::Failed { error: "no space left on device".to_owned() });
                    break;
                }
                Stop::Killed(after) if after == done => break,
                _ => {}
            }
            let (index, role, estimated_left) = match search.next() {
                SearchStep::Wait => unreachable!("nothing is under way"),
                SearchStep::Done(outcome) => {
                    events.push(RunEvent::Ended { outcome });
                    break;
                }
                SearchStep::Test { index, role, estimated_left } => (index, role, estimated_left),
            };
            number += 1;
            events.push(RunEvent::TrialBegan {
                number,
                aim: Aim::Version { index, role, estimated_left, reason: None },
                worker: None,
            });
            let record = self.trial(number, index);
            let (mark, taken) = mark(&record, role, target.as_ref());
            if mark == Some(Mark::Bad) {
                target = target.or_else(|| taken.symptom(&record).cloned());
            }
            if let Some(mark) = mark {
                search.record(index, mark).unwrap();
            }
            events.push(RunEvent::TrialEnded {
                tried: Tried::Version { index },
                record: Box::new(record),
                mark,
                taken,
            });
            if mark.is_none() {
                events.push(RunEvent::Failed { error: "QEMU could not be started".to_owned() });
                break;
            }
        }
        let line = |(at, event)| JournalLine { at_ms: 1_000_000 + 9_000 * at as u64, event };
        events.into_iter().enumerate().map(line).collect()
    }

    pub fn plan(&self) -> Plan {
        let end = |index: usize| self.kernels[index].0.split('-').next().unwrap().to_owned();
        let (old_end, new_end) = (end(0), end(self.kernels.len() - 1));
        Plan {
            schema: "kbisect.plan/2".to_owned(),
            run_id: "sample".to_owned(),
            tool_version: "0.1.0".to_owned(),
            command: [
                "/opt/bin/kbisect",
                &format!("{old_end}..{new_end}"),
                "--scenario",
                "connlimit",
            ]
            .map(str::to_owned)
            .to_vec(),
            scenario: "connlimit".to_owned(),
            scenario_summary: "outgoing TCP connections of a host behind a rule".to_owned(),
            scenario_says: String::new(),
            beyond: None,
            scenario_sha256: "5".repeat(64),
            direction: self.direction,
            old_end,
            new_end,
            series: (0..self.kernels.len())
                .map(|index| PlannedKernel {
                    kernel: self.kernel(index),
                    untestable: self.untestable.contains(&index).then(no_packages),
                    download_bytes: 100_000_000,
                    commit: None,
                })
                .collect(),
            reference: kernel("6.1.170-1", "debian:bookworm", 99),
            environment: environment(),
            options: PlanOptions { assume_old: self.assume_old, ..PlanOptions::default() },
            warnings: self.warnings.clone(),
        }
    }

    fn kernel(&self, index: usize) -> Kernel {
        let version = self.kernels[index].0;
        let source =
            if version.contains("bpo") { "debian:trixie-backports" } else { "debian:trixie" };
        kernel(version, source, index)
    }

    pub fn trial(&self, number: u32, index: usize) -> TrialRecord {
        let does = self.kernels[index].1;
        let failed = |status, detail: &str| CheckResult {
            name: "payload".to_owned(),
            status,
            detail: detail.to_owned(),
            wall_s: 1.5,
        };
        let kernel = self.kernel(index);
        let mut record = TrialRecord {
            number,
            verdict: VerdictKind::Good,
            untestable: None,
            symptom: None,
            fault: None,
            reason: None,
            checks: vec![failed(CheckStatus::Pass, "5 connections, 65536 bytes each")],
            timings_s: BTreeMap::from([
                ("boot".to_owned(), 5.25),
                ("setup".to_owned(), 0.5),
                ("checks".to_owned(), 1.6),
            ]),
            wall_s: 8.75,
            reports: Vec::new(),
            accepted: Vec::new(),
            injected: Vec::new(),
            notes: Vec::new(),
            wires: vec![wire("client", 40), wire("server", 60)],
            hops: Vec::new(),
            counters: Vec::new(),
            state: Vec::new(),
            states: BTreeMap::new(),
            place: None,
            reused: None,
            evidence: Default::default(),
            disturbed: Default::default(),
            began_ms: None,
            directory: format!("trials/{number:02}-{}", kernel.version),
            accelerator: "tcg".to_owned(),
            memory_mib: None,
            deadlines: None,
            boot: None,
            boot_id: None,
            booted: None,
            release: Some(format!("{}-cloud-amd64", kernel.version)),
            repeat: format!("kbisect run {} --scenario connlimit", kernel.package_version),
            kernel,
        };
        match does {
            Does::Pass => {}
            Does::Lose => {
                record.verdict = VerdictKind::Bad;
                record.checks =
                    vec![failed(CheckStatus::Fail, "connection 2 of 5: no answer in 6 s")];
                record.wires = vec![wire("client", 9), wire("server", 4)];
                record.hops = vec![
                    "request tcp 192.0.2.10:40002 -> 192.0.2.1:80: 2 frames (0 with payload, 0 reset) \
                     from client on wire lan"
                        .to_owned(),
                    "reply tcp 192.0.2.1:80 -> 192.0.2.10:40002: 3 frames (0 with payload, 0 reset) \
                     from server on wire lan"
                        .to_owned(),
                ];
                record.symptom = Some(Symptom {
                    kind: SymptomKind::LostIngress,
                    title: "replies lost inside client".to_owned(),
                    detail:
                        "replies to tcp 192.0.2.10:40002 -> 192.0.2.1:80 reached client (3 frames) \
                             and were lost inside it"
                            .to_owned(),
                    place: None,
                    alt_titles: Vec::new(),
                    frames: Vec::new(),
                    lacks: Vec::new(),
                    loss: None,
                });
            }
            Does::Panic => {
                record.verdict = VerdictKind::Bad;
                record.checks = vec![failed(CheckStatus::NotRun, "")];
                record.reports = vec![console_report()];
                record.evidence = evidence();
                record.symptom = Some(Symptom {
                    kind: SymptomKind::Panic,
                    title: "Oops: stack guard page in nft_synproxy_do_eval".to_owned(),
                    detail: "Oops: stack guard page: 0000 [#1] PREEMPT SMP NOPTI".to_owned(),
                    place: None,
                    alt_titles: vec!["panic in interrupt".to_owned()],
                    frames: vec!["nft_synproxy_do_eval".to_owned(), "nft_do_chain".to_owned()],
                    lacks: Vec::new(),
                    loss: None,
                });
            }
            Does::PanicAtBoot => {
                record.verdict = VerdictKind::Skip;
                record.checks = Vec::new();
                record.untestable =
                    Some(Untestable::NoBoot { said: "panic in acpi_init".to_owned() });
            }
            Does::Lacks => {
                record.verdict = VerdictKind::Skip;
                record.checks = Vec::new();
                let features = vec!["ebtables".to_owned()];
                record.untestable = Some(Untestable::Lacks { features });
            }
            Does::OurFault => {
                record.verdict = VerdictKind::Infra;
                record.checks = Vec::new();
                record.reason = Some("QEMU could not be started".to_owned());
            }
        }
        if let Some(why) = &record.untestable {
            record.reason = Some(why.to_string());
        }
        record
    }
}

fn no_packages() -> Untestable {
    Untestable::NoPackages { said: "the archive holds no modules for it".to_owned() }
}

pub fn run_result(does: Does) -> RunResult {
    RunResult {
        schema: "kbisect.run/1".to_owned(),
        scenario: "connlimit".to_owned(),
        trial: Play::new(&[("6.12.69-1", does)]).trial(1, 0).into(),
        rates: None,
        reference: None,
        environment: environment(),
        run_dir: "results/sample".to_owned(),
        tool_version: "0.1.0".to_owned(),
    }
}

pub fn kernel(version: &str, source: &str, index: usize) -> Kernel {
    let package_version = PackageVersion::parse(version).unwrap();
    Kernel {
        version: package_version.upstream().to_owned(),
        package_version,
        flavour: "cloud-amd64".to_owned(),
        source: source.to_owned(),
        id: KernelId(format!("{index:02x}").repeat(32)),
        release: None,
        name: None,
        variant: None,
    }
}

pub fn console_report() -> ConsoleReport {
    ConsoleReport {
        console: None,
        kind: SymptomKind::Panic,
        title: "Oops: stack guard page in nft_synproxy_do_eval".to_owned(),
        phase: Phase::Checks,
        fatal: true,
        line: 412,
        alt_titles: vec!["panic in interrupt".to_owned()],
        frames: vec!["nft_synproxy_do_eval".to_owned(), "nft_do_chain".to_owned()],
        text: "Oops: stack guard page: 0000 [#1] PREEMPT SMP NOPTI\nCall Trace:\n <IRQ>\n \
               nft_do_chain+0x1a2/0x700 [nf_tables]\n </IRQ>\nKernel panic - not syncing"
            .to_owned(),
    }
}

fn evidence() -> Evidence {
    let report = "CPU: 0 PID: 77 Comm: app Tainted: G        W 6.12.69-cloud-amd64 #1\n\
                  RIP: 0010:nft_do_chain+0x1a2/0x700 [nf_tables]\nCR2: ffffb0c000000ff8\n\
                  Modules linked in: nft_synproxy nf_tables";
    Evidence {
        rules: vec![RuleCount {
            node: "client".to_owned(),
            place: "ip filter INPUT".to_owned(),
            rule: "tcp dport 80 counter | `drop` <b>".to_owned(),
            before: 0,
            after: 12,
        }],
        crash: CrashFacts::read(report),
        vmcore: Some(Vmcore {
            path: "candidate/vmcore".to_owned(),
            format: "kdump-raw-zlib".to_owned(),
            bytes: 49_119_723,
            sha256: "0e".repeat(32),
            build_id: Some("9195989c".to_owned()),
            release: Some("6.12.69-cloud-amd64".to_owned()),
        }),
        decoded: Some(Decoded::Unavailable { reason: "none was asked for".to_owned() }),
        files: vec![EvidenceFile {
            path: "candidate/config".to_owned(),
            what: "configuration of the kernel".to_owned(),
        }],
    }
}

fn environment() -> Environment {
    Environment {
        qemu: "10.0.2".to_owned(),
        accelerator: "tcg".to_owned(),
        accelerator_reason: Some("/dev/kvm cannot be opened: permission denied".to_owned()),
        image: "default-0123456789ab".to_owned(),
        host: "Linux 6.12.57-amd64".to_owned(),
        cpus: 2,
        placement: "split".to_owned(),
    }
}

fn wire(from: &str, frames: u64) -> WireCount {
    WireCount {
        wire: "lan".to_owned(),
        from: from.to_owned(),
        frames,
        bytes: frames * 100,
        undelivered: 0,
    }
}
