//! Arguments of a verification.

use std::path::PathBuf;

use clap::Args;
use kbisect_core::workers::Workers;

use super::machine::workers;
use crate::settings::global::NEWEST;

/// Arguments of `kbisect verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// The bisection: its folder, or its name below the results folder
    #[arg(value_name = "RUN", default_value = NEWEST)]
    pub run: PathBuf,
    /// The kernel that may mend it
    #[arg(long, value_name = "KERNEL")]
    pub kernel: String,
    /// Who says so in the text: a name and an address
    #[arg(long, value_name = "NAME <ADDRESS>")]
    pub tested_by: Option<String>,
    /// Folder that runs are written to
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// QEMU, in place of qemu-system-x86_64 in PATH
    #[arg(long, value_name = "PATH")]
    pub qemu: Option<PathBuf>,
    /// Folder with the definition of the root image, if the run was begun with one
    #[arg(long, value_name = "DIR")]
    pub image: Option<PathBuf>,
    /// Trials to run side by side, or `auto` [default: as the bisection]
    #[arg(long, value_name = "N|auto", value_parser = workers)]
    pub workers: Option<Workers>,
}

impl VerifyArgs {
    /// Who tested; a place to be filled in where nobody is named.
    #[must_use]
    pub fn tester(&self) -> String {
        self.tested_by.clone().unwrap_or_else(|| "Your Name <you@example.org>".to_owned())
    }
}
