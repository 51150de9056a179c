//! The files that a scenario names.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::cursor::Item;
use super::words;

/// A place of the scenario file that names one of the scenario's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetRef {
    /// Path relative to the scenario's folder; a file, or a folder when a command names one.
    pub path: String,
    /// Key path of the place, `setup[0].nft`.
    pub key: String,
}

impl AssetRef {
    /// Reads a value that is an asset's path and notes the reference.
    pub(super) fn read(item: &Item<'_>, assets: &mut Vec<Self>) -> Option<String> {
        let path = item.parsed(words::asset_path)?;
        assets.push(Self { path: path.clone(), key: item.path.clone() });
        Some(path)
    }

    /// Notes every `{assets}/PATH` and `$KBISECT_ASSETS/PATH` in a text.
    pub(super) fn scan(item: &Item<'_>, assets: &mut Vec<Self>) {
        static MENTION: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r#"(?:\{assets\}|\$KBISECT_ASSETS|\$\{KBISECT_ASSETS\})"?(?:/([A-Za-z0-9._/+@-]*))?"#)
                .expect("the expression is constant")
        });
        if !item.is_text() {
            return;
        }
        let text = item.text().unwrap_or_default();
        for found in MENTION.captures_iter(text) {
            let path = found.get(1).map_or("", |path| path.as_str());
            let path = path.trim_end_matches(['/', '.']);
            match words::asset_path(path) {
                _ if path.is_empty() => {
                    assets.push(Self { path: String::new(), key: item.path.clone() });
                }
                Ok(path) => assets.push(Self { path, key: item.path.clone() }),
                Err(message) => item.wrong(message),
            }
        }
    }

    /// Reads a shell text and notes the files that it names.
    pub(super) fn script(item: &Item<'_>, assets: &mut Vec<Self>) -> Option<String> {
        Self::scan(item, assets);
        item.parsed(words::script)
    }

    pub(super) fn is_in(&self, files: &BTreeMap<String, Vec<u8>>) -> bool {
        self.path.is_empty() || files.keys().any(|file| self.covers(file))
    }

    /// Whether this names `file`, a folder above it, or the whole folder (an empty path).
    pub(super) fn covers(&self, file: &str) -> bool {
        self.path.is_empty()
            || file
                .strip_prefix(&self.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}
