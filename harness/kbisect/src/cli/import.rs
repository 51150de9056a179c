//! Arguments of `kbisect scenario import`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

/// What a file of existing checks is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportFormat {
    /// Commands with expected status and output in YAML, as cmd-checklist runs them
    CmdChecklist,
    /// Definitions of monitoring plugins: `command[NAME]=...` of NRPE, `define command` of Nagios
    Plugins,
    /// A program that reports in TAP or KTAP
    Ktap,
    /// What goss is to validate
    Goss,
    /// Scripts of the kernel's own self-tests, such as net/fib_tests.sh; a folder (net) is all that it has
    Kselftest,
}

impl ImportFormat {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CmdChecklist => "cmd-checklist",
            Self::Plugins => "plugins",
            Self::Ktap => "ktap",
            Self::Goss => "goss",
            Self::Kselftest => "kselftest",
        }
    }
}

/// Arguments of `kbisect scenario import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// What the file is
    #[arg(value_name = "FORMAT")]
    pub format: ImportFormat,
    /// The file; nothing in it is run here. Scripts of self-tests are named as in the kernel's source
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The kernel's source that self-tests are taken from: a package (linux-source-6.12, with =VERSION that
    /// version), a source tree or its archive [default: the newest package of the root image's release]
    #[arg(long, value_name = "PACKAGE|PATH")]
    pub tree: Option<String>,
    /// Kernel on which self-tests are run once, to learn their cases, or the folder of such a run; `none` makes
    /// one check of each script [default: the kernel of reference nodes]
    #[arg(long, value_name = "KERNEL|RUN|none")]
    pub learn: Option<String>,
    /// Folder that this run is written to
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// Scenario that the checks are added to, by its folder [default: print them]
    #[arg(long, value_name = "FOLDER")]
    pub into: Option<String>,
    /// Folder of a new scenario that has nothing but them
    #[arg(short, long, value_name = "FOLDER", conflicts_with = "into")]
    pub output: Option<PathBuf>,
    /// Node that runs them [default: the only one, or `monitor`]
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// Node that stands for a host that the file calls by ssh; may be repeated
    #[arg(long, value_name = "HOST=NODE", value_parser = pair)]
    pub map: Vec<(String, String)>,
    /// Variable or macro that the file uses; counts in place of the file's own; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub env: Vec<(String, String)>,
    /// goss itself, which is copied into the scenario
    #[arg(long, value_name = "FILE")]
    pub binary: Option<PathBuf>,
    /// Deadline of each check in seconds [default: 10; 300 for self-tests]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<f64>,
    /// Print what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl ImportArgs {
    /// The file, where there is one.
    #[must_use]
    pub fn file(&self) -> &Path {
        self.files.first().map_or(Path::new(""), PathBuf::as_path)
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("two words with `=` between them are needed".to_owned()),
    }
}

/// Limits of `timeout_s` in a scenario.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=600.0).contains(seconds));
    seconds.ok_or_else(|| "a number from 0.1 to 600 is needed".to_owned())
}
