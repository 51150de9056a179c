//! Stack traces, as x86, arm64, arm and riscv print them.

/// One function of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// As printed, without offset.
    pub name: &'a str,
    pub module: Option<&'a str>,
    /// From the instruction pointer, not from the stack.
    pub ip: bool,
}

/// The traces of one report.
#[derive(Debug, Default)]
pub(super) struct Traces<'a> {
    /// Functions named before any trace: the instruction pointer, and traces without a heading.
    pub head: Vec<Frame<'a>>,
    /// The traces that tell where it happened, in order.
    pub calls: Vec<Vec<Frame<'a>>>,
    /// Where the memory in question came from (`Uninit was created at:` and the like).
    pub origin: Vec<Frame<'a>>,
    /// Where the locks of a dependency chain were taken (`-> #1 (&a->lock){+.+.}:`).
    pub chain: Vec<Frame<'a>>,
    /// Where a lock became unsafe (`... which became HARDIRQ-irq-unsafe at:`).
    pub became_unsafe: Vec<Frame<'a>>,
    /// The trace of another report is in it.
    pub mixed: bool,
    /// A heading of a trace was seen.
    pub headed: bool,
    /// Functions that the unwinder only found on the stack (`? func+0x1/0x2`).
    guessed: Vec<Frame<'a>>,
}

impl<'a> Traces<'a> {
    /// The trace that tells where it happened, without the instruction pointer above it. Kernels
    /// without an unwinder have guesses only.
    pub fn main(&self) -> &[Frame<'a>] {
        let sure = self.calls.iter().find(|frames| !frames.is_empty());
        sure.map_or(self.guessed.as_slice(), Vec::as_slice)
    }

    /// Whether [`Self::main`] holds guesses.
    pub fn is_guess(&self) -> bool {
        self.calls.iter().all(Vec::is_empty) && !self.guessed.is_empty()
    }

    /// The instruction pointer printed before the trace.
    pub fn ip(&self) -> Option<Frame<'a>> {
        self.head.iter().copied().find(|frame| frame.ip)
    }
}

/// Where the functions that come next belong.
#[derive(Clone, Copy, PartialEq)]
enum Section {
    Head,
    Call,
    Origin,
    Chain,
    BecameUnsafe,
    /// The trace of a CPU comes; it may have no heading (arm).
    Between,
    /// Other tasks, lock chains, the history of an object.
    Aside,
}

/// Reads the traces out of the messages of a report.
pub(super) fn collect<'a>(bodies: impl Iterator<Item = &'a str>) -> Traces<'a> {
    let mut traces = Traces::default();
    let mut section = Section::Head;
    let mut aside = false;
    for body in bodies {
        // Most lines are frames, and no frame is a heading.
        let text = unindented(body);
        if let Some((name, module)) = symbol(text) {
            if is_past_the_end(text) {
                continue;
            }
            let frame = Frame { name, module, ip: false };
            if name.starts_with("should_fail") && section != Section::Aside {
                // Fault injection tells whom it failed, in a trace of its own.
                traces.mixed = true;
                section = Section::Aside;
            }
            match section {
                Section::Between => {
                    traces.calls.push(vec![frame]);
                    section = Section::Call;
                }
                Section::Head => traces.head.push(frame),
                Section::Call => traces.calls.last_mut().expect("a heading opened it").push(frame),
                Section::Origin => traces.origin.push(frame),
                Section::Chain => traces.chain.push(frame),
                Section::BecameUnsafe => traces.became_unsafe.push(frame),
                Section::Aside => {}
            }
            continue;
        }
        if is_heading(text) {
            traces.headed = true;
            section = if std::mem::take(&mut aside) { Section::Aside } else { Section::Call };
            if section == Section::Call {
                traces.calls.push(Vec::new());
            }
            continue;
        }
        if let Some(next) = section_of(text) {
            section = next;
            continue;
        }
        if body.ends_with("kthread stack dump:") {
            aside = true;
            continue;
        }
        let target = match section {
            Section::Head => &mut traces.head,
            Section::Call => traces.calls.last_mut().expect("a heading opened it"),
            Section::Origin => &mut traces.origin,
            Section::Chain => &mut traces.chain,
            Section::BecameUnsafe => &mut traces.became_unsafe,
            Section::Between => {
                let mut frames = Vec::new();
                if frames_of(body, &mut frames) {
                    traces.calls.push(frames);
                    section = Section::Call;
                }
                continue;
            }
            Section::Aside => continue,
        };
        if let Some(frame) = instruction_pointer(text) {
            // What follows was interrupted by the first part of the trace.
            target.push(frame);
        } else if !frames_of(body, target) && section == Section::Call {
            traces.guessed.extend(guess(text));
        }
    }
    traces
}

/// The function of `[<ffffffff81071a01>] ? func+0x31/0x100`. Since 4.11 traces show no addresses, and
/// there is an unwinder, which has failed where all is guesses: those say nothing then.
fn guess(text: &str) -> Option<Frame<'_>> {
    let mut text = strip_address(text)?;
    while let Some(rest) = strip_address(text) {
        text = rest;
    }
    symbol(text.strip_prefix("? ")?).map(|(name, module)| Frame { name, module, ip: false })
}

/// Says whether a message is part of a trace or of the register dump around it.
pub(super) fn belongs(body: &str) -> bool {
    // An offset into a function: a frame, an instruction pointer, a lock site.
    let bytes = body.as_bytes();
    if memchr::memchr_iter(b'/', bytes).any(|at| bytes[at..].starts_with(b"/0x")) {
        return true;
    }
    let text = unindented(body);
    if is_dump(text) {
        return true;
    }
    let heads: &[&str] = match text.as_bytes().first() {
        Some(b'?' | b'<' | b'[' | b'>') => return true,
        Some(b'R') => &["RIP", "RSP", "RAX", "RDX", "RBP", "R1", "R0", "Register r"],
        Some(b'C' | b'c') => &["CR2", "CS: ", "Code: ", "CPU: ", "Call ", "cr"],
        Some(b'D' | b'E' | b'F') => &["DR", "EIP", "EAX", "EFLAGS", "FS: ", "Freed by"],
        Some(b'M') => &["Modules linked", "Memory state"],
        Some(b'p' | b'l' | b's') => &["pc : ", "pstate", "lr : ", "sp : ", "page:"],
        Some(b'x' | b'r' | b'f') => &["x", "raw: ", "r1", "flags: ", "ff"],
        Some(b'A' | b'B' | b'H' | b'W') => &["Allocated by", "Backtrace", "Hardware n", "Workq"],
        Some(b'e' | b'b') => &["epc", "backtrace"],
        Some(b'#' | b'-' | b'=') => &["#", "---", "==="],
        _ => return false,
    };
    heads.iter().any(|head| text.starts_with(head))
}

/// Says whether a message has a trace of its own, without being a report: a failed allocation, an
/// injected fault, a page fault that may not be retried.
pub(super) fn is_of_another(body: &str) -> bool {
    body.contains("allocation failure: ")
        || body.starts_with("FAULT_INJECTION: forcing a failure")
        || body.starts_with("FAULT_FLAG_ALLOW_RETRY missing")
}

/// A line of a memory dump: `1ac0: 80275518 802a0f18`, `ffff8880949e7300: fb fb fb`.
fn is_dump(text: &str) -> bool {
    let text = text.strip_prefix("Object ").unwrap_or(text);
    let rest = text.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    text.len() - rest.len() >= 4 && rest.starts_with(": ")
}

fn is_heading(text: &str) -> bool {
    text.starts_with(['C', 'B', 'b', 'S'])
        && [
            "Call Trace:",
            "Call trace:",
            "Backtrace:",
            "backtrace:",
            "backtrace (",
            "Stack traceback:",
        ]
        .iter()
        .any(|heading| text.starts_with(heading))
}

fn section_of(text: &str) -> Option<Section> {
    let starts = |heads: &[&str]| heads.iter().any(|head| text.starts_with(head));
    if !text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '-' | '{' | '.')) {
        return None;
    }
    if starts(&[
        "Uninit was created at",
        "Uninit was stored to memory at",
        "Local variable",
        "page last allocated via",
    ]) {
        return Some(Section::Origin);
    }
    if text.starts_with("-> #") {
        return Some(Section::Chain);
    }
    if text.contains("which became ") && text.ends_with("-unsafe at:") {
        return Some(Section::BecameUnsafe);
    }
    if text.starts_with("NMI backtrace for cpu") {
        return Some(Section::Between);
    }
    let aside = starts(&[
        "Allocated by ",
        "Allocated:",
        "Freed by ",
        "Freed:",
        "Last potentially related",
        "Second to last",
        "Last call_rcu",
        "the existing dependency chain",
        "the dependencies between",
        "to a ",
        "Memory state around",
        "The buggy address",
        "INFO: Allocated in",
        "INFO: Freed in",
        "Showing all locks",
        "page last free ",
        "value changed",
        "read to 0x",
        "write to 0x",
        "kfence-#",
        "allocated by task",
        "freed by task",
    ]) || text.ends_with("state was registered at:")
        || text.ends_with("irq-safe at:");
    // The trace of the CPU that is stuck comes after this line, under a heading of its own.
    aside.then_some(Section::Aside)
}

/// The function in `RIP: 0010:func+0x1/0x2`, `PC is at func+0x1/0x2`, `pc : func+0x1/0x2`,
/// `epc : func+0x1/0x2` and the older spellings.
pub(super) fn instruction_pointer(body: &str) -> Option<Frame<'_>> {
    let text = unindented(body);
    let rest = match text.strip_prefix("--- interrupt: ") {
        // powerpc: what follows was interrupted there.
        Some(rest) => rest.split_once(" at ")?.1,
        None => INSTRUCTION_POINTERS.iter().find_map(|head| text.strip_prefix(head))?,
    };
    let rest = unindented(rest);
    // Code segment: 0010 is the kernel's, 0033 and 0023 are user space.
    let rest = match rest.split_once(':') {
        Some((segment, rest)) if segment.len() == 4 && segment.bytes().all(is_hex) => {
            if !matches!(segment, "0010" | "0060") {
                return None;
            }
            rest
        }
        _ => rest,
    };
    let mut rest = unindented(rest);
    while let Some(after) = strip_address(rest) {
        rest = after;
    }
    // MIPS and LoongArch put the bare address before it, s390 a mask too, and brackets around it.
    while let Some((address, after)) = rest.split_once(' ')
        && address.len() >= 8
        && address.bytes().all(is_hex)
    {
        rest = after.trim_start_matches('(');
    }
    symbol(rest).map(|(name, module)| Frame { name, module, ip: true })
}

/// What stands before the function at the instruction pointer: x86, arm, arm64 and riscv, powerpc, MIPS,
/// LoongArch, s390.
const INSTRUCTION_POINTERS: &[&str] = &[
    "RIP: ",
    "RIP ",
    "EIP: ",
    "EIP is at ",
    "IP: ",
    "PC is at ",
    "pc : ",
    "epc : ",
    "NIP ",
    "epc   : ",
    "ERA: ",
    "Krnl PSW : ",
];

/// Adds the functions of one line of a trace; says whether there was one.
fn frames_of<'a>(body: &'a str, frames: &mut Vec<Frame<'a>>) -> bool {
    let before = frames.len();
    add_frames(body, frames);
    frames.len() > before
}

fn add_frames<'a>(body: &'a str, frames: &mut Vec<Frame<'a>>) {
    let mut text = unindented(body);
    let mut add = |name, module| frames.push(Frame { name, module, ip: false });
    // `<IRQ>`, `</TASK>`, `<#DF>` may share the line with a function.
    while text.starts_with('<')
        && let Some((mark, rest)) = text[1..].split_once('>')
        && !mark.is_empty()
        && mark.len() <= 12
        && mark.bytes().all(|b| b.is_ascii_uppercase() || b"/#_0123456789".contains(&b))
    {
        text = unindented(rest);
    }
    while let Some(rest) = strip_address(text) {
        text = rest;
    }
    if text.starts_with("? ") || text.ends_with("(unreliable)") {
        return;
    }
    if let Some((name, module)) = symbol(text) {
        if !is_past_the_end(text) {
            add(name, module);
        }
        return;
    }
    // arm: `[<80de0078>] (callee) from [<80de0574>] (caller+0x28/0x2c)`, `callee from caller+..`
    if text.starts_with(|c: char| c == '(' || c.is_ascii_lowercase() || c == '_')
        && memchr::memchr(b'+', text.as_bytes()).is_some()
        && let Some((_, caller)) = text.split_once(" from ")
    {
        let caller = unindented(caller);
        let caller = strip_address(caller).unwrap_or(caller).trim_start_matches('(');
        let callee = text.split(' ').next().unwrap_or_default();
        let callee = callee.trim_start_matches('(').trim_end_matches(')');
        if frames.is_empty() && is_name(callee) {
            // The innermost one is nobody's caller.
            frames.push(Frame { name: callee, module: None, ip: false });
        }
        if let Some((name, module)) = symbol(caller).filter(|_| !is_past_the_end(caller)) {
            frames.push(Frame { name, module, ip: false });
        }
        return;
    }
    // Symbolised: `func (file.c:12 (discriminator 1))`. What was inlined (`func file.c:12 [inline]`) is
    // not of the kernel's own making, and would give the same failure another name.
    if text.ends_with(')')
        && let Some((name, place)) = text.split_once(' ')
        && is_name(name)
        && place.starts_with('(')
        && place.split_once(':').is_some_and(|(path, line)| {
            path.contains('.') && line.starts_with(|c: char| c.is_ascii_digit())
        })
    {
        add(name, None);
    }
}

/// `func+0x1c/0x30 [module]` at the start of a text.
pub(super) fn symbol(text: &str) -> Option<(&str, Option<&str>)> {
    let plus = memchr::memchr(b'+', text.as_bytes())?;
    if !text[plus..].starts_with("+0x") {
        return None;
    }
    let name = &text[..plus];
    if !is_name(name) {
        return None;
    }
    let rest = text[plus + 3..].trim_start_matches(|c: char| c.is_ascii_hexdigit());
    let rest = rest.strip_prefix("/0x")?.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    let module = rest
        .trim_start_matches([')', '(', ' '])
        .strip_prefix('[')
        .and_then(|rest| rest.split([']', ' ']).next())
        .filter(|module| *module != "inline" && is_name(module));
    Some((name, module))
}

/// Whether it is a return address at the very start of a function: the function before it in memory
/// ended with a call that does not return, and that one's name is not known. (Assembly returns to
/// `ret_fast_syscall` and its like on purpose.)
fn is_past_the_end(text: &str) -> bool {
    let plus = memchr::memchr(b'+', text.as_bytes());
    plus.is_some_and(|plus| text[plus..].starts_with("+0x0/")) && !text.starts_with("ret_")
}

/// Whether it can be the name of a function: C, with compiler suffixes, or demangled Rust.
fn is_name(name: &str) -> bool {
    const ALLOWED: [bool; 256] = {
        let mut allowed = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            allowed[byte] = (byte as u8).is_ascii_alphanumeric()
                || matches!(
                    byte as u8,
                    b'_' | b'.' | b'$' | b'<' | b'>' | b':' | b',' | b'&' | b'-'
                );
            byte += 1;
        }
        allowed
    };
    name.len() >= 2
        && name.len() <= 512
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '<')
        && name.bytes().all(|byte| ALLOWED[usize::from(byte)])
}

/// Takes `[<ffffffff81000000>]`, or powerpc's `[c000000001bb3710] `, off the front.
fn strip_address(text: &str) -> Option<&str> {
    let (address, rest) = text.strip_prefix('[')?.split_once(']')?;
    let marked = address.strip_prefix('<').and_then(|address| address.strip_suffix('>'));
    let address = marked.unwrap_or(address);
    let plausible = address.len() >= if marked.is_some() { 1 } else { 8 };
    (plausible && address.bytes().all(is_hex)).then(|| unindented(rest))
}

/// The text without the spaces and tabs before it.
pub(super) fn unindented(text: &str) -> &str {
    let blanks = text.bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &text[blanks..]
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str) -> Vec<(&str, Option<&str>)> {
        let mut frames = Vec::new();
        frames_of(line, &mut frames);
        frames.iter().map(|frame| (frame.name, frame.module)).collect()
    }

    #[test]
    fn reads_frames_of_all_architectures() {
        for (line, name, module) in [
            (" nft_do_chain+0x1a2/0x5e0 [nf_tables]", "nft_do_chain", Some("nf_tables")),
            (" [<ffffffff81d90469>] dump_stack+0xc1/0x128", "dump_stack", None),
            (" <IRQ>  [<ffffffff813eb3e6>] show_task+0x2d0/0x2dc", "show_task", None),
            (" el0_svc+0x60/0x25c (P)", "el0_svc", None),
            (" [<ffffffe0021420e2>] panic+0x10c/0x2e0", "panic", None),
            (" dump_stack_lvl (lib/dump_stack.c:123)", "dump_stack_lvl", None),
            (" foo.isra.12+0x1d9/0x3210 net/x.c:1", "foo.isra.12", None),
        ] {
            assert_eq!(names(line), [(name, module)], "{line}");
        }
        // The first line of a trace tells of two.
        for (line, callee, caller) in [
            ("[<80d8>] (dump_stack) from [<8012>] (panic+0x104/0x2cc)", "dump_stack", "panic"),
            (" dump_backtrace from show_stack+0x20/0x24", "dump_backtrace", "show_stack"),
        ] {
            assert_eq!(names(line), [(callee, None), (caller, None)], "{line}");
        }
        for line in [
            " ? insert_work+0x5d0/0x5d0",
            "RAX: 0000000000000000 RBX: ffff8801def81900",
            " </TASK>",
            " vfs_read fs/read_write.c:474 [inline]",
            "eth0: link up (1000 Mbit/s)",
            " 0xffff8801be95eb38+0x1/0x2",
        ] {
            assert_eq!(names(line), [], "{line}");
        }
    }

    #[test]
    fn reads_instruction_pointers() {
        for (line, name) in [
            ("RIP: 0010:foo+0x1/0x2 [mod]", Some("foo")),
            ("RIP: 0010:[<ffffffff8123487f>]  [<ffffffff8123487f>] foo+0x61f/0x4b50", Some("foo")),
            ("IP: [<ffffffff824164eb>] foo+0x129b/0x2280", Some("foo")),
            ("EIP: foo+0x1/0x2", Some("foo")),
            ("PC is at foo+0x1/0x2", Some("foo")),
            ("pc : foo+0x1/0x2", Some("foo")),
            ("epc : foo+0x1/0x2", Some("foo")),
            ("NIP [c00000000072c4d8] foo+0x1/0x2", Some("foo")),
            ("Krnl PSW : 0704c00180000000 00000000009f2a3c (foo+0x1/0x2)", Some("foo")),
            ("RIP: 0033:0x452a39", None),
            ("RIP: 0033:foo+0x1/0x2", None),
            ("RIP: 0010:0xffff880214d12c00", None),
            ("pc : [<8054b7c0>]    lr : [<8054b7b0>]", None),
        ] {
            assert_eq!(instruction_pointer(line).map(|frame| frame.name), name, "{line}");
        }
    }

    #[test]
    fn keeps_the_history_of_an_object_apart() {
        let log = [
            "RIP: 0010:aa+0x1/0x2",
            "Call Trace:",
            " bb+0x1/0x2",
            "Allocated by task 1:",
            " cc+0x1/0x2",
            "RCU grace-period kthread stack dump:",
            "Call Trace:",
            " dd+0x1/0x2",
            "Call Trace:",
            " ee+0x1/0x2",
        ];
        let traces = collect(log.into_iter());
        assert_eq!(traces.ip().map(|f| f.name), Some("aa"));
        assert_eq!(traces.main().iter().map(|f| f.name).collect::<Vec<_>>(), ["bb"]);
        assert_eq!(traces.calls.len(), 2);
    }
}
