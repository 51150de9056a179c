//! Reads what changed between two kernels, and ranks it.

use std::path::PathBuf;

use kbisect_core::changes::{ChangeSource, Clues, Ranking, Segment, WhatChanged, rank};
use kbisect_core::kernel::Kernel;
use kbisect_core::scenario::Scenario;
use kbisect_kernels::{Progress, Settings};
use kbisect_report::Dossier;

use crate::errors;

/// Where changes are read.
pub enum Origin {
    /// The distribution's package that holds the changelog.
    Archive,
    /// A changelog of the user's.
    File(PathBuf),
    /// A repository of the user's.
    Git(PathBuf),
}

/// Ranks changes.
pub struct Ranker<'a> {
    /// Where to look for packages.
    pub settings: &'a Settings,
    /// Where downloads tell how far they are.
    pub progress: &'a dyn Progress,
    /// Where changes are read.
    pub origin: Origin,
}

impl Ranker<'_> {
    /// Ranks what changed between the two sides of a bisection; `None` when it has no two sides.
    pub fn of_run(
        &self,
        dossier: &Dossier,
        scenario: Option<&Scenario>,
        text: Option<&str>,
    ) -> Option<WhatChanged> {
        let (old, new) = dossier.sides()?;
        let mut clues = Clues::of(scenario, dossier.bad().map(|trial| &trial.record));
        clues.text(text.unwrap_or_default());
        Some(self.between(old, new, &clues))
    }

    /// Ranks what changed between two kernels, the older one first.
    pub fn between(&self, old: &Kernel, new: &Kernel, clues: &Clues) -> WhatChanged {
        self.try_between(old, new, clues).map_or_else(
            |error| WhatChanged::Unavailable { reason: errors::message(&error) },
            WhatChanged::Ranked,
        )
    }

    fn try_between(&self, old: &Kernel, new: &Kernel, clues: &Clues) -> anyhow::Result<Ranking> {
        let (source, segment) = self.read(old, new)?;
        let version = |kernel: &Kernel| kernel.package_version.to_string();
        Ok(rank(segment, clues, source, &version(old), &version(new)))
    }

    /// Reads what changed between two kernels.
    ///
    /// # Errors
    /// Changes that cannot be found or read.
    pub fn read(&self, old: &Kernel, new: &Kernel) -> anyhow::Result<(ChangeSource, Segment)> {
        match &self.origin {
            Origin::Git(folder) => {
                let (range, segment) = kbisect_kernels::git_log(folder, old, new)?;
                let repository = folder.display().to_string();
                Ok((ChangeSource::Git { repository, range }, segment))
            }
            Origin::Archive | Origin::File(_) => {
                let found = match &self.origin {
                    Origin::File(path) => kbisect_kernels::changelog_file(path)?,
                    _ => kbisect_kernels::changelog(new, self.settings, self.progress)?,
                };
                let segment = found.log.between(old, new);
                let (package, version, sha256) = (found.package, found.version, found.sha256);
                Ok((ChangeSource::Changelog { package, version, sha256 }, segment))
            }
        }
    }
}
