//! Bisections and single trials.

use std::process::ExitCode;

use crate::cli::{BisectArgs, Global, ResumeArgs, RunArgs};

/// Bisects a range.
pub fn bisect(_args: &BisectArgs, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build cannot run trials")
}

/// Runs one trial.
pub fn run_one(_args: &RunArgs, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build cannot run trials")
}

/// Goes on with an interrupted run.
pub fn resume(_args: &ResumeArgs, _global: &Global) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build cannot run trials")
}
