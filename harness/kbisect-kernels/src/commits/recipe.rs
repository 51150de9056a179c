//! How commits are built: configuration, compiler, and what an old tree needs with a new compiler.

use std::path::PathBuf;

use kbisect_core::kernel::KernelId;

use super::change::Change;
use super::checkout::FOLDER;
use super::error::BuildError;
use super::toolchain::Toolchain;
use crate::hash;

/// Counted up when the same commit is built in another way than before.
const VERSION: u32 = 1;

/// Where a configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Configuration {
    /// These options, and no others: for `make allnoconfig`.
    Fragment(String),
    /// A whole one, brought up to date by `make olddefconfig`.
    Whole(String),
}

/// How commits are built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The configuration.
    pub configuration: Configuration,
    /// First line of `gcc --version`.
    pub compiler: String,
    /// Whose compiler.
    pub toolchain: Toolchain,
    /// Where the kernels are that somebody else built: a URL or a path, with the commit's place in it.
    pub template: Option<String>,
    /// Folders of the user's tree and of the cache.
    pub(super) places: Places,
    /// What all that it builds has in common.
    pub(super) key: String,
}

/// Where the files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    pub repository: PathBuf,
    pub cache: PathBuf,
}

impl Recipe {
    /// How the commits of a tree are built. `cache` is kbisect's.
    ///
    /// # Errors
    /// A folder that is none; no compiler.
    pub fn new(
        repository: &std::path::Path,
        cache: &std::path::Path,
        configuration: Configuration,
        toolchain: Toolchain,
    ) -> Result<Self, BuildError> {
        let repository = std::fs::canonicalize(repository).map_err(crate::files::at(repository))?;
        let compiler = toolchain.compiler()?;
        let places = Places { repository, cache: cache.join(FOLDER) };
        Ok(Self::with(configuration, compiler, toolchain, places))
    }

    fn with(
        configuration: Configuration,
        compiler: String,
        toolchain: Toolchain,
        places: Places,
    ) -> Self {
        let (kind, text) = match &configuration {
            Configuration::Fragment(text) => ("fragment", text),
            Configuration::Whole(text) => ("whole", text),
        };
        let key = hash::of_bytes(format!("{VERSION}\n{compiler}\n{kind}\n{text}").as_bytes());
        Self { configuration, compiler, toolchain, template: None, places, key }
    }

    /// Kernels that somebody else built, one for each commit.
    ///
    /// # Errors
    /// A folder that is none.
    pub fn elsewhere(
        repository: &std::path::Path,
        cache: &std::path::Path,
        template: &str,
    ) -> Result<Self, BuildError> {
        let repository = std::fs::canonicalize(repository).map_err(crate::files::at(repository))?;
        let places = Places { repository, cache: cache.join(FOLDER) };
        let nothing = Configuration::Fragment(String::new());
        let own = Self::with(nothing, String::new(), Toolchain::default(), places);
        let key = hash::of_bytes(format!("{VERSION}\nelsewhere\n{template}").as_bytes());
        Ok(Self { template: Some(template.to_owned()), key, ..own })
    }

    /// Names the kernel that a commit becomes, once it is changed.
    pub fn id_of(&self, commit: &str, changes: &[Change]) -> KernelId {
        let changes: String = changes.iter().map(Change::key).collect();
        KernelId(hash::of_bytes(format!("git\n{commit}\n{}\n{changes}", self.key).as_bytes()))
    }

    /// Variables of `make` by which a tree of this version is built with this compiler.
    pub(super) fn variables(&self, version: &str) -> Vec<&'static str> {
        let gcc = major(&self.compiler);
        let before = |major: u32, minor: u32| is_before(version, major, minor);
        let mut variables = Vec::new();
        // Warnings of later compilers are errors in the tools of earlier trees.
        if gcc >= 10 && before(5, 19) {
            variables.extend(["WERROR=0", "KCFLAGS=-w"]);
        }
        // `-fno-common` is the rule since GCC 10, and C23 since GCC 15.
        match (gcc >= 10 && before(5, 6), gcc >= 15 && before(6, 14)) {
            (true, false) => variables.push("HOSTCFLAGS=-w -fcommon"),
            (true, true) => variables.push("HOSTCFLAGS=-w -fcommon -std=gnu11"),
            (false, true) => variables.push("HOSTCFLAGS=-w -std=gnu11"),
            (false, false) if gcc >= 10 && before(5, 19) => variables.push("HOSTCFLAGS=-w"),
            (false, false) => {}
        }
        variables
    }
}

/// Whether a version of the kernel comes before another one.
pub(super) fn is_before(version: &str, major: u32, minor: u32) -> bool {
    let numbers: Vec<u32> = version
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|number| number.parse().ok())
        .take(2)
        .collect();
    numbers.as_slice() < [major, minor].as_slice()
}

/// `12` of `gcc (Debian 12.2.0-14) 12.2.0`.
fn major(compiler: &str) -> u32 {
    let last = compiler.rsplit(' ').find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    last.and_then(|word| word.split('.').next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(compiler: &str, text: &str) -> Recipe {
        let places = Places { repository: "/r".into(), cache: "/c".into() };
        let configuration = Configuration::Fragment(text.to_owned());
        Recipe::with(configuration, compiler.to_owned(), Toolchain::default(), places)
    }

    #[test]
    fn what_differs_has_another_id() {
        let one = recipe("gcc (Debian 12.2.0-14) 12.2.0", "CONFIG_A=y\n");
        let other = recipe("gcc (Debian 12.2.0-14) 12.2.0", "CONFIG_B=y\n");
        let newer = recipe("gcc (Debian 13.2.0-14) 13.2.0", "CONFIG_A=y\n");
        let text = Configuration::Whole("CONFIG_A=y\n".to_owned());
        let whole =
            Recipe::with(text, one.compiler.clone(), Toolchain::default(), one.places.clone());
        let ids = [
            one.id_of("1", &[]),
            one.id_of("2", &[]),
            other.id_of("1", &[]),
            newer.id_of("1", &[]),
            whole.id_of("1", &[]),
        ];
        let changed = [Change::With("2".to_owned()), Change::Without("2".to_owned())];
        let changed = changed.map(|change| one.id_of("1", &[change]));
        assert!(changed[0] != changed[1] && !ids.contains(&changed[0]));
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert_eq!(one.id_of("1", &[]), one.clone().id_of("1", &[]));
        assert!(ids.iter().all(KernelId::is_hash));
    }

    #[test]
    fn an_old_tree_gets_what_it_needs_with_a_new_compiler() {
        let with = |compiler: &str, version: &str| recipe(compiler, "").variables(version);
        let gcc12 = "gcc (Debian 12.2.0-14+deb12u1) 12.2.0";
        assert_eq!(with(gcc12, "5.10.61"), ["WERROR=0", "KCFLAGS=-w", "HOSTCFLAGS=-w"]);
        assert_eq!(with(gcc12, "4.19"), ["WERROR=0", "KCFLAGS=-w", "HOSTCFLAGS=-w -fcommon"]);
        assert_eq!(with(gcc12, "6.1.5"), [""; 0]);
        assert_eq!(with("gcc (Debian 15.1.0) 15.1.0", "6.12"), ["HOSTCFLAGS=-w -std=gnu11"]);
        assert_eq!(with("gcc (Debian 8.3.0-6) 8.3.0", "5.10"), [""; 0]);
    }
}
