//! The files that a scenario names, and how they are handed in.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::cursor::Item;
use super::places::Places;
use super::{Probe, Problem, Scenario, ScenarioError, words};

/// A scenario whose files are still to be handed in.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub(super) scenario: Scenario,
    pub(super) warnings: Vec<Problem>,
    pub(super) assets: Vec<AssetRef>,
    pub(super) places: Places,
}

/// A place of the scenario file that names one of the scenario's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetRef {
    /// Path relative to the scenario's folder; a file, or a folder when a command names one.
    pub path: String,
    /// Key path of the place, `setup[0].nft`.
    pub key: String,
}

impl Parsed {
    /// The scenario as far as its own file tells.
    #[must_use]
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// What is allowed but probably not meant.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Every place that names a file of the scenario, in reading order.
    #[must_use]
    pub fn required_assets(&self) -> &[AssetRef] {
        &self.assets
    }

    /// Completes the scenario with the files of its folder (relative path with `/` -> content,
    /// without `scenario.toml`). Gives the scenario and all warnings; every file goes along.
    ///
    /// # Errors
    /// Each place that names a file that is not among `files`.
    pub fn with_assets(
        mut self,
        files: BTreeMap<String, Vec<u8>>,
    ) -> Result<(Scenario, Vec<Problem>), ScenarioError> {
        let mut problems = Vec::new();
        for asset in self.assets.iter().filter(|asset| !asset.is_in(&files)) {
            let known = super::suggest::choices(&asset.path, files.keys().map(String::as_str));
            let message =
                format!("no file `{}` in the scenario's folder (files: {known})", asset.path);
            problems.push(self.places.problem(&asset.key, message));
        }
        for (index, check) in self.scenario.checks.iter().enumerate() {
            let Probe::Capture(capture) = &check.probe else { continue };
            let read = files.get(&capture.file).map(|content| crate::capture::read(content));
            if let Some(Err(error)) = read {
                let message = format!("cannot replay `{}`: {error}", capture.file);
                problems
                    .push(self.places.problem(&format!("checks[{index}].capture.file"), message));
            }
        }
        if !problems.is_empty() {
            return Err(ScenarioError { problems });
        }
        let unused = files.keys().filter(|path| !self.is_used(path, &files)).map(|path| {
            let message = format!("nothing names the file `{path}` of the scenario's folder");
            self.places.problem("", message)
        });
        let unused: Vec<Problem> = unused.collect();
        self.warnings.extend(unused);
        self.scenario.assets = files;
        Ok((self.scenario, self.warnings))
    }

    /// Whether a step, service or check names the file, or another file mentions its name (an
    /// `include`). A README is for people.
    fn is_used(&self, path: &str, files: &BTreeMap<String, Vec<u8>>) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let mentions =
            |content: &[u8]| content.windows(name.len()).any(|window| window == name.as_bytes());
        name == "README.md"
            || self.assets.iter().any(|asset| asset.covers(path))
            || files.iter().any(|(other, content)| other != path && mentions(content))
    }
}

impl AssetRef {
    /// Reads a value that is an asset's path and notes the reference.
    pub(super) fn read(item: &Item<'_>, assets: &mut Vec<Self>) -> Option<String> {
        let path = item.parsed(words::asset_path)?;
        assets.push(Self { path: path.clone(), key: item.path.clone() });
        Some(path)
    }

    /// Notes every `{assets}/PATH` and `$KBISECT_ASSETS/PATH` in a text.
    pub(super) fn scan(item: &Item<'_>, assets: &mut Vec<Self>) {
        static MENTION: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r#"(?:\{assets\}|\$KBISECT_ASSETS|\$\{KBISECT_ASSETS\})"?(?:/([A-Za-z0-9._/+@-]*))?"#)
                .expect("the expression is constant")
        });
        if !item.is_text() {
            return;
        }
        let text = item.text().unwrap_or_default();
        for found in MENTION.captures_iter(text) {
            let path = found.get(1).map_or("", |path| path.as_str());
            let path = path.trim_end_matches(['/', '.']);
            match words::asset_path(path) {
                _ if path.is_empty() => {
                    assets.push(Self { path: String::new(), key: item.path.clone() });
                }
                Ok(path) => assets.push(Self { path, key: item.path.clone() }),
                Err(message) => item.wrong(message),
            }
        }
    }

    fn is_in(&self, files: &BTreeMap<String, Vec<u8>>) -> bool {
        self.path.is_empty() || files.keys().any(|file| self.covers(file))
    }

    /// Whether this names `file`, a folder above it, or the whole folder (an empty path).
    fn covers(&self, file: &str) -> bool {
        self.path.is_empty()
            || file
                .strip_prefix(&self.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}
