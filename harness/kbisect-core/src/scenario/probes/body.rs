//! What the body of an HTTP answer must be like.

use serde::{Deserialize, Serialize};

use super::super::cursor::Table;
use super::super::kept_rules::{Checked, within};

/// Largest body that a check can ask for: the guest holds it in memory.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// What a body must be like; nothing set means that it is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Body {
    /// The whole body after trimming white space at both ends.
    pub equals: Option<String>,
    /// A part of it.
    pub contains: Option<String>,
    /// Its length in bytes.
    pub bytes: Option<u64>,
}

impl Body {
    /// Reads the table under `body`; none asks for nothing.
    pub(super) fn read(table: &Table<'_>) -> Self {
        let Some(table) = table.get("body").and_then(|item| item.table()) else {
            return Self::default();
        };
        let text = |key| table.get(key).and_then(|item| item.text()).map(str::to_owned);
        let body = Self {
            equals: text("equals"),
            contains: text("contains"),
            bytes: table.get("bytes").and_then(|item| item.number(0..=MOST_BYTES)),
        };
        table.finish();
        body
    }

    pub(super) fn check_kept(&self, key: &str) -> Checked {
        match self.bytes {
            Some(bytes) => within(key, bytes, 0..=MOST_BYTES),
            None => Ok(()),
        }
    }

    /// Whether nothing is asked of the body.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The text that is looked for.
    pub(super) fn expected(&self) -> &str {
        self.equals.as_deref().or(self.contains.as_deref()).unwrap_or_default()
    }
}

/// The first line of a text, for people.
pub(super) fn first_line(text: &str) -> String {
    text.trim().lines().next().unwrap_or_default().chars().take(200).collect()
}
