//! What is read from the candidate's nodes: counters before and after, and their state at the end.

use std::fs;
use std::time::Duration;

use kbisect_core::counters::{Counters, FILES};
use kbisect_proto::{Event, Request};

use super::Trial;
use super::steps::shell;

impl Trial<'_> {
    /// Reads the counters of every candidate node. A node that does not answer has none.
    async fn counters(&self) -> Vec<(String, Counters)> {
        let mut found = Vec::new();
        let Some(candidate) = &self.candidate else { return found };
        for setup in &self.lab.plan().candidate.nodes {
            let id = candidate.next_id();
            let paths = FILES.iter().map(|file| format!("/proc/net/{file}")).collect();
            let request = Request::Read { id, node: setup.name.clone(), paths };
            let deadline = self.lab.patience(Duration::from_secs(3));
            let Ok(Event::Contents { files, .. }) = candidate.call(id, &request, deadline).await
            else {
                return found;
            };
            let mut counters = Counters::default();
            for file in files {
                let name = file.path.strip_prefix("/proc/net/").unwrap_or(&file.path);
                counters.read(name, &String::from_utf8_lossy(&file.data));
            }
            found.push((setup.name.clone(), counters));
        }
        found
    }

    /// Takes note of the counters as they are once everything is set up.
    pub(super) async fn count_before(&mut self) {
        self.before = self.counters().await;
    }

    /// Says which counters that matter moved since [`Trial::count_before`].
    async fn count_after(&mut self) {
        for (node, after) in self.counters().await {
            let before = self.before.iter().find(|(name, _)| *name == node);
            let Some((_, before)) = before else { continue };
            let moved = after.that_matter_since(before);
            self.counters.extend(moved.into_iter().map(|line| format!("{node}: {line}")));
        }
    }

    /// Reads the state of each candidate node, as far as it answers.
    pub(super) async fn collect(&mut self) {
        self.count_after().await;
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
