//! Where to look for kernels: the host's apt configuration, kbisect's own file, and options.

use std::path::PathBuf;

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

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Cache directory in place of `$XDG_CACHE_HOME/kbisect`.
    pub cache_dir: Option<PathBuf>,
    /// `--suite`, any number; none means the default list.
    pub suites: Vec<String>,
    /// `--mirror`.
    pub mirror: Option<String>,
    /// `--keyring`, any number.
    pub keyrings: Vec<PathBuf>,
    /// `--flavour`.
    pub flavour: Option<String>,
    /// `--allow-expired-index`.
    pub allow_expired: bool,
    /// `--offline`: cached indexes and the store only.
    pub offline: bool,
    /// `--refresh`: fetch the indexes again even when they are fresh.
    pub refresh: bool,
    /// Directory in place of `/etc/apt`.
    pub apt_dir: Option<PathBuf>,
    /// File in place of `$XDG_CONFIG_HOME/kbisect/config.toml`.
    pub config_file: Option<PathBuf>,
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
    /// Flavour: `cloud-amd64` unless told otherwise.
    pub flavour: String,
    /// Accept an index after its `Valid-Until`.
    pub allow_expired: bool,
    /// Do not use the network.
    pub offline: bool,
    /// Fetch the indexes even when they are fresh.
    pub refresh: bool,
}

/// Why the settings could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Neither `XDG_CACHE_HOME` nor `HOME` is set.
    #[error("no place for the cache: neither XDG_CACHE_HOME nor HOME is set")]
    NoCacheDir,
    /// A configuration file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration file is malformed.
    #[error("`{}` is not valid", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Line and key.
        source: toml::de::Error,
    },
    /// A mirror URL that kbisect cannot use.
    #[error("cannot use `{url}` as a mirror")]
    Mirror {
        /// The URL.
        url: String,
    },
    /// A keyring that was named is not there.
    #[error("keyring `{}` does not exist", path.display())]
    Keyring {
        /// The file.
        path: PathBuf,
    },
}

impl Settings {
    /// Works out the settings: the host's apt configuration, then kbisect's configuration file,
    /// then `options`; the later ones win.
    ///
    /// # Errors
    /// [`SettingsError`] when a file that exists is unreadable or malformed, or an option is unusable.
    /// No apt configuration is not an error here: [`crate::Catalog::load`] asks for a mirror then.
    pub fn discover(_options: &Options) -> Result<Self, SettingsError> {
        todo!()
    }
}

impl SettingsError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        None
    }
}
