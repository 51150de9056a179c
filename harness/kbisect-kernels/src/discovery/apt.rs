//! Reading the host's apt configuration: which Debian mirror it uses, and which keyring.
//!
//! Only the sources are read, both in the one-line form (`*.list`) and in deb822 (`*.sources`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::settings::is_security;

/// Debian releases that a mirror can have; the names tell a Debian source from another vendor's.
const RELEASES: &str = "buster bullseye bookworm trixie forky duke sid unstable testing stable oldstable \
                        oldoldstable experimental";

/// One source of packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AptSource {
    /// Base URL, without a slash at the end.
    pub uri: String,
    pub suite: String,
    pub components: Vec<String>,
    pub signed_by: Vec<PathBuf>,
}

/// What the host's configuration says of Debian.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostMirrors {
    pub main: Option<String>,
    pub security: Option<String>,
    /// Keyrings of the two.
    pub keyrings: Vec<PathBuf>,
}

/// Reads all sources below an apt directory (`/etc/apt`). A directory that is not there has none.
pub fn read_sources(apt_dir: &Path) -> Result<Vec<AptSource>, (PathBuf, io::Error)> {
    let mut files = vec![apt_dir.join("sources.list")];
    if let Ok(entries) = fs::read_dir(apt_dir.join("sources.list.d")) {
        let mut more: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        more.sort();
        files.extend(more);
    }
    let mut sources = Vec::new();
    for file in files {
        let parse: fn(&str) -> Vec<AptSource> = match file.extension().and_then(|ext| ext.to_str())
        {
            Some("list") => one_line,
            Some("sources") => deb822,
            _ => continue,
        };
        match fs::read(&file) {
            Ok(bytes) => sources.extend(parse(&String::from_utf8_lossy(&bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err((file, error)),
        }
    }
    Ok(sources)
}

/// Picks Debian's own mirrors out of the sources; other vendors' are passed over.
pub fn pick(sources: &[AptSource]) -> HostMirrors {
    let best = |security: bool| {
        sources
            .iter()
            .filter(|source| is_security(&source.suite) == security)
            .filter_map(|source| Some((likeness(source)?, source)))
            .reduce(|best, other| if other.0 > best.0 { other } else { best })
            .map(|(_, source)| source)
    };
    let (main, security) = (best(false), best(true));
    let mut keyrings: Vec<PathBuf> = Vec::new();
    for path in [main, security].into_iter().flatten().flat_map(|source| &source.signed_by) {
        if !keyrings.contains(path) {
            keyrings.push(path.clone());
        }
    }
    let uri = |source: Option<&AptSource>| source.map(|source| source.uri.clone());
    HostMirrors { main: uri(main), security: uri(security), keyrings }
}

/// How much a source looks like Debian's archive; `None` when it cannot be.
fn likeness(source: &AptSource) -> Option<u32> {
    let release = source.suite.split(['-', '/']).next().unwrap_or("");
    let usable = RELEASES.split(' ').any(|name| name == release)
        && source.components.iter().any(|component| component == "main")
        && (source.uri.starts_with("http://") || source.uri.starts_with("https://"));
    usable.then_some(())?;
    let debian_key = source.signed_by.iter().any(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().contains("debian-archive"))
    });
    let debian_path = source.uri.ends_with("/debian") || source.uri.ends_with("/debian-security");
    Some(4 * u32::from(debian_key) + 2 * u32::from(debian_path))
}

fn one_line(text: &str) -> Vec<AptSource> {
    text.lines().filter_map(one_line_source).collect()
}

fn one_line_source(line: &str) -> Option<AptSource> {
    let line = line.split('#').next()?.trim().strip_prefix("deb")?;
    let line = line.starts_with([' ', '\t', '[']).then(|| line.trim_start())?;
    let (options, rest) = match line.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", line),
    };
    let mut words = rest.split_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    let signed_by = options
        .split_whitespace()
        .filter(|option| option.to_ascii_lowercase().starts_with("signed-by="))
        .map(|option| &option[10..])
        .flat_map(|value| value.split(','))
        .filter_map(key_path)
        .collect();
    Some(AptSource {
        uri: uri.trim_end_matches('/').to_owned(),
        suite: suite.to_owned(),
        components: words.map(str::to_owned).collect(),
        signed_by,
    })
}

fn deb822(text: &str) -> Vec<AptSource> {
    let text = text.replace("\r\n", "\n");
    let without_comments: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    without_comments.split(|line| line.trim().is_empty()).flat_map(deb822_stanza).collect()
}

fn deb822_stanza(lines: &[&str]) -> Vec<AptSource> {
    let words = |name: &str| -> Vec<String> {
        let mut wanted = false;
        let mut found = Vec::new();
        for line in lines {
            let value = if line.starts_with([' ', '\t']) {
                line
            } else {
                let Some((field, value)) = line.split_once(':') else { continue };
                wanted = field.eq_ignore_ascii_case(name);
                value
            };
            if wanted {
                found.extend(value.split_whitespace().map(str::to_owned));
            }
        }
        found
    };
    let off = words("Enabled").first().is_some_and(|v| matches!(v.as_str(), "no" | "false" | "0"));
    if off || !words("Types").iter().any(|kind| kind == "deb") {
        return Vec::new();
    }
    // A key written out in the file itself has no path; then the host's keyrings must do.
    let signed_by: Vec<PathBuf> =
        words("Signed-By").iter().filter_map(|value| key_path(value)).collect();
    let (suites, components) = (words("Suites"), words("Components"));
    let source = |uri: &String, suite: &String| AptSource {
        uri: uri.trim_end_matches('/').to_owned(),
        suite: suite.clone(),
        components: components.clone(),
        signed_by: signed_by.clone(),
    };
    words("URIs")
        .iter()
        .flat_map(|uri| suites.iter().map(move |suite| source(uri, suite)))
        .collect()
}

/// `Signed-By` takes fingerprints too; only files are of use here.
fn key_path(value: &str) -> Option<PathBuf> {
    value.starts_with('/').then(|| PathBuf::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "# made by hand\nTypes: deb deb-src\nURIs: http://mirror.example/debian/\n\
        Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
        Types: deb\n# a comment inside\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\n\
        Components: main\n\nTypes: deb\nURIs: http://off.example/debian\nSuites: sid\nComponents: main\nEnabled: no\n\n\
        Types: deb-src\nURIs: http://src.example/debian\nSuites: sid\nComponents: main\n\n\
        Types: deb\nURIs: https://other.example/node\nSuites: nodistro\nComponents: main\n";

    #[test]
    fn deb822_sources() {
        let picked = pick(&deb822(DEB822));
        assert_eq!(picked.main.as_deref(), Some("http://mirror.example/debian"));
        assert_eq!(picked.security.as_deref(), Some("http://mirror.example/debian-security"));
        assert_eq!(
            picked.keyrings,
            [PathBuf::from("/usr/share/keyrings/debian-archive-keyring.gpg")]
        );
    }

    #[test]
    fn one_line_sources() {
        let text = "deb [arch=amd64 signed-by=/k/a.gpg,/k/b.gpg] http://m.example/debian bookworm main contrib\n\
            deb-src http://m.example/debian bookworm main\n# deb http://no.example/debian sid main\n\
            deb http://s.example/debian-security bullseye/updates main # old style\n\
            deb cdrom:[Debian]/ bookworm main\n";
        let picked = pick(&one_line(text));
        assert_eq!(picked.main.as_deref(), Some("http://m.example/debian"));
        assert_eq!(picked.security.as_deref(), Some("http://s.example/debian-security"));
        assert_eq!(picked.keyrings, [PathBuf::from("/k/a.gpg"), PathBuf::from("/k/b.gpg")]);
    }

    #[test]
    fn another_vendors_archive_is_not_debians() {
        let text = "deb https://vendor.example/linux bookworm main\n\
            deb [signed-by=/k/debian-archive-keyring.gpg] http://m.example/mirror bookworm main\n\
            deb https://vendor.example/debian bookworm stable\n";
        assert_eq!(pick(&one_line(text)).main.as_deref(), Some("http://m.example/mirror"));
        assert_eq!(
            pick(&one_line("deb http://u.example/ubuntu jammy main\n")),
            HostMirrors::default()
        );
    }

    #[test]
    fn folded_fields_and_an_inline_key() {
        let text = "Types: deb\nURIs: http://a.example/debian\n http://b.example/debian\nSuites:\n trixie\n\
            Components: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n";
        let sources = deb822(text);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[1].uri, "http://b.example/debian");
        assert_eq!(sources[0].signed_by, Vec::<PathBuf>::new());
    }
}
