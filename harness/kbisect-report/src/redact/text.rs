//! Addresses and names in texts.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::Redactor;
use super::addresses::Found;
use super::forms::{self, Address};

/// Host names where nothing else can stand: in addresses of pages and of mail.
static PLACES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:\b[a-z][a-z0-9+.-]{1,10}://(?:[^\s/@]*@)?|\b[A-Za-z0-9._%+-]+@)([A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*)")
        .expect("a fixed pattern")
});

/// Host names by their end. Country codes are left out: `sh`, `md`, `py` and `so` are file names.
static DOMAINS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:com|net|org|edu|gov|mil|int|info|biz|cloud|internal|intranet|local|localdomain|lan|corp|home|private|test|example|invalid|arpa|wmnet)\b",
    )
    .expect("a fixed pattern")
});

/// Name and password in the address of a page.
static LOGIN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(\b[a-z][a-z0-9+.-]{1,10}://)[^\s/@"']+@"#).expect("a fixed pattern")
});

/// The folder of a user.
static HOME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"/home/([A-Za-z0-9._-]+)").expect("a fixed pattern"));

/// Names that are the same everywhere: of no use to an attacker, and needed to read a report.
/// A domain stands for all names in it.
const PUBLIC: [&str; 8] = [
    "localhost",
    "debian.org",
    "kernel.ubuntu.com",
    "kernel.org",
    "www.w3.org",
    "json-schema.org",
    "json.schemastore.org",
    "www.cve.org",
];

/// A pattern that is none.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{pattern}` is no regular expression: {reason}")]
pub struct PatternError {
    pattern: String,
    reason: String,
}

/// Reads a pattern.
///
/// # Errors
/// [`PatternError`], also for a pattern that matches everywhere, since it matches nothing.
pub fn pattern(text: &str) -> Result<Regex, PatternError> {
    let error = |reason: &str| PatternError { pattern: text.to_owned(), reason: reason.to_owned() };
    let regex = Regex::new(text).map_err(|problem| {
        let problem = problem.to_string();
        error(problem.lines().last().unwrap_or_default().trim().trim_start_matches("error: "))
    })?;
    if regex.is_match("") { Err(error("it matches the empty text")) } else { Ok(regex) }
}

/// A text of the same length without the line ends and tabs that JSON writes as two characters: in
/// `"\\n2001:db8::1"` the `n` is no part of the address.
pub(super) fn without_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        // JSON within JSON has more of them.
        let count = rest[at..].bytes().take_while(|byte| *byte == b'\\').count();
        let end = at + count;
        if rest[end..].starts_with(['n', 'r', 't']) {
            out.push_str(&" ".repeat(count + 1));
            rest = &rest[end + 1..];
        } else {
            out.push_str(&rest[at..end]);
            rest = &rest[end..];
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Host names that were found.
pub(super) struct Names {
    given: BTreeSet<String>,
    found: BTreeSet<String>,
}

impl Names {
    pub(super) fn new(given: &[String]) -> Self {
        let given = given.iter().filter(|name| name.len() > 1 && *name != "localhost");
        Self { given: given.cloned().collect(), found: BTreeSet::new() }
    }

    /// Takes note of the hosts in addresses of pages, also of those without a domain: in texts of which
    /// it is known that none of them is a host of a scenario.
    pub(super) fn collect_hosts(&mut self, text: &str) {
        self.collect(text);
        for name in PLACES.captures_iter(text).filter_map(|found| found.get(1)) {
            let name = name.as_str();
            if name.len() > 1 && name != "localhost" && !name.contains('.') {
                self.given.insert(name.to_owned());
            }
        }
    }

    pub(super) fn collect(&mut self, text: &str) {
        let places = PLACES.captures_iter(text).filter_map(|found| found.get(1));
        let names = places.chain(DOMAINS.find_iter(text)).map(|found| found.as_str());
        for name in names {
            // Interfaces and sysctls have dots too; a name has a letter.
            let public = PUBLIC.iter().any(|known| {
                name == *known || name.strip_suffix(known).is_some_and(|rest| rest.ends_with('.'))
            });
            let plain = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            if !public && !plain && name.contains('.') {
                self.found.insert(name.to_owned());
            }
        }
        for user in HOME.captures_iter(text).filter_map(|found| found.get(1)) {
            self.given.insert(user.as_str().to_owned());
        }
    }

    /// Names and placeholders, longest name first, so that a part is not replaced before the whole.
    pub(super) fn numbered(self) -> Vec<(String, String)> {
        let hosts = self.found.into_iter().enumerate();
        let hosts = hosts.map(|(at, name)| (name, format!("host{}.example", at + 1)));
        let given = self.given.into_iter().enumerate();
        let given = given.map(|(at, name)| (name, format!("name{}", at + 1)));
        let mut all: Vec<(String, String)> = hosts.chain(given).collect();
        all.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then(a.0.cmp(&b.0)));
        all
    }
}

/// Takes note of the addresses in a text.
pub(super) fn collect(text: &str, found: &mut Found) {
    for hit in forms::hits(text).into_iter().filter(|hit| hit.sure) {
        match hit.address {
            Address::Mac(mac) => found.add_mac(mac),
            // Inner nodes of /proc/net/fib_trie have lengths of the kernel's own, and are no networks.
            Address::Ip(ip, _) if is_inner_node(text, hit.at.start) => found.add(ip, None),
            Address::Ip(ip, prefix) => found.add(ip, prefix),
            Address::Tail(ip, prefix) => found.add_tail(ip, prefix),
        }
    }
}

fn is_inner_node(text: &str, at: usize) -> bool {
    let line = text[..at].rsplit('\n').next().unwrap_or_default();
    line.trim_start() == "+-- "
}

/// Replaces patterns, then names, then addresses.
pub(super) fn redact(redactor: &mut Redactor, text: &str) -> String {
    let mut text = LOGIN.replace_all(text, "${1}[login]@").into_owned();
    let mut matched: Vec<(String, String)> =
        redactor.matched.iter().map(|(old, new)| (old.clone(), new.clone())).collect();
    matched.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
    for (old, new) in matched {
        let count = text.matches(&old).count();
        if count > 0 {
            text = text.replace(&old, &new);
            (0..count).for_each(|_| redactor.note(&old, &new));
        }
    }
    for (old, new) in redactor.names.clone() {
        text = replace_word(redactor, &text, &old, &new);
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for hit in forms::hits(&without_escapes(&text)) {
        let addresses = &redactor.addresses;
        let new = match hit.address {
            Address::Mac(mac) => addresses.mac(mac).map(Address::Mac),
            Address::Ip(ip, bits) => addresses.ip(ip, bits).map(|ip| Address::Ip(ip, bits)),
            Address::Tail(ip, bits) => addresses.v6(ip).map(|ip| Address::Tail(ip, bits)),
        };
        let Some(new) = new.filter(|_| hit.at.start >= at) else { continue };
        let (old, new) = (&text[hit.at.clone()], hit.written(&text, new));
        if new == old {
            continue;
        }
        out.push_str(&text[at..hit.at.start]);
        out.push_str(&new);
        at = hit.at.end;
        redactor.note(old, &new);
    }
    out.push_str(&text[at..]);
    out
}

/// Replaces a name where it is a word of its own.
fn replace_word(redactor: &mut Redactor, text: &str, old: &str, new: &str) -> String {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let plain = without_escapes(text);
    for (start, _) in plain.match_indices(old) {
        let end = start + old.len();
        let before = plain[..start].chars().next_back();
        let after = plain[end..].chars().next();
        if start < at || before.is_some_and(letter) || after.is_some_and(letter) {
            continue;
        }
        out.push_str(&text[at..start]);
        out.push_str(new);
        at = end;
        redactor.note(old, new);
    }
    out.push_str(&text[at..]);
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Hosts, RedactRules, Survey};
    use super::*;

    fn redactor(text: &str, patterns: &[&str], names: &[&str]) -> Redactor {
        let mut survey = Survey::new(RedactRules {
            patterns: patterns.iter().map(|text| pattern(text).unwrap()).collect(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            mirrors: Vec::new(),
        });
        survey.text(text, Hosts::WithDomain);
        survey.finish()
    }

    fn redacted(text: &str, patterns: &[&str], names: &[&str]) -> String {
        redactor(text, patterns, names).text(text)
    }

    #[test]
    fn addresses_in_a_text_are_replaced() {
        let text = "inet 185.15.56.244/29 link/ether 52:54:00:12:34:56 via 172.16.0.1 [2620:0:861::1]:80, \
                    6.12.69-1~bpo12+1 at 12:14:16, kbisect_core::run, 1.2.3.4.5.6, 255.255.255.0 lo 127.0.0.1";
        assert_eq!(
            redacted(text, &[], &[]),
            "inet 21.0.1.244/29 link/ether 02:00:00:00:00:01 via 172.16.1.1 [2001:db8:0:1::1]:80, \
             6.12.69-1~bpo12+1 at 12:14:16, kbisect_core::run, 1.2.3.4.5.6, 255.255.255.0 lo 127.0.0.1"
        );
    }

    #[test]
    fn names_are_replaced_where_they_are_words() {
        let text = "host=\"gw1\" gw10 http://db.corp.example:80/x root@mail.corp.example net.ipv4.ip_forward \
                    nginx.conf /home/alice/x http://lists.debian.org/debian";
        let new = redacted(text, &[], &["gw1"]);
        assert_eq!(
            new,
            "host=\"name2\" gw10 http://host1.example:80/x root@host2.example net.ipv4.ip_forward \
             nginx.conf /home/name1/x http://lists.debian.org/debian"
        );
    }

    #[test]
    fn what_json_escapes_ends_a_word() {
        let text =
            r#"["true\n2620:0:861::1\tdb.corp.example\r\ngw1\n52:54:00:12:34:56\\n2620:0:861::2"]"#;
        let new = redacted(text, &[], &["gw1"]);
        assert_eq!(
            new,
            r#"["true\n2001:db8:0:1::1\thost1.example\r\nname1\n02:00:00:00:00:01\\n2001:db8:0:1::2"]"#
        );
        assert!(serde_json::from_str::<serde_json::Value>(&new).is_ok());
        let text = "é\\n\\é\\";
        assert_eq!(without_escapes(text).len(), text.len());
    }

    #[test]
    fn an_inner_node_of_the_trie_of_routes_is_no_network() {
        let text = "+-- 10.16.0.0/12 2 0 2\n   |-- 10.20.0.1\n   inet 10.20.0.1/24\n";
        let new = redacted(text, &[], &[]);
        assert!(!new.contains("10.20.0.1"), "{new}");
    }

    #[test]
    fn patterns_get_stable_placeholders() {
        let text = "ticket INC-77, again INC-77 and INC-3";
        assert_eq!(
            redacted(text, &["INC-[0-9]+"], &[]),
            "ticket [redacted-2], again [redacted-2] and [redacted-1]"
        );
    }

    #[test]
    fn a_pattern_that_is_none_is_told_so() {
        let error = pattern("a(").unwrap_err().to_string();
        assert!(error.starts_with("`a(` is no regular expression: "), "{error}");
        assert!(pattern("x*").unwrap_err().to_string().contains("empty text"));
    }

    #[test]
    fn redacting_twice_with_one_redactor_gives_the_same() {
        let text = "185.15.56.244 http://db.corp.internal/";
        let mut redactor = redactor(text, &[], &[]);
        assert_eq!(redactor.text(text), redactor.text(text));
        let replaced: Vec<_> = redactor.replaced().collect();
        assert_eq!(replaced[0], ("185.15.56.244", "21.0.1.244", 2));
    }
}
