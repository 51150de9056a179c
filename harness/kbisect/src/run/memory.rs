//! What trials took of the host's memory, remembered from run to run: how many fit side by side.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kbisect_core::scenario::Scenario;

use super::context::Ground;

/// Scenarios that are remembered at most.
const MOST: usize = 1000;

/// MiB that trials of a scenario took at most, when one was made with machines of this size.
pub fn recall(ground: Ground<'_>, scenario: &Scenario) -> Option<u64> {
    read(&file(ground)).get(&key(ground, scenario)).copied()
}

/// Remembers what a trial took. Failing to costs nothing but workers.
pub fn remember(ground: Ground<'_>, scenario: &Scenario, mib: u64) {
    let path = file(ground);
    let mut known = read(&path);
    let key = key(ground, scenario);
    if known.get(&key).is_some_and(|most| *most >= mib) {
        return;
    }
    if known.len() >= MOST {
        known.clear();
    }
    known.insert(key, mib);
    write(&path, &known);
}

fn file(ground: Ground<'_>) -> PathBuf {
    ground.base.settings.cache_dir.join("memory.json")
}

fn key(ground: Ground<'_>, scenario: &Scenario) -> String {
    let accelerator = ground.probe.accelerator;
    let Scenario { candidate, peer, name, .. } = scenario;
    let own = scenario.nodes.values().filter(|node| !node.machine.is_shared()).count();
    let sizes = (candidate.memory_mib, candidate.cpus, peer.memory_mib, peer.cpus, own);
    format!("{name} {accelerator} {:?} {sizes:?}", ground.placement)
}

fn read(path: &Path) -> BTreeMap<String, u64> {
    fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

fn write(path: &Path, known: &BTreeMap<String, u64>) {
    let Some(directory) = path.parent() else { return };
    let written = tempfile::NamedTempFile::new_in(directory)
        .and_then(|file| serde_json::to_writer(&file, known).map_err(Into::into).map(|()| file));
    if let Ok(file) = written {
        let _ = file.persist(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_damage_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory.json");
        assert!(read(&path).is_empty());
        let known = BTreeMap::from([("smoke tcg".to_owned(), 412)]);
        write(&path, &known);
        assert_eq!(read(&path), known);
        fs::write(&path, b"{\"smoke").unwrap();
        assert!(read(&path).is_empty());
    }
}
