//! Files of a run: written whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use kbisect_core::scenario::Scenario;
use kbisect_report::plain::file_name;
use serde::Serialize;

use super::stop::check_stop_file;
use crate::settings::scenario::load_kept;

/// Milliseconds since 1970-01-01 UTC.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Makes a folder for a new run: `<time>-<what>` below the results folder.
pub fn new_run(results: &Path, what: &str) -> anyhow::Result<(String, PathBuf)> {
    fs::create_dir_all(results)
        .with_context(|| format!("cannot make the folder {}", results.display()))?;
    let results = std::path::absolute(results)?;
    check_stop_file(&results)?;
    let what = file_name(what);
    let time = jiff::Timestamp::from_millisecond(now_ms() as i64)?.strftime("%Y%m%d-%H%M%S");
    for round in 1.. {
        let suffix = if round == 1 { String::new() } else { format!("-{round}") };
        let id = format!("{time}-{what}{suffix}");
        let folder = results.join(&id);
        // Two runs that begin in the same second must not share a folder.
        match fs::create_dir(&folder) {
            Ok(()) => return Ok((id, folder)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot make the folder {}", folder.display()));
            }
        }
    }
    unreachable!("the loop ends with a return")
}

/// Writes a file in one go: a reader sees the old content or the new, never a part.
pub fn write_whole(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(content)?;
        // Temporary files are private; what is written here is to be passed on.
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        file.as_file().sync_data()?;
        file.persist(path)?;
        File::open(folder)?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a document as JSON, as [`write_whole`] does.
pub fn write_json(path: &Path, document: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(document)?;
    text.push('\n');
    write_whole(path, text.as_bytes())
}

/// Keeps a copy of the scenario with the run: evidence, and what a resumed run reads.
pub fn keep_scenario(folder: &Path, scenario: &Scenario) -> anyhow::Result<()> {
    for (path, content) in &scenario.assets {
        let target = folder.join("scenario").join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot make {}", parent.display()))?;
        }
        write_whole(&target, content)?;
    }
    fs::create_dir_all(folder.join("scenario"))?;
    write_json(&folder.join("scenario/scenario.json"), scenario)
}

/// Keeps a copy of the root image's definition with the run, where it is not the built-in one.
pub fn keep_image(folder: &Path, definition: Option<&Path>) -> anyhow::Result<()> {
    let Some(definition) = definition else { return Ok(()) };
    let from = definition.join("image.toml");
    let text = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
    fs::create_dir_all(folder.join("image"))?;
    write_whole(&folder.join("image/image.toml"), &text)
}

/// A name as that of a folder: longer ones are cut.
#[must_use]
pub fn plain(name: &str) -> String {
    let name = name.trim_matches(['.', '/']);
    name.chars()
        .take(80)
        .map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' })
        .collect()
}

/// Names of scenarios, each once, with names of folders that differ: `mine` and `./mine` are two.
#[must_use]
pub fn folders(names: &[String]) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for name in names {
        if found.iter().any(|(known, _)| known == name) {
            continue;
        }
        let plain = plain(name);
        let mut folder = plain.clone();
        for round in 2.. {
            if !found.iter().any(|(_, known)| *known == folder) {
                break;
            }
            folder = format!("{plain}-{round}");
        }
        found.push((name.clone(), folder));
    }
    found
}

/// Reads the copy again.
pub fn kept_scenario(folder: &Path) -> anyhow::Result<Scenario> {
    Ok(load_kept(&folder.join("scenario"))?.scenario)
}

/// The folder on a disk that is full, of the run's and that of temporary files: trying again would not
/// help.
#[must_use]
pub fn full_disk(run_folder: &Path) -> Option<PathBuf> {
    /// Bytes with which not even a console can be kept.
    const ROOM: u64 = 1 << 20;
    let is_full = |folder: &PathBuf| {
        rustix::fs::statvfs(folder).is_ok_and(|disk| {
            let no_files_left = disk.f_files > 0 && disk.f_favail == 0;
            no_files_left || disk.f_bavail.saturating_mul(disk.f_frsize) < ROOM
        })
    };
    [run_folder.to_owned(), std::env::temp_dir()].into_iter().find(is_full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_begin_together_get_folders_of_their_own() {
        let results = tempfile::tempdir().unwrap();
        let first = new_run(results.path(), "connlimit 6.12..6.13/x").unwrap();
        let second = new_run(results.path(), "connlimit 6.12..6.13/x").unwrap();
        assert_ne!(first.1, second.1);
        assert!(first.0.ends_with("connlimit-6.12..6.13-x"), "{}", first.0);
    }

    #[test]
    fn scenarios_that_look_alike_keep_folders_of_their_own() {
        let names = ["mine", "./mine", "mine", "../mine/"].map(str::to_owned);
        let found: Vec<String> = folders(&names).into_iter().map(|(_, folder)| folder).collect();
        assert_eq!(found, ["mine", "mine-2", "mine-3"]);
    }

    #[test]
    fn a_kept_scenario_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let text = include_str!("../../../../scenarios/connlimit/scenario.toml");
        let parsed = Scenario::parse("connlimit", "x", text).unwrap();
        let mut scenario = parsed.scenario().clone();
        for name in ["rules.v4", "nginx.conf", "sub/rules.v4"] {
            scenario.assets.insert(name.to_owned(), b"*filter\n".to_vec());
        }
        keep_scenario(folder.path(), &scenario).unwrap();
        assert_eq!(kept_scenario(folder.path()).unwrap(), scenario);
    }
}
