//! Addresses and names in texts.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::Redactor;
use super::addresses::Found;

/// What looks like an address: hardware, then IPv6, then IPv4, with a prefix length or without.
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        (?P<mac>\b[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}\b)
        |(?P<six>[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:\.\d{1,3}){0,3})(?:/(?P<bits6>\d{1,3})\b)?
        |(?P<four>\b\d{1,3}(?:\.\d{1,3}){3}\b)(?:/(?P<bits4>\d{1,2})\b)?",
    )
    .expect("a fixed pattern")
});

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

/// The folder of a user.
static HOME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"/home/([A-Za-z0-9._-]+)").expect("a fixed pattern"));

/// Names that are the same everywhere: of no use to an attacker, and needed to read a report.
/// A domain stands for all names in it.
const PUBLIC: [&str; 6] =
    ["localhost", "debian.org", "kernel.ubuntu.com", "kernel.org", "www.w3.org", "json-schema.org"];

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
    for captures in ADDRESS.captures_iter(text) {
        match read(text, &captures) {
            Some(Address::Mac(mac)) => found.add_mac(mac),
            Some(Address::Ip(ip, prefix)) => found.add(ip, prefix),
            None => {}
        }
    }
}

enum Address {
    Mac([u8; 6]),
    Ip(IpAddr, Option<u8>),
}

/// Makes sure that what looks like an address is one.
fn read(text: &str, captures: &Captures<'_>) -> Option<Address> {
    let bits = |name: &str| captures.name(name).and_then(|bits| bits.as_str().parse().ok());
    if let Some(mac) = captures.name("mac") {
        let mut bytes = [0; 6];
        for (byte, digits) in bytes.iter_mut().zip(mac.as_str().split(':')) {
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        return Some(Address::Mac(bytes));
    }
    if let Some(six) = captures.name("six") {
        let near = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        let inside =
            near(text[..six.start()].chars().next_back()) || near(text[six.end()..].chars().next());
        let address: Ipv6Addr = six.as_str().parse().ok()?;
        return (!inside).then_some(Address::Ip(address.into(), bits("bits6")));
    }
    let four = captures.name("four")?;
    // Five numbers with dots between them are a version.
    let dot = text[..four.start()].ends_with('.')
        || text[four.end()..]
            .strip_prefix('.')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let address: Ipv4Addr = four.as_str().parse().ok()?;
    (!dot).then_some(Address::Ip(address.into(), bits("bits4")))
}

/// Replaces patterns, then names, then addresses.
pub(super) fn redact(redactor: &mut Redactor, text: &str) -> String {
    let mut text = text.to_owned();
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
    let found: Vec<_> = ADDRESS.captures_iter(&text).collect();
    for captures in found {
        let new = match read(&text, &captures) {
            Some(Address::Mac(mac)) => redactor
                .addresses
                .mac(mac)
                .map(|mac| mac.map(|byte| format!("{byte:02x}")).join(":")),
            Some(Address::Ip(ip, bits)) => redactor.addresses.ip(ip, bits).map(|ip| ip.to_string()),
            None => None,
        };
        let part = ["mac", "six", "four"].into_iter().find_map(|name| captures.name(name));
        let (Some(new), Some(part)) = (new, part) else { continue };
        if new == part.as_str() {
            continue;
        }
        out.push_str(&text[at..part.start()]);
        out.push_str(&new);
        at = part.end();
        redactor.note(part.as_str(), &new);
    }
    out.push_str(&text[at..]);
    out
}

/// Replaces a name where it is a word of its own.
fn replace_word(redactor: &mut Redactor, text: &str, old: &str, new: &str) -> String {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (start, _) in text.match_indices(old) {
        let end = start + old.len();
        let before = text[..start].chars().next_back();
        let after = text[end..].chars().next();
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
    use super::super::RedactRules;
    use super::*;

    fn redacted(text: &str, patterns: &[&str], names: &[&str]) -> String {
        let rules = RedactRules {
            patterns: patterns.iter().map(|text| pattern(text).unwrap()).collect(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        Redactor::new(rules, [text.as_bytes()]).text(text)
    }

    #[test]
    fn addresses_in_a_text_are_replaced() {
        let text = "inet 185.15.56.244/29 link/ether 52:54:00:12:34:56 via 172.16.0.1 [2620:0:861::1]:80, \
                    6.12.69-1~bpo12+1 at 12:14:16, kbisect_core::run, 1.2.3.4.5, 255.255.255.0 lo 127.0.0.1";
        assert_eq!(
            redacted(text, &[], &[]),
            "inet 21.0.1.244/29 link/ether 02:00:00:00:00:01 via 172.16.1.1 [2001:db8:0:1::1]:80, \
             6.12.69-1~bpo12+1 at 12:14:16, kbisect_core::run, 1.2.3.4.5, 255.255.255.0 lo 127.0.0.1"
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
        let mut redactor = Redactor::new(RedactRules::default(), [text.as_bytes()]);
        assert_eq!(redactor.text(text), redactor.text(text));
        let replaced: Vec<_> = redactor.replaced().collect();
        assert_eq!(replaced[0], ("185.15.56.244", "21.0.1.244", 2));
    }
}
