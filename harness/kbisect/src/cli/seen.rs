//! Arguments of the commands that look at runs and change nothing.

use std::path::PathBuf;

use clap::Args;

use super::DoubtArgs;
use crate::settings::global::NEWEST;

/// Arguments of `kbisect watch`.
#[derive(Args, Clone, Debug)]
pub struct WatchArgs {
    /// The run: its folder, or its name below the results folder [default: the newest search or check]
    #[arg(value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// Show it as it is now, and stop
    #[arg(long)]
    pub once: bool,
    /// Folder that runs are written to
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}

/// Arguments of `kbisect score`.
#[derive(Args, Clone, Debug)]
pub struct ScoreArgs {
    /// The run: its folder, or its name below the results folder
    #[arg(value_name = "RUN", default_value = NEWEST)]
    pub run: PathBuf,
    /// In place of the run's own.
    #[command(flatten)]
    pub doubt: DoubtArgs,
    /// Folder that runs are written to
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}
