//! The files of a commit, in a folder of kbisect's own. The user's repository lends its objects: its
//! files, index and references are left as they are.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kbisect_process::{Ended, run_within};

use super::error::BuildError;
use super::history::Commits;
use crate::files::at;
use crate::git::{forget, git};
use crate::hash;
use crate::progress::Progress;
use crate::store::{Lock, StoreError};

/// How long git may take to write 70,000 files onto a slow disk.
const DEADLINE: Duration = Duration::from_secs(1800);
const MOST_OUTPUT: u64 = 256 << 20;
/// Below the cache.
pub const FOLDER: &str = "commits/v1";
/// Index of a tree that is put together.
pub const CHANGED_INDEX: &str = "changed.index";
/// Index of a stack of patches.
pub const STACK_INDEX: &str = "quilt.index";
/// Most files of a tree that may be missing.
const MOST_MISSING: usize = 10_000;

impl Commits {
    /// Shows the files of a commit to `look`; they are its own no longer than that.
    ///
    /// # Errors
    /// Files that cannot be had, or that cannot be read.
    pub fn with_files<T>(
        &self,
        commit: &str,
        cache: &Path,
        progress: &dyn Progress,
        look: impl FnOnce(&Path) -> io::Result<T>,
    ) -> Result<T, BuildError> {
        Self::files_of(&self.repository, commit, cache, progress, look)
    }

    /// As [`Commits::with_files`], of any commit of a tree.
    ///
    /// # Errors
    /// As [`Commits::with_files`].
    pub fn files_of<T>(
        repository: &Path,
        commit: &str,
        cache: &Path,
        progress: &dyn Progress,
        look: impl FnOnce(&Path) -> io::Result<T>,
    ) -> Result<T, BuildError> {
        let repository = fs::canonicalize(repository).map_err(at(repository))?;
        let shop = Workshop::of(&repository, &cache.join(FOLDER));
        let _lock = shop.lock(progress)?;
        let _item =
            progress.begin(&format!("checking out {}", commit.get(..12).unwrap_or(commit)), None);
        shop.bring(commit)?;
        let src = shop.src();
        Ok(look(&src).map_err(at(&src))?)
    }
}

/// A tree's folder in the cache.
pub struct Workshop {
    repository: PathBuf,
    root: PathBuf,
}

impl Workshop {
    /// The folder of a tree; `cache` holds those of all trees.
    pub fn of(repository: &Path, cache: &Path) -> Self {
        let key = hash::of_bytes(repository.as_os_str().as_encoded_bytes());
        Self::at(repository, cache.join(key.get(..16).unwrap_or(&key)))
    }

    /// A folder that borrows the objects of a tree.
    pub fn at(repository: &Path, root: PathBuf) -> Self {
        Self { repository: repository.to_owned(), root }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Waits until nobody else is at work in it.
    pub fn lock(&self, progress: &dyn Progress) -> Result<Lock, BuildError> {
        fs::create_dir_all(&self.root).map_err(at(&self.root))?;
        let path = self.root.join("lock");
        let lock =
            Lock::wait(&path, progress, "awaiting another build").map_err(StoreError::at(&path))?;
        // A killed git leaves its locks, and nobody else is at work here.
        for index in [CHANGED_INDEX, STACK_INDEX] {
            let _ = fs::remove_file(self.root.join(format!("{index}.lock")));
        }
        remove_locks(&self.git_dir());
        Ok(lock)
    }

    /// The files.
    pub fn src(&self) -> PathBuf {
        self.root.join("src")
    }

    /// Turns the files into those of a commit; what is the same is not touched, so that `make` has little to
    /// do. Gives paths of files that the repository lacks. The caller holds the folder's lock.
    pub fn bring(&self, commit: &str) -> Result<Vec<String>, BuildError> {
        self.prepare()?;
        if self.missing_before().is_empty() && self.read_tree(commit).is_ok() {
            return Ok(Vec::new());
        }
        // Most likely not all files are there, or some were not, and are by now: what is built may not need them.
        let missing: BTreeSet<String> = self.missing(commit)?.into_iter().collect();
        self.leave_out(&missing)?;
        self.read_tree(commit)
            .map_err(|said| BuildError::Checkout { commit: commit.to_owned(), said })?;
        Ok(missing.into_iter().collect())
    }

    pub(super) fn git_dir(&self) -> PathBuf {
        self.root.join("git")
    }

    fn sparse(&self) -> PathBuf {
        self.git_dir().join("info/sparse-checkout")
    }

    /// Makes the repository that borrows.
    pub(super) fn prepare(&self) -> Result<(), BuildError> {
        let (git_dir, src) = (self.git_dir(), self.src());
        fs::create_dir_all(&src).map_err(at(&src))?;
        let mut asked = git(&self.repository);
        asked.args(["rev-parse", "--show-object-format", "--git-path", "objects"]);
        let said = self.output(asked)?;
        let mut lines = said.lines();
        let (format, objects) = (lines.next().unwrap_or("sha1"), lines.next().unwrap_or_default());
        let objects = self.repository.join(objects);
        if !git_dir.join("HEAD").is_file() {
            let mut init = Command::new("git");
            init.args(["init", "--quiet", "--bare", "--template=", "--object-format", format]);
            quiet(&mut init).arg(&git_dir);
            self.output(init)?;
        }
        let info = git_dir.join("objects/info");
        fs::create_dir_all(&info).map_err(at(&info))?;
        let (alternates, line) = (info.join("alternates"), format!("{}\n", objects.display()));
        // Whoever reads a stack of patches has no lock: the file is whole at any time.
        if fs::read_to_string(&alternates).is_ok_and(|known| known == line) {
            return Ok(());
        }
        let new = info.join("alternates.new");
        fs::write(&new, line).map_err(at(&new))?;
        Ok(fs::rename(&new, &alternates).map_err(at(&alternates))?)
    }

    fn missing_before(&self) -> BTreeSet<String> {
        let text = fs::read_to_string(self.sparse()).unwrap_or_default();
        text.lines().filter_map(|line| line.strip_prefix("!/")).map(unescaped).collect()
    }

    /// Has git not write these files.
    fn leave_out(&self, paths: &BTreeSet<String>) -> Result<(), BuildError> {
        let sparse = self.sparse();
        if let Some(folder) = sparse.parent() {
            fs::create_dir_all(folder).map_err(at(folder))?;
        }
        let lines: String = paths.iter().map(|path| format!("!/{}\n", escaped(path))).collect();
        fs::write(&sparse, format!("/*\n{lines}")).map_err(at(&sparse))?;
        Ok(())
    }

    fn read_tree(&self, commit: &str) -> Result<(), String> {
        let mut command = self.own_git();
        command.args(["-c", "core.sparseCheckout=true", "-c", "core.sparseCheckoutCone=false"]);
        command.args(["-c", "core.symlinks=true", "-c", "core.autocrlf=false"]);
        command.args(["read-tree", "--reset", "-u", commit]);
        match run_within(command, DEADLINE, MOST_OUTPUT) {
            Ok(ended) if ended.status.success() => Ok(()),
            Ok(ended) => Err(first_line(&ended.stderr)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Files of a commit whose content is not there.
    fn missing(&self, commit: &str) -> Result<Vec<String>, BuildError> {
        let mut command = self.own_git();
        command.args(["rev-list", "--objects", "--missing=print", "--no-walk", commit]);
        let text = self.output(command)?;
        let lost: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix('?')).collect();
        if lost.is_empty() {
            return Ok(Vec::new());
        }
        if lost.len() > MOST_MISSING {
            let (commit, missing) = (commit.to_owned(), lost.len());
            return Err(BuildError::Incomplete { commit, missing });
        }
        let mut command = self.own_git();
        command.args(["ls-tree", "-r", "-z", "--full-tree", commit]);
        let text = self.output(command)?;
        let paths = text.split('\0').filter_map(|entry| {
            let (about, path) = entry.split_once('\t')?;
            lost.contains(about.rsplit(' ').next()?).then(|| path.to_owned())
        });
        Ok(paths.collect())
    }

    pub(super) fn own_git(&self) -> Command {
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(self.git_dir()).arg("--work-tree").arg(self.src());
        command.current_dir(self.src());
        quiet(&mut command);
        command
    }

    pub(super) fn run(&self, command: Command) -> Result<Ended, BuildError> {
        run_within(command, DEADLINE, MOST_OUTPUT).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => BuildError::Missing { program: "git", package: "git" },
            _ => at(&self.root)(error).into(),
        })
    }

    pub(super) fn output(&self, command: Command) -> Result<String, BuildError> {
        let ended = self.run(command)?;
        if ended.status.success() {
            return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
        }
        Err(self.failed(&ended.stderr))
    }

    pub(super) fn failed(&self, said: &[u8]) -> BuildError {
        BuildError::Git(first_line(said))
    }
}

/// Removes the locks of a repository: of its index, its head and its references.
fn remove_locks(git_dir: &Path) {
    for name in ["index.lock", "HEAD.lock", "packed-refs.lock"] {
        let _ = fs::remove_file(git_dir.join(name));
    }
    let mut folders = vec![git_dir.join("refs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) if entry.path().extension().is_some_and(|it| it == "lock") => {
                    let _ = fs::remove_file(entry.path());
                }
                _ => {}
            }
        }
    }
}

/// Keeps git from all that a host's or a user's configuration could start.
fn quiet(command: &mut Command) -> &mut Command {
    forget(command);
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_ALLOW_PROTOCOL", "")
        .env("LC_ALL", "C")
}

fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("no message");
    line.trim().to_owned()
}

/// A path as a pattern that means it alone.
fn escaped(path: &str) -> String {
    path.chars().fold(String::new(), |mut text, c| {
        if "\\*?[ !#".contains(c) {
            text.push('\\');
        }
        text.push(c);
        text
    })
}

fn unescaped(pattern: &str) -> String {
    let mut chars = pattern.chars();
    let mut text = String::new();
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::Tree;
    use super::*;

    #[test]
    fn files_become_those_of_a_commit_and_the_users_tree_stays() {
        let tree = Tree::new();
        let one = tree.commit("one", &[("a.c", "1"), ("same.c", "same"), ("gone.c", "x")]);
        fs::remove_file(tree.path().join("gone.c")).unwrap();
        let two = tree.commit("two", &[("a.c", "2")]);
        fs::write(tree.path().join("a.c"), "not committed").unwrap();
        let before =
            (tree.git("status --porcelain"), tree.git("show-ref"), tree.git("worktree list"));
        let cache = tempfile::tempdir().unwrap();
        let shop = Workshop::of(tree.path(), cache.path());
        let read = |name: &str| fs::read_to_string(shop.src().join(name)).ok();
        let time = || fs::metadata(shop.src().join("same.c")).unwrap().modified().unwrap();
        assert_eq!(shop.bring(&one).unwrap(), [""; 0]);
        assert_eq!((read("a.c").as_deref(), read("gone.c").as_deref()), (Some("1"), Some("x")));
        let first = time();
        std::thread::sleep(Duration::from_millis(20));
        shop.bring(&two).unwrap();
        assert_eq!((read("a.c").as_deref(), read("gone.c")), (Some("2"), None));
        assert_eq!(time(), first, "what is the same is not written again");
        // What a build of an earlier program left, or a killed checkout.
        fs::write(shop.src().join("a.c"), "half").unwrap();
        fs::write(shop.root().join("git/index.lock"), "").unwrap();
        fs::write(shop.root().join("git/refs/tags/x.lock"), "").unwrap();
        let _lock = shop.lock(&crate::progress::Silent).unwrap();
        assert!(!shop.root().join("git/refs/tags/x.lock").exists());
        shop.bring(&one).unwrap();
        assert_eq!(read("a.c").as_deref(), Some("1"));
        let after =
            (tree.git("status --porcelain"), tree.git("show-ref"), tree.git("worktree list"));
        assert_eq!(before, after);
    }

    #[test]
    fn files_that_are_missing_are_named_and_the_rest_is_there() {
        let tree = Tree::new();
        let commit = tree.commit("one", &[("a.c", "1"), ("gpu/lost [1].h", "lost")]);
        let blob = tree.git(&format!("rev-parse {commit}:gpu"));
        let blob = tree.git(&format!("ls-tree {}", blob.trim()));
        let id = blob.split_whitespace().nth(2).unwrap();
        let object = tree.path().join(".git/objects").join(&id[..2]).join(&id[2..]);
        fs::remove_file(object).unwrap();
        let cache = tempfile::tempdir().unwrap();
        let shop = Workshop::of(tree.path(), cache.path());
        assert_eq!(shop.bring(&commit).unwrap(), ["gpu/lost [1].h"]);
        assert_eq!(fs::read_to_string(shop.src().join("a.c")).unwrap(), "1");
        assert!(!shop.src().join("gpu/lost [1].h").exists());
        assert_eq!(shop.bring(&commit).unwrap(), ["gpu/lost [1].h"]);
        let unknown = "0".repeat(40);
        assert!(shop.bring(&unknown).is_err());
        // Once they are there, they are used.
        fs::write(tree.path().join("same"), "lost").unwrap();
        tree.git("hash-object -w same");
        assert_eq!(shop.bring(&commit).unwrap(), [""; 0]);
        assert_eq!(fs::read_to_string(shop.src().join("gpu/lost [1].h")).unwrap(), "lost");
    }

    #[test]
    fn the_hint_for_a_partial_clone_brings_what_it_lacks() {
        let origin = Tree::new();
        let commit = origin.commit("one", &[("a.c", "1"), ("b.c", "2")]);
        origin.git("config uploadpack.allowFilter true");
        let clone = Tree::new();
        let url = format!("file://{}", origin.path().display());
        clone.git(&format!("clone -q --filter=blob:none --no-checkout {url} clone"));
        let path = clone.path().join("clone");
        let cache = tempfile::tempdir().unwrap();
        let shop = Workshop::of(&path, cache.path());
        assert_eq!(shop.bring(&commit).unwrap(), ["a.c", "b.c"], "nothing is fetched on the way");
        let hint = BuildError::Incomplete { commit: commit.clone(), missing: 2 }.hint().unwrap();
        let words = hint.split('`').nth(1).unwrap().strip_prefix("git ").unwrap();
        clone.git(&format!("-C clone {words}"));
        assert_eq!(shop.bring(&commit).unwrap(), [""; 0]);
        assert_eq!(fs::read_to_string(shop.src().join("b.c")).unwrap(), "2");
    }
}
