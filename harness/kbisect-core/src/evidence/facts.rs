//! Registers, taint, task and modules, read out of a report as x86, arm64 and riscv64 print it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most modules and registers that are kept: what is printed by a guest has no natural end.
const MAX_ITEMS: usize = 1024;
/// Longest value in characters.
const MAX_VALUE: usize = 256;

/// What a report says of the machine's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CrashFacts {
    /// Processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// Process id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Name of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comm: Option<String>,
    /// `Not tainted`, or the letters and words after `Tainted:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taint: Option<String>,
    /// The kernel as the report names it: release and build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Hardware name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// Registers in the order of the report; of several dumps, the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registers: Vec<Register>,
    /// `Modules linked in`, with their flags (`nft_fake(OE)`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
}

/// A register and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Register {
    /// Lower case: `rip`, `cr2`, `x0`, `epc`.
    pub name: String,
    /// As printed.
    pub value: String,
}

impl CrashFacts {
    /// Reads a report's text, with or without time stamps. `None` when nothing of this is in it.
    pub fn read(text: &str) -> Option<Self> {
        let mut facts = Self::default();
        let mut in_modules = false;
        // Registers of user space come after those of the kernel and say nothing of the crash.
        let mut dumped = false;
        for line in text.lines() {
            let body = body_of(line).trim();
            if let Some(rest) = body.strip_prefix("Modules linked in:") {
                in_modules = facts.modules.is_empty();
                facts.take_modules(rest, in_modules);
                continue;
            }
            if in_modules && is_module_list(body) {
                facts.take_modules(body, true);
                continue;
            }
            in_modules = false;
            if let Some(rest) = body.strip_prefix("CPU: ") {
                facts.take_cpu(rest);
            } else if let Some(rest) = body.strip_prefix("Tainted: ") {
                // From 6.10 on what the letters mean is on a line of its own.
                if facts.taint.is_none() {
                    facts.taint = Some(value(rest));
                }
            } else if let Some(rest) = body.strip_prefix("Hardware name: ") {
                facts.hardware.get_or_insert_with(|| value(rest));
            } else if is_user_space(body) {
                dumped = true;
            } else if !dumped {
                facts.take_registers(body);
            }
        }
        (facts != Self::default()).then_some(facts)
    }

    /// One line for people: task, taint, instruction and fault address.
    pub fn summary(&self) -> String {
        let mut parts = Vec::new();
        if let Some(comm) = &self.comm {
            let pid = self.pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
            parts.push(format!("task {comm}{pid}"));
        }
        parts.extend(self.cpu.map(|cpu| format!("CPU {cpu}")));
        for name in ["rip", "pc", "epc", "cr2"] {
            parts.extend(self.register(name).map(|value| format!("{name} {value}")));
        }
        match &self.taint {
            Some(taint) if taint == "Not tainted" => parts.push("not tainted".to_owned()),
            Some(taint) => parts.push(format!("tainted: {taint}")),
            None => {}
        }
        if !self.modules.is_empty() {
            parts.push(format!("{} modules", self.modules.len()));
        }
        parts.join(", ")
    }

    /// The value of a register.
    pub fn register(&self, name: &str) -> Option<&str> {
        let found = self.registers.iter().find(|register| register.name == name)?;
        Some(&found.value)
    }

    fn take_modules(&mut self, list: &str, wanted: bool) {
        if !wanted {
            return;
        }
        let list = list.split("[last unloaded").next().unwrap_or(list);
        let room = MAX_ITEMS.saturating_sub(self.modules.len());
        self.modules.extend(list.split_whitespace().take(room).map(value));
    }

    /// `0 UID: 0 PID: 314 Comm: app Tainted: G        W  6.12.57 #1`; `UID` from 6.12 on.
    fn take_cpu(&mut self, rest: &str) {
        if self.cpu.is_some() {
            return;
        }
        self.cpu = rest.split_whitespace().next().and_then(|word| word.parse().ok());
        let after = |key: &str| rest.split_once(key).map(|(_, rest)| rest.trim_start());
        self.pid = after("PID:").and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        let Some(named) = after("Comm:") else { return };
        // A task's name can have spaces; the taint ends it.
        let (comm, taint, rest) = if let Some((comm, rest)) = named.split_once(" Not tainted ") {
            (comm, "Not tainted".to_owned(), rest)
        } else if let Some((comm, rest)) = named.split_once(" Tainted: ") {
            let flags = |word: &&str| word.bytes().all(|byte| byte.is_ascii_uppercase());
            let letters: Vec<&str> = rest.split_whitespace().take_while(flags).collect();
            let kernel = rest.split_whitespace().skip_while(flags).collect::<Vec<_>>().join(" ");
            self.kernel = Some(value(&kernel));
            self.comm = Some(value(comm));
            self.taint = Some(value(&letters.join(" ")));
            return;
        } else {
            self.comm = named.split_whitespace().next().map(value);
            return;
        };
        self.comm = Some(value(comm));
        self.taint = Some(taint);
        let words: Vec<&str> = rest.split_whitespace().collect();
        self.kernel = Some(value(&words.join(" ")));
    }

    /// Takes the registers of a line.
    fn take_registers(&mut self, body: &str) {
        for head in ["RIP: ", "RSP: ", "Code: "] {
            let Some(rest) = body.strip_prefix(head) else { continue };
            let name = head.trim_end_matches(": ").to_lowercase();
            if head == "RSP: " {
                let mut parts = rest.split(" EFLAGS: ");
                self.put(&name, parts.next().unwrap_or_default());
                parts.for_each(|flags| self.put("eflags", flags));
            } else {
                self.put(&name, rest);
            }
            return;
        }
        let words: Vec<&str> = body.split_whitespace().collect();
        // `RAX: 0 RBX: 1`, `x0 : 0 x1 : 1`, `epc : f+0x1 ra : g+0x2`, `FS:  00(0000) GS:00`.
        let mut at = 0;
        while at < words.len() {
            let word = words[at];
            let (name, found, next) = match (word.split_once(':'), words.get(at + 1)) {
                (Some((name, "")), Some(found)) => (name, *found, at + 2),
                (Some((name, found)), _) => (name, found, at + 1),
                (None, Some(&":")) => (word, words.get(at + 2).copied().unwrap_or(""), at + 3),
                (None, _) => return,
            };
            if !is_register(name) || found.is_empty() {
                return;
            }
            self.put(&name.to_lowercase(), found);
            at = next;
        }
    }

    fn put(&mut self, name: &str, text: &str) {
        if self.registers.len() < MAX_ITEMS && self.register(name).is_none() {
            self.registers.push(Register { name: name.to_owned(), value: value(text) });
        }
    }
}

/// The line without time stamp and caller.
fn body_of(line: &str) -> &str {
    let mut body = line.trim_start();
    for _ in 0..2 {
        let Some((inside, rest)) = body.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        else {
            break;
        };
        let inside = inside.trim();
        let stamp = inside.contains('.') && inside.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let caller = inside.len() > 1
            && inside.starts_with(['T', 'C'])
            && inside[1..].bytes().all(|b| b.is_ascii_digit());
        if !stamp && !caller {
            break;
        }
        body = rest.strip_prefix(' ').unwrap_or(rest);
    }
    body
}

/// A part of a list of modules that went on to another line: words that are names.
fn is_module_list(body: &str) -> bool {
    let is_name = |word: &str| {
        let name = word.split('(').next().unwrap_or_default();
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let list = body.split("[last unloaded").next().unwrap_or(body);
    !body.is_empty() && list.split_whitespace().all(is_name)
}

/// Registers of user space: segment 0033 or 0023.
fn is_user_space(body: &str) -> bool {
    body.starts_with("RIP: 0033:") || body.starts_with("RIP: 0023:")
}

fn is_register(name: &str) -> bool {
    const NAMED: [&str; 31] = [
        "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "rip", "eflags", "orig_rax", "cs",
        "ds", "es", "ss", "fs", "gs", "knlgs", "cr0", "cr2", "cr3", "cr4", "pc", "lr", "sp",
        "pstate", "epc", "ra", "gp", "tp", "status",
    ];
    const NUMBERED: [&str; 6] = ["r", "x", "t", "s", "a", "dr"];
    let name = name.to_lowercase();
    let numbered = |prefix: &str| {
        let rest = name.strip_prefix(prefix);
        rest.is_some_and(|r| !r.is_empty() && r.len() <= 2 && r.bytes().all(|b| b.is_ascii_digit()))
    };
    NAMED.contains(&name.as_str())
        || matches!(name.as_str(), "cause" | "badaddr")
        || NUMBERED.iter().any(|prefix| numbered(prefix))
}

fn value(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(MAX_VALUE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OOPS: &str = "\
[   12.000001] BUG: kernel NULL pointer dereference, address: 0000000000000008
[   12.000002] Oops: Oops: 0000 [#1] PREEMPT SMP NOPTI
[   12.000003] CPU: 1 UID: 0 PID: 314 Comm: my app Tainted: G        W  OE      6.12.57 #1  Debian 6.12.57-1
[   12.000004] Tainted: [W]=WARN, [O]=OOT_MODULE, [E]=UNSIGNED_MODULE
[   12.000005] Hardware name: QEMU Standard PC, BIOS 1.16
[   12.000006] RIP: 0010:fake_eval+0x1c/0x90 [nft_fake]
[   12.000007] Code: 48 8b <f0> 00
[   12.000008] RSP: 0018:ffffb0c000000f00 EFLAGS: 00010286
[   12.000009] RAX: 0000000000000001 RBX: 0000000000000002 RCX: 0000000000000003
[   12.000010] R10: 0000000000000004 R11: 0000000000000005 R12: 0000000000000006
[   12.000011] FS:  0000000000000000(0000) GS:ffff8a0000000000(0000) knlGS:0000000000000000
[   12.000012] CS:  0010 DS: 0000 ES: 0000 CR0: 0000000080050033
[   12.000013] CR2: 0000000000000008 CR3: 0000000001000000 CR4: 0000000000000ef0
[   12.000014] Call Trace:
[   12.000015]  fake_outer+0x4f/0x2a0
[   12.000016] RIP: 0033:0x7f00
[   12.000017] RAX: ffffffffffffffda RBX: 0000000000000009 RCX: 0000000000000007
[   12.000018] Modules linked in: nft_fake(OE) nf_tables
[   12.000019] libcrc32c virtio_net [last unloaded: nothing]
[   12.000020] ---[ end trace 0000000000000000 ]---";

    #[test]
    fn everything_of_an_oops_is_read() {
        let facts = CrashFacts::read(OOPS).expect("an oops");
        assert_eq!(
            (facts.cpu, facts.pid, facts.comm.as_deref()),
            (Some(1), Some(314), Some("my app"))
        );
        assert_eq!(facts.taint.as_deref(), Some("G W OE"));
        assert_eq!(facts.kernel.as_deref(), Some("6.12.57 #1 Debian 6.12.57-1"));
        assert_eq!(facts.register("rip"), Some("0010:fake_eval+0x1c/0x90 [nft_fake]"));
        for (name, value) in [
            ("rsp", "0018:ffffb0c000000f00"),
            ("eflags", "00010286"),
            ("rax", "0000000000000001"),
            ("r12", "0000000000000006"),
            ("knlgs", "0000000000000000"),
            ("cr2", "0000000000000008"),
            ("code", "48 8b <f0> 00"),
        ] {
            assert_eq!(facts.register(name), Some(value), "{name}");
        }
        assert_eq!(facts.modules, ["nft_fake(OE)", "nf_tables", "libcrc32c", "virtio_net"]);
        assert!(facts.summary().contains("tainted: G W OE"), "{}", facts.summary());
    }

    #[test]
    fn other_architectures_and_untainted_kernels() {
        let arm = "CPU: 0 PID: 1 Comm: init Not tainted 6.1.0 #1\npstate: 60400005 (nZCv daif)\n\
                   pc : foo+0x4/0x10\nlr : bar+0x8/0x20\nsp : ffff800008003d50\nx29: ffff0 x28: 0000";
        let facts = CrashFacts::read(arm).expect("a report");
        assert_eq!(facts.taint.as_deref(), Some("Not tainted"));
        assert_eq!(facts.register("pc"), Some("foo+0x4/0x10"));
        assert_eq!(facts.register("x28"), Some("0000"));
        let riscv = "epc : foo+0x4/0x10\n ra : bar+0x8/0x20\n gp : ffffffff81 tp : ff60 t0 : 01";
        let facts = CrashFacts::read(riscv).expect("a report");
        assert_eq!(facts.register("ra"), Some("bar+0x8/0x20"));
        assert_eq!(facts.register("t0"), Some("01"));
    }

    #[test]
    fn text_without_a_report_has_no_facts_and_hostile_text_stays_small() {
        assert_eq!(CrashFacts::read("eth0: link up\nhello: world and more"), None);
        let modules = "m ".repeat(1 << 16);
        let long = format!("Modules linked in: {modules}\nRIP: {}\n", "x".repeat(1 << 16));
        let facts = CrashFacts::read(&long).expect("something");
        assert_eq!(facts.modules.len(), MAX_ITEMS);
        assert!(facts.register("rip").is_some_and(|rip| rip.len() <= MAX_VALUE));
    }
}
