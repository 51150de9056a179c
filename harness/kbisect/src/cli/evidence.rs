//! What is kept of failures, and what is looked up for them later.

use std::path::PathBuf;

use kbisect_core::run::EvidenceChoices;

use clap::Args;

/// What is kept of failures, beyond what always is.
#[derive(Args, Clone, Debug, Default)]
pub struct EvidenceArgs {
    /// Dump the guest's memory when its kernel crashes or hangs, for the `crash` utility
    #[arg(long, help_heading = "Evidence")]
    pub vmcore: bool,
    /// Fetch the culprit's debug package (280 MB) to show source lines in its trace
    #[arg(long, help_heading = "Evidence", conflicts_with = "vmlinux")]
    pub debug_info: bool,
    /// Kernel with debug information, for source lines in the culprit's trace
    #[arg(long, value_name = "FILE", help_heading = "Evidence")]
    pub vmlinux: Option<PathBuf>,
    /// Folder that holds NAME.ko files with debug information [default: that of the vmlinux]
    #[arg(long, value_name = "DIR", help_heading = "Evidence", requires = "vmlinux")]
    pub debug_modules: Option<PathBuf>,
}

impl EvidenceArgs {
    /// The same for plans, with whole paths.
    #[must_use]
    pub fn choices(&self) -> EvidenceChoices {
        let whole = |path: &Option<PathBuf>| {
            let path = path.as_ref()?;
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            Some(path.display().to_string())
        };
        EvidenceChoices {
            vmcore: self.vmcore,
            debug_info: self.debug_info,
            vmlinux: whole(&self.vmlinux),
            debug_modules: whole(&self.debug_modules),
        }
    }
}

/// Arguments of `kbisect decode`.
#[derive(Args, Debug)]
pub struct DecodeArgs {
    /// A run (its folder, or its name below the results folder), or a console log; `-` is standard input
    #[arg(value_name = "RUN|FILE")]
    pub target: PathBuf,
    /// Kernel of an archive whose debug package is fetched [default: that of the run's failed trial]
    #[arg(long, value_name = "KERNEL", conflicts_with = "vmlinux")]
    pub kernel: Option<String>,
    /// Kernel with debug information
    #[arg(long, value_name = "FILE")]
    pub vmlinux: Option<PathBuf>,
    /// Folder that holds NAME.ko files with debug information [default: that of the vmlinux]
    #[arg(long, value_name = "DIR", requires = "vmlinux")]
    pub debug_modules: Option<PathBuf>,
    /// Folder that runs are written to
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}
