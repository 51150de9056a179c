//! What staying on the last good kernel forgoes.

use kbisect_core::changes::{Change, Forgone};

use crate::story::count;

/// What it comes to, in a sentence.
pub(crate) fn forgone(of: &Forgone) -> String {
    let Forgone { from, to, .. } = of;
    let cves = of.cves.len() + of.more_cves;
    let about = match cves {
        0 => String::new(),
        _ => format!(", which mend {}", count(cves, "CVE")),
    };
    format!("Staying on {from} forgoes {} up to {to}{about}.", count(of.changes, "change"))
}

/// What may mend the failure, in a sentence; nothing where no change says so.
pub(crate) fn mending(of: &Forgone) -> Option<String> {
    let named = |change: &Change| {
        let id = change.commit.as_deref().map(|id| id.get(..12).unwrap_or(id));
        let place = id.or(change.release.as_deref()).or(change.package_version.as_deref());
        match place {
            Some(place) => format!("{} ({place})", change.subject),
            None => change.subject.clone(),
        }
    };
    let all: Vec<String> = of.mending.iter().map(named).collect();
    (!all.is_empty()).then(|| {
        format!("Later changes say that they undo or mend what is suspect: {}.", all.join("; "))
    })
}
