//! Reads what `git log` prints in a form of ours.

use super::changelog::clean;
use super::{Change, Segment};

/// The form: `git log --format=FORMAT --name-only -z` would quote nothing, but ends names and records
/// with the same zero; so records begin with a character that no file name of a kernel has.
pub const GIT_FORMAT: &str = "%x1e%H%x1f%an%x1f%s";

/// Most commits that are read.
const MAX_COMMITS: usize = 200_000;
/// Most files of a commit that are kept.
pub(super) const MAX_FILES: usize = 64;

/// Reads the output of `git log --reverse --no-merges --format=FORMAT --name-only`, the oldest commit
/// first. What has not this form is passed over.
pub fn read_git_log(text: &str) -> Segment {
    let mut segment = Segment::default();
    for record in text.split('\u{1e}').skip(1) {
        if segment.changes.len() == MAX_COMMITS {
            segment.notes.push(format!("only the first {MAX_COMMITS} commits were read"));
            break;
        }
        let mut lines = record.lines();
        let mut fields = lines.next().unwrap_or_default().splitn(3, '\u{1f}');
        let (Some(id), Some(author), Some(subject)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let id_fits = matches!(id.len(), 40 | 64) && id.bytes().all(|b| b.is_ascii_hexdigit());
        if !id_fits {
            continue;
        }
        let files = lines.map(str::trim).filter(|line| !line.is_empty()).take(MAX_FILES);
        segment.changes.push(Change {
            subject: clean(subject),
            commit: Some(id.to_owned()),
            author: Some(clean(author)),
            files: files.map(clean).collect(),
            ..Change::default()
        });
    }
    segment
}
