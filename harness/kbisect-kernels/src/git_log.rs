//! The commits between two kernels, out of a repository of the user's.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kbisect_core::changes::{Change, GIT_FORMAT, Segment, read_git_log};
use kbisect_core::kernel::Kernel;
use kbisect_process::{run_unless, run_within};

use crate::git::git;

/// How long git may take: the log of a whole release off a slow disk takes a minute.
const DEADLINE: Duration = Duration::from_secs(600);
/// Most bytes of a log that are read: 64 MiB hold 300,000 commits.
const MAX_LOG: u64 = 64 << 20;

/// Why there is no log. Displayed after "not available, because".
#[derive(Debug, thiserror::Error)]
pub enum GitLogError {
    /// git cannot be started.
    #[error("`git` cannot be started; install the package `git`")]
    Start(#[source] io::Error),
    /// Reading failed.
    #[error("the log of `{}` cannot be read", repository.display())]
    Read {
        /// Folder.
        repository: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder has no commit for a kernel.
    #[error("`{}` has no tag {tag}", repository.display())]
    NoTag {
        /// Folder.
        repository: PathBuf,
        /// Tag.
        tag: String,
    },
    /// git failed.
    #[error("`git log` failed: {0}")]
    Failed(String),
}

/// Lists the commits that are in `new` and not in `old`, merges left out, the oldest first, and
/// names their range.
pub fn git_log(
    repository: &Path,
    old: &Kernel,
    new: &Kernel,
) -> Result<(String, Segment), GitLogError> {
    let (old_tag, new_tag) = (tag(old), tag(new));
    let old_id = commit(repository, &old_tag)?;
    let new_id = commit(repository, &new_tag)?;
    let mut segment = log(repository, &old_id, &new_id, &["--no-merges"], &|| false)?;
    if old.series() != new.series() {
        segment.notes.push(format!(
            "the range crosses from stable series {} to {}: what both got is listed, too",
            old.series(),
            new.series()
        ));
    }
    Ok((format!("{old_tag}..{new_tag}"), segment))
}

/// What each commit changes that is in `new` and not in `old`. Of merges nothing is told, unless only first
/// parents are followed: then a merge changes what it brought. `is_moot` ends it before its time.
pub fn commit_changes(
    repository: &Path,
    old: &str,
    new: &str,
    first_parent: bool,
    is_moot: &dyn Fn() -> bool,
) -> Result<Segment, GitLogError> {
    let how: &[&str] = if first_parent {
        &["--first-parent", "--diff-merges=first-parent"]
    } else {
        &["--no-merges"]
    };
    log(repository, old, new, how, is_moot)
}

/// Commits anywhere in a repository, but before it, that say that they mend or undo a commit: `Fixes:` with
/// its id or that of the one upstream that it was made from, or `This reverts commit`. The newest first.
///
/// # Errors
/// Commits that cannot be read. `is_moot` ends it before its time.
pub fn mending(
    repository: &Path,
    id: &str,
    is_moot: &dyn Fn() -> bool,
) -> Result<Vec<Change>, GitLogError> {
    let mut command = git(repository);
    command.args(["log", "-1", "--no-color", "--no-show-signature", "--format=%B"]);
    command.arg("--end-of-options").arg(id).arg("--");
    let said = run_unless(command, DEADLINE, 1 << 20, is_moot).map_err(failed(repository))?;
    if !said.status.success() {
        return Err(GitLogError::Failed(said.status.to_string()));
    }
    let message = String::from_utf8_lossy(&said.stdout);
    let mut command = git(repository);
    command.args(["log", "--all", "--no-merges", "--no-color", "--no-show-signature"]);
    command.args(["--encoding=UTF-8", "--max-count=16", "--fixed-strings"]);
    command.arg(format!("--format={GIT_FORMAT}"));
    for id in [Some(id), upstream(&message)].into_iter().flatten() {
        let short = id.get(..10).unwrap_or(id);
        for says in ["Fixes: ", "This reverts commit "] {
            command.arg(format!("--grep={says}{short}"));
        }
    }
    command.arg(format!("^{id}")).arg("--");
    let ended = run_unless(command, DEADLINE, 1 << 20, is_moot).map_err(failed(repository))?;
    if !ended.status.success() {
        return Err(GitLogError::Failed(ended.status.to_string()));
    }
    Ok(read_git_log(&String::from_utf8_lossy(&ended.stdout)).changes)
}

/// The commit that one of a stable series was made from, as its message says: `commit ID upstream.`, or
/// `[ Upstream commit ID ]`.
fn upstream(message: &str) -> Option<&str> {
    message.lines().take(8).find_map(|line| {
        let line = line.trim().trim_matches(['[', ']']).trim();
        let id = line
            .strip_prefix("commit ")
            .and_then(|rest| rest.trim_end_matches('.').strip_suffix(" upstream"))
            .or_else(|| line.strip_prefix("Upstream commit "))?;
        let is_id = id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then_some(id)
    })
}

/// The log of a range of commits, given by their ids, the oldest first.
fn log(
    repository: &Path,
    old: &str,
    new: &str,
    how: &[&str],
    is_moot: &dyn Fn() -> bool,
) -> Result<Segment, GitLogError> {
    let mut command = git(repository);
    command.args(["log", "--reverse", "--no-color", "--name-only", "--no-renames"]).args(how);
    command.args(["--no-show-signature", "--encoding=UTF-8", &format!("--format={GIT_FORMAT}")]);
    command.arg("--end-of-options").arg(format!("{old}..{new}")).arg("--");
    let ended = run_unless(command, DEADLINE, MAX_LOG, is_moot).map_err(failed(repository))?;
    if !ended.status.success() && !ended.cut {
        return Err(GitLogError::Failed(ended.status.to_string()));
    }
    let mut segment = read_git_log(&String::from_utf8_lossy(&ended.stdout));
    if ended.cut {
        segment.notes.push(format!("only the first {} MiB of the log were read", MAX_LOG >> 20));
    }
    Ok(segment)
}

/// The tag of a release, as upstream names it: `v6.12.57`, `v6.13-rc1`.
fn tag(kernel: &Kernel) -> String {
    format!("v{}", kernel.package_version.upstream().replace('~', "-"))
}

fn failed(repository: &Path) -> impl Fn(io::Error) -> GitLogError {
    let repository = repository.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => GitLogError::Start(source),
        _ => GitLogError::Read { repository: repository.clone(), source },
    }
}

fn commit(repository: &Path, tag: &str) -> Result<String, GitLogError> {
    let mut command = git(repository);
    command.args(["rev-parse", "--verify", "--quiet", "--end-of-options"]);
    command.arg(format!("{tag}^{{commit}}"));
    let output = run_within(command, DEADLINE, 1 << 10).map_err(failed(repository))?;
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let is_id = matches!(id.len(), 40 | 64) && id.bytes().all(|b| b.is_ascii_hexdigit());
    if output.status.success() && is_id {
        return Ok(id);
    }
    Err(GitLogError::NoTag { repository: repository.to_owned(), tag: tag.to_owned() })
}
