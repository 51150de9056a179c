//! A commit with the change of another one taken back, or applied, on top of it.
//!
//! It is merged as `git revert` and `git cherry-pick` merge, and no file is written for it. The commit that
//! comes of it is in kbisect's own repository alone.

use std::fs;
use std::path::Path;

use kbisect_process::Ended;

use super::checkout::{CHANGED_INDEX, Workshop};
use super::error::BuildError;
use super::made_from::is_list;

/// What is changed in a commit before it is built.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// The change of this commit is taken back.
    Without(String),
    /// The change of this commit is applied.
    With(String),
}

impl Change {
    /// The commit whose change it is.
    pub fn commit(&self) -> &str {
        match self {
            Self::Without(commit) | Self::With(commit) => commit,
        }
    }

    /// A line by which kernels that were built differ.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Without(commit) => format!("without {commit}\n"),
            Self::With(commit) => format!("with {commit}\n"),
        }
    }
}

/// The same author and the same time for each, so that the same changes make the same commit.
pub(super) const STAMPS: [(&str, &str); 6] = [
    ("GIT_AUTHOR_NAME", "kbisect"),
    ("GIT_AUTHOR_EMAIL", "kbisect@localhost"),
    ("GIT_AUTHOR_DATE", "@0 +0000"),
    ("GIT_COMMITTER_NAME", "kbisect"),
    ("GIT_COMMITTER_EMAIL", "kbisect@localhost"),
    ("GIT_COMMITTER_DATE", "@0 +0000"),
];

/// A commit that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its id.
    pub commit: String,
    /// Files that the changes do not fit to, and that are left as they are since nothing of them is built.
    pub left: Vec<String>,
}

impl Workshop {
    /// A commit with changes made to it, one after the other. What `build` has no objects of is no part of the
    /// kernel: it may be left as it is. The caller holds the folder's lock.
    pub fn changed(
        &self,
        commit: &str,
        changes: &[Change],
        build: &Path,
    ) -> Result<Changed, BuildError> {
        let mut made = Changed { commit: commit.to_owned(), left: Vec::new() };
        if changes.is_empty() {
            return Ok(made);
        }
        self.prepare()?;
        for change in changes {
            let next = self.with_change(&made.commit, change, build)?;
            made.commit = next.commit;
            made.left.extend(next.left);
        }
        Ok(made)
    }

    fn with_change(
        &self,
        onto: &str,
        change: &Change,
        build: &Path,
    ) -> Result<Changed, BuildError> {
        let of = change.commit();
        // Of a merge, what it brought to its first parent.
        let before = format!("{of}^1");
        let (base, theirs) = match change {
            Change::Without(_) => (of, before.as_str()),
            Change::With(_) => (before.as_str(), of),
        };
        // A merge is between two commits and where they parted: the change is put between such.
        let base = self.commit_of(base, &[])?;
        let (ours, theirs) = (self.commit_of(onto, &[&base])?, self.commit_of(theirs, &[&base])?);
        let mut ended = self.merge(&ours, &theirs, true)?;
        if !matches!(ended.status.code(), Some(0 | 1)) {
            // What was renamed is found by contents, and not all of them need be there.
            ended = self.merge(&ours, &theirs, false)?;
        }
        let text = String::from_utf8_lossy(&ended.stdout);
        let mut fields = text.split('\0').filter(|field| !field.is_empty());
        let tree = fields.next().unwrap_or_default();
        match ended.status.code() {
            Some(0) => {
                let commit = self.commit_tree(tree, &[onto])?;
                Ok(Changed { commit, left: Vec::new() })
            }
            Some(1) => {
                let files: Vec<String> = fields.map(str::to_owned).collect();
                let is_makefile = |file: &str| file == "Makefile";
                let is_version = files.iter().any(|file| is_makefile(file))
                    && self.is_version(&base, &theirs)?;
                let is_left = |file: &&String| match is_makefile(file) {
                    true => is_version,
                    false => is_left_out(file, build),
                };
                let needed: Vec<String> =
                    files.iter().filter(|file| !is_left(file)).cloned().collect();
                if !needed.is_empty() {
                    return Err(BuildError::Conflicts { files: needed });
                }
                let tree = self.as_before(tree, onto, &files)?;
                Ok(Changed { commit: self.commit_tree(&tree, &[onto])?, left: files })
            }
            _ => Err(self.failed(&ended.stderr)),
        }
    }

    /// Whether nothing but the version changes in the Makefile: that of a release is its own.
    fn is_version(&self, one: &str, other: &str) -> Result<bool, BuildError> {
        let mut command = self.own_git();
        command.args(["diff", "--no-color", "--no-ext-diff", "--no-textconv", "-U0", one, other]);
        command.args(["--", "Makefile"]);
        let text = self.output(command)?;
        let lines = text.lines().skip_while(|line| !line.starts_with("@@"));
        let mut changed = lines.filter_map(|line| line.strip_prefix(['+', '-']));
        let is_version = |line: &str| {
            let name = line.split(['=', ' ']).next().unwrap_or_default();
            ["VERSION", "PATCHLEVEL", "SUBLEVEL", "EXTRAVERSION", "NAME"].contains(&name)
        };
        Ok(changed.all(is_version))
    }

    /// A tree with some files as a commit has them.
    fn as_before(&self, tree: &str, commit: &str, files: &[String]) -> Result<String, BuildError> {
        let index = self.root().join(CHANGED_INDEX);
        let _ = fs::remove_file(&index);
        let git = |args: &[&str]| {
            let mut command = self.own_git();
            command.env("GIT_INDEX_FILE", &index).args(args);
            self.output(command)
        };
        git(&["read-tree", tree])?;
        for file in files {
            // In the tree of a conflict a file may have other names beside its own.
            git(&["update-index", "--force-remove", "--", file])?;
            let mut asked = self.own_git();
            asked.args(["ls-tree", "-z", "--full-tree", commit, "--", file]);
            let known = self.output(asked)?;
            let Some((about, _)) = known.split_once('\t') else { continue };
            let mut words = about.split(' ');
            let (mode, id) = (words.next(), words.nth(1));
            let (Some(mode), Some(id)) = (mode, id) else {
                return Err(BuildError::Git(format!("unreadable answer about {file}")));
            };
            git(&["update-index", "--add", "--cacheinfo", &format!("{mode},{id},{file}")])?;
        }
        let made = git(&["write-tree", "--missing-ok"]);
        let _ = fs::remove_file(&index);
        Ok(made?.trim().to_owned())
    }

    fn merge(&self, ours: &str, theirs: &str, renames: bool) -> Result<Ended, BuildError> {
        let mut command = self.own_git();
        command.arg("-c").arg(format!("merge.renames={renames}"));
        command.args(["merge-tree", "--write-tree", "--name-only", "--no-messages", "-z"]);
        command.args([ours, theirs]);
        self.run(command)
    }

    /// A commit with the files of another one and with other parents.
    fn commit_of(&self, other: &str, parents: &[&str]) -> Result<String, BuildError> {
        self.commit_tree(&format!("{other}^{{tree}}"), parents)
    }

    fn commit_tree(&self, tree: &str, parents: &[&str]) -> Result<String, BuildError> {
        let mut command = self.own_git();
        command.envs(STAMPS).args(["commit-tree", "--no-gpg-sign", "-m", "made by kbisect"]);
        command.args(parents.iter().flat_map(|parent| ["-p", parent]));
        command.arg(tree);
        Ok(self.output(command)?.trim().to_owned())
    }
}

/// Whether nothing that was built depends on a file: each object has a list of what it was made from, included
/// sources too. Of files that make the build what it is nobody can tell.
fn is_left_out(file: &str, build: &Path) -> bool {
    if file.starts_with("Documentation/") || file == "MAINTAINERS" {
        return true;
    }
    let is_source = [".c", ".S", ".h"].iter().any(|ending| file.ends_with(ending));
    let is_of_build = ["scripts/", "tools/"].iter().any(|folder| file.starts_with(folder));
    // An empty folder would make all of them so.
    is_source && !is_of_build && build.join("vmlinux").exists() && !is_named(file, build)
}

/// Whether the list of an object below a folder names a file. What cannot be read may name it.
fn is_named(file: &str, folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return true };
    entries.flatten().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => is_named(file, &entry.path()),
            Ok(kind) if kind.is_file() && is_list(&name) => {
                let needle = file.as_bytes();
                fs::read(entry.path())
                    .map_or(true, |text| text.windows(needle.len()).any(|some| some == needle))
            }
            Ok(_) => false,
            Err(_) => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::Tree;
    use super::*;

    fn lines(changed: &[(usize, &str)]) -> String {
        let line = |number| {
            let other = changed.iter().find(|(at, _)| *at == number);
            format!("{}\n", other.map_or("same", |(_, text)| text))
        };
        (0..30).map(line).collect()
    }

    #[test]
    fn a_change_is_taken_back_and_applied_where_nothing_else_touched_it() {
        let tree = Tree::new();
        let good = tree.commit("good", &[("a.c", &lines(&[]))]);
        let bad = tree.commit("bad", &[("a.c", &lines(&[(3, "bad")])), ("new.c", "x")]);
        tree.git("mv a.c b.c");
        let last = tree.commit("last", &[("b.c", &lines(&[(3, "bad"), (20, "more")]))]);
        let over = tree.commit("over", &[("b.c", &lines(&[(3, "worse")]))]);
        let refs = tree.git("show-ref");
        let cache = tempfile::tempdir().unwrap();
        let shop = Workshop::of(tree.path(), cache.path());
        let without = Change::Without(bad.clone());
        let build = tempfile::tempdir().unwrap();
        let changed =
            |commit: &str, changes: &[Change]| shop.changed(commit, changes, build.path());
        let made = changed(&last, std::slice::from_ref(&without)).unwrap();
        assert_eq!(made.left, [""; 0]);
        shop.bring(&made.commit).unwrap();
        let read = |name: &str| fs::read_to_string(shop.src().join(name)).ok();
        // Also through a change of name.
        assert_eq!(read("b.c"), Some(lines(&[(20, "more")])));
        assert_eq!(read("new.c"), None);
        assert_eq!(made, changed(&last, std::slice::from_ref(&without)).unwrap());
        let made = changed(&good, &[Change::With(bad.clone())]).unwrap();
        shop.bring(&made.commit).unwrap();
        assert_eq!(
            (read("a.c"), read("new.c").as_deref()),
            (Some(lines(&[(3, "bad")])), Some("x"))
        );
        let error = changed(&over, std::slice::from_ref(&without)).unwrap_err();
        let BuildError::Conflicts { files } = &error else { panic!("{error}") };
        assert_eq!(files, &["b.c"]);
        assert!(error.is_final());
        assert_eq!(changed(&over, &[]).unwrap().commit, over);
        let both = changed(&over, &[Change::Without(over.clone()), without]).unwrap();
        shop.bring(&both.commit).unwrap();
        assert_eq!(read("b.c"), Some(lines(&[(20, "more")])));
        assert_eq!(tree.git("show-ref"), refs);
        assert!(changed(&over, &[Change::Without("0".repeat(40))]).is_err());
    }
    #[test]
    fn what_is_not_built_is_left_as_it_is() {
        let tree = Tree::new();
        let makefile =
            |sub: u32, more: &str| format!("VERSION = 5\nSUBLEVEL = {sub}\nEXTRAVERSION =\n{more}");
        let release = |sub: u32, driver: &str, more: &[(&str, &str)], flags: &str| {
            let text = makefile(sub, flags);
            let files = [("Makefile", text.as_str()), ("drivers/x.c", driver)];
            tree.commit(&format!("release-{sub}"), &[&files[..], more].concat())
        };
        release(60, "1", &[("net/a.c", "good")], "");
        let bad = release(61, "2", &[("net/a.c", "bad")], "");
        let last = release(62, "3", &[], "");
        let cache = tempfile::tempdir().unwrap();
        let shop = Workshop::of(tree.path(), cache.path());
        let build = tempfile::tempdir().unwrap();
        let without = [Change::Without(bad)];
        let files = || match shop.changed(&last, &without, build.path()) {
            Err(BuildError::Conflicts { files }) => files,
            other => panic!("{other:?}"),
        };
        assert_eq!(files(), ["drivers/x.c"], "nothing is known of what is built");
        fs::create_dir_all(build.path().join("drivers")).unwrap();
        fs::write(build.path().join("vmlinux"), "").unwrap();
        // Another source can include it.
        let list = build.path().join("drivers/.all.o.cmd");
        fs::write(&list, "deps_drivers/all.o := \\\n  /src/drivers/x.c \\\n").unwrap();
        assert_eq!(files(), ["drivers/x.c"]);
        // What cannot be read as text may name it, too.
        fs::write(&list, b"\xff /src/drivers/x.c").unwrap();
        assert_eq!(files(), ["drivers/x.c"]);
        fs::write(&list, "deps_drivers/all.o := \\\n  /src/drivers/y.c \\\n").unwrap();
        let made = shop.changed(&last, &without, build.path()).unwrap();
        assert_eq!(made.left, ["Makefile", "drivers/x.c"]);
        shop.bring(&made.commit).unwrap();
        let read = |name: &str| fs::read_to_string(shop.src().join(name)).unwrap();
        assert_eq!((read("net/a.c"), read("drivers/x.c")), ("good".to_owned(), "3".to_owned()));
        assert_eq!(read("Makefile"), makefile(62, ""));
        // A Makefile that changes more than the version is one like other files.
        let flags = release(63, "3", &[], "CFLAGS = 1\n");
        let last = release(64, "3", &[], "CFLAGS = 2\n");
        let error = shop.changed(&last, &[Change::Without(flags)], build.path()).unwrap_err();
        assert!(error.to_string().contains("conflicts in Makefile"), "{error}");
    }
}
