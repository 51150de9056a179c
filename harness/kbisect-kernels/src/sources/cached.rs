//! Lists of versions, kept in the cache: for `--offline`, and so that a service is not asked at every
//! start.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use kbisect_core::kernel::{Kernel, KernelId};
use kbisect_core::version::PackageVersion;

use super::about::Source;
use super::list_error::CatalogError;
use crate::candidate::{Candidate, CandidateState};
use crate::chain::chain;
use crate::files;
use crate::hash;
use crate::http::Client;
use crate::settings::Settings;

/// Directory of the lists, below the cache.
const DIR: &str = "lists/v1";
/// Releases come every few days; a list that is so young is not asked for again.
const FRESH: Duration = Duration::from_secs(6 * 3600);
/// The longest list has 2 MB.
const LIMIT: u64 = 64 << 20;

/// A list as it was read.
pub struct Cached<T> {
    pub content: T,
    /// What the user should know of its age.
    pub note: Option<String>,
}

/// Loads the list at `path` below the address of a source: from the cache when it is fresh or the network is not to be used, else from
/// the service. `parse` reads it; what it cannot read never replaces a list that is there.
pub fn load<T>(
    source: Source,
    path: &str,
    settings: &Settings,
    parse: &dyn Fn(&[u8]) -> Result<T, String>,
) -> Result<Cached<T>, CatalogError> {
    let url = &format!("{}/{path}", settings.service(source).url);
    let dir = settings.cache_dir.join(DIR);
    let path = dir.join(format!("{source}-{}", &hash::of_bytes(url.as_bytes())[..12]));
    let cached = || {
        let age = fs::metadata(&path).and_then(|meta| meta.modified()).ok().map(age_of)?;
        Some((parse(&fs::read(&path).ok()?).ok()?, age))
    };
    let from_cache = |content, age: Duration, why: &str| Cached {
        content,
        note: Some(format!("the list of {} is {} old{why}", source.title, words(age))),
    };
    if settings.offline {
        let (content, age) = cached().ok_or(CatalogError::Offline(source))?;
        return Ok(from_cache(content, age, ""));
    }
    if !settings.refresh
        && let Some((content, _)) = cached().filter(|(_, age)| *age < FRESH)
    {
        return Ok(Cached { content, note: None });
    }
    match client(url, settings).get(url, LIMIT) {
        Ok(bytes) => {
            let malformed = |reason| CatalogError::Malformed { url: url.to_owned(), reason };
            let content = parse(&bytes).map_err(malformed)?;
            fs::create_dir_all(&dir)
                .and_then(|()| files::write_atomically(&path, &bytes))
                .map_err(files::at(&path))?;
            Ok(Cached { content, note: None })
        }
        Err(error) if error.is_unreachable() => match cached() {
            Some((content, age)) => {
                let why = format!("; it cannot be reached: {}", chain(&error));
                Ok(from_cache(content, age, &why))
            }
            None => Err(CatalogError::Http { from: source, source: error }),
        },
        Err(error) => Err(CatalogError::Http { from: source, source: error }),
    }
}

/// Name of the file that makes the queue of a service, below the cache.
pub fn queue_file(source: Source) -> String {
    format!("{DIR}/{source}.lock")
}

/// A client for services that vouch for their files by nothing but the connection: no redirection
/// leads away from an encrypted one.
pub fn client(url: &str, settings: &Settings) -> Client {
    Client::new(&[url], &settings.proxies).staying_encrypted(url)
}

/// A kernel of a list. Its packages are not known yet, and its size only about.
pub fn listed(
    source: Source,
    version: PackageVersion,
    flavour: &str,
    release: Option<String>,
    about: u64,
) -> Candidate {
    let identity = format!("{source}\n{version}\n{flavour}\n");
    let kernel = Kernel {
        version: version.upstream().to_owned(),
        package_version: version,
        flavour: flavour.to_owned(),
        source: source.name.to_owned(),
        id: KernelId(hash::of_bytes(identity.as_bytes())),
        release,
        name: None,
        variant: None,
    };
    Candidate::new(kernel, CandidateState::Downloadable { bytes: about })
}

/// Whether a text is a plain file name.
pub fn is_file_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+~".contains(c);
    !name.is_empty() && name.chars().all(plain) && Path::new(name).file_name().is_some()
}

fn age_of(time: SystemTime) -> Duration {
    time.elapsed().unwrap_or_default()
}

/// An age as people say it.
fn words(age: Duration) -> String {
    let count = |n: u64, unit: &str| format!("{n} {unit}{}", if n == 1 { "" } else { "s" });
    match age.as_secs() / 60 {
        minutes @ 0..120 => count(minutes, "minute"),
        minutes @ 120..2880 => count(minutes / 60, "hour"),
        minutes => count(minutes / 1440, "day"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_the_unit_that_fits() {
        let said = |seconds| words(Duration::from_secs(seconds));
        assert_eq!(said(70), "1 minute");
        assert_eq!(said(3 * 3600 + 59), "3 hours");
        assert_eq!(said(3 * 86400), "3 days");
        assert_eq!(said(0), "0 minutes");
    }

    #[test]
    fn the_id_is_that_of_version_and_flavour() {
        let version = |text: &str| PackageVersion::parse(text).unwrap();
        let id = |source, text: &str, flavour: &str| {
            listed(source, version(text), flavour, None, 1).kernel.id
        };
        let one = id(Source::SNAPSHOT, "5.10.40-1", "cloud-amd64");
        assert_eq!(one, id(Source::SNAPSHOT, "5.10.40-1", "cloud-amd64"));
        assert_ne!(one, id(Source::SNAPSHOT, "5.10.40-2", "cloud-amd64"));
        assert_ne!(one, id(Source::SNAPSHOT, "5.10.40-1", "amd64"));
        assert_ne!(one, id(Source::UBUNTU_MAINLINE, "5.10.40-1", "cloud-amd64"));
        assert_eq!(one.0.len(), 64);
    }

    #[test]
    fn file_names_lead_nowhere() {
        assert!(is_file_name("linux-image-unsigned-6.8.0-060800-generic_6.8.0_amd64.deb"));
        for bad in ["", "..", "a/b", "../a", "a b", "a\n", "é"] {
            assert!(!is_file_name(bad), "{bad:?}");
        }
    }
}
