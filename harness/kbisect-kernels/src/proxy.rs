//! Which proxy a download goes through: the environment's variables first, then apt's setting.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kbisect_process::run_within;

/// apt-config reads a few files.
const DEADLINE: Duration = Duration::from_secs(30);

/// The proxies of this host. apt is asked at the first download, not before.
#[derive(Clone, Debug)]
pub struct Proxies {
    environment: Environment,
    /// Directory in place of `/etc/apt`.
    apt_dir: Option<PathBuf>,
    apt: Arc<OnceLock<AptProxies>>,
}

/// `http_proxy` and its like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    http: Option<String>,
    https: Option<String>,
    none: Vec<String>,
}

/// `Acquire::http::Proxy` and its like: method, host (none for all), and value.
#[derive(Debug, Default, PartialEq, Eq)]
struct AptProxies(Vec<(String, Option<String>, String)>);

impl Proxies {
    /// Looks at the environment; `apt_dir` takes the place of `/etc/apt`.
    pub fn of_host(apt_dir: Option<&Path>) -> Self {
        let variable = |name: &str| env::var(name).ok();
        let environment = Environment::read(&variable);
        Self { environment, apt_dir: apt_dir.map(Path::to_owned), apt: Arc::default() }
    }

    /// The proxy for a URL; `None` when it is to be asked directly.
    pub fn of_url(&self, url: &str) -> Option<String> {
        let (scheme, host) = parts(url)?;
        // What runs on this very host is behind no proxy, whatever is set.
        if matches!(host, "127.0.0.1" | "localhost" | "[::1]") || self.environment.excludes(host) {
            return None;
        }
        let of_environment = match scheme {
            "https" => &self.environment.https,
            _ => &self.environment.http,
        };
        of_environment.clone().or_else(|| self.apt().of(scheme, host))
    }

    /// apt's own settings of proxies, as options for another apt.
    pub fn apt_options(&self) -> Vec<String> {
        let option = |(method, host, value): &(String, Option<String>, String)| {
            let host = host.as_ref().map(|host| format!("::{host}")).unwrap_or_default();
            format!("Acquire::{method}::Proxy{host} \"{value}\"")
        };
        self.apt().0.iter().map(option).collect()
    }

    fn apt(&self) -> &AptProxies {
        self.apt.get_or_init(|| AptProxies::ask(self.apt_dir.as_deref()))
    }
}

impl Environment {
    /// Reads the variables in both spellings; one that is empty counts as not set.
    fn read(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&str; 4]| {
            names.iter().find_map(|name| variable(name).filter(|value| !value.trim().is_empty()))
        };
        let none = first(["no_proxy", "NO_PROXY", "", ""]).unwrap_or_default();
        Self {
            http: first(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
            https: first(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            none: none
                .split(',')
                .map(|entry| entry.trim().to_ascii_lowercase())
                .filter(|entry| !entry.is_empty())
                .collect(),
        }
    }

    /// Whether `no_proxy` names a host, a domain above it, or everything.
    fn excludes(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.none.iter().any(|entry| {
            let domain = entry.trim_start_matches('*').trim_start_matches('.');
            let domain = domain.split_once(':').map_or(domain, |(domain, _port)| domain);
            entry == "*"
                || (!domain.is_empty()
                    && host
                        .strip_suffix(domain)
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
        })
    }
}

impl AptProxies {
    /// Asks `apt-config`; where there is no apt, it has no setting.
    fn ask(apt_dir: Option<&Path>) -> Self {
        let mut command = Command::new("apt-config");
        command.args(["dump", "Acquire"]);
        let scratch = tempfile::NamedTempFile::new();
        if let (Some(dir), Ok(file)) = (apt_dir, &scratch) {
            // The file named so is read before all others, and can say where those are.
            let text = format!("Dir::Etc \"{}\";\n", dir.display());
            if std::fs::write(file.path(), text).is_err() {
                return Self::default();
            }
            command.env("APT_CONFIG", file.path());
        }
        let dump = run_within(command, DEADLINE, 1 << 20).map(|ended| ended.stdout);
        let dump = dump.unwrap_or_default();
        Self::read(&String::from_utf8_lossy(&dump))
    }

    /// Reads lines such as `Acquire::http::Proxy::mirror.example "DIRECT";`.
    fn read(dump: &str) -> Self {
        let setting = |line: &str| {
            let (name, value) = line.strip_suffix(';')?.split_once(' ')?;
            let value = value.trim().trim_matches('"');
            let mut words = name.split("::");
            let is =
                |word: Option<&str>, what: &str| word.is_some_and(|w| w.eq_ignore_ascii_case(what));
            let acquire = is(words.next(), "Acquire");
            let method = words.next()?.to_ascii_lowercase();
            let proxy = is(words.next(), "Proxy");
            let host = words.next().map(str::to_ascii_lowercase);
            // `Proxy::` adds to a list that apt does not look at.
            let ours = acquire
                && proxy
                && matches!(method.as_str(), "http" | "https")
                && host.as_deref() != Some("");
            (ours && !value.is_empty()).then(|| (method, host, value.to_owned()))
        };
        Self(dump.lines().filter_map(setting).collect())
    }

    /// apt's own order: that of the host before that of all, and https takes what http has.
    fn of(&self, scheme: &str, host: &str) -> Option<String> {
        let host = host.to_ascii_lowercase();
        let find = |method: &str, wanted: Option<&str>| {
            let mut found = self.0.iter().filter(|(m, h, _)| m == method && h.as_deref() == wanted);
            found.next_back().map(|(_, _, value)| value.clone())
        };
        let of_method = |method: &str| find(method, Some(&host)).or_else(|| find(method, None));
        let value = match scheme {
            "https" => of_method("https").or_else(|| of_method("http")),
            _ => of_method("http"),
        };
        value.filter(|value| !value.eq_ignore_ascii_case("DIRECT"))
    }
}

/// Scheme and host of a URL.
fn parts(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match authority.strip_prefix('[') {
        Some(rest) => &authority[..rest.find(']')? + 2],
        None => authority.split(':').next()?,
    };
    Some((scheme, host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::read(&|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn proxies(variables: &[(&str, &str)], dump: &str) -> Proxies {
        let apt = OnceLock::new();
        apt.set(AptProxies::read(dump)).unwrap();
        Proxies { environment: environment(variables), apt_dir: None, apt: Arc::new(apt) }
    }

    #[test]
    fn the_environment_wins_over_apt_and_no_proxy_over_both() {
        let dump = "Acquire::http::Proxy \"http://apt:3142\";\n";
        let both = proxies(
            &[("http_proxy", "http://env:3128"), ("no_proxy", "corp.example, .lab.example,x:80")],
            dump,
        );
        assert_eq!(both.of_url("http://a.example/x").as_deref(), Some("http://env:3128"));
        // http_proxy says nothing of https; apt's setting for http does.
        assert_eq!(both.of_url("https://a.example/x").as_deref(), Some("http://apt:3142"));
        for direct in [
            "http://corp.example/x",
            "https://m.corp.example:8443/x",
            "http://b.lab.example",
            "http://x/y",
            "http://127.0.0.1:8000/x",
            "http://[::1]:80/x",
            "http://localhost/x",
        ] {
            assert_eq!(both.of_url(direct), None, "{direct}");
        }
        assert!(both.of_url("http://notcorp.example/").is_some());
        assert_eq!(proxies(&[("no_proxy", "*")], dump).of_url("http://a.example/"), None);
        assert_eq!(proxies(&[("http_proxy", "")], "").of_url("http://a.example/"), None);
        let all = proxies(&[("ALL_PROXY", "http://all:1")], "");
        assert_eq!(all.of_url("https://a.example/").as_deref(), Some("http://all:1"));
    }

    #[test]
    fn apt_can_name_a_proxy_for_one_host() {
        let dump = "Acquire \"\";\nAcquire::http::Proxy \"http://p:3128\";\n\
            Acquire::http::Proxy::mirror.example \"DIRECT\";\nAcquire::https::Proxy \"\";\n\
            Acquire::https::Proxy::s.example \"http://s:1\";\nAcquire::http::Proxy:: \"junk\";\n\
            Acquire::http::Pipeline-Depth \"0\";\n";
        let apt = proxies(&[], dump);
        assert_eq!(apt.of_url("http://MIRROR.example:80/debian"), None);
        assert_eq!(apt.of_url("https://s.example/").as_deref(), Some("http://s:1"));
        assert_eq!(proxies(&[], "").of_url("http://a.example/"), None);
        assert_eq!(proxies(&[], "nonsense;\n;;\n\"").of_url("http://a.example/"), None);
    }

    #[test]
    fn proxies_of_apt_are_kept_and_nothing_else() {
        let dump = "Acquire \"\";\nAcquire::http \"\";\nAcquire::http::Proxy \"http://p:3128\";\n\
                    Acquire::https::Proxy \"\";\nAcquire::Retries \"3\";\n\
                    Acquire::http::Proxy:: \"junk\";\n\
                    Acquire::http::Proxy::mirror.example \"DIRECT\";\n";
        assert_eq!(
            proxies(&[], dump).apt_options(),
            [
                "Acquire::http::Proxy \"http://p:3128\"",
                "Acquire::http::Proxy::mirror.example \"DIRECT\""
            ]
        );
    }

    #[test]
    fn apt_is_really_asked() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("apt.conf.d")).unwrap();
        let file = dir.path().join("apt.conf.d/80proxy");
        std::fs::write(file, "Acquire::http { Proxy \"http://cache.example:3142/\"; };\n").unwrap();
        if Command::new("apt-config")
            .arg("dump")
            .stdout(std::process::Stdio::null())
            .status()
            .is_err()
        {
            eprintln!("SKIPPED: this host has no apt-config");
            return;
        }
        let asked = AptProxies::ask(Some(dir.path()));
        assert_eq!(asked.of("http", "a.example").as_deref(), Some("http://cache.example:3142/"));
    }
}
