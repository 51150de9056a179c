//! `counter`: packets that the packet filter of the node counted.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::cursor::Item;
use super::super::kept_rules::{Checked, KeptCheck, invalid, rule};
use super::super::words;
use super::count::{Count, printed};
use super::kind::{Kind, Reading};
use crate::command::Ran;
use crate::rules::{Counter as Counts, Rule, saved_words};
use crate::wrong::{CheckFailure, Wrong};

/// Longest name or comment in bytes: the kernel takes no longer one (`NFT_OBJ_MAXNAMELEN`,
/// `XT_MAX_COMMENT_LEN`).
const MOST_NAME: usize = 255;

/// What iptables has counted, by all of its programs that the image has: a rule is in one back end, and
/// the other knows nothing of it. A back end that the kernel lacks says so and stops nobody.
const IPTABLES: &str = "found=1
for version in iptables ip6tables; do for end in nft legacy; do
  program=$version-$end-save
  if command -v $program >/dev/null; then echo \"# kbisect $version\"; $program -c && found=0; fi
done; done
exit $found";

/// A counter of the packet filter and what it must have counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CounterProbe {
    /// What counts.
    pub of: Counter,
    /// The only family that is looked into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// The only table that is looked into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// How many packets.
    pub packets: Count,
}

/// What counts packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counter {
    /// A counter of nft with a name.
    Nft(String),
    /// The rules of nft with a comment.
    NftComment(String),
    /// The rules of iptables and ip6tables with a comment.
    IptablesComment(String),
}

/// Family of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words of nft(8)")]
pub enum Family {
    Ip,
    Ip6,
    Inet,
    Arp,
    Bridge,
    Netdev,
}

const FAMILIES: [(&str, Family); 6] = [
    ("ip", Family::Ip),
    ("ip6", Family::Ip6),
    ("inet", Family::Inet),
    ("arp", Family::Arp),
    ("bridge", Family::Bridge),
    ("netdev", Family::Netdev),
];

/// What was found under a name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// Rules or counters.
    there: usize,
    /// Those of them that count.
    counting: usize,
    packets: u64,
}

impl Found {
    fn add(&mut self, packets: Option<u64>) {
        self.there += 1;
        self.counting += usize::from(packets.is_some());
        self.packets = self.packets.saturating_add(packets.unwrap_or(0));
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nft(name) => write!(f, "`{name}`"),
            Self::NftComment(comment) => write!(f, "rules with the comment `{comment}`"),
            Self::IptablesComment(comment) => {
                write!(f, "iptables rules with the comment `{comment}`")
            }
        }
    }
}

impl CounterProbe {
    /// How many bytes of a rule set are kept: longer ones cannot be read.
    pub const KEPT: u32 = 768 << 10;

    pub(super) fn read(item: &Item<'_>, _: &mut Reading<'_>) -> Option<Self> {
        let table = item.table()?;
        let of = table.exactly_one(&["nft", "nft_comment", "iptables_comment"]);
        let of = of.and_then(|(key, item)| {
            let name = item.parsed(name)?;
            Some(match key {
                "nft" => Counter::Nft(name),
                "nft_comment" => Counter::NftComment(name),
                _ => Counter::IptablesComment(name),
            })
        });
        let family = table.get("family");
        let word = family.as_ref().and_then(|item| item.one_of(&FAMILIES));
        let of_table = table.get("table").and_then(|item| item.parsed(name));
        let packets = Count::read(&table);
        table.finish();
        let probe = Self { of: of?, family: word, table: of_table, packets };
        if let (Err(message), Some(item)) = (probe.of_family(), family) {
            item.wrong(message);
        }
        Some(probe)
    }

    fn of_family(&self) -> Result<(), String> {
        match (&self.of, self.family) {
            (Counter::Nft(_) | Counter::NftComment(_), _)
            | (_, None | Some(Family::Ip | Family::Ip6)) => Ok(()),
            _ => Err("iptables has the families `ip` and `ip6`".to_owned()),
        }
    }

    /// The program that tells, with its arguments. Nothing of the scenario is among them.
    pub fn argv(&self) -> Vec<String> {
        let words: &[&str] = match self.of {
            Counter::Nft(_) => &["nft", "--json", "list", "counters"],
            // Elements of sets can be many, and count nothing that is asked for.
            Counter::NftComment(_) => &["nft", "--json", "--terse", "list", "ruleset"],
            Counter::IptablesComment(_) => &["sh", "-c", IPTABLES],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// Says whether as many packets were counted as must be. Sets `missing` to what is not there at all.
    ///
    /// # Errors
    /// What was wrong.
    pub fn judge(&self, ran: &Ran, missing: &mut Option<String>) -> Result<String, CheckFailure> {
        let of = &self.of;
        let wrong = |what: String| Wrong::Other("counter", what);
        let text = printed(ran, Self::KEPT, "the rules are")?;
        let Some(found) = self.find(&text) else {
            let detail = "nft printed no JSON that can be read".to_owned();
            return Err(CheckFailure::unclear(detail));
        };
        if found.counting == 0 {
            let what = match (of, found.there) {
                (Counter::Nft(_), _) => format!("no counter {of} is there"),
                (_, 0) => format!("no {of} are there"),
                (..) => format!("the {of} have no counter"),
            };
            *missing = Some(what.clone());
            return Err(CheckFailure::wrong(what.clone(), wrong(what)));
        }
        let expected = self.packets.expected();
        let packets = if found.packets == 1 { "packet" } else { "packets" };
        let detail = format!("{} {packets} counted by {of}, {expected}", found.packets);
        if self.packets.holds(found.packets) {
            return Ok(detail);
        }
        Err(CheckFailure::wrong(detail, wrong(format!("packets counted by {of}: {expected}"))))
    }

    fn find(&self, text: &str) -> Option<Found> {
        match &self.of {
            Counter::Nft(name) => self.in_json(text, "counter", "name", name, |counter| {
                counter.get("packets").and_then(Value::as_u64)
            }),
            Counter::NftComment(comment) => {
                self.in_json(text, "rule", "comment", comment, |rule| {
                    let statements = rule.get("expr")?.as_array()?;
                    let counts =
                        |statement: &Value| statement.get("counter")?.get("packets")?.as_u64();
                    // A rule can count several times; the first is before its verdict.
                    statements.iter().find_map(counts)
                })
            }
            Counter::IptablesComment(comment) => Some(self.in_saved(text, comment)),
        }
    }

    /// Finds objects in what nft printed (libnftables-json(5)).
    fn in_json(
        &self,
        text: &str,
        kind: &str,
        key: &str,
        name: &str,
        packets: impl Fn(&Value) -> Option<u64>,
    ) -> Option<Found> {
        let text = text.trim();
        let mut found = Found::default();
        // Some versions print nothing where there is nothing.
        if text.is_empty() {
            return Some(found);
        }
        let whole: Value = serde_json::from_str(text).ok()?;
        for object in whole.get("nftables")?.as_array()? {
            let Some(object) = object.get(kind) else { continue };
            let text = |key: &str| object.get(key).and_then(Value::as_str);
            let family = FAMILIES.iter().find(|(word, _)| text("family") == Some(word));
            let here = self.family.is_none_or(|own| family.is_some_and(|(_, other)| own == *other))
                && self.table.as_deref().is_none_or(|own| text("table") == Some(own));
            if here && text(key) == Some(name) {
                found.add(packets(object));
            }
        }
        Some(found)
    }

    /// Finds rules in what `iptables-save -c` printed.
    fn in_saved(&self, text: &str, comment: &str) -> Found {
        let (mut family, mut table) = (Family::Ip, "");
        let mut found = Found::default();
        for line in text.lines() {
            match line {
                "# kbisect iptables" => family = Family::Ip,
                "# kbisect ip6tables" => family = Family::Ip6,
                _ => {}
            }
            if let Some(name) = line.strip_prefix('*') {
                table = name.trim();
            }
            let here = self.family.is_none_or(|own| own == family)
                && self.table.as_deref().is_none_or(|own| own == table);
            let Some((counts, rule)) = line.strip_prefix('[').and_then(|it| it.split_once(']'))
            else {
                continue;
            };
            if here && saved_words(rule).windows(2).any(|pair| pair == ["--comment", comment]) {
                found.add(counts.split(':').next().and_then(|packets| packets.parse().ok()));
            }
        }
        found
    }
}

fn name(text: &str) -> Result<String, String> {
    if text.len() > MOST_NAME {
        return Err(format!("must have at most {MOST_NAME} bytes, not {}", text.len()));
    }
    words::line(text)
}

impl Kind for CounterProbe {
    fn verifies_payload(&self) -> bool {
        false
    }

    fn needs_frames(&self) -> bool {
        false
    }

    fn summary(&self) -> String {
        let family = FAMILIES.iter().find(|(_, family)| Some(*family) == self.family);
        let place = [family.map(|(word, _)| *word), self.table.as_deref()];
        let place: Vec<&str> = place.into_iter().flatten().collect();
        let place =
            if place.is_empty() { String::new() } else { format!(" in {}", place.join(" ")) };
        format!("packets counted by {}{place}, {}", self.of, self.packets.expected())
    }

    fn counts(&self, rule: &Rule) -> bool {
        let family = FAMILIES.iter().find(|(word, _)| *word == rule.family);
        let here = self.family.is_none_or(|own| family.is_some_and(|(_, other)| own == *other))
            && self.table.as_deref().is_none_or(|own| own == rule.table);
        let by_comment = |comment: &String| rule.comment.as_ref() == Some(comment);
        here && match &self.of {
            Counter::Nft(name) => rule.counter == Counts::Named(name.clone()),
            Counter::NftComment(comment) | Counter::IptablesComment(comment) => {
                rule.counter != Counts::None && by_comment(comment)
            }
        }
    }

    fn check_kept(&self, check: &KeptCheck<'_>) -> Checked {
        let key = check.key;
        let (Counter::Nft(text) | Counter::NftComment(text) | Counter::IptablesComment(text)) =
            &self.of;
        rule(key, name(text))?;
        if let Some(table) = &self.table {
            rule(key, name(table))?;
        }
        self.of_family().map_err(|message| invalid(key, message))?;
        self.packets.check_kept(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CommandEnd;

    fn probe(of: Counter) -> CounterProbe {
        CounterProbe { of, family: None, table: None, packets: Count::default() }
    }

    fn ran(stdout: &str) -> Ran {
        Ran { end: CommandEnd::Status(0), stdout: stdout.into(), stderr: Vec::new() }
    }

    fn told(probe: &CounterProbe, stdout: &str) -> (Result<String, String>, Option<String>) {
        let mut missing = None;
        let judged = probe.judge(&ran(stdout), &mut missing);
        (judged.map_err(|failure| failure.wrong.expect("it is known").to_string()), missing)
    }

    fn seen(probe: &CounterProbe, stdout: &str) -> String {
        told(probe, stdout).0.unwrap_or_else(|wrong| wrong)
    }

    /// As nft 1.0.6 prints them.
    const COUNTERS: &str = r#"{"nftables": [{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}, {"counter": {"family": "inet", "name": "hits", "table": "t", "handle": 1, "packets": 12, "bytes": 840}}, {"counter": {"family": "ip", "name": "hits", "table": "other", "handle": 1, "packets": 3, "bytes": 3}}, {"counter": {"family": "ip", "name": "idle", "table": "other", "handle": 2, "packets": 0, "bytes": 0}}]}"#;

    #[test]
    fn a_counter_with_a_name_is_found() {
        let hits = || probe(Counter::Nft("hits".to_owned()));
        assert_eq!(seen(&hits(), COUNTERS), "15 packets counted by `hits`, at least 1 expected");
        let ip = CounterProbe { family: Some(Family::Ip), ..hits() };
        assert_eq!(seen(&ip, COUNTERS), "3 packets counted by `hits`, at least 1 expected");
        let table = CounterProbe { table: Some("t".to_owned()), ..hits() };
        assert_eq!(seen(&table, COUNTERS), "12 packets counted by `hits`, at least 1 expected");
        let idle = probe(Counter::Nft("idle".to_owned()));
        let (judged, missing) = told(&idle, COUNTERS);
        let title = "counter: packets counted by `idle`: at least 1 expected";
        assert_eq!((judged, missing), (Err(title.to_owned()), None), "0 is a number");
        let none = CounterProbe { packets: Count { at_least: None, at_most: Some(0) }, ..idle };
        assert_eq!(seen(&none, COUNTERS), "0 packets counted by `idle`, none expected");
    }

    /// That nothing counted is no proof where there is nothing that counts.
    #[test]
    fn what_is_not_there_passes_no_check() {
        let none = Count { at_least: None, at_most: Some(0) };
        for (of, text, expected) in [
            (Counter::Nft("hit".to_owned()), COUNTERS, "no counter `hit` is there"),
            (Counter::Nft("hit".to_owned()), "", "no counter `hit` is there"),
            (
                Counter::NftComment("x".to_owned()),
                r#"{"nftables": []}"#,
                "no rules with the comment `x` are there",
            ),
            (
                Counter::NftComment("x".to_owned()),
                r#"{"nftables": [{"rule": {"comment": "x", "expr": [{"accept": null}]}}]}"#,
                "the rules with the comment `x` have no counter",
            ),
            (
                Counter::IptablesComment("x".to_owned()),
                "*filter\n[1:2] -A INPUT -m comment --comment y\nCOMMIT\n",
                "no iptables rules with the comment `x` are there",
            ),
        ] {
            let probe = CounterProbe { packets: none, ..probe(of) };
            let (judged, missing) = told(&probe, text);
            assert_eq!(judged, Err(format!("counter: {expected}")));
            assert_eq!(missing.as_deref(), Some(expected));
        }
    }

    #[test]
    fn rules_of_nft_with_the_same_comment_are_added_up() {
        let text = r#"{"nftables": [{"metainfo": {}}, {"table": {"family": "inet", "name": "t"}},
            {"rule": {"family": "inet", "table": "t", "chain": "c", "comment": "limit",
                "expr": [{"match": {}}, {"counter": {"packets": 2, "bytes": 9}}, {"counter": {"packets": 1}}, {"drop": null}]}},
            {"rule": {"family": "ip", "table": "t", "chain": "c", "comment": "limit",
                "expr": [{"counter": {"packets": 18446744073709551615}}]}},
            {"rule": {"family": "ip", "table": "t", "chain": "c", "comment": "limit",
                "expr": [{"counter": "named"}]}},
            {"rule": {"family": "inet", "table": "t", "chain": "c", "expr": [{"counter": {"packets": 5}}]}},
            {"rule": 7}, 7]}"#;
        let limit = || probe(Counter::NftComment("limit".to_owned()));
        let inet = CounterProbe { family: Some(Family::Inet), ..limit() };
        let expected = "2 packets counted by rules with the comment `limit`, at least 1 expected";
        assert_eq!(seen(&inet, text), expected);
        let all = seen(&limit(), text);
        assert!(all.starts_with("18446744073709551615 packets"), "{all}");
    }

    /// As iptables 1.8.9 saved them.
    #[test]
    fn rules_of_both_back_ends_of_iptables_are_added_up() {
        let text = "# kbisect iptables
# Generated by iptables-save v1.8.9 (nf_tables)
*filter
:INPUT ACCEPT [7:7]
[12:720] -A INPUT -p tcp -m comment --comment \"over the limit\" -j REJECT
[1:60] -A INPUT -m comment --comment \"a \\\"quoted\\\" \\\\ one\" -j ACCEPT
[5:5] -A INPUT -m comment --comment other -j LOG --log-prefix \"--comment plain\"
COMMIT
# kbisect iptables
*mangle
[3:3] -A OUTPUT -m comment --comment \"over the limit\"
COMMIT
# kbisect ip6tables
*filter
[4:4] -A INPUT -m comment --comment plain -j ACCEPT
[x] -A INPUT -m comment --comment plain -j ACCEPT
[
COMMIT
";
        let count = |comment: &str, family, table: Option<&str>| {
            let of = Counter::IptablesComment(comment.to_owned());
            let table = table.map(str::to_owned);
            let seen = seen(&CounterProbe { family, table, ..probe(of) }, text);
            seen.split(' ').next().map(str::to_owned).expect("a word")
        };
        assert_eq!(count("over the limit", None, None), "15");
        assert_eq!(count("over the limit", None, Some("mangle")), "3");
        assert_eq!(count("a \"quoted\" \\ one", None, None), "1");
        assert_eq!(count("plain", None, None), "4");
        assert_eq!(count("plain", Some(Family::Ip6), Some("filter")), "4");
        assert_eq!(count("plain", Some(Family::Ip), None), "counter:");
    }

    #[test]
    fn what_cannot_be_read_tells_nothing() {
        let deep = format!("{{\"nftables\": {}", "[".repeat(100_000));
        let long = "x".repeat(CounterProbe::KEPT as usize);
        for text in ["{", "[]", "{\"nftables\": 7}", "\u{0}", &deep, &long] {
            let (judged, missing) = told(&probe(Counter::Nft("a".to_owned())), text);
            assert_eq!((judged, missing), (Err("could not tell".to_owned()), None));
        }
        let mut missing = None;
        let refused =
            Ran { end: CommandEnd::Status(1), stdout: Vec::new(), stderr: b"no".to_vec() };
        let failure = probe(Counter::Nft("a".to_owned())).judge(&refused, &mut missing);
        let expected = Wrong::Ended { how: "ended with status 1".to_owned(), expected: 0 };
        assert_eq!(failure.map_err(|failure| failure.wrong), Err(Some(expected)));
        assert_eq!(missing, None);
    }
}
