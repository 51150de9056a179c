//! What a source of kernels is called, and how it is spoken of: all that settings and messages need.

use std::ops::Deref;

/// A place that kernels come from, as it is named and spoken of.
#[derive(Clone, Copy, Debug)]
pub struct Source(pub(super) &'static About);

/// What is known of a source before it is asked.
#[derive(Debug)]
pub struct About {
    /// On the command line, in `config.toml`, and in a kernel's `source`.
    pub name: &'static str,
    /// In messages.
    pub title: &'static str,
    /// For those who choose one, as a noun phrase.
    pub help: &'static str,
    /// Why to look there for a kernel that was not found elsewhere; `None` for a source that is
    /// always looked into.
    pub offers: Option<&'static str>,
    /// Whose builds it has: those of one distribution make a series, those of several do not unless
    /// that is asked for. `None` where anybody's may be.
    pub vendor: Option<&'static str>,
    /// The address that is asked; `None` for a source that has no single one.
    pub address: Option<Address>,
    /// The key of `config.toml` for keyrings of which one must have signed what it has.
    pub keyrings_key: Option<&'static str>,
    /// Source that is looked into along with it.
    pub brings: Option<&'static str>,
    /// Whether it is a service that many share: it lists versions without their packages, and is asked
    /// for those of one at a time.
    pub is_service: bool,
}

/// Where a service is.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// The option, without its dashes, and the key of `config.toml` that give another one.
    pub option: &'static str,
    /// The usual one.
    pub url: &'static str,
}

/// Whose packages the archive has.
pub(crate) const DEBIAN: &str = "Debian";

impl Deref for Source {
    type Target = About;

    fn deref(&self) -> &About {
        self.0
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Source {}

impl Source {
    /// Whether it is looked into when these were named.
    pub(crate) fn is_wanted(self, named: &[Self]) -> bool {
        self.offers.is_none()
            || named.iter().any(|other| *other == self || other.brings == Some(self.name))
    }

    /// The distribution whose builds it has, when that is not Debian.
    pub fn other_vendor(self) -> Option<&'static str> {
        self.vendor.filter(|vendor| *vendor != DEBIAN)
    }
}
