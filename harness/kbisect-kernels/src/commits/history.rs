//! The commits between two ends of a git tree, and how they descend from each other.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kbisect_process::run_within;

use super::history_error::{HistoryError, MOST_COMMITS};
use crate::git::git;

/// How long git may take: the history of years off a slow disk takes a minute.
const DEADLINE: Duration = Duration::from_secs(600);
/// Most bytes that git may say: a commit's line has about 200.
const MOST_OUTPUT: u64 = 512 * MOST_COMMITS as u64;
/// Commits whose version is asked for at once: a command line holds no more.
const AT_ONCE: usize = 500;
/// Digits of a commit's id that people see.
const SHORT: usize = 12;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct CommitRange {
    /// The older end: a tag, a branch, a commit.
    pub old: String,
    /// The newer end.
    pub new: String,
    /// Whether merges are followed to their first parents only.
    pub first_parent: bool,
    /// Only commits that change something below these; all without.
    pub paths: Vec<String>,
}

/// A commit of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id, 40 or 64 hexadecimal digits.
    pub id: String,
    /// Positions of its parents in the range; the older end stands for all that came before.
    pub parents: Vec<usize>,
    /// First line of its message.
    pub subject: String,
    /// Its tag, the shortest of several.
    pub tag: Option<String>,
    /// Version in its Makefile: `5.10.61`, `6.13~rc1`.
    pub version: String,
}

impl Commit {
    /// What people call it: its tag, else the beginning of its id.
    pub fn label(&self) -> &str {
        self.tag.as_deref().unwrap_or_else(|| self.short())
    }

    /// The beginning of its id.
    pub fn short(&self) -> &str {
        self.id.get(..SHORT).unwrap_or(&self.id)
    }
}

/// The commits of a range, each after its parents: the older end first, the newer end last.
#[derive(Clone, Debug)]
pub struct Commits {
    /// The tree's folder, as it was given.
    pub repository: PathBuf,
    /// The commits.
    pub commits: Vec<Commit>,
    /// The commit that takes the place of an older end which is no ancestor of the newer one.
    pub merge_base: Option<String>,
    /// Releases without a tag, and the commits that are the first to have these versions.
    pub by_version: Vec<(String, String)>,
}

impl Commits {
    /// Lists what lies between two ends of a tree. Nothing of the tree is changed.
    ///
    /// An older end that the newer one does not descend from is replaced by their merge base: what came
    /// to the older end since says nothing of the newer one.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn between(repository: &Path, range: &CommitRange) -> Result<Self, HistoryError> {
        let asked = Asked { repository, range };
        asked.check_tree()?;
        let mut by_version = Vec::new();
        let mut end = |name: &str| {
            let found = asked.commit(name)?;
            if found.is_by_version {
                let short = found.id.get(..SHORT).unwrap_or(&found.id);
                by_version.push((name.to_owned(), short.to_owned()));
            }
            Ok::<String, HistoryError>(found.id)
        };
        let (old, new) = (end(&range.old)?, end(&range.new)?);
        let base = asked.base(&old, &new)?;
        let merge_base = (base != old).then(|| base.get(..SHORT).unwrap_or(&base).to_owned());
        let tags = asked.tags()?;
        let listed = asked.list(&base, &new)?;
        let ids: Vec<&str> = listed.iter().map(|line| line.id.as_str()).collect();
        let versions = asked.versions(&ids)?;
        let place: BTreeMap<&str, usize> = ids.iter().enumerate().map(|(n, id)| (*id, n)).collect();
        let commits = listed.iter().enumerate().map(|(n, line)| {
            let mut parents: Vec<usize> =
                line.parents.iter().filter_map(|id| place.get(id.as_str()).copied()).collect();
            // One whose parents lie before the range comes after the older end.
            if parents.is_empty() && n > 0 {
                parents.push(0);
            }
            Commit {
                id: line.id.clone(),
                parents,
                subject: line.subject.clone(),
                tag: tags.get(&line.id).cloned(),
                version: versions.get(&line.id).cloned().unwrap_or_else(|| "0".to_owned()),
            }
        });
        let commits = commits.collect();
        Ok(Self { repository: repository.to_owned(), commits, merge_base, by_version })
    }
}

/// Finds a commit of a tree by its name.
///
/// # Errors
/// [`HistoryError`].
pub fn commit(repository: &Path, name: &str) -> Result<String, HistoryError> {
    let (old, new) = (name.to_owned(), name.to_owned());
    let range = CommitRange { old, new, first_parent: false, paths: Vec::new() };
    let asked = Asked { repository, range: &range };
    asked.check_tree()?;
    Ok(asked.commit(name)?.id)
}

/// The version in the Makefile of a commit, given by its id; `0` where there is none.
///
/// # Errors
/// git that fails.
pub fn version_of(repository: &Path, id: &str) -> Result<String, HistoryError> {
    let (old, new) = (id.to_owned(), id.to_owned());
    let range = CommitRange { old, new, first_parent: false, paths: Vec::new() };
    let versions = Asked { repository, range: &range }.versions(&[id])?;
    Ok(versions.get(id).cloned().unwrap_or_else(|| "0".to_owned()))
}

struct Asked<'a> {
    repository: &'a Path,
    range: &'a CommitRange,
}

/// A commit that was named.
struct Named {
    id: String,
    /// There is no tag of that name; it is the first with that version.
    is_by_version: bool,
}

/// A commit as git lists it.
struct Line {
    id: String,
    parents: Vec<String>,
    subject: String,
}

impl Asked<'_> {
    fn run(
        &self,
        what: &'static str,
        args: &[&str],
    ) -> Result<(bool, String, String), HistoryError> {
        let mut command = git(self.repository);
        command.arg(what).args(args);
        let ended =
            run_within(command, DEADLINE, MOST_OUTPUT).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                    HistoryError::Start(error)
                }
                _ => HistoryError::Failed { what, said: error.to_string() },
            })?;
        if ended.cut {
            return Err(self.too_many());
        }
        let said = String::from_utf8_lossy(&ended.stderr);
        let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("no message");
        let stdout = String::from_utf8_lossy(&ended.stdout).into_owned();
        Ok((ended.status.success(), stdout, first.trim_start_matches("fatal: ").to_owned()))
    }

    /// As [`Asked::run`], of a command that has to succeed.
    fn output(&self, what: &'static str, args: &[&str]) -> Result<String, HistoryError> {
        match self.run(what, args)? {
            (true, stdout, _) => Ok(stdout),
            (false, _, said) => Err(HistoryError::Failed { what, said }),
        }
    }

    fn check_tree(&self) -> Result<(), HistoryError> {
        let repository = self.repository.to_owned();
        if !self.repository.is_dir() {
            return Err(HistoryError::NoFolder(repository));
        }
        match self.run("rev-parse", &["--git-dir"])? {
            (true, ..) => Ok(()),
            (false, _, said) => Err(HistoryError::NoTree { repository, said }),
        }
    }

    fn commit(&self, end: &str) -> Result<Named, HistoryError> {
        let args = ["--verify", "--quiet", "--end-of-options"];
        let with_v = format!("v{end}");
        // Releases are called by their numbers.
        for name in [end, with_v.as_str()] {
            let spec = format!("{name}^{{commit}}");
            let (found, stdout, _) =
                self.run("rev-parse", &[&args[..], &[spec.as_str()]].concat())?;
            if found && is_id(stdout.trim()) {
                return Ok(Named { id: stdout.trim().to_owned(), is_by_version: false });
            }
        }
        if let Some(id) = self.release(end)? {
            return Ok(Named { id, is_by_version: true });
        }
        let pattern =
            format!("*{}*", end.trim_start_matches('v').replace(['*', '?', '[', '\\'], ""));
        let tags = self.output("tag", &["--list", &pattern, "--sort=v:refname"])?;
        let similar = tags.lines().take(3).map(str::to_owned).collect();
        let (repository, end) = (self.repository.to_owned(), end.to_owned());
        Err(HistoryError::NoCommit { repository, end, similar })
    }

    /// The first commit whose Makefile has this version: a tree may have no tags.
    fn release(&self, name: &str) -> Result<Option<String>, HistoryError> {
        let number = name.strip_prefix('v').unwrap_or(name).replace("-rc", "~rc");
        let is_release = number.contains('.')
            && number.starts_with(|c: char| c.is_ascii_digit())
            && number.chars().all(|c| c.is_ascii_digit() || ".~rc".contains(c));
        if !is_release {
            return Ok(None);
        }
        let args = ["--all", "--topo-order", "--no-color", "--format=%H", "--", ":/Makefile"];
        let text = self.output("log", &[&["--no-show-signature"], &args[..]].concat())?;
        let ids: Vec<&str> = text.lines().filter(|id| is_id(id)).collect();
        let versions = self.versions(&ids)?;
        let has = |id: &&&str| versions.get(**id).is_some_and(|version| *version == number);
        let Some(id) = ids.iter().rev().find(has) else { return Ok(None) };
        // Where history was cut off, nobody knows which was the first.
        let parents = self.output("log", &["-1", "--no-show-signature", "--format=%P", id])?;
        let is_shallow = self.output("rev-parse", &["--is-shallow-repository"])?;
        let is_first = !parents.trim().is_empty() || is_shallow.trim() != "true";
        Ok(is_first.then(|| (*id).to_owned()))
    }

    /// What the search begins with: the older end, or the merge base of both.
    fn base(&self, old: &str, new: &str) -> Result<String, HistoryError> {
        let (as_old, as_new) = (self.range.old.clone(), self.range.new.clone());
        if old == new {
            return Err(HistoryError::SameCommit { old: as_old, new: as_new });
        }
        let (found, bases, _) = self.run("merge-base", &[old, new])?;
        let base = bases.lines().next().unwrap_or_default().trim().to_owned();
        if !found || !is_id(&base) {
            let shallow = self.output("rev-parse", &["--is-shallow-repository"])?;
            let is_shallow = shallow.trim() == "true";
            return Err(HistoryError::Unrelated { old: as_old, new: as_new, is_shallow });
        }
        if base == new {
            return Err(HistoryError::Reversed { old: as_old, new: as_new });
        }
        Ok(base)
    }

    /// Tags of commits, of each the shortest.
    fn tags(&self) -> Result<BTreeMap<String, String>, HistoryError> {
        let format = "--format=%(objectname) %(*objectname) %(refname:short)";
        let text = self.output("for-each-ref", &[format, "refs/tags"])?;
        let mut tags: BTreeMap<String, String> = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split(' ');
            let (Some(own), Some(peeled), Some(name)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let id = if peeled.is_empty() { own } else { peeled };
            let key = |name: &str| (name.len(), name.to_owned());
            let known = tags.entry(id.to_owned()).or_insert_with(|| name.to_owned());
            if key(name) < key(known) {
                name.clone_into(known);
            }
        }
        Ok(tags)
    }

    /// The commits after `base` up to `new`, with `base` before them, each after its parents.
    fn list(&self, base: &str, new: &str) -> Result<Vec<Line>, HistoryError> {
        let range = format!("{base}..{new}");
        let mut args = vec!["--topo-order", "--reverse", "--parents", "--no-color"];
        args.extend(["--no-show-signature", "--encoding=UTF-8", "--format=%H %P%x09%s"]);
        let is_limited = !self.range.paths.is_empty();
        if self.range.first_parent {
            args.push("--first-parent");
        }
        if is_limited {
            // Both sides of a merge count, and no merge that changes nothing.
            args.extend(["--full-history", "--simplify-merges"]);
        }
        args.extend([range.as_str(), "--"]);
        args.extend(self.range.paths.iter().map(String::as_str));
        let text = self.output("log", &args)?;
        let mut lines = vec![self.one(base)?];
        for line in text.lines() {
            let Some(line) = Line::read(line) else {
                return Err(HistoryError::Failed {
                    what: "log",
                    said: "unreadable line".to_owned(),
                });
            };
            lines.push(line);
        }
        if lines.len() > MOST_COMMITS {
            return Err(self.too_many());
        }
        if self.range.first_parent {
            lines.iter_mut().for_each(|line| line.parents.truncate(1));
        }
        if lines.len() == 1 {
            let (old, new) = (self.range.old.clone(), self.range.new.clone());
            let paths = self.range.paths.clone();
            return Err(HistoryError::NothingChanges { old, new, paths });
        }
        // The newer end is tried in any case: it has to fail.
        if lines.last().is_some_and(|line| line.id != new) {
            let parents: std::collections::BTreeSet<String> =
                lines.iter().flat_map(|line| line.parents.clone()).collect();
            let heads = lines.iter().skip(1).map(|line| line.id.clone());
            let heads = heads.filter(|id| !parents.contains(id)).collect();
            lines.push(Line { parents: heads, ..self.one(new)? });
        }
        Ok(lines)
    }

    fn one(&self, id: &str) -> Result<Line, HistoryError> {
        let args = ["-1", "--no-color", "--no-show-signature", "--encoding=UTF-8"];
        let text =
            self.output("log", &[&args[..], &["--format=%H %P%x09%s", id, "--"]].concat())?;
        text.lines()
            .next()
            .and_then(Line::read)
            .ok_or_else(|| HistoryError::Failed { what: "log", said: format!("unknown {id}") })
    }

    /// The versions in the Makefiles of commits.
    fn versions(&self, ids: &[&str]) -> Result<BTreeMap<String, String>, HistoryError> {
        let pattern = "^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) *=";
        let mut parts: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for some in ids.chunks(AT_ONCE) {
            let mut args = vec!["--no-color", "--full-name", "-E", "-e", pattern];
            args.extend(some);
            args.extend(["--", ":/Makefile"]);
            // A tree without one finds nothing, which is no failure here.
            let (_, text, _) = self.run("grep", &args)?;
            for line in text.lines() {
                let mut fields = line.splitn(3, ':');
                let (Some(id), Some(_), Some(rule)) = (fields.next(), fields.next(), fields.next())
                else {
                    continue;
                };
                if let Some((name, value)) = rule.split_once('=') {
                    let of = parts.entry(id.to_owned()).or_default();
                    of.entry(name.trim().to_owned()).or_insert_with(|| value.trim().to_owned());
                }
            }
        }
        Ok(parts.into_iter().map(|(id, parts)| (id, version(&parts))).collect())
    }

    fn too_many(&self) -> HistoryError {
        HistoryError::TooMany { old: self.range.old.clone(), new: self.range.new.clone() }
    }
}

impl Line {
    /// Reads `ID PARENT...<tab>SUBJECT`.
    fn read(line: &str) -> Option<Self> {
        let (ids, subject) = line.split_once('\t')?;
        let mut ids = ids.split(' ').filter(|id| !id.is_empty());
        let id = ids.next().filter(|id| is_id(id))?.to_owned();
        let parents = ids.map(str::to_owned).collect();
        Some(Self { id, parents, subject: subject.to_owned() })
    }
}

/// `5.10.61`, `6.13~rc1`, `0` where there is none.
fn version(parts: &BTreeMap<String, String>) -> String {
    let digits = |name: &str| {
        let value = parts.get(name)?;
        value.bytes().all(|byte| byte.is_ascii_digit()).then_some(value.as_str())
    };
    let (Some(major), Some(minor)) = (digits("VERSION"), digits("PATCHLEVEL")) else {
        return "0".to_owned();
    };
    let mut text = format!("{major}.{minor}");
    match digits("SUBLEVEL") {
        None | Some("0" | "") => {}
        Some(sublevel) => text += &format!(".{sublevel}"),
    }
    let extra = parts.get("EXTRAVERSION").and_then(|extra| extra.strip_prefix("-rc"));
    if let Some(rc) = extra.filter(|rc| !rc.is_empty() && rc.bytes().all(|b| b.is_ascii_digit())) {
        text += &format!("~rc{rc}");
    }
    text
}

fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::super::tests::Tree;
    use super::*;

    fn range(old: &str, new: &str) -> CommitRange {
        let (old, new) = (old.to_owned(), new.to_owned());
        CommitRange { old, new, first_parent: false, paths: Vec::new() }
    }

    fn told(commits: &Commits) -> Vec<(String, Vec<usize>)> {
        let told = commits.commits.iter();
        told.map(|commit| (commit.subject.clone(), commit.parents.clone())).collect()
    }

    /// `one`, `two`; from `one` also `side`; `merged` of both; `last`.
    fn merged() -> Tree {
        let tree = Tree::new();
        tree.commit(
            "one",
            &[("Makefile", "VERSION = 5\nPATCHLEVEL = 10\nSUBLEVEL = 60\nEXTRAVERSION =\n")],
        );
        tree.git("tag v5.10.60");
        tree.git("checkout -q -b side");
        tree.commit("side", &[("net/a.c", "a")]);
        tree.git("checkout -q main");
        tree.commit("two", &[("fs/b.c", "b")]);
        tree.git("merge -q --no-ff -m merged side");
        tree.commit("last", &[("Makefile", "VERSION = 5\nPATCHLEVEL = 10\nSUBLEVEL = 61\n")]);
        tree.git("tag -a -m x v5.10.61");
        tree
    }

    #[test]
    fn a_graph_is_no_list() {
        let tree = merged();
        let commits = Commits::between(tree.path(), &range("5.10.60", "v5.10.61")).unwrap();
        let told = told(&commits);
        let at = |name: &str| told.iter().position(|(subject, _)| subject == name).unwrap();
        assert_eq!((at("one"), at("last")), (0, 4), "{told:?}");
        let mut parents = told[at("merged")].1.clone();
        parents.sort_unstable();
        let mut both = vec![at("side"), at("two")];
        both.sort_unstable();
        assert_eq!(parents, both);
        assert_eq!((&told[at("side")].1, &told[at("two")].1), (&vec![0], &vec![0]));
        let labels: Vec<&str> = commits.commits.iter().map(Commit::label).collect();
        assert_eq!((labels[0], labels[4], labels[1].len()), ("v5.10.60", "v5.10.61", SHORT));
        let versions: Vec<&str> = commits.commits.iter().map(|commit| &*commit.version).collect();
        assert_eq!(versions, ["5.10.60", "5.10.60", "5.10.60", "5.10.60", "5.10.61"]);
        assert_eq!(tree.git("status --porcelain"), "");
    }

    #[test]
    fn first_parents_and_paths_leave_commits_out() {
        let tree = merged();
        let mut wanted = range("v5.10.60", "v5.10.61");
        wanted.first_parent = true;
        let found = told(&Commits::between(tree.path(), &wanted).unwrap());
        let names: Vec<&str> = found.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["one", "two", "merged", "last"]);
        assert_eq!(found[2].1, [1]);
        let mut wanted = range("v5.10.60", "v5.10.61");
        wanted.paths = vec!["net".to_owned()];
        let found = told(&Commits::between(tree.path(), &wanted).unwrap());
        let expected = [("one", vec![]), ("side", vec![0]), ("last", vec![1])];
        assert_eq!(found, expected.map(|(name, parents)| (name.to_owned(), parents)));
        wanted.paths = vec!["mm".to_owned()];
        let error = Commits::between(tree.path(), &wanted).unwrap_err();
        assert!(matches!(error, HistoryError::NothingChanges { .. }), "{error}");
    }

    #[test]
    fn an_end_that_is_no_ancestor_is_replaced_by_the_merge_base() {
        let tree = merged();
        let commits = Commits::between(tree.path(), &range("side", "main~2")).unwrap();
        let names: Vec<String> = told(&commits).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["one", "two"]);
        let one = tree.git("rev-parse v5.10.60");
        assert_eq!(commits.merge_base.as_deref(), Some(&one.trim()[..SHORT]));
    }

    #[test]
    fn ends_that_make_no_range_are_told() {
        let tree = merged();
        let said = |old: &str, new: &str| {
            Commits::between(tree.path(), &range(old, new)).unwrap_err().to_string()
        };
        assert!(said("v5.10.61", "v5.10.60").contains("the older end is named first"));
        assert!(said("v5.10.60", "v5.10.60").contains("same commit"));
        let unknown = said("v5.10.60", "v5.10.6");
        assert!(unknown.contains("no commit `v5.10.6` (there is v5.10.60, v5.10.61)"), "{unknown}");
        assert!(said("--all", "main").contains("no commit `--all`"));
        tree.git("checkout -q --orphan other");
        tree.commit("other", &[("x", "x")]);
        assert!(said("main", "other").contains("no commit in common"));
        let none = tempfile::tempdir().unwrap();
        let error = Commits::between(none.path(), &range("a", "b")).unwrap_err();
        assert!(error.to_string().contains("is no git tree"), "{error}");
        let error = Commits::between(Path::new("/nowhere"), &range("a", "b")).unwrap_err();
        assert!(error.to_string().contains("no such folder"), "{error}");
    }

    #[test]
    fn a_release_without_a_tag_is_found_by_its_version() {
        let tree = Tree::new();
        let makefile =
            |sub: &str| format!("VERSION = 5\nPATCHLEVEL = 10\nSUBLEVEL = {sub}\nEXTRAVERSION =\n");
        let commit = |subject: &str, sub: &str, more: &str| {
            tree.commit(
                subject,
                &[("Makefile", &format!("{}{more}", makefile(sub))), ("x", subject)],
            )
        };
        let first = commit("first", "60", "");
        let last = commit("last", "61", "");
        commit("later", "61", "# more");
        let found = Commits::between(tree.path(), &range("5.10.60", "v5.10.61")).unwrap();
        let ids: Vec<&str> = found.commits.iter().map(|commit| commit.id.as_str()).collect();
        assert_eq!(ids, [&first, &last]);
        let named = [("5.10.60", &first), ("v5.10.61", &last)];
        let named = named.map(|(name, id)| (name.to_owned(), id[..SHORT].to_owned()));
        assert_eq!(found.by_version, named);
        let error = Commits::between(tree.path(), &range("5.10.60", "5.10.62")).unwrap_err();
        assert!(error.to_string().contains("no commit `5.10.62`"), "{error}");
    }

    #[test]
    fn a_shallow_clone_says_what_it_lacks() {
        let tree = merged();
        let clone = tempfile::tempdir().unwrap();
        let from = format!("file://{}", tree.path().display());
        let to = clone.path().join("clone");
        tree.git(&format!("clone -q --depth 2 {from} {}", to.display()));
        let found = Commits::between(&to, &range("main~1", "main")).unwrap();
        assert_eq!(found.commits.len(), 2);
        let error = Commits::between(&to, &range("v5.10.60", "main")).unwrap_err();
        assert!(error.to_string().contains("no commit `v5.10.60`"), "{error}");
    }
}
