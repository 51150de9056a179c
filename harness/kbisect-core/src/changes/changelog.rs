//! Reads a Debian changelog (deb-changelog(5)) as Debian's kernel team writes it:
//!
//! ```text
//! linux (6.12.63-1) trixie; urgency=medium
//!
//!   * New upstream stable update:
//!     https://example.org/ChangeLog-6.12.58
//!     - [arm64] subject of a commit that goes on
//!       in the next line (CVE-2025-1)
//!
//!   [ Name of a developer ]
//!   * A change of the distribution's own (Closes: #1)
//!
//!  -- Name <address>  date
//! ```

use std::sync::LazyLock;

use regex::Regex;

use super::Change;
use crate::version::PackageVersion;

/// Most changes that are kept; Debian's changelog since 2005 has 90,000.
const MAX_CHANGES: usize = 400_000;
/// Most entries that are kept.
const MAX_ENTRIES: usize = 20_000;
/// Longest subject, in bytes.
const MAX_SUBJECT: usize = 400;
/// Most numbers of one kind that are kept of a change.
const MAX_NUMBERS: usize = 16;

/// A changelog, the newest entry first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changelog {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Whether older entries were cut off, which the end of the file says, or there were too many.
    pub truncated: bool,
}

/// What one package version brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Package version.
    pub version: PackageVersion,
    /// Its changes in order.
    pub changes: Vec<Change>,
    /// Releases that the entry takes over as a whole, without a list of their commits.
    pub unlisted: Vec<String>,
}

impl Changelog {
    /// Reads a changelog. Never fails: what is no changelog has no entries.
    pub fn parse(text: &str) -> Self {
        let mut reader = Reader::default();
        for line in text.lines() {
            reader.take(line);
            if reader.changes > MAX_CHANGES || reader.log.entries.len() > MAX_ENTRIES {
                reader.log.truncated = true;
                break;
            }
        }
        reader.end_entry();
        reader.log
    }
}

#[derive(Default)]
struct Reader {
    log: Changelog,
    changes: usize,
    entry: Option<Entry>,
    /// The bullet that is being read.
    bullet: Option<Bullet>,
    /// The upstream release whose commits are listed.
    section: Section,
}

struct Bullet {
    /// Of a list below another bullet.
    inner: bool,
    text: String,
}

/// What the outer bullet is about.
#[derive(Default)]
enum Section {
    /// The distribution's own change.
    #[default]
    Own,
    /// An upstream release; whether it lists its commits is seen when one comes.
    Upstream { release: Option<String>, listed: bool },
}

impl Reader {
    fn take(&mut self, line: &str) {
        let line = line.trim_end();
        if line.starts_with("# Older entries have been removed") {
            self.log.truncated = true;
        } else if let Some(version) = header(line) {
            self.end_entry();
            self.entry = Some(Entry { version, changes: Vec::new(), unlisted: Vec::new() });
        } else if line.starts_with(" --") {
            self.end_section();
        } else if let Some(text) = line.strip_prefix("  * ") {
            self.end_section();
            self.bullet = Some(Bullet { inner: false, text: text.to_owned() });
        } else if let Some(text) = line.strip_prefix("    - ") {
            self.end_bullet();
            self.bullet = Some(Bullet { inner: true, text: text.to_owned() });
        } else if line.is_empty() || line.starts_with("  [") {
            self.end_bullet();
        } else if let Some(release) = listed_release(line) {
            // The first one goes with the bullet, further ones stand between lists.
            self.end_bullet();
            if matches!(self.section, Section::Upstream { .. }) {
                self.end_section();
                self.section = Section::Upstream { release: Some(release), listed: false };
            }
        } else if let Some(bullet) = &mut self.bullet
            && line.starts_with("    ")
            && bullet.text.len() < MAX_SUBJECT
        {
            bullet.text.push(' ');
            bullet.text.push_str(line.trim_start());
        }
    }

    fn end_bullet(&mut self) {
        let Some(bullet) = self.bullet.take() else { return };
        let Some(entry) = &mut self.entry else { return };
        if !bullet.inner
            && let Some(release) = upstream_release(&bullet.text)
        {
            self.section = Section::Upstream { release, listed: false };
            return;
        }
        let release = match &mut self.section {
            Section::Upstream { release, listed } if bullet.inner => {
                *listed = true;
                release.clone()
            }
            _ => None,
        };
        if bullet.text.starts_with("Rebuild for ") {
            return;
        }
        let mut change = change(&bullet.text);
        if change.subject.is_empty() {
            return;
        }
        change.release = release;
        change.package_version = Some(entry.version.as_str().to_owned());
        entry.changes.push(change);
        self.changes += 1;
    }

    fn end_section(&mut self) {
        self.end_bullet();
        if let Section::Upstream { release: Some(release), listed: false } =
            std::mem::take(&mut self.section)
            && let Some(entry) = &mut self.entry
            && entry.unlisted.len() < MAX_NUMBERS
        {
            entry.unlisted.push(release);
        }
    }

    fn end_entry(&mut self) {
        self.end_section();
        self.log.entries.extend(self.entry.take());
    }
}

/// The version of an entry's first line.
fn header(line: &str) -> Option<PackageVersion> {
    if !line.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let (_, rest) = line.split_once(" (")?;
    let (version, rest) = rest.split_once(") ")?;
    rest.contains(';').then(|| PackageVersion::parse(version).ok())?
}

/// The upstream release whose list of commits an address on a line of its own announces.
fn listed_release(line: &str) -> Option<String> {
    let address = line.strip_prefix("    ").filter(|text| text.starts_with("http"))?;
    release_of(address)
}

/// The release that a word names.
fn release_of(word: &str) -> Option<String> {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?:ChangeLog-|Linux_|/v)([0-9]+(?:\.[0-9]+){1,3}(?:-rc[0-9]+)?)/?$")
            .expect("a fixed pattern")
    });
    Some(NUMBER.captures(word)?.get(1)?.as_str().to_owned())
}

/// The upstream release that a bullet announces: `None` when it announces none, `Some(None)` when
/// it does not say which.
fn upstream_release(text: &str) -> Option<Option<String>> {
    let begins = ["New upstream stable update", "New upstream release", "New upstream version"];
    if !begins.iter().any(|words| text.starts_with(words)) {
        return None;
    }
    Some(text.split_whitespace().rev().find_map(release_of))
}

/// A bullet's text taken apart.
fn change(text: &str) -> Change {
    static CVE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\bCVE-[0-9]{4}-[0-9]{4,7}\b").expect("a fixed pattern"));
    static CLOSES: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\(?[Cc]loses: *([^)]*)\)?").expect("a fixed pattern"));
    static MARKS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r" *\((?:CVE-[0-9]{4}-[0-9]{4,7}[, ]*)+\)").expect("a fixed pattern")
    });
    let text = clean(text);
    let mut change = Change::default();
    for found in CVE.find_iter(&text).take(MAX_NUMBERS) {
        change.cves.push(found.as_str().to_owned());
    }
    for closed in CLOSES.captures_iter(&text).take(MAX_NUMBERS) {
        let numbers = closed[1].split(|c: char| !c.is_ascii_digit());
        let numbers = numbers.filter(|number| (3..=9).contains(&number.len()));
        change.bugs.extend(numbers.map(str::to_owned).take(MAX_NUMBERS));
    }
    let text = MARKS.replace_all(&text, "");
    let text = CLOSES.replace_all(&text, "");
    let mut subject = text.trim();
    // `[arm64,armhf] ` limits a change; `[media] ` was a custom of upstream's and is a subsystem.
    while let Some((names, rest)) = subject.strip_prefix('[').and_then(|rest| rest.split_once("] "))
        && let names = names.split(',').map(str::trim).collect::<Vec<_>>()
        && names.iter().all(|name| super::words::is_machine(name))
    {
        change.limited_to.extend(names.into_iter().map(str::to_owned).take(MAX_NUMBERS));
        subject = rest.trim_start();
    }
    change.subject = subject.to_owned();
    change
}

/// One line without control characters, of bounded length.
pub(super) fn clean(text: &str) -> String {
    let plain = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut clean = String::new();
    for c in text.chars().filter(plain) {
        if clean.len() + c.len_utf8() > MAX_SUBJECT {
            break;
        }
        clean.push(c);
    }
    clean
}
