//! Why it cannot be found out where to look.

use std::path::PathBuf;

use crate::sources::Source;

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
    #[error("`{}`, line {line}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong, and with which key.
        reason: String,
    },
    /// A mirror URL that kbisect cannot use.
    #[error("cannot use `{0}` as a mirror")]
    Mirror(String),
    /// The address of a service that is known by its connection alone, and that is not encrypted.
    #[error("cannot trust `{0}`: the files of this service are known by the connection alone")]
    Unencrypted(String),
    /// A text that cannot be the name of a suite.
    #[error("`{0}` is not the name of a suite")]
    Suite(String),
    /// A keyring that was named is not there.
    #[error("keyring `{}` does not exist", .0.display())]
    Keyring(PathBuf),
}

impl SettingsError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoCacheDir => Some("set HOME, or name a directory with --cache".to_owned()),
            Self::Mirror(..) => {
                Some("give an http:// or https:// URL, such as one from /etc/apt".to_owned())
            }
            Self::Unencrypted(..) => {
                let signed = Source::all().filter_map(|source| {
                    let key = source.keyrings_key?;
                    Some(format!("; for {} `{key}` in config.toml does as well", source.title))
                });
                let signed: String = signed.collect();
                Some(format!("give an https:// URL (or one of this very host){signed}"))
            }
            Self::Suite(..) => {
                Some("give a suite such as trixie, trixie-security or experimental".to_owned())
            }
            Self::Keyring(..) => Some(
                "install the package `debian-archive-keyring`, or name a keyring with --keyring"
                    .to_owned(),
            ),
            Self::Config { .. } => Some("the book lists the keys of config.toml".to_owned()),
            Self::Read { .. } => None,
        }
    }
}
