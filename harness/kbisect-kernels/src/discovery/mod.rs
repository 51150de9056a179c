//! Finding out where to look for kernels: the host's apt configuration, kbisect's own file, and options.

mod apt;
mod config;
mod error;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::proxy::Proxies;
use crate::settings::{Mirrors, Service, Settings, SuiteChoice};
use crate::sources::{Source, Trust, implementation};

pub use error::SettingsError;

const DEFAULT_FLAVOUR: &str = "cloud-amd64";
const DEBIAN_KEYRING: &str = "usr/share/keyrings/debian-archive-keyring.gpg";

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
    /// `--snapshot-url` and its like.
    pub urls: Vec<(Source, String)>,
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

impl Settings {
    /// Works out the settings: the host's apt configuration, then kbisect's configuration file,
    /// then `options`; the later ones win.
    ///
    /// # Errors
    /// [`SettingsError`] when a file that exists is unreadable or malformed, or an option is unusable.
    /// No apt configuration is not an error here: [`crate::Catalog::load`] asks for a mirror then.
    pub fn discover(options: &Options) -> Result<Self, SettingsError> {
        let mut config = config::read(options.config_file.as_deref())?;
        let apt_dir = options.apt_dir.clone().unwrap_or_else(|| PathBuf::from("/etc/apt"));
        let sources = apt::read_sources(&apt_dir)
            .map_err(|(path, source)| SettingsError::Read { path, source })?;
        let host = apt::pick(&sources);
        let cache_dir = match options.cache_dir.clone().or(config.cache_dir) {
            Some(dir) => dir,
            None => {
                config::default_dir("XDG_CACHE_HOME", ".cache").ok_or(SettingsError::NoCacheDir)?
            }
        };
        let named_mirror = options.mirror.clone().or(config.mirror);
        let named_security = options.security_mirror.clone().or(config.security_mirror);
        let mirrors = mirrors(named_mirror, named_security, &host)?;
        let suites = if options.suites.is_empty() { config.suites } else { options.suites.clone() };
        if let Some(name) = suites.iter().find(|name| !is_suite_name(name)) {
            return Err(SettingsError::Suite(name.clone()));
        }
        let keyrings =
            if options.keyrings.is_empty() { config.keyrings } else { options.keyrings.clone() };
        let keyrings =
            if keyrings.is_empty() { host_keyrings(&apt_dir, host.keyrings) } else { keyrings };
        check_keyrings(&keyrings)?;
        let named =
            if options.sources.is_empty() { config.sources } else { options.sources.clone() };
        let mut services = BTreeMap::new();
        for source in Source::all() {
            let Some(address) = source.address else { continue };
            let given = options.urls.iter().rfind(|(of, _)| *of == source).map(|(_, url)| url);
            let (url, keyrings) = config.services.remove(source.name).unwrap_or_default();
            let url = given.cloned().or(url).unwrap_or_else(|| address.url.to_owned());
            let service = Service { url: clean_url(&url)?, keyrings };
            check_service(source, &service)?;
            services.insert(source.name, service);
        }
        Ok(Self {
            sources: if named.is_empty() { vec![Source::default()] } else { named },
            services,
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
            pools: config.pools,
            secret_patterns: config.secret_patterns,
            machine: config.machine,
        })
    }
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
        return Err(SettingsError::Mirror(url.to_owned()));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Unless its files are signed, nobody may be able to change them on the way from a service.
fn check_service(source: Source, service: &Service) -> Result<(), SettingsError> {
    check_keyrings(&service.keyrings)?;
    let url = &service.url;
    let host = url.split('/').nth(2).unwrap_or_default();
    let host =
        if host.starts_with('[') { host } else { host.split(':').next().unwrap_or_default() };
    let here = matches!(host, "127.0.0.1" | "localhost") || host.starts_with("[::1]");
    let trust = implementation(source).trust(&service.keyrings);
    if trust < Trust::Connection || here || url.starts_with("https://") {
        return Ok(());
    }
    Err(SettingsError::Unencrypted(url.clone()))
}

fn check_keyrings(files: &[PathBuf]) -> Result<(), SettingsError> {
    match files.iter().find(|path| !path.is_file()) {
        Some(path) => Err(SettingsError::Keyring(path.clone())),
        None => Ok(()),
    }
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
        assert!(settings.looks_into(Source::ARCHIVE) && settings.looks_into(Source::STORE));
        assert!(!settings.looks_into(Source::SNAPSHOT));
        assert_eq!(settings.service(Source::SNAPSHOT).url, "https://snapshot.debian.org");
        let config = "sources = ['ubuntu-mainline']\nsnapshot-url = 'http://127.0.0.1:8/s/'\n\
            ubuntu-mainline-url = 'https://mirror.example/mainline'\n";
        fs::write(options.config_file.as_ref().unwrap(), config).unwrap();
        let settings = Settings::discover(&options).unwrap();
        assert!(settings.looks_into(Source::UBUNTU_MAINLINE));
        assert!(!settings.looks_into(Source::ARCHIVE));
        assert_eq!(settings.service(Source::SNAPSHOT).url, "http://127.0.0.1:8/s");
        options.sources = vec![Source::SNAPSHOT];
        let settings = Settings::discover(&options).unwrap();
        assert!(settings.looks_into(Source::SNAPSHOT) && settings.looks_into(Source::ARCHIVE));
        assert!(!settings.looks_into(Source::UBUNTU_MAINLINE));
        // With a keyring the connection need not be trusted.
        let config = "ubuntu-mainline-url = 'http://mirror.example/m'\n";
        fs::write(options.config_file.as_ref().unwrap(), config).unwrap();
        assert!(matches!(Settings::discover(&options), Err(SettingsError::Unencrypted(..))));
        let file = options.config_file.clone().unwrap();
        let config = format!("{config}ubuntu-mainline-keyrings = ['{}']\n", file.display());
        fs::write(&file, config).unwrap();
        let settings = Settings::discover(&options).unwrap();
        assert_eq!(settings.service(Source::UBUNTU_MAINLINE).url, "http://mirror.example/m");
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
        assert!(error(Options { suites, ..base.clone() }).contains("`../etc` is not the name of"));
        let keyrings = vec![dir.path().join("none.gpg")];
        assert!(error(Options { keyrings, ..base.clone() }).contains("none.gpg"));
        let urls = vec![(Source::SNAPSHOT, "http://mirror.example/snapshot".to_owned())];
        let unencrypted = error(Options { urls, ..base.clone() });
        assert!(unencrypted.contains("cannot trust `http://mirror.example"), "{unencrypted}");
        fs::write(base.config_file.as_ref().unwrap(), "miror = 'x'").unwrap();
        assert!(matches!(Settings::discover(&base), Err(SettingsError::Config { .. })));
        let unknown = error(base.clone());
        assert!(unknown.contains("`mirror`") && unknown.contains("`snapshot-url`"), "{unknown}");
        fs::write(base.config_file.as_ref().unwrap(), "mirror = 'x'\nsnapshot-url = 1").unwrap();
        let typed = error(base.clone());
        assert!(typed.contains("line 2") && !typed.contains("`snapshot-url`"), "{typed}");
    }
}
