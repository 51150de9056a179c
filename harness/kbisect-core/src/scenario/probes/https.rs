//! `https`: a GET request by the image's curl, with its certificate verified.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::assets::AssetRef;
use super::super::cursor::Item;
use super::super::kept_rules::{Checked, KeptCheck, invalid, rule, within};
use super::super::words;
use super::body::{Body, first_line};
use super::kind::{Kind, Reading, Server};
use crate::command::{CommandEnd, Ran};
use crate::wrong::{CheckFailure, Wrong};

/// Status of an HTTP answer (RFC 9110 §15).
const STATUS: RangeInclusive<u16> = 100..=599;
/// What begins the line that curl ends with: status, body bytes, seconds until the connection stood,
/// and until TLS did.
const MARK: &str = "kbisect-https";
/// What a file of certificates holds.
const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// A GET request over TLS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpsProbe {
    /// Name or address of the server, which its certificate must be for.
    pub host: String,
    /// Server port.
    pub port: u16,
    /// Path and query.
    pub path: String,
    /// The address of a name; without it the guest resolves the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolve: Option<IpAddr>,
    /// The authority's certificate, a PEM file of the scenario; without it those of the image count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Expected status.
    pub status: u16,
    /// What the body must be like.
    pub body: Body,
}

/// What curl said of a request.
#[derive(Debug, Default, PartialEq)]
struct Told {
    status: u16,
    bytes: u64,
    connected: bool,
    secured: bool,
}

impl HttpsProbe {
    /// How many bytes of a body curl's output is kept for: longer ones cannot be compared.
    pub const COMPARED: u32 = 256 << 10;

    pub(super) fn read(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<Self> {
        let table = item.table()?;
        let url = table.require("url", "such as `https://www.example.test/payload`");
        let url = url.and_then(|item| item.parsed(url_of));
        let resolve = table.get("resolve");
        let address = resolve.as_ref().and_then(|item| item.parsed(words::host));
        if let (Some(item), Some((host, ..))) = (&resolve, &url)
            && host.parse::<IpAddr>().is_ok()
        {
            item.wrong("the host of `url` is an address already");
        }
        let ca = table.get("ca").map(|item| AssetRef::read(&item, reading.assets));
        let status = table.get("status").and_then(|item| item.number(STATUS));
        let body = Body::read(&table);
        table.finish();
        let (host, port, path) = url?;
        let (ca, status) = (ca.flatten(), status.unwrap_or(200));
        Some(Self { host, port, path, resolve: address, ca, status, body })
    }

    /// The program and its arguments; no shell reads them. `assets` is the folder of the scenario's
    /// files in the guest.
    pub fn argv(&self, timeout: Duration, assets: &str) -> Vec<String> {
        let mut argv: Vec<String> = [
            // First of all: no settings of the image's own.
            "curl",
            "--disable",
            "--silent",
            "--show-error",
            "--globoff",
            "--noproxy",
            "*",
            "--proto",
            "=https",
        ]
        .map(str::to_owned)
        .into();
        let mut option = |name: &str, value: String| argv.extend([name.to_owned(), value]);
        option("--max-time", format!("{:.3}", timeout.as_secs_f64()));
        let told = "%{http_code} %{size_download} %{time_connect} %{time_appconnect}";
        option("--write-out", format!("%{{stderr}}\n{MARK} {told}\n"));
        if let Some(ca) = &self.ca {
            option("--cacert", format!("{assets}/{ca}"));
        }
        if let Some(address) = self.resolve {
            let Self { host, port, .. } = self;
            option("--resolve", format!("{host}:{port}:{}", in_url(&address.to_string())));
        }
        option("--url", self.url());
        argv
    }

    fn url(&self) -> String {
        let Self { host, port, path, .. } = self;
        format!("https://{}:{port}{path}", in_url(host))
    }

    /// Says whether the answer is the right one.
    ///
    /// # Errors
    /// What was wrong.
    pub fn judge(&self, ran: &Ran) -> Result<String, CheckFailure> {
        let wrong = |detail: String, wrong| Err(CheckFailure::wrong(detail, wrong));
        let told = told(&ran.stderr);
        match &ran.end {
            CommandEnd::Status(0) => {}
            CommandEnd::Status(status) => {
                let (wrong, said) = (self.why(*status, ran, &told), reason(ran));
                return Err(CheckFailure::wrong(format!("{}: {said}", self.url()), wrong));
            }
            CommandEnd::TimedOut => return wrong(ran.describe(), Wrong::NotEnded),
            CommandEnd::Signal(_) | CommandEnd::NotStarted(_) => {
                return Err(CheckFailure::of(format!("curl {}", ran.describe())));
            }
        }
        let Told { status, bytes, .. } = told;
        if status != self.status {
            let detail = format!("status {status}, expected {}", self.status);
            return wrong(detail, Wrong::Status { got: status, expected: self.status });
        }
        if let Some(expected) = self.body.bytes.filter(|expected| *expected != bytes) {
            let detail = format!("{bytes} body bytes, expected {expected}");
            return wrong(detail, Wrong::Length { expected });
        }
        let Body { equals, contains, .. } = &self.body;
        if equals.is_none() && contains.is_none() {
            return Ok(format!("status {status}, {bytes} bytes"));
        }
        if bytes > u64::from(Self::COMPARED) {
            let most = Self::COMPARED >> 10;
            let what = format!("the body is over the {most} KiB that can be compared");
            return wrong(format!("{bytes} body bytes"), Wrong::Other("https", what));
        }
        let text = String::from_utf8_lossy(&ran.stdout);
        let same = equals.as_ref().is_none_or(|whole| whole.trim() == text.trim())
            && contains.as_ref().is_none_or(|part| text.contains(part.as_str()));
        if !same {
            let text = first_line(&text);
            let expected = self.body.expected();
            let detail = format!("the body is `{}`, expected `{expected}`", text.escape_debug());
            return wrong(detail, Wrong::Body);
        }
        Ok(format!("status {status}, {bytes} bytes"))
    }

    /// Whether the connection broke, and then whether something was waited for in vain. An answer that
    /// came whole, and a certificate that does not hold, were not lost.
    pub fn broke(ran: &Ran) -> Option<bool> {
        match ran.end {
            CommandEnd::Status(28) | CommandEnd::TimedOut => Some(true),
            CommandEnd::Status(7 | 18 | 35 | 52 | 55 | 56) => Some(false),
            CommandEnd::Status(_) | CommandEnd::Signal(_) | CommandEnd::NotStarted(_) => None,
        }
    }

    /// What curl did not understand or could not read of what it was given (certificates, options, the
    /// URL), if it gave up over that before it asked anybody.
    pub fn misgiven(ran: &Ran) -> Option<String> {
        let given =
            matches!(ran.end, CommandEnd::Status(1..=4 | 26 | 43 | 48 | 58 | 59 | 66 | 77 | 82));
        given.then(|| reason(ran))
    }

    /// curl's exit status in plain words (curl(1), "EXIT CODES").
    fn why(&self, status: i32, ran: &Ran, told: &Told) -> Wrong {
        let https = |what: &str| Wrong::Other("https", what.to_owned());
        match status {
            6 => https(&format!("the name {} was not resolved", self.host)),
            7 => https("no connection: it was refused, or there is no way to the server"),
            18 => https("the answer ended early"),
            28 if !told.connected => Wrong::NoConnection,
            28 if !told.secured => https("connected, no whole TLS handshake in time"),
            28 => Wrong::NoWholeAnswer,
            35 => https("the TLS handshake failed"),
            51 | 60 | 83 | 90 | 91 => https(&format!("certificate: {}", reason(ran))),
            52 => https("the connection ended without an answer"),
            55 | 56 => Wrong::Reset,
            58 | 59 | 66 | 77 | 82 => {
                let of = self.ca.as_deref().unwrap_or("the image (it may lack ca-certificates)");
                https(&format!("certificate: those of {of} cannot be read"))
            }
            status => https(&format!("curl ended with status {status}")),
        }
    }
}

/// An address as URLs have it, or a name as it is.
fn in_url(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// Host, port and path of a URL.
fn url_of(text: &str) -> Result<(String, u16, String), String> {
    let (host, port, path) = words::url_parts("https", text, |host, in_brackets| {
        if let Some(address) = words::address_of(host, in_brackets) {
            return Ok(address.to_string());
        }
        let name = words::domain(host).ok().filter(|_| !in_brackets);
        // curl takes numbers for addresses, and a dash in front of a name for an order.
        let is_name = |name: &String| {
            let last = name.rsplit('.').next().unwrap_or_default();
            !name.starts_with('-') && !last.bytes().all(|b| b.is_ascii_digit())
        };
        name.filter(is_name).ok_or("the host must be a name or an address")
    })?;
    Ok((host, port.unwrap_or(443), path))
}

/// The line that curl was told to end with. What servers say does not come after it.
fn told(stderr: &[u8]) -> Told {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rev().find_map(|line| line.strip_prefix(MARK));
    let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    let came = |at: usize| {
        words.get(at).and_then(|word| word.parse().ok()).is_some_and(|seconds: f64| seconds > 0.0)
    };
    Told {
        status: words.first().and_then(|word| word.parse().ok()).unwrap_or_default(),
        bytes: words.get(1).and_then(|word| word.parse().ok()).unwrap_or_default(),
        connected: came(2),
        secured: came(3),
    }
}

/// curl's own words for what went wrong, without its name and number.
fn reason(ran: &Ran) -> String {
    let text = String::from_utf8_lossy(&ran.stderr);
    let line = text.lines().find_map(|line| line.strip_prefix("curl: (")?.split_once(") "));
    let line = line.map_or_else(|| ran.end.to_string(), |(_, said)| said.to_owned());
    let said = line.trim_start_matches("SSL certificate problem: ").trim_start_matches("SSL: ");
    said.chars().filter(|c| !c.is_control()).take(200).collect()
}

impl Kind for HttpsProbe {
    fn verifies_payload(&self) -> bool {
        !self.body.is_empty()
    }

    fn server(&self) -> Option<Server> {
        if let Some(address) = self.resolve {
            return Some(Server::tcp(address, self.port, "https.resolve"));
        }
        Some(Server::tcp(self.host.parse().ok()?, self.port, "https.url"))
    }

    fn uses_network(&self) -> bool {
        true
    }

    fn protocols(&self) -> Vec<&'static str> {
        vec!["tcp"]
    }

    fn summary(&self) -> String {
        let body = if self.body.is_empty() { "" } else { ", payload read" };
        let at = self.resolve.map(|address| format!(" at {address}")).unwrap_or_default();
        let ca = self.ca.as_ref().map(|ca| format!(", certified by {ca}")).unwrap_or_default();
        format!("HTTPS {}{at}{ca}{body}", self.url())
    }

    fn lint(&self, packages: &[String]) -> Option<(&'static str, String)> {
        let certified = self.ca.is_some() || packages.iter().any(|name| name == "ca-certificates");
        (!certified).then(|| {
            let message = "the stock image has no certificates of authorities: name the server's \
                           (`ca = \"ca.pem\"`), or add `image = { packages = [\"ca-certificates\"] }`";
            ("https", message.to_owned())
        })
    }

    fn wrong_asset(
        &self,
        files: &std::collections::BTreeMap<String, Vec<u8>>,
    ) -> Option<(&'static str, String)> {
        let ca = self.ca.as_ref()?;
        let content = files.get(ca)?;
        let is_pem = content.windows(PEM.len()).any(|part| part == PEM);
        (!is_pem).then(|| ("https.ca", format!("`{ca}` holds no certificate in PEM form")))
    }

    fn check_kept(&self, check: &KeptCheck<'_>) -> Checked {
        let key = check.key;
        rule(
            key,
            url_of(&self.url()).and_then(|(host, port, path)| {
                let same = (&host, port, &path) == (&self.host, self.port, &self.path);
                if same { Ok(()) } else { Err("host, port and path make no URL".to_owned()) }
            }),
        )?;
        if self.resolve.is_some() && self.host.parse::<IpAddr>().is_ok() {
            return Err(invalid(key, "an address needs no `resolve`"));
        }
        if let Some(ca) = &self.ca {
            rule(key, words::asset_path(ca))?;
        }
        within(key, self.status, STATUS)?;
        self.body.check_kept(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe() -> HttpsProbe {
        HttpsProbe {
            host: "www.example.test".to_owned(),
            port: 8443,
            path: "/p?q=$(x)".to_owned(),
            resolve: Some(IpAddr::from([192, 0, 2, 1])),
            ca: Some("ca.pem".to_owned()),
            status: 200,
            body: Body { contains: Some("ell".to_owned()), ..Body::default() },
        }
    }

    fn ran(status: i32, stdout: &str, said: &str, told: &str) -> Ran {
        let stderr = format!("{said}\n{MARK} {told}\n").into_bytes();
        Ran { end: CommandEnd::Status(status), stdout: stdout.into(), stderr }
    }

    fn title(probe: &HttpsProbe, ran: &Ran) -> String {
        let failure = probe.judge(ran).expect_err("it is wrong");
        failure.wrong.expect("it is known").to_string()
    }

    /// Words of a scenario are arguments as they stand.
    #[test]
    fn curl_is_given_arguments_and_no_shell() {
        let argv = probe().argv(Duration::from_millis(1500), "/assets");
        assert_eq!(argv[..2], ["curl", "--disable"]);
        let after = |option: &str| {
            let at = argv.iter().position(|word| word == option).expect("it is there");
            argv[at + 1].as_str()
        };
        assert_eq!(after("--url"), "https://www.example.test:8443/p?q=$(x)");
        assert_eq!(after("--cacert"), "/assets/ca.pem");
        assert_eq!(after("--resolve"), "www.example.test:8443:192.0.2.1");
        assert_eq!(after("--max-time"), "1.500");
        let six = HttpsProbe { host: "2001:db8::1".to_owned(), resolve: None, ca: None, ..probe() };
        let argv = six.argv(Duration::from_secs(1), "/assets");
        assert_eq!(argv.last().map(String::as_str), Some("https://[2001:db8::1]:8443/p?q=$(x)"));
        assert!(!argv.iter().any(|word| word == "--cacert" || word == "--resolve"));
    }

    #[test]
    fn the_answer_is_held_against_status_and_body() {
        let told = "200 5 0.002 0.01";
        let good = probe().judge(&ran(0, "hello", "", told));
        assert_eq!(good, Ok("status 200, 5 bytes".to_owned()));
        assert_eq!(title(&probe(), &ran(0, "other", "", told)), "not the body expected");
        let status = ran(0, "hello", "", "503 5 0.002 0.01");
        assert_eq!(title(&probe(), &status), "status 503, expected 200");
        let body = Body { bytes: Some(6), ..Body::default() };
        let length = HttpsProbe { body, ..probe() };
        assert_eq!(title(&length, &ran(0, "hello", "", told)), "not the 6 body bytes expected");
        let large = ran(0, "hello", "", "200 262145 0.002 0.01");
        assert!(title(&probe(), &large).contains("over the 256 KiB"));
    }

    /// What a kernel was never asked is no kernel's failure.
    #[test]
    fn what_curl_cannot_use_is_told_from_what_a_server_did() {
        let said = "curl: (77) error setting certificate file: /assets/ca.pem";
        let unread = ran(77, "", said, "000 0 0.000 0.000");
        let misgiven = HttpsProbe::misgiven(&unread);
        assert_eq!(misgiven.as_deref(), Some("error setting certificate file: /assets/ca.pem"));
        for status in [0, 6, 7, 28, 35, 52, 56, 60] {
            assert_eq!(HttpsProbe::misgiven(&ran(status, "", "", "000 0 0 0")), None, "{status}");
        }
    }

    /// A server's words on standard error are not taken for curl's last line.
    #[test]
    fn only_the_last_line_of_curl_counts() {
        let forged = ran(0, "hello", &format!("{MARK} 200 5 0.002 0.01"), "503 5 0.002 0.01");
        assert_eq!(title(&probe(), &forged), "status 503, expected 200");
    }

    /// As curl 7.88 said it.
    #[test]
    fn exit_statuses_of_curl_are_told_in_plain_words() {
        for (status, said, told, expected) in [
            (
                60,
                "curl: (60) SSL certificate problem: unable to get local issuer certificate\nMore details here: https://curl.se/docs/sslcerts.html",
                "000 0 0.002 0.000",
                "https: certificate: unable to get local issuer certificate",
            ),
            (
                60,
                "curl: (60) SSL: no alternative certificate subject name matches target host name 'www.example.test'",
                "000 0 0.002 0.000",
                "https: certificate: no alternative certificate subject name matches target host name 'www.example.test'",
            ),
            (
                77,
                "curl: (77) error setting certificate file: /assets/ca.pem",
                "000 0 0 0",
                "https: certificate: those of ca.pem cannot be read",
            ),
            (
                6,
                "curl: (6) Could not resolve host: www.example.test",
                "000 0 0.000 0.000",
                "https: the name www.example.test was not resolved",
            ),
            (
                7,
                "curl: (7) Failed to connect to www.example.test port 8443 after 2 ms: Couldn't connect to server",
                "000 0 0.000 0.000",
                "https: no connection: it was refused, or there is no way to the server",
            ),
            (28, "curl: (28) Connection timed out", "000 0 0.000 0.000", "no connection in time"),
            (
                28,
                "curl: (28) SSL connection timeout",
                "000 0 0.002 0.000",
                "https: connected, no whole TLS handshake in time",
            ),
            (
                28,
                "curl: (28) Operation timed out",
                "000 0 0.002 0.01",
                "connected, no whole answer in time",
            ),
            (35, "curl: (35) x", "000 0 0.002 0.000", "https: the TLS handshake failed"),
            (
                52,
                "curl: (52) x",
                "000 0 0.002 0.01",
                "https: the connection ended without an answer",
            ),
            (56, "curl: (56) x", "000 0 0.002 0.01", "connection reset"),
            (99, "curl: (99) x", "000 0 0 0", "https: curl ended with status 99"),
        ] {
            let ran = ran(status, "", said, told);
            assert_eq!(title(&probe(), &ran), expected);
            let broke = match status {
                28 => Some(true),
                7 | 35 | 52 | 56 => Some(false),
                _ => None,
            };
            assert_eq!(HttpsProbe::broke(&ran), broke, "{status}");
        }
    }
}
