//! The sources that there are.

use std::fmt;
use std::str::FromStr;

use kbisect_core::kernel::Kernel;
use serde::{Deserialize, Deserializer};

use super::about::Source;
use super::archive::Archive;
use super::mainline::Mainline;
use super::snapshot::Snapshot;
use super::source::KernelSource;
use super::store::Kept;

/// All of them, in the order in which they are told of; the first is the one by default.
static ALL: [&dyn KernelSource; 4] = [&Archive, &Snapshot, &Mainline, &Kept];

/// The source itself.
pub fn implementation(source: Source) -> &'static dyn KernelSource {
    *ALL.iter().find(|one| one.about() == source).expect("each is made in a file that is listed")
}

impl Source {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.iter().map(|source| source.about())
    }

    /// The source that a kernel came from; none for one that was added by hand.
    pub fn of(kernel: &Kernel) -> Option<Self> {
        ALL.iter().find(|source| source.brought(kernel)).map(|source| source.about())
    }

    /// Whether the size of a kernel that is to be downloaded is an estimate: its source lists versions,
    /// not packages.
    pub fn is_estimate(kernel: &Kernel) -> bool {
        Self::of(kernel).is_some_and(|source| source.is_service)
    }

    /// The words that have kbisect look there: none where it does so anyway.
    pub fn option(self) -> Option<String> {
        let named = self.offers.is_some() && self != Self::default();
        named.then(|| format!("--source {self}"))
    }
}

impl Default for Source {
    fn default() -> Self {
        ALL[0].about()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::all().find(|source| source.name == text).ok_or_else(|| {
            let names: Vec<&str> = Self::all().map(|source| source.name).collect();
            format!("`{text}` is no source of kernels; there are {}", names.join(", "))
        })
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for source in Source::all() {
            assert_eq!(source.to_string().parse(), Ok(source));
        }
        let error = "snapshots".parse::<Source>().unwrap_err();
        assert!(error.contains("`snapshots`") && error.contains("ubuntu-mainline"), "{error}");
    }

    /// What a source says of itself leads to others by name.
    #[test]
    fn sources_are_told_apart_and_what_one_brings_along_is_there() {
        let all: Vec<Source> = Source::all().collect();
        for (n, source) in all.iter().enumerate() {
            assert!(all[..n].iter().all(|other| other != source), "{source} is there twice");
            let brings = source.brings.map(str::parse::<Source>).transpose();
            assert!(brings.is_ok(), "{source}: {brings:?}");
        }
    }
}
