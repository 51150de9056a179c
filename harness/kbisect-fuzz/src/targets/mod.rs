//! The targets by name.

mod archive;
mod capture;
mod changelog;
mod channel;
mod check_journal;
mod checks;
mod console;
mod counters;
mod deb;
mod dumps;
mod flows;
mod images;
mod journal;
mod kept;
mod qmp;
mod redact;
mod scenario;
mod streams;

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
pub const TARGETS: [Target; 26] = [
    // What it reads several times, and its reports.
    Target { name: "console", body: console::target, memory: |len| (8 << 20) + 64 * len },
    Target { name: "channel", body: channel::target, memory: |len| (4 << 20) + 200 * len },
    Target { name: "capture", body: capture::target, memory: |len| (1 << 20) + 32 * len },
    Target { name: "dumps", body: dumps::target, memory: |len| (4 << 20) + 400 * len },
    Target { name: "checks", body: checks::target, memory: |len| (8 << 20) + 1000 * len },
    Target { name: "scenario", body: scenario::target, memory: |len| (4 << 20) + 400 * len },
    // A few files wait in memory, and decompressors have windows.
    Target { name: "deb", body: deb::target, memory: |len| (32 << 20) + 64 * len },
    Target { name: "rpm", body: deb::rpm, memory: |len| (32 << 20) + 64 * len },
    Target { name: "qmp", body: qmp::target, memory: |len| (1 << 20) + 64 * len },
    Target { name: "journal", body: journal::target, memory: |len| (1 << 20) + 200 * len },
    Target { name: "flows", body: flows::target, memory: |len| (2 << 20) + 200 * len },
    // Names of each change, and the change itself.
    Target { name: "changelog", body: changelog::target, memory: |len| (4 << 20) + 400 * len },
    Target { name: "kept", body: kept::target, memory: |len| (4 << 20) + 400 * len },
    Target {
        name: "check_journal",
        body: check_journal::target,
        memory: |len| (4 << 20) + 400 * len,
    },
    Target { name: "index", body: archive::index, memory: |len| (4 << 20) + 200 * len },
    Target { name: "snapshot", body: archive::snapshot, memory: |len| (1 << 20) + 200 * len },
    Target { name: "proxy", body: archive::proxy, memory: |len| (1 << 20) + 64 * len },
    Target { name: "meta", body: archive::meta, memory: |len| (1 << 20) + 200 * len },
    Target { name: "kernel_image", body: images::kernel_image, memory: |len| (1 << 20) + 64 * len },
    Target { name: "modules", body: images::modules, memory: |len| (4 << 20) + 400 * len },
    // Tables of lines that a few bytes stand for.
    Target { name: "symbols", body: images::symbols, memory: |len| (64 << 20) + 400 * len },
    Target { name: "wire", body: streams::wire, memory: |_| 1 << 20 },
    Target { name: "guest_http", body: streams::guest_http, memory: |len| (1 << 20) + 16 * len },
    Target { name: "guest_dns", body: streams::guest_dns, memory: |len| (1 << 20) + 16 * len },
    // Held a piece at a time, twice.
    Target { name: "redact", body: redact::target, memory: |len| (64 << 20) + 100 * len },
    Target { name: "counters", body: counters::target, memory: |len| (1 << 20) + 200 * len },
];

impl Target {
    /// The target of that name.
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
