//! A view of a TOML document that notes every finding with its key and goes on.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::de::{DeTable, DeValue};

use super::Problem;
use super::places::{Places, join};
use super::suggest::{choices, nearest, quoted};

/// Collects what was found in one file.
pub(super) struct Findings {
    pub(super) places: Places,
    problems: RefCell<Vec<Problem>>,
}

impl Findings {
    pub(super) fn new(places: Places) -> Self {
        Self { places, problems: RefCell::default() }
    }

    /// Notes an error at a key path.
    pub(super) fn wrong(&self, key: &str, message: impl Into<String>) {
        self.problems.borrow_mut().push(self.places.problem(key, message.into()));
    }

    /// Gives the index and the errors, sorted by place.
    pub(super) fn into_parts(self) -> (Places, Vec<Problem>) {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        (self.places, problems)
    }
}

/// A table and its key path.
pub(super) struct Table<'a> {
    pub(super) findings: &'a Findings,
    pub(super) path: String,
    table: &'a DeTable<'a>,
    asked: RefCell<BTreeSet<&'static str>>,
}

/// A value and its key path.
#[derive(Clone)]
pub(super) struct Item<'a> {
    pub(super) findings: &'a Findings,
    pub(super) path: String,
    value: &'a DeValue<'a>,
}

impl<'a> Table<'a> {
    pub(super) fn new(findings: &'a Findings, path: String, table: &'a DeTable<'a>) -> Self {
        Self { findings, path, table, asked: RefCell::default() }
    }

    /// The value under `key`, if the file has it.
    pub(super) fn get(&self, key: &'static str) -> Option<Item<'a>> {
        self.asked.borrow_mut().insert(key);
        self.entries().find(|(name, _)| *name == key).map(|(_, item)| item)
    }

    /// The value under `key`; its absence is an error that says what belongs there.
    pub(super) fn require(&self, key: &'static str, what: &str) -> Option<Item<'a>> {
        let item = self.get(key);
        // A slip in the key's name is reported as an unknown key; that says enough.
        if item.is_none() && !self.has_near(&[key]) {
            self.wrong(format!("`{key}` is missing: {what}"));
        }
        item
    }

    /// The only one of `keys` that is there; none or several are an error.
    pub(super) fn exactly_one(&self, keys: &[&'static str]) -> Option<(&'static str, Item<'a>)> {
        let found: Vec<_> =
            keys.iter().filter_map(|key| self.get(key).map(|item| (*key, item))).collect();
        match found.len() {
            1 => found.into_iter().next(),
            0 => {
                if !self.has_near(keys) {
                    self.wrong(format!("one of {} is needed", quoted(keys)));
                }
                None
            }
            _ => {
                let names: Vec<&str> = found.iter().map(|(key, _)| *key).collect();
                found[1].1.wrong(format!(
                    "only one of {} can be set here, not {}",
                    quoted(keys),
                    quoted(&names)
                ));
                None
            }
        }
    }

    fn has_near(&self, keys: &[&str]) -> bool {
        self.entries().any(|(key, _)| nearest(key, keys).is_some())
    }

    /// All entries, for a table whose keys are names.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Item<'a>)> {
        let (findings, path) = (self.findings, self.path.clone());
        self.table.iter().map(move |(key, value)| {
            let key: &str = key.get_ref();
            (key, Item { findings, path: join(&path, key), value: value.get_ref() })
        })
    }

    /// Refuses every key that was not asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        for (key, item) in self.entries() {
            if !asked.contains(key) {
                let known = choices(key, asked.iter().copied());
                item.wrong(format!("unknown key (known here: {known})"));
            }
        }
    }

    /// The line on which the table begins, from 1.
    pub(super) fn line(&self) -> u32 {
        self.findings.places.line(&self.path)
    }

    /// Notes an error about the table as a whole.
    pub(super) fn wrong(&self, message: impl Into<String>) {
        self.findings.wrong(&self.path, message);
    }
}

impl<'a> Item<'a> {
    /// Notes an error about this value.
    pub(super) fn wrong(&self, message: impl Into<String>) {
        self.findings.wrong(&self.path, message);
    }

    fn wrong_type(&self, wanted: &str) {
        self.wrong(format!("must be {wanted}, not {}", kind(self.value)));
    }

    pub(super) fn table(&self) -> Option<Table<'a>> {
        if let DeValue::Table(table) = self.value {
            return Some(Table::new(self.findings, self.path.clone(), table));
        }
        self.wrong_type("a table");
        None
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        if let DeValue::String(text) = self.value {
            return Some(text);
        }
        self.wrong_type("a text");
        None
    }

    /// A text that `rule` accepts; the rule's error is the message.
    pub(super) fn parsed<T>(&self, rule: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match rule(self.text()?) {
            Ok(value) => Some(value),
            Err(message) => {
                self.wrong(message);
                None
            }
        }
    }

    /// One word of a closed set.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        self.parsed(|text| {
            let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
            found.ok_or_else(|| {
                let known = choices(text, words.iter().map(|(word, _)| *word));
                format!("`{text}` is not allowed here (allowed: {known})")
            })
        })
    }

    /// A truth value.
    pub(super) fn truth(&self) -> Option<bool> {
        if let DeValue::Boolean(value) = self.value {
            return Some(*value);
        }
        self.wrong_type("`true` or `false`");
        None
    }

    /// A whole number within limits.
    pub(super) fn number<T>(&self, limits: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let (low, high) = (*limits.start(), *limits.end());
        let DeValue::Integer(given) = self.value else {
            self.wrong_type(&format!("a whole number from {low} to {high}"));
            return None;
        };
        let number = self.integer().and_then(|number| T::try_from(number).ok());
        let number = number.filter(|number| limits.contains(number));
        if number.is_none() {
            let given = given.to_string();
            self.wrong(format!(
                "must be from {low} to {high}, not {}",
                super::words::shown(&given)
            ));
        }
        number
    }

    /// The value as a 64-bit integer, or nothing and no finding.
    pub(super) fn integer(&self) -> Option<i64> {
        match self.value {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        }
    }

    /// Whether the value is an array.
    pub(super) fn is_array(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    /// Whether the value is a text.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }

    /// A positive time in seconds within limits.
    pub(super) fn seconds(&self, limits: RangeInclusive<f64>) -> Option<f64> {
        let (low, high) = limits.clone().into_inner();
        let seconds = match self.value {
            // Seconds that matter are far below 2^53.
            DeValue::Integer(_) => self.integer().map(|number| number as f64),
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            _ => {
                self.wrong_type(&format!("a number of seconds from {low} to {high}"));
                return None;
            }
        };
        // NaN is in no range.
        match seconds.filter(|seconds| limits.contains(seconds)) {
            Some(seconds) => Some(seconds),
            None => {
                self.wrong(format!("must be from {low} to {high} seconds"));
                None
            }
        }
    }

    /// The elements of an array.
    pub(super) fn elements(&self) -> Vec<Item<'a>> {
        let DeValue::Array(array) = self.value else {
            self.wrong_type("an array");
            return Vec::new();
        };
        let element = |(index, value): (usize, &'a toml::Spanned<DeValue<'a>>)| Item {
            findings: self.findings,
            path: format!("{}[{index}]", self.path),
            value: value.get_ref(),
        };
        array.iter().enumerate().map(element).collect()
    }

    /// The texts of an array that `rule` accepts.
    pub(super) fn list<T>(&self, rule: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        self.elements().iter().filter_map(|element| element.parsed(&rule)).collect()
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "a truth value",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
