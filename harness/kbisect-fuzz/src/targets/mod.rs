//! The targets by name.

mod capture;
mod changelog;
mod channel;
mod console;
mod counters;
mod deb;
mod dumps;
mod flows;
mod journal;
mod qmp;
mod scenario;

use crate::memory::{Bytes, peak_of};

/// One reader of hostile input.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name, also of its corpus and its program.
    pub name: &'static str,
    body: fn(&[u8]),
    /// Memory that the body may take for an input of so many bytes.
    memory: fn(usize) -> usize,
}

/// All of them.
pub const TARGETS: [Target; 12] = [
    // What it reads several times, and its reports.
    Target { name: "console", body: console::target, memory: |len| (8 << 20) + 64 * len },
    Target { name: "channel", body: channel::target, memory: |len| (4 << 20) + 200 * len },
    Target { name: "capture", body: capture::target, memory: |len| (1 << 20) + 32 * len },
    Target { name: "dumps", body: dumps::target, memory: |len| (4 << 20) + 400 * len },
    Target { name: "scenario", body: scenario::target, memory: |len| (4 << 20) + 400 * len },
    // A few files wait in memory, and decompressors have windows.
    Target { name: "deb", body: deb::target, memory: |len| (32 << 20) + 64 * len },
    Target { name: "rpm", body: deb::rpm, memory: |len| (32 << 20) + 64 * len },
    Target { name: "qmp", body: qmp::target, memory: |len| (1 << 20) + 64 * len },
    Target { name: "journal", body: journal::target, memory: |len| (1 << 20) + 200 * len },
    Target { name: "flows", body: flows::target, memory: |len| (2 << 20) + 200 * len },
    // Names of each change, and the change itself.
    Target { name: "changelog", body: changelog::target, memory: |len| (4 << 20) + 400 * len },
    Target { name: "counters", body: counters::target, memory: |len| (1 << 20) + 200 * len },
];

impl Target {
    /// The target of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }

    /// Runs the target on an input.
    ///
    /// # Panics
    /// When a promise is broken; that is what it is for.
    pub fn run(self, input: &[u8]) {
        let peak = peak_of(|| (self.body)(input));
        let allowed = Bytes((self.memory)(input.len()));
        assert!(peak <= allowed, "{peak} of memory for {} bytes, {allowed} allowed", input.len());
    }
}

/// Gives an input in pieces whose lengths follow from it, so that cuts fall anywhere.
fn pieces(input: &[u8], mut take: impl FnMut(&[u8])) {
    let mut rest = input;
    let mut step = input.iter().fold(1usize, |sum, byte| sum.wrapping_mul(31) + usize::from(*byte));
    while !rest.is_empty() {
        step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let length = 1 + (step >> 33) % 97;
        let (piece, after) = rest.split_at(length.min(rest.len()));
        take(piece);
        rest = after;
    }
}
