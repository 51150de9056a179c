//! How many trials run side by side.
//!
//! What limits it: an emulated machine keeps a processor busy while it computes, and a guest that is
//! starved of it measures its clock wrongly; memory that is not there ends in the host's kernel killing
//! something. Under KVM a trial mostly waits, for a boot's device probes, time-outs, its peer.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::scenario::MachineOptions;

/// Memory that a QEMU takes beside the guest's, in MiB: its own, and the code that it translated.
const OVERHEAD_TCG: u64 = 160;
const OVERHEAD_KVM: u64 = 64;
/// Part of the free memory that trials may take; the rest is the page cache's, which kernels and images
/// are read from.
const SHARE: f64 = 0.75;
/// No trial of ours needs more of them at once.
const MOST: u32 = 64;

/// How many trials the user wants to run side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// As many as the host can take.
    Auto,
    /// So many.
    Count(NonZeroU32),
}

/// Why a number of workers cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkersError {
    /// Nothing would be tried.
    #[error("no worker tries nothing: give 1 or more, or `auto`")]
    None,
    /// More than any host takes.
    #[error("{count} workers are too many: {MOST} at most")]
    TooMany {
        /// What was asked for.
        count: u32,
    },
    /// No number.
    #[error("`{text}` is no number of workers: give 1 or more, or `auto`")]
    NoNumber {
        /// What was given.
        text: String,
    },
}

/// The host, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Processors that this process may use.
    pub cpus: u32,
    /// Memory that can be had without swapping, in MiB; nothing when the host does not tell.
    pub available_mib: Option<u64>,
    /// Whether guests are emulated.
    pub emulated: bool,
}

/// What one trial takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Virtual processors of all its machines.
    pub cpus: u32,
    /// Those of its largest machine.
    pub largest: u32,
    /// Memory of its guests, in MiB.
    pub memory_mib: u64,
    /// Machines.
    pub machines: u32,
    /// Memory of the host that such a trial took at most, in MiB, when one was measured.
    pub measured_mib: Option<u64>,
}

/// How many workers there are, and what the user should know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Workers, one at least.
    pub count: u32,
    /// Why it is not what was asked for, or what it may lead to.
    pub note: Option<String>,
}

impl FromStr for Workers {
    type Err = WorkersError;

    fn from_str(text: &str) -> Result<Self, WorkersError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let count: u32 =
            text.parse().map_err(|_| WorkersError::NoNumber { text: text.to_owned() })?;
        match NonZeroU32::new(count) {
            None => Err(WorkersError::None),
            Some(_) if count > MOST => Err(WorkersError::TooMany { count }),
            Some(count) => Ok(Self::Count(count)),
        }
    }
}

impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => count.fmt(f),
        }
    }
}

impl Need {
    /// What a trial with these machines takes.
    pub fn of<'a>(machines: impl IntoIterator<Item = &'a MachineOptions>) -> Self {
        machines.into_iter().fold(Self::default(), |need, machine| Self {
            cpus: need.cpus + machine.cpus,
            largest: need.largest.max(machine.cpus),
            memory_mib: need.memory_mib + u64::from(machine.memory_mib),
            machines: need.machines + 1,
            measured_mib: None,
        })
    }

    /// Memory of the host that one trial takes, in MiB: what was measured and some more, at most all that
    /// its machines have.
    pub fn host_mib(&self, emulated: bool) -> u64 {
        let overhead = if emulated { OVERHEAD_TCG } else { OVERHEAD_KVM };
        let all = self.memory_mib + overhead * u64::from(self.machines);
        self.measured_mib.map_or(all, |mib| (mib + mib / 4).min(all))
    }
}

/// Decides how many trials run side by side. What the memory does not allow is not tried, whatever was
/// asked for; processors limit only what kbisect chooses by itself.
pub fn decide(wish: Workers, host: Host, need: Need) -> Decision {
    let each = need.host_mib(host.emulated).max(1);
    let by_memory = host.available_mib.map_or(MOST, |available| {
        let usable = (available as f64 * SHARE) as u64;
        u32::try_from(usable / each).unwrap_or(MOST).clamp(1, MOST)
    });
    let by_cpus = by_cpus(host, need);
    let wanted = match wish {
        Workers::Auto => by_cpus,
        Workers::Count(count) => count.get(),
    };
    let count = wanted.min(by_memory);
    let note = match wish {
        Workers::Count(_) if count < wanted => Some(format!(
            "{wanted} workers need {} MiB of memory, {} MiB are available: continuing with {count}",
            each * u64::from(wanted),
            host.available_mib.unwrap_or_default()
        )),
        Workers::Count(_) if host.emulated && count > by_cpus => Some(format!(
            "{count} workers on {} processors: emulated machines that wait for a processor run late, and \
             trials whose clocks went wrong are repeated",
            host.cpus
        )),
        _ => None,
    };
    Decision { count, note }
}

/// Workers that the processors can take. Emulated: the machine that computes has one processor for
/// each of its own; the other one of a trial waits meanwhile. With KVM twice as many, since both wait
/// for long.
fn by_cpus(host: Host, need: Need) -> u32 {
    let each = need.largest.max(1);
    let cpus = if host.emulated { host.cpus } else { host.cpus.saturating_mul(2) };
    (cpus / each).clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMULATED: Host = Host { cpus: 8, available_mib: Some(32_000), emulated: true };

    fn need(machines: &[(u32, u32)]) -> Need {
        let machines: Vec<MachineOptions> = machines
            .iter()
            .map(|(cpus, memory_mib)| MachineOptions {
                cpus: *cpus,
                memory_mib: *memory_mib,
                ..MachineOptions::default()
            })
            .collect();
        Need::of(&machines)
    }

    fn count(count: u32) -> Workers {
        Workers::Count(NonZeroU32::new(count).unwrap())
    }

    #[test]
    fn what_guests_really_took_counts_where_it_is_known() {
        let machine = MachineOptions::default();
        let need = Need::of([&machine, &machine]);
        let host = Host { cpus: 16, available_mib: Some(4000), emulated: true };
        assert_eq!(decide(Workers::Auto, host, need).count, 2);
        let measured = Need { measured_mib: Some(400), ..need };
        assert_eq!(measured.host_mib(true), 500);
        assert_eq!(decide(Workers::Auto, host, measured).count, 6);
        let more = Need { measured_mib: Some(9000), ..need };
        assert_eq!(more.host_mib(true), need.host_mib(true), "never more than its machines have");
    }

    #[test]
    fn processors_limit_what_is_chosen() {
        let pair = need(&[(1, 512), (1, 512)]);
        let auto = |host| decide(Workers::Auto, host, pair);
        assert_eq!(auto(EMULATED), Decision { count: 8, note: None });
        assert_eq!(auto(Host { cpus: 1, ..EMULATED }).count, 1);
        assert_eq!(auto(Host { cpus: 0, ..EMULATED }).count, 1);
        let large = need(&[(4, 512), (1, 512)]);
        assert_eq!(decide(Workers::Auto, EMULATED, large).count, 2);
        assert_eq!(decide(Workers::Auto, Host { cpus: 3, ..EMULATED }, large).count, 1);
        assert_eq!(auto(Host { emulated: false, cpus: 4, ..EMULATED }).count, 8);
    }

    #[test]
    fn memory_limits_everything() {
        let pair = need(&[(1, 512), (1, 512)]);
        let host = Host { available_mib: Some(4000), ..EMULATED };
        assert_eq!(decide(Workers::Auto, host, pair), Decision { count: 2, note: None });
        let reduced = decide(count(5), host, pair);
        assert_eq!(reduced.count, 2);
        let note = reduced.note.unwrap();
        assert!(note.contains("5 workers need 6720 MiB") && note.contains("with 2"), "{note}");
        // One trial is tried in any case: it may well fit, and says so if not.
        assert_eq!(decide(count(1), Host { available_mib: Some(10), ..host }, pair).count, 1);
        assert_eq!(decide(Workers::Auto, Host { available_mib: None, ..host }, pair).count, 8);
        // A lone machine takes less.
        assert_eq!(decide(count(5), host, need(&[(1, 512)])).count, 4);
    }

    #[test]
    fn more_than_the_processors_take_is_the_users_choice() {
        let pair = need(&[(1, 512), (1, 512)]);
        let host = Host { cpus: 2, ..EMULATED };
        let decided = decide(count(3), host, pair);
        assert_eq!(decided.count, 3);
        assert!(decided.note.unwrap().contains("3 workers on 2 processors"));
        assert_eq!(decide(count(2), host, pair).note, None);
        assert_eq!(decide(count(3), Host { emulated: false, ..host }, pair).note, None);
    }

    #[test]
    fn numbers_of_workers() {
        assert_eq!("auto".parse(), Ok(Workers::Auto));
        assert_eq!("3".parse(), Ok(count(3)));
        assert_eq!("0".parse::<Workers>(), Err(WorkersError::None));
        assert_eq!("65".parse::<Workers>(), Err(WorkersError::TooMany { count: 65 }));
        for wrong in ["", "-1", "two", "1.5", "99999999999"] {
            assert!(matches!(wrong.parse::<Workers>(), Err(WorkersError::NoNumber { .. })));
        }
    }
}
