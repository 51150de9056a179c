//! The Release file of a suite, once its signature was checked.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::hash;

/// What a Release file says that matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub suite: String,
    pub codename: String,
    /// End of validity, when the archive sets one.
    pub valid_until: Option<SystemTime>,
    /// The same as the archive writes it.
    pub valid_until_text: Option<String>,
    /// Whether files can be asked for by their hash, which no mirror push can pull away.
    pub by_hash: bool,
    files: Vec<ReleaseFile>,
}

/// One file that a Release file vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseFile {
    /// Path below the suite's directory.
    pub path: String,
    pub sha256: String,
    pub size: u64,
}

impl Release {
    /// Reads a verified Release text. Unknown fields are passed over.
    pub fn parse(text: &str) -> Self {
        let mut release = Self {
            suite: String::new(),
            codename: String::new(),
            valid_until: None,
            valid_until_text: None,
            by_hash: false,
            files: Vec::new(),
        };
        let mut in_sha256 = false;
        for line in text.lines() {
            if line.starts_with([' ', '\t']) {
                if in_sha256 {
                    release.files.extend(file_line(line));
                }
                continue;
            }
            let Some((field, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            in_sha256 = field.eq_ignore_ascii_case("SHA256");
            match field.to_ascii_lowercase().as_str() {
                "suite" => release.suite = value.to_owned(),
                "codename" => release.codename = value.to_owned(),
                "acquire-by-hash" => release.by_hash = value == "yes",
                "valid-until" => {
                    release.valid_until = parse_date(value);
                    release.valid_until_text = Some(value.to_owned());
                }
                _ => {}
            }
        }
        release
    }

    /// Whether the Release is the one of the suite that was asked for: a mirror (or someone on the
    /// way) could hand out another suite's, with a perfectly good signature.
    pub fn is_for(&self, suite: &str) -> bool {
        let asked = suite.trim_end_matches("/updates");
        self.suite == asked || self.codename == asked || self.codename == suite
    }

    /// Whether its time is over. A date that cannot be read counts as over.
    pub fn expired(&self, now: SystemTime) -> bool {
        match (&self.valid_until_text, self.valid_until) {
            (None, _) => false,
            (Some(_), Some(end)) => now > end,
            (Some(_), None) => true,
        }
    }

    /// The best index of packages for an architecture: xz before gz before none.
    pub fn packages_file(&self, arch: &str) -> Option<&ReleaseFile> {
        ["xz", "gz"].iter().find_map(|suffix| {
            let path = format!("main/binary-{arch}/Packages.{suffix}");
            self.files.iter().find(|file| file.path == path)
        })
    }
}

fn file_line(line: &str) -> Option<ReleaseFile> {
    let mut words = line.split_whitespace();
    let (sha256, size, path) = (words.next()?, words.next()?, words.next()?);
    let hex = hash::is_sha256(sha256);
    hex.then_some(())?;
    Some(ReleaseFile {
        path: path.to_owned(),
        sha256: sha256.to_ascii_lowercase(),
        size: size.parse().ok()?,
    })
}

/// Reads a date such as `Wed, 25 Nov 2026 02:10:24 UTC` (RFC 5322, as Release files write it).
fn parse_date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = text.split_once(',').map_or(text, |(_, rest)| rest);
    let words: Vec<&str> = text.split_whitespace().collect();
    let &[day, month, year, time, zone] = words.as_slice() else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let clock: Vec<u64> = time.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let &[hour, minute, second] = clock.as_slice() else { return None };
    let known_zone = matches!(zone, "UTC" | "GMT" | "Z" | "+0000");
    let plausible = (1970..10_000).contains(&year)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !known_zone || !plausible {
        return None;
    }
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Days since 1970-01-01 in the Gregorian calendar; years begin in March so that the leap day is
/// the last one.
fn days_since_epoch(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before_this_year = year * 365 + year / 4 - year / 100 + year / 400;
    before_this_year + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Origin: Debian\nSuite: stable-backports\nCodename: trixie-backports\n\
        Valid-Until: Wed, 25 Nov 2026 02:10:24 UTC\nAcquire-By-Hash: yes\nMD5Sum:\n \
        2d47057a46b268c5f031facecf74b20a 12 main/binary-amd64/Packages.xz\nSHA256:\n \
        7778D3e3f303b7ddb8ce0fe7c8d57473a076c6bf2e8f241f75421d2396352498 306800 main/binary-amd64/Packages.xz\n";

    #[test]
    fn reads_the_sha256_section_only() {
        let release = Release::parse(TEXT);
        assert!(release.by_hash);
        let file = release.packages_file("amd64").unwrap();
        assert_eq!(file.size, 306_800);
        assert!(file.sha256.starts_with("7778d3e3"));
        assert_eq!(release.packages_file("arm64"), None);
    }

    #[test]
    fn another_suites_release_is_refused() {
        let release = Release::parse(TEXT);
        assert!(release.is_for("trixie-backports") && release.is_for("stable-backports"));
        assert!(!release.is_for("trixie") && !release.is_for("bookworm-backports"));
    }

    #[test]
    fn dates_are_those_of_date_1() {
        let at =
            |text: &str| parse_date(text).map(|t| t.duration_since(UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(at("Thu, 01 Jan 1970 00:00:00 UTC"), Some(0));
        assert_eq!(at("Wed, 25 Nov 2026 02:10:24 UTC"), Some(1_795_572_624));
        assert_eq!(at("Thu, 29 Feb 2024 12:00:00 UTC"), Some(1_709_208_000));
        assert_eq!(at("Sat, 11 Jul 2026  9:16:37 UTC"), Some(1_783_761_397));
        for broken in ["", "tomorrow", "Wed, 25 Foo 2026 02:10:24 UTC", "25 Nov 2026 02:10 UTC"] {
            assert_eq!(at(broken), None, "{broken}");
        }
    }

    #[test]
    fn validity_ends_and_an_unreadable_end_is_over() {
        let release = Release::parse(TEXT);
        let end = release.valid_until.unwrap();
        assert!(!release.expired(end));
        assert!(release.expired(end + Duration::from_secs(1)));
        assert!(Release::parse("Valid-Until: some day\n").expired(UNIX_EPOCH));
        assert!(!Release::parse("Suite: stable\n").expired(end));
    }
}
