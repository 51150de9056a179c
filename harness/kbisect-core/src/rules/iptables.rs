//! What `iptables-save` writes and `iptables-restore` reads.

use super::deed::Deed;
use super::rule::{Counter, Rule, Rules};

/// Reads the rules of a file; `v6` for those of ip6tables. What is no rule is passed over.
#[must_use]
pub fn read(text: &str, v6: bool) -> Rules {
    let mut table = String::new();
    let mut rules = Vec::new();
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if let Some(name) = line.strip_prefix('*') {
            table = name.trim().to_owned();
            continue;
        }
        // Counters come first where they were saved too.
        let plain = match line.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map_or("", |(_, rest)| rest.trim_start()),
            None => line,
        };
        let words = match plain.starts_with("-A ") || plain.starts_with("-I ") {
            true => words(plain),
            false => continue,
        };
        let after = |keys: &[&str]| {
            let at = words.iter().position(|word| keys.contains(&word.as_str()))?;
            words.get(at + 1).cloned()
        };
        let target = after(&["-j", "--jump", "-g", "--goto"]).unwrap_or_default();
        rules.push(Rule {
            line: number,
            family: if v6 { "ip6" } else { "ip" }.to_owned(),
            table: table.clone(),
            chain: words.get(1).cloned().unwrap_or_default(),
            comment: after(&["--comment"]),
            counter: Counter::Own,
            deed: Deed::of_iptables(&target, &words),
            words,
        });
    }
    Rules { rules, ..Rules::default() }
}

/// The words of a saved rule: in double quotes where they have blanks, with a backslash before quotes and
/// backslashes (`xtables_save_string`).
#[must_use]
pub fn words(rule: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut chars = rule.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => word.get_or_insert_default().extend(chars.next()),
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_their_table_their_comment_and_what_they_do() {
        let text = "*nat\n:PREROUTING ACCEPT [0:0]\n[5:300] -A PREROUTING -i wan -m comment --comment \
                    \"mail, \\\"new\\\"\" -j DNAT --to-destination 10.0.0.5\n-A POSTROUTING -o wan -j MASQUERADE\n\
                    COMMIT\n*filter\n-A INPUT -p tcp -m connlimit --connlimit-above 3 -j REJECT\n\
                    -A INPUT -j ACCEPT\nCOMMIT\n";
        let read = read(text, false).rules;
        let told: Vec<_> = read
            .iter()
            .map(|rule| (rule.line, rule.table.as_str(), rule.chain.as_str(), rule.deed))
            .collect();
        assert_eq!(
            told,
            [
                (3, "nat", "PREROUTING", Some(Deed::Dnat)),
                (4, "nat", "POSTROUTING", Some(Deed::Masquerade)),
                (7, "filter", "INPUT", Some(Deed::Limit)),
                (8, "filter", "INPUT", None),
            ]
        );
        assert_eq!(read[0].comment.as_deref(), Some("mail, \"new\""));
        assert_eq!(read[0].after("-i"), Some("wan"));
    }

    #[test]
    fn half_a_rule_is_read_without_harm() {
        for text in ["-A", "-A ", "[", "[1:2", "-A X -j", "*", "-A X -m comment --comment \"a"] {
            let _ = read(text, true);
        }
    }
}
