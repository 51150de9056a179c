//! Headers of what kills a task: `die()` of each architecture.

use super::helpers::Skip;
use super::report::Class;
use super::rule::{Blame, Rule, Title, herald, rule};

/// Headers that `die()` prints: `TEXT: CODE [#COUNT] CONFIG`.
pub(super) fn die(text: &str) -> Option<Rule> {
    // MIPS and LoongArch leave no space.
    let (full, count) = text.split_once("[#")?;
    let full = full.strip_suffix(' ').unwrap_or(full);
    if !count.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let head = full.strip_prefix("Oops: ").unwrap_or(full);
    // riscv prints no code.
    let (what, code) = head.rsplit_once(": ").unwrap_or((head, ""));
    let coded = is_code(code);
    let starts = |start: &str| head.starts_with(start);
    let rule = if coded && what.contains("general protection fault") {
        trap("general protection fault")
    } else if coded && (starts("stack guard page") || starts("kernel stack overflow")) {
        let rule = herald("BUG: stack guard page was hit", Class::StackOverflow);
        Rule { blame: Blame::Entry(Skip::Common), heralds: false, ..rule }
    } else if starts("Internal error: Oops - BUG")
        || matches!(full, "Kernel BUG" | "Kernel bug detected")
        // s390: the instruction that BUG() and WARN() are made of.
        || coded && matches!(what, "monitor event" | "illegal operation")
    {
        rule(Title::Text("kernel BUG"), Class::Bug, Blame::Trap(Skip::Bug))
    } else if coded && what == "stack segment" {
        trap("stack segment fault")
    } else if let Some(name) = EXCEPTIONS.iter().find(|name| coded && is_exception(what, name)) {
        trap(name)
    } else if starts("Internal error: Oops")
        || full.starts_with("Oops - ")
        || full.strip_prefix("Oops: ").is_some_and(is_oops)
        || full == "Oops"
    {
        rule(Title::Text("Oops"), Class::BadAccess, Blame::Trap(Skip::Common))
    } else if starts("Internal error: ") {
        trap("Internal error")
    } else {
        return None;
    };
    Some(Rule { die: true, ..rule })
}

/// Whether an exception has that name; 5.8 and 5.9 join its words by underscores.
fn is_exception(what: &str, name: &str) -> bool {
    what.len() >= name.len()
        && what.bytes().zip(name.bytes()).all(|(a, b)| a == b || a == b'_' && b == b' ')
}

/// What follows `Oops: `: a code (twice `Oops: ` since 6.10), or powerpc's words.
fn is_oops(text: &str) -> bool {
    let code = text.strip_prefix("Oops: ").unwrap_or(text);
    code.split(' ').next().is_some_and(is_code) || text.contains(", sig: ")
}

const fn trap(title: &'static str) -> Rule {
    rule(Title::Text(title), Class::Trap, Blame::Trap(Skip::Common))
}

/// Exceptions as `die()` names them.
const EXCEPTIONS: &[&str] = &[
    "divide error",
    "invalid opcode",
    "double fault",
    "alignment check",
    "int3",
    "debug",
    "bounds",
    "coprocessor error",
    "simd exception",
    "machine check",
    "Bad pagetable",
    "segment not present",
    "invalid TSS",
    "control protection fault",
    "unhandled instruction",
];

/// Whether it is the error code of an exception; s390 adds the length of the instruction.
fn is_code(code: &str) -> bool {
    let code = code.split_once(" ilc:").map_or(code, |(code, _)| code);
    !code.is_empty() && code.bytes().all(|b| b.is_ascii_hexdigit())
}
