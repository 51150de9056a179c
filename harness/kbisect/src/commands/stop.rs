//! `kbisect stop`: ends a run from another terminal, in order; it can be resumed.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};

use crate::cli::{Global, StopArgs};
use crate::run::STOP_FILE;
use crate::settings::global::{run_folder, runs};
use crate::{errors, output};

/// How long a run is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);

/// Stops a run, or all that are under way.
///
/// # Errors
/// When nothing runs, or does not end.
pub fn stop(args: &StopArgs, global: &Global) -> anyhow::Result<()> {
    let found = match &args.run {
        Some(run) => vec![run_folder(run, &args.results)?],
        None => {
            let all = runs(&args.results);
            all.iter().map(|name| args.results.join(name)).collect()
        }
    };
    let alive: Vec<PathBuf> = found.into_iter().filter(|folder| is_alive(folder)).collect();
    if alive.is_empty() {
        return Err(errors::usage(
            "no run is under way that could be stopped",
            "name a run, or the folder of runs with --results DIR",
        ));
    }
    for folder in &alive {
        let file = folder.join(STOP_FILE);
        let made = fs::OpenOptions::new()
            .write(true)
            .create(true)
            // A link in somebody else's run could lead to a file of the user's.
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&file);
        made.with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    for folder in &alive {
        let began = Instant::now();
        while is_alive(folder) {
            if began.elapsed() > PATIENCE {
                return Err(errors::infrastructure(
                    format!("the run in `{}` has not ended yet", folder.display()),
                    "it ends as soon as its machines are gone; see `kbisect watch`",
                ));
            }
            std::thread::sleep(LOOK);
        }
        if !global.quiet {
            output::say(&format!(
                "stopped; resume with: kbisect resume {}",
                crate::run::quoted(&folder.display().to_string())
            ));
        }
    }
    Ok(())
}

/// Whether a kbisect works on the run: it holds the journal's lock for as long as it lives.
fn is_alive(folder: &Path) -> bool {
    let Ok(journal) = fs::File::open(folder.join(kbisect_report::JOURNAL_NAME)) else {
        return false;
    };
    flock(&journal, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
}
