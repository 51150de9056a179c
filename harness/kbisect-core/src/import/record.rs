//! Objects of `ip -j`, read leniently: versions of iproute2 differ in what is a number and what is
//! a text, and `-N` turns names into numbers.

use serde_json::{Map, Value};

use super::finding::Finding;

/// One object of a dump, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) file: String,
    /// Index from 0 in its array.
    pub(super) index: usize,
    map: Map<String, Value>,
}

impl Record {
    /// Objects of a file: one array, or several one after the other. Empty objects, which `ip`
    /// prints for what its filters leave out, are left out.
    pub(super) fn read_all(file: &str, text: &str) -> Result<Vec<Self>, Finding> {
        let mut records = Vec::new();
        for array in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
            let array = array.map_err(|error| {
                let message = format!("not JSON, column {}: {}", error.column(), reason(&error));
                Finding::at(file, error.line(), message)
            })?;
            let Value::Array(elements) = array else {
                return Err(Finding::new(file, "", "not a list of objects, as `ip -j` writes it"));
            };
            for (index, element) in elements.into_iter().enumerate() {
                match element {
                    Value::Object(map) if map.is_empty() => {}
                    Value::Object(map) => {
                        records.push(Self { file: file.to_owned(), index, map });
                    }
                    _ => return Err(Finding::new(file, &format!("[{index}]"), "not an object")),
                }
            }
        }
        Ok(records)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.map.keys().map(String::as_str)
    }

    /// A text, or a number as one.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        text(self.map.get(key)?)
    }

    /// A number, or a text that is one: decimal, or hexadecimal after `0x`.
    pub(super) fn number(&self, key: &str) -> Option<u32> {
        number(self.map.get(key)?)
    }

    /// Whether a list of words holds one.
    pub(super) fn lists(&self, key: &str, word: &str) -> bool {
        let list = self.map.get(key).and_then(Value::as_array);
        list.is_some_and(|list| list.iter().any(|item| item.as_str() == Some(word)))
    }

    /// The object under a key.
    pub(super) fn object(&self, key: &str) -> Option<Self> {
        self.nested(self.map.get(key)?)
    }

    /// The objects of the list under a key.
    pub(super) fn objects(&self, key: &str) -> Vec<Self> {
        let list = self.map.get(key).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|item| self.nested(item)).collect()
    }

    /// A finding about it; `what` can be empty.
    pub(super) fn finding(&self, what: &str, message: impl Into<String>) -> Finding {
        let blank = if what.is_empty() { "" } else { " " };
        Finding::new(&self.file, &format!("[{}]{blank}{what}", self.index), message)
    }

    fn nested(&self, value: &Value) -> Option<Self> {
        let map = value.as_object()?.clone();
        Some(Self { file: self.file.clone(), index: self.index, map })
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u32> {
    match value {
        Value::Number(number) => number.as_u64()?.try_into().ok(),
        Value::String(text) => parse_number(text),
        _ => None,
    }
}

/// Reads a number as iproute2 writes it.
pub(super) fn parse_number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// serde_json's message without the place that it ends with.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}
