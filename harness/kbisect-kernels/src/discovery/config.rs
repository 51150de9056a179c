//! `config.toml`.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kbisect_core::options::{MachineChoices, OPTIONS};
use serde::Deserialize;
use toml::Value;
use toml::de::{DeTable, Deserializer, ValueDeserializer};

use super::error::SettingsError;
use crate::settings::NamedPool;
use crate::sources::Source;

/// `config.toml`. All keys are optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    pub cache_dir: Option<PathBuf>,
    pub mirror: Option<String>,
    pub security_mirror: Option<String>,
    pub suites: Vec<String>,
    pub keyrings: Vec<PathBuf>,
    pub flavour: Option<String>,
    pub sources: Vec<Source>,
    pub allow_expired_index: bool,
    pub redact_patterns: Vec<String>,
    pub secret_patterns: Vec<String>,
    pub pools: BTreeMap<String, NamedPool>,
    /// Keys of the options of machines.
    #[serde(skip)]
    pub machine: MachineChoices,
    /// `NAME-url` and `NAME-keyrings` of sources.
    #[serde(skip)]
    pub services: BTreeMap<&'static str, (Option<String>, Vec<PathBuf>)>,
}

/// Reads the file that was named, else the one at its place, which need not be there.
pub fn read(named: Option<&Path>) -> Result<Config, SettingsError> {
    let standard = || default_dir("XDG_CONFIG_HOME", ".config").map(|dir| dir.join("config.toml"));
    let Some(path) = named.map(Path::to_owned).or_else(standard) else {
        return Ok(Config::default());
    };
    match fs::read_to_string(&path) {
        Ok(text) => parse(&text).map_err(|(at, reason)| {
            let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
            SettingsError::Config { path, line, reason }
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {
            Ok(Config::default())
        }
        Err(source) => Err(SettingsError::Read { path, source }),
    }
}

/// Sources and options of machines say which keys are theirs; all others are [`Config`]'s. An error is told with its place.
fn parse(text: &str) -> Result<Config, (usize, String)> {
    let told = |error: toml::de::Error| {
        (error.span().map_or(0, |span| span.start), error.message().to_owned())
    };
    let mut table = DeTable::parse(text).map_err(told)?;
    let places: Vec<usize> = table.get_ref().keys().map(|key| key.span().start).collect();
    let (mut services, mut known) = (BTreeMap::new(), String::new());
    for source in Source::all() {
        let mut take = |key: &str| {
            known += &format!(", `{key}`");
            table.get_mut().remove(key).map(ValueDeserializer::from)
        };
        let url = source.address.and_then(|address| take(address.option));
        let url = url.map(String::deserialize).transpose().map_err(told)?;
        let keyrings = source.keyrings_key.and_then(&mut take);
        let keyrings = keyrings.map(Vec::deserialize).transpose().map_err(told)?;
        services.insert(source.name, (url, keyrings.unwrap_or_default()));
    }
    let mut machine = MachineChoices::default();
    for option in OPTIONS.iter().filter(|option| option.in_config) {
        known += &format!(", `{}`", option.name);
        let Some(value) = table.get_mut().remove(option.name) else { continue };
        let at = value.span().start;
        let value = Value::deserialize(ValueDeserializer::from(value)).map_err(told)?;
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (option.set)(&mut machine, &value)
            .map_err(|why| (at, format!("`{}`: {why}", option.name)))?;
    }
    let config = Config::deserialize(Deserializer::from(table)).map_err(|error| {
        let (at, message) = told(error);
        // What is wrong with a key is that it is unknown; those that are known are listed.
        let more = if places.contains(&at) { known } else { String::new() };
        (at, message + &more)
    })?;
    Ok(Config { machine, services, ..config })
}

/// kbisect's own directory by the XDG rules: a relative path in the variable is to be ignored.
pub fn default_dir(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = absolute(variable).or_else(|| Some(absolute("HOME")?.join(below_home)))?;
    Some(base.join("kbisect"))
}
