//! What a crash leaves behind: the machine's memory, and what the report says of its state.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use kbisect_core::evidence::{CrashFacts, EvidenceFile, Vmcore, kdump};
use kbisect_core::trial::{Phase, Verdict};
use sha2::{Digest, Sha256};

use super::{Notice, Trial, with_source};
use crate::lab::VMCORE;

/// Most bytes that a dump takes beside the guest's memory: header, notes, bitmaps.
const ROOM: u64 = 64 << 20;

impl Trial<'_> {
    /// Dumps the memory of a candidate that crashed or hung, if that was asked for. Whatever fails
    /// is a note: it never touches the verdict.
    pub(super) async fn keep_memory(&mut self) {
        if !self.lab.settings().vmcore {
            return;
        }
        let path = self.directory.join("candidate").join(VMCORE);
        let kept = match why_not(&self.verdict()) {
            Some(None) => None,
            Some(Some(reason)) => Some(Err(reason.to_owned())),
            None => Some(self.dump(&path).await),
        };
        match kept {
            Some(Ok(vmcore)) => {
                self.evidence.vmcore = Some(vmcore);
                return;
            }
            Some(Err(reason)) => self.notes.push(format!("no memory dump: {reason}")),
            None => {}
        }
        // It was made with the machine; half of a dump would mislead.
        let _ = fs::remove_file(&path);
    }

    async fn dump(&mut self, path: &Path) -> Result<Vmcore, String> {
        let memory = u64::from(self.lab.scenario().candidate.memory_mib) << 20;
        check_room(path, memory + ROOM)?;
        let format = self.lab.settings().qemu.dump_format();
        // Zlib under emulation runs at the host's speed, but the guest's memory can be gigabytes.
        let deadline = Duration::from_secs(60 + (memory >> 30) * 60);
        (self.notify)(Notice::Doing("dump of the guest's memory".to_owned()));
        let Some(candidate) = &self.candidate else { return Err("no machine ran".to_owned()) };
        candidate.dump(format, deadline).await.map_err(|error| error.to_string())?;
        let (path, relative) = (path.to_owned(), format!("candidate/{VMCORE}"));
        // Hashing takes a second; the wires go on meanwhile.
        tokio::task::spawn_blocking(move || describe(&path, relative, format))
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| format!("it cannot be read back: {}", with_source(&error)))
    }

    /// Keeps what the report that the verdict rests on says of the machine.
    pub(super) fn note_crash(&mut self, verdict: &Verdict) {
        if verdict.symptom().is_some() && self.directory.join("candidate/cmdline").is_file() {
            self.evidence.files.push(EvidenceFile {
                path: "candidate/cmdline".to_owned(),
                what: "command line of the kernel".to_owned(),
            });
        }
        let title = verdict.symptom().map(|symptom| symptom.title.as_str());
        let reports = || self.seen.reports.iter();
        let telling = reports().find(|report| Some(report.title.as_str()) == title);
        let telling = telling.or_else(|| reports().find(|report| report.phase > Phase::Boot));
        let Some(report) = telling.or_else(|| reports().next()) else { return };
        let Some(facts) = CrashFacts::read(&report.text) else { return };
        if !facts.modules.is_empty() {
            let text = facts.modules.join("\n") + "\n";
            self.keep("candidate/modules.txt", "modules that the report names", &text);
        }
        self.evidence.crash = Some(facts);
    }

    fn keep(&mut self, path: &str, what: &str, text: &str) {
        match fs::write(self.directory.join(path), text) {
            Ok(()) => {
                let file = EvidenceFile { path: path.to_owned(), what: what.to_owned() };
                self.evidence.files.push(file);
            }
            Err(error) => self.notes.push(format!("cannot write {path}: {error}")),
        }
    }
}

/// Why no dump is made: `Some(None)` goes without saying.
fn why_not(verdict: &Verdict) -> Option<Option<&'static str>> {
    match verdict {
        Verdict::Good | Verdict::Skip(_) | Verdict::Infra(_) | Verdict::Scenario(_) => Some(None),
        Verdict::Bad(symptom) if symptom.kind.is_of_machine() => None,
        Verdict::Bad(_) => Some(Some("the kernel neither crashed nor hung")),
    }
}

/// A dump that does not fit fills the disk for everything else too.
fn check_room(path: &Path, bytes: u64) -> Result<(), String> {
    let folder = path.parent().unwrap_or(path);
    // A file system that does not say is tried.
    let Ok(found) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free >= bytes {
        return Ok(());
    }
    Err(format!(
        "it can take {} MiB, and {} has {} MiB left",
        bytes >> 20,
        folder.display(),
        free >> 20
    ))
}

fn describe(path: &Path, relative: String, format: &str) -> io::Result<Vmcore> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut head = Vec::new();
    let mut block = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let count = file.read(&mut block)?;
        if count == 0 {
            break;
        }
        let missing = kdump::HEAD.saturating_sub(head.len());
        head.extend_from_slice(&block[..count.min(missing)]);
        hash.update(&block[..count]);
        bytes += count as u64;
    }
    if bytes == 0 {
        return Err(io::Error::other("it is empty"));
    }
    let kernel = kdump::kernel_of(&head);
    let sha256 = hex::encode(hash.finalize());
    Ok(Vmcore {
        path: relative,
        format: format.to_owned(),
        bytes,
        sha256,
        build_id: kernel.build_id,
        release: kernel.release,
    })
}
