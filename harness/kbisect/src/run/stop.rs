//! Stop files: how a run is ended from elsewhere, in order and resumable.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::errors;
use crate::ui::Ui;

/// Name of the file: in a run's folder it ends that run, in a results folder all runs below it.
pub const STOP_FILE: &str = "stop";

/// How often it is looked for.
const EVERY: Duration = Duration::from_millis(200);

/// Looks for stop files while it lives.
pub struct StopWatch {
    _alive: Arc<()>,
}

/// Refuses to begin, or to go on, while all runs below a results folder are to stop.
///
/// # Errors
/// That they are.
pub fn check_stop_file(results: &Path) -> anyhow::Result<()> {
    let file = results.join(STOP_FILE);
    if !file.exists() {
        return Ok(());
    }
    Err(errors::usage(
        format!("`{}` is there, which stops all runs below its folder", file.display()),
        "remove it when runs may go on",
    ))
}

/// The files that end a run.
fn stop_files(folder: &Path) -> [PathBuf; 2] {
    let results = folder.parent().unwrap_or(folder);
    [folder.join(STOP_FILE), results.join(STOP_FILE)]
}

impl StopWatch {
    /// Begins to look. What stopped the run before is taken away; what stops all runs is not.
    ///
    /// # Errors
    /// When all runs are to stop.
    pub fn begin(folder: &Path, ui: &Ui) -> anyhow::Result<Self> {
        let [own, _] = stop_files(folder);
        let _ = std::fs::remove_file(own);
        folder.parent().map_or(Ok(()), check_stop_file)?;
        let alive = Arc::new(());
        let flags = [ui.stop_flag(), kbisect_process::stop_flag()];
        let (files, watched, ui) = (stop_files(folder), Arc::downgrade(&alive), ui.clone());
        std::thread::spawn(move || look(&files, &watched, &flags, &ui));
        Ok(Self { _alive: alive })
    }
}

fn look(files: &[PathBuf], watched: &Weak<()>, flags: &[Arc<AtomicBool>], ui: &Ui) {
    while watched.strong_count() > 0 {
        if let Some(file) = files.iter().find(|file| file.exists()) {
            ui.note(&format!("stopped by `{}`", file.display()));
            flags.iter().for_each(|flag| flag.store(true, Ordering::SeqCst));
            return;
        }
        std::thread::sleep(EVERY);
    }
}
