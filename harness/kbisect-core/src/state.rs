//! What the state of a node at the end says about a connection that failed: rule counters and
//! connection tracking entries. A candidate machine is booted for its trial and its rules are loaded
//! in it, so what is there at the end is the difference.

use std::net::SocketAddr;

/// Most lines of each kind.
const MAX_LINES: usize = 16;

/// Rules of `nft list ruleset` that counted packets, with table and chain before them.
#[must_use]
pub fn rule_counters(ruleset: &str) -> Vec<String> {
    let (mut table, mut chain) = (String::new(), String::new());
    let mut found = Vec::new();
    for line in ruleset.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("table ").and_then(|rest| rest.strip_suffix(" {")) {
            table = name.to_owned();
        } else if let Some(name) =
            line.strip_prefix("chain ").and_then(|rest| rest.strip_suffix(" {"))
        {
            chain = name.to_owned();
        } else if let Some((_, counted)) = line.split_once("counter packets ")
            && !counted.starts_with("0 ")
            && found.len() < MAX_LINES
        {
            found.push(format!("{table} {chain}: {}", shorten(line)));
        }
    }
    found
}

/// Entries of `conntrack -L` for the connections between these ends, whatever address translation
/// made of them: told by the ports.
#[must_use]
pub fn connections(listing: &str, ends: &[(SocketAddr, SocketAddr)]) -> Vec<String> {
    let of_ends = |line: &&str| {
        ends.iter().any(|(client, server)| {
            let has = |word: String| line.split_whitespace().any(|other| other == word);
            has(format!("sport={}", client.port())) && has(format!("dport={}", server.port()))
        })
    };
    listing.lines().map(str::trim).filter(of_ends).take(MAX_LINES).map(shorten).collect()
}

fn shorten(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.join(" ").chars().take(240).collect()
}

/// Cuts a section out of a collected text: from `### title` to the next one.
#[must_use]
pub fn section<'a>(text: &'a str, title: &str) -> &'a str {
    let Some((_, rest)) = text.split_once(&format!("### {title}\n")) else { return "" };
    rest.split_once("\n### ").map_or(rest, |(section, _)| section)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
### nft list ruleset
table inet gw {
\tchain forward {
\t\ttype filter hook forward priority filter; policy drop;
\t\tiifname \"vrf-x\" counter packets 12 bytes 800 accept
\t\tcounter packets 0 bytes 0 comment \"dropped\"
\t}
}

### conntrack -L
tcp 6 431999 ESTABLISHED src=10.0.0.2 dst=203.0.113.9 sport=4000 dport=80 src=203.0.113.9 dst=10.9.9.9 sport=80 dport=4000 [ASSURED] use=1
tcp 6 100 TIME_WAIT src=10.0.0.3 dst=203.0.113.9 sport=4001 dport=80 src=203.0.113.9 dst=10.9.9.9 sport=80 dport=4001 use=1

### dmesg
[    1.0] x
";

    #[test]
    fn rules_that_counted_are_shown_with_their_chain() {
        let rules = rule_counters(section(TEXT, "nft list ruleset"));
        assert_eq!(
            rules,
            ["inet gw forward: iifname \"vrf-x\" counter packets 12 bytes 800 accept"]
        );
    }

    #[test]
    fn only_entries_of_the_failed_connection_are_shown() {
        let ends = [("10.0.0.2:4000".parse().unwrap(), "203.0.113.9:80".parse().unwrap())];
        let found = connections(section(TEXT, "conntrack -L"), &ends);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("ESTABLISHED") && found[0].contains("sport=4000"));
        assert_eq!(connections(section(TEXT, "nothing"), &ends), Vec::<String>::new());
    }
}
