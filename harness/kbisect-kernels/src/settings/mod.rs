//! Where to look for kernels: the host's apt configuration, kbisect's own file, and options.

mod apt;

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kbisect_core::boot::BootWay;
use serde::Deserialize;

use crate::proxy::Proxies;
use crate::source::{self, Source};

pub(crate) use apt::is_security;

/// Releases whose kernels are looked for by default: the oldest that still has some, to the newest.
const RELEASES: [&str; 3] = ["bullseye", "bookworm", "trixie"];
const KINDS: [&str; 4] = ["", "-updates", "-security", "-backports"];
const ROLLING: [&str; 3] = ["testing", "sid", "experimental"];
const DEFAULT_FLAVOUR: &str = "cloud-amd64";
const DEBIAN_KEYRING: &str = "usr/share/keyrings/debian-archive-keyring.gpg";

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
    /// Mirror of the security archive; without it the one beside `mirror`.
    pub security_mirror: Option<String>,
    /// `--keyring`, any number.
    pub keyrings: Vec<PathBuf>,
    /// `--flavour`.
    pub flavour: Option<String>,
    /// `--source`, any number; none means the archive.
    pub sources: Vec<Source>,
    /// `--snapshot-url`.
    pub snapshot_url: Option<String>,
    /// `--ubuntu-mainline-url`.
    pub mainline_url: Option<String>,
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
    /// Flavour of Debian's kernels: `cloud-amd64` unless told otherwise.
    pub flavour: String,
    /// Sources as they were named, at least one. [`Settings::looks_into`] says what that means.
    pub sources: Vec<Source>,
    /// The Debian snapshot service, without a slash at the end.
    pub snapshot_url: String,
    /// Ubuntu's mainline builds, without a slash at the end.
    pub mainline_url: String,
    /// Keyrings that must have signed the checksums of Ubuntu's mainline builds; none: the connection
    /// alone is trusted.
    pub mainline_keyrings: Vec<PathBuf>,
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
    /// Factor on the deadlines of machines.
    pub slow: Option<f64>,
    /// How kernels are booted.
    pub boot: Option<BootWay>,
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
    #[error("cannot use `{url}` as a mirror")]
    Mirror {
        /// The URL.
        url: String,
    },
    /// The address of a service that is known by its connection alone, and that is not encrypted.
    #[error("cannot trust `{url}`: the files of this service are known by the connection alone")]
    Unencrypted {
        /// The URL.
        url: String,
    },
    /// A text that cannot be the name of a suite.
    #[error("`{name}` is not the name of a suite")]
    Suite {
        /// The text.
        name: String,
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
    pub fn discover(options: &Options) -> Result<Self, SettingsError> {
        let config = read_config(options)?;
        let apt_dir = options.apt_dir.clone().unwrap_or_else(|| PathBuf::from("/etc/apt"));
        let sources = apt::read_sources(&apt_dir)
            .map_err(|(path, source)| SettingsError::Read { path, source })?;
        let host = apt::pick(&sources);
        let cache_dir = match options.cache_dir.clone().or(config.cache_dir) {
            Some(dir) => dir,
            None => default_dir("XDG_CACHE_HOME", ".cache").ok_or(SettingsError::NoCacheDir)?,
        };
        let named_mirror = options.mirror.clone().or(config.mirror);
        let named_security = options.security_mirror.clone().or(config.security_mirror);
        let mirrors = mirrors(named_mirror, named_security, &host)?;
        let suites = if options.suites.is_empty() { config.suites } else { options.suites.clone() };
        if let Some(name) = suites.iter().find(|name| !is_suite_name(name)) {
            return Err(SettingsError::Suite { name: name.clone() });
        }
        let keyrings =
            if options.keyrings.is_empty() { config.keyrings } else { options.keyrings.clone() };
        let keyrings =
            if keyrings.is_empty() { host_keyrings(&apt_dir, host.keyrings) } else { keyrings };
        if let Some(path) = keyrings.iter().find(|path| !path.is_file()) {
            return Err(SettingsError::Keyring { path: path.clone() });
        }
        let named =
            if options.sources.is_empty() { config.sources } else { options.sources.clone() };
        let mainline_keyrings = config.ubuntu_mainline_keyrings;
        if let Some(path) = mainline_keyrings.iter().find(|path| !path.is_file()) {
            return Err(SettingsError::Keyring { path: path.clone() });
        }
        let service = |option: &Option<String>, file: Option<String>, standard: &str, signed| {
            let url = option.clone().or(file).unwrap_or_else(|| standard.to_owned());
            service_url(&url, signed)
        };
        let snapshot_url =
            service(&options.snapshot_url, config.snapshot_url, source::SNAPSHOT_URL, false)?;
        let mainline_url = service(
            &options.mainline_url,
            config.ubuntu_mainline_url,
            source::MAINLINE_URL,
            !mainline_keyrings.is_empty(),
        )?;
        Ok(Self {
            sources: if named.is_empty() { vec![Source::Archive] } else { named },
            snapshot_url,
            mainline_url,
            mainline_keyrings,
            proxies: Proxies::of_host(options.apt_dir.as_deref()),
            cache_dir,
            mirrors,
            suites: if suites.is_empty() {
                SuiteChoice::Default
            } else {
                SuiteChoice::Named(suites)
            },
            keyrings,
            arch: "amd64".to_owned(),
            flavour: options
                .flavour
                .clone()
                .or(config.flavour)
                .unwrap_or_else(|| DEFAULT_FLAVOUR.to_owned()),
            allow_expired: options.allow_expired || config.allow_expired_index,
            offline: options.offline,
            refresh: options.refresh,
            redact_patterns: config.redact_patterns,
            secret_patterns: config.secret_patterns,
            slow: config.slow,
            boot: config.boot,
        })
    }

    /// Whether kernels of a source are wanted. The snapshot service brings the archive along, for what
    /// the archive has it has under a signature; the store is always looked into.
    #[must_use]
    pub fn looks_into(&self, source: Source) -> bool {
        let named = |source| self.sources.contains(&source);
        match source {
            Source::Store => true,
            Source::Archive => named(Source::Archive) || named(Source::Snapshot),
            Source::Snapshot | Source::UbuntuMainline => named(source),
        }
    }

    /// Base URL of the archive that holds a suite.
    pub(crate) fn base_url<'a>(&self, mirrors: &'a Mirrors, suite: &str) -> &'a str {
        if is_security(suite) { &mirrors.security } else { &mirrors.main }
    }
}

impl SuiteChoice {
    /// The suites themselves.
    #[must_use]
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

impl SettingsError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoCacheDir => Some("set HOME, or name a directory with --cache".to_owned()),
            Self::Mirror { .. } => {
                Some("give an http:// or https:// URL, such as one from /etc/apt".to_owned())
            }
            Self::Unencrypted { .. } => Some(
                "give an https:// URL (or one of this very host); for Ubuntu's mainline builds \
                 `ubuntu-mainline-keyrings` in config.toml does as well"
                    .to_owned(),
            ),
            Self::Suite { .. } => {
                Some("give a suite such as trixie, trixie-security or experimental".to_owned())
            }
            Self::Keyring { .. } => Some(
                "install the package `debian-archive-keyring`, or name a keyring with --keyring"
                    .to_owned(),
            ),
            Self::Config { .. } => Some("the README lists the keys of config.toml".to_owned()),
            Self::Read { .. } => None,
        }
    }
}

/// `config.toml`. All keys are optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Config {
    cache_dir: Option<PathBuf>,
    mirror: Option<String>,
    security_mirror: Option<String>,
    suites: Vec<String>,
    keyrings: Vec<PathBuf>,
    flavour: Option<String>,
    sources: Vec<Source>,
    snapshot_url: Option<String>,
    ubuntu_mainline_url: Option<String>,
    ubuntu_mainline_keyrings: Vec<PathBuf>,
    allow_expired_index: bool,
    redact_patterns: Vec<String>,
    secret_patterns: Vec<String>,
    #[serde(deserialize_with = "factor")]
    slow: Option<f64>,
    boot: Option<BootWay>,
}

/// From 1 to 1000.
fn factor<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    let factor = f64::deserialize(from)?;
    if (1.0..=1000.0).contains(&factor) {
        return Ok(Some(factor));
    }
    Err(serde::de::Error::custom("`slow` is a number from 1 to 1000"))
}

fn read_config(options: &Options) -> Result<Config, SettingsError> {
    let named = options.config_file.clone();
    let must_exist = named.is_some();
    let standard = || default_dir("XDG_CONFIG_HOME", ".config").map(|dir| dir.join("config.toml"));
    let Some(path) = named.or_else(standard) else { return Ok(Config::default()) };
    match fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
            SettingsError::Config { path, line, reason: error.message().to_owned() }
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => {
            Ok(Config::default())
        }
        Err(source) => Err(SettingsError::Read { path, source }),
    }
}

/// kbisect's own directory by the XDG rules: a relative path in the variable is to be ignored.
fn default_dir(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = absolute(variable).or_else(|| Some(absolute("HOME")?.join(below_home)))?;
    Some(base.join("kbisect"))
}

fn mirrors(
    main: Option<String>,
    security: Option<String>,
    host: &apt::HostMirrors,
) -> Result<Option<Mirrors>, SettingsError> {
    let beside = |main: &str| match main.strip_suffix("/debian") {
        Some(root) => format!("{root}/debian-security"),
        None => main.to_owned(),
    };
    let (main, security) = match (main, security) {
        (Some(main), Some(security)) => (clean_url(&main)?, clean_url(&security)?),
        (Some(main), None) => {
            let main = clean_url(&main)?;
            let security = beside(&main);
            (main, security)
        }
        (None, named) => {
            let named = named.map(|url| clean_url(&url)).transpose()?;
            let Some(main) = host.main.clone() else { return Ok(None) };
            let security = named.or_else(|| host.security.clone()).unwrap_or_else(|| beside(&main));
            (main, security)
        }
    };
    Ok(Some(Mirrors { main, security }))
}

fn clean_url(url: &str) -> Result<String, SettingsError> {
    let usable = (url.starts_with("http://") || url.starts_with("https://"))
        && !url.contains(char::is_whitespace)
        && url.split("://").nth(1).is_some_and(|rest| !rest.starts_with('/') && !rest.is_empty());
    if !usable {
        return Err(SettingsError::Mirror { url: url.to_owned() });
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// The address of a service. Unless its files are signed, nobody may be able to change them on the way.
fn service_url(url: &str, signed: bool) -> Result<String, SettingsError> {
    let url = clean_url(url)?;
    let host = url.split('/').nth(2).unwrap_or_default();
    let host =
        if host.starts_with('[') { host } else { host.split(':').next().unwrap_or_default() };
    let here = matches!(host, "127.0.0.1" | "localhost") || host.starts_with("[::1]");
    if signed || here || url.starts_with("https://") {
        return Ok(url);
    }
    Err(SettingsError::Unencrypted { url })
}

fn is_suite_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && !name.contains("..")
        && !name.ends_with('/')
}

/// The keyrings that apt itself would use for Debian's archive.
fn host_keyrings(apt_dir: &Path, signed_by: Vec<PathBuf>) -> Vec<PathBuf> {
    let debian = Path::new("/").join(DEBIAN_KEYRING);
    let mut files: Vec<PathBuf> = signed_by.into_iter().filter(|path| path.is_file()).collect();
    // An older release's own keyring may lack the keys of a newer one; Debian's holds them all.
    if debian.is_file() && !files.contains(&debian) {
        files.push(debian);
    }
    if files.is_empty() {
        let trusted = fs::read_dir(apt_dir.join("trusted.gpg.d")).into_iter().flatten().flatten();
        files = trusted
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ext| ext == "gpg" || ext == "asc"))
            .collect();
        files.sort();
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(dir: &Path, config: &str) -> Options {
        let config_file = dir.join("config.toml");
        fs::write(&config_file, config).unwrap();
        Options {
            cache_dir: Some(dir.join("cache")),
            apt_dir: Some(dir.join("apt")),
            config_file: Some(config_file),
            ..Options::default()
        }
    }

    #[test]
    fn the_command_line_wins_over_the_file_and_the_file_over_the_host() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("apt")).unwrap();
        fs::write(
            dir.path().join("apt/sources.list"),
            "deb http://host.example/debian bookworm main\n\
             deb http://host.example/debian-security bookworm-security main\n",
        )
        .unwrap();
        let mut options = options(dir.path(), "");
        let mirrors = |options: &Options| Settings::discover(options).unwrap().mirrors.unwrap();
        assert_eq!(mirrors(&options).main, "http://host.example/debian");
        assert_eq!(mirrors(&options).security, "http://host.example/debian-security");
        let config =
            "mirror = 'http://file.example/debian/'\nsuites = ['sid']\nflavour = 'amd64'\n";
        fs::write(options.config_file.as_ref().unwrap(), config).unwrap();
        let settings = Settings::discover(&options).unwrap();
        assert_eq!(settings.mirrors.unwrap().security, "http://file.example/debian-security");
        assert_eq!(settings.suites, SuiteChoice::Named(vec!["sid".to_owned()]));
        assert_eq!(settings.flavour, "amd64");
        options.mirror = Some("https://line.example/pool".to_owned());
        options.suites = vec!["trixie".to_owned()];
        assert_eq!(mirrors(&options).security, "https://line.example/pool");
        let settings = Settings::discover(&options).unwrap();
        assert_eq!(settings.suites.names(), ["trixie"]);
    }

    #[test]
    fn no_apt_configuration_means_no_mirror() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings::discover(&options(dir.path(), "")).unwrap();
        assert_eq!(settings.mirrors, None);
        assert_eq!(settings.flavour, "cloud-amd64");
        assert!(settings.suites.names().contains(&"trixie-security".to_owned()));
    }

    #[test]
    fn sources_are_named_in_the_file_or_on_the_command_line() {
        let dir = tempfile::tempdir().unwrap();
        let mut options = options(dir.path(), "");
        let settings = Settings::discover(&options).unwrap();
        assert!(settings.looks_into(Source::Archive) && settings.looks_into(Source::Store));
        assert!(!settings.looks_into(Source::Snapshot));
        assert_eq!(settings.snapshot_url, "https://snapshot.debian.org");
        let config = "sources = ['ubuntu-mainline']\nsnapshot-url = 'http://127.0.0.1:8/s/'\n\
            ubuntu-mainline-url = 'https://mirror.example/mainline'\n";
        fs::write(options.config_file.as_ref().unwrap(), config).unwrap();
        let settings = Settings::discover(&options).unwrap();
        assert!(settings.looks_into(Source::UbuntuMainline));
        assert!(!settings.looks_into(Source::Archive));
        assert_eq!(settings.snapshot_url, "http://127.0.0.1:8/s");
        options.sources = vec![Source::Snapshot];
        let settings = Settings::discover(&options).unwrap();
        assert!(settings.looks_into(Source::Snapshot) && settings.looks_into(Source::Archive));
        assert!(!settings.looks_into(Source::UbuntuMainline));
        // With a keyring the connection need not be trusted.
        let config = "ubuntu-mainline-url = 'http://mirror.example/m'\n";
        fs::write(options.config_file.as_ref().unwrap(), config).unwrap();
        assert!(matches!(Settings::discover(&options), Err(SettingsError::Unencrypted { .. })));
        let file = options.config_file.clone().unwrap();
        let config = format!("{config}ubuntu-mainline-keyrings = ['{}']\n", file.display());
        fs::write(&file, config).unwrap();
        assert_eq!(Settings::discover(&options).unwrap().mainline_url, "http://mirror.example/m");
        fs::write(&file, "sources = ['snapshots']").unwrap();
        let error = Settings::discover(&options).unwrap_err().to_string();
        assert!(error.contains("line 1") && error.contains("ubuntu-mainline"), "{error}");
    }

    #[test]
    fn bad_options_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let base = options(dir.path(), "");
        let error = |options: Options| Settings::discover(&options).unwrap_err().to_string();
        let mirror = Some("ftp://x/debian".to_owned());
        assert!(error(Options { mirror, ..base.clone() }).contains("`ftp://x/debian`"));
        let suites = vec!["../etc".to_owned()];
        assert!(error(Options { suites, ..base.clone() }).contains("`../etc`"));
        let keyrings = vec![dir.path().join("none.gpg")];
        assert!(error(Options { keyrings, ..base.clone() }).contains("none.gpg"));
        let snapshot_url = Some("http://mirror.example/snapshot".to_owned());
        let unencrypted = error(Options { snapshot_url, ..base.clone() });
        assert!(unencrypted.contains("cannot trust `http://mirror.example"), "{unencrypted}");
        fs::write(base.config_file.as_ref().unwrap(), "miror = 'x'").unwrap();
        assert!(matches!(Settings::discover(&base), Err(SettingsError::Config { .. })));
    }
}
