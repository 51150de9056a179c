//! Options of commits as candidates (`--source git:PATH`).

use std::path::PathBuf;

use clap::Args;
use kbisect_core::run::{CommitChoices, DrillPlan};

const COMMITS: &str = "Commits (--source git:PATH or quilt:DIR, --drill git:PATH)";

/// What patches are put upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Folder of a git tree.
    pub repository: PathBuf,
    /// Its commit.
    pub commit: String,
}

/// The tree and the commit of `git:PATH@COMMIT`.
fn base(text: &str) -> Result<Base, String> {
    let whole = tree(text)?;
    let base = match text.strip_prefix("git:").and_then(|path| path.rsplit_once('@')) {
        Some((path, commit)) if !whole.is_dir() && !commit.is_empty() => {
            Base { repository: PathBuf::from(path), commit: commit.to_owned() }
        }
        _ => Base { repository: whole, commit: "HEAD".to_owned() },
    };
    Ok(base)
}

/// A toolchain as it is named, `debian:bullseye`.
fn suite(text: &str) -> Result<String, String> {
    let is_name = |suite: &str| !suite.is_empty() && suite.bytes().all(|b| b.is_ascii_lowercase());
    match text.strip_prefix("debian:") {
        Some(suite) if is_name(suite) => Ok(text.to_owned()),
        _ => Err("a toolchain is named by a Debian release, as debian:bullseye".to_owned()),
    }
}

/// The folder of `git:PATH`.
fn tree(text: &str) -> Result<PathBuf, String> {
    match text.strip_prefix("git:") {
        Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
        _ => Err("a git tree is named as git:PATH".to_owned()),
    }
}

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
    /// Compiler to build with, in a root that is made for it once: that of a Debian release, for trees that the
    /// host's compiler cannot build [default: the host's]
    #[arg(long, value_name = "debian:SUITE", value_parser = suite, help_heading = COMMITS)]
    pub toolchain: Option<String>,
    /// Do not test the answer by taking the culprit's change back in the bad end (with --find-fix: by applying
    /// the fix to it)
    #[arg(long, help_heading = COMMITS)]
    pub no_revert: bool,
    /// Take all commits for equally likely. Otherwise those are tried first that change what is built and what the
    /// failure and the scenario are about
    #[arg(long, help_heading = COMMITS)]
    pub no_prior: bool,
    /// Afterwards look for the commit in this git tree, between the two releases that were found; with --json
    /// the document says what came of it in `further`
    #[arg(long, value_name = "git:PATH", value_parser = tree, help_heading = COMMITS)]
    pub drill: Option<PathBuf>,
    /// What the patches of --source quilt:DIR are put upon: a git tree, and its commit [default: HEAD]
    #[arg(long, value_name = "git:PATH[@COMMIT]", value_parser = base, help_heading = COMMITS)]
    pub base: Option<Base>,
    /// Only commits that change something below these
    #[arg(last = true, value_name = "PATH", help_heading = COMMITS)]
    pub paths: Vec<String>,
}

impl CommitArgs {
    /// Where the commit is looked for afterwards.
    #[must_use]
    pub fn drill_plan(&self) -> Option<DrillPlan> {
        let absolute = |path: &PathBuf| {
            std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()
        };
        Some(DrillPlan {
            repository: absolute(self.drill.as_ref()?),
            choices: self.choices(),
            config: self.config.as_ref().map(absolute),
        })
    }

    /// What a plan has of it.
    #[must_use]
    pub fn choices(&self) -> CommitChoices {
        CommitChoices {
            first_parent: self.first_parent,
            paths: self.paths.clone(),
            toolchain: self.toolchain.clone(),
            no_revert: self.no_revert,
            no_prior: self.no_prior,
            template: None,
        }
    }

    /// Whether something of it was typed that means nothing without a tree.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.config.is_some() || self.choices() != CommitChoices::default()
    }
}

/// Arguments of `kbisect config`.
#[derive(Args, Debug)]
pub struct ConfigArgs {
    /// Scenario: a name or a path, as `kbisect scenario list` shows them
    #[arg(value_name = "SCENARIO")]
    pub scenario: String,
    /// Commit of the tree that --source git:PATH names: a tag, a branch or a commit
    #[arg(long, value_name = "COMMIT", default_value = "HEAD")]
    pub kernel: String,
    /// Print the whole .config that this commit's tree makes of it, with this machine's compiler
    #[arg(long)]
    pub whole: bool,
}
