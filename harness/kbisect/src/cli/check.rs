//! What `kbisect check` takes.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::{MachineArgs, PoolArgs, Range, SettingArgs, WorkersArgs};

/// Arguments of `kbisect check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Kernels: a version, a release, the name or id of a stored kernel, or a range A..B, which is
    /// every kernel between its ends that can be tested, and is drawn as a map
    #[arg(value_name = "KERNEL", required_unless_present = "newest")]
    pub kernels: Vec<Kernels>,
    /// Test the newest kernel that the archive offers for a suite (bookworm, bookworm-backports, trixie,
    /// ...); a release stands for its security suite and its updates too [default: of all suites]
    #[arg(long, value_name = "SUITE", num_args = 0..=1, conflicts_with = "kernels")]
    #[expect(clippy::option_option, reason = "absent, present, present with a suite")]
    pub newest: Option<Option<String>>,
    /// Scenarios, by name (see `kbisect scenario list`) or folder; separated by commas, or repeated
    #[arg(
        short,
        long = "scenario",
        value_name = "NAME[,NAME]",
        value_delimiter = ',',
        required = true
    )]
    pub scenarios: Vec<String>,
    /// Kernel that is trusted today: what fails there in the same way is no regression [default: none;
    /// with --newest the one before it]
    #[arg(long, value_name = "KERNEL")]
    pub baseline: Option<String>,
    /// Pass although kernels could not be tested with some scenario; each has to answer with one
    #[arg(long)]
    pub allow_skips: bool,
    /// Pass although these checks fail, where they fail at the baseline in the same way; `all` stands
    /// for failures of any kind [default: none]
    #[arg(long, value_name = "CHECK[,CHECK]|all", value_delimiter = ',')]
    pub allow_broken: Vec<String>,
    /// Begin with one trial, widen as trials pass, and stop with the first that does not: what is left
    /// is not tested
    #[arg(long)]
    pub canary: bool,
    /// Try every way of the scenarios, the first one also with the application stopped, and tell what a
    /// failure follows: the way, the state that it ends in, the application, or the kernel
    #[arg(long)]
    pub ways: bool,
    /// Write JUnit XML too: a test case for each kernel and scenario
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// How trials are made.
    #[command(flatten)]
    pub setting: SettingArgs,
    /// How many at once.
    #[command(flatten)]
    pub workers: WorkersArgs,
    /// By whom.
    #[command(flatten)]
    pub pool: PoolArgs,
    /// Where it runs.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// One kernel, or those of a range, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// One.
    One(String),
    /// All between two ends.
    Between(Range),
}

impl FromStr for Kernels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("..") {
            return text.parse().map(Self::Between);
        }
        Ok(Self::One(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_told_from_kernels() {
        assert_eq!("6.12.57".parse(), Ok(Kernels::One("6.12.57".to_owned())));
        let range: Kernels = "6.1..mine".parse().unwrap();
        assert!(matches!(range, Kernels::Between(range) if range.new == "mine"));
        assert!("6.1..".parse::<Kernels>().unwrap_err().contains("right end"));
    }
}
