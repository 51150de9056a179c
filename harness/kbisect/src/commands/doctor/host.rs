//! Memory and disk space.

use std::fs;
use std::path::{Path, PathBuf};

use kbisect_report::{DoctorCheck, DoctorStatus};

use super::{advise, found};
use crate::output;
use crate::settings::global::absolute;

const MIB: u64 = 1 << 20;
/// Two machines of 512 MiB, QEMU's own needs, and the harness.
const MEMORY_SPLIT: u64 = 1_400 * MIB;
/// One machine.
const MEMORY_SINGLE: u64 = 750 * MIB;

/// How much space a folder needs.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// With less nothing works.
    least: u64,
    /// With less it will run out in everyday use.
    good: u64,
}

/// The cache: a root image while it is built, and kernels of 30 to 150 MB.
pub const CACHE: Room = Room { least: 600 * MIB, good: 3_000 * MIB };
/// The results: logs and captures.
pub const RESULTS: Room = Room { least: 50 * MIB, good: 500 * MIB };

/// Memory that is available.
pub fn memory() -> DoctorCheck {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    match available(&text) {
        Some(bytes) => judge_memory(bytes),
        None => found("memory", DoctorStatus::Warn, "cannot be read from /proc/meminfo"),
    }
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

fn judge_memory(bytes: u64) -> DoctorCheck {
    let detail = format!("{} available", output::bytes(bytes));
    if bytes < MEMORY_SINGLE {
        let hint = format!("a trial needs about {}", output::bytes(MEMORY_SINGLE));
        advise("memory", DoctorStatus::Fail, detail, hint)
    } else if bytes < MEMORY_SPLIT {
        let hint = "use --placement single: all nodes on one machine";
        advise("memory", DoctorStatus::Warn, detail, hint)
    } else {
        found("memory", DoctorStatus::Ok, detail)
    }
}

/// Space and the right to write, in a folder that need not be there yet.
pub fn room(name: &str, folder: &Path, need: Room) -> DoctorCheck {
    let folder = absolute(folder);
    let place = existing(&folder);
    let shown = folder.display();
    if rustix::fs::access(&place, rustix::fs::Access::WRITE_OK).is_err() {
        let hint = "check its permissions, or name another folder (--cache, --results)";
        let detail = format!("`{}` cannot be written", place.display());
        return advise(name, DoctorStatus::Fail, detail, hint);
    }
    let free = match rustix::fs::statvfs(&place) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => {
            return found(name, DoctorStatus::Warn, format!("cannot look at `{shown}`: {error}"));
        }
    };
    let detail = format!("{} free in {shown}", output::bytes(free));
    if free < need.good {
        let status = if free < need.least { DoctorStatus::Fail } else { DoctorStatus::Warn };
        let hint = "free some space; `kbisect kernels prune` and `kbisect image prune` help";
        return advise(name, status, detail, hint);
    }
    found(name, DoctorStatus::Ok, detail)
}

/// The nearest folder above that is there.
fn existing(folder: &Path) -> PathBuf {
    let found = folder.ancestors().find(|ancestor| ancestor.is_dir());
    found.unwrap_or(Path::new("/")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_is_answered_with_what_still_works() {
        assert_eq!(available("MemTotal: 1 kB\nMemAvailable:   2048 kB\n"), Some(2 * MIB));
        assert_eq!(judge_memory(8_000 * MIB).status, DoctorStatus::Ok);
        let little = judge_memory(1_000 * MIB);
        assert_eq!(little.status, DoctorStatus::Warn);
        assert!(little.hint.unwrap().contains("--placement single"));
        assert_eq!(judge_memory(100 * MIB).status, DoctorStatus::Fail);
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_judged_by_the_one_above() {
        let dir = tempfile::tempdir().unwrap();
        let check = room("results", &dir.path().join("a/b"), Room { least: 0, good: 0 });
        assert_eq!(check.status, DoctorStatus::Ok, "{check:?}");
        let check = room("cache", dir.path(), Room { least: u64::MAX, good: u64::MAX });
        assert_eq!(check.status, DoctorStatus::Fail);
    }
}
