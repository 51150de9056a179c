//! What an earlier probe found, good until the host boots again or QEMU changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::found::{Accelerator, Probe};

/// Which probe gave the answer. Answers of other ones are forgotten.
const PROBE: u32 = 2;

pub(super) struct Memory {
    path: PathBuf,
    key: String,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    key: String,
    found: Probe,
}

impl Memory {
    /// The memory of what was found when `tried` was tried first.
    pub(super) fn at(cache: &Path, qemu: &Path, tried: Accelerator) -> Option<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let changed = fs::metadata(qemu).ok()?.modified().ok()?;
        let changed = changed.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let user = rustix::process::geteuid().as_raw();
        let key = format!("probe {PROBE} {} {} {changed} uid {user}", boot.trim(), qemu.display());
        Some(Self { path: cache.join(format!("accelerator-{tried}.json")), key })
    }

    pub(super) fn recall(&self) -> Option<Probe> {
        let remembered: Remembered = serde_json::from_slice(&fs::read(&self.path).ok()?).ok()?;
        (remembered.key == self.key).then_some(remembered.found)
    }

    /// Failing to remember costs a probe next time, nothing else.
    pub(super) fn remember(&self, found: &Probe) {
        let record = Remembered { key: self.key.clone(), found: found.clone() };
        let Some(directory) = self.path.parent() else { return };
        let _ = fs::create_dir_all(directory);
        let written = tempfile::NamedTempFile::new_in(directory).and_then(|file| {
            serde_json::to_writer(&file, &record).map_err(Into::into).map(|()| file)
        });
        if let Ok(file) = written {
            let _ = file.persist(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timing::Speed;

    #[test]
    fn a_probe_is_remembered_for_this_boot_and_this_qemu() {
        let cache = tempfile::tempdir().unwrap();
        let here = || Memory::at(cache.path(), Path::new("/proc/self/exe"), Accelerator::Kvm);
        let found = Probe {
            accelerator: Accelerator::Kvm,
            no_kvm: None,
            no_pvh: None,
            speed: Speed::unknown(),
        };
        assert_eq!(here().unwrap().recall(), None);
        here().unwrap().remember(&found);
        assert_eq!(here().unwrap().recall(), Some(found));
        let other = Memory { key: "other".to_owned(), ..here().unwrap() };
        assert_eq!(other.recall(), None);
        let tcg = Memory::at(cache.path(), Path::new("/proc/self/exe"), Accelerator::Tcg).unwrap();
        assert_eq!(tcg.recall(), None, "what was found for one says nothing of the other");
    }
}
