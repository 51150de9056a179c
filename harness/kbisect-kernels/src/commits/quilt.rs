//! A stack of patches as commits: a distribution's series on top of a commit of a tree.
//!
//! The commits are in a repository of kbisect's own that borrows the objects of the base; the same patches make
//! the same commits.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::change::STAMPS;
use super::checkout::{FOLDER, STACK_INDEX, Workshop};
use super::error::BuildError;
use super::history::commit;
use super::quilt_error::QuiltError;
use crate::files::at;
use crate::hash;
use crate::progress::Progress;

/// File that lists the patches.
const SERIES: &str = "series";
/// Largest patch, in bytes.
const MOST_PATCH: u64 = 64 << 20;
/// Most patches of a series.
const MOST_PATCHES: usize = 10_000;
/// Tags of the tree below all patches, and with all of them.
const ENDS: [&str; 2] = ["base", "all"];

/// What a stack is put upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuiltBase {
    /// Folder of a git tree.
    pub repository: PathBuf,
    /// Its commit.
    pub commit: String,
}

/// A patch of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Patch {
    /// Its path below the folder.
    name: String,
    /// How many folders of its paths are left out.
    strip: u32,
}

/// Makes a git tree of a folder of patches; gives the tree's folder. Each patch is a commit with a tag of its name;
/// `base` and `all` are the ends. `cache` is kbisect's.
///
/// # Errors
/// A folder without a series, a patch that does not apply, a base that is not there.
pub fn quilt(
    folder: &Path,
    base: &QuiltBase,
    cache: &Path,
    progress: &dyn Progress,
) -> Result<PathBuf, QuiltError> {
    let list = folder.join(SERIES);
    let text = fs::read_to_string(&list)
        .map_err(|source| QuiltError::Series { path: list.clone(), source })?;
    let patches = read(&text)?;
    if patches.is_empty() || patches.len() > MOST_PATCHES {
        return Err(QuiltError::Count { path: list, count: patches.len(), most: MOST_PATCHES });
    }
    let from = commit(&base.repository, &base.commit)?;
    let borrowed = fs::canonicalize(&base.repository).map_err(at(&base.repository))?;
    let folder = fs::canonicalize(folder).map_err(at(folder))?;
    let key = hash::of_bytes(format!("{}\n{}", folder.display(), borrowed.display()).as_bytes());
    let name = format!("quilt-{}", key.get(..16).unwrap_or(&key));
    let shop = Workshop::at(&borrowed, cache.join(FOLDER).join(name));
    let _lock = shop.lock(progress)?;
    let _item = progress.begin("stacking the patches", None);
    shop.prepare()?;
    let stack = Stack { shop: &shop, index: shop.root().join(STACK_INDEX) };
    let made = stack.build(&folder, &from, &patches);
    let _ = fs::remove_file(&stack.index);
    made?;
    Ok(shop.git_dir())
}

struct Stack<'a> {
    shop: &'a Workshop,
    index: PathBuf,
}

impl Stack<'_> {
    fn build(&self, folder: &Path, base: &str, patches: &[Patch]) -> Result<(), QuiltError> {
        let old = self.git(&["tag", "--list"])?;
        for tag in old.lines() {
            self.git(&["tag", "-d", tag])?;
        }
        let _ = fs::remove_file(&self.index);
        self.git(&["read-tree", base])?;
        self.git(&["tag", ENDS[0], base])?;
        let mut last = base.to_owned();
        for patch in patches {
            let path = folder.join(&patch.name);
            let size = fs::symlink_metadata(&path).map(|meta| (meta.is_file(), meta.len()));
            if !size.is_ok_and(|(is_file, size)| is_file && size <= MOST_PATCH) {
                return Err(QuiltError::NoPatch(patch.name.clone()));
            }
            let mut command = self.command();
            command.args(["apply", "--cached", "--whitespace=nowarn"]);
            command.arg(format!("-p{}", patch.strip)).arg(&path);
            let failed = |error| match error {
                BuildError::Git(said) => QuiltError::Patch { patch: patch.name.clone(), said },
                other => other.into(),
            };
            self.shop.output(command).map_err(failed)?;
            let tree = self.git(&["write-tree", "--missing-ok"])?;
            let mut command = self.command();
            command.envs(STAMPS).args(["commit-tree", "--no-gpg-sign", "-p", &last]);
            command.args(["-m", &patch.name, tree.trim()]);
            last = self.shop.output(command)?.trim().to_owned();
            let tag = tag_of(&patch.name);
            let first = tag.split('/').next().unwrap_or_default();
            // Tags are files and folders: `x` and `x/y` cannot both be. Without one, the id names it.
            if !ENDS.contains(&first) {
                let _ = self.git(&["tag", "-f", &tag, &last]);
            }
        }
        self.git(&["tag", ENDS[1], &last])?;
        // Nobody else keeps what is on no branch.
        self.git(&["update-ref", "refs/heads/quilt", &last])?;
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = self.shop.own_git();
        command.env("GIT_INDEX_FILE", &self.index);
        command
    }

    fn git(&self, words: &[&str]) -> Result<String, QuiltError> {
        let mut command = self.command();
        command.args(words);
        Ok(self.shop.output(command)?)
    }
}

/// A name that git takes for a tag.
fn tag_of(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_+/".contains(c) { c } else { '-' };
    let name = name.strip_suffix(".patch").or_else(|| name.strip_suffix(".diff")).unwrap_or(name);
    name.chars().map(plain).collect::<String>().trim_matches(['/', '-']).replace("//", "/")
}

/// Reads a series as quilt does: a patch a line, `-pN` behind it, `#` begins a comment.
fn read(text: &str) -> Result<Vec<Patch>, QuiltError> {
    let mut patches = Vec::new();
    for line in text.lines() {
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default().to_owned();
        let is_plain = !name.starts_with(['/', '-'])
            && name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        let mut strip = 1;
        for word in words {
            match word.strip_prefix("-p").and_then(|number| number.parse().ok()) {
                Some(number) if number < 10 => strip = number,
                _ => return Err(QuiltError::Line(line.to_owned())),
            }
        }
        if !is_plain {
            return Err(QuiltError::Line(line.to_owned()));
        }
        patches.push(Patch { name, strip });
    }
    Ok(patches)
}

#[cfg(test)]
mod tests {
    use super::super::history::{CommitRange, Commits};
    use super::super::tests::Tree;
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn a_series_becomes_commits_each_with_its_name() {
        let tree = Tree::new();
        let one =
            tree.commit("one", &[("a.c", "1\n"), ("Makefile", "VERSION = 5\nPATCHLEVEL = 10\n")]);
        let patches = tempfile::tempdir().unwrap();
        let patch = |from: &str, to: &str| {
            format!("Subject: x\n\n--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-{from}\n+{to}\n")
        };
        fs::create_dir(patches.path().join("bugfix")).unwrap();
        let write = |name: &str, text: String| fs::write(patches.path().join(name), text).unwrap();
        write("bugfix/two.patch", patch("1", "2"));
        write("three.patch", patch("2", "3").replace("a/a.c", "a.c").replace("b/a.c", "a.c"));
        write(SERIES, "# comment\n\nbugfix/two.patch\nthree.patch -p0 # why\n".to_owned());
        let cache = tempfile::tempdir().unwrap();
        let base = QuiltBase { repository: tree.path().to_owned(), commit: "main".to_owned() };
        let refs = tree.git("show-ref");
        let made = quilt(patches.path(), &base, cache.path(), &Silent).unwrap();
        let list = |old: &str, new: &str| {
            let (old, new) = (old.to_owned(), new.to_owned());
            let range = CommitRange { old, new, first_parent: false, paths: Vec::new() };
            Commits::between(&made, &range).unwrap().commits
        };
        let all = list("base", "all");
        let named: Vec<(&str, &str)> =
            all.iter().map(|commit| (commit.label(), commit.subject.as_str())).collect();
        assert_eq!(
            named,
            [("base", "one"), ("bugfix/two", "bugfix/two.patch"), ("all", "three.patch")]
        );
        assert_eq!(all[0].id, one);
        assert_eq!(list("bugfix/two", "three").len(), 2);
        let again = quilt(patches.path(), &base, cache.path(), &Silent).unwrap();
        let ids = |commits: &[super::super::Commit]| {
            commits.iter().map(|commit| commit.id.clone()).collect::<Vec<_>>()
        };
        assert_eq!((again, ids(&list("base", "all"))), (made.clone(), ids(&all)));
        let shop = Workshop::of(&made, cache.path());
        shop.bring(&all[2].id).unwrap();
        assert_eq!(fs::read_to_string(shop.src().join("a.c")).unwrap(), "3\n");
        assert_eq!(tree.git("show-ref"), refs);

        let said = |text: &str| {
            write(SERIES, text.to_owned());
            quilt(patches.path(), &base, cache.path(), &Silent).unwrap_err().to_string()
        };
        assert!(said("three.patch -p0\n").contains("`three.patch` does not apply"));
        assert!(said("gone.patch\n").contains("`gone.patch` is no plain file"));
        assert!(said("../x.patch\n").contains("`../x.patch`"));
        assert!(said("a.patch --binary\n").contains("`a.patch --binary`"));
        assert!(said("# nothing\n").contains("0 patches"));
        let none = quilt(tree.path(), &base, cache.path(), &Silent).unwrap_err();
        assert!(none.to_string().contains("series"), "{none}");
    }
}
