//! Making room: `kbisect kernels prune`.

use std::cmp::Reverse;
use std::fs;
use std::time::{Duration, SystemTime};

use kbisect_core::kernel::{Kernel, KernelId};

use super::{Lock, Store, StoreError, remove};
use crate::ready::ReadyKernel;

/// What to remove. A kernel goes when any rule says so; with no rule nothing goes.
#[derive(Debug, Clone, Default)]
pub struct PruneRule {
    /// Remove these.
    pub named: Vec<KernelId>,
    /// Keep this many, the most recently used ones.
    pub keep: Option<usize>,
    /// Keep at most this many bytes, the most recently used kernels.
    pub max_bytes: Option<u64>,
    /// Remove what was not used for this long.
    pub older_than: Option<Duration>,
    /// Say what would go, and leave it.
    pub dry_run: bool,
}

/// What [`Store::prune`] did.
#[derive(Debug, Clone, Default)]
pub struct PruneReport {
    /// Removed (or, in a dry run, to be removed).
    pub removed: Vec<Kernel>,
    /// Left although a rule names them: a kbisect is using them.
    pub in_use: Vec<Kernel>,
    /// Bytes set free.
    pub freed_bytes: u64,
    /// Bytes that are left in the store.
    pub left_bytes: u64,
    /// Debug packages that were removed (or are to be): names with versions.
    pub debug_removed: Vec<String>,
}

impl Store {
    /// Removes kernels by `rule`, but none that is in use.
    pub fn prune(&self, rule: &PruneRule) -> Result<PruneReport, StoreError> {
        let mut kernels: Vec<(SystemTime, ReadyKernel)> = self
            .list()?
            .into_iter()
            .map(|ready| {
                let size = ready.size + self.unpacked_size(&ready);
                (last_use(self, &ready), ReadyKernel { size, ..ready })
            })
            .collect();
        kernels.sort_by_key(|(used, _)| Reverse(*used));
        let mut report = PruneReport::default();
        let mut kept = (0_usize, 0_u64);
        for (used, ready) in kernels {
            let age = used.elapsed().unwrap_or_default();
            let goes = rule.named.contains(&ready.kernel.id)
                || rule.keep.is_some_and(|keep| kept.0 >= keep)
                || rule.max_bytes.is_some_and(|max| kept.1 + ready.size > max)
                || rule.older_than.is_some_and(|limit| age > limit);
            if goes && take_away(self, &ready, rule.dry_run)? {
                report.freed_bytes += ready.size;
                report.removed.push(ready.kernel);
                continue;
            }
            kept = (kept.0 + 1, kept.1 + ready.size);
            if goes {
                report.in_use.push(ready.kernel);
            }
        }
        // Kernels first: debug packages are large, and wanted once.
        let cache = self.dir().ancestors().nth(2).unwrap_or(self.dir());
        let debug = crate::debug::prune(cache, rule, kept.1)?;
        report.freed_bytes += debug.freed;
        report.left_bytes = kept.1 + debug.left;
        report.debug_removed = debug.removed;
        Ok(report)
    }
}

/// Removes a kernel unless it is in use; says whether it went.
fn take_away(store: &Store, ready: &ReadyKernel, dry_run: bool) -> Result<bool, StoreError> {
    let id = &ready.kernel.id;
    let (making, using) = (store.lock_of(id), store.use_lock(id));
    let Some(_making) = Lock::try_now(&making).map_err(StoreError::at(&making))? else {
        return Ok(false);
    };
    let Some(in_use) = Lock::try_now(&using).map_err(StoreError::at(&using))? else {
        return Ok(false);
    };
    if dry_run {
        return Ok(true);
    }
    // First out of sight in one step: nobody is to see half a kernel.
    let tmp = store.tmp_dir().join(&id.0);
    remove(&tmp)?;
    fs::rename(&ready.dir, &tmp).map_err(StoreError::at(&ready.dir))?;
    drop(in_use);
    store.forget_unpacked(ready)?;
    remove(&tmp)?;
    Ok(true)
}

fn last_use(store: &Store, ready: &ReadyKernel) -> SystemTime {
    let time = |path| fs::metadata(path).and_then(|meta| meta.modified());
    time(store.use_lock(&ready.kernel.id))
        .or_else(|_| time(ready.dir.clone()))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
