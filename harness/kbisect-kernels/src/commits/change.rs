//! A commit with the change of another one taken back, or applied, on top of it.
//!
//! It is merged as `git revert` and `git cherry-pick` merge, and no file is written for it. The commit that
//! comes of it is in kbisect's own repository alone.

use kbisect_process::Ended;

use super::checkout::Workshop;
use super::error::BuildError;

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
const STAMPS: [(&str, &str); 6] = [
    ("GIT_AUTHOR_NAME", "kbisect"),
    ("GIT_AUTHOR_EMAIL", "kbisect@localhost"),
    ("GIT_AUTHOR_DATE", "@0 +0000"),
    ("GIT_COMMITTER_NAME", "kbisect"),
    ("GIT_COMMITTER_EMAIL", "kbisect@localhost"),
    ("GIT_COMMITTER_DATE", "@0 +0000"),
];

impl Workshop {
    /// A commit with changes made to it, one after the other. The caller holds the folder's lock.
    pub fn changed(&self, commit: &str, changes: &[Change]) -> Result<String, BuildError> {
        if changes.is_empty() {
            return Ok(commit.to_owned());
        }
        self.prepare()?;
        changes.iter().try_fold(commit.to_owned(), |onto, change| self.with_change(&onto, change))
    }

    fn with_change(&self, onto: &str, change: &Change) -> Result<String, BuildError> {
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
            Some(0) => self.commit_tree(tree, &[onto]),
            Some(1) => Err(BuildError::Conflicts { files: fields.map(str::to_owned).collect() }),
            _ => Err(self.failed(&ended.stderr)),
        }
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

#[cfg(test)]
mod tests {
    use std::fs;

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
        let made = shop.changed(&last, std::slice::from_ref(&without)).unwrap();
        shop.bring(&made).unwrap();
        let read = |name: &str| fs::read_to_string(shop.src().join(name)).ok();
        // Also through a change of name.
        assert_eq!(read("b.c"), Some(lines(&[(20, "more")])));
        assert_eq!(read("new.c"), None);
        assert_eq!(made, shop.changed(&last, std::slice::from_ref(&without)).unwrap());
        let made = shop.changed(&good, &[Change::With(bad.clone())]).unwrap();
        shop.bring(&made).unwrap();
        assert_eq!(
            (read("a.c"), read("new.c").as_deref()),
            (Some(lines(&[(3, "bad")])), Some("x"))
        );
        let error = shop.changed(&over, std::slice::from_ref(&without)).unwrap_err();
        let BuildError::Conflicts { files } = &error else { panic!("{error}") };
        assert_eq!(files, &["b.c"]);
        assert!(error.is_final());
        assert_eq!(shop.changed(&over, &[]).unwrap(), over);
        let both = shop.changed(&over, &[Change::Without(over.clone()), without]).unwrap();
        shop.bring(&both).unwrap();
        assert_eq!(read("b.c"), Some(lines(&[(20, "more")])));
        assert_eq!(tree.git("show-ref"), refs);
        assert!(shop.changed(&over, &[Change::Without("0".repeat(40))]).is_err());
    }
}
