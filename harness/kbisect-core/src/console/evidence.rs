//! Which part of a report tells whom to blame: a line, an instruction pointer, one of the traces.

use super::blame::{self, Culprit};
use super::helpers::Skip;
use super::report::Class;
use super::rule::Blame;
use super::trace::{self, Frame, Traces};

/// Finds the culprit; the second value says that the trace is damaged.
pub(super) fn find(
    blame: Blame,
    class: Class,
    bodies: &[&str],
    traces: &Traces<'_>,
) -> (Option<Culprit>, bool) {
    let found = match blame {
        Blame::Nobody => {
            // Damaged memory is reported with the trace that found it.
            let bare = class == Class::Memory && traces.main().is_empty();
            return (None, bare && bodies.len() > 1);
        }
        Blame::Trap(skip) => blame::first(&with_pointer(class, traces), skip),
        Blame::Trace(skip) => blame::first(call(class, traces), skip).or_else(|| {
            // What lockdep complains of is a lock, and it says where that one was taken.
            let usage = class == Class::Lockdep && matches!(skip, Skip::Common | Skip::LockState);
            lock_sites(bodies).next().filter(|_| usage).and_then(as_named)
        }),
        Blame::FirstLine(skip) => {
            let call = call(class, traces);
            function_in(bodies.first().copied().unwrap_or_default(), skip)
                .or_else(|| blame::first(call, skip))
        }
        Blame::LockSite => lock_sites(bodies).next().and_then(as_named).or_else(|| {
            // Old lockdep prints the chains in the same form: only a trace with a heading counts.
            blame::first(traces.main(), Skip::Common)
        }),
        Blame::LockRelease => {
            let site = lock_sites(bodies).next();
            site.map(|(name, module)| Frame { name, module, ip: true })
                .and_then(|frame| blame::first(&[frame], Skip::Common))
                .or_else(|| blame::first(traces.main(), Skip::Common))
                .or_else(|| site.and_then(as_named))
        }
        Blame::LockCycle => lock_cycle(bodies, traces),
        Blame::LockUnsafe => blame::first(&traces.became_unsafe, Skip::Common)
            .or_else(|| lock_sites(bodies).next().and_then(as_named)),
        Blame::Waiting => blame::waiting(call(class, traces)),
        Blame::Entry(skip) => blame::entry(&with_pointer(class, traces), skip),
        Blame::Interrupted => std::iter::once(&traces.head)
            .chain(&traces.calls)
            .find_map(|frames| blame::interrupted(frames))
            .map(|frames| frames.to_vec())
            // The registers of the CPU are printed before its trace, without the interrupt.
            .or_else(|| traces.ip().map(|_| with_pointer(class, traces)))
            .and_then(|frames| blame::entry(&frames, Skip::Stall)),
        Blame::Origin => {
            let found = blame::first(&traces.origin, Skip::Page);
            return (found, traces.main().is_empty() && bodies.len() > 1);
        }
        Blame::LastWork => last_work(bodies),
    };
    // Sanitizers come with an unwinder.
    let guessed = matches!(blame, Blame::FirstLine(_)) && traces.is_guess();
    let damaged = found.is_none()
        || guessed
        || traces.mixed
        || traces.main().is_empty() && needs_heading(class, traces);
    (found, damaged)
}

/// The trace that tells where it happened.
fn call<'a, 'b>(class: Class, traces: &'a Traces<'b>) -> &'a [Frame<'b>] {
    // These two begin with a trace that has no heading.
    let headless = matches!(class, Class::Kfence | Class::Kmsan) && !traces.head.is_empty();
    if traces.main().is_empty() || headless { &traces.head } else { traces.main() }
}

/// That trace, after the instruction pointer.
fn with_pointer<'a>(class: Class, traces: &Traces<'a>) -> Vec<Frame<'a>> {
    let call = call(class, traces);
    // A WARN is a trap: what lies above the instruction pointer in the trace is its handler.
    let trap = call.iter().position(|frame| frame.ip).filter(|_| class == Class::Warning);
    match traces.ip() {
        Some(pointer) => std::iter::once(pointer).chain(call.iter().copied()).collect(),
        None => call[trap.unwrap_or(0)..].to_vec(),
    }
}

/// Whether a report of this class always has a trace with a heading.
fn needs_heading(class: Class, traces: &Traces<'_>) -> bool {
    match class {
        Class::Kmsan | Class::Kfence | Class::Leak => traces.head.is_empty(),
        // `__stack_chk_fail` panics name the function themselves.
        Class::Panic | Class::StackOverflow => false,
        // 32-bit arm prints the trace without one.
        _ => traces.head.iter().filter(|frame| !frame.ip).count() < 2,
    }
}

/// The function after the kind in the first line (`... in func+0x1/0x2`).
fn function_in(first: &str, skip: Skip) -> Option<Culprit> {
    let rest = [" in ", " in: "].iter().find_map(|mark| first.split_once(mark))?.1;
    let (name, module) = trace::symbol(rest)?;
    blame::first(&[Frame { name, module, ip: true }], skip)
}

/// The function in the line `last function: addrconf_dad_work`.
fn last_work(bodies: &[&str]) -> Option<Culprit> {
    let name =
        bodies.iter().take(4).find_map(|body| body.trim().strip_prefix("last function: "))?;
    let (name, module) = trace::symbol(name).unwrap_or((name, None));
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.".contains(&b));
    plain.then(|| blame::named(&Frame { name, module, ip: true }))
}

/// A place that lockdep names: no helper, for it is where the helper's caller stood.
fn as_named((name, module): (&str, Option<&str>)) -> Option<Culprit> {
    Some(blame::named(&Frame { name, module, ip: true }))
}

/// The first to close a cycle: the place of the lock that is taken, of the lock that is held, or of the
/// locks in the chain between them.
fn lock_cycle(bodies: &[&str], traces: &Traces<'_>) -> Option<Culprit> {
    let sites = lock_sites(bodies).take(2);
    let mut frames: Vec<Frame<'_>> =
        sites.map(|(name, module)| Frame { name, module, ip: true }).collect();
    frames.extend(&traces.chain);
    blame::first(&frames, Skip::LockSite)
        .or_else(|| blame::first(traces.main(), Skip::LockSite))
        .or_else(|| lock_sites(bodies).next().and_then(as_named))
}

/// Where lockdep saw locks taken: `..., at: func+0x1/0x2`, `at: [<address>] func+0x1/0x2`. Only the
/// first lines name those that the report is about; the others are those that the task holds.
fn lock_sites<'a>(bodies: &'a [&'a str]) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
    bodies.iter().take(SITES_WITHIN).filter_map(|body| {
        let place = match body.split_once(", at: ") {
            Some((_, place)) => place,
            // Older kernels put the address on a line of its own.
            None if body.starts_with("[<") => body,
            None => return None,
        };
        let place = place.rsplit_once(">] ").map_or(place, |(_, place)| place);
        trace::symbol(place.trim_start())
    })
}

/// Lines of a lockdep report in which the locks are that it is about.
const SITES_WITHIN: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lockdep_names_the_place_itself() {
        let first = |bodies: &[&str]| {
            lock_sites(bodies).next().and_then(as_named).map(|culprit| culprit.name)
        };
        assert_eq!(
            first(&["x", " (x){+.+.}, at: [<0000>] rtnl_lock+0x17/0x20"]).as_deref(),
            Some("rtnl_lock")
        );
        assert_eq!(
            first(&["ffff (x){+.+.}, at: down_trylock+0x13/0x70"]).as_deref(),
            Some("down_trylock")
        );
    }

    #[test]
    fn a_cycle_through_a_workqueue_is_its_works() {
        let bodies = [
            "ffff ((wq_completion)a){+.+.}-{0:0}, at: __flush_workqueue+0x1b0/0x1250",
            "but task is already holding lock:",
            "ffff (&m->lock){+.+.}-{3:3}, at: my_shutdown+0x2a/0x110",
        ];
        let culprit = lock_cycle(&bodies, &Traces::default());
        assert_eq!(culprit.map(|c| c.name).as_deref(), Some("my_shutdown"));
    }
}
