//! What is read from the candidate's nodes: counters before and after, and their state at the end.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use kbisect_core::counters::{Counters, FILES};
use kbisect_core::judge::MachineEnd;
use kbisect_core::rules::counted;
use kbisect_core::state;
use kbisect_core::trial::{Phase, Verdict};
use kbisect_proto::{Command, Event, Request, RequestId};

use super::Trial;
use super::steps::shell;
use crate::machine::{CallError, Machine};

const PROC_NET: &str = "/proc/net/";

/// Files of a node that are kept beside its counters.
const STATE: [&str; 4] =
    ["/proc/version", "/proc/cmdline", "/proc/sys/kernel/tainted", "/proc/modules"];

/// The same after a trial in which nothing failed: what needs no program, in one message.
const STATE_OF_GOOD: [&str; 10] = [
    "/proc/version",
    "/proc/cmdline",
    "/proc/sys/kernel/tainted",
    "/proc/modules",
    "/proc/net/route",
    "/proc/net/ipv6_route",
    "/proc/net/if_inet6",
    "/proc/net/fib_trie",
    "/proc/net/nf_conntrack",
    "/dev/kmsg",
];

/// What is asked of programs at the end of other trials. Few of them: each costs 10 to 30 ms under emulation.
const COLLECT: &str = r#"
set +e
section() { printf '\n### %s\n' "$1"; }
section 'addresses, rules, neighbours, routes of all tables'
printf 'addr show\nrule show\nneigh show\nroute show table all\n' | ip -s -batch - 2>&1
section 'nft list ruleset'; nft list ruleset 2>&1
# Tables of the older interface, if it is in use: asking would make it so.
for family in ip ip6; do
    if grep -q . /proc/net/${family}_tables_names 2>/dev/null; then
        section "${family}tables-legacy-save -c"; ${family}tables-legacy-save -c 2>&1
    fi
done
section 'conntrack -L'; conntrack -L 2>&1
section dmesg; dmesg 2>&1
true
"#;

/// Links, addresses, policy rules and routes, in one process.
const NETWORK: &str = "addr show\nrule show\nroute show table all\n";
/// Title of the same in the text that [`COLLECT`] gives.
const NETWORK_SECTION: &str = "addresses, rules, neighbours, routes of all tables";

/// What rules counted. Elements of sets can be many.
const RULESET: [&str; 4] = ["nft", "--terse", "list", "ruleset"];
/// Title of the rules in collected texts.
const RULES_SECTION: &str = "nft list ruleset";

/// A node's counters, and the files that they were read from.
struct Snapshot {
    node: String,
    counters: Counters,
    files: String,
}

/// A node once everything is set up.
pub(super) struct Before {
    pub node: String,
    counters: Counters,
    /// What [`NETWORK`] gave.
    network: String,
    /// What [`RULESET`] gave, where counts are not 0 by then.
    rules: String,
}

/// Asks a machine, whether it counts as down or not.
async fn ask(
    candidate: &Machine,
    id: RequestId,
    request: &Request,
    deadline: Duration,
) -> Result<Event, CallError> {
    if candidate.is_down() {
        candidate.call_crashed(id, request, deadline).await
    } else {
        candidate.call(id, request, deadline).await
    }
}

impl Trial<'_> {
    /// Reads the counters of every candidate node, and the files beside them, without starting a
    /// process. A node that does not answer is left out.
    async fn snapshots(&self, beside: &[&str]) -> Vec<Snapshot> {
        let mut found = Vec::new();
        for setup in self.lab.plan().nodes_under_test() {
            let Some(candidate) = self.alive_or_crashed(&setup.name) else { continue };
            let id = candidate.next_id();
            let counted = FILES.iter().map(|file| format!("{PROC_NET}{file}"));
            let paths = beside.iter().map(|path| (*path).to_owned()).chain(counted).collect();
            let request = Request::Read { id, node: setup.name.clone(), paths };
            let deadline = self.lab.patience(Duration::from_secs(3));
            let answer = ask(candidate, id, &request, deadline).await;
            let Ok(Event::Contents { files, .. }) = answer else { return found };
            let mut snapshot = Snapshot {
                node: setup.name.clone(),
                counters: Counters::default(),
                files: String::new(),
            };
            for file in files {
                let text = String::from_utf8_lossy(&file.data);
                if let Some(name) = file.path.strip_prefix(PROC_NET) {
                    snapshot.counters.read(name, &text);
                }
                snapshot.files += &format!("### {}\n{text}\n", file.path);
            }
            found.push(snapshot);
        }
        found
    }

    /// Reads the state of a candidate that crashed and still answers: after an oops a kernel often
    /// does. What comes of asking is no part of the verdict.
    pub(super) async fn collect_crashed(&mut self) {
        let Some(candidate) = &self.candidate else { return };
        let state = candidate.state();
        let stopped = state.reports.iter().any(|report| report.fatal) || state.panicked;
        if state.hello.is_none() || state.end != Some(MachineEnd::Running) || stopped {
            return;
        }
        let id = candidate.next_id();
        let deadline = self.lab.patience(Duration::from_secs(1));
        let lives = ask(candidate, id, &Request::Ping { id }, deadline).await.is_ok();
        self.frozen = Some(state);
        if lives {
            self.begin(Phase::Collect);
            self.collect().await;
        } else {
            self.notes.push("after the crash the guest answered no more".to_owned());
        }
    }

    /// Takes note of counters, links, addresses and routes as they are once everything is set up. A
    /// node that does not answer is left out.
    pub(super) async fn count_before(&mut self) {
        let snapshots = self.snapshots(&[]).await;
        for snapshot in snapshots {
            let timeout = self.lab.patience(Duration::from_secs(5));
            let argv = ["ip", "-s", "-force", "-batch", "-"].map(str::to_owned).to_vec();
            let command = Command { argv, stdin: NETWORK.into(), keep: 16 << 10 };
            let answer = self.ask(&snapshot.node, command, timeout).await;
            let network = match answer {
                Ok(Event::Exited { stdout, .. }) => String::from_utf8_lossy(&stdout).into_owned(),
                _ => String::new(),
            };
            let Snapshot { node, counters, .. } = snapshot;
            let rules = match self.loads_counts(&node) {
                true => self.ruleset(&node).await.unwrap_or_default(),
                false => String::new(),
            };
            self.before.push(Before { node, counters, network, rules });
        }
    }

    /// The steps of a node that load rules, with their files.
    fn rule_files(&self, node: &str) -> impl Iterator<Item = &[u8]> {
        let scenario = self.lab.scenario();
        let steps = scenario.setup.iter().chain(&scenario.replay);
        let own = steps.filter(move |step| step.node == node && step.action.loads_rules());
        own.filter_map(|step| scenario.assets.get(step.action.asset()?).map(Vec::as_slice))
    }

    /// Whether rules of a node have counts from the start: a dump has those of the host that it is of.
    fn loads_counts(&self, node: &str) -> bool {
        self.rule_files(node).any(|text| {
            let words =
                || text.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
            words().zip(words().skip(1)).any(|(word, count)| {
                word == b"packets"
                    && count.first().is_some_and(|digit| (b'1'..=b'9').contains(digit))
            })
        })
    }

    /// The rules of a node with their counts; none when it does not answer, which is no symptom.
    async fn ruleset(&self, node: &str) -> Option<String> {
        let candidate = self.candidate.as_ref()?;
        let id = candidate.next_id();
        let argv = RULESET.map(str::to_owned).to_vec();
        let command = Command { argv, stdin: Vec::new(), keep: 256 << 10 };
        let timeout = self.lab.patience(Duration::from_secs(3));
        let timeout_ms = timeout.as_millis() as u64;
        let request = Request::Exec { id, node: node.to_owned(), command, timeout_ms };
        let patience = timeout + self.lab.settings().timing.answer;
        match ask(candidate, id, &request, patience).await {
            Ok(Event::Exited { stdout, .. }) => Some(String::from_utf8_lossy(&stdout).into_owned()),
            _ => None,
        }
    }

    /// Notes what rules counted.
    fn note_rules(&mut self, node: &str, after: &str) {
        let before = self.before.iter().find(|before| before.node == node);
        let before = before.map_or("", |before| before.rules.as_str());
        let found = counted(node, before, after);
        self.evidence.rules.extend(found);
    }

    /// Makes sure that a candidate which no longer answers is known to hang: evidence that cannot be
    /// had is a note, a machine that stopped is not. At once when it gave a sign of life lately.
    pub(super) async fn lives_on(&self) {
        const LATELY: Duration = Duration::from_secs(2);
        for (_, candidate) in self.under_test().filter(|(_, machine)| !machine.is_down()) {
            if candidate.look(|state| state.heard.elapsed() < LATELY) {
                continue;
            }
            let since = Instant::now();
            let sign =
                candidate.until(|state| (state.end.is_some() || state.heard > since).then_some(()));
            // The machine's own task decides about silence; this only ends if that does not.
            let deadline = self.lab.timing().silence * 2;
            let _ = candidate.in_time(deadline, sign).await;
        }
    }

    /// Keeps what the collected text says about connections that failed.
    fn note_state(&mut self, node: &str, text: &str) {
        if self.failed.is_empty() {
            return;
        }
        let rules = state::rule_counters(state::section(text, RULES_SECTION));
        let entries = state::connections(state::section(text, "conntrack -L"), &self.failed);
        let rules = rules.into_iter().map(|rule| format!("{node}: rule {rule}"));
        let entries = entries.into_iter().map(|entry| format!("{node}: conntrack {entry}"));
        self.state.extend(rules.chain(entries));
    }

    /// Reads the state of each candidate node, as far as it answers, and says which counters that
    /// matter moved since [`Trial::count_before`].
    pub(super) async fn collect(&mut self) {
        if self.limits.brief {
            return;
        }
        let directory = self.directory.join("collect");
        let nothing_failed = matches!(self.verdict(), Verdict::Good);
        let beside: &[&str] = if nothing_failed { &STATE_OF_GOOD } else { &STATE };
        for snapshot in self.snapshots(beside).await {
            let Snapshot { node, counters, files } = snapshot;
            let before = self.before.iter().find(|before| before.node == node);
            if let Some(before) = before {
                let moved = counters.that_matter_since(&before.counters);
                self.counters.extend(moved.into_iter().map(|line| format!("{node}: {line}")));
            }
            if nothing_failed {
                let mut files = files;
                if self.rule_files(&node).next().is_some()
                    && let Some(rules) = self.ruleset(&node).await
                {
                    self.note_rules(&node, &rules);
                    files += &format!("### {RULES_SECTION}\n{rules}\n");
                }
                if let Err(error) = write(&directory, &node, files.as_bytes()) {
                    self.notes.push(error);
                    return;
                }
                continue;
            }
            let network = before.map(|before| before.network.clone()).unwrap_or_default();
            let mut command = shell(COLLECT);
            command.keep = 768 << 10;
            let timeout = self.lab.patience(Duration::from_secs(5));
            // Asked past the observation: evidence that cannot be had is no symptom of the kernel.
            let Some(candidate) = self.alive_or_crashed(&node) else { continue };
            let id = candidate.next_id();
            let timeout_ms = timeout.as_millis() as u64;
            let request = Request::Exec { id, node: node.clone(), command, timeout_ms };
            // One that crashed is not waited for beyond what the guest itself keeps.
            let grace = self.lab.settings().timing.answer;
            let patience = if candidate.is_down() { timeout } else { timeout + grace };
            let answer = ask(candidate, id, &request, patience).await;
            let Ok(Event::Exited { stdout, .. }) = answer else {
                self.notes.push(format!("the state of {node} at the end could not be read"));
                return;
            };
            let text = String::from_utf8_lossy(&stdout);
            self.note_state(&node, &text);
            self.note_rules(&node, state::section(&text, RULES_SECTION));
            if !network.is_empty() {
                let changed =
                    state::changed_network(&network, state::section(&text, NETWORK_SECTION));
                self.counters.extend(changed.into_iter().map(|line| format!("{node}: {line}")));
            }
            let text = [files.as_bytes(), &stdout].concat();
            if let Err(error) = write(&directory, &node, &text) {
                self.notes.push(error);
                return;
            }
        }
    }
}

fn write(directory: &Path, node: &str, text: &[u8]) -> Result<(), String> {
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(directory.join(format!("{node}.txt")), text))
        .map_err(|error| format!("cannot write {}: {error}", directory.display()))
}
