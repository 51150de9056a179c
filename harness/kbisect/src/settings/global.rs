//! From options to settings.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kbisect_core::run::{JournalLine, RunEvent};
use kbisect_kernels::{Options, Settings, Store};
use kbisect_report::{JOURNAL_NAME, read_journal_of};
use kbisect_vm::image::{ImageDefinition, ImageSources};

use crate::cli::{Global, MachineArgs};
use crate::errors;

impl Global {
    /// Where to look for kernels: apt's configuration, kbisect's own file, then the options.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let options = Options {
            cache_dir: self.cache_dir.as_deref().map(absolute),
            suites: self.suites.clone(),
            mirror: self.mirror.clone(),
            security_mirror: self.security_mirror.clone(),
            keyrings: self.keyrings.clone(),
            flavour: self.flavour.clone(),
            sources: self.sources.named.clone(),
            urls: self.sources.urls.clone(),
            allow_expired: self.allow_expired_index,
            offline: self.offline,
            refresh: self.refresh,
            ..Options::default()
        };
        Ok(Settings::discover(&options)?)
    }

    /// The options that say where to look, as they are typed; the cache first.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut add = |option: &str, value: String| words.extend([format!("--{option}"), value]);
        if let Some(path) = &self.cache_dir {
            add("cache", path.display().to_string());
        }
        let texts = [
            ("mirror", &self.mirror),
            ("security-mirror", &self.security_mirror),
            ("flavour", &self.flavour),
        ];
        for (option, text) in texts {
            text.iter().for_each(|text| add(option, text.clone()));
        }
        for (source, url) in &self.sources.urls {
            if let Some(address) = source.address {
                add(address.option, url.clone());
            }
        }
        self.sources.named.iter().for_each(|source| add("source", source.to_string()));
        self.suites.iter().for_each(|suite| add("suite", suite.clone()));
        self.keyrings.iter().for_each(|keyring| add("keyring", keyring.display().to_string()));
        let switches =
            [("--offline", self.offline), ("--allow-expired-index", self.allow_expired_index)];
        words.extend(switches.iter().filter(|(_, on)| *on).map(|(option, _)| (*option).to_owned()));
        words
    }

    /// Opens the kernel store in the cache directory of `settings`.
    pub fn store(&self, settings: &Settings) -> anyhow::Result<Store> {
        Ok(Store::open(&settings.cache_dir)?)
    }
}

impl MachineArgs {
    /// The definition of the root image.
    pub fn image_definition(&self) -> anyhow::Result<ImageDefinition> {
        image_definition(self.image.as_deref())
    }
}

/// Reads the definition in a folder; without one, the built-in definition.
pub fn image_definition(folder: Option<&Path>) -> anyhow::Result<ImageDefinition> {
    match folder {
        Some(folder) => Ok(ImageDefinition::load(folder)?),
        None => Ok(ImageDefinition::built_in()),
    }
}

/// Where the packages of the root image come from.
pub fn image_sources(settings: &Settings) -> anyhow::Result<ImageSources> {
    let mirrors = settings.mirrors.as_ref().ok_or_else(|| {
        errors::infrastructure(
            "no Debian mirror is known to build the root image from",
            "name one with --mirror URL (or in config.toml), and its keyring with --keyring FILE",
        )
    })?;
    let keyring = settings.keyrings.first().ok_or_else(|| {
        errors::infrastructure(
            "no keyring is known to verify the root image's packages with",
            "install the package `debian-archive-keyring`, or name a keyring with --keyring",
        )
    })?;
    if settings.offline {
        return Err(errors::infrastructure(
            "the root image is not built, and --offline was given",
            "run `kbisect image build` without --offline first",
        ));
    }
    // Proxies decide whether the mirror can be reached.
    let mut apt_options = settings.proxies.apt_options();
    if settings.allow_expired {
        apt_options.push("Acquire::Check-Valid-Until \"false\"".to_owned());
    }
    Ok(ImageSources {
        mirror_url: mirrors.main.clone(),
        security_url: Some(mirrors.security.clone()),
        keyring: keyring.clone(),
        apt_options,
    })
}

/// A path that stays good when a child runs in another directory.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Most runs that may have led to the newest one.
const MOST_BEFORE: usize = 20;

/// What stands for the newest run.
pub const NEWEST: &str = "newest";

/// Finds the folder of a run that was named: a folder, a name below the results folder, or the newest.
///
/// # Errors
/// When there is no such folder, it holds no run, or something in it leads out of it.
pub fn run_folder(name: &Path, results: &Path) -> anyhow::Result<PathBuf> {
    let is_newest = name == Path::new(NEWEST);
    let newest = is_newest.then(|| newest(results)).flatten();
    if is_newest && newest.is_none() {
        return Err(errors::usage(
            format!("there is no run with a journal in `{}`", results.display()),
            "name a run, or the folder of runs with --results DIR",
        ));
    }
    let below = results.join(newest.as_deref().map_or(name, Path::new));
    let folder = [name, below.as_path()].into_iter().find(|folder| folder.is_dir());
    let folder = folder.map(absolute).ok_or_else(|| {
        let known = runs(results);
        let hint = match known.as_slice() {
            [] => format!(
                "there are no runs in `{}`; --results names another folder",
                results.display()
            ),
            [.., newest] => format!(
                "the newest run in `{}` is {newest}; --results names another folder",
                results.display()
            ),
        };
        errors::usage(format!("no run `{}`", name.display()), hint)
    })?;
    check_plain(&folder)?;
    Ok(folder)
}

/// The newest run that has a journal; of runs that went on from one to the next, the first.
fn newest(results: &Path) -> Option<String> {
    let names = runs(results);
    let journal = |name: &str| results.join(name).join(JOURNAL_NAME);
    let mut names = names.into_iter().rev().filter(|name| journal(name).is_file());
    let mut newest = names.next()?;
    // They follow each other at once.
    for before in names.take(MOST_BEFORE) {
        let lines = read_journal_of(&results.join(&before)).map(|read| read.lines);
        let leads_to_it = |line: &JournalLine| matches!(&line.event, RunEvent::WentOn { run_id, .. } if *run_id == newest);
        if lines.is_ok_and(|lines| lines.iter().any(leads_to_it)) {
            newest = before;
        }
    }
    Some(newest)
}

/// Refuses a run's folder with links or special files in it. A run has none; one from somebody else
/// must not make this host's files a part of its reports, nor have files elsewhere written.
fn check_plain(folder: &Path) -> anyhow::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let reading = || format!("cannot read `{}`", folder.display());
        for entry in std::fs::read_dir(&folder).with_context(reading)? {
            let entry = entry.with_context(reading)?;
            // What a run that goes on removes meanwhile leads nowhere.
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if !kind.is_file() {
                return Err(errors::usage(
                    format!("`{}` is a link or a special file", entry.path().display()),
                    "a run's folder has none: if you trust it, replace the link by the file",
                ));
            }
        }
    }
    Ok(())
}

/// Names of the runs in a results folder, oldest first: run ids begin with the time.
pub fn runs(results: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(results).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_found_by_folder_or_name() {
        let results = tempfile::tempdir().unwrap();
        std::fs::create_dir(results.path().join("r1")).unwrap();
        let found = run_folder(Path::new("r1"), results.path()).unwrap();
        assert_eq!(found, results.path().join("r1"));
        assert_eq!(run_folder(&found, Path::new("/nowhere")).unwrap(), found);
        std::fs::write(found.join(JOURNAL_NAME), "").unwrap();
        std::fs::create_dir(results.path().join("r3")).unwrap();
        assert_eq!(run_folder(Path::new(NEWEST), results.path()).unwrap(), found);
        let error = run_folder(Path::new("r2"), results.path()).unwrap_err();
        assert!(errors::hint(&error).unwrap().contains("r3"));
    }
}
