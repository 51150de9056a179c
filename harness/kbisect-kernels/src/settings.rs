//! Where to look for kernels, once that is known.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kbisect_core::options::MachineChoices;
use serde::Deserialize;

use crate::proxy::Proxies;
use crate::sources::Source;

/// Releases whose kernels are looked for by default: the oldest that still has some, to the newest.
const RELEASES: [&str; 3] = ["bullseye", "bookworm", "trixie"];
const KINDS: [&str; 4] = ["", "-updates", "-security", "-backports"];
const ROLLING: [&str; 3] = ["testing", "sid", "experimental"];

/// Base URLs of the archives, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirrors {
    /// For all suites but the security ones.
    pub main: String,
    /// For suites called `*-security`.
    pub security: String,
}

/// Which suites to look into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SuiteChoice {
    /// kbisect's own list; a suite that is absent or expired is left out.
    Default,
    /// Named by the user; a suite that is absent or expired is an error.
    Named(Vec<String>),
}

/// A service that is a source of kernels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Address, without a slash at the end.
    pub url: String,
    /// Keyrings of which one must have signed what it says; none: its connection alone is trusted.
    pub keyrings: Vec<PathBuf>,
}

/// Where to look for kernels.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Cache directory; the store is below it.
    pub cache_dir: PathBuf,
    /// Archives; `None` when none is known (the store still works).
    pub mirrors: Option<Mirrors>,
    /// Suites.
    pub suites: SuiteChoice,
    /// Keyrings that may sign an index.
    pub keyrings: Vec<PathBuf>,
    /// Architecture: `amd64`.
    pub arch: String,
    /// Flavour of Debian's kernels: `cloud-amd64` unless told otherwise.
    pub flavour: String,
    /// Sources as they were named, at least one. [`Settings::looks_into`] says what that means.
    pub sources: Vec<Source>,
    /// Services, by the names of their sources.
    pub services: BTreeMap<&'static str, Service>,
    /// Proxies for downloads.
    pub proxies: Proxies,
    /// Accept an index after its `Valid-Until`.
    pub allow_expired: bool,
    /// Do not use the network.
    pub offline: bool,
    /// Fetch the indexes even when they are fresh.
    pub refresh: bool,
    /// Patterns that a redacted report replaces.
    pub redact_patterns: Vec<String>,
    /// Patterns of which no bundle may hold a trace.
    pub secret_patterns: Vec<String>,
    /// Workers that are other processes, by the names of pools.
    pub pools: BTreeMap<String, NamedPool>,
    /// What is chosen of how machines run.
    pub machine: MachineChoices,
}

/// Workers that are other processes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedPool {
    /// The command of a worker.
    pub command: String,
    /// How many there are.
    #[serde(default = "one")]
    pub count: u32,
}

fn one() -> u32 {
    1
}

impl Settings {
    /// Whether kernels of a source are wanted.
    pub fn looks_into(&self, source: Source) -> bool {
        source.is_wanted(&self.sources)
    }

    /// Base URL of the archive that holds a suite.
    pub(crate) fn base_url<'a>(&self, mirrors: &'a Mirrors, suite: &str) -> &'a str {
        if is_security(suite) { &mirrors.security } else { &mirrors.main }
    }

    /// The service that a source asks.
    pub(crate) fn service(&self, source: Source) -> &Service {
        self.services.get(source.name).expect("each source with an address of its own has one")
    }

    /// Keyrings that the user named for a source.
    pub(crate) fn keyrings_of(&self, source: Source) -> &[PathBuf] {
        self.services.get(source.name).map_or(&[], |service| &service.keyrings)
    }
}

impl SuiteChoice {
    /// The suites themselves.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Named(names) => names.clone(),
            Self::Default => RELEASES
                .iter()
                .flat_map(|release| KINDS.iter().map(move |kind| format!("{release}{kind}")))
                .chain(ROLLING.iter().map(|name| (*name).to_owned()))
                .collect(),
        }
    }
}

/// Whether a suite lives in the security archive.
pub(crate) fn is_security(suite: &str) -> bool {
    suite.ends_with("-security") || suite.ends_with("/updates")
}
