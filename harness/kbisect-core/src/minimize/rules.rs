//! Lines and blocks of files that can be left out one by one.

use std::collections::BTreeMap;

/// Lines of a file that go together: the same text wherever it stands in a table, or a block with all in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its lines, from 0, in order.
    pub lines: Vec<usize>,
    /// What it says, in one line.
    pub text: String,
    /// How often the text is there.
    pub count: usize,
    /// Whether it is a block.
    pub block: bool,
}

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `nft -f`.
    Nft,
    /// `iptables-restore`.
    IptablesSave,
    /// `ip -batch`.
    IpBatch,
}

/// The parts of a rule file, blocks first.
#[must_use]
pub fn parts(form: Form, text: &str) -> Vec<Part> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = if form == Form::Nft { blocks(&lines) } else { Vec::new() };
    let mut same: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    let mut table = "";
    for (at, line) in lines.iter().enumerate() {
        let line = line.trim();
        if form == Form::IptablesSave && line.starts_with('*') {
            table = line;
        }
        let stands_alone = match form {
            Form::Nft => is_nft_rule(line),
            Form::IptablesSave => line.starts_with("-A ") || line.starts_with(':'),
            Form::IpBatch => !line.is_empty() && !line.starts_with('#'),
        };
        if stands_alone {
            same.entry((table, line)).or_default().push(at);
        }
    }
    let mut singles: Vec<Part> = same
        .into_iter()
        .map(|((_, line), lines)| Part {
            text: line.to_owned(),
            count: lines.len(),
            lines,
            block: false,
        })
        .collect();
    singles.sort_by_key(|part| part.lines.first().copied());
    // The chains of a table that is reset are built in, and named only for their policy.
    found.extend(singles);
    found
}

/// The file without some of its lines.
#[must_use]
pub fn without(text: &str, gone: &dyn Fn(usize) -> bool) -> String {
    let kept = text.lines().enumerate().filter(|(at, _)| !gone(*at));
    kept.map(|(_, line)| format!("{line}\n")).collect()
}

/// Whether a line of an nft file can be left out alone: no brace that others need, no comment.
fn is_nft_rule(line: &str) -> bool {
    let open = line.matches('{').count();
    let closed = line.matches('}').count();
    let declares = line.starts_with("type ") || line.starts_with("flush ");
    !line.is_empty() && !line.starts_with('#') && open == closed && line != "}" && !declares
}

/// Blocks from the line that opens a brace to the one that closes it.
fn blocks(lines: &[&str]) -> Vec<Part> {
    let mut found = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        let depth = line.matches('{').count() as i64 - line.matches('}').count() as i64;
        if depth > 0 {
            open.push(at);
        } else if depth < 0
            && let Some(from) = open.pop()
        {
            found.push(Part {
                lines: (from..=at).collect(),
                text: lines[from].trim().trim_end_matches('{').trim().to_owned(),
                count: 1,
                block: true,
            });
        }
    }
    // An outer one before those in it.
    found.sort_by_key(|part| (part.lines.first().copied(), std::cmp::Reverse(part.lines.len())));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_nft_are_lines_and_blocks() {
        let text = "flush ruleset\n# a note\ntable inet x {\n  set s {\n    elements = { 1,\n 2 }\n  }\n  \
                    chain c {\n    type filter hook input priority 0;\n    counter\n    counter\n    \
                    tcp dport { 80, 443 } accept\n  }\n}\n";
        let found = parts(Form::Nft, text);
        let told: Vec<(&str, usize, bool)> =
            found.iter().map(|part| (part.text.as_str(), part.count, part.block)).collect();
        assert_eq!(
            told,
            [
                ("table inet x", 1, true),
                ("set s", 1, true),
                ("elements = { 1,", 1, true),
                ("chain c", 1, true),
                ("counter", 2, false),
                ("tcp dport { 80, 443 } accept", 1, false),
            ]
        );
        let set = &found[1];
        let left = without(text, &|at| set.lines.contains(&at));
        assert!(!left.contains("elements") && left.contains("chain c"), "{left}");
        assert_eq!(left.matches('{').count(), left.matches('}').count());
    }

    #[test]
    fn another_table_has_chains_of_its_own() {
        let text = "*nat\n:INPUT ACCEPT [0:0]\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n";
        let counts: Vec<usize> =
            parts(Form::IptablesSave, text).iter().map(|part| part.count).collect();
        assert_eq!(counts, [1, 1]);
    }

    #[test]
    fn the_same_rule_is_one_part_with_a_count() {
        let text = "*filter\n:INPUT ACCEPT [0:0]\n:mine - [0:0]\n-A INPUT -j mine\n-A INPUT -j mine\n\
                    -A mine -j ACCEPT\nCOMMIT\n";
        let found = parts(Form::IptablesSave, text);
        let jump = found.iter().find(|part| part.text == "-A INPUT -j mine").unwrap();
        assert_eq!((jump.count, &jump.lines), (2, &vec![3, 4]));
        assert_eq!(found.len(), 4);
        let batch = "# links\nlink add a type dummy\n\nlink set a up\n";
        assert_eq!(parts(Form::IpBatch, batch).len(), 2);
    }
}
