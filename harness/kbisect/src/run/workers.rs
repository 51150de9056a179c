//! How many trials run side by side here: what the host has, and what a scenario takes.

use std::fs;
use std::num::NonZeroU32;

use kbisect_core::scenario::Scenario;
use kbisect_core::workers::{Host, Need, Workers, decide};
use kbisect_vm::accel::Accelerator;
use kbisect_vm::network::NetworkPlan;

use super::context::Ground;
use super::memory;

/// Decides it for a scenario, and tells the user what there is to tell.
#[must_use]
pub fn workers(wish: Workers, ground: Ground<'_>, scenario: &Scenario) -> NonZeroU32 {
    let emulated = ground.probe.accelerator == Accelerator::Tcg;
    let decided = decide(wish, host(emulated), need(ground, scenario));
    if let Some(note) = &decided.note {
        ground.base.ui.note(&format!("note: {note}"));
    }
    NonZeroU32::new(decided.count).unwrap_or(NonZeroU32::MIN)
}

fn need(ground: Ground<'_>, scenario: &Scenario) -> Need {
    let plan = NetworkPlan::new(scenario, ground.placement);
    let peer = plan.peer.as_ref().map(|_| &scenario.peer);
    let own = plan.own.iter().map(|own| own.options(scenario));
    Need {
        measured_mib: memory::recall(ground, scenario),
        ..Need::of(std::iter::once(&scenario.candidate).chain(peer).chain(own))
    }
}

fn host(emulated: bool) -> Host {
    // Counts what the affinity and a quota of this process leave of the host's.
    let cpus = std::thread::available_parallelism().map_or(1, |count| count.get() as u32);
    Host { cpus, available_mib: available_mib(), emulated }
}

/// Memory that this process can have without swapping, in MiB.
#[must_use]
pub fn available_mib() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let group = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok();
    let available = [
        available(&meminfo),
        left(group("memory.max").as_deref(), group("memory.current").as_deref()),
    ];
    available.into_iter().flatten().min()
}

/// MiB that the kernel says are available (proc(5)).
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib >> 10)
}

/// MiB that a control group still allows; nothing when it sets no limit.
fn left(most: Option<&str>, used: Option<&str>) -> Option<u64> {
    let most: u64 = most?.trim().parse().ok()?;
    let used: u64 = used?.trim().parse().ok()?;
    Some(most.saturating_sub(used) >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_kernel_and_control_group_leave() {
        let meminfo = "MemTotal:       24571234 kB\nMemAvailable:   20480000 kB\nBuffers: 1 kB\n";
        assert_eq!(available(meminfo), Some(20_000));
        assert_eq!(available("MemTotal: 5 kB\n"), None);
        assert_eq!(available("MemAvailable: lots\n"), None);
        assert_eq!(left(Some("max\n"), Some("5")), None);
        assert_eq!(left(Some("2147483648\n"), Some("1073741824\n")), Some(1024));
        assert_eq!(left(None, None), None);
    }
}
