//! Tries commands that are to be workers.

use std::time::{Duration, Instant};

use kbisect_report::words;

use super::line::{Lost, Talk};
use super::pools::Pools;
use crate::cli::{Global, PoolArgs};
use crate::{errors, output};

/// How long a worker may take to say what it is: an engine may have it wait.
const PATIENCE: Duration = Duration::from_secs(300);

/// Starts a worker of each kind that is named, and prints what it is.
///
/// # Errors
/// What names no worker; that one did not say what it is.
pub fn pool_check(pools: &[String], global: &Global) -> anyhow::Result<()> {
    let args = PoolArgs { pools: pools.to_vec(), mixed: true };
    let mut workers = Pools::of(&args, &global.settings()?, true)?.workers;
    workers.dedup();
    let mut missing = None;
    for words in workers {
        let began = Instant::now();
        let hello = Talk::begin(&words).and_then(|mut talk| {
            talk.hello(&|| began.elapsed() > PATIENCE)?
                .ok_or_else(|| Lost(format!("it said nothing for {} s", PATIENCE.as_secs())))
        });
        let command = words.join(" ");
        match hello {
            Ok(it) => {
                let memory = it.memory_mib.map(|mib| format!(", {mib} MiB of memory"));
                output::print(&format!(
                    "{command}: {} in {:.1} s: kbisect {}, QEMU {}, {}{}, {} CPUs{}, {} kernels stored\n",
                    it.host,
                    began.elapsed().as_secs_f64(),
                    it.version,
                    it.qemu,
                    it.accelerator,
                    it.no_kvm.map(|why| format!(" ({why})")).unwrap_or_default(),
                    it.cpus,
                    memory.unwrap_or_default(),
                    it.kernels,
                ))?;
            }
            Err(lost) => {
                output::say(&format!("{command}: no worker: {lost}"));
                missing.get_or_insert((command, lost));
            }
        }
    }
    match missing {
        None => Ok(()),
        Some((command, _)) => Err(errors::infrastructure(
            format!("`{command}` is no worker"),
            words::HOW_TO_BE_A_WORKER,
        )),
    }
}
