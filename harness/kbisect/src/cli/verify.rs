//! Arguments of a verification.

use std::path::PathBuf;

use clap::Args;

use super::AgainArgs;
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
    /// Where it runs.
    #[command(flatten)]
    pub again: AgainArgs,
}

impl VerifyArgs {
    /// Who tested; a place to be filled in where nobody is named.
    #[must_use]
    pub fn tester(&self) -> String {
        self.tested_by.clone().unwrap_or_else(|| "Your Name <you@example.org>".to_owned())
    }
}
