//! Options of commits as candidates (`--source git:PATH`).

use std::path::PathBuf;

use clap::Args;

const COMMITS: &str = "Commits (--source git:PATH)";

/// Which commits are candidates, and how they are built.
#[derive(Args, Clone, Debug, Default)]
pub struct CommitArgs {
    /// Follow merges to their first parents only
    #[arg(long, help_heading = COMMITS)]
    pub first_parent: bool,
    /// Configuration to build with, brought up to date for each commit [default: what the machines and
    /// the scenario need]
    #[arg(long, value_name = "FILE", help_heading = COMMITS)]
    pub config: Option<PathBuf>,
    /// Only commits that change something below these
    #[arg(last = true, value_name = "PATH", help_heading = COMMITS)]
    pub paths: Vec<String>,
}

impl CommitArgs {
    /// Whether something of it was typed.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.first_parent || self.config.is_some() || !self.paths.is_empty()
    }
}
