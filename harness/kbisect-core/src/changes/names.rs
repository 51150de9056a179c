//! The names that a change has: identifiers, their parts, and words, each with its place.

use super::{Change, words};

/// Most words before a colon that still name a subsystem.
const MAX_PREFIX_WORDS: usize = 4;
/// Most files of a commit that are looked at.
const MAX_FILES: usize = 64;

/// How a name stands in a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// An identifier of several parts, as it is written (`nft_connlimit`).
    Whole,
    /// One without its family's prefix (`connlimit`).
    Core,
    Part,
    /// A word of its own.
    Plain,
}

/// One name of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// Lower case.
    pub text: String,
    /// How it stands there.
    pub form: Form,
    /// Before a colon, or in a file's name: the change is in it.
    pub within: bool,
    /// The identifier or word that it was read from, as people should see it.
    pub seen: String,
}

/// What is read of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub list: Vec<Name>,
    /// The change is in network code.
    pub network: bool,
    /// It says what it is in: by words before colons, or by its files.
    pub placed: bool,
    /// It has nothing that a kernel runs.
    pub no_code: bool,
    /// Architecture folders, when it touches nothing else.
    pub only_below_arch: Vec<String>,
}

impl Names {
    pub fn of(change: &Change) -> Self {
        let mut names = Self::default();
        let (prefixes, rest) = parts_of(&change.subject);
        for prefix in &prefixes {
            names.take(prefix, true);
        }
        names.take(rest, false);
        let first = prefixes.first().map(|prefix| prefix.to_ascii_lowercase());
        let folder = |text: &str| text.split(['/', ' ', ',']).next().unwrap_or_default().to_owned();
        names.no_code = first.as_deref().is_some_and(|text| words::is_no_code(&folder(text)));
        names.placed = !prefixes.is_empty() || !change.files.is_empty();
        names.files(&change.files);
        names
    }

    fn files(&mut self, files: &[String]) {
        if files.is_empty() {
            return;
        }
        let mut code = false;
        let mut arch: Option<Vec<String>> = Some(Vec::new());
        for path in files.iter().take(MAX_FILES) {
            let lower = path.to_ascii_lowercase();
            let mut folders: Vec<&str> = lower.split('/').collect();
            let file = folders.pop().unwrap_or_default();
            let tests = folders.first() == Some(&"tools") || folders.contains(&"selftests");
            code |= !tests && !folders.first().is_some_and(|top| words::is_no_code(top));
            self.network |= folders.contains(&"net") || folders.contains(&"netfilter");
            match (folders.as_slice(), &mut arch) {
                (["arch", name, ..], Some(list)) if *name != "x86" => {
                    if !list.iter().any(|known| known == name) {
                        list.push((*name).to_owned());
                    }
                }
                _ => arch = None,
            }
            let stem = file.split('.').next().unwrap_or_default();
            self.identifier(stem, true);
            if let Some(last) = folders.last() {
                self.identifier(last, true);
            }
        }
        self.no_code |= !code;
        self.only_below_arch = arch.unwrap_or_default();
    }

    fn take(&mut self, text: &str, within: bool) {
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        for word in text.split(|c: char| !inside(c)) {
            let word = word.trim_matches(['-', '_']);
            if word.len() > 1 && word.len() <= 80 {
                self.identifier(&word.to_ascii_lowercase(), within);
            }
        }
    }

    fn identifier(&mut self, word: &str, within: bool) {
        if word.is_empty() || word.bytes().all(|b| b.is_ascii_digit()) {
            return;
        }
        let whole = word.replace('-', "_");
        self.network |= within && words::is_network(&whole);
        let seen = word.to_owned();
        let mut push = |text: &str, form: Form| {
            if self.list.iter().all(|name| name.text != text || (within && !name.within)) {
                let (text, seen) = (text.to_owned(), seen.clone());
                self.list.push(Name { text, form, within, seen });
            }
        };
        if !whole.contains('_') {
            push(&whole, Form::Plain);
            return;
        }
        push(&whole, Form::Whole);
        if let Some(core) = words::core_of(&whole) {
            push(core, Form::Core);
        }
        for part in whole.split('_').filter(|part| part.len() > 1) {
            push(part, Form::Part);
        }
    }
}

/// The words before the colons of a subject, and the rest.
fn parts_of(subject: &str) -> (Vec<&str>, &str) {
    let mut rest = subject.trim();
    for mark in ["Revert ", "Reapply "] {
        rest = rest.strip_prefix(mark).map_or(rest, |rest| rest.trim_start_matches('"'));
    }
    let mut prefixes = Vec::new();
    while let Some((prefix, after)) = rest.split_once(": ") {
        let words = prefix.split_whitespace().count();
        if words == 0 || words > MAX_PREFIX_WORDS || prefixes.len() == MAX_PREFIX_WORDS {
            break;
        }
        prefixes.push(prefix);
        rest = after;
    }
    (prefixes, rest)
}
