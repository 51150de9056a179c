//! Downloads over http and https, with resume and verification.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SendError, SyncSender, sync_channel};
use std::time::Duration;

use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::hash::{Algorithm, Hasher};
use crate::http_proxy::{self, Answer};
use crate::progress::{Progress, ProgressItem};
use crate::proxy::Proxies;

/// Where distributions keep the certificates that the host trusts; among them may be the one of a
/// company's proxy, which no list that is compiled in can know.
const HOST_ROOTS: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
const ATTEMPTS: u32 = 4;
/// Someone waits for the first answer of a mirror that may not be there at all.
const SMALL_ATTEMPTS: u32 = 2;
const BLOCK: usize = 128 * 1024;
/// How often it is asked whether the user wants to stop.
const LOOK: Duration = Duration::from_millis(100);
const AGENT: &str = concat!("kbisect/", env!("CARGO_PKG_VERSION"));
const REDIRECTIONS: usize = 8;
/// A service that asks for a longer pause than this is not available now.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// Why something could not be downloaded.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("`{url}` does not exist (HTTP status {status})")]
    NotFound { url: String, status: u16 },
    #[error("`{url}` was refused with HTTP status {status}")]
    Status { url: String, status: u16 },
    #[error("cannot download `{url}`: {reason}")]
    Transport { url: String, reason: String },
    #[error("`{url}` is not what the index promises: expected {expected}, got {got}")]
    Mismatch { url: String, expected: String, got: String },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the download of `{0}` was cancelled")]
    Cancelled(String),
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
            | Self::Cancelled(..) => false,
        }
    }
}

/// What to download, as an index describes it.
pub struct Wanted<'a> {
    pub url: &'a str,
    pub size: Size,
    pub checksum: Checksum<'a>,
}

/// How much an index says that there is to download.
#[derive(Clone, Copy, Debug)]
pub enum Size {
    /// So many bytes.
    Exactly(u64),
    /// It does not say; no more than so many bytes are taken.
    AtMost(u64),
}

/// A checksum in lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug)]
pub enum Checksum<'a> {
    /// SHA-256: nobody can make another file of it.
    Sha256(&'a str),
    /// There is none.
    None,
    /// SHA-1: it finds damage. Who made the file must be known in another way.
    Sha1(&'a str),
}

/// An HTTP client.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    proxies: Proxies,
    https_only: bool,
    pause: Duration,
}

/// A request that may be made again.
struct Again {
    reason: String,
    /// How long the server asks to wait.
    after: Option<Duration>,
}

impl Client {
    pub fn new(urls: &[&str], proxies: &Proxies) -> Self {
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(AGENT)
            .accept_encoding("identity")
            // Set for each request: a proxy can be for one host and not for another.
            .proxy(None)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .timeout_per_read(Some(Duration::from_secs(30)));
        // Reading the host's certificates takes longer than a start from the cache.
        let tls = urls.iter().any(|url| url.starts_with("https:"));
        if tls && let Some(roots) = host_roots() {
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Self {
            agent: config.build().new_agent(),
            proxies: proxies.clone(),
            https_only: false,
            pause: Duration::from_millis(500),
        }
    }

    /// Follows no redirection to an unencrypted address when `url` itself is encrypted.
    pub fn staying_encrypted(self, url: &str) -> Self {
        Self { https_only: url.starts_with("https:"), ..self }
    }

    /// Downloads a small file of unknown size into memory.
    pub fn get(&self, url: &str, limit: u64) -> Result<Vec<u8>, HttpError> {
        let mut last = Again { reason: String::new(), after: None };
        for attempt in 0..SMALL_ATTEMPTS {
            self.wait(attempt, last.after, &|| false);
            match self.get_once(url, limit) {
                Err(Attempt::Again(again)) => last = again,
                Err(Attempt::Fatal(error)) => return Err(error),
                Err(Attempt::Write(_)) => unreachable!("nothing is written"),
                Ok(bytes) => return Ok(bytes),
            }
        }
        Err(HttpError::Transport { url: url.to_owned(), reason: last.reason })
    }

    /// Downloads to `dest`, verifies size and checksum, and gives the SHA-256 of what came. A broken
    /// connection is taken up where it broke; on any error `dest` is removed.
    pub fn download(
        &self,
        wanted: &Wanted<'_>,
        dest: &Path,
        item: &mut dyn ProgressItem,
        progress: &dyn Progress,
    ) -> Result<String, HttpError> {
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
    ) -> Result<String, HttpError> {
        let write_error = |source| HttpError::Write { path: dest.to_owned(), source };
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(dest)
            .map_err(write_error)?;
        let mut transfer = Transfer::new(wanted, file);
        let mut failures = 0;
        let mut last = Again { reason: String::new(), after: None };
        while failures < ATTEMPTS {
            self.wait(failures, last.after, &|| progress.cancelled());
            let before = transfer.done;
            match self.attempt(&mut transfer, item, progress) {
                Ok(()) if transfer.is_whole() => return transfer.check(dest),
                Ok(()) => last = again(format!("it ended after {} bytes", transfer.done)),
                Err(Attempt::Fatal(error)) => return Err(error),
                Err(Attempt::Write(source)) => return Err(write_error(source)),
                Err(Attempt::Again(failed)) => last = failed,
            }
            // A slow link that breaks now and then gets there in the end; one without any progress
            // does not.
            failures = if transfer.done > before { 1 } else { failures + 1 };
        }
        Err(HttpError::Transport { url: wanted.url.to_owned(), reason: last.reason })
    }

    fn attempt(
        &self,
        transfer: &mut Transfer<'_>,
        item: &mut dyn ProgressItem,
        progress: &dyn Progress,
    ) -> Result<(), Attempt> {
        let url = transfer.wanted.url;
        let from = (transfer.done > 0).then_some(transfer.done);
        let pieces = self.begin(url, from);
        // A server that says nothing is waited for elsewhere: the user is not.
        let next = || loop {
            match pieces.recv_timeout(LOOK) {
                Ok(piece) => return piece,
                Err(RecvTimeoutError::Disconnected) => return Ok(Piece::End),
                Err(RecvTimeoutError::Timeout) if progress.cancelled() => {
                    return Err(Attempt::Fatal(HttpError::Cancelled(url.to_owned())));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        };
        let answer = match next()? {
            Piece::Head(answer) => answer,
            Piece::Block(_) | Piece::End => {
                return Err(Attempt::Again(again("there was no answer".to_owned())));
            }
        };
        match answer.status {
            200 if transfer.done > 0 => transfer.restart().map_err(Attempt::Write)?,
            200 => {}
            206 if range_start(&answer) == Some(transfer.done) => {}
            status @ (206 | 416) => {
                transfer.restart().map_err(Attempt::Write)?;
                return Err(Attempt::Again(again(format!(
                    "unusable answer to a range (HTTP {status})"
                ))));
            }
            _ => return Err(refusal(url, &answer)),
        }
        transfer.promised = content_length(&answer).map(|length| transfer.done + length);
        loop {
            if progress.cancelled() {
                return Err(Attempt::Fatal(HttpError::Cancelled(url.to_owned())));
            }
            match next()? {
                Piece::Block(block) => transfer.take(&block)?,
                Piece::Head(_) | Piece::End => return Ok(()),
            }
            item.set(transfer.done);
        }
    }

    /// Asks and reads on a thread of its own. It ends when nobody takes the pieces any more, or at one of
    /// the client's time limits.
    fn begin(&self, url: &str, from: Option<u64>) -> Receiver<Result<Piece, Attempt>> {
        let (to, pieces) = sync_channel(1);
        let (client, url) = (self.clone(), url.to_owned());
        std::thread::spawn(move || {
            // An error of sending means that nobody wants to know.
            let _ = match client.call(&url, from) {
                Ok(answer) => send(answer, &to),
                Err(error) => to.send(Err(error)),
            };
        });
        pieces
    }

    fn get_once(&self, url: &str, limit: u64) -> Result<Vec<u8>, Attempt> {
        let answer = self.call(url, None)?;
        if answer.status != 200 {
            return Err(refusal(url, &answer));
        }
        let mut bytes = Vec::new();
        let read = answer.body.take(limit + 1).read_to_end(&mut bytes);
        match read {
            Ok(read) if read as u64 > limit => {
                let reason = format!("it has more than {limit} bytes");
                Err(Attempt::Fatal(HttpError::Transport { url: url.to_owned(), reason }))
            }
            Ok(_) => Ok(bytes),
            Err(error) => Err(Attempt::Again(again(error.to_string()))),
        }
    }

    /// Asks, and follows where the answer sends on to.
    fn call(&self, url: &str, from: Option<u64>) -> Result<Answer, Attempt> {
        let mut at = url.to_owned();
        for _ in 0..REDIRECTIONS {
            let answer = self.ask(&at, from)?;
            match answer.redirection(&at) {
                Some(next) => at = next,
                None => return Ok(answer),
            }
        }
        let reason = "it sends on again and again".to_owned();
        Err(Attempt::Fatal(HttpError::Transport { url: url.to_owned(), reason }))
    }

    fn ask(&self, url: &str, from: Option<u64>) -> Result<Answer, Attempt> {
        let proxy = match self.proxies.of_url(url) {
            Some(proxy) => Some(ureq::Proxy::new(&proxy).map_err(|error| {
                // Its user name and password are nobody's business.
                let shown = proxy.rsplit('@').next().unwrap_or_default();
                Attempt::Fatal(HttpError::Transport {
                    url: url.to_owned(),
                    reason: format!("the proxy `{shown}` cannot be used: {error}"),
                })
            })?),
            None => None,
        };
        let plain = url.starts_with("http://") && !self.https_only;
        if let Some(proxy) = proxy.as_ref().filter(|proxy| plain && is_plain(proxy)) {
            return http_proxy::get(proxy, url, AGENT, from).map_err(|error| {
                let shown = format!("{}:{}", proxy.host(), proxy.port());
                Attempt::Again(again(format!("proxy {shown}: {error}")))
            });
        }
        let mut request = self.agent.get(url);
        if let Some(from) = from {
            request = request.header("range", format!("bytes={from}-"));
        }
        let request = request.config().proxy(proxy).https_only(self.https_only).build();
        let response = request.call().map_err(|error| Attempt::Again(again(error.to_string())))?;
        let header = |(name, value): (&ureq::http::HeaderName, &ureq::http::HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().iter().filter_map(header).collect(),
            body: Box::new(response.into_body().into_with_config().limit(u64::MAX).reader()),
        })
    }

    /// Waits before another attempt: as long as the server asked for, or longer each time.
    fn wait(&self, failures: u32, asked: Option<Duration>, cancelled: &dyn Fn() -> bool) {
        if failures == 0 {
            return;
        }
        let mut left = asked.unwrap_or(self.pause * failures);
        while !left.is_zero() && !cancelled() {
            let step = left.min(Duration::from_millis(250));
            std::thread::sleep(step);
            left -= step;
        }
    }
}

/// What comes of a request, in order.
enum Piece {
    /// Status and headers.
    Head(Answer),
    Block(Vec<u8>),
    End,
}

type Sent = Result<(), SendError<Result<Piece, Attempt>>>;

fn send(answer: Answer, to: &SyncSender<Result<Piece, Attempt>>) -> Sent {
    let Answer { status, headers, mut body } = answer;
    to.send(Ok(Piece::Head(Answer { status, headers, body: Box::new(io::empty()) })))?;
    loop {
        let mut block = vec![0; BLOCK];
        match body.read(&mut block) {
            Ok(0) => return to.send(Ok(Piece::End)),
            Ok(length) => {
                block.truncate(length);
                to.send(Ok(Piece::Block(block)))?;
            }
            Err(error) => return to.send(Err(Attempt::Again(again(error.to_string())))),
        }
    }
}

fn again(reason: String) -> Again {
    Again { reason, after: None }
}

/// Whether a proxy is asked for unencrypted addresses as a whole, not for a tunnel.
fn is_plain(proxy: &ureq::Proxy) -> bool {
    proxy.protocol() == ureq::ProxyProtocol::Http
}

/// What an answer without content means.
fn refusal(url: &str, answer: &Answer) -> Attempt {
    let url = url.to_owned();
    match answer.status {
        status @ (404 | 410) => Attempt::Fatal(HttpError::NotFound { url, status }),
        status if status == 429 || status >= 500 => {
            // As a date it is passed over: the clocks may differ.
            let after = answer.header("retry-after").and_then(|text| text.parse().ok());
            let after = after.map(Duration::from_secs);
            if after.is_some_and(|after| after > LONGEST_PAUSE) {
                let seconds = after.unwrap_or_default().as_secs();
                let reason = format!("HTTP status {status}: it asks to wait for {seconds} s");
                return Attempt::Fatal(HttpError::Transport { url, reason });
            }
            Attempt::Again(Again { reason: format!("HTTP status {status}"), after })
        }
        status => Attempt::Fatal(HttpError::Status { url, status }),
    }
}

fn content_length(answer: &Answer) -> Option<u64> {
    answer.header("content-length")?.parse().ok()
}

enum Attempt {
    Again(Again),
    Fatal(HttpError),
    Write(io::Error),
}

struct Transfer<'a> {
    wanted: &'a Wanted<'a>,
    file: File,
    hasher: Hasher,
    /// For what is known by its SHA-1 alone.
    weak: Option<Hasher>,
    done: u64,
    /// What the server says that the whole file has.
    promised: Option<u64>,
}

impl<'a> Transfer<'a> {
    fn new(wanted: &'a Wanted<'a>, file: File) -> Self {
        let weak = match wanted.checksum {
            Checksum::Sha256(_) | Checksum::None => None,
            Checksum::Sha1(_) => Some(Hasher::new(Algorithm::Sha1)),
        };
        Self { wanted, file, hasher: Hasher::default(), weak, done: 0, promised: None }
    }

    fn is_whole(&self) -> bool {
        match self.wanted.size {
            Size::Exactly(size) => self.done == size,
            // Without a word of the server's, the checksum has the last one.
            Size::AtMost(_) => self.promised.is_none_or(|promised| self.done == promised),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Attempt> {
        self.done += bytes.len() as u64;
        let (Size::Exactly(limit) | Size::AtMost(limit)) = self.wanted.size;
        if self.done > limit {
            return Err(Attempt::Fatal(HttpError::Mismatch {
                url: self.wanted.url.to_owned(),
                expected: match self.wanted.size {
                    Size::Exactly(size) => format!("{size} bytes"),
                    Size::AtMost(size) => format!("at most {size} bytes"),
                },
                got: "more".to_owned(),
            }));
        }
        self.file.write_all(bytes).map_err(Attempt::Write)?;
        if let Some(weak) = &mut self.weak {
            weak.write_all(bytes).map_err(Attempt::Write)?;
        }
        self.hasher.write_all(bytes).map_err(Attempt::Write)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = Hasher::default();
        self.weak = self.weak.take().map(|_| Hasher::new(Algorithm::Sha1));
        self.done = 0;
        Ok(())
    }

    fn check(self, dest: &Path) -> Result<String, HttpError> {
        let sha256 = self.hasher.finish();
        let (name, expected, got) = match self.wanted.checksum {
            Checksum::Sha256(expected) => ("SHA-256", expected, sha256.clone()),
            Checksum::None => ("SHA-256", sha256.as_str(), sha256.clone()),
            Checksum::Sha1(expected) => {
                let weak = self.weak.map(Hasher::finish).unwrap_or_default();
                ("SHA-1", expected, weak)
            }
        };
        if got != expected {
            return Err(HttpError::Mismatch {
                url: self.wanted.url.to_owned(),
                expected: format!("{name} {expected}"),
                got: format!("{name} {got}"),
            });
        }
        // A full disk can show itself as late as here.
        self.file
            .sync_data()
            .map_err(|source| HttpError::Write { path: dest.to_owned(), source })?;
        Ok(sha256)
    }
}

fn range_start(answer: &Answer) -> Option<u64> {
    let text = answer.header("content-range")?;
    text.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
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
