//! Notices that are about no run in particular, once a day each.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::hash;

/// Below the cache.
const FOLDER: &str = "notices/v1";
/// How long a notice is not repeated.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Whether a notice is to be told now; then it is not for a day. Where that cannot be kept it is told each time.
pub(super) fn is_due(cache: &Path, notice: &str) -> bool {
    let folder = cache.join(FOLDER);
    let told = folder.join(hash::of_bytes(notice.as_bytes()));
    let is_of_today = |path: &Path| {
        let age =
            fs::symlink_metadata(path).ok().and_then(|meta| meta.modified().ok()?.elapsed().ok());
        age.is_some_and(|age| age < DAY)
    };
    if is_of_today(&told) {
        return false;
    }
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        if !is_of_today(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
    let _ = fs::create_dir_all(&folder).and_then(|()| fs::write(&told, ""));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_told_once_a_day() {
        let cache = tempfile::tempdir().unwrap();
        assert!(is_due(cache.path(), "old index") && !is_due(cache.path(), "old index"));
        assert!(is_due(cache.path(), "another"));
        let folder = cache.path().join(FOLDER);
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let yesterday = std::time::SystemTime::now() - DAY - Duration::from_secs(60);
            fs::File::options()
                .write(true)
                .open(entry.path())
                .unwrap()
                .set_modified(yesterday)
                .unwrap();
        }
        assert!(is_due(cache.path(), "old index"));
        assert_eq!(
            fs::read_dir(&folder).unwrap().count(),
            1,
            "what is older than a day is removed"
        );
    }
}
