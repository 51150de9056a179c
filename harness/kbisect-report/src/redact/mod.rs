//! Placeholders for what must not leave the house, the same ones in all files of a run.
//!
//! A [`Survey`] looks at all files of a run, whatever their size, and becomes a [`Redactor`], which is
//! then applied to each of them. What cannot be
//! read as text or as a capture of this program cannot be redacted, and is left out.

mod addresses;
mod capture;
mod forms;
pub(crate) mod pieces;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, Write};

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
    /// Addresses of pages whose hosts are replaced, also where they have no domain: mirrors.
    pub mirrors: Vec<String>,
}

/// Replaces addresses, names and patterns.
#[derive(Clone, Debug)]
pub struct Redactor {
    addresses: Addresses,
    /// Host names, longest first, and their placeholders.
    names: Vec<(String, String)>,
    /// Texts that matched a pattern, and their placeholders.
    matched: BTreeMap<String, String>,
    /// How often each text was replaced: old, new, count.
    replaced: BTreeMap<(String, String), usize>,
}

/// What is read twice: to see what it is, and then for what it holds.
pub trait Rereadable: Read + Seek {}

impl<T: Read + Seek> Rereadable for T {}

/// What the files of a run are searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Host names with a domain: a single word can be a node of a scenario.
    WithDomain,
    /// Also single words in addresses of pages.
    All,
}

/// A redactor in the making: it has to see everything first.
pub struct Survey {
    rules: RedactRules,
    found: Found,
    names: text::Names,
    matched: BTreeSet<String>,
}

impl Survey {
    /// Begins one.
    pub fn new(rules: RedactRules) -> Self {
        let mut names = text::Names::new(&rules.names);
        for mirror in &rules.mirrors {
            names.collect_hosts(mirror);
        }
        let mut survey = Self { found: Found::default(), names, matched: BTreeSet::new(), rules };
        for mirror in survey.rules.mirrors.clone() {
            survey.text(&mirror, Hosts::All);
        }
        survey
    }

    /// Takes note of what a text holds.
    pub fn text(&mut self, text: &str, hosts: Hosts) {
        let plain = text::without_escapes(text);
        text::collect(&plain, &mut self.found);
        match hosts {
            Hosts::WithDomain => self.names.collect(&plain),
            Hosts::All => self.names.collect_hosts(&plain),
        }
        for pattern in &self.rules.patterns {
            let hits = pattern.find_iter(text).map(|hit| hit.as_str().to_owned());
            self.matched.extend(hits.filter(|hit| !hit.is_empty()));
        }
    }

    /// Takes note of what a file holds, whatever its size. What can be neither read as a text nor as a
    /// capture is passed over: it will be left out.
    pub fn file(&mut self, source: &mut dyn Rereadable, hosts: Hosts) -> io::Result<()> {
        match Form::of(source)? {
            Form::Capture => pieces::of_capture(source, |block| {
                capture::collect(block, &mut self.found);
                Ok(())
            }),
            Form::Text => {
                pieces::of_text(source, |piece| {
                    self.text(&String::from_utf8_lossy(piece), hosts);
                    Ok(())
                })?;
                Ok(())
            }
            Form::Other(_) => Ok(()),
        }
    }

    /// Makes the placeholders.
    #[must_use]
    pub fn finish(self) -> Redactor {
        let numbered = self.matched.into_iter().enumerate();
        Redactor {
            addresses: Addresses::new(&self.found),
            names: self.names.numbered(),
            matched: numbered
                .map(|(number, text)| (text, format!("[redacted-{}]", number + 1)))
                .collect(),
            replaced: BTreeMap::new(),
        }
    }
}

/// What kind of file it is.
enum Form {
    Capture,
    /// Text, but for a few bytes: a console holds what the guest printed.
    Text,
    /// Why it cannot be redacted.
    Other(&'static str),
}

impl Form {
    /// Looks at the whole of a file, and goes back to its beginning.
    fn of(source: &mut dyn Rereadable) -> io::Result<Self> {
        let mut head = Vec::new();
        source.rewind()?;
        source.take(16).read_to_end(&mut head)?;
        source.rewind()?;
        if capture::is_ours(&head) {
            return Ok(Self::Capture);
        }
        let (mut valid, mut strange, mut length) = (true, 0, 0);
        let whole = pieces::of_text(&mut *source, |piece| {
            valid = valid && std::str::from_utf8(piece).is_ok();
            strange += piece.iter().filter(|byte| **byte == 0 || **byte >= 0x80).count();
            length += piece.len();
            Ok(())
        })?;
        source.rewind()?;
        Ok(if whole && (valid || strange * 10 <= length) {
            Self::Text
        } else if whole {
            Self::Other("it is neither text nor a capture of this program")
        } else {
            Self::Other("it has a word of many megabytes, so it is no text")
        })
    }
}

impl Redactor {
    /// Redacts a file of any size. Gives why it has to be left out; then what was written is of no use.
    pub fn file(
        &mut self,
        source: &mut dyn Rereadable,
        to: &mut dyn Write,
    ) -> io::Result<Option<&'static str>> {
        match Form::of(source)? {
            Form::Capture => {
                let mut whole = true;
                pieces::of_capture(source, |block| {
                    match capture::rewritten(block, &self.addresses) {
                        Some(block) => to.write_all(&block),
                        None => {
                            whole = false;
                            Ok(())
                        }
                    }
                })?;
                Ok((!whole).then_some("a capture that is damaged cannot be redacted"))
            }
            // What is no text becomes a sign for that.
            Form::Text => {
                pieces::of_text(source, |piece| {
                    to.write_all(self.text(&String::from_utf8_lossy(piece)).as_bytes())
                })?;
                Ok(None)
            }
            Form::Other(why) => Ok(Some(why)),
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
