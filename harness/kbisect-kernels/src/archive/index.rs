//! Verified indexes of suites, kept in the cache.
//!
//! What is cached of a suite is its signed InRelease as it came (its signature is checked again at
//! every start), and for each Packages file a digest of the kernel packages in it, named by the
//! hash of the file that it was made from.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::archive::keyring::{Keyring, SignatureError};
use crate::archive::packages::{self, IndexEntry};
use crate::archive::release::{Release, ReleaseFile};
use crate::chain::chain;
use crate::files::{self, FileError, at};
use crate::hash;
use crate::http::{Checksum, Client, HttpError, Size, Wanted};
use crate::progress::Progress;
use crate::settings::Settings;

/// An InRelease that was fetched this recently is not asked for again.
const FRESH: Duration = Duration::from_secs(600);
const INRELEASE_LIMIT: u64 = 16 << 20;
/// Debian's largest index unpacks to 55 MB; a bomb to much more.
const PACKAGES_LIMIT: u64 = 1 << 30;

/// Why the index of a suite cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    #[error("cannot verify the archive")]
    Keyring(#[source] SignatureError),
    #[error("suite `{suite}` is not on the mirror: `{url}` does not exist")]
    Absent { suite: String, url: String },
    #[error("the index of suite `{suite}` expired on {until}")]
    Expired { suite: String, until: String },
    #[error("cannot trust suite `{suite}` of `{url}`")]
    Signature { suite: String, url: String, source: SignatureError },
    #[error("`{url}` is the index of suite `{got}`, not of `{suite}`")]
    WrongSuite { suite: String, url: String, got: String },
    #[error("suite `{suite}` has no main packages for {arch}")]
    NoPackages { suite: String, arch: String },
    #[error("cannot reach the archive, and suite `{suite}` is not in the cache: {reason}")]
    Unreachable { suite: String, reason: String },
    /// A download failed in another way.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// An index, though verified, cannot be read; or the cache cannot be written.
    #[error(transparent)]
    Io(#[from] FileError),
}

/// The kernel packages of one suite.
#[derive(Debug)]
pub struct SuiteIndex {
    /// Suite name as it was asked for.
    pub suite: String,
    /// Base URL that file names are relative to.
    pub base_url: String,
    pub entries: Vec<IndexEntry>,
    /// Why cached data had to do.
    pub stale: Option<String>,
}

pub struct Loader<'a> {
    settings: &'a Settings,
    client: Client,
    keyring: Keyring,
    dir: PathBuf,
    progress: &'a dyn Progress,
    /// Set once the network has failed, so that not every suite waits for its own time-out.
    down: AtomicBool,
}

/// Which packages of an index are of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Kernels,
    Debug,
    Changelogs,
    Sources,
}

struct Verified {
    bytes: Vec<u8>,
    release: Release,
}

impl<'a> Loader<'a> {
    /// Makes a loader for the archives at `urls`; the cache directories are made when they are not there.
    pub fn new(
        settings: &'a Settings,
        urls: &[&str],
        progress: &'a dyn Progress,
    ) -> Result<Self, SuiteError> {
        let keyring = Keyring::prepare(&settings.keyrings).map_err(SuiteError::Keyring)?;
        let client = Client::new(urls, &settings.proxies);
        let dir = settings.cache_dir.join("archive/v1");
        for sub in ["inrelease", "index"] {
            let path = dir.join(sub);
            fs::create_dir_all(&path).map_err(at(&path))?;
        }
        Ok(Self { settings, client, keyring, dir, progress, down: AtomicBool::new(false) })
    }

    /// Loads one suite from `base_url`.
    pub fn load(&self, base_url: &str, suite: &str) -> Result<SuiteIndex, SuiteError> {
        let place = SuiteLocation::new(&self.dir, base_url, suite);
        let index = |entries, stale| SuiteIndex {
            suite: suite.to_owned(),
            base_url: base_url.to_owned(),
            entries,
            stale,
        };
        if self.settings.offline || (place.is_fresh() && !self.settings.refresh) {
            let cached = self.cached(&place);
            match cached {
                Ok(Some(entries)) => return Ok(index(entries, None)),
                Err(
                    error @ (SuiteError::Absent { .. }
                    | SuiteError::Expired { .. }
                    | SuiteError::NoPackages { .. }),
                ) => return Err(error),
                // A damaged cache is fetched anew; so is one that another keyring signed.
                Err(error) if self.settings.offline => return Err(error),
                Ok(None) if self.settings.offline => {
                    return Err(place.unreachable("--offline was given".to_owned()));
                }
                Ok(None) | Err(_) => {}
            }
        }
        match self.fetch(&place) {
            Ok(entries) => Ok(index(entries, None)),
            Err(SuiteError::Http(error)) if error.is_unreachable() => {
                self.down.store(true, Ordering::Relaxed);
                match self.cached(&place) {
                    Ok(Some(entries)) => Ok(index(entries, Some(chain(&error)))),
                    Ok(None) => Err(place.unreachable(chain(&error))),
                    Err(cached) => Err(cached),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Loads the debug packages of one suite from `base_url`. They are no part of what
    /// [`Loader::load`] keeps: few runs need them.
    pub fn debug_packages(
        &self,
        base_url: &str,
        suite: &str,
    ) -> Result<Vec<IndexEntry>, SuiteError> {
        self.fresh(base_url, suite, Which::Debug)
    }

    /// Loads the packages of one suite that hold the kernel's changelog, from `base_url`.
    pub fn changelog_packages(
        &self,
        base_url: &str,
        suite: &str,
    ) -> Result<Vec<IndexEntry>, SuiteError> {
        self.fresh(base_url, suite, Which::Changelogs)
    }

    /// Loads the packages of one suite that hold the kernel's source, from `base_url`.
    pub fn source_packages(
        &self,
        base_url: &str,
        suite: &str,
    ) -> Result<Vec<IndexEntry>, SuiteError> {
        self.fresh(base_url, suite, Which::Sources)
    }

    fn fresh(
        &self,
        base_url: &str,
        suite: &str,
        which: Which,
    ) -> Result<Vec<IndexEntry>, SuiteError> {
        let place = SuiteLocation::new(&self.dir, base_url, suite);
        let bytes = self.client.get(&place.url, INRELEASE_LIMIT)?;
        let verified = self.verify(&place, bytes)?;
        let file = self.check(&place, &verified.release)?;
        self.entries(&place, &verified.release, &file, which)
    }

    fn fetch(&self, place: &SuiteLocation) -> Result<Vec<IndexEntry>, SuiteError> {
        if self.down.load(Ordering::Relaxed) {
            let reason = "the network failed before".to_owned();
            return Err(HttpError::Transport { url: place.url.clone(), reason }.into());
        }
        let bytes = match self.client.get(&place.url, INRELEASE_LIMIT) {
            Ok(bytes) => bytes,
            Err(HttpError::NotFound { .. }) => {
                // An empty file remembers that the suite is not there.
                place.write(&[])?;
                return Err(place.absent());
            }
            Err(error) => return Err(error.into()),
        };
        let verified = self.verify(place, bytes)?;
        let entries = match self.check(place, &verified.release) {
            Ok(file) => self.entries(place, &verified.release, &file, Which::Kernels)?,
            Err(error) => {
                if matches!(error, SuiteError::Expired { .. } | SuiteError::NoPackages { .. }) {
                    place.write(&verified.bytes)?;
                }
                return Err(error);
            }
        };
        // Only now, so that an index which could not be fetched does not displace the one before.
        place.write(&verified.bytes)?;
        Ok(entries)
    }

    /// Gives what the cache has of a suite; `None` when that is nothing, or not all.
    fn cached(&self, place: &SuiteLocation) -> Result<Option<Vec<IndexEntry>>, SuiteError> {
        let Ok(bytes) = fs::read(&place.file) else { return Ok(None) };
        if bytes.is_empty() {
            return Err(place.absent());
        }
        let verified = self.verify(place, bytes)?;
        let file = self.check(place, &verified.release)?;
        Ok(self.digest(&file.sha256, Which::Kernels))
    }

    fn verify(&self, place: &SuiteLocation, bytes: Vec<u8>) -> Result<Verified, SuiteError> {
        let text = self.keyring.verify(&bytes).map_err(|source| SuiteError::Signature {
            suite: place.suite.clone(),
            url: place.url.clone(),
            source,
        })?;
        Ok(Verified { bytes, release: Release::parse(&text) })
    }

    fn check(&self, place: &SuiteLocation, release: &Release) -> Result<ReleaseFile, SuiteError> {
        if !release.is_for(&place.suite) {
            return Err(SuiteError::WrongSuite {
                suite: place.suite.clone(),
                url: place.url.clone(),
                got: release.codename.clone(),
            });
        }
        if !self.settings.allow_expired && release.expired(SystemTime::now()) {
            return Err(SuiteError::Expired {
                suite: place.suite.clone(),
                until: release.valid_until_text.clone().unwrap_or_default(),
            });
        }
        release.packages_file(&self.settings.arch).cloned().ok_or_else(|| SuiteError::NoPackages {
            suite: place.suite.clone(),
            arch: self.settings.arch.clone(),
        })
    }

    fn entries(
        &self,
        place: &SuiteLocation,
        release: &Release,
        file: &ReleaseFile,
        which: Which,
    ) -> Result<Vec<IndexEntry>, SuiteError> {
        if let Some(entries) = self.digest(&file.sha256, which) {
            return Ok(entries);
        }
        let temp = tempfile::Builder::new()
            .prefix(".packages-")
            .tempfile_in(self.dir.join("index"))
            .map_err(at(&self.dir.join("index")))?;
        let mut item = self.progress.begin(&format!("index of {}", place.suite), Some(file.size));
        let plain = format!("{}/{}", place.suite_url, file.path);
        let by_hash = match plain.rsplit_once('/') {
            Some((dir, _)) if release.by_hash => format!("{dir}/by-hash/SHA256/{}", file.sha256),
            _ => plain.clone(),
        };
        let fetch = |url: &str, item: &mut dyn crate::progress::ProgressItem| {
            let size = Size::Exactly(file.size);
            let wanted = Wanted { url, size, checksum: Checksum::Sha256(&file.sha256) };
            self.client.download(&wanted, temp.path(), item, self.progress).map(drop)
        };
        match fetch(&by_hash, item.as_mut()) {
            // A plain copy of an archive may promise the by-hash directory and not have it.
            Err(HttpError::NotFound { .. }) if by_hash != plain => fetch(&plain, item.as_mut())?,
            other => other?,
        }
        let entries =
            read_packages(temp.path(), &file.path, which).map_err(at(Path::new(&plain)))?;
        self.keep(&file.sha256, which, &entries)?;
        if which == Which::Kernels {
            // The end of a search asks for it, and the index is large: it is not fetched twice.
            let more = read_packages(temp.path(), &file.path, Which::Changelogs)
                .map_err(at(Path::new(&plain)))?;
            self.keep(&file.sha256, Which::Changelogs, &more)?;
        }
        Ok(entries)
    }

    fn keep(&self, sha256: &str, which: Which, entries: &[IndexEntry]) -> Result<(), SuiteError> {
        let target = self.digest_path(sha256, which);
        let json = serde_json::to_vec(entries).expect("plain texts and numbers");
        Ok(files::write_atomically(&target, &json).map_err(at(&target))?)
    }

    fn digest(&self, sha256: &str, which: Which) -> Option<Vec<IndexEntry>> {
        serde_json::from_slice(&fs::read(self.digest_path(sha256, which)).ok()?).ok()
    }

    fn digest_path(&self, sha256: &str, which: Which) -> PathBuf {
        let suffix = match which {
            Which::Kernels => "json",
            Which::Debug => "dbg.json",
            Which::Changelogs => "log.json",
            Which::Sources => "src.json",
        };
        self.dir.join("index").join(format!("{sha256}.{suffix}"))
    }
}

fn read_packages(file: &Path, name: &str, which: Which) -> io::Result<Vec<IndexEntry>> {
    let file = File::open(file)?;
    let reader: Box<dyn Read> = if name.ends_with(".gz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(liblzma::read::XzDecoder::new_multi_decoder(file))
    };
    let keep = match which {
        Which::Kernels => packages::is_kernel_package,
        Which::Debug => packages::is_debug_package,
        Which::Changelogs => packages::is_changelog_package,
        Which::Sources => packages::is_source_package,
    };
    packages::read(BufReader::with_capacity(1 << 16, reader.take(PACKAGES_LIMIT)), keep)
}

/// Where a suite is, on the mirror and in the cache.
struct SuiteLocation {
    suite: String,
    suite_url: String,
    url: String,
    file: PathBuf,
}

impl SuiteLocation {
    fn new(dir: &Path, base_url: &str, suite: &str) -> Self {
        let suite_url = format!("{base_url}/dists/{suite}");
        let key = hash::of_bytes(suite_url.as_bytes());
        let name = format!("{}-{}", suite.replace('/', "_"), &key[..12]);
        Self {
            suite: suite.to_owned(),
            url: format!("{suite_url}/InRelease"),
            suite_url,
            file: dir.join("inrelease").join(name),
        }
    }

    fn is_fresh(&self) -> bool {
        let modified = fs::metadata(&self.file).and_then(|meta| meta.modified());
        modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age < FRESH))
    }

    fn write(&self, bytes: &[u8]) -> Result<(), SuiteError> {
        Ok(files::write_atomically(&self.file, bytes).map_err(at(&self.file))?)
    }

    fn absent(&self) -> SuiteError {
        SuiteError::Absent { suite: self.suite.clone(), url: self.url.clone() }
    }

    fn unreachable(&self, reason: String) -> SuiteError {
        SuiteError::Unreachable { suite: self.suite.clone(), reason }
    }
}
