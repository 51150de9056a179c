//! What a change has in common with a run, in two words.

use kbisect_core::changes::{ClueKind, ReasonKind};

/// What the words before the names mean.
pub(crate) const CHIPS: &str = "In common: a name in the failure's trace, a rule, device, module or sysctl of the scenario, what its checks \
     speak, a subsystem that it works with, what was asked for; below: what one of these builds on.";

/// A reason for the rank of a change, for lists in which its sentence would be on every line.
pub(crate) fn reason_chip(reason: &ReasonKind) -> String {
    match reason {
        ReasonKind::Touches { clue, of, .. } => format!("{} {clue}", clue_word(*of)),
        ReasonKind::OtherMachine { names } => format!("only {}", names.join(", ")),
        ReasonKind::NoKernelCode => "no kernel code".to_owned(),
    }
}

fn clue_word(kind: ClueKind) -> &'static str {
    match kind {
        ClueKind::Function => "trace",
        ClueKind::TraceModule => "trace: module",
        ClueKind::Rule => "rule",
        ClueKind::Device => "device",
        ClueKind::Module => "module",
        ClueKind::BuildsOn => "below",
        ClueKind::Setting => "sysctl",
        ClueKind::Given => "asked:",
        ClueKind::Protocol => "check:",
        ClueKind::Subsystem => "subsystem",
    }
}
