//! How git is started: in a repository of the user's, which is only read.

use std::path::Path;
use std::process::Command;

/// git in a repository, with what its configuration could start switched off.
pub(crate) fn git(repository: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(repository)
        .args(["--no-pager", "-c", "core.fsmonitor=false", "-c", "core.quotePath=true"])
        .env("LC_ALL", "C")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_TERMINAL_PROMPT", "0")
        // A partial clone would fetch what it lacks; git before 2.44 knows only the second.
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_ALLOW_PROTOCOL", "");
    forget(&mut command);
    command
}

/// Keeps the repository of whoever started kbisect, such as a hook, from taking the place of the one that is
/// meant.
pub(crate) fn forget(command: &mut Command) {
    for name in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_COMMON_DIR",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_NAMESPACE",
    ] {
        command.env_remove(name);
    }
}
