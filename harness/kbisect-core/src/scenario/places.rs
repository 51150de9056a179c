//! Key paths of a TOML document and where they stand in its text.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::Problem;

/// Where every key and array element of one file stands.
#[derive(Clone, Debug)]
pub(super) struct Places {
    file: String,
    /// Byte offset at which each line starts.
    line_starts: Vec<usize>,
    text: String,
    offsets: BTreeMap<String, usize>,
}

impl Places {
    /// Indexes `table`, which was parsed from `text`.
    pub(super) fn new(file: &str, text: &str, table: &DeTable<'_>) -> Self {
        let mut places = Self::of_text(file, text);
        places.walk_table("", table);
        places
    }

    /// Knows lines and columns, but no keys: for a text that is not TOML.
    pub(super) fn of_text(file: &str, text: &str) -> Self {
        let line_starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file: file.to_owned(), line_starts, text: text.to_owned(), offsets: BTreeMap::new() }
    }

    /// A finding about `key`, or about its nearest parent that the file has.
    pub(super) fn problem(&self, key: &str, message: String) -> Problem {
        self.problem_at(self.offset(key), key, message)
    }

    /// A finding at a byte offset.
    pub(super) fn problem_at(&self, offset: usize, key: &str, message: String) -> Problem {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts[line - 1];
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        Problem { file: self.file.clone(), line, column, key: key.to_owned(), message }
    }

    /// The line of `key`, from 1.
    pub(super) fn line(&self, key: &str) -> u32 {
        u32::try_from(self.problem(key, String::new()).line).unwrap_or(u32::MAX)
    }

    /// Whether the file has the key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.offsets.contains_key(key)
    }

    fn offset(&self, key: &str) -> usize {
        let mut path = key;
        loop {
            if let Some(offset) = self.offsets.get(path) {
                return *offset;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return 0,
            }
        }
    }

    fn walk_table(&mut self, path: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = join(path, key.get_ref());
            self.offsets.insert(path.clone(), key.span().start);
            self.walk_value(&path, value.get_ref());
        }
    }

    fn walk_value(&mut self, path: &str, value: &DeValue<'_>) {
        match value {
            DeValue::Table(table) => self.walk_table(path, table),
            DeValue::Array(array) => {
                for (index, element) in array.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.offsets.insert(path.clone(), element.span().start);
                    self.walk_value(&path, element.get_ref());
                }
            }
            _ => {}
        }
    }
}

/// The path of `key` under `parent`, quoted as TOML wants it.
pub(super) fn join(parent: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let key = if bare { key.to_owned() } else { format!("{key:?}") };
    if parent.is_empty() { key } else { format!("{parent}.{key}") }
}
