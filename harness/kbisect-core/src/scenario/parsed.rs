//! A scenario as its own file tells it, and how its files are handed in.

use std::collections::BTreeMap;

use super::assets::AssetRef;
use super::model::Scenario;
use super::places::Places;
use super::problem::{Problem, ScenarioError};

/// A scenario whose files are still to be handed in.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub(super) scenario: Scenario,
    pub(super) warnings: Vec<Problem>,
    pub(super) assets: Vec<AssetRef>,
    pub(super) places: Places,
}

impl Parsed {
    /// The scenario as far as its own file tells.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// What is allowed but probably not meant.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Every place that names a file of the scenario, in reading order.
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
            if let Some((key, message)) = check.probe.wrong_asset(&files) {
                problems.push(self.places.problem(&format!("checks[{index}].{key}"), message));
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
        self.warnings.extend(super::lint::unknown_addresses(&self.scenario, &self.places));
        self.warnings.extend(super::lint::uncounted_rules(&self.scenario, &self.places));
        // Those about the folder as a whole come last.
        self.warnings.sort_by_key(|warning| (warning.key.is_empty(), warning.line, warning.column));
        self.scenario.go_the_usual_way();
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
