//! Keeps the cache of trees small: what is removed here is made again when it is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::BuildError;
use crate::files::{at, tree_size};
use crate::store::Lock;

/// Most folders of builds with other configurations that a tree keeps, of 300 MB each for derived ones.
const OTHER_BUILDS: usize = 2;
/// Most bytes of all other trees. The one that is built takes about 1.3 GiB; with it that is 4 GiB.
const OTHER_TREES: u64 = 2700 << 20;

/// Makes room for a build that is about to begin: older builds of its tree go, and the files of trees that were not
/// used for long. `cache` holds all trees; the caller holds the lock of its own, `root`.
pub(super) fn make_room(cache: &Path, root: &Path, build: &Path) -> Result<(), BuildError> {
    let builds = folders(root)?.into_iter().filter(|folder| is_build(folder) && folder != build);
    let mut builds: Vec<(SystemTime, PathBuf)> = builds.map(|it| (modified(&it), it)).collect();
    builds.sort();
    builds.truncate(builds.len().saturating_sub(OTHER_BUILDS));
    builds.iter().try_for_each(|(_, folder)| remove(folder))?;
    let others = folders(cache)?.into_iter().filter(|folder| folder != root);
    let mut others: Vec<(SystemTime, PathBuf)> =
        others.map(|tree| (modified(&tree.join("git/index")), tree)).collect();
    others.sort();
    let mut left = OTHER_TREES;
    for (_, tree) in others.iter().rev() {
        let size = tree_size(tree);
        match left.checked_sub(size) {
            Some(less) => left = less,
            None => forget(tree)?,
        }
    }
    Ok(())
}

/// Removes what is made again of a tree, unless somebody is at work there.
fn forget(tree: &Path) -> Result<(), BuildError> {
    let path = tree.join("lock");
    let Ok(Some(_lock)) = Lock::try_now(&path) else { return Ok(()) };
    for folder in folders(tree)? {
        let name = folder.file_name().unwrap_or_default();
        if is_build(&folder) || name == "src" || name == "ccache" {
            remove(&folder)?;
        }
    }
    // The list of files that were written says that they are there.
    match fs::remove_file(tree.join("git/index")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(tree)(error).into()),
        _ => Ok(()),
    }
}

fn is_build(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("build-"))
}

/// The folders in a folder, links left out.
fn folders(of: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(of).map_err(at(of))? {
        let entry = entry.map_err(at(of))?;
        if entry.file_type().map_err(at(of))?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn remove(folder: &Path) -> Result<(), BuildError> {
    Ok(fs::remove_dir_all(folder).map_err(at(folder))?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::progress::Silent;

    #[test]
    fn the_oldest_trees_and_builds_make_room() {
        let cache = tempfile::tempdir().unwrap();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let tree = |name: &str, used: u64, mib: u64| {
            let root = cache.path().join(name);
            fs::create_dir_all(root.join("git")).unwrap();
            fs::create_dir_all(root.join("build-1")).unwrap();
            fs::create_dir_all(root.join("src")).unwrap();
            fs::File::create(root.join("build-1/vmlinux")).unwrap().set_len(mib << 20).unwrap();
            fs::File::create(root.join("git/index")).unwrap().set_modified(at(used)).unwrap();
            root
        };
        let (own, new) = (tree("own", 0, 9000), tree("new", 300, 1500));
        let (mid, old, busy) =
            (tree("mid", 200, 1500), tree("old", 100, 1000), tree("busy", 50, 9000));
        let _held = Lock::wait(&busy.join("lock"), &Silent, "").unwrap();
        for (name, used) in [("build-2", 1), ("build-3", 2), ("build-4", 3), ("build-5", 4)] {
            fs::create_dir(own.join(name)).unwrap();
            fs::File::open(own.join(name)).unwrap().set_modified(at(used)).unwrap();
        }
        fs::File::open(own.join("build-1")).unwrap().set_modified(at(0)).unwrap();
        make_room(cache.path(), &own, &own.join("build-1")).unwrap();
        let is = |root: &Path, name: &str| root.join(name).exists();
        let kept =
            ["build-1", "build-2", "build-3", "build-4", "build-5"].map(|name| is(&own, name));
        assert_eq!(kept, [true, false, false, true, true]);
        assert!(is(&new, "build-1") && is(&old, "build-1"), "the newest that fit");
        assert!(
            !is(&mid, "build-1") && !is(&mid, "src") && !is(&mid, "git/index") && is(&mid, "git")
        );
        assert!(is(&busy, "build-1"), "somebody is at work there");
    }
}
