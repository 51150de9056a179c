//! What changed between kernels: options of a bisection, and the arguments of `kbisect changes`.

use std::path::PathBuf;

use clap::Args;

/// Where changes between kernels are read, at the end of a bisection.
#[derive(Args, Clone, Debug, Default)]
pub struct ChangesOptions {
    /// Do not fetch the changelog (3 MB) to rank what changed
    #[arg(long, help_heading = "Evidence", conflicts_with = "git")]
    pub no_changes: bool,
    /// Git repository with the kernels' tags: rank its log in place of the distribution's changelog
    #[arg(long, value_name = "DIR", help_heading = "Evidence")]
    pub git: Option<PathBuf>,
}

/// Arguments of `kbisect changes`.
#[derive(Args, Debug)]
pub struct ChangesArgs {
    /// A run (its folder, or its name below the results folder), or two kernels
    #[arg(value_name = "RUN|OLD..NEW")]
    pub target: String,
    /// Scenario whose features count, for two kernels
    #[arg(short, long, value_name = "NAME")]
    pub scenario: Option<String>,
    /// Names that count as well: functions, modules, a line of a trace
    #[arg(long, value_name = "TEXT")]
    pub symptom_text: Option<String>,
    /// Git repository with the kernels' tags
    #[arg(long, value_name = "DIR", conflicts_with = "changelog")]
    pub git: Option<PathBuf>,
    /// Debian changelog, plain or compressed with gzip
    #[arg(long, value_name = "FILE")]
    pub changelog: Option<PathBuf>,
    /// Folder that runs are written to
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}
