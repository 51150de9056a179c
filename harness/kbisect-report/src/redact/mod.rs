//! Placeholders for what must not leave the house, the same ones in all files of a run.
//!
//! A [`Redactor`] is made from all files of a run, and then applied to each of them. What cannot be
//! read as text or as a capture of this program cannot be redacted, and is left out.

mod addresses;
mod capture;
mod text;

use std::collections::BTreeMap;

use regex::Regex;

pub use text::{PatternError, pattern};

use addresses::{Addresses, Found};

/// What is to be replaced beyond addresses.
#[derive(Clone, Debug, Default)]
pub struct RedactRules {
    /// Patterns; each text that matches gets a placeholder.
    pub patterns: Vec<Regex>,
    /// Host and user names that are known, such as that of this machine.
    pub names: Vec<String>,
}

/// Replaces addresses, names and patterns.
#[derive(Clone, Debug)]
pub struct Redactor {
    rules: RedactRules,
    addresses: Addresses,
    /// Host names, longest first, and their placeholders.
    names: Vec<(String, String)>,
    /// Texts that matched a pattern, and their placeholders.
    matched: BTreeMap<String, String>,
    /// How often each text was replaced: old, new, count.
    replaced: BTreeMap<(String, String), usize>,
}

/// A file after redaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redacted {
    /// Its new content.
    Content(Vec<u8>),
    /// It cannot be redacted: why.
    LeftOut(&'static str),
}

impl Redactor {
    /// Makes the placeholders from all files of a run.
    pub fn new<'a>(rules: RedactRules, files: impl IntoIterator<Item = &'a [u8]> + Clone) -> Self {
        let mut found = Found::default();
        let mut names = text::Names::new(&rules.names);
        for bytes in files.clone() {
            if capture::is_ours(bytes) {
                capture::collect(bytes, &mut found);
            } else if let Ok(text) = std::str::from_utf8(bytes) {
                text::collect(text, &mut found);
                names.collect(text);
            }
        }
        let mut redactor = Self {
            addresses: Addresses::new(&found),
            names: names.numbered(),
            rules,
            matched: BTreeMap::new(),
            replaced: BTreeMap::new(),
        };
        let mut matched: Vec<String> = Vec::new();
        for text in files.into_iter().filter_map(|bytes| std::str::from_utf8(bytes).ok()) {
            for pattern in &redactor.rules.patterns {
                let hits = pattern.find_iter(text).map(|hit| hit.as_str().to_owned());
                matched.extend(hits.filter(|hit| !hit.is_empty()));
            }
        }
        matched.sort();
        matched.dedup();
        for (number, text) in matched.into_iter().enumerate() {
            redactor.matched.insert(text, format!("[redacted-{}]", number + 1));
        }
        redactor
    }

    /// Redacts a file.
    pub fn file(&mut self, bytes: &[u8]) -> Redacted {
        if capture::is_ours(bytes) {
            return match capture::rewritten(bytes, &self.addresses) {
                Some(bytes) => Redacted::Content(bytes),
                None => Redacted::LeftOut("a capture that is damaged cannot be redacted"),
            };
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Redacted::Content(self.text(text).into_bytes()),
            // Consoles hold what the guest printed; what is no text becomes a sign for that.
            Err(_) if is_nearly_text(bytes) => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                Redacted::Content(self.text(&text).into_bytes())
            }
            Err(_) => Redacted::LeftOut("it is neither text nor a capture of this program"),
        }
    }

    /// Redacts a text.
    pub fn text(&mut self, text: &str) -> String {
        text::redact(self, text)
    }

    /// What was replaced so far: old, new, how often.
    pub fn replaced(&self) -> impl Iterator<Item = (&str, &str, usize)> {
        self.replaced.iter().map(|((old, new), count)| (old.as_str(), new.as_str(), *count))
    }

    fn note(&mut self, old: &str, new: &str) {
        *self.replaced.entry((old.to_owned(), new.to_owned())).or_default() += 1;
    }
}

/// Whether bytes are text but for a few: a console, not an archive.
fn is_nearly_text(bytes: &[u8]) -> bool {
    let strange = bytes.iter().filter(|byte| **byte == 0 || **byte >= 0x80).count();
    strange * 10 <= bytes.len()
}
