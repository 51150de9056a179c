//! What goes into an image: `images/NAME/image.toml`, read and checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Part of every key: raised when the builder makes something else of the same definition.
const BUILDER_VERSION: u32 = 2;
/// Debian's name for the one architecture that is supported.
pub(super) const ARCHITECTURE: &str = "amd64";
/// File that defines an image, in the image's folder.
const FILE: &str = "image.toml";
/// The definition that the program carries with it.
const BUILT_IN: &str = include_str!("../../../../images/default/image.toml");
/// The compiler of a release, which is put in for this word.
const TOOLCHAIN: &str = include_str!("../../../../images/toolchain/image.toml");
const SUITE: &str = "SUITE";

/// The checked content of one `image.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageDefinition {
    text: String,
    pub(super) content: Content,
}

/// How the squashfs blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Cheapest to unpack; the kernel needs `SQUASHFS_LZ4`.
    Lz4,
    /// Smaller, dearer to unpack; the kernel needs `SQUASHFS_ZSTD`.
    Zstd,
    /// For kernels whose squashfs has no decompressor at all.
    None,
}

/// Why a definition was refused; the message names file, line and key.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The file cannot be read.
    #[error("cannot read image definition `{}`", .path.display())]
    Read {
        /// The `image.toml`.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("{place}: {message}")]
    Toml {
        /// `FILE:LINE` and, when it is known, the key.
        place: String,
        /// What is wrong there.
        message: String,
    },
    /// A value that cannot be used.
    #[error("{file}: key `{key}`: {message}")]
    Value {
        /// The `image.toml`.
        file: String,
        /// The offending key.
        key: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Content {
    pub(super) suite: String,
    #[serde(default)]
    pub(super) security: bool,
    pub(super) compression: Compression,
    pub(super) packages: Vec<String>,
    #[serde(default = "yes")]
    pub(super) merged_usr: bool,
    #[serde(default)]
    pub(super) exclude: Vec<String>,
    #[serde(default)]
    pub(super) remove: Vec<String>,
    #[serde(default)]
    pub(super) directories: Vec<String>,
    #[serde(default)]
    pub(super) files: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

impl ImageDefinition {
    /// Returns the definition that the program was built with, `images/default`.
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN, "images/default/image.toml")
            .expect("a unit test parses the built-in definition")
    }

    /// Returns the definition of a root with the compiler of a Debian release.
    ///
    /// # Errors
    /// What is no code name of a release.
    pub fn toolchain(suite: &str) -> Result<Self, DefinitionError> {
        let is_name = !suite.is_empty() && suite.bytes().all(|byte| byte.is_ascii_lowercase());
        let text = TOOLCHAIN.replace(SUITE, if is_name { suite } else { "" });
        Self::parse(&text, "images/toolchain/image.toml")
    }

    /// Reads the definition in folder `directory`.
    ///
    /// # Errors
    /// When `image.toml` there cannot be read, or holds something that cannot be used.
    pub fn load(directory: &Path) -> Result<Self, DefinitionError> {
        let path = directory.join(FILE);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| DefinitionError::Read { path: path.clone(), source })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Parses and checks `text`; `file` is what errors call it.
    ///
    /// # Errors
    /// As [`ImageDefinition::load`], but for reading.
    pub fn parse(text: &str, file: &str) -> Result<Self, DefinitionError> {
        let content: Content =
            toml::from_str(text).map_err(|error| toml_error(text, file, &error))?;
        check(&content, file)?;
        Ok(Self { text: text.to_owned(), content })
    }

    /// Returns the definition with packages more, of the same archive. Those that it names already
    /// change nothing.
    ///
    /// # Errors
    /// Names that are none.
    pub fn with_packages(mut self, packages: &[String]) -> Result<Self, DefinitionError> {
        let mut more: Vec<&String> =
            packages.iter().filter(|name| !self.content.packages.contains(name)).collect();
        more.sort();
        more.dedup();
        for package in more {
            // The key is a hash of the text.
            self.text += &format!("# and {package}\n");
            self.content.packages.push(package.clone());
        }
        check(&self.content, "image")?;
        Ok(self)
    }

    /// Returns the image's key: a hash of the definition, the builder's version and the
    /// architecture. Mirrors are no part of it: they serve the same signed packages.
    pub fn key(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("kbisect image builder {BUILDER_VERSION}\n{ARCHITECTURE}\n"));
        hash.update(&self.text);
        hex::encode(hash.finalize())
    }

    /// Returns the Debian release it is pinned to, such as `bookworm`.
    pub fn suite(&self) -> &str {
        &self.content.suite
    }
}

fn toml_error(text: &str, file: &str, error: &toml::de::Error) -> DefinitionError {
    let Some(span) = error.span() else {
        return DefinitionError::Toml {
            place: file.to_owned(),
            message: error.message().to_owned(),
        };
    };
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let key = text
        .lines()
        .nth(line - 1)
        .and_then(|line| line.split_once('='))
        .map(|(key, _)| format!(", key `{}`", key.trim().trim_matches('"')))
        .unwrap_or_default();
    DefinitionError::Toml {
        place: format!("{file}:{line}{key}"),
        message: error.message().replace('\n', " "),
    }
}

fn check(content: &Content, file: &str) -> Result<(), DefinitionError> {
    let refuse = |key, message| Err(DefinitionError::Value { file: file.to_owned(), key, message });
    let suite = content.suite.as_str();
    if suite.is_empty() || !suite.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
        return refuse("suite", format!("`{suite}` is not the code name of a Debian release"));
    }
    if content.packages.is_empty() {
        return refuse("packages", "no package is named".to_owned());
    }
    let mut seen = BTreeSet::new();
    for package in &content.packages {
        if !is_package_name(package) {
            return refuse("packages", format!("`{package}` is not a package name"));
        }
        if !seen.insert(package) {
            return refuse("packages", format!("`{package}` is listed twice"));
        }
    }
    let paths = [
        ("exclude", content.exclude.iter().collect::<Vec<_>>()),
        ("remove", content.remove.iter().collect()),
        ("directories", content.directories.iter().collect()),
        ("files", content.files.keys().collect()),
    ];
    for (key, paths) in paths {
        if let Some(path) = paths.iter().find(|path| !is_plain_path(path)) {
            return refuse(
                key,
                format!("`{path}` is not an absolute path without `.`, `..` and blanks"),
            );
        }
    }
    Ok(())
}

/// Debian policy 5.6.1: lower-case letters, digits, `+ - .`, at least two characters.
fn is_package_name(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

/// Shell patterns (`*`, `?`, `[`) are allowed; they are expanded below the image's root only.
fn is_plain_path(path: &str) -> bool {
    path.len() > 1
        && path.starts_with('/')
        && path.bytes().all(|b| b.is_ascii_graphic() && !b"'\"\\$`;&|<>(){}".contains(&b))
        && path[1..].split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "suite = \"bookworm\"\ncompression = \"lz4\"\npackages = [\"kmod\"]\n";

    #[test]
    fn more_packages_make_another_image() {
        let plain = ImageDefinition::parse(SMALL, "image.toml").unwrap();
        let with = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            plain.clone().with_packages(&names)
        };
        assert_eq!(with(&["kmod"]).unwrap(), plain, "it has that one");
        let more = with(&["socat", "haproxy"]).unwrap();
        assert_ne!(more.key(), plain.key());
        assert_eq!(more.content.packages, ["kmod", "haproxy", "socat"]);
        assert_eq!(with(&["haproxy", "socat", "haproxy"]).unwrap().key(), more.key());
        assert!(with(&["--option"]).is_err());
    }

    fn error(text: &str) -> String {
        ImageDefinition::parse(text, "image.toml").unwrap_err().to_string()
    }

    #[test]
    fn the_built_in_definition_is_valid_and_holds_what_scenarios_need() {
        let definition = ImageDefinition::built_in();
        assert_eq!(definition.suite(), "bookworm");
        for package in [
            "iproute2",
            "nftables",
            "iptables",
            "conntrack",
            "tcpdump",
            "curl",
            "socat",
            "nginx-light",
            "iperf3",
            "keepalived",
            "dnsmasq-base",
            "busybox",
            "python3-minimal",
        ] {
            assert!(definition.content.packages.iter().any(|p| p == package), "{package}");
        }
    }

    #[test]
    fn each_release_has_a_toolchain_of_its_own() {
        let bullseye = ImageDefinition::toolchain("bullseye").unwrap();
        assert_eq!(bullseye.suite(), "bullseye");
        assert!(bullseye.content.packages.iter().any(|package| package == "gcc"));
        assert_ne!(bullseye.key(), ImageDefinition::toolchain("bookworm").unwrap().key());
        for wrong in ["", "Debian 11", "a\"b", "\n"] {
            assert!(ImageDefinition::toolchain(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_key_follows_the_definition() {
        let key = |text: &str| ImageDefinition::parse(text, "x").unwrap().key();
        let first = key(SMALL);
        assert_eq!(first.len(), 64);
        assert_eq!(first, ImageDefinition::parse(SMALL, "elsewhere").unwrap().key());
        assert_ne!(first, key(&SMALL.replace("kmod", "procps")));
        assert_ne!(first, key(&SMALL.replace("lz4", "zstd")));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let message = error(&format!("{SMALL}pakages = []\n"));
        assert!(message.starts_with("image.toml:4, key `pakages`: "), "{message}");
        assert!(message.contains("unknown field"), "{message}");
    }

    #[test]
    fn a_wrong_type_names_line_and_key() {
        let message = error(&SMALL.replace("[\"kmod\"]", "7"));
        assert!(message.starts_with("image.toml:3, key `packages`: "), "{message}");
    }

    #[test]
    fn broken_toml_names_the_line() {
        assert!(error("suite = \"bookworm\"\n[[[\n").starts_with("image.toml:2"));
    }

    #[test]
    fn values_that_cannot_be_used_are_refused() {
        let cases = [
            ("\"bookworm\"", "\"Debian 12\"", "key `suite`: `Debian 12`"),
            ("[\"kmod\"]", "[]", "key `packages`: no package"),
            ("[\"kmod\"]", "[\"kmod; reboot\"]", "`kmod; reboot` is not a package name"),
            ("[\"kmod\"]", "[\"kmod\", \"kmod\"]", "`kmod` is listed twice"),
        ];
        for (from, to, expected) in cases {
            let message = error(&SMALL.replace(from, to));
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn paths_stay_below_the_root_and_cannot_carry_commands() {
        for path in ["/etc/../../home", "etc", "/", "/a b", "/a;reboot", "/$HOME", "/a//b"] {
            let message = error(&format!("{SMALL}remove = [\"{path}\"]\n"));
            assert!(message.contains(&format!("key `remove`: `{path}`")), "{message}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let message = ImageDefinition::load(directory.path()).unwrap_err().to_string();
        assert!(message.contains("image.toml"), "{message}");
    }
}
