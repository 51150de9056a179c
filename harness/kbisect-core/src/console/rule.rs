//! What a rule of the classifier says: title, class, and whom to blame.

use super::helpers::Skip;
use super::report::Class;

/// How to find the function to blame, and what to pass over on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The title names none.
    Nobody,
    /// Instruction pointer, then the trace.
    Trap(Skip),
    Trace(Skip),
    /// The function in the first line, then the trace.
    FirstLine(Skip),
    /// The place where a lock is taken, then the trace.
    LockSite,
    /// The places where two locks are taken, then the chain between them.
    LockCycle,
    /// The place where a lock is given back or waited for, if that is no lock's own function; then the
    /// trace.
    LockRelease,
    /// The place that made a lock unsafe in an interrupt.
    LockUnsafe,
    /// A trace of a task that waits.
    Waiting,
    /// The way into the subsystem, from the instruction pointer and the trace.
    Entry(Skip),
    /// The same, of what the timer interrupted.
    Interrupted,
    /// Where the memory in question was allocated; nobody, if the kernel kept no record.
    Origin,
    /// The work that ran last: a line below names it.
    LastWork,
}

/// How the title is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Title {
    /// `TEXT in FUNCTION`; `TEXT` alone under [`Blame::Nobody`].
    Text(&'static str),
    /// The level (`BUG`, `INFO`, `WARNING`) of the first line, then as [`Title::Text`].
    Level(&'static str),
    /// `KASAN: TYPE ACCESS in FUNCTION`
    Kasan,
    /// `TOOL: TYPE in FUNCTION` for `BUG: TOOL: TYPE in func+0x1/0x2`
    Tool,
    /// `KCSAN: data-race in A / B`
    Kcsan,
    /// `UBSAN: TYPE in FUNCTION`
    Ubsan,
    /// `WARNING in FUNCTION` and its special cases.
    Warning,
    /// `kernel panic: REASON`
    Panic,
    /// `BUG: unable to handle kernel ... in FUNCTION`
    Unable,
    /// `BUG: using smp_processor_id() in preemptible code in FUNCTION`
    Preemptible,
    /// The first line up to a text.
    UpTo(&'static str),
    /// The first line with its numbers made equal.
    Line,
    /// `BUG: TEXT` for `BUG CACHE (TAINT): TEXT`.
    Slab,
    /// The line after a Rust panic.
    RustPanic,
}

/// One way in which a report begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub title: Title,
    /// What detected it.
    pub class: Class,
    /// Whom to blame.
    pub blame: Blame,
    /// The header of an oops (`...: 0000 [#1]`): belongs to what announced it, if anything did.
    pub die: bool,
    /// Announces such a header.
    pub heralds: bool,
}

pub(super) const fn rule(title: Title, class: Class, blame: Blame) -> Rule {
    Rule { title, class, blame, die: false, heralds: false }
}

pub(super) const fn herald(title: &'static str, class: Class) -> Rule {
    let rule = rule(Title::Text(title), class, Blame::Trap(Skip::Common));
    Rule { heralds: true, ..rule }
}
