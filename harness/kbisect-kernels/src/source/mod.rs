//! Sources beside the archives: services whose lists say which versions there are, and that are asked
//! for the packages of one version only when that version is wanted.
//!
//! What a kernel consists of is not known before it is looked up, so that the id of such a kernel is
//! made of what is: the service's name, the version and the flavour. `meta.json` in the store records
//! the SHA-256 of each package that came.

mod list;
pub(crate) mod mainline;
pub(crate) mod snapshot;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use kbisect_core::kernel::{Kernel, KernelId};
use kbisect_core::version::PackageVersion;
use serde::Deserialize;

use crate::archive::keyring::SignatureError;
use crate::candidate::{Candidate, CandidateState, PackageRef};
use crate::chain::chain;
use crate::hash;
use crate::http::{Client, HttpError};
use crate::progress::Progress;
use crate::settings::Settings;

pub use list::ListError;
pub use mainline::URL as MAINLINE_URL;
pub use snapshot::URL as SNAPSHOT_URL;

/// A place that kernels come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Debian archives, by their signed indexes.
    Archive,
    /// The Debian snapshot service: every version that Debian ever released.
    Snapshot,
    /// Ubuntu's builds of upstream releases.
    UbuntuMainline,
    /// The local store; it is always looked into, and named to look nowhere else.
    Store,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Archive, Self::Snapshot, Self::UbuntuMainline, Self::Store];

    /// Its name on the command line, in `config.toml`, and in a kernel's `source`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Snapshot => "snapshot",
            Self::UbuntuMainline => "ubuntu-mainline",
            Self::Store => "store",
        }
    }

    /// What it is called in messages.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Archive => "the Debian archive",
            Self::Snapshot => "the Debian snapshot service",
            Self::UbuntuMainline => "Ubuntu's mainline builds",
            Self::Store => "the local store",
        }
    }

    /// The source that a kernel's `source` names; none for one that was added by hand.
    #[must_use]
    pub fn of(kernel: &Kernel) -> Option<Self> {
        match kernel.source.as_str() {
            "snapshot" => Some(Self::Snapshot),
            "ubuntu-mainline" => Some(Self::UbuntuMainline),
            source => source.starts_with("debian:").then_some(Self::Archive),
        }
    }

    /// Whether the size of a kernel that is to be downloaded is an estimate: its source lists versions,
    /// not packages.
    #[must_use]
    pub fn is_estimate(kernel: &Kernel) -> bool {
        matches!(Self::of(kernel), Some(Self::Snapshot | Self::UbuntuMainline))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|source| source.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is no source of kernels; there are {names}")
        })
    }
}

/// Why the packages of a kernel could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The service does not have it: there is nothing to test.
    #[error("{0}")]
    NotThere(String),
    /// The service could not be asked.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It answers what it should not.
    #[error("`{url}` is not what {source_title} should answer: {reason}")]
    Malformed {
        /// What was asked for.
        url: String,
        /// What the service is called.
        source_title: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The checksums are not signed as the user's keyring demands.
    #[error("cannot trust the checksums at `{url}`")]
    Signature {
        /// Their address.
        url: String,
        /// Why.
        source: SignatureError,
    },
}

/// The kernels that a source lists, none of them looked up yet.
#[derive(Debug)]
pub struct Listing {
    /// Kernels, in the list's order.
    pub kernels: Vec<Candidate>,
    /// How old the list is and why, when it is not fresh.
    pub note: Option<String>,
}

/// Lists what a source has; `None` for one that has an index of its own kind.
pub fn list(source: Source, settings: &Settings) -> Option<Result<Listing, ListError>> {
    match source {
        Source::Snapshot => Some(snapshot::listing(settings)),
        Source::UbuntuMainline => Some(mainline::listing(settings)),
        Source::Archive | Source::Store => None,
    }
}

/// Finds out what to download for a kernel of a list.
pub fn look_up(
    kernel: &Kernel,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<Vec<PackageRef>, LookupError> {
    match Source::of(kernel) {
        Some(Source::Snapshot) => snapshot::look_up(kernel, settings, progress),
        Some(Source::UbuntuMainline) => mainline::look_up(kernel, settings, progress),
        _ => Err(LookupError::NotThere("no source lists it".to_owned())),
    }
}

/// Whether a source is a service that many share, and that wants one request at a time.
pub fn wants_a_queue(source: Source) -> bool {
    matches!(source, Source::Snapshot | Source::UbuntuMainline)
}

/// Name of the file that makes the queue of a source, below the cache.
pub fn queue_file(source: Source) -> String {
    format!("{}/{source}.lock", list::DIR)
}

/// A client for services that vouch for their files by nothing but the connection: no redirection
/// leads away from an encrypted one.
fn client(url: &str, settings: &Settings) -> Client {
    Client::new(&[url], &settings.proxies).staying_encrypted(url)
}

/// A kernel of a list. Its packages are not known yet, and its size only about.
fn listed(
    source: Source,
    version: PackageVersion,
    flavour: &str,
    release: Option<String>,
    about: u64,
) -> Candidate {
    let identity = format!("{source}\n{version}\n{flavour}\n");
    Candidate {
        kernel: Kernel {
            version: version.upstream().to_owned(),
            package_version: version,
            flavour: flavour.to_owned(),
            source: source.name().to_owned(),
            id: KernelId(hash::of_bytes(identity.as_bytes())),
            release,
            name: None,
            variant: None,
        },
        packages: Vec::new(),
        state: CandidateState::Downloadable { bytes: about },
        also_in: Vec::new(),
        other_builds: Vec::new(),
        notes: Vec::new(),
    }
}

/// Whether a text is a plain file name.
fn is_file_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+~".contains(c);
    !name.is_empty() && name.chars().all(plain) && Path::new(name).file_name().is_some()
}

impl ListError {
    /// The error with its causes, in one line.
    pub fn line(&self) -> String {
        chain(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for source in Source::ALL {
            assert_eq!(source.to_string().parse(), Ok(source));
        }
        let error = "snapshots".parse::<Source>().unwrap_err();
        assert!(error.contains("`snapshots`") && error.contains("ubuntu-mainline"), "{error}");
    }

    #[test]
    fn the_id_is_that_of_version_and_flavour() {
        let version = |text: &str| PackageVersion::parse(text).unwrap();
        let id = |source, text: &str, flavour: &str| {
            listed(source, version(text), flavour, None, 1).kernel.id
        };
        let one = id(Source::Snapshot, "5.10.40-1", "cloud-amd64");
        assert_eq!(one, id(Source::Snapshot, "5.10.40-1", "cloud-amd64"));
        assert_ne!(one, id(Source::Snapshot, "5.10.40-2", "cloud-amd64"));
        assert_ne!(one, id(Source::Snapshot, "5.10.40-1", "amd64"));
        assert_ne!(one, id(Source::UbuntuMainline, "5.10.40-1", "cloud-amd64"));
        assert_eq!(one.0.len(), 64);
    }

    #[test]
    fn file_names_lead_nowhere() {
        assert!(is_file_name("linux-image-unsigned-6.8.0-060800-generic_6.8.0_amd64.deb"));
        for bad in ["", "..", "a/b", "../a", "a b", "a\n", "é"] {
            assert!(!is_file_name(bad), "{bad:?}");
        }
    }
}
