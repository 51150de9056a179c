//! What the state of a node at the end says about a connection that failed: rule counters and
//! connection tracking entries. A candidate machine is booted for its trial and its rules are loaded
//! in it, so what is there at the end is the difference.

use std::net::SocketAddr;

/// Most lines of each kind.
const MAX_LINES: usize = 16;

/// Rules of `nft list ruleset` that counted packets, with table and chain before them.
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
pub fn connections(listing: &str, ends: &[(SocketAddr, SocketAddr)]) -> Vec<String> {
    let of_ends = |line: &&str| {
        ends.iter().any(|(client, server)| {
            let has = |word: String| line.split_whitespace().any(|other| other == word);
            has(format!("sport={}", client.port())) && has(format!("dport={}", server.port()))
        })
    };
    listing.lines().map(str::trim).filter(of_ends).take(MAX_LINES).map(shorten).collect()
}

/// What became of addresses, policy rules and routes between two outputs of `ip addr show`, `ip rule
/// show` and `ip route show table all`: lines that went and lines that came. Statistics, timers and
/// neighbours are passed over.
pub fn changed_network(before: &str, after: &str) -> Vec<String> {
    let (before, after) = (network_lines(before), network_lines(after));
    let gone =
        before.iter().filter(|line| !after.contains(line)).map(|line| format!("gone: {line}"));
    let new = after.iter().filter(|line| !before.contains(line)).map(|line| format!("new: {line}"));
    gone.chain(new).take(MAX_LINES).collect()
}

fn network_lines(text: &str) -> Vec<String> {
    const TIMERS: [&str; 4] = ["expires", "valid_lft", "preferred_lft", "age"];
    // An interface takes a moment to be known as up.
    const PASSING: [&str; 3] = ["state", "UP", "UNKNOWN"];
    // An IPv6 address is tentative for a second, and gets its routes after it (RFC 4862 §5.4).
    const LINK_LOCAL: [&str; 2] = ["fe80:", "ff00:"];
    let is_statistics = |line: &str| {
        line.starts_with("RX:")
            || line.starts_with("TX:")
            || line.split_whitespace().all(|word| word.bytes().all(|b| b.is_ascii_digit()))
    };
    let is_neighbour = |line: &str| {
        line.contains(" lladdr ") || line.ends_with("FAILED") || line.ends_with("INCOMPLETE")
    };
    let is_link_local = |line: &str| LINK_LOCAL.iter().any(|prefix| line.contains(prefix));
    text.lines()
        .map(str::trim)
        .filter(|line| !is_statistics(line) && !is_neighbour(line) && !is_link_local(line))
        .map(|line| {
            let mut words = Vec::new();
            let mut rest = line.split_whitespace();
            while let Some(word) = rest.next() {
                if TIMERS.contains(&word) {
                    rest.next();
                } else if !PASSING.contains(&word) {
                    words.push(word);
                }
            }
            words.join(" ").chars().take(240).collect()
        })
        .filter(|line: &String| !line.is_empty())
        .collect()
}

fn shorten(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.join(" ").chars().take(240).collect()
}

/// Cuts a section out of a collected text: from `### title` to the next one.
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
    fn routes_that_went_are_told_from_timers_and_neighbours() {
        let before = "2: eth0: <BROADCAST,UP> mtu 1500 state UP group default qlen 1000\n\
            \x20   inet6 fe80::1/64 scope link tentative\n\
            \x20      valid_lft forever preferred_lft forever\n\
            \x20   RX:  bytes packets errors\n     1200      12      0\n\
            default via 192.0.2.1 dev eth0 table 10\n\
            fe80::/64 dev eth0 proto kernel expires 20sec\n";
        let after = "2: eth0: <BROADCAST,UP> mtu 1500 state UP group default qlen 1000\n\
            \x20   inet6 fe80::1/64 scope link\n\
            \x20      valid_lft forever preferred_lft forever\n\
            \x20   RX:  bytes packets errors\n     2400      24      0\n\
            192.0.2.1 dev eth0 lladdr 02:00:00:00:00:01 REACHABLE\n\
            fe80::/64 dev eth0 proto kernel expires 9sec\n\
            unreachable default dev lo metric 4294967295\n";
        assert_eq!(
            changed_network(before, after),
            [
                "gone: default via 192.0.2.1 dev eth0 table 10",
                "new: unreachable default dev lo metric 4294967295"
            ]
        );
        assert_eq!(changed_network(after, after), [""; 0]);
    }

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
