//! Finding and loading scenarios.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use std::sync::Arc;

use anyhow::Context as _;
use kbisect_core::gate::GateScenario;
use kbisect_core::job::Subject;
use kbisect_core::scenario::{APPLICATION_STOPPED, Problem, Scenario, nearest};
use kbisect_report::ListedScenario;
use sha2::{Digest, Sha256};

use super::shipped::SCENARIOS;
use crate::errors;

/// The file that describes a scenario, in its folder.
const FILE: &str = kbisect_core::scenario::FILE_NAME;
/// The file in its place in the copy that a run keeps: the scenario as it was run.
const KEPT: &str = "scenario.json";
/// A file of a scenario is not larger than this.
const FILE_MAX: u64 = 128 << 20;
/// All files of a scenario together: they travel to every guest, and are in its memory.
const TOTAL_MAX: u64 = 256 << 20;

/// A scenario with its files.
#[derive(Clone, Debug)]
pub struct LoadedScenario {
    /// The scenario, assets included.
    pub scenario: Scenario,
    /// SHA-256 over its files, paths included, as lower-case hexadecimal digits.
    pub sha256: String,
    /// Where it comes from: a folder, or `built in`.
    pub origin: String,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Problem>,
}

impl LoadedScenario {
    /// What kernels are tried with. `name` finds it again.
    #[must_use]
    pub fn subject(&self, name: &str) -> Subject {
        let scenario = Arc::new(self.scenario.clone());
        Subject { name: name.to_owned(), scenario, folder: None, apart: false }
    }

    /// Its place in the plan of what is no search. `name` finds it again.
    #[must_use]
    pub fn planned(&self, name: &str) -> GateScenario {
        GateScenario {
            name: name.to_owned(),
            summary: self.scenario.summary.clone(),
            sha256: self.sha256.clone(),
        }
    }

    /// The copy that a run keeps in its folder, or below it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn kept(folder: &Path, sha256: &str) -> anyhow::Result<Self> {
        Ok(Self {
            scenario: load_kept(&folder.join("scenario"))?.scenario,
            sha256: sha256.to_owned(),
            origin: folder.display().to_string(),
            warnings: Vec::new(),
        })
    }

    /// Its place in a document.
    pub fn listed(&self) -> ListedScenario {
        let scenario = &self.scenario;
        ListedScenario {
            name: scenario.name.clone(),
            summary: scenario.summary.clone(),
            path: (self.origin != "built in").then(|| self.origin.clone()),
            nodes: scenario.nodes.keys().cloned().collect(),
            checks: scenario.checks.iter().map(|check| check.name.clone()).collect(),
            built: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    /// Its folder; none when it is built in.
    pub folder: Option<PathBuf>,
}

impl Named {
    /// Where it comes from: a folder, or `built in`.
    pub fn origin(&self) -> String {
        match &self.folder {
            Some(folder) => folder.display().to_string(),
            None => "built in".to_owned(),
        }
    }
}

/// Loads a scenario; `NAME:FLAVOUR` is one of its variations, `NAME:CHECK` one of its checks alone. A text with a slash (or that ends in `.toml`) is a path to a folder or to its
/// `scenario.toml`; any other is a name.
///
/// # Errors
/// For an unknown name, with the names that exist; for files that cannot be read, are too large or
/// lead out of the folder; and [`kbisect_core::scenario::ScenarioError`] for a broken scenario.
pub fn load(name_or_path: &str) -> anyhow::Result<LoadedScenario> {
    let Some((plain, flavour)) =
        name_or_path.rsplit_once(':').filter(|(_, name)| !name.contains('/'))
    else {
        return load_plain(name_or_path);
    };
    let loaded = load_plain(plain)?;
    let known: Vec<String> = loaded.scenario.flavours.keys().cloned().collect();
    let checks: Vec<String> =
        loaded.scenario.checks.iter().map(|check| check.name.clone()).collect();
    let is_flavour = flavour == APPLICATION_STOPPED || known.iter().any(|known| known == flavour);
    let chosen = match is_flavour {
        true => loaded.scenario.flavoured(flavour),
        false => loaded.scenario.with_check(flavour),
    };
    match chosen {
        Some(scenario) => Ok(LoadedScenario { scenario, ..loaded }),
        None if flavour == APPLICATION_STOPPED => Err(errors::usage(
            format!("scenario `{plain}` has no service on a node under test that could be stopped"),
            "leave the colon out",
        )),
        None => Err(errors::usage(
            format!("scenario `{plain}` has no flavour and no check `{flavour}`"),
            no_part(flavour, &known, &checks),
        )),
    }
}

/// What can stand behind the colon.
fn no_part(part: &str, flavours: &[String], checks: &[String]) -> String {
    /// Lists that are longer say less.
    const MOST: usize = 12;
    let names: Vec<&str> = flavours.iter().chain(checks).map(String::as_str).collect();
    let near = nearest(part, &names);
    let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    let flavours = match flavours {
        [] => "it has no flavours".to_owned(),
        some => format!("its flavours are: {}", some.join(", ")),
    };
    let more = if checks.len() > MOST { ", ..." } else { "" };
    let checks = checks.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    format!("{near}{flavours}; its checks are: {checks}{more}")
}

fn load_plain(name_or_path: &str) -> anyhow::Result<LoadedScenario> {
    if name_or_path.contains('/') || name_or_path.ends_with(".toml") || name_or_path == "." {
        return load_folder(&folder_of(Path::new(name_or_path))?);
    }
    let known = list();
    match known.iter().find(|named| named.name == name_or_path) {
        Some(named) => load_named(named),
        None => Err(unknown(name_or_path, &known)),
    }
}

/// Loads a scenario from the list.
pub fn load_named(named: &Named) -> anyhow::Result<LoadedScenario> {
    match &named.folder {
        Some(folder) => load_folder(folder),
        None => load_shipped(&named.name),
    }
}

/// Lists the scenarios that can be named, ordered by name: `./scenarios`, then the user's own, then
/// the built-in ones; the first of a name wins.
pub fn list() -> Vec<Named> {
    let mut found: BTreeMap<String, Named> = BTreeMap::new();
    let user = user_folder();
    for place in [Some(PathBuf::from("scenarios")), user].into_iter().flatten() {
        for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
            let folder = entry.path();
            let Ok(name) = entry.file_name().into_string() else { continue };
            if folder.join(FILE).is_file() {
                found.entry(name.clone()).or_insert(Named { name, folder: Some(folder) });
            }
        }
    }
    for (name, _) in SCENARIOS {
        let name = (*name).to_owned();
        found.entry(name.clone()).or_insert(Named { name, folder: None });
    }
    found.into_values().collect()
}

/// Names and files of the built-in ones.
#[cfg(test)]
pub fn shipped() -> impl Iterator<Item = (&'static str, &'static [(&'static str, &'static [u8])])> {
    SCENARIOS.iter().copied()
}

/// `$XDG_CONFIG_HOME/kbisect/scenarios`.
fn user_folder() -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config =
        absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    Some(config?.join("kbisect/scenarios"))
}

fn unknown(name: &str, known: &[Named]) -> anyhow::Error {
    let names: Vec<&str> = known.iter().map(|named| named.name.as_str()).collect();
    let list =
        format!("scenarios are: {}; a path needs a slash, such as ./{name}", names.join(", "));
    let hint = match nearest(name, &names) {
        Some(near) => format!("did you mean `{near}`? {list}"),
        None => list,
    };
    errors::usage(format!("no scenario `{name}`"), hint)
}

fn folder_of(path: &Path) -> anyhow::Result<PathBuf> {
    if path.is_dir() {
        return if path.join(FILE).is_file() || path.join(KEPT).is_file() {
            Ok(path.to_owned())
        } else {
            Err(errors::usage(
                format!("`{}` holds no {FILE}", path.display()),
                "a scenario is a folder with a scenario.toml; see scenarios/README.md",
            ))
        };
    }
    if path.is_file() {
        if path.file_name().is_some_and(|name| name == FILE) {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            return Ok(parent.unwrap_or(Path::new(".")).to_owned());
        }
        return Err(errors::usage(
            format!("`{}` is not called {FILE}", path.display()),
            "name the scenario's folder: its name is the scenario's name",
        ));
    }
    Err(errors::usage(
        format!("no scenario at `{}`", path.display()),
        "name a folder that holds a scenario.toml, or a scenario from `kbisect scenario list`",
    ))
}

fn load_folder(folder: &Path) -> anyhow::Result<LoadedScenario> {
    // `.` and `x/..` have names too.
    let real =
        folder.canonicalize().with_context(|| format!("cannot read `{}`", folder.display()))?;
    let name = real.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let mut files = BTreeMap::new();
    let mut left = TOTAL_MAX;
    collect(folder, "", &mut files, &mut left)?;
    if !files.contains_key(FILE)
        && let Some(text) = files.remove(KEPT)
    {
        return kept(&text, files, folder);
    }
    build(&name, &folder.join(FILE).display().to_string(), files, folder.display().to_string())
}

/// Loads the copy of a scenario that a run keeps in its folder.
///
/// # Errors
/// When it is not there, breaks a rule of scenarios, or holds a link.
pub fn load_kept(folder: &Path) -> anyhow::Result<LoadedScenario> {
    let mut files = BTreeMap::new();
    collect(folder, "", &mut files, &mut { TOTAL_MAX })?;
    let text = files.remove(KEPT).ok_or_else(|| {
        errors::usage(
            format!("`{}` holds no {KEPT}", folder.display()),
            "it is the copy that a run keeps of its scenario; take it from the run again",
        )
    })?;
    kept(&text, files, folder)
}

/// The copy of a scenario in a run's folder or bundle. What it was read from was checked then, but
/// it may have come from elsewhere since.
fn kept(
    text: &[u8],
    files: BTreeMap<String, Vec<u8>>,
    folder: &Path,
) -> anyhow::Result<LoadedScenario> {
    let broken = |what: String| {
        errors::usage(
            format!("`{}` is damaged: {what}", folder.join(KEPT).display()),
            "it is the copy that a run keeps of its scenario; take it from the run again",
        )
    };
    let mut scenario =
        Scenario::from_kept(text).map_err(|error| broken(errors::message(&error.into())))?;
    scenario.assets = files;
    let ways = scenario.flavours.values().filter_map(|flavour| flavour.way.as_ref());
    let others = ways.flat_map(|way| way.setup.iter().chain(&way.replay));
    let steps = scenario.setup.iter().chain(&scenario.replay).chain(others);
    for asset in steps.filter_map(|step| step.action.asset()) {
        if !scenario.assets.contains_key(asset) {
            return Err(broken(format!("there is no file `{asset}`")));
        }
    }
    let mut hashed = scenario.assets.clone();
    hashed.insert(KEPT.to_owned(), text.to_vec());
    let (sha256, origin) = (hash(&hashed), folder.display().to_string());
    Ok(LoadedScenario { scenario, sha256, origin, warnings: Vec::new() })
}

fn load_shipped(name: &str) -> anyhow::Result<LoadedScenario> {
    let (_, files) = SCENARIOS
        .iter()
        .find(|(shipped, _)| *shipped == name)
        .ok_or_else(|| anyhow::anyhow!("scenario `{name}` is not built in"))?;
    let files = files.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec()));
    build(name, &format!("scenarios/{name}/{FILE}"), files.collect(), "built in".to_owned())
}

fn build(
    name: &str,
    file: &str,
    mut files: BTreeMap<String, Vec<u8>>,
    origin: String,
) -> anyhow::Result<LoadedScenario> {
    let sha256 = hash(&files);
    let text = files.remove(FILE).unwrap_or_default();
    let text = String::from_utf8(text).map_err(|_| {
        errors::usage(format!("`{file}` is not UTF-8 text"), "save it as UTF-8 and try again")
    })?;
    let (scenario, warnings) = Scenario::parse(name, file, &text)?.with_assets(files)?;
    Ok(LoadedScenario { scenario, sha256, origin, warnings })
}

fn hash(files: &BTreeMap<String, Vec<u8>>) -> String {
    let mut hash = Sha256::new();
    for (path, content) in files {
        // Lengths, so that no two sets of files give the same stream.
        hash.update((path.len() as u64).to_le_bytes());
        hash.update(path);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    hex::encode(hash.finalize())
}

/// Reads a folder and those below it. A scenario is handed on from person to person: a link in it
/// must not pull the host's own files into guests and reports.
fn collect(
    folder: &Path,
    prefix: &str,
    files: &mut BTreeMap<String, Vec<u8>>,
    left: &mut u64,
) -> anyhow::Result<()> {
    let reading = || format!("cannot read `{}`", folder.display());
    for entry in fs::read_dir(folder).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let path = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            return Err(errors::usage(
                format!("`{}` has a name that is not UTF-8", path.display()),
                "rename it, or move it out of the scenario's folder",
            ));
        };
        // Editors' and version control's own files.
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let kind = entry.file_type().with_context(reading)?;
        let relative = format!("{prefix}{name}");
        if kind.is_dir() {
            collect(&path, &format!("{relative}/"), files, left)?;
        } else if kind.is_file() {
            files.insert(relative, read(&path, left)?);
        } else {
            return Err(errors::usage(
                format!("`{}` is a link or a special file", path.display()),
                "a scenario's files are copied into guests: put the file itself into its folder",
            ));
        }
    }
    Ok(())
}

fn read(path: &Path, left: &mut u64) -> anyhow::Result<Vec<u8>> {
    let reading = || format!("cannot read `{}`", path.display());
    let mut content = Vec::new();
    let file = File::open(path).with_context(reading)?;
    let limit = FILE_MAX.min(*left);
    // The size that a directory tells can change meanwhile.
    file.take(limit + 1).read_to_end(&mut content).with_context(reading)?;
    let size = content.len() as u64;
    if size > limit {
        return Err(errors::usage(
            format!("`{}` is too large for a scenario's file", path.display()),
            format!(
                "a file has at most {} MiB, a scenario {} MiB",
                FILE_MAX >> 20,
                TOTAL_MAX >> 20
            ),
        ));
    }
    *left -= size;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
schema = "kbisect.scenario/1"
summary = "one node"
[nodes.a]
kernel = "candidate"
[[checks]]
name = "up"
node = "a"
command = { run = "true" }
"#;

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("mine");
        fs::create_dir(&folder).unwrap();
        for (name, content) in files {
            fs::write(folder.join(name), content).unwrap();
        }
        (dir, folder)
    }

    #[test]
    fn every_shipped_scenario_loads() {
        assert!(SCENARIOS.iter().any(|(name, _)| *name == "connlimit"));
        for (name, _) in SCENARIOS {
            let loaded = load_shipped(name).unwrap();
            assert_eq!(loaded.scenario.name, *name);
            assert!(!loaded.scenario.assets.contains_key(FILE));
        }
    }

    #[test]
    fn a_folder_and_its_file_are_the_same_scenario() {
        let (_dir, folder) = folder(&[(FILE, SMALL)]);
        let by_folder = load(folder.to_str().unwrap()).unwrap();
        let by_file = load(folder.join(FILE).to_str().unwrap()).unwrap();
        assert_eq!(by_folder.scenario.name, "mine");
        assert_eq!(by_folder.sha256, by_file.sha256);
    }

    #[test]
    fn the_hash_covers_every_file() {
        let (_dir, one) = folder(&[(FILE, SMALL), ("README.md", "x")]);
        let before = load(one.to_str().unwrap()).unwrap().sha256;
        fs::write(one.join("README.md"), "y").unwrap();
        assert_ne!(load(one.to_str().unwrap()).unwrap().sha256, before);
    }

    #[test]
    fn a_link_is_refused() {
        let (_dir, folder) = folder(&[(FILE, SMALL)]);
        std::os::unix::fs::symlink("/etc/hostname", folder.join("rules")).unwrap();
        let error = load(folder.to_str().unwrap()).unwrap_err();
        assert!(error.to_string().contains("is a link"), "{error}");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let error = load("conlimit").unwrap_err();
        assert_eq!(errors::class(&error), crate::exit::Class::Usage);
        assert!(errors::hint(&error).unwrap().contains("did you mean `connlimit`?"));
        let error = load("something-else").unwrap_err();
        assert!(errors::hint(&error).unwrap().starts_with("scenarios are: "));
    }
}
