//! What whoever stays on the last good kernel goes without, and what came later that may mend the failure.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Change, ChangeSource, RankedChange, Segment};

/// Most CVEs that are listed.
const CVES: usize = 200;
/// Most changes that may mend a failure.
const MENDING: usize = 5;

/// What staying on a kernel forgoes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Forgone {
    /// Version of the kernel that is stayed on.
    pub from: String,
    /// Version of the newest kernel that was looked at.
    pub to: String,
    /// Where the changes were read.
    pub source: ChangeSource,
    /// Changes between the two.
    pub changes: usize,
    /// CVEs that these mend, each once, the oldest change first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cves: Vec<ForgoneCve>,
    /// CVEs that are not listed, since there are too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_cves: usize,
    /// Later changes that undo what is suspect, or say that they mend it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mending: Vec<Change>,
}

/// A CVE and the change that mends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForgoneCve {
    /// `CVE-2025-40206`.
    pub id: String,
    /// The change's subject.
    pub subject: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Forgone {
    /// Of the changes between two versions. `mending` are changes that may mend the failure.
    pub fn of(
        [from, to]: [&str; 2],
        source: ChangeSource,
        segment: &Segment,
        mut mending: Vec<Change>,
    ) -> Self {
        let mut seen = BTreeSet::new();
        let named = segment.changes.iter().flat_map(|change| {
            change
                .cves
                .iter()
                .map(|id| ForgoneCve { id: id.clone(), subject: change.subject.clone() })
        });
        let mut cves: Vec<ForgoneCve> = named.filter(|cve| seen.insert(cve.id.clone())).collect();
        let more_cves = cves.len().saturating_sub(CVES);
        cves.truncate(CVES);
        mending.truncate(MENDING);
        let changes = segment.changes.len();
        let (from, to) = (from.to_owned(), to.to_owned());
        Self { from, to, source, changes, cves, more_cves, mending }
    }
}

/// Later changes that undo one of the most suspect: `Revert "net: do it"` of `net: do it`.
pub fn reverts<'a>(
    suspects: &[RankedChange],
    later: impl IntoIterator<Item = &'a Change>,
) -> Vec<Change> {
    let undone = |change: &Change| {
        let of = change.subject.strip_prefix("Revert \"")?.split('"').next()?;
        suspects.iter().any(|suspect| suspect.change.subject == of).then(|| change.clone())
    };
    later.into_iter().filter_map(undone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(subject: &str, cves: &[&str]) -> Change {
        let cves = cves.iter().map(ToString::to_string).collect();
        Change { subject: subject.to_owned(), cves, ..Change::default() }
    }

    fn source() -> ChangeSource {
        ChangeSource::Git { repository: "linux".to_owned(), range: "a..b".to_owned() }
    }

    #[test]
    fn each_cve_counts_once() {
        let changes = vec![
            change("net: one", &["CVE-2025-1001", "CVE-2025-1002"]),
            change("net: none", &[]),
            change("net: again", &["CVE-2025-1001"]),
        ];
        let segment = Segment { changes, notes: Vec::new() };
        let forgone = Forgone::of(["1", "2"], source(), &segment, Vec::new());
        assert_eq!((forgone.changes, forgone.more_cves), (3, 0));
        let ids: Vec<&str> = forgone.cves.iter().map(|cve| cve.id.as_str()).collect();
        assert_eq!(ids, ["CVE-2025-1001", "CVE-2025-1002"]);
        assert_eq!(forgone.cves[0].subject, "net: one");
    }

    #[test]
    fn there_is_an_end_to_the_list() {
        let changes = (0..CVES + 7).map(|n| change("x", &[&format!("CVE-2025-{n}")])).collect();
        let forgone =
            Forgone::of(["1", "2"], source(), &Segment { changes, notes: Vec::new() }, Vec::new());
        assert_eq!((forgone.cves.len(), forgone.more_cves), (CVES, 7));
    }

    #[test]
    fn a_revert_names_what_it_undoes() {
        let suspect = RankedChange {
            rank: 1,
            score: 1.0,
            change: change("net: do it", &[]),
            reasons: Vec::new(),
        };
        let later = [
            change("Revert \"net: do it\"", &[]),
            change("Revert \"net: do it differently\"", &[]),
            change("net: do it", &[]),
        ];
        assert_eq!(reverts(&[suspect], &later), [later[0].clone()]);
    }
}
