//! Kernel and package versions, and their order.

use std::cmp::Ordering;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Debian package version (`[epoch:]upstream[-revision]`), ordered as dpkg orders them
/// (Debian Policy §5.6.12). A plain upstream version such as `6.12.57` is one without a revision.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct PackageVersion(String);

/// Why a text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot parse `{text}` as a kernel version")]
pub struct VersionError {
    /// The text that was given.
    pub text: String,
}

impl PackageVersion {
    /// Parses a version: it starts with a digit and holds only the characters that Policy allows.
    ///
    /// # Errors
    /// [`VersionError`] for an empty text, one that does not start with a digit, or one with a
    /// character outside `[A-Za-z0-9.+~:-]`.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        let ok = text.starts_with(|c: char| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || ".+~:-".contains(c));
        if !ok {
            return Err(VersionError { text: text.to_owned() });
        }
        // A dotted version has numbers between its dots: `5.1x` and `6..1` are typing errors.
        let version = Self(text.to_owned());
        let plain = !version.upstream().is_empty()
            && version.upstream().split(['~', '+']).next().is_some_and(|number| {
                number.split('.').all(|part| {
                    !part.is_empty()
                        && (part.bytes().all(|b| b.is_ascii_digit()) || part.contains("-rc"))
                })
            });
        if plain { Ok(version) } else { Err(VersionError { text: text.to_owned() }) }
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The upstream part: no epoch, no Debian revision (`6.12.90-2~bpo12+1` -> `6.12.90`).
    pub fn upstream(&self) -> &str {
        let rest = self.0.split_once(':').map_or(self.0.as_str(), |(_, rest)| rest);
        rest.rsplit_once('-').map_or(rest, |(upstream, _)| upstream)
    }

    /// The Debian revision, when there is one (`2~bpo12+1`).
    pub fn revision(&self) -> Option<&str> {
        self.0.rsplit_once('-').map(|(_, revision)| revision)
    }

    /// The version without the marks of rebuilds for other releases: `6.12.57-1~bpo12+1` and
    /// `6.12.57-1~deb12u1` are `6.12.57-1`, the same source.
    pub fn source(&self) -> Self {
        let mut text = self.0.as_str();
        while let Some((rest, mark)) = text.rsplit_once('~').filter(|(_, mark)| is_rebuild(mark)) {
            debug_assert!(!mark.is_empty());
            text = rest;
        }
        Self::parse(text).unwrap_or_else(|_| self.clone())
    }

    /// The stable series that the version belongs to: its first two numbers (`6.12`).
    pub fn series(&self) -> String {
        self.upstream().split(['.', '~', '-', '+']).take(2).collect::<Vec<_>>().join(".")
    }
}

/// `bpo12+1`, `deb12u1`.
fn is_rebuild(mark: &str) -> bool {
    let numbers = |rest: Option<&str>, between: char| {
        let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        rest.and_then(|rest| rest.split_once(between)).is_some_and(|(a, b)| number(a) && number(b))
    };
    numbers(mark.strip_prefix("bpo"), '+') || numbers(mark.strip_prefix("deb"), 'u')
}

impl fmt::Display for PackageVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PackageVersion {
    type Error = VersionError;
    fn try_from(text: String) -> Result<Self, VersionError> {
        Self::parse(&text)
    }
}

impl From<PackageVersion> for String {
    fn from(version: PackageVersion) -> Self {
        version.0
    }
}

impl std::str::FromStr for PackageVersion {
    type Err = VersionError;
    fn from_str(text: &str) -> Result<Self, VersionError> {
        Self::parse(text)
    }
}

impl PartialOrd for PackageVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PackageVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0).then_with(|| self.0.cmp(&other.0))
    }
}

/// Compares two version texts as `dpkg --compare-versions` does.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (epoch_a, rest_a) = split_epoch(a);
    let (epoch_b, rest_b) = split_epoch(b);
    let (upstream_a, revision_a) = rest_a.rsplit_once('-').unwrap_or((rest_a, ""));
    let (upstream_b, revision_b) = rest_b.rsplit_once('-').unwrap_or((rest_b, ""));
    epoch_a
        .cmp(&epoch_b)
        .then_with(|| compare_part(upstream_a, upstream_b))
        .then_with(|| compare_part(revision_a, revision_b))
}

fn split_epoch(text: &str) -> (u64, &str) {
    match text.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, text),
    }
}

fn compare_part(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        // The non-digit run, character by character; the end of the text counts as a digit would.
        loop {
            let (ca, cb) = (a.first().copied(), b.first().copied());
            let digit = |c: Option<u8>| c.is_none_or(|c| c.is_ascii_digit());
            if digit(ca) && digit(cb) {
                break;
            }
            match weight(ca).cmp(&weight(cb)) {
                Ordering::Equal => {
                    a = &a[1..];
                    b = &b[1..];
                }
                unequal => return unequal,
            }
        }
        let (number_a, rest_a) = take_number(a);
        let (number_b, rest_b) = take_number(b);
        // Without leading zeros the longer run of digits is the larger number.
        match number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b)) {
            Ordering::Equal => (a, b) = (rest_a, rest_b),
            unequal => return unequal,
        }
    }
    Ordering::Equal
}

fn weight(c: Option<u8>) -> i32 {
    match c {
        Some(b'~') => -1,
        None => 0,
        Some(c) if c.is_ascii_digit() => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(c),
        Some(c) => i32::from(c) + 256,
    }
}

fn take_number(text: &[u8]) -> (&[u8], &[u8]) {
    let zeros = text.iter().take_while(|c| **c == b'0').count();
    let text = &text[zeros..];
    text.split_at(text.iter().take_while(|c| c.is_ascii_digit()).count())
}
