//! Downloads over http and https, with resume and verification.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::hash::Hasher;
use crate::progress::{Progress, ProgressItem};

/// Where distributions keep the certificates that the host trusts; among them may be the one of a
/// company's proxy, which no list that is compiled in can know.
const HOST_ROOTS: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
const ATTEMPTS: u32 = 4;
/// Someone waits for the first answer of a mirror that may not be there at all.
const SMALL_ATTEMPTS: u32 = 2;
const BLOCK: usize = 128 * 1024;

/// Why something could not be downloaded.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The server has no such file.
    #[error("`{url}` does not exist (HTTP status {status})")]
    NotFound {
        /// What was asked for.
        url: String,
        /// 404 or 410.
        status: u16,
    },
    /// The server refuses.
    #[error("`{url}` was refused with HTTP status {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// Status code.
        status: u16,
    },
    /// The server cannot be reached, or the connection broke too often.
    #[error("cannot download `{url}`: {reason}")]
    Transport {
        /// What was asked for.
        url: String,
        /// What went wrong last.
        reason: String,
    },
    /// The content is not what the signed index promises.
    #[error("`{url}` is not what the signed index promises: expected {expected}, got {got}")]
    Mismatch {
        /// What was asked for.
        url: String,
        /// Size or SHA-256.
        expected: String,
        /// Size or SHA-256.
        got: String,
    },
    /// The file cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The user wants to stop.
    #[error("the download of `{url}` was cancelled")]
    Cancelled {
        /// What was asked for.
        url: String,
    },
}

impl HttpError {
    /// Whether the network is to blame, so that a cached copy may do.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            Self::Status { status, .. } => *status >= 500,
            Self::NotFound { .. }
            | Self::Mismatch { .. }
            | Self::Write { .. }
            | Self::Cancelled { .. } => false,
        }
    }
}

/// What to download, as the signed index describes it.
pub struct Wanted<'a> {
    /// Where.
    pub url: &'a str,
    /// Exact size in bytes.
    pub size: u64,
    /// Lower-case hexadecimal digits.
    pub sha256: &'a str,
}

/// An HTTP client. Proxies come from the environment (`http_proxy`, `https_proxy`, `no_proxy`).
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    pause: Duration,
}

impl Client {
    /// Makes a client for these URLs.
    pub fn new(urls: &[&str]) -> Self {
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("kbisect/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .timeout_per_read(Some(Duration::from_secs(30)));
        // Reading the host's certificates takes longer than a start from the cache.
        let tls = urls.iter().any(|url| url.starts_with("https:"));
        if tls && let Some(roots) = host_roots() {
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        // A mirror on this very host is behind no proxy, whatever the environment says.
        if urls.iter().all(|url| is_loopback(url)) {
            config = config.proxy(None);
        }
        Self { agent: config.build().new_agent(), pause: Duration::from_millis(500) }
    }

    /// Downloads a small file of unknown size into memory.
    pub fn get(&self, url: &str, limit: u64) -> Result<Vec<u8>, HttpError> {
        let mut last = String::new();
        for attempt in 0..SMALL_ATTEMPTS {
            self.wait(attempt);
            match self.get_once(url, limit) {
                Err(HttpError::Transport { reason, .. }) => last = reason,
                Err(HttpError::Status { status, .. }) if status >= 500 => {
                    last = format!("HTTP status {status}");
                }
                done => return done,
            }
        }
        Err(HttpError::Transport { url: url.to_owned(), reason: last })
    }

    /// Downloads to `dest` and verifies size and SHA-256. A broken connection is taken up where it
    /// broke; on any error `dest` is removed.
    pub fn download(
        &self,
        wanted: &Wanted<'_>,
        dest: &Path,
        item: &mut dyn ProgressItem,
        progress: &dyn Progress,
    ) -> Result<(), HttpError> {
        let result = self.download_inner(wanted, dest, item, progress);
        if result.is_err() {
            // It may not exist; an error of the removal would hide the first one.
            let _ = std::fs::remove_file(dest);
        }
        result
    }

    fn download_inner(
        &self,
        wanted: &Wanted<'_>,
        dest: &Path,
        item: &mut dyn ProgressItem,
        progress: &dyn Progress,
    ) -> Result<(), HttpError> {
        let write_error = |source| HttpError::Write { path: dest.to_owned(), source };
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(dest)
            .map_err(write_error)?;
        let mut transfer = Transfer { wanted, file, hasher: Hasher::default(), done: 0 };
        let (mut failures, mut last) = (0, String::new());
        while failures < ATTEMPTS {
            self.wait(failures);
            let before = transfer.done;
            match self.attempt(&mut transfer, item, progress) {
                Ok(()) if transfer.done == wanted.size => return transfer.check(dest),
                Ok(()) => last = format!("it ended after {} bytes", transfer.done),
                Err(Attempt::Fatal(error)) => return Err(error),
                Err(Attempt::Write(source)) => return Err(write_error(source)),
                Err(Attempt::Again(reason)) => last = reason,
            }
            // A slow link that breaks now and then gets there in the end; one without any progress
            // does not.
            failures = if transfer.done > before { 1 } else { failures + 1 };
        }
        Err(HttpError::Transport { url: wanted.url.to_owned(), reason: last })
    }

    fn attempt(
        &self,
        transfer: &mut Transfer<'_>,
        item: &mut dyn ProgressItem,
        progress: &dyn Progress,
    ) -> Result<(), Attempt> {
        let url = transfer.wanted.url;
        let mut request = self.agent.get(url);
        if transfer.done > 0 {
            request = request.header("range", format!("bytes={}-", transfer.done));
        }
        let response = request.call().map_err(|e| Attempt::Again(e.to_string()))?;
        match response.status().as_u16() {
            200 if transfer.done > 0 => transfer.restart().map_err(Attempt::Write)?,
            200 => {}
            206 if range_start(&response) == Some(transfer.done) => {}
            status @ (206 | 416) => {
                transfer.restart().map_err(Attempt::Write)?;
                return Err(Attempt::Again(format!("unusable answer to a range (HTTP {status})")));
            }
            status @ (404 | 410) => {
                return Err(Attempt::Fatal(HttpError::NotFound { url: url.to_owned(), status }));
            }
            status if status >= 500 => return Err(Attempt::Again(format!("HTTP status {status}"))),
            status => {
                return Err(Attempt::Fatal(HttpError::Status { url: url.to_owned(), status }));
            }
        }
        let mut reader = response.into_body().into_with_config().limit(u64::MAX).reader();
        let mut block = vec![0; BLOCK];
        loop {
            if progress.cancelled() {
                return Err(Attempt::Fatal(HttpError::Cancelled { url: url.to_owned() }));
            }
            let n = reader.read(&mut block).map_err(|e| Attempt::Again(e.to_string()))?;
            if n == 0 {
                return Ok(());
            }
            transfer.take(&block[..n])?;
            item.set(transfer.done);
        }
    }

    fn get_once(&self, url: &str, limit: u64) -> Result<Vec<u8>, HttpError> {
        let transport = |reason: String| HttpError::Transport { url: url.to_owned(), reason };
        let response = self.agent.get(url).call().map_err(|e| transport(e.to_string()))?;
        match response.status().as_u16() {
            200 => {}
            status @ (404 | 410) => {
                return Err(HttpError::NotFound { url: url.to_owned(), status });
            }
            status => return Err(HttpError::Status { url: url.to_owned(), status }),
        }
        response
            .into_body()
            .into_with_config()
            .limit(limit)
            .read_to_vec()
            .map_err(|e| transport(e.to_string()))
    }

    fn wait(&self, failures: u32) {
        if failures > 0 {
            std::thread::sleep(self.pause * failures);
        }
    }
}

enum Attempt {
    Again(String),
    Fatal(HttpError),
    Write(io::Error),
}

struct Transfer<'a> {
    wanted: &'a Wanted<'a>,
    file: File,
    hasher: Hasher,
    done: u64,
}

impl Transfer<'_> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Attempt> {
        self.done += bytes.len() as u64;
        if self.done > self.wanted.size {
            return Err(Attempt::Fatal(HttpError::Mismatch {
                url: self.wanted.url.to_owned(),
                expected: format!("{} bytes", self.wanted.size),
                got: "more".to_owned(),
            }));
        }
        self.file.write_all(bytes).map_err(Attempt::Write)?;
        self.hasher.write_all(bytes).map_err(Attempt::Write)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = Hasher::default();
        self.done = 0;
        Ok(())
    }

    fn check(self, dest: &Path) -> Result<(), HttpError> {
        let got = self.hasher.finish();
        if got != self.wanted.sha256 {
            return Err(HttpError::Mismatch {
                url: self.wanted.url.to_owned(),
                expected: format!("SHA-256 {}", self.wanted.sha256),
                got: format!("SHA-256 {got}"),
            });
        }
        // A full disk can show itself as late as here.
        self.file.sync_data().map_err(|source| HttpError::Write { path: dest.to_owned(), source })
    }
}

fn range_start(response: &ureq::http::Response<ureq::Body>) -> Option<u64> {
    let text = response.headers().get("content-range")?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

fn is_loopback(url: &str) -> bool {
    let authority = url.split('/').nth(2).unwrap_or("");
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    matches!(host, "127.0.0.1" | "localhost" | "[::1]")
}

fn host_roots() -> Option<RootCerts> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let pem = named
        .into_iter()
        .chain(HOST_ROOTS.iter().map(PathBuf::from))
        .find_map(|path| std::fs::read(path).ok())?;
    let certs: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(cert)) => Some(cert),
            _ => None,
        })
        .collect();
    (!certs.is_empty()).then(|| RootCerts::new_with_certs(&certs))
}
