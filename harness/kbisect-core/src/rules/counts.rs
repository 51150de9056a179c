//! What rules counted, by two outputs of `nft list ruleset`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most rules of a node that are kept.
const MOST: usize = 64;
/// Longest text of a rule in characters.
const LONGEST: usize = 240;

/// A rule, or a counter with a name, that counted packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleCount {
    /// The node whose rules these are.
    pub node: String,
    /// Family, table and chain; of a counter with a name, family and table.
    pub place: String,
    /// The rule as nft lists it, without its counts.
    pub rule: String,
    /// Packets once everything was set up: counts of a dump are loaded with it.
    pub before: u64,
    /// Packets at the end.
    pub after: u64,
}

/// Rules of a node that counted packets, from a list of after the set-up and one of the end. Without the
/// first, all began at 0.
#[must_use]
pub fn counted(node: &str, before: &str, after: &str) -> Vec<RuleCount> {
    let before: BTreeMap<(String, String, usize), u64> = listed(before)
        .into_iter()
        .map(|(place, rule, at, count)| ((place, rule, at), count))
        .collect();
    let counts = listed(after).into_iter().filter_map(|(place, rule, at, after)| {
        let key = (place, rule, at);
        let before = before.get(&key).copied().unwrap_or(0);
        let (place, rule, _) = key;
        // A rule that was loaded again begins anew.
        let moved = after != before && after > 0;
        moved.then(|| RuleCount { node: node.to_owned(), place, rule, before, after })
    });
    counts.take(MOST).collect()
}

/// Place, text and packets of each rule that counts; the number tells rules with the same text apart.
fn listed(ruleset: &str) -> Vec<(String, String, usize, u64)> {
    let (mut table, mut chain, mut named) = (String::new(), None, None);
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut found = Vec::new();
    for line in ruleset.lines().map(str::trim) {
        let opened = |word: &str| line.strip_prefix(word).and_then(|rest| rest.strip_suffix(" {"));
        if let Some(name) = opened("table ") {
            (table, chain, named) = (name.to_owned(), None, None);
        } else if let Some(name) = opened("chain ") {
            (chain, named) = (Some(name.to_owned()), None);
        } else if let Some(name) = opened("counter ") {
            (chain, named) = (None, Some(name.to_owned()));
        } else if line == "}" {
            (chain, named) = (None, None);
        } else if let Some((text, packets)) = without_counts(line) {
            let (place, text) = match (&chain, &named) {
                (Some(chain), _) => (format!("{table} {chain}"), text),
                (None, Some(name)) => (table.clone(), format!("counter {name}")),
                (None, None) => continue,
            };
            let at = seen.entry((place.clone(), text.clone())).or_default();
            found.push((place, text, *at, packets));
            *at += 1;
        }
    }
    found
}

/// A line with `packets N bytes M`, without these words.
fn without_counts(line: &str) -> Option<(String, u64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.windows(4).position(|four| {
        four[0] == "packets" && four[2] == "bytes" && four[1].bytes().all(|b| b.is_ascii_digit())
    })?;
    let packets = words[at + 1].parse().ok()?;
    let rest: Vec<&str> = words[..at].iter().chain(&words[at + 4..]).copied().collect();
    Some((rest.join(" ").chars().take(LONGEST).collect(), packets))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "table inet gw {\n\tcounter hits {\n\t\tpackets 7 bytes 70\n\t}\n\n\tchain forward {\n\t\t\
        type filter hook forward priority filter; policy drop;\n\t\tiifname \"a\" counter packets 12 bytes 800 accept\n\t\t\
        counter packets 0 bytes 0 drop\n\t\tcounter packets 0 bytes 0 drop\n\t\tcounter name \"hits\" accept\n\t}\n}\n";

    #[test]
    fn rules_that_counted_have_what_they_were_loaded_with() {
        let after = BEFORE
            .replace("packets 12 bytes 800", "packets 15 bytes 999")
            .replace("packets 7 bytes", "packets 9 bytes")
            .replacen("counter packets 0 bytes 0 drop", "counter packets 2 bytes 80 drop", 1);
        let found = counted("gw", BEFORE, &after);
        let told: Vec<(&str, &str, u64, u64)> = found
            .iter()
            .map(|one| (one.place.as_str(), one.rule.as_str(), one.before, one.after))
            .collect();
        assert_eq!(
            told,
            [
                ("inet gw", "counter hits", 7, 9),
                ("inet gw forward", "iifname \"a\" counter accept", 12, 15),
                ("inet gw forward", "counter drop", 0, 2),
            ]
        );
        assert_eq!(counted("gw", BEFORE, BEFORE), []);
    }

    #[test]
    fn a_list_that_is_large_or_broken_does_no_harm() {
        let many =
            format!("table ip x {{\nchain y {{\n{}", "counter packets 1 bytes 1\n".repeat(500));
        assert_eq!(counted("gw", "", &many).len(), MOST);
        for text in [
            "",
            "}",
            "packets",
            "packets 1 bytes",
            "table x {\npackets 99999999999999999999 bytes 1 a",
        ] {
            assert_eq!(counted("gw", text, text), [], "{text}");
        }
    }
}
