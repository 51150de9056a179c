//! Lists of versions, kept in the cache: for `--offline`, and so that a service is not asked at every
//! start.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::{Source, client};
use crate::chain::chain;
use crate::files;
use crate::hash;
use crate::http::HttpError;
use crate::settings::Settings;

/// Directory of the lists, below the cache.
pub const DIR: &str = "lists/v1";
/// Releases come every few days; a list that is so young is not asked for again.
const FRESH: Duration = Duration::from_secs(6 * 3600);
/// The longest list has 2 MB.
const LIMIT: u64 = 64 << 20;

/// Why the list of a source cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It is not in the cache, and the network is not to be used.
    #[error("the list of {} is not in the cache, and --offline was given", source_kind.title())]
    Offline {
        /// Source.
        source_kind: Source,
    },
    /// The service cannot be asked, and nothing is cached.
    #[error("cannot get the list of {}", source_kind.title())]
    Http {
        /// Source.
        source_kind: Source,
        /// Why.
        source: HttpError,
    },
    /// What came is no list.
    #[error("`{url}` is no list of kernels: {reason}")]
    Malformed {
        /// What was asked for.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The cache cannot be written.
    #[error("cannot use `{}`", path.display())]
    Cache {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A list as it was read.
pub struct Cached<T> {
    pub content: T,
    /// What the user should know of its age.
    pub note: Option<String>,
}

/// Loads the list at `url`: from the cache when it is fresh or the network is not to be used, else from
/// the service. `parse` reads it; what it cannot read never replaces a list that is there.
pub fn load<T>(
    source: Source,
    url: &str,
    settings: &Settings,
    parse: &dyn Fn(&[u8]) -> Result<T, String>,
) -> Result<Cached<T>, ListError> {
    let dir = settings.cache_dir.join(DIR);
    let path = dir.join(format!("{source}-{}", &hash::of_bytes(url.as_bytes())[..12]));
    let cached = || {
        let age = fs::metadata(&path).and_then(|meta| meta.modified()).ok().map(age_of)?;
        Some((parse(&fs::read(&path).ok()?).ok()?, age))
    };
    let from_cache = |content, age: Duration, why: &str| Cached {
        content,
        note: Some(format!("the list of {} is {} old{why}", source.title(), words(age))),
    };
    if settings.offline {
        let (content, age) = cached().ok_or(ListError::Offline { source_kind: source })?;
        return Ok(from_cache(content, age, ""));
    }
    if !settings.refresh
        && let Some((content, _)) = cached().filter(|(_, age)| *age < FRESH)
    {
        return Ok(Cached { content, note: None });
    }
    match client(url, settings).get(url, LIMIT) {
        Ok(bytes) => {
            let malformed = |reason| ListError::Malformed { url: url.to_owned(), reason };
            let content = parse(&bytes).map_err(malformed)?;
            fs::create_dir_all(&dir)
                .and_then(|()| files::write_atomically(&path, &bytes))
                .map_err(|error| ListError::Cache { path, source: error })?;
            Ok(Cached { content, note: None })
        }
        Err(error) if error.is_unreachable() => match cached() {
            Some((content, age)) => {
                let why = format!("; it cannot be reached: {}", chain(&error));
                Ok(from_cache(content, age, &why))
            }
            None => Err(ListError::Http { source_kind: source, source: error }),
        },
        Err(error) => Err(ListError::Http { source_kind: source, source: error }),
    }
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
}
