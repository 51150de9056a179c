//! From the lines of a report to its title.

use super::blame;
use super::evidence;
use super::helpers::Skip;
use super::place;
use super::report::{Class, Report, ReportKind};
use super::rule::{Blame, Rule, Title};
use super::rules;
use super::trace::{self, Frame, Traces};

/// A report whose lines are all there.
pub(super) struct Collected<'a> {
    /// How it began.
    pub rule: Rule,
    /// Messages, the first line first, without prefixes.
    pub bodies: &'a [&'a str],
    /// The traces in them.
    pub traces: &'a Traces<'a>,
    /// 1-based line.
    pub line: usize,
    /// Byte offset of the first line.
    pub offset: u64,
    /// A panic followed.
    pub fatal: bool,
}

/// What the function goes by when the log does not show it.
const CORRUPTED: &str = "corrupted";
/// Titles are kept this short (bytes).
const TITLE_MAX: usize = 120;
/// Functions kept of a trace.
const FRAMES_MAX: usize = 64;

/// Makes the report; its text is left to the caller.
pub(super) fn report(collected: Collected<'_>) -> Report {
    let Collected { rule, bodies, traces, line, offset, fatal } = collected;
    let first = rules::untagged(bodies.first().copied().unwrap_or_default());
    let Named { head, whole, tail, alt_head, class, skip, access_missing } =
        name(rule, first, bodies);
    let blame = match (rule.blame, skip) {
        (Blame::Trap(_), Some(skip)) => Blame::Trap(skip),
        (blame, _) => blame,
    };
    let (culprit, damaged) = evidence::find(blame, rule.class, bodies, traces);
    let head = head.replace('\t', " ");
    let mut alt_titles = Vec::new();
    if rule.blame == Blame::Origin && culprit.is_none() {
        // Kernels that keep no record of a page's owner say no more.
        alt_titles.push(head.clone());
    }
    let title = if rule.blame == Blame::Nobody || whole {
        head
    } else {
        let name = culprit.as_ref().map_or(CORRUPTED, |c| c.name.as_str());
        let others = culprit.as_ref().map_or(&[][..], |c| c.others.as_slice());
        for name in std::iter::once(name).chain(others.iter().map(String::as_str)) {
            alt_titles.extend(alt_head.map(|alt| format!("{alt} in {name}")));
        }
        alt_titles.extend(others.iter().map(|other| format!("{head} in {other}{tail}")));
        format!("{head} in {name}{tail}")
    };
    let all = traces.ip().into_iter().chain(traces.main().iter().copied());
    let frames = all.map(|frame| blame::bare(frame.name).to_owned());
    let reason = rules::panic_reason(first);
    Report {
        kind: class.kind(),
        title: shorten(title),
        module: culprit.as_ref().and_then(|c| c.module.clone()),
        function: culprit.map(|c| c.name),
        corrupted: damaged
            || access_missing
            || reason.is_some_and(|r| rules::is_consequence(r) && !r.starts_with("Attempted")),
        line,
        text: String::new(),
        class,
        fatal: fatal || reason.is_some(),
        suppressed: class == Class::UserSpace
            || reason.is_some_and(|r| r.starts_with("Attempted to kill init")),
        alt_titles,
        offset,
        frames: frames.take(FRAMES_MAX).collect(),
    }
}

/// Says whether a report holds a trace: proof that the kernel printed it, not user space.
pub(super) fn has_trace(bodies: &[&str], traces: &Traces<'_>) -> bool {
    let go = |body: &&&str| body.starts_with("runtime stack:") || body.starts_with("goroutine ");
    if bodies.iter().find(go).is_some() {
        return true;
    }
    traces.ip().is_some() || traces.main().len() >= 2 || traces.head.len() >= 2
}

/// Says whether a test made the kernel print this: KUnit, the crash module lkdtm, a test module. A
/// machine that does not move for such a reason does not move all the same.
pub(super) fn is_on_purpose(class: Class, traces: &Traces<'_>) -> bool {
    if class.kind() == ReportKind::Hang {
        return false;
    }
    let all = || traces.ip().into_iter().chain(traces.head.iter().chain(traces.main()).copied());
    let runner = |frame: &Frame<'_>| {
        matches!(blame::bare(frame.name), "kunit_try_run_case" | "lkdtm_do_action")
    };
    let is_test = |module: &str| module == "lkdtm" || module.starts_with("test_");
    let first = blame::first(&all().collect::<Vec<_>>(), Skip::Common);
    all().any(|frame| runner(&frame)) || first.and_then(|c| c.module).is_some_and(|m| is_test(&m))
}

struct Named {
    /// The title without the function.
    head: String,
    /// The title names the function already.
    whole: bool,
    /// What follows the function.
    tail: &'static str,
    /// What takes its place in alternative titles.
    alt_head: Option<&'static str>,
    class: Class,
    /// What else is passed over, where the head decides it.
    skip: Option<Skip>,
    /// KASAN only: the line that says what was tried is not there.
    access_missing: bool,
}

fn name(rule: Rule, first: &str, bodies: &[&str]) -> Named {
    let mut class = rule.class;
    let (mut access_missing, mut whole, mut tail, mut skip) = (false, false, "", None);
    let alt_head = match rule.class {
        Class::BadAccess | Class::Kasan | Class::Kmsan => Some("bad-access"),
        Class::Kfence if first.contains("invalid free") => Some("invalid-free"),
        Class::Kfence if !first.contains("memory corruption") => Some("bad-access"),
        Class::Ubsan if first.contains("array-index-out-of-bounds") => Some("bad-access"),
        // arm64 and others say that of an access too.
        Class::Trap if first.contains("Internal error") => Some("bad-access"),
        Class::Trap if first.contains("general protection") => Some("bad-access"),
        Class::Lockup | Class::RcuStall => Some("stall"),
        Class::HungTask => Some("hang"),
        Class::StackOverflow => Some("stack-overflow"),
        Class::List => Some("bad-access"),
        _ => None,
    };
    let mut alt_head = alt_head;
    let head = match rule.title {
        Title::Text("kernel BUG") if place_of_bug(first).ends_with("lib/list_debug.c") => {
            class = Class::List;
            alt_head = Some("bad-access");
            "BUG: corrupted list".to_owned()
        }
        Title::Text(text) => text.to_owned(),
        Title::Level(text) => {
            let level = first.split_once(':').map_or("WARNING", |(level, _)| level);
            format!("{level}: {text}")
        }
        Title::Kasan => {
            let (head, missing) = kasan(first, bodies);
            access_missing = missing;
            // Until 4.10 the first line ended with the address: all that is known of the access.
            whole = missing && first.contains(" at addr ");
            let head =
                if whole { equalise(first.strip_prefix("BUG: ").unwrap_or(first)) } else { head };
            if head.contains("invalid-free") || head.contains("double-free") {
                alt_head = Some("invalid-free");
            }
            head
        }
        Title::Tool => {
            let rest = first.strip_prefix("BUG: ").unwrap_or(first);
            rest.split_once(" in ").map_or(rest, |(head, _)| head).to_owned()
        }
        Title::Kcsan => kcsan(first),
        Title::Ubsan => {
            let kind = first["UBSAN: ".len()..].split_once(" in ").map_or("bug", |(kind, _)| kind);
            let kind = kind.replace("Undefined behaviour", "undefined-behaviour");
            format!("UBSAN: {kind}")
        }
        Title::Warning => {
            let (head, precise, helpers) = warning(first, bodies);
            (class, skip) = (precise, Some(helpers));
            // What the USB core complains about is the driver's request: both are named.
            if helpers == Skip::Usb {
                tail = "/usb_submit_urb";
            }
            head.to_owned()
        }
        Title::Panic => {
            let reason = rules::panic_reason(first).unwrap_or(first);
            let reason = reason.split_once(" exitcode").map_or(reason, |(reason, _)| reason);
            // Where the exception came, and for which terminal, is another matter.
            let reason = reason.strip_suffix(" in interrupt").unwrap_or(reason);
            let reason = match reason.split_once(" for ") {
                Some((terminal, _)) if terminal.ends_with("N_TTY ldisc") => terminal,
                _ => reason,
            };
            format!("kernel panic: {}", equalise(reason.trim_end_matches("...")))
        }
        Title::Unable => unable(first),
        Title::Preemptible => {
            let what = first.strip_prefix("BUG: using ").and_then(|rest| rest.split(' ').next());
            format!("BUG: using {} in preemptible code", what.unwrap_or("percpu data"))
        }
        Title::UpTo(" at ") => {
            let (head, rest) = first.split_once(" at ").unwrap_or((first, ""));
            // Which register it is, where the address before it was printed.
            let shown = rest.starts_with(|c: char| c.is_ascii_hexdigit());
            let value = rest.split_once(" has bad ").map_or("", |(_, value)| value);
            let register = value.split_once(" value").map_or("", |(register, _)| register);
            match register {
                register if shown && register.starts_with('\'') => {
                    format!("{head} has bad {register} value")
                }
                _ => format!("{head} has bad value"),
            }
        }
        Title::UpTo(text) => {
            first.split_once(text).map_or_else(|| equalise(first), |(head, _)| head.to_owned())
        }
        Title::Line => equalise(first),
        Title::Slab => {
            // Which cache it is depends on the size of an object, and the taint on what came before.
            let text = first.split_once("): ").map_or(first, |(_, text)| text);
            format!("BUG: {}", equalise(text))
        }
        Title::RustPanic => bodies
            .iter()
            .skip(1)
            .map(|body| body.trim())
            .find(|body| !body.is_empty() && !body.starts_with("---"))
            .map_or_else(|| "Rust panic".to_owned(), equalise),
    };
    Named { head, whole, tail, alt_head, class, skip, access_missing }
}

/// The file in `kernel BUG at FILE:12!`.
fn place_of_bug(first: &str) -> &str {
    let place = first.split_once("BUG at ").map_or("", |(_, place)| place);
    place.rsplit_once(':').map_or(place, |(file, _)| file)
}

/// `KASAN: TYPE ACCESS`, where the access stands on a line below the first.
fn kasan(first: &str, bodies: &[&str]) -> (String, bool) {
    let rest = first.strip_prefix("BUG: KASAN: ").unwrap_or(first);
    let mut kind = rest.split_once(" in ").map_or(rest, |(kind, _)| kind);
    // One check, whose name changed twice.
    if matches!(kind, "double-free or invalid-free" | "double-free") {
        kind = "invalid-free";
    }
    if kind.contains("free") && !kind.contains("after") {
        return (format!("KASAN: {kind}"), false);
    }
    let access = bodies.iter().skip(1).take(8).find_map(|body| {
        let body = body.trim_start();
        ["Read", "Write", "Free"].into_iter().find(|access| {
            body.strip_prefix(access)
                .is_some_and(|rest| rest.starts_with(" of size") || rest.starts_with(" at addr"))
        })
    });
    match access {
        Some(access) => (format!("KASAN: {kind} {access}"), false),
        None => (format!("KASAN: {kind}"), true),
    }
}

/// `KCSAN: data-race in A / B`
fn kcsan(first: &str) -> String {
    let rest = first.strip_prefix("BUG: ").unwrap_or(first);
    let Some((head, functions)) = rest.split_once(" in ") else { return rest.to_owned() };
    let names: Vec<&str> = functions
        .split(" / ")
        .map(|name| trace::symbol(name).map_or(name, |(name, _)| name))
        .map(|name| blame::bare(name.trim()))
        .collect();
    format!("{head} in {}", names.join(" / "))
}

/// What a WARN is about, by the file and the function that hold it; and which further functions only
/// check on behalf of others then.
fn warning(first: &str, bodies: &[&str]) -> (&'static str, Class, Skip) {
    let rest = first.strip_prefix("WARNING: ").unwrap_or(first);
    let (file, function) = place::warning_place(rest).unwrap_or_default();
    let function = blame::bare(function.split('+').next().unwrap_or_default());
    let says = |text: &str| bodies.iter().take(12).any(|body| body.starts_with(text));
    let begins = |heads: &[&str]| heads.iter().any(|head| function.starts_with(head));
    let within = |path: &str| file.ends_with(path);
    let plain = |head, skip| (head, Class::Warning, skip);
    if within("lib/refcount.c") || begins(&["refcount_"]) || says("refcount_t: ") {
        ("WARNING: refcount bug", Class::Refcount, Skip::Common)
    } else if within("lib/debugobjects.c") || begins(&["debug_print_object"]) {
        plain("WARNING: ODEBUG bug", Skip::Object)
    } else if within("kernel/locking/lockdep.c") && function.contains("lock_") {
        ("WARNING: locking bug", Class::Lockdep, Skip::LockState)
    } else if within("lib/list_debug.c") {
        ("BUG: corrupted list", Class::List, Skip::Common)
    } else if within("lib/kobject.c") {
        plain("WARNING: kobject bug", Skip::Common)
    } else if begins(&["proc_register"]) {
        plain("WARNING: proc registration bug", Skip::Proc)
    } else if within("mm/usercopy.c") || begins(&["usercopy_warn"]) {
        plain("WARNING: bad usercopy", Skip::Copy)
    } else if within("mm/vmalloc.c") && begins(&["__vmalloc_node"]) {
        plain("WARNING: zero-size vmalloc", Skip::Common)
    } else if begins(&["kmalloc", "kvmalloc", "vmalloc"]) {
        plain("WARNING: kmalloc bug", Skip::Request)
    } else if function == "usb_submit_urb" {
        plain("WARNING", Skip::Usb)
    } else {
        plain("WARNING", Skip::Common)
    }
}

/// `Unable to handle kernel paging request at virtual address 0000` (arm, arm64, riscv).
fn unable(first: &str) -> String {
    let rest = first.strip_prefix("Unable to handle ").unwrap_or(first);
    let what = rest.split(" at ").next().unwrap_or(rest);
    let what = [" outside ", " without "]
        .iter()
        .fold(what, |what, end| what.split_once(end).map_or(what, |(what, _)| what));
    format!("BUG: unable to handle {what}")
}

/// Takes out what differs from run to run: addresses become ADDR, numbers NUM, lines of files LINE,
/// CPUs CPU, and offsets go. Digits at the end of a name stay: they belong to it.
fn equalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.trim();
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("+0x") {
            rest = rest[3..]
                .trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == '/' || c == 'x');
            continue;
        }
        if !c.is_ascii_alphanumeric() && c != '_' {
            if !(c == ' ' && out.ends_with(' ')) {
                out.push(c);
            }
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        if is_number(word) && out.ends_with("CPU#") {
            out.truncate(out.len() - 1);
        } else if is_number(word) && names_a_file(&out) {
            out.push_str("LINE");
        } else {
            out.push_str(equal_word(word));
        }
    }
    out
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a text ends with a file and a colon: `mm/slub.c:`.
fn names_a_file(text: &str) -> bool {
    let Some(name) = text.strip_suffix(':') else { return false };
    let end = name.rsplit_once('.').map_or("", |(_, end)| end);
    !end.is_empty() && end.bytes().all(|b| b.is_ascii_alphabetic())
}

fn equal_word(word: &str) -> &str {
    let hex = word.strip_prefix("0x").unwrap_or(word);
    let digits = hex.bytes().any(|b| b.is_ascii_digit());
    if is_number(word) {
        "NUM"
    } else if digits
        && hex.bytes().all(|b| b.is_ascii_hexdigit())
        && (hex.len() != word.len() || hex.len() >= 6)
    {
        "ADDR"
    } else if word.strip_prefix("CPU").is_some_and(is_number) && digits {
        "CPU"
    } else {
        word
    }
}

fn shorten(mut title: String) -> String {
    let mut end = title.len().min(TITLE_MAX);
    while !title.is_char_boundary(end) {
        end -= 1;
    }
    title.truncate(end);
    title.truncate(title.trim_end().len());
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses_do_not_enter_titles() {
        for (text, expected) in [
            (
                "INFO: Freed in a_rcu+0x14/0x20 age=62 cpu=0 pid=3",
                "INFO: Freed in a_rcu age=NUM cpu=NUM pid=NUM",
            ),
            ("BUG: bad at 0xffff8800 on CPU3", "BUG: bad at ADDR on CPU"),
            ("lockup suspected on CPU#12, x", "lockup suspected on CPU, x"),
            ("bad thing at mm/slab.c:123!", "bad thing at mm/slab.c:LINE!"),
            ("(device  loop0): on block(8,1)", "(device loop0): on block(NUM,NUM)"),
            (
                "BUG: Bad rss-counter state mm:ffff888012345678 val:12",
                "BUG: Bad rss-counter state mm:ADDR val:NUM",
            ),
            ("nft_set_hash2 ipv4 deadbeef", "nft_set_hash2 ipv4 deadbeef"),
        ] {
            assert_eq!(equalise(text), expected);
        }
    }

    #[test]
    fn long_titles_are_cut_at_a_character() {
        let title = shorten("\u{e4}".repeat(200));
        assert!(title.len() <= TITLE_MAX && title.chars().all(|c| c == '\u{e4}'));
    }
}
